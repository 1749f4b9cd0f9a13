"""The request budget over half an hour of virtual time, against the simulator's own rate limit."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from exporter.about import about
from exporter.domain import Automation, AutomationId, Endpoint
from exporter.labels import LabelHygiene, LabelRules
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.sendgrid.budget import Budget, RateLimitHeaders
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import ClientOptions
from exporter.store import Store
from exporter.telemetry import Telemetry
from sendgrid_simulator import Row, Simulator, fixed
from tests.polling.virtual_time import InProcess, VirtualClock

pytestmark = pytest.mark.e2e  # no sockets, but minutes of a simulated hour

MINUTES = 30
LIMIT = 600
AUTOMATIONS = 1000
PAGES = 3
# Few rows on a page: a request costs the budget the same, and the test much less.
PAGE_SIZE = 5


@dataclass
class _Observer:
    codes: list[str] = field(default_factory=list)

    def requested(self, _endpoint: Endpoint, code: str, _seconds: float, _rate_limit: RateLimitHeaders | None) -> None:
        self.codes.append(code)


@dataclass
class _Run:
    codes: Sequence[str]
    oldest: float
    ideal: float


def _run(*, ceiling: float, concurrency: int, seconds: float, interval: float) -> _Run:
    clock, stop, observer = VirtualClock(), threading.Event(), _Observer()
    rows = [Row("step", f"https://shop.example/{number}", number, 1) for number in range(PAGE_SIZE * PAGES)]
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(AUTOMATIONS)]
    simulator = Simulator([fixed(id_, tuple(rows)) for id_ in ids], wall=clock, clock=clock, rate_limit=LIMIT)
    budget = Budget(ceiling, clock=clock)
    client = SendGridClient(
        ClientOptions("http://sendgrid.test", 30, PAGE_SIZE, "test"),
        key=lambda: simulator.api_key,
        budget=budget,
        clock=clock,
        stop=stop,
        observer=observer,
        adapter=lambda _: InProcess(simulator, clock, seconds),
    )
    store = Store()
    telemetry = Telemetry(about(), clock=clock, link_series=lambda: 0)
    poller = Poller(client, LabelHygiene(LabelRules()), store, telemetry, None, clock)
    workers = Workers(poller, clock=clock, stop=stop, spawn=lambda work, _name: clock.run(work))
    automations = [Automation(AutomationId(id_), id_, interval) for id_ in ids]
    workers.configure(
        automations, concurrency=concurrency, stale_after=None, capacity=lambda: budget.requests_per_second
    )
    oldest = 0.0

    def tend() -> None:
        nonlocal oldest
        begin = clock.monotonic()
        while clock.monotonic() < begin + MINUTES * 60:
            clock.wait(stop, 1.0)
            workers.tend()
            if clock.monotonic() > begin + MINUTES * 30:
                ages = [clock.monotonic() - (poller.succeeded_at(automation.id) or begin) for automation in automations]
                oldest = max(oldest, *ages)
        stop.set()

    with clock.held():
        caretaker = clock.run(tend)
        workers.start()
    caretaker.join(300)
    workers.join(10)
    assert stop.is_set()
    return _Run(observer.codes, oldest, AUTOMATIONS * PAGES / LIMIT * 60)


@pytest.mark.long
@pytest.mark.parametrize("ceiling", [100_000, LIMIT])
def test_a_thousand_automations_use_the_limit_and_never_meet_a_429(
    ceiling: float, record_property: Callable[[str, object], None]
) -> None:
    run = _run(ceiling=ceiling, concurrency=2, seconds=0.1, interval=60)
    share = len(run.codes) / (LIMIT * MINUTES)
    record_property("share of the allowed requests", share)
    record_property("oldest age to the ideal", run.oldest / run.ideal)

    assert set(run.codes) == {"200"}
    assert share >= 0.95
    assert run.oldest <= 1.1 * run.ideal
