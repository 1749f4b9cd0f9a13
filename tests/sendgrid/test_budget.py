import itertools
import math
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain import Endpoint
from exporter.errors import ExchangeTimeoutError, RateLimitedError, StoppedError
from exporter.sendgrid.budget import Budget, read_rate_limit
from tests.factories import a_rate_limit
from tests.fakes import WALL, FakeClock

pytestmark = pytest.mark.unit

DATE = "Thu, 09 Oct 2025 08:53:20 GMT"
"""The fake wall clock's first reading."""


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def stop():
    return threading.Event()


def sent(budget: Budget, clock: FakeClock, stop: threading.Event, requests: int, said=None) -> list[float]:
    """Send requests one after the other; return when each was sent."""
    moments = []
    for _ in range(requests):
        budget.acquire(math.inf, stop)
        moments.append(clock.monotonic())
        budget.release(said)
    return moments


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "599"}, {"limit": 600, "remaining": 599}),
        ({"x-ratelimit-limit": "600", "X-RATELIMIT-REMAINING": "0"}, {"limit": 600, "remaining": 0}),
        ({"X-RateLimit-Reset": "30"}, {"reset_in": 30}),
        ({"X-RateLimit-Reset": str(WALL + 30), "Date": DATE}, {"reset_in": 30}),
        ({"X-RateLimit-Reset": str(WALL + 30)}, {"reset_in": 30}),
        ({"X-RateLimit-Reset": str(WALL + 3630), "Date": "Thu, 09 Oct 2025 09:53:20 GMT"}, {"reset_in": 30}),
        ({"X-RateLimit-Reset": str(WALL - 30), "Date": DATE}, {"reset_in": 0}),
        ({"X-RateLimit-Reset": "1e300", "Date": DATE}, {"reset_in": 300}),
        ({"X-RateLimit-Reset": "999999999"}, {"reset_in": 300}),
        ({"Retry-After": "7"}, {"retry_after": 7}),
        ({"Retry-After": "Thu, 09 Oct 2025 08:53:27 GMT", "Date": DATE}, {"retry_after": 7}),
        ({"Retry-After": "Thu, 09 Oct 2025 08:53:00 GMT", "Date": DATE}, {"retry_after": 0}),
        ({"Retry-After": "soon"}, {}),
        ({"X-RateLimit-Limit": "-1", "X-RateLimit-Remaining": "nan", "X-RateLimit-Reset": "inf"}, {}),
        ({"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "", "Date": "yesterday"}, {}),
        ({"X-RateLimit-Limit": "9" * 5000}, {}),
    ],
)
def test_forms_of_the_headers(headers, expected):
    assert read_rate_limit(headers, WALL) == a_rate_limit(**expected)


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    "date",
    [
        "Thu, 09 Oct 2025 08:53:{} GMT",
        "Thu, 09 Oct 2025 08:53:{} -0000",
        "Thu, 09 Oct 2025 10:53:{} +0200",
        "Thu, 09 Oct 2025 08:53:{}",
        "Thursday, 09-Oct-25 08:53:{} GMT",
        "Thu Oct  9 08:53:{} 2025",
    ],
)
def test_every_form_of_a_date_is_utc_wherever_the_exporter_runs(date):
    later = {"Retry-After": date.format(27)}

    assert read_rate_limit({**later, "Date": date.format(20)}, 0.0).retry_after == 7
    assert read_rate_limit({**later, "Date": DATE}, 0.0).retry_after == 7
    assert read_rate_limit(later, WALL).retry_after == 7


