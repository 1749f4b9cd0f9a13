"""The workers with their threads, on the machine's own clock."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationStats
from exporter.errors import UnauthorizedError
from exporter.labels import LabelHygiene
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.factories import an_about, an_automation, an_id, label_rules, some_stats
from tests.fakes import FakeClock

pytestmark = pytest.mark.e2e

DEADLINE = 10.0


class ThreadedSource:
    """A source that counts what is under way, and holds or ends its callers as told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.under_way: list[str] = []
        self.most = 0
        self.twice = False
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.answer: Callable[[], AutomationStats] = some_stats

    def stats(self, automation: Automation, deadline: float, known=()) -> AutomationStats:  # noqa: ARG002  # the port's form
        with self.lock:
            self.twice |= automation.id in self.under_way
            self.under_way.append(automation.id)
            self.most = max(self.most, len(self.under_way))
            self.asked.append(automation.id)
        try:
            self.open.wait(DEADLINE)
            return self.answer()
        finally:
            with self.lock:
                self.under_way.remove(automation.id)

    def holding(self) -> AbstractContextManager[None]:
        return nullcontext()


class Bench:
    def __init__(self, clock=None):
        self.clock = clock or SystemClock()
        self.stop = threading.Event()
        self.store = Store()
        self.source = ThreadedSource()
        telemetry = Telemetry(an_about(), clock=self.clock, link_series=lambda: 0)
        self.poller = Poller(self.source, LabelHygiene(label_rules()), self.store, telemetry, None, self.clock)
        self.workers = Workers(self.poller, clock=self.clock, stop=self.stop)

    def configure(
        self, *numbers: int, concurrency: int = 3, interval: float = 0.05, key: Callable[[], str] = str
    ) -> None:
        self.workers.configure(
            [an_automation(number, interval=interval) for number in numbers],
            concurrency=concurrency,
            stale_after=None,
            capacity=lambda: 1e9,
            key=key,
        )
        self.workers.start()

    def until(self, condition: Callable[[], bool]) -> None:
        look = threading.Event()
        for _ in range(int(DEADLINE / 0.01)):
            if condition():
                return
            look.wait(0.01)
        raise AssertionError("waited in vain")


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.stop.set()
    bench.source.open.set()
    bench.workers.join(DEADLINE)


def test_every_automation_is_polled_again_and_again_never_by_two(bench):
    bench.configure(1, 2, 3, 4, 5)

    bench.until(lambda: all(bench.source.asked.count(an_id(number)) >= 3 for number in range(1, 6)))

    assert not bench.source.twice
    assert bench.workers.untried() == 0
    assert bench.workers.trouble() is None


def test_no_more_polls_are_under_way_than_configured(bench):
    bench.source.open.clear()

    bench.configure(*range(1, 9), concurrency=3)
    bench.until(lambda: len(bench.source.under_way) == 3)
    bench.source.open.set()
    bench.until(lambda: len(set(bench.source.asked)) == 8)

    assert bench.source.most == 3


def refused() -> AutomationStats:
    raise UnauthorizedError("no")


def test_changed_key_ends_the_slow_down_of_everybody_at_once(bench):
    keys = ["old"]
    bench.source.answer = refused
    bench.configure(1, 2, 3, interval=1000.0, key=lambda: keys[0])
    bench.until(lambda: bench.store.snapshot.views()[0].poll_interval == 2000.0 and len(bench.source.asked) == 3)

    bench.source.answer = some_stats
    keys[0] = "new"
    bench.workers.tend()

    bench.until(lambda: len(bench.source.asked) == 6)
    bench.until(lambda: {view.poll_interval for view in bench.store.snapshot.views()} == {1000.0})


def test_reload_that_changes_the_key_polls_what_was_refused_at_once(bench):
    bench.source.answer = refused
    bench.configure(1, 2, 3, interval=1000.0, key=lambda: "old")
    bench.until(lambda: bench.store.snapshot.views()[0].poll_interval == 2000.0 and len(bench.source.asked) == 3)

    bench.configure(1, 2, 3, interval=1000.0, key=lambda: "new")

    bench.until(lambda: len(bench.source.asked) == 6)


def test_changed_concurrency_ends_threads_and_starts_others(bench):
    def pollers() -> int:
        return sum(thread.name.startswith("poller-") for thread in threading.enumerate())

    bench.configure(1, 2, concurrency=3)
    bench.until(lambda: pollers() == 3)

    bench.configure(1, 2, concurrency=1)
    bench.until(lambda: pollers() == 1)
    assert bench.workers.dead() is None
    bench.configure(1, 2, concurrency=2)

    bench.until(lambda: pollers() == 2)
    assert bench.workers.trouble() is None


def test_automation_that_leaves_and_returns_during_its_poll_is_never_with_two_workers(bench):
    bench.source.open.clear()
    bench.configure(1)
    bench.until(lambda: len(bench.source.under_way) == 1)

    bench.configure()
    bench.configure(1)
    bench.configure(1, 2)
    bench.until(lambda: an_id(2) in bench.source.asked)
    bench.source.open.set()
    bench.until(lambda: bench.source.asked.count(an_id(1)) >= 3)

    assert not bench.source.twice


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_dies_is_told(bench):
    def die() -> AutomationStats:
        raise SystemExit

    bench.source.answer = die

    bench.configure(1, concurrency=1)
    bench.until(lambda: bench.workers.dead() is not None)

    assert bench.workers.dead() == "polling failed: thread 0 has ended"
    assert bench.workers.trouble() == bench.workers.dead()


def test_poll_that_overstays_its_deadline_is_told_after_a_minute():
    bench = Bench(FakeClock())
    bench.source.open.clear()
    bench.configure(1, concurrency=1, interval=100.0)
    bench.until(lambda: len(bench.source.under_way) == 1)
    bench.clock.advance(160.0)
    bench.workers.tend()
    assert bench.workers.trouble() is None

    bench.clock.advance(1.0)
    bench.workers.tend()

    assert (
        bench.workers.trouble()
        == "polling stalled: thread 0 is over 60 s past its poll's deadline; restart the exporter"
    )
    bench.stop.set()
    bench.source.open.set()
    bench.until(lambda: not any(thread.name == "poller-0" for thread in threading.enumerate()))


def test_stopped_workers_end_and_are_not_called_dead(bench):
    bench.configure(1, 2)

    bench.stop.set()
    bench.workers.join(DEADLINE)

    assert not any(thread.name.startswith("poller-") for thread in threading.enumerate())
    assert bench.workers.dead() is None


def test_memory_of_the_automations_holds_while_reloads_and_polls_race(bench):
    for turn in range(30):
        bench.configure(*range(1 + turn % 3, 12), interval=0.01)

    bench.until(lambda: bench.workers.untried() == 0)

    assert not bench.source.twice
    assert bench.workers.dead() is None
