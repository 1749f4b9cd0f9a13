"""The workers' rules without their threads; tests/polling/test_running_workers.py has those."""

import threading

import pytest

from exporter.domain import Outcome
from exporter.labels import LabelHygiene
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.state import SavedBlock
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.factories import a_block, an_about, an_automation, an_id, label_rules, some_stats
from tests.fakes import WALL, FakeClock, FakeSource

pytestmark = pytest.mark.unit


class Bench:
    def __init__(self, *, stale_after=None, capacity=100.0, automations=(1, 2), interval=300.0):
        self.clock = FakeClock()
        self.store = Store()
        telemetry = Telemetry(an_about(), clock=self.clock, link_series=lambda: 0)
        self.source = FakeSource(some_stats())
        self.poller = Poller(self.source, LabelHygiene(label_rules()), self.store, telemetry, None, self.clock)
        self.stop = threading.Event()
        self.loops = []
        self.workers = Workers(self.poller, clock=self.clock, stop=self.stop, spawn=self._spawn)
        self.capacity = capacity
        self.configure(*automations, stale_after=stale_after, interval=interval)

    def _spawn(self, loop, name):
        self.loops.append(loop)
        return threading.Thread(target=loop, name=name)

    def work(self) -> None:
        """Do what the first worker's thread does, until the stop."""
        self.workers.start()
        self.loops[0]()

    def configure(self, *numbers, stale_after=None, interval=300.0):
        self.workers.configure(
            [an_automation(number, interval=interval) for number in numbers],
            concurrency=2,
            stale_after=stale_after,
            capacity=lambda: self.capacity,
        )

    def restore(self, age: float, number: int = 1) -> bool:
        return self.workers.restore(SavedBlock(an_id(number), a_block(automation_id=an_id(number)), WALL - age))

    @property
    def view(self):
        return self.store.snapshot.views()[0]


def test_restored_block_has_its_true_age_and_lives_only_for_what_is_left_of_it():
    bench = Bench()

    assert bench.restore(age=600.0)

    assert bench.view.last_success == WALL - 600.0
    bench.clock.advance(299.0)
    bench.workers.tend()
    assert bench.view.block is not None
    bench.clock.advance(1.0)
    bench.workers.tend()
    assert bench.view.block is None


@pytest.mark.parametrize("age", [900.0, 1e9, -1.0])
def test_block_that_is_stale_or_from_the_future_is_not_restored(age):
    bench = Bench()

    assert not bench.restore(age)
    assert bench.view.block is None
    assert bench.workers.untried() == 2


def test_configured_staleness_counts_for_restored_blocks():
    assert not Bench(stale_after=400.0).restore(age=500.0)
    assert Bench(stale_after=4000.0).restore(age=3500.0)


def test_block_of_an_automation_that_is_not_configured_is_shown_nowhere():
    bench = Bench()

    bench.restore(0.0, number=9)

    assert bench.store.snapshot.link_series == 0


def test_automations_are_tried_by_a_poll_or_by_a_restored_block():
    bench = Bench(automations=(1, 2, 3))
    assert bench.workers.untried() == 3

    bench.restore(0.0, number=1)
    result = bench.poller.poll(an_automation(2), deadline=1e9, stale_after=900.0)

    assert result.outcome is Outcome.SUCCESS
    assert bench.workers.untried() == 1


def test_shard_without_automations_is_ready_and_well():
    bench = Bench(automations=())

    assert bench.workers.untried() == 0
    assert bench.workers.trouble() is None


def test_caretaker_that_stops_is_told_after_a_minute():
    bench = Bench()
    bench.clock.advance(60.0)
    assert bench.workers.trouble() is None

    bench.clock.advance(1.0)

    assert bench.workers.trouble() == "polling stalled: no supervision for over 60 s; restart the exporter"
    bench.workers.tend()
    assert bench.workers.trouble() is None


def test_work_that_does_not_fit_stretches_the_intervals_shows_and_logs_it_once(caplog):
    caplog.set_level("INFO")
    bench = Bench()
    bench.capacity = 0.001

    bench.workers.tend()
    bench.workers.tend()

    assert bench.view.poll_interval == pytest.approx(300 * 2 / 300 / 0.001)
    assert "every interval is 6.67 times as long" in caplog.text
    bench.capacity = 100.0
    bench.workers.tend()
    assert bench.view.poll_interval == 300.0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_stretched_rhythm_gives_the_data_a_longer_life():
    bench = Bench()
    bench.restore(age=0.0)
    bench.capacity = 0.001
    bench.workers.tend()

    bench.clock.advance(3 * 300.0 + 1)
    bench.workers.tend()

    assert bench.view.block is not None


def test_shorter_interval_after_a_reload_shortens_the_life_of_what_is_shown():
    bench = Bench()
    bench.restore(age=100.0)

    bench.configure(1, interval=30.0)
    bench.workers.tend()

    assert bench.view.poll_interval == 30.0
    assert bench.view.block is None


def test_shorter_interval_after_a_reload_during_a_poll_shortens_the_life_of_what_that_poll_shows():
    bench = Bench(automations=(1,), interval=3600.0)
    good = bench.source.stats

    def reloading(*asked):
        bench.configure(1, interval=30.0)
        return good(*asked)

    bench.source.stats = reloading
    bench.clock.on_wait = lambda _: bench.stop.set()

    bench.work()

    assert bench.view.block is not None
    bench.clock.advance(3 * 30.0)
    bench.workers.tend()
    assert bench.view.block is None


def test_joining_without_threads_ends_at_once():
    bench = Bench()

    bench.workers.join(1.0)

    assert bench.clock.waits == []
    assert bench.workers.dead() is None