@given(
    st.dictionaries(
        st.sampled_from(("Date", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")),
        st.one_of(
            st.text(st.characters(max_codepoint=255), max_size=40),
            st.from_regex(
                r"(Mon, )?\d{1,3} (Jan|Feb|Foo) \d{1,6} \d{1,3}:\d{1,3}(:\d+)? ([+-]\d{1,9}|GMT|)", fullmatch=True
            ),
            st.floats().map(str),
            st.integers().map(str),
        ),
    )
)
@settings(max_examples=300)
def test_no_header_raises_or_asks_for_more_than_the_longest_pause(headers):
    said = read_rate_limit(headers, WALL)

    assert all(number is None or 0 <= number < math.inf for number in (said.limit, said.remaining))
    assert all(number is None or 0 <= number <= 300 for number in (said.reset_in, said.retry_after))


@pytest.mark.parametrize("ceiling", [0.5, 1, 7, 60, 300])
def test_any_sixty_seconds_hold_at_most_the_ceiling(clock, stop, ceiling):
    budget = Budget(ceiling, clock=clock)

    moments = sent(budget, clock, stop, 2 * math.ceil(ceiling) + 5)

    for start in moments:
        assert sum(start <= at < start + 59.999 for at in moments) <= max(1, ceiling)
    assert moments[-1] - moments[0] < (len(moments) / ceiling) * 60 + 61


def test_small_burst_starts_at_once_and_the_rest_is_paced(clock, stop):
    moments = sent(Budget(300, clock=clock), clock, stop, 30)

    assert moments[14] == moments[0]
    assert moments[20] - moments[19] == pytest.approx(0.2, abs=0.11)


def test_shards_share_one_ceiling(clock, stop):
    moments = sent(Budget(60, clock=clock, share=0.25), clock, stop, 16)

    assert moments[-1] - moments[0] >= 59.9
    assert Budget(60, clock=clock, share=0.25).requests_per_second == 0.25


def test_what_remains_is_spread_over_the_time_to_the_reset(clock, stop):
    budget = Budget(6000, clock=clock)
    remaining = iter(range(9, -1, -1))
    moments = []
    for _ in range(10):
        budget.acquire(math.inf, stop)
        moments.append(clock.monotonic())
        reset_in = max(1060.0 - clock.monotonic(), 0)
        budget.release(a_rate_limit(limit=10.0, remaining=float(next(remaining)), reset_in=reset_in))

    gaps = [later - before for before, later in itertools.pairwise(moments)]
    assert min(gaps[1:]) > 4
    assert moments[-1] - moments[0] <= 61


def test_spent_server_budget_waits_for_the_reset_and_a_second_more(clock, stop):
    budget = Budget(6000, clock=clock)
    sent(budget, clock, stop, 1, a_rate_limit(limit=600.0, remaining=0.0, reset_in=20.0))

    budget.acquire(math.inf, stop)

    assert clock.monotonic() == pytest.approx(1021.0)


def test_answers_under_way_count_as_spent_and_the_next_waits_for_one_of_them(clock, stop):
    budget = Budget(6000, clock=clock)
    sent(budget, clock, stop, 1, a_rate_limit(limit=600.0, remaining=2.0, reset_in=1.0))
    budget.acquire(math.inf, stop)
    budget.acquire(math.inf, stop)
    clock.on_wait = lambda _: budget.release(a_rate_limit(remaining=100.0, reset_in=60.0))

    budget.acquire(math.inf, stop)

    assert clock.monotonic() < 1004.0


def test_late_answer_of_the_same_window_does_not_give_back_what_was_spent(clock, stop):
    budget = Budget(6000, clock=clock)
    budget.acquire(math.inf, stop)
    budget.acquire(math.inf, stop)
    budget.release(a_rate_limit(limit=600.0, remaining=0.0, reset_in=30.0))
    budget.release(a_rate_limit(limit=600.0, remaining=1.0, reset_in=30.0))

    budget.acquire(math.inf, stop)

    assert clock.monotonic() == pytest.approx(1031.0)


def test_remaining_without_a_reset_counts_for_a_minute(clock, stop):
    budget = Budget(6000, clock=clock)
    sent(budget, clock, stop, 1, a_rate_limit(remaining=0.0))

    budget.acquire(math.inf, stop)

    assert clock.monotonic() == pytest.approx(1061.0)


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        (None, 3.0),
        (a_rate_limit(), 3.0),
        (a_rate_limit(retry_after=10.0, reset_in=50.0), 11.0),
        (a_rate_limit(reset_in=50.0), 51.0),
        (a_rate_limit(retry_after=0.0, reset_in=50.0), 3.0),
    ],
)
def test_limit_that_was_hit_pauses_every_worker(clock, stop, said, pause):
    budget = Budget(6000, clock=clock)
    budget.acquire(math.inf, stop)
    budget.release(said, limited=True)

    budget.acquire(math.inf, stop)

    assert clock.monotonic() - 1000.0 == pytest.approx(pause)


