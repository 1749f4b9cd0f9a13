"""When a list is whole: the decision table of exporter/sendgrid/pages.py, row by row."""

import pytest

from exporter.domain import LinkClicks
from exporter.errors import IncompleteError, InvalidResponseError
from exporter.sendgrid.pages import read_stats
from tests.factories import STEP, a_page, a_row
from tests.fakes import pages

pytestmark = pytest.mark.unit

URL = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"


def walk(*parts, count=None, total=None):
    """The pages of one walk; each part is a page's rows. `count` and `total` are one number, or one for each page."""
    whole = sum(row["clicks"] for part in parts for row in part)
    counts = count if isinstance(count, list) else [count] * len(parts)
    totals = total if isinstance(total, list) else [whole if total is None else total] * len(parts)
    last = len(parts) - 1
    return [
        a_page(*part, count=counts[number], total=totals[number], token=None if number == last else str(number))
        for number, part in enumerate(parts)
    ]


def rows(names: str, **changes):
    """A row for each letter, with as many clicks as its place in the alphabet."""
    return [a_row(url=name, **{"clicks": ord(name) - 96, **changes}) for name in names]


def stats_of(*walks):
    """What comes of these walks; asking for more pages than they have fails the test."""
    return read_stats(pages(*(page for each in walks for page in each)), URL, lambda _: "")


def links_of(*walks):
    return {link.url: link.clicks for link in stats_of(*walks).links}


def doubt_about(*walks):
    with pytest.raises(IncompleteError) as failed:
        stats_of(*walks)
    return failed.value


ABCD = {"a": 1, "b": 2, "c": 3, "d": 4}
QUIET = walk(rows("ab"), rows("cd"), count=4)


@pytest.mark.parametrize(
    "first",
    [
        walk(rows("ab"), rows("bd"), count=4),
        walk(rows("ab"), rows("d"), count=4),
        walk(rows("ab"), rows("cd"), count=[4, 5]),
        walk(rows("ab"), rows("cd"), count=5),
        walk(rows("ab"), rows("ab"), count=4),
        walk(rows("ab"), [], count=4),
        walk(rows("ab")),
        walk([], count=4),
    ],
    ids=[
        "a row on two pages",
        "a row lost",
        "different counts",
        "another count",
        "a page twice",
        "an empty page",
        "no metadata",
        "nothing",
    ],
)
def test_walk_that_does_not_show_the_whole_list_is_followed_by_another(first):
    assert links_of(first, QUIET) == ABCD


def test_walk_that_numbers_the_count_needs_no_other():
    assert stats_of(QUIET).pages == 2
    assert stats_of(QUIET).counted


def test_rows_that_one_walk_misses_and_the_other_shows_make_the_union_whole():
    """Without a third walk, although neither was whole."""
    assert links_of(walk(rows("ab"), rows("bd"), count=4), walk(rows("ac"), rows("cd"), count=4)) == ABCD


def test_place_in_several_walks_has_its_last_clicks():
    first = walk(rows("ab"), rows("bd"), count=4)
    second = walk(rows("ac", clicks=50), rows("cd", clicks=60), count=4, total=160)

    assert links_of(first, second) == {"a": 50, "b": 2, "c": 60, "d": 60}


def test_union_spans_only_walks_with_one_count():
    """Row b was deleted between the walks; with it the union would number the count, and c would be missing."""
    first = walk(rows("ab"), rows("bd"), count=4)
    second = walk(rows("ad"), rows("d"), count=3)
    third = walk(rows("ac"), rows("d"), count=3)

    assert links_of(first, second, third) == {"a": 1, "c": 3, "d": 4}


def test_rows_that_fit_a_count_below_them_by_chance_are_not_whole():
    doubt = doubt_about(*[walk(rows("ab"), rows("bd"), count=3)] * 2)

    assert "4 rows, and SendGrid counts 3" in str(doubt)


def test_list_that_never_holds_still_is_given_up_after_four_walks():
    walks = [walk(rows("ab"), rows(last), count=[4, 5]) for last in ("cd", "ce", "cf", "cg")]

    assert "different counts: 4, 5" in str(doubt_about(*walks))


def test_two_walks_that_say_the_same_and_are_not_whole_are_not_followed_by_a_third():
    assert "3 rows, and SendGrid counts 4" in str(doubt_about(*[walk(rows("abd"), count=4)] * 2))


@pytest.mark.parametrize("count", [None, 0, [2, 2], [2, None]], ids=["missing", "0", "per page", "per page, once"])
def test_list_without_a_count_is_whole_when_two_walks_have_the_same_places(count):
    still = walk(rows("ab"), rows("cd"), count=count)
    moved = walk(rows("ab"), rows("bd"), count=count)
    born = walk(rows("ea"), rows("bc"), rows("d"), count=[2, 2, 1] if isinstance(count, list) else count)

    assert links_of(still, still) == ABCD
    assert links_of(moved, still, still) == ABCD
    assert links_of(still, born, born) == {**ABCD, "e": 5}
    assert not stats_of(still, still).counted


