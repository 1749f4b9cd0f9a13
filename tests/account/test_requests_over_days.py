"""The idle lane over hours of virtual time: how many requests an account of former automations takes."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from exporter.about import about
from exporter.account.account import AccountRunner
from exporter.account.discovery import AccountOptions, DiscoveryRules
from exporter.account.memory import Remembered, Still, encoded
from exporter.account.statistics import StatisticsStore
from exporter.domain import Automation, AutomationId, DiscoveryMode, Endpoint, Statistics
from exporter.labels import LabelHygiene, LabelRules
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.sendgrid.budget import Budget, RateLimitHeaders
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import ClientOptions
from exporter.store import Store
from exporter.telemetry import Telemetry
from sendgrid_simulator import Row, Simulator, Stats, fixed
from tests.polling.virtual_time import InProcess, VirtualClock

pytestmark = pytest.mark.e2e  # no sockets, but half a minute

AUTOMATIONS = 1000
ALIVE = 50
INTERVAL = 300.0
HOUR = 3600.0
DAY = 24 * HOUR
WEEK = 7 * DAY


@dataclass
class _Observer:
    clock: VirtualClock
    began: float
    windows: Counter[tuple[int, Endpoint]] = field(default_factory=Counter)
    """Requests of each five minutes since the start, by endpoint."""

    def requested(self, endpoint: Endpoint, code: str, _seconds: float, _limit: RateLimitHeaders | None) -> None:
        assert code == "200"
        self.windows[int((self.clock.monotonic() - self.began) // INTERVAL), endpoint] += 1

    def totals(self, since: float) -> list[int]:
        """Return the requests of each whole window from a moment on."""
        first, last = int(since // INTERVAL), max(window for window, _ in self.windows)
        return [sum(self.windows[window, endpoint] for endpoint in Endpoint) for window in range(first, last)]


class Account:
    """The parts of an exporter over an account of which few automations are alive, in virtual time."""

    def __init__(self, *, idle_since: float | None) -> None:
        """Begin as a run after an earlier one that knew since when they are idle, or as the first run."""
        self.clock, self.stop = VirtualClock(), threading.Event()
        self.ids = [AutomationId(f"{number:08x}-0000-4000-8000-00000000abcd") for number in range(AUTOMATIONS)]
        self.clicks = 0
        self.simulator = Simulator(
            [fixed(id_, self._rows(0), stats={"step": self._stats(0)}) for id_ in self.ids],
            wall=self.clock,
            clock=self.clock,
            rate_limit=600,
        )
        self.observer = _Observer(self.clock, self.clock.monotonic())
        self.budget = Budget(300, clock=self.clock)
        client = SendGridClient(
            ClientOptions("http://sendgrid.test", 30, 50, "test"),
            key=lambda: self.simulator.api_key,
            budget=self.budget,
            clock=self.clock,
            stop=self.stop,
            observer=self.observer,
            adapter=lambda _: InProcess(self.simulator, self.clock, 0.2),
        )
        self.store = Store()
        telemetry = Telemetry(about(), clock=self.clock, link_series=int)
        self.poller = Poller(client, LabelHygiene(LabelRules()), self.store, telemetry, None, self.clock)
        self.workers = Workers(
            self.poller, clock=self.clock, stop=self.stop, spawn=lambda work, _name: self.clock.run(work)
        )
        self.runner = AccountRunner(
            client,
            AccountOptions(rules=DiscoveryRules(DiscoveryMode.POLL), discovery_interval=600.0),
            store=StatisticsStore(),
            follower=self,
            telemetry=telemetry,
            budget=self.budget,
            clock=self.clock,
            stop=self.stop,
            spawn=lambda work, _name: self.clock.run(work),
            total_clicks=self.store.total_clicks,
        )
        if idle_since is not None:
            still = Still(Statistics(*self._stats(0)), idle_since)
            known = Remembered(dict.fromkeys(self.ids, 0), dict.fromkeys(self.ids[ALIVE:], still))
            self.runner.restore(encoded(known, 0.0))
        self.follow(())

    def follow(self, _: Sequence[Automation]) -> None:
        self.workers.configure(
            self.runner.account.automations(),
            concurrency=4,
            stale_after=None,
            capacity=lambda: self.budget.rate_of(Endpoint.LINKS, beside=self.runner.requests_per_second),
            forgive=False,
        )
        self.workers.rest(self.runner.account.idle(), 3600.0)

    def rest(self, idle: frozenset[AutomationId], interval: float) -> None:
        self.workers.rest(idle, interval)

    def run(self, seconds: float, *, each_window: Callable[[int], None] = lambda _: None) -> None:
        """Let so much time pass; what is alive is clicked in each five minutes."""
        begin = self.clock.monotonic()

        def tend() -> None:
            window = 0
            while self.clock.monotonic() < begin + seconds:
                self.clock.wait(self.stop, 5.0)
                self.workers.tend()
                self.runner.refresh()
                if self.clock.monotonic() >= begin + window * INTERVAL:
                    window += 1
                    self._click(self.ids[:ALIVE])
                    each_window(window)
            self.stop.set()

        with self.clock.held():
            caretaker = self.clock.run(tend)
            self.workers.start()
            self.runner.start()
        caretaker.join()
        self.workers.join(10)

    def wake(self, automation_id: AutomationId) -> None:
        self._click([automation_id])

    def _click(self, ids: Sequence[AutomationId]) -> None:
        self.clicks += 1
        for id_ in ids:
            rows, stats = self._rows(self.clicks), {"step": self._stats(self.clicks)}
            self.simulator.account.put(fixed(id_, rows, stats=stats))

    def _rows(self, clicks: int) -> tuple[Row, ...]:
        return (Row("step", "https://shop.example/", 0, clicks + 1),)

    def _stats(self, clicks: int) -> Stats:
        return Stats(requests=100 + clicks, delivered=90 + clicks, clicks=clicks)


@pytest.mark.long
def test_a_thousand_automations_of_which_fifty_are_alive_take_90_requests_in_five_minutes_at_most(
    record_property: Callable[[str, object], None],
) -> None:
    account = Account(idle_since=1_800_000_000.0 - WEEK)
    account.run(6 * HOUR)  # the idle lane comes round in 5 hours and 17 minutes
    totals = account.observer.totals(since=HOUR)
    record_property("requests in five minutes, mean", sum(totals) / len(totals))
    record_property("requests in five minutes, most", max(totals))

    assert max(totals) <= 90
    assert account.store.snapshot.link_series == AUTOMATIONS, "nothing has gone stale"


@pytest.mark.long
def test_an_idle_automation_that_moves_is_shown_with_the_next_list_and_was_shown_all_the_time() -> None:
    account = Account(idle_since=1_800_000_000.0 - WEEK)
    sleeper, seen = account.ids[-1], []

    def look(window: int) -> None:
        block = account.store.snapshot.block(sleeper)
        seen.append(block.total_clicks if block else None)
        if window == 40:
            account.wake(sleeper)

    account.run(46 * INTERVAL, each_window=look)

    # The first look is at the very start, before any poll.
    assert account.workers._schedule.planned_interval(account.ids[-2]) > 3600
    assert seen[1:40] == [1] * 39
    assert None not in seen[1:]
    assert seen[42] == seen[-1] > 1
