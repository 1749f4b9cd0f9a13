"""The real client, poller and store against a simulated SendGrid on loopback, with a clock whose waits take no time."""

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from requests.adapters import HTTPAdapter

from exporter.about import about
from exporter.domain import Automation, AutomationId, Outcome
from exporter.exposition import PER_AUTOMATION
from exporter.labels import LabelHygiene, LabelRules
from exporter.polling.poller import Poller
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import ClientOptions, Deadline
from exporter.serving import Exposition
from exporter.store import Store
from exporter.telemetry import Telemetry
from sendgrid_simulator import Clock, Row, Simulator, fixed

VICTIM: Final = AutomationId("00000000-0000-4000-8000-000000000001")
OTHER: Final = AutomationId("00000000-0000-4000-8000-000000000002")
STEP: Final = "11111111-2222-4333-8444-555555555555"
POLL_SECONDS: Final = 250.0
STALE_AFTER: Final = 900.0
_OF_AUTOMATIONS: Final = frozenset(family.name for family in PER_AUTOMATION)

Adapters = Callable[[Deadline], HTTPAdapter]
Links = Mapping[tuple[str, str, str], int]
"""Clicks by (step_id, url, url_location)."""


class LeapingClock:
    """Real time, but a wait is over at once and time is then as far as if it had been waited."""

    def __init__(self) -> None:
        self._leapt = 0.0
        self._stepped = 0.0

    def time(self) -> float:
        return time.time() + self._leapt + self._stepped

    def monotonic(self) -> float:
        return time.monotonic() + self._leapt

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self._leapt += max(seconds, 0.0)
        return event.is_set()

    def step(self, seconds: float) -> None:
        """Set the wall clock alone, as an operator or a time service does."""
        self._stepped += seconds


@dataclass(frozen=True)
class Poll:
    """What one poll did, as an operator can see it."""

    outcome: Outcome
    counted: Mapping[str, float]
    """By how much each outcome of polls_total rose."""
    requests: int
    seconds: float
    """On the leaping clock, so waits included."""
    lines: Sequence[str]
    """What was logged from information on."""


@dataclass(frozen=True)
class Shown:
    """What /metrics shows of one automation."""

    links: Links
    total: float | None
    up: float | None
    last_success: float | None
    info: float | None


class Rig:
    """One exporter's inside with two automations: one that meets the fault, and one that must not notice."""

    def __init__(
        self, simulator: Simulator, clock: LeapingClock, adapter: Adapters | None, *, page_size: int, timeout: float
    ) -> None:
        self.simulator, self.clock = simulator, clock
        self._options = (page_size, timeout)
        self._adapter = adapter
        self.never = threading.Event()
        self.store = Store()
        self.telemetry = Telemetry(about(), clock=clock, link_series=lambda: self.store.snapshot.link_series)
        self.source = self.client(simulator.base_url)
        self.poller = Poller(self.source, LabelHygiene(LabelRules()), self.store, self.telemetry, None, clock)
        self.exposition = Exposition(self.store, self.telemetry)
        self.store.configure([_automation(VICTIM), _automation(OTHER)])

    def client(self, base_url: str) -> SendGridClient:
        """Return a client for another address than the simulator's."""
        page_size, timeout = self._options
        return SendGridClient(
            ClientOptions(base_url, timeout, page_size, "matrix"),
            key=lambda: self.simulator.api_key,
            budget=Budget(1_000_000, clock=self.clock),
            clock=self.clock,
            stop=self.never,
            observer=self.telemetry,
            adapter=self._adapter,
        )

    def poll(self, automation_id: AutomationId = VICTIM) -> Poll:
        before, requests, began = self._polls(), self.simulator.request_count, self.clock.monotonic()
        with captured() as lines:
            deadline = began + POLL_SECONDS
            result = self.poller.poll(_automation(automation_id), deadline=deadline, stale_after=STALE_AFTER)
        counted = {outcome: count - before[outcome] for outcome, count in self._polls().items() if count}
        risen = {outcome: rise for outcome, rise in counted.items() if rise}
        asked = self.simulator.request_count - requests
        return Poll(result.outcome, risen, asked, self.clock.monotonic() - began, lines)

    def shown(self, automation_id: AutomationId = VICTIM) -> Shown:
        links: dict[tuple[str, str, str], int] = {}
        single: dict[str, float] = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                if sample.labels.get("automation_id") != automation_id:
                    continue
                if sample.name == "automation_link_clicks":
                    key = (sample.labels["step_id"], sample.labels["url"], sample.labels["url_location"])
                    assert key not in links, "a series stands there twice"
                    assert sample.value == int(sample.value)
                    links[key] = int(sample.value)
                else:
                    single[sample.name] = sample.value
        return Shown(
            links,
            single.get("automation_total_clicks"),
            single.get("sendgrid_exporter_automation_up"),
            single.get("sendgrid_exporter_automation_last_success_timestamp_seconds"),
            single.get("automation_info"),
        )

    def value(self, name: str) -> float:
        return self.telemetry.registry.get_sample_value(name) or 0.0

    def text(self) -> str:
        """Return what /metrics says of the automations, without the exporter's own metrics."""
        return self.exposition.body(openmetrics=False, names=_OF_AUTOMATIONS).text().decode()

    def close(self) -> None:
        self.source.close()

    def _polls(self) -> dict[str, float]:
        name = "sendgrid_exporter_polls_total"
        (family,) = self.telemetry.registry.restricted_registry([name]).collect()
        return {sample.labels["outcome"]: sample.value for sample in family.samples if sample.name == name}


def a_simulator(rows: Sequence[Row], *, wall: Clock, tls: ssl.SSLContext | None = None) -> Simulator:
    """Return a simulator, not yet started, that holds both automations."""
    automations = [fixed(VICTIM, tuple(rows)), fixed(OTHER, good_rows(100))]
    return Simulator(automations, wall=wall, rate_limit=100_000, tls=tls)


def good_rows(more: int = 0) -> tuple[Row, ...]:
    """Return five rows of which no two subsets have the same sum."""
    return tuple(Row(STEP, f"https://shop.example/{n}", n, (1 << n) * 10 + more) for n in range(5))


def links_of(rows: Sequence[Row]) -> Links:
    """Return what must be published of the rows: equal ones added up, long addresses cut with a hash at their end."""
    links: dict[tuple[str, str, str], int] = {}
    for row in rows:
        url = (
            row.url if len(row.url) <= 2048 else row.url[: 2048 - 17] + "~" + sha256(row.url.encode()).hexdigest()[:16]
        )
        key = (row.step_id, url, "" if row.url_location is None else str(row.url_location))
        links[key] = links.get(key, 0) + row.clicks
    return links


class PeakMemory:
    """The most memory that this process held since the mark, above what it held then; bytes."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmHWM")

    @property
    def grown(self) -> int:
        return _status("VmHWM") - self._before


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _automation(automation_id: AutomationId) -> Automation:
    return Automation(automation_id, automation_id, 300.0)


@contextmanager
def captured() -> Iterator[list[str]]:
    """Yield what this thread logs; a thread that an earlier test left behind logs to the same logger."""
    lines: list[str] = []
    here = threading.get_ident()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == here:
                fields = " ".join(str(getattr(record, name, "-")) for name in ("automation_id", "outcome"))
                lines.append(f"{fields}: {self.format(record)}")

    handler, logger = Keep(logging.INFO), logging.getLogger("exporter")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