def test_walks_with_the_same_places_and_a_count_in_one_of_them_only_are_no_two():
    still = walk(rows("ab"), rows("cd"))

    assert links_of(still, QUIET) == ABCD
    assert links_of(walk(rows("ab")), walk(rows("ab"), count=4), QUIET) == ABCD


def test_list_without_a_count_that_gives_a_place_on_two_pages_is_not_whole():
    """The same page again instead of the second one."""
    doubt = doubt_about(*[walk(rows("ab"), rows("ab"), rows("e"))] * 2)

    assert "2 places stand on two pages" in str(doubt)
    assert {link.url: link.clicks for link in doubt.stats.links} == {"a": 1, "b": 2, "e": 5}


@pytest.mark.parametrize("count", [None, 0, 1100, "own"])
@pytest.mark.parametrize("size", [1, 50])
def test_count_of_any_kind_leaves_a_list_of_more_than_a_thousand_rows_readable(count, size):
    many = [a_row(url=str(number)) for number in range(1150)]
    parts = [many[start : start + size] for start in range(0, len(many), size)]
    one = walk(*parts, count=[len(part) for part in parts] if count == "own" else count)

    if count == 1100:
        assert len(doubt_about(one, one).stats.links) == 1150
    else:
        assert len(stats_of(one, one).links) == 1150


NOTHING = [
    ({"results": []}, "neither rows nor a count or total of 0"),
    ({"results": None}, "neither rows nor a count or total of 0"),
    ({}, "neither rows nor a count or total of 0"),
    ({"results": [], "total_clicks": None, "_metadata": {}}, "neither rows nor"),
    ({"results": [], "_metadata": {"count": None}}, "neither rows nor"),
    ({"results": [], "_metadata": {"count": 3}}, "no rows, but a count of 3"),
    ({"results": [], "total_clicks": 0, "_metadata": {"count": 3}}, "a count of 3 and a total of 0"),
    ({"results": [], "total_clicks": 4500}, "no rows, but a total of 4500"),
    ({"results": [], "total_clicks": 4500, "_metadata": {"count": 0}}, "a count of 0 and a total of 4500"),
    ({"results": None, "total_clicks": 4500, "_metadata": {"count": 0}}, "a count of 0 and a total of 4500"),
]


@pytest.mark.parametrize(("answer", "reason"), NOTHING)
def test_answer_without_rows_that_does_not_say_zero_is_never_one(answer, reason):
    doubt = doubt_about([answer], [answer])

    assert reason in str(doubt)
    assert doubt.stats is None


@pytest.mark.parametrize(
    "answer",
    [
        {"results": [], "total_clicks": 0},
        {"results": None, "total_clicks": 0, "_metadata": {}},
        {"total_clicks": 0, "_metadata": None},
        {"results": [], "_metadata": {"count": 0}},
        {"results": [], "total_clicks": 0, "_metadata": {"count": 0}, "errors": []},
        {"results": [], "total_clicks": 0, "errors": None},
    ],
)
def test_zero_that_sendgrid_says_is_one_at_once(answer):
    stats = stats_of([answer])

    assert (stats.links, stats.total_clicks, stats.counted) == ((), 0, True)


@pytest.mark.parametrize("results", [[], None])
def test_empty_last_page_of_a_counted_list_only_ends_it(results):
    first, last = walk(rows("abcd"), [], count=4)

    assert links_of([first, {**last, "results": results}]) == ABCD


def test_page_without_results_leaves_a_list_without_a_count_open():
    first, last = walk(rows("abcd"), [])

    assert links_of([first, last], [first, last]) == ABCD
    assert doubt_about(*[[first, {**last, "results": None}]] * 2).stats is None
    assert doubt_about(*[walk(rows("ab"), [], rows("d"))] * 2).stats is None


def placeless(names: str, **changes):
    return rows(names, url_location=None, **changes)


def test_rows_without_a_location_are_added_up_within_a_page():
    one = walk(placeless("aab"), count=3)

    assert stats_of(one).links == (LinkClicks(STEP, "a", "", 2), LinkClicks(STEP, "b", "", 2))


def test_rows_without_a_location_that_swap_over_a_pages_edge_neither_double_nor_vanish():
    swapped = walk(placeless("xa"), placeless("ay"), count=4)
    back = walk(placeless("xb"), placeless("by"), count=4)
    still = walk(placeless("xb"), placeless("ay"), count=4)
    whole = {"a": 1, "b": 2, "x": 24, "y": 25}

    assert links_of(swapped, still) == whole
    assert links_of(swapped, back) == whole


