import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ExchangeTimeoutError, InvalidResponseError, StoppedError
from exporter.sendgrid.budget import MemoryBudget
from exporter.sendgrid.wire import cost
from tests.factories import a_page, a_row
from tests.fakes import FakeClock

pytestmark = pytest.mark.unit


class Bench:
    """A budget of 100 shared bytes and 1,000 for one poll, used by polls of threads of their own."""

    def __init__(self):
        self.clock = FakeClock()
        self.stop = threading.Event()
        self.budget = MemoryBudget(clock=self.clock, shared=100, largest=1000)

    def exchange(self, seconds: float = 10.0):
        return self.budget.exchange(self.clock.monotonic() + seconds, self.stop, "the list")

    def reserve(self, size: int) -> None:
        with self.exchange() as reserve:
            reserve(size)

    def refused(self, size: int) -> type[Exception] | None:
        """Reserve in a poll of another thread; return the error, if any."""
        raised: list[type[Exception]] = []

        def poll() -> None:
            try:
                with self.budget.poll():
                    self.reserve(size)
            except (ExchangeTimeoutError, InvalidResponseError, StoppedError) as exc:
                raised.append(type(exc))

        thread = threading.Thread(target=poll)
        thread.start()
        thread.join()
        return raised[0] if raised else None


@pytest.fixture
def bench():
    return Bench()


def test_what_a_poll_holds_is_given_back_at_its_end(bench):
    for _ in range(5):
        with bench.budget.poll():
            bench.reserve(60)
            bench.reserve(30)
            assert bench.refused(10) is None

    assert bench.clock.waits == []


def test_one_poll_at_a_time_may_hold_more_than_what_is_shared(bench):
    with bench.budget.poll():
        bench.reserve(90)
        bench.reserve(800)

        assert bench.refused(100) is None  # what it held before is shared again
        assert bench.refused(101) is ExchangeTimeoutError
    assert bench.refused(101) is None


def test_poll_that_waits_goes_on_as_soon_as_there_is_room(bench):
    waiting, done = threading.Event(), threading.Event()
    bench.clock.on_wait = lambda _: (waiting.set(), ended.wait(10))
    ended = threading.Event()

    def second() -> None:
        with bench.budget.poll():
            bench.reserve(200)
        done.set()

    with bench.budget.poll():
        bench.reserve(500)
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
    ended.set()

    thread.join(10)
    assert done.is_set()


def test_poll_never_holds_more_than_one_may(bench):
    with bench.budget.poll():
        bench.reserve(600)
        with pytest.raises(InvalidResponseError, match="the list: the list would take more than"):
            bench.reserve(401)
        bench.reserve(400)


def test_answer_that_fails_gives_its_part_back(bench):
    def cut() -> None:
        with bench.exchange() as reserve:
            reserve(900)
            raise OSError("cut")

    with bench.budget.poll():
        bench.reserve(40)
        for _ in range(50):
            with pytest.raises(OSError, match="cut"):
                cut()
        assert bench.refused(60) is None
    assert bench.refused(1000) is None


def test_block_within_a_polls_block_belongs_to_it(bench):
    with bench.budget.poll():
        with bench.budget.poll():
            bench.reserve(500)
        assert bench.refused(500) is ExchangeTimeoutError


def test_poll_gives_back_what_it_holds_beyond_what_it_keeps(bench):
    lent = []
    with bench.budget.poll():
        bench.reserve(90)
        for kept in (30, 50):
            bench.budget.settle(kept)
            lent.append(bench.budget._lent)
    bench.budget.settle(0)

    assert [*lent, bench.budget._lent] == [30, 30, 0]


def test_exchange_outside_of_a_poll_holds_until_its_own_end(bench):
    with bench.exchange() as reserve:
        reserve(500)
        assert bench.refused(500) is ExchangeTimeoutError
    assert bench.refused(500) is None


def test_stop_ends_the_wait(bench):
    with bench.budget.poll():
        bench.reserve(500)
        bench.stop.set()
        assert bench.refused(500) is StoppedError


@given(st.lists(st.lists(st.integers(1, 400), max_size=6), min_size=1, max_size=6))
def test_sum_is_bounded_and_no_polls_wait_for_each_other(polls):
    """Eight threads at most; each poll either gets all or fails, and in the end everything is given back."""
    clock, stop = FakeClock(), threading.Event()
    budget = MemoryBudget(clock=clock, shared=100, largest=1000)
    held, most, lock = 0, 0, threading.Lock()

    def poll(sizes: list[int]) -> None:
        nonlocal held, most
        mine = 0
        try:
            with budget.poll():
                for size in sizes:
                    with budget.exchange(clock.monotonic() + 0.5, stop, "the list") as reserve:
                        reserve(size)
                    with lock:
                        mine, held = mine + size, held + size
                        most = max(most, held)
                with lock:
                    held -= mine
                    mine = 0
        except (ExchangeTimeoutError, InvalidResponseError):
            with lock:
                held -= mine

    threads = [threading.Thread(target=poll, args=(sizes,)) for sizes in polls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert most <= 1100
    with budget.poll(), budget.exchange(clock.monotonic(), stop, "the list") as reserve:
        reserve(1000)


def page(count: int, **changes: object) -> bytes:
    return json.dumps(a_page(*[a_row(**changes)] * count)).encode()


def test_cost_grows_with_rows_texts_and_other_values():
    assert cost(page(50)) < 100_000
    assert cost(page(1000)) == pytest.approx(20 * cost(page(50)), rel=0.1)
    assert cost(b"[" * 100_000) >= 2_400_000
    assert cost(b"[" + b"1," * 100_000) >= 2_400_000
    assert cost(b'["\xf0\x9f\x98\x80' + b"x" * 1000) >= 12_000
    assert cost(b'["\\ud83d\\ude00' + b"x" * 1000) >= 12_000


def test_braces_of_custom_fields_are_no_rows():
    plain, fields = page(1000, url="https://x.example/aaaaaaaaaa"), page(1000, url="https://x.example/{{name}}aa")

    assert cost(fields) == cost(plain)


@given(st.text(st.sampled_from('{} "ab,[]:'), max_size=60))
def test_cost_is_never_below_what_the_objects_of_a_document_take(text):
    document = {"results": [{"url": text, "step_id": "{{{", "clicks": 1}, {}, {"a": {}}]}

    for body in (json.dumps(document), json.dumps(document, indent=1), json.dumps(document, separators=(",", ":"))):
        assert cost(body.encode()) >= 5 * 1024