def test_pauses_double_up_to_a_minute_and_start_anew_after_an_answer(clock, stop):
    budget = Budget(6000, clock=clock)
    pauses = []
    for _ in range(8):
        budget.acquire(math.inf, stop)
        budget.release(None, limited=True)
        before = clock.monotonic()
        budget.acquire(math.inf, stop)
        pauses.append(round(clock.monotonic() - before))
        budget.release(None)
    sent(budget, clock, stop, 1, a_rate_limit())
    budget.acquire(math.inf, stop)
    budget.release(None, limited=True)
    before = clock.monotonic()
    budget.acquire(math.inf, stop)

    assert pauses == [3, 5, 9, 17, 33, 61, 61, 61]
    assert round(clock.monotonic() - before) == 3


def test_place_after_the_deadline_is_refused_without_a_wait(clock, stop):
    budget = Budget(1, clock=clock)
    sent(budget, clock, stop, 1)

    with pytest.raises(ExchangeTimeoutError, match="no place left"):
        budget.acquire(1010.0, stop)

    assert clock.waits == []


def test_pause_beyond_the_deadline_says_that_the_limit_was_hit(clock, stop):
    """A 429 must not be told as a timeout: the two ask an operator for different things."""
    budget = Budget(6000, clock=clock)
    budget.acquire(math.inf, stop)
    budget.release(a_rate_limit(reset_in=300.0), limited=True)

    with pytest.raises(RateLimitedError, match="pause is longer"):
        budget.acquire(1010.0, stop)


def test_stop_ends_the_wait(clock, stop):
    budget = Budget(1, clock=clock)
    sent(budget, clock, stop, 1)
    clock.on_wait = lambda _: stop.set()

    with pytest.raises(StoppedError, match="stopping"):
        budget.acquire(math.inf, stop)

    assert len(clock.waits) == 1


def test_rate_in_the_long_run_is_the_ceiling_until_the_server_says_less(clock, stop):
    budget = Budget(300, clock=clock, share=0.5)
    assert budget.requests_per_second == 2.5

    sent(budget, clock, stop, 1, a_rate_limit(limit=60.0, remaining=59.0, reset_in=60.0))

    assert budget.requests_per_second == 0.5


@pytest.mark.parametrize("limit", [0.0, 1e-9, None])
def test_limit_that_allows_nothing_does_not_stop_the_exporter_for_ever(clock, stop, limit):
    """A rate of nothing would stretch the intervals without end, and nobody would ask again."""
    budget = Budget(300, clock=clock)

    sent(budget, clock, stop, 1, a_rate_limit(limit=limit, remaining=5.0, reset_in=300.0))

    assert budget.requests_per_second == 5.0


def test_what_one_endpoint_has_left_slows_no_other(clock, stop):
    budget = Budget(60_000, clock=clock)
    budget.acquire(math.inf, stop, Endpoint.STATISTICS)
    budget.release(a_rate_limit(limit=10.0, remaining=0.0, reset_in=40.0), Endpoint.STATISTICS)

    links = sent(budget, clock, stop, 20)
    budget.acquire(math.inf, stop, Endpoint.STATISTICS)

    assert links[-1] - links[0] < 1
    assert clock.monotonic() >= 1040
    assert budget.rate_of(Endpoint.STATISTICS) == pytest.approx(10 / 40)
    assert budget.requests_per_second == 1000


def test_a_429_of_one_endpoint_pauses_no_other(clock, stop):
    budget = Budget(60_000, clock=clock)
    budget.acquire(math.inf, stop)
    budget.release(a_rate_limit(retry_after=30.0), limited=True)

    budget.acquire(1001.0, stop, Endpoint.STATISTICS)

    assert clock.monotonic() < 1001
    with pytest.raises(RateLimitedError):
        budget.acquire(1001.0, stop, Endpoint.LINKS)


def test_the_ceiling_holds_over_all_endpoints_together(clock, stop):
    budget = Budget(60, clock=clock)
    moments = []
    for number in range(180):
        endpoint = (Endpoint.LINKS, Endpoint.STATISTICS, Endpoint.STEP_STATISTICS)[number % 3]
        budget.acquire(math.inf, stop, endpoint)
        moments.append(clock.monotonic())
        budget.release(None, endpoint)

    assert all(later - earlier >= 60 for earlier, later in zip(moments, moments[60:], strict=False))