def test_rows_without_a_location_at_one_place_of_several_pages_are_added_up_when_two_walks_agree():
    one = walk(placeless("aa"), placeless("ab"), count=4)
    swapped = walk(placeless("aa"), placeless("aa"), count=4)

    assert links_of(one, one) == {"a": 3, "b": 2}
    assert links_of(swapped, one, one) == {"a": 3, "b": 2}


def test_whole_page_that_comes_twice_is_not_added_up_though_no_row_has_a_location():
    doubt = doubt_about(*[walk(placeless("ab"), placeless("ab"), placeless("e"), count=5)] * 2)

    assert {link.url: link.clicks for link in doubt.stats.links} == {"a": 1, "b": 2, "e": 5}


def test_located_row_that_stands_twice_on_a_page_is_two_rows_only_where_the_count_says_so():
    assert links_of(walk(rows("aab"), count=3)) == {"a": 2, "b": 2}
    assert links_of(*[walk(rows("aab"))] * 2) == {"a": 1, "b": 2}


@pytest.mark.parametrize("make", [rows, placeless])
@pytest.mark.parametrize("parts", [["aabb", "ccdd"], ["ab", "ab", "cd", "cd"], ["abcdabcd"]])
def test_list_that_gives_every_row_twice_is_never_published_doubled(make, parts):
    doubt = doubt_about(*[walk(*map(make, parts), count=4)] * 2)

    assert {link.url: link.clicks for link in doubt.stats.links} == ABCD
    assert doubt.stats.counted


def test_what_lasts_against_the_count_is_the_union_of_all_walks():
    first, second = walk(rows("abd"), count=9), walk(rows("ac"), count=9)

    doubt = doubt_about(first, second, first, second)

    assert {link.url: link.clicks for link in doubt.stats.links} == ABCD
    assert not doubt.stats.counted


def test_rows_without_a_location_keep_their_sum_where_only_the_count_is_wrong():
    doubt = doubt_about(*[walk(placeless("aa"), placeless("ab"), count=6)] * 2)

    assert {link.url: link.clicks for link in doubt.stats.links} == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("totals", "total", "gap"),
    [
        ([10, 10], 10, 0),
        ([9, 11], 11, 0),
        ([7, 7], 7, 3),
        ([5, 8], 8, 2),
        ([30, 40], 40, -20),
        ([3, 7], 10, 0),
        ([3, 8], 8, 2),
        ([0, 0], 0, 10),
    ],
    ids=["the sum", "around it", "behind", "both behind", "ahead", "per page", "one is per page", "zero"],
)
def test_total_is_sendgrids_own_word_and_withholds_no_rows(totals, total, gap):
    stats = stats_of(walk(rows("ab"), rows("cd"), count=4, total=totals))

    assert len(stats.links) == 4
    assert (stats.total_clicks, stats.gap) == (total, gap)


@pytest.mark.parametrize("results", [[], None])
@pytest.mark.parametrize("lag", [0, 1])
def test_zeroes_of_an_empty_last_page_are_not_those_of_the_list(results, lag):
    """SendGrid counts 4 rows and 10 clicks on each page that has some; the one behind them is an answer for itself."""
    pages_ = walk(rows("ab"), rows("cd"), [], count=[4, 4, 0], total=[10 + lag, 10 + lag, 0])
    pages_[-1]["results"] = results

    stats = stats_of(pages_)

    assert {link.url: link.clicks for link in stats.links} == ABCD
    assert (stats.total_clicks, stats.counted) == (10 + lag, True)


def test_page_that_counts_its_own_rows_before_an_empty_one_is_no_counted_list():
    own = walk(rows("ab"), [], count=[2, 0])

    stats = stats_of(own, own)

    assert not stats.counted


def test_zero_of_an_empty_last_page_is_no_total_of_a_list_without_a_count():
    pages_ = walk(rows("ab"), rows("cd"), [], total=[12, 12, 0])

    assert stats_of(pages_, pages_).total_clicks == 12


def test_rows_that_an_empty_page_takes_the_place_of_are_still_missing():
    assert links_of(walk(rows("ab"), [], count=[4, 0], total=[10, 0]), QUIET) == ABCD


def test_totals_of_each_page_alone_are_added_up_over_the_union():
    first = walk(rows("ab"), rows("bd"), count=4, total=[3, 6])
    second = walk(rows("ac"), rows("cd"), count=4, total=[4, 7])

    assert stats_of(first, second).total_clicks == 10


def test_total_that_a_page_with_rows_lacks_is_no_answer_of_the_api():
    first, second = walk(rows("ab"), rows("cd"), count=4)

    with pytest.raises(InvalidResponseError, match="total_clicks is missing"):
        stats_of([first, {**second, "total_clicks": None}])
