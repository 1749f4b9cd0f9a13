"""Lists that change while they are read: whatever moves between two pages, only what SendGrid said is published."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.errors import IncompleteError
from exporter.sendgrid.pages import read_stats
from tests.factories import a_page, a_row

pytestmark = pytest.mark.unit

URL = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"
RIGHT, WRONG = "right", "wrong"
UNCOUNTED = ("missing", "per page", "zero")


class ChangingList:
    """A list in pages; before a page is given, a change may happen to it."""

    def __init__(self, names, size, count, off=0, location=0):
        self.rows = [{"url": name, "clicks": 1 + number, "url_location": location} for number, name in enumerate(names)]
        self.size, self.count, self.off = size, count, off
        self.changes = []
        self.every_walk = True
        self.walks = self.born = 0
        self.said = {}
        """The clicks that were said of each link."""
        self.common = None
        """The links that were in the list at every moment at which a page was given."""

    def fetch(self, token):
        self.walks += token is None
        if self.changes and (self.every_walk or self.walks % 2):
            self.change(*self.changes.pop(0))
        start = 0 if token is None else int(token)
        page = self.rows[start : start + self.size]
        for row in page:
            self.said.setdefault(row["url"], set()).add(row["clicks"])
        links = {row["url"] for row in self.rows}
        self.common = links if self.common is None else self.common & links
        more = start + self.size < len(self.rows)
        document = a_page(
            *(a_row(**row) for row in page),
            total=sum(row["clicks"] for row in self.rows),
            count=self.counted(len(page)),
            token=str(start + self.size) if more else None,
        )
        return json.dumps(document).encode()

    def counted(self, on_this_page):
        number = len(self.rows)
        counts = {RIGHT: number, WRONG: max(number + self.off, 0), "per page": on_this_page, "zero": 0}
        return counts.get(self.count)

    def change(self, kind, a, b):
        if kind == "birth":
            self.born += 1
            row = {
                "url": f"born {self.born}",
                "clicks": 1,
                "url_location": self.rows[0]["url_location"] if self.rows else 0,
            }
            self.rows.insert(a % (len(self.rows) + 1), row)
        elif not self.rows:
            return
        elif kind == "deletion":
            del self.rows[a % len(self.rows)]
        elif kind == "move":
            row = self.rows.pop(a % len(self.rows))
            self.rows.insert(b % (len(self.rows) + 1), row)
        elif kind == "swap":
            a, b = a % len(self.rows), b % len(self.rows)
            self.rows[a], self.rows[b] = self.rows[b], self.rows[a]
        elif kind == "click":
            self.rows[a % len(self.rows)]["clicks"] += 1 + b

    def read(self):
        return read_stats(self.fetch, URL, lambda _: "")


def changes(*kinds, most=14):
    one = st.tuples(st.sampled_from(("none", "move", "swap", "click", *kinds)), st.integers(0, 11), st.integers(0, 11))
    return st.lists(one, max_size=most)


# A row that is deleted while another one is born leaves the count as it was: that alone cannot be told from the rows.
one_way = st.one_of(changes("birth"), changes("deletion"))
names = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=10, unique=True)
sizes = st.integers(1, 4)


def outcome_of(listing):
    """What came of the list, and whether it was whole."""
    try:
        return listing.read(), True
    except IncompleteError as exc:
        return exc.stats, False


def assert_only_what_was_said(listing, stats):
    keys = [link[:3] for link in stats.links]
    assert len(keys) == len(set(keys))
    for link in stats.links:
        assert link.clicks in listing.said[link.url], "a number that SendGrid did not say for that link"


@given(names, sizes, one_way)
@example(list("abcd"), 2, [("none", 0, 0), ("move", 2, 0)])
@example(list("abcd"), 2, [("none", 0, 0), ("birth", 0, 0)])
@example(list("abcd"), 2, [("none", 0, 0), ("deletion", 0, 0)])
@settings(max_examples=400)
def test_counted_list_that_changes_in_every_walk_loses_and_doubles_no_row(names, size, happening):
    listing = ChangingList(names, size, RIGHT)
    listing.changes = happening

    stats, whole = outcome_of(listing)

    if whole:
        assert_only_what_was_said(listing, stats)
        assert listing.common <= {link.url for link in stats.links}
    elif stats is not None:
        assert_only_what_was_said(listing, stats)


@given(names, sizes, one_way, st.sampled_from((*UNCOUNTED, WRONG)), st.sampled_from((-3, -2, -1, 1, 2)))
@settings(max_examples=400)
def test_list_without_a_right_count_that_holds_still_in_every_other_walk_loses_and_doubles_no_row(
    names, size, happening, count, off
):
    """Walks that go wrong twice running in just the same way look like a list that holds still."""
    listing = ChangingList(names, size, count, off)
    listing.changes, listing.every_walk = happening, False

    stats, whole = outcome_of(listing)

    if whole:
        assert_only_what_was_said(listing, stats)
        assert listing.common <= {link.url for link in stats.links}
    elif stats is not None:
        assert_only_what_was_said(listing, stats)


@given(names, sizes, changes("birth", "deletion"), st.sampled_from((RIGHT, WRONG, *UNCOUNTED)), st.integers(-3, 3))
@settings(max_examples=300)
def test_whatever_happens_no_number_is_published_that_was_not_said(names, size, happening, count, off):
    listing = ChangingList(names, size, count, off)
    listing.changes = happening

    stats, _ = outcome_of(listing)

    if stats is not None:
        assert_only_what_was_said(listing, stats)


@given(names, sizes, one_way, st.sampled_from((RIGHT, *UNCOUNTED)))
@settings(max_examples=200)
def test_list_that_holds_still_again_is_read_as_it_is(names, size, happening, count):
    listing = ChangingList(names, size, count)
    listing.changes = happening
    outcome_of(listing)
    listing.changes = []

    stats, whole = outcome_of(listing)

    assert whole
    assert {link.url: link.clicks for link in stats.links} == {row["url"]: row["clicks"] for row in listing.rows}
    assert stats.total_clicks == sum(row["clicks"] for row in listing.rows)


@given(names, sizes, st.sampled_from((-2, -1, 1, 2)))
@settings(max_examples=100)
def test_list_that_holds_still_with_a_wrong_count_leaves_all_its_rows_to_be_published(names, size, off):
    listing = ChangingList(names, size, WRONG, off)

    stats, _ = outcome_of(listing)

    assert {link.url: link.clicks for link in stats.links} == {row["url"]: row["clicks"] for row in listing.rows}


@given(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=10),
    sizes,
    changes(),
    st.sampled_from((RIGHT, *UNCOUNTED)),
)
@example(list("xaby"), 2, [("none", 0, 0), ("swap", 1, 2)], RIGHT)
@example(list("xaby"), 2, [("none", 0, 0), ("swap", 1, 2)], "missing")
@settings(max_examples=300)
def test_rows_without_a_location_that_move_are_neither_doubled_nor_lost(names, size, happening, count):
    """Several of them may stand at one place, so that each place has the sum of its rows."""
    listing = ChangingList(names, size, count, location=None)
    listing.changes, listing.every_walk = [each for each in happening if each[0] != "click"], False

    stats, whole = outcome_of(listing)

    expected = {name: sum(row["clicks"] for row in listing.rows if row["url"] == name) for name in names}
    if whole:
        assert {link.url: link.clicks for link in stats.links} == expected


@given(
    names,
    st.lists(st.integers(1, 4), max_size=5),
    st.booleans(),
    st.sampled_from((RIGHT, *UNCOUNTED)),
)
@settings(max_examples=200)
def test_any_split_into_pages_gives_the_same_stats(names, sizes, per_page, count):
    rows = [a_row(url=name, clicks=1 + number) for number, name in enumerate(names)]
    parts = []
    for size in sizes:
        parts, rows = [*parts, rows[:size]], rows[size:]
    parts = [part for part in [*parts, rows] if part]
    clicks = [sum(row["clicks"] for row in part) for part in parts]
    documents = [
        a_page(
            *part,
            total=clicks[number] if per_page and len(parts) > 1 else sum(clicks),
            count={RIGHT: len(names), "per page": len(part), "zero": 0}.get(count),
            token=str(number + 1) if number + 1 < len(parts) else None,
        )
        for number, part in enumerate(parts)
    ]

    stats = read_stats(lambda token: json.dumps(documents[int(token or 0)]).encode(), URL, lambda _: "")

    assert {link.url: link.clicks for link in stats.links} == {name: 1 + at for at, name in enumerate(names)}
    assert (stats.total_clicks, stats.gap) == (sum(clicks), 0)


@pytest.mark.parametrize("count", [RIGHT, *UNCOUNTED])
def test_still_list_costs_one_walk_with_a_count_and_two_without(count):
    listing = ChangingList("abcde", 2, count)

    assert listing.read().pages == (3 if count == RIGHT else 6)
