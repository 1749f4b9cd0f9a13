import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain import LinkClicks
from exporter.errors import IncompleteError, InvalidResponseError
from exporter.sendgrid.pages import read_stats
from tests.factories import STEP, a_page, a_row
from tests.fakes import pages

URL = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"


def stats_of(*documents):
    return read_stats(pages(*documents), URL)


def twice(*documents):
    """What a server that always says the same answers to both walks."""
    return read_stats(pages(*documents, *documents), URL)


def difference_of(*documents):
    with pytest.raises(IncompleteError) as failed:
        twice(*documents)
    return failed.value.difference


def split(rows, sizes, *, per_page=False, count=True):
    """Return the rows as the API's pages of these sizes; the last holds what is left."""
    parts = []
    for size in sizes:
        parts.append(rows[:size])
        rows = rows[size:]
    parts.append(rows)
    everything = [row for part in parts for row in part]
    whole = sum(row["clicks"] for row in everything)
    return [
        a_page(
            *part,
            total=sum(row["clicks"] for row in part) if per_page else whole,
            count=len(everything) if count else None,
            token=str(number) if number < len(parts) else None,
        )
        for number, part in enumerate(parts, 1)
    ]


def test_rows_with_the_same_key_are_added_up():
    row = a_row(clicks=2)

    assert stats_of(a_page(row, row)).links == (LinkClicks(STEP, "https://example.com/a", "0", 4),)


def test_place_zero_no_place_and_null_place_are_told_apart_where_they_differ():
    rows = [a_row(url_location=0), a_row(url_location=None), {"url": "u", "step_id": "s", "clicks": 1}]

    assert [link.url_location for link in stats_of(a_page(*rows)).links] == ["0", "", ""]


def test_clicks_that_arrive_between_two_pages_are_no_difference():
    first = a_page(a_row(clicks=5), total=10, count=2, token="1")
    second = a_page(a_row(url="b", clicks=6), total=11, count=2)

    assert stats_of(first, second).total_clicks == 11


def test_row_too_few_starts_again_from_the_first_page_and_a_whole_walk_is_published():
    rows = [a_row(url=str(number)) for number in range(4)]
    moved = split(rows[:3], [2])
    for page in moved:
        page["_metadata"]["count"], page["total_clicks"] = 4, 4

    stats = stats_of(*moved, *split(rows, [2]))

    assert stats.total_clicks == 4


def test_difference_that_stays_is_told_with_the_rows_so_that_a_lasting_one_can_be_published():
    with pytest.raises(IncompleteError, match=r"-1 rows, -3 clicks") as failed:
        twice(a_page(a_row(clicks=2), total=5, count=2))

    assert failed.value.difference == (-1, -3)
    assert failed.value.stats is not None
    assert (failed.value.stats.total_clicks, len(failed.value.stats.links)) == (5, 1)


def test_too_many_rows_and_clicks_are_a_difference_too():
    assert difference_of(a_page(a_row(clicks=4), a_row(), total=2, count=1)) == (1, 3)


def test_totals_of_each_page_alone_are_added_up():
    rows = [a_row(url=str(number), clicks=number + 1) for number in range(4)]

    assert stats_of(*split(rows, [2], per_page=True)).total_clicks == 10


def test_count_of_the_last_page_counts_since_links_are_born_between_two_pages():
    first = a_page(a_row(), total=1, count=1, token="1")
    second = a_page(a_row(url="b"), total=2, count=2)

    assert stats_of(first, second).total_clicks == 2


def test_page_that_comes_back_is_refused():
    first, second = (a_page(a_row(), token="same") for _ in range(2))

    with pytest.raises(InvalidResponseError, match="comes back"):
        stats_of(first, second)


def test_list_without_an_end_is_refused():
    with pytest.raises(InvalidResponseError, match="does not end after 2000 pages"):
        stats_of(*(a_page(total=0, count=0, token=str(number)) for number in range(2001)))


def test_list_larger_than_any_real_one_is_refused_before_it_fills_the_memory():
    filler = "x" * 7_000_000
    documents = (a_page(a_row(url=filler), token=str(number)) for number in range(2001))

    with pytest.raises(InvalidResponseError, match="larger than"):
        stats_of(*(next(documents) for _ in range(12)))


@pytest.mark.parametrize("end", [None, "", "absent"])
def test_next_that_is_null_empty_or_absent_ends_the_list(end):
    page = a_page(a_row(), count=1)
    if end != "absent":
        page["_metadata"]["next"] = end

    assert stats_of(page).pages == 1


row_lists = st.lists(
    st.builds(
        a_row,
        url=st.sampled_from(("a", "b", "c", "d")),
        clicks=st.integers(1, 50),
        url_location=st.sampled_from((None, 0, 1)),
    ),
    min_size=1,
    max_size=12,
)


@given(row_lists, st.lists(st.integers(0, 4), max_size=5), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_split_into_pages_gives_the_same_stats(rows, sizes, per_page, count):
    whole = stats_of(a_page(*rows, count=len(rows)))

    stats = twice(*split(rows, sizes, per_page=per_page, count=count))

    assert (stats.links, stats.total_clicks) == (whole.links, whole.total_clicks)


@given(row_lists, st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
@settings(max_examples=150, deadline=None)
def test_lost_or_doubled_page_is_never_published(rows, sizes, data):
    honest = split(rows, sizes)
    victim = data.draw(st.sampled_from([page for page in honest if page["results"]]))
    doubled = data.draw(st.booleans())
    changed = [
        page for page in honest for _ in range(2 if doubled and page is victim else 1) if doubled or page is not victim
    ]
    for number, page in enumerate(changed, 1):
        metadata = {**page["_metadata"], "next": f"{URL}?page_token={number}"}
        changed[number - 1] = {**page, "_metadata": metadata}
    if changed:
        changed[-1]["_metadata"].pop("next")
    else:
        changed = [a_page(total=victim["total_clicks"], count=len(rows))]

    assert difference_of(*changed) is not None
