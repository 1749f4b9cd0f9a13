"""Lists of automations and of steps: whole or not at all, and what their rows may hold."""

import json
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import Endpoint, Statistics
from exporter.errors import ForbiddenError, IncompleteError, InvalidResponseError, KeyRefusedError, UnauthorizedError
from exporter.sendgrid.statistics import read_automations, read_steps
from tests.factories import an_automation, an_id
from tests.fakes import Reply, json_reply, pages
from tests.sendgrid.test_client import Bench

pytestmark = pytest.mark.unit

URL = "https://api.sendgrid.com/v3/marketing/stats/automations"
COUNTS = dict(zip(Statistics._fields, range(1, 13), strict=True))
SOME = Statistics(**COUNTS)


def a_row(number=1, **changes):
    """A row of the list as the API writes it."""
    return {"id": an_id(number), "aggregation": "total", "step_id": "all", "stats": COUNTS, **changes}


def a_page(*rows, count=None, token=None, **more):
    metadata = {"self": URL, "count": len(rows) if count is None else count}
    if token is not None:
        metadata["next"] = f"{URL}?page_token={token}"
    return {"results": list(rows), "_metadata": metadata, **more}


def listed(*documents):
    return read_automations(pages(*documents), URL, lambda _: "", is_of_account=True)


def ids(found):
    return list(found.statistics)


def test_the_list_has_every_automation_with_its_twelve_counts_in_the_order_of_its_pages():
    found = listed(a_page(a_row(2), a_row(1), count=3, token="t"), a_page(a_row(3), count=3))

    assert ids(found) == [an_id(2), an_id(1), an_id(3)]
    assert set(found.statistics.values()) == {SOME}
    assert (found.is_whole, found.is_of_account, found.pages, found.nameless) == (True, True, 2, 0)


@pytest.mark.parametrize(
    "walk",
    [
        pytest.param([a_page(a_row(1), count=2)], id="a row is lost"),
        pytest.param([a_page(a_row(1), a_row(1), count=2)], id="a row stands for another one"),
        pytest.param([a_page(a_row(1), a_row(1, id=an_id(1).upper()), count=2)], id="the same in other letters"),
        pytest.param([a_page(a_row(1), count=2, token="t"), a_page(a_row(1), count=2)], id="on two pages"),
        pytest.param([a_page(a_row(1), count=2, token="t"), a_page(a_row(2), count=3)], id="counts differ"),
        pytest.param([a_page(count=1)], id="empty beside a count"),
        pytest.param([{"results": []}], id="empty, and nothing says so"),
        pytest.param([{"results": None, "_metadata": {"count": 2}}], id="null"),
    ],
)
def test_a_list_that_does_not_show_all_of_it_is_incomplete(walk):
    with pytest.raises(IncompleteError) as failed:
        listed(*walk * 4)

    assert failed.value.listed is None or not failed.value.listed.is_whole


def test_rows_that_moved_between_two_pages_are_found_in_the_next_walk():
    moved = [a_page(a_row(1), a_row(2), count=4, token="t"), a_page(a_row(2), a_row(4), count=4)]
    still = [a_page(a_row(1), a_row(2), count=4, token="t"), a_page(a_row(3), a_row(4), count=4)]

    assert sorted(ids(listed(*moved, *still))) == [an_id(number) for number in (1, 2, 3, 4)]


def test_without_a_count_two_walks_have_to_agree():
    walk = [{"results": [a_row(1), a_row(2)]}]

    assert ids(listed(*walk, *walk)) == [an_id(1), an_id(2)]


def test_an_account_without_automations_says_so():
    assert ids(listed(a_page(count=0))) == []


def test_rows_whose_id_is_no_uuid_are_counted_and_left_out():
    found = listed(a_page(a_row(1), a_row(2, id='spring sale"\n'), a_row(3, id="")))

    assert ids(found) == [an_id(1)]
    assert found.nameless == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stats": None}, Statistics()),
        ({"stats": {}}, Statistics()),
        ({"stats": {**COUNTS, "delivered": None}}, SOME._replace(delivered=None)),
        ({"stats": {**COUNTS, "clicks": 5.0}}, SOME._replace(clicks=5)),
        ({"stats": {**COUNTS, "group_unsubscribes": 7}}, SOME),
        ({"aggregation": None, "step_id": None}, SOME),
    ],
)
def test_what_a_row_does_not_say_is_no_zero(changes, expected):
    assert listed(a_page(a_row(1, **changes))).statistics == {an_id(1): expected}


def test_a_row_without_statistics_is_an_automation_all_the_same():
    row = {"id": an_id(1), "aggregation": "total", "step_id": "all"}

    assert listed(a_page(row)).statistics == {an_id(1): Statistics()}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": 7},
        {"stats": [7]},
        {"stats": {**COUNTS, "delivered": -1}},
        {"stats": {**COUNTS, "delivered": 3.5}},
        {"stats": {**COUNTS, "delivered": "many"}},
        {"stats": {**COUNTS, "delivered": True}},
        {"stats": {**COUNTS, "delivered": 10**30}},
        {"aggregation": "2021-01-01"},
    ],
)
def test_a_row_of_another_form_refuses_the_whole_list(changes):
    with pytest.raises(InvalidResponseError, match=r"results\.1"):
        listed(a_page(a_row(1), a_row(2, **changes)))


