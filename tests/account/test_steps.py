"""The statistics by step: who is asked when, and what a failure leaves."""

import threading

import pytest

from exporter.account.statistics import StatisticsStore, Steps
from exporter.domain import Outcome, Statistics
from exporter.errors import NEXT_STEPS, ForbiddenError, NotFoundError, ServerError, StoppedError
from tests.factories import an_automation, an_id
from tests.fakes import FakeClock

pytestmark = pytest.mark.unit

SOME = Statistics(delivered=10, clicks=1)


class FakeSteps:
    def __init__(self):
        self.asked = []
        self.failing = {}

    def steps(self, automation, _deadline):
        self.asked.append(automation.id)
        if automation.id in self.failing:
            raise self.failing[automation.id]
        return {"a": SOME}


class Bench:
    def __init__(self, *numbers, rate=100.0, **options):
        self.clock = FakeClock()
        self.source = FakeSteps()
        self.store = StatisticsStore()
        self.steps = Steps(self.source, store=self.store, clock=self.clock, rate=lambda: rate)
        self.steps.configure(
            self.source,
            [an_automation(number, interval=7.0) for number in numbers],
            **{"interval": 300.0, "stale_after": None, "forgive": True, **options},
        )

    def run(self, seconds):
        stop, until = threading.Event(), self.clock.monotonic() + seconds
        self.clock.on_wait = lambda _: stop.set() if self.clock.monotonic() >= until else None
        self.steps.run(stop)


def test_each_automation_is_read_every_statistics_interval_whatever_its_own():
    bench = Bench(1, 2)

    bench.run(899.0)

    assert bench.source.asked == [an_id(1), an_id(2)] * 3
    assert bench.store.steps()[an_id(1)].by_step == {"a": SOME}
    assert bench.steps.requests_per_second == pytest.approx(2 / 300)


def test_reading_them_takes_a_third_of_the_budget_at_most():
    bench = Bench(*range(10), rate=0.03)

    bench.run(3000.0)

    assert bench.steps.requests_per_second == pytest.approx(0.01)
    assert 30 <= len(bench.source.asked) <= 45


def test_idle_ones_are_read_at_the_idle_interval_and_stay_for_three_of_it():
    bench = Bench(1, 2, stale_after=600.0)
    bench.run(1.0)

    bench.steps.rest({an_id(1)}, 3600.0)
    bench.run(3600.0)

    assert bench.source.asked.count(an_id(2)) == 13
    assert bench.source.asked.count(an_id(1)) == 2
    assert (bench.steps.staleness(an_id(1)), bench.steps.staleness(an_id(2))) == (10800.0, 600.0)


def test_a_failure_leaves_what_is_known_and_is_one_line_for_each_reason(caplog):
    caplog.set_level("INFO", "exporter")
    bench = Bench(1)
    bench.run(1.0)

    bench.source.failing[an_id(1)] = ServerError("HTTP 503")
    bench.run(900.0)
    bench.source.failing[an_id(1)] = ForbiddenError("HTTP 403")
    bench.run(300.0)
    bench.source.failing.clear()
    bench.run(900.0)

    assert bench.store.steps()[an_id(1)].by_step == {"a": SOME}
    assert [(record.automation_id, record.outcome, record.getMessage()) for record in caplog.records] == [
        (an_id(1), "server_error", f"the statistics by step failed: HTTP 503; {NEXT_STEPS[Outcome.SERVER_ERROR]}"),
        (an_id(1), "forbidden", f"the statistics by step failed: HTTP 403; {NEXT_STEPS[Outcome.FORBIDDEN]}"),
        (an_id(1), "success", "the statistics by step recovered"),
    ]


def test_one_that_has_no_statistics_yet_is_no_reason_to_worry(caplog):
    bench = Bench(1)
    bench.source.failing[an_id(1)] = NotFoundError("HTTP 404")

    bench.run(900.0)

    assert caplog.records == []


@pytest.mark.parametrize("error", [StoppedError("stopping"), RuntimeError("a defect")])
def test_neither_a_stop_nor_a_defect_ends_the_reading_of_the_others(error):
    bench = Bench(1, 2)
    bench.source.failing[an_id(1)] = error

    bench.run(1.0)

    assert set(bench.store.steps()) == {an_id(2)}


def test_an_answer_of_before_a_reload_is_not_shown():
    bench = Bench(1)
    ask = bench.source.steps

    def reload_meanwhile(automation, deadline):
        bench.steps.configure(FakeSteps(), [an_automation(1)], interval=300.0, stale_after=None, forgive=True)
        return ask(automation, deadline)

    bench.source.steps = reload_meanwhile
    bench.steps.read(an_automation(1))

    assert bench.store.steps() == {}
