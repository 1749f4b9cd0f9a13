"""Answers that are, byte for byte, the ones before: fetched whole, but neither parsed nor rendered again."""

import json
import math
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import Outcome, Unchanged
from exporter.errors import BadRequestError, ServerError
from exporter.labels import LabelHygiene
from exporter.polling.poller import Poller, Questions
from exporter.sendgrid.pages import read_stats
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.factories import a_page, a_row, an_about, an_automation, an_id, label_rules
from tests.fakes import FakeClock, FakeKeeper

pytestmark = pytest.mark.unit

URL = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"


def listing(*clicks, each=2, count=None, total=None):
    """Return the pages of a list whose links have these clicks."""
    rows = [a_row(url=f"https://example.com/{n}", url_location=n, clicks=number) for n, number in enumerate(clicks)]
    parts = [rows[start : start + each] for start in range(0, len(rows), each)] or [[]]
    return [
        a_page(
            *part,
            total=sum(clicks) if total is None else total,
            count=len(rows) if count is None else count,
            token=str(n + 1) if n + 1 < len(parts) else None,
        )
        for n, part in enumerate(parts)
    ]


class Served:
    """What SendGrid answers now: documents, raw bodies or errors by page."""

    def __init__(self):
        self.pages = []
        self.asked = []

    def fetch(self, token):
        self.asked.append(token)
        page = self.pages[int(token or 0)]
        if isinstance(page, Exception):
            raise page
        return page if isinstance(page, bytes) else json.dumps(page).encode()


class Source:
    """Reads what is served; remembers whether it was what it had been."""

    def __init__(self, served, *, compares=True):
        self.served = served
        self.compares = compares
        self.unchanged = []

    def stats(self, automation, deadline, known=()):  # noqa: ARG002  # the port's form
        stats = read_stats(self.served.fetch, URL, lambda _: "", known if self.compares else ())
        self.unchanged.append(isinstance(stats, Unchanged))
        return stats

    def holding(self):
        return nullcontext()


class Bench:
    def __init__(self, *, compares=True):
        self.clock, self.store, self.keeper, self.served = FakeClock(), Store(), FakeKeeper(), Served()
        self.store.configure([an_automation()])
        self.telemetry = Telemetry(an_about(), clock=self.clock, link_series=lambda: 0)
        self.source = Source(self.served, compares=compares)
        hygiene = LabelHygiene(label_rules())
        self.poller = Poller(self.source, hygiene, self.store, self.telemetry, self.keeper, self.clock)

    def poll(self, *pages):
        self.clock.advance(300.0)
        if pages:
            self.served.pages = list(pages)
        self.served.asked.clear()
        return self.poller.poll(an_automation(), deadline=math.inf, stale_after=900.0)

    @property
    def view(self):
        return self.store.snapshot.views()[0]

    def shown(self):
        view, block = self.view, self.view.block
        return (view.up, view.last_success, view.decreased, block and (block.clicks_by_link(), block.total_clicks))


def test_equal_pages_show_the_same_block_with_a_new_age():
    bench = Bench()
    bench.poll(*listing(1, 2, 3))
    before = bench.view

    result = bench.poll()

    assert bench.source.unchanged == [False, True]
    assert (result.outcome, result.pages) == (Outcome.SUCCESS, 2)
    assert bench.served.asked == [None, "1"]
    assert bench.view.block is before.block
    assert bench.view.last_success == before.last_success + 300.0
    assert bench.keeper.saved[-1] == (an_id(), before.block, bench.view.last_success)


