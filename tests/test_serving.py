import math
import re
import threading
import weakref

import pytest

from exporter.domain import Outcome
from exporter.labels import LabelHygiene
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.serving import AutomationStatus, Exposition, ProcessHealth
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.ports import Condition
from tests.factories import a_block, a_link, an_about, an_automation, an_id, label_rules, some_stats
from tests.fakes import FakeClock, FakeSource

pytestmark = pytest.mark.unit


class Bench:
    def __init__(self):
        self.clock = FakeClock()
        self.store = Store()
        telemetry = Telemetry(an_about(), clock=self.clock, link_series=lambda: 0)
        source = FakeSource(some_stats())
        self.poller = Poller(source, LabelHygiene(label_rules()), self.store, telemetry, None, self.clock)
        self.workers = Workers(self.poller, clock=self.clock, stop=threading.Event())
        automations = [an_automation(1), an_automation(2)]
        self.workers.configure(automations, concurrency=1, stale_after=None, capacity=lambda: 1.0)
        self.exposition = Exposition(self.store, telemetry)

    def poll(self, number: int):
        return self.poller.poll(an_automation(number), deadline=1e9, stale_after=900.0)


def text_of(exposition, **options) -> str:
    scrape = exposition.scrape(**{"openmetrics": False, "compressed": False, "names": None, **options})
    return b"".join(scrape.chunks).decode()


def test_scrape_shows_the_present_state_also_after_one_of_the_past():
    bench = Bench()
    before = text_of(bench.exposition)

    bench.poll(1)

    assert "automation_total_clicks{" not in before
    assert f'automation_total_clicks{{automation_id="{an_id()}"}} 7\n' in text_of(bench.exposition)


def test_scrape_that_began_before_a_change_ends_with_its_own_state():
    bench = Bench()
    bench.poll(1)
    scrape = bench.exposition.scrape(openmetrics=False, compressed=False, names=None)

    bench.store.publish(an_id(), a_block(a_link(clicks=99)), last_success=1.0, expires=1e9)
    text = b"".join(scrape.chunks).decode()

    assert len(text) == scrape.length
    assert "} 99\n" not in text


def test_same_families_are_not_put_together_again_for_the_same_snapshot():
    bench = Bench()
    first = bench.exposition._families(openmetrics=False, names=None)

    assert bench.exposition._families(openmetrics=False, names=None) is first
    bench.poll(1)
    assert bench.exposition._families(openmetrics=False, names=None) is not first


def test_what_polls_replaced_is_gone_before_the_next_scrape():
    bench = Bench()
    bench.poll(1)
    text_of(bench.exposition)
    former = weakref.ref(bench.store.snapshot)

    bench.store.publish(an_id(), a_block(a_link(clicks=99)), last_success=1.0, expires=1e9)

    assert former() is None


def test_ready_when_every_automation_was_tried_even_without_success():
    bench = Bench()
    health = ProcessHealth(bench.workers)
    assert health.unready_reason() == "2 automations were not tried yet"

    bench.poll(1)
    bench.poll(2)

    assert health.unready_reason() is None


def test_alive_while_the_poller_beats():
    bench = Bench()
    health = ProcessHealth(bench.workers)
    assert health.unhealthy_reason() is None

    bench.clock.advance(3600.0)

    assert health.unhealthy_reason() == "polling stalled: no supervision for over 60 s; restart the exporter"


def status_of(bench, sought=""):
    return AutomationStatus(bench.store, bench.poller, bench.workers, bench.clock).status(sought).automations


def test_status_lists_every_automation_with_its_success_and_numbers():
    bench = Bench()
    polled_at = bench.clock.time()
    bench.poll(1)
    bench.clock.advance(5.0)

    first, second = status_of(bench)

    assert (first.id, first.name, first.outcome, first.state) == (an_id(), "Welcome", Outcome.SUCCESS, Condition.OK)
    assert (first.last_success, first.series, first.error) == (pytest.approx(polled_at, abs=0.001), 1, "")
    assert (second.outcome, second.state, second.last_success, second.clicks) == ("", Condition.WAITING, None, None)


def test_status_finds_the_automation_that_has_a_link():
    bench = Bench()
    bench.poll(1)
    bench.poll(2)
    (row,) = next(iter(bench.store.snapshot.views())).block.clicks_by_link()
    url = re.search(rb'url="([^"]*)"', row)[1].decode()

    assert url in [link.url for link in status_of(bench, url.upper())[0].found]
    assert [each.found for each in status_of(bench, "no such address")] == [(), ()]


def test_status_has_the_page_of_each_automation():
    bench = Bench()
    bench.store.configure([an_automation(1)], "https://a.example/{automation_id}")

    assert [each.page for each in status_of(bench)] == [f"https://a.example/{an_id(1)}"]


def test_stale_automation_is_said_to_be_stale():
    bench = Bench()
    bench.poll(1)
    bench.store.expire(math.inf)

    first = status_of(bench)[0]

    assert (first.state, first.is_stale, first.clicks) == (Condition.STALE, True, None)