def test_a_list_without_an_end_is_given_up():
    def page(number):
        rows = [a_row(number * 50 + row) for row in range(50)]
        return json.dumps(a_page(*rows, count=1_000_000, token=str(number))).encode()

    with pytest.raises(InvalidResponseError, match="does not end after 30050 rows"):
        read_automations(lambda token: page(0 if token is None else int(token) + 1), URL, str, is_of_account=True)


@given(st.lists(st.integers(1, 30), max_size=9, unique=True), st.data())
def test_a_list_that_moves_while_it_is_read_is_whole_only_with_each_of_its_automations_once(present, data):
    walks = []
    for _ in range(4):
        order = data.draw(st.permutations(present))
        parts = [order[start : start + 2] for start in range(0, len(order), 2)] or [[]]
        if len(parts) > 1 and data.draw(st.booleans()):
            parts[-1] = [parts[0][0], *parts[-1][1:]]  # one moved to the last page, and who stood there is not seen
        last = len(parts) - 1
        walks += [
            a_page(*map(a_row, part), count=len(present), token=None if at == last else str(at))
            for at, part in enumerate(parts)
        ]
    found = None
    with suppress(IncompleteError):
        found = listed(*walks)

    assert found is None or sorted(ids(found)) == sorted(map(an_id, present))


def steps_of(*documents):
    return read_steps(pages(*documents), URL, lambda _: "", an_id(1))


def test_steps_have_their_own_counts_and_the_sum_of_all_is_none_of_them():
    rows = [a_row(1, step_id="a"), a_row(1, step_id="b", stats=None), a_row(1)]

    assert steps_of(a_page(*rows)) == {"a": SOME, "b": Statistics()}


def test_steps_of_another_automation_are_refused():
    with pytest.raises(InvalidResponseError, match="another automation"):
        steps_of(a_page(a_row(2, step_id="a")))


class _Lists(Bench):
    def listed(self, only=None):
        return self.client.listed(self.clock.monotonic() + 300, only)

    @property
    def asked(self):
        return [request.url for request in self.adapter.requests]


def test_the_list_is_asked_for_as_documented():
    bench = _Lists(json_reply(a_page(a_row(1), count=2, token="t")), json_reply(a_page(a_row(2), count=2)))

    assert ids(bench.listed()) == [an_id(1), an_id(2)]
    assert bench.asked == [f"{URL}?page_size=50", f"{URL}?page_size=50&page_token=t"]
    assert bench.observer.endpoints == [Endpoint.STATISTICS] * 2


def test_some_automations_are_asked_for_twenty_five_at_a_time():
    wanted = [an_id(number) for number in range(60)]
    replies = [a_page(*map(a_row, range(start, min(start + 25, 60)))) for start in (0, 25, 50)]
    bench = _Lists(*map(json_reply, replies))

    found = bench.listed(wanted)

    assert ids(found) == wanted
    assert (found.is_whole, found.is_of_account, found.pages) == (True, False, 3)
    assert bench.asked[2] == f"{URL}?automation_ids={'%2C'.join(wanted[50:])}&page_size=50"


def test_an_api_that_lists_all_whatever_it_is_asked_for_is_read_once():
    everything = a_page(*map(a_row, range(40)))
    bench = _Lists(json_reply(everything))

    found = bench.listed([an_id(number) for number in range(30)])

    assert len(found.statistics) == 40
    assert found.is_of_account
    assert len(bench.asked) == 1


def test_steps_are_asked_for_with_both_dates():
    bench = _Lists(json_reply(a_page(a_row(1, step_id="a"))))

    assert bench.client.steps(an_automation(step_ids=("a",)), bench.clock.monotonic() + 300) == {"a": SOME}
    query = "group_by=step_id&aggregated_by=total&start_date=2018-01-01&end_date=2025-10-09&page_size=50&step_ids=a"
    assert bench.asked == [f"{URL}/{an_id(1)}?{query}"]
    assert bench.observer.endpoints == [Endpoint.STEP_STATISTICS]


def test_a_refused_list_says_so_after_a_second_try():
    bench = _Lists(json_reply({}, 403))

    with pytest.raises(ForbiddenError, match=f"{URL}: HTTP 403"):
        bench.listed()
    assert len(bench.asked) == 2


def test_a_key_refused_to_the_list_is_not_tried_by_an_automation():
    bench = _Lists(json_reply({}, 401))
    with pytest.raises(UnauthorizedError):
        bench.listed()
    asked = len(bench.asked)

    bench.failure(KeyRefusedError)

    assert len(bench.asked) == asked


def test_a_list_of_twenty_thousand_fits_the_memory_of_one_poll_and_rows_without_end_do_not():
    def page(request):
        number = int(parse_qs(urlsplit(request.url).query).get("page_token", ["0"])[0])
        rows = [a_row(number * 50 + row) for row in range(50)]
        return json_reply(a_page(*rows, count=20_000, token=None if number == 399 else str(number + 1)))

    assert len(_Lists(page).listed().statistics) == 20_000

    hollow = b'{"results":[' + b"{}," * 2_500_000 + b"{}]}"
    with pytest.raises(InvalidResponseError, match="MiB of memory"):
        _Lists(Reply(200, hollow)).listed()