@pytest.mark.parametrize(
    "changed",
    [listing(2, 2, 3), listing(1, 2, 4), listing(1, 2), listing(1, 2, 3, 4), listing(1, 2, 3, 4, 5), listing()],
    ids=["first page", "last page", "page gone", "row more", "page more", "nothing left"],
)
def test_a_page_that_differs_is_read_with_the_others_and_none_is_asked_for_twice(changed):
    bench = Bench()
    bench.poll(*listing(1, 2, 3))

    bench.poll(*changed)

    assert bench.source.unchanged == [False, False]
    assert bench.served.asked == [None, *map(str, range(1, len(changed)))]
    clicks = [row["clicks"] for page in changed for row in page["results"]]
    assert sorted(bench.view.block.clicks_by_link().values()) == sorted(clicks)
    assert bench.poll().outcome is Outcome.SUCCESS
    assert bench.source.unchanged[-1]


@pytest.mark.parametrize(
    "pages",
    [
        listing(1, 2, count=0),
        listing(1, 2, each=1, count=1),
        listing(1, 2, total=9),
    ],
    ids=["no count", "a count per page", "another total"],
)
def test_what_one_reading_does_not_prove_is_read_again_each_time(pages):
    bench = Bench()

    for _ in range(5):
        bench.poll(*pages)

    assert not any(bench.source.unchanged)


def test_errors_between_leave_the_comparison_as_it_was():
    bench = Bench()
    bench.poll(*listing(1, 2, 3))
    first, _ = listing(1, 2, 3)

    assert bench.poll(first, ServerError("away")).outcome is Outcome.SERVER_ERROR
    assert not bench.view.up
    assert bench.poll(*listing(1, 2, 3)).outcome is Outcome.SUCCESS
    assert bench.view.up
    assert bench.source.unchanged == [False, True]


def test_page_token_that_is_no_longer_taken_begins_the_walk_again():
    bench = Bench()
    bench.poll(*listing(1, 2, 3))
    first, last = listing(1, 2, 3)
    bench.served.pages = [first, BadRequestError("token")]
    real = bench.served.fetch

    def fetch(token):
        if bench.served.asked.count(None) > 1:
            bench.served.pages = [first, last]
        return real(token)

    bench.served.fetch = fetch

    assert bench.poll().outcome is Outcome.SUCCESS
    assert bench.source.unchanged[-1] is False
    assert bench.poll().outcome is Outcome.SUCCESS
    assert bench.source.unchanged[-1]


def test_block_that_grew_stale_is_shown_again_by_an_equal_answer():
    bench = Bench()
    bench.poll(*listing(1, 2, 3))
    before = bench.view.block
    bench.clock.advance(5000.0)
    bench.store.expire(bench.clock.monotonic())
    assert bench.view.block is None

    bench.poll()

    assert bench.source.unchanged[-1]
    assert bench.view.block is before


def test_another_question_is_never_answered_by_what_was_said_to_the_former():
    bench = Bench()
    bench.poll(*listing(1, 2, 3))
    hygiene = LabelHygiene(label_rules(max_links=1))

    bench.poller.take_over(bench.source, hygiene, Questions("other rules"))
    bench.poll()

    assert bench.source.unchanged == [False, False]
    assert len(bench.view.block.clicks_by_link()) == 2


pages_of_history = st.one_of(
    st.builds(
        lambda clicks, each: listing(*clicks, each=each),
        st.lists(st.integers(0, 3), max_size=4),
        st.integers(1, 3),
    ),
    st.builds(
        lambda clicks, count: listing(*clicks, count=count), st.lists(st.integers(0, 2), max_size=3), st.integers(0, 3)
    ),
    st.just([ServerError("away")]),
    st.just([listing(1, 2, 3)[0], BadRequestError("token")]),
    st.just([b"{"]),
    st.just([{"errors": [{"message": "no"}], **listing(1)[0]}]),
)


@given(st.lists(st.tuples(pages_of_history, st.integers(1, 3)), min_size=1, max_size=8))
def test_every_history_shows_what_it_shows_without_the_comparison(history):
    comparing, plain = Bench(), Bench(compares=False)

    for pages, times in history:
        for _ in range(times):
            results = [bench.poll(*pages) for bench in (comparing, plain)]
            assert results[0] == results[1]
            assert comparing.shown() == plain.shown()
