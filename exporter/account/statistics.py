"""The last good statistics of each automation and of its steps, shown until they grow stale.

The list brings those of the automations. Those by step are asked for one automation at a time, by a schedule of their
own.
"""

import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Protocol

from exporter.account.discovery import LONGEST_READING, OUTDATED, SHARE
from exporter.clock import Clock
from exporter.domain import OVERFLOW_URL, Automation, AutomationId, Outcome, PollResult, Statistics
from exporter.errors import KeyRefusedError, Reason, StoppedError, log_fields, reason_of, result_of, text_of
from exporter.exposition import (
    AUTOMATION_STATISTICS,
    STEP_STATISTICS,
    Compressed,
    Rows,
    labels_of,
    render_rows,
)
from exporter.polling.schedule import Schedule

_log = logging.getLogger(__name__)

_MOST_STEPS: Final = 1000
"""Steps of one automation; the statistics of the others are added up in one row."""
_LONGEST_NAP: Final = 1.0


@dataclass(frozen=True, slots=True)
class DatedStatistics:
    """The statistics of an automation, or of its steps, and when they were read (monotonic)."""

    by_step: Mapping[str, Statistics]
    """Of the whole automation under the empty text."""
    read_at: float


class StatisticsStore:
    """Holds the statistics that are shown. Writers take turns; readers take the lines without waiting."""

    def __init__(self, bounded: Callable[[str], str] = str) -> None:
        """Clean a step's id by `bounded` before it becomes a label."""
        self._bounded = bounded
        self._lock = threading.Lock()
        self._totals: dict[AutomationId, DatedStatistics] = {}
        self._steps: dict[AutomationId, DatedStatistics] = {}
        self._total_rows, self._step_rows = Rows(), Rows()
        self._changed = False
        self._lines: Mapping[str, Compressed] = MappingProxyType({})

    def lines(self) -> Mapping[str, Compressed]:
        """Return the lines of each family that has any, without waiting; the same object until something changes."""
        return self._lines

    def totals(self) -> Mapping[AutomationId, DatedStatistics]:
        """Return what is known of each automation."""
        with self._lock:
            return dict(self._totals)

    def steps(self) -> Mapping[AutomationId, DatedStatistics]:
        """Return what is known of each automation's steps."""
        with self._lock:
            return dict(self._steps)

    def restore(
        self, totals: Mapping[AutomationId, DatedStatistics], steps: Mapping[AutomationId, DatedStatistics]
    ) -> None:
        """Begin with what an earlier run showed."""
        with self._lock:
            self._totals.update(totals)
            self._steps.update(steps)
            self._changed = True

    def publish(self, statistics: Mapping[AutomationId, Statistics], read_at: float) -> None:
        """Store the statistics of these automations; those of others stay until they are stale."""
        with self._lock:
            for automation_id, counts in statistics.items():
                self._totals[automation_id] = DatedStatistics({"": counts}, read_at)
            self._changed = True

    def publish_steps(self, automation_id: AutomationId, steps: Mapping[str, Statistics], read_at: float) -> None:
        """Replace the statistics of an automation's steps."""
        with self._lock:
            self._steps[automation_id] = DatedStatistics(self._cleaned(steps), read_at)
            self._changed = True

    def keep_only(self, automation_ids: Collection[AutomationId], *, steps: Collection[AutomationId]) -> None:
        """Stop showing other automations, and the steps of automations not in `steps`."""
        with self._lock:
            for readings, wanted in ((self._totals, automation_ids), (self._steps, steps)):
                for gone in readings.keys() - set(wanted):
                    del readings[gone]
                    self._changed = True

    def refresh(self, oldest: Callable[[AutomationId], float], oldest_step: Callable[[AutomationId], float]) -> None:
        """Drop what was read before these moments (monotonic), and render what has changed."""
        with self._lock:
            for readings, limit in ((self._totals, oldest), (self._steps, oldest_step)):
                for stale in [id_ for id_, reading in readings.items() if reading.read_at < limit(id_)]:
                    del readings[stale]
                    self._changed = True
            if not self._changed:
                return
            self._changed = False
            totals = {labels_of(id_): reading.by_step[""] for id_, reading in self._totals.items()}
            steps = {
                labels_of(id_, step_id): counts
                for id_, reading in self._steps.items()
                for step_id, counts in reading.by_step.items()
            }
            self._total_rows = render_rows(AUTOMATION_STATISTICS, totals, self._total_rows)
            self._step_rows = render_rows(STEP_STATISTICS, steps, self._step_rows)
            self._lines = MappingProxyType({**self._total_rows.lines, **self._step_rows.lines})

    def _cleaned(self, steps: Mapping[str, Statistics]) -> Mapping[str, Statistics]:
        cleaned: dict[str, Statistics] = {}
        for step_id, counts in steps.items():
            name = self._bounded(step_id) if len(cleaned) < _MOST_STEPS else OVERFLOW_URL
            cleaned[name] = _added(cleaned[name], counts) if name in cleaned else counts
        return cleaned


def _added(one: Statistics, other: Statistics) -> Statistics:
    pairs = zip(one, other, strict=True)
    return Statistics(*(None if a is None and b is None else (a or 0) + (b or 0) for a, b in pairs))


class StepSource(Protocol):
    """Where the statistics come from."""

    def steps(self, automation: Automation, deadline: float) -> Mapping[str, Statistics]:
        """Return the automation's statistics by step, whole, before the deadline; raise SendGridError otherwise."""


class Steps:
    """Keeps the statistics of each automation's steps up to date; one thread runs `run`."""

    def __init__(
        self,
        source: StepSource,
        *,
        store: StatisticsStore,
        clock: Clock,
        rate: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """Use at most a share of `rate` (requests per second)."""
        self._source = source
        self._store = store
        self._clock = clock
        self._rate = rate
        self._lock = threading.Lock()
        self._schedule = Schedule()
        self._stale_after: float | None = None
        self._failing: dict[AutomationId, Reason] = {}

    @property
    def requests_per_second(self) -> float:
        """The requests that reading the steps takes in the long run."""
        with self._lock:
            # Stretched intervals ask for so much less: demand is what the configured ones would.
            return self._schedule.demand() / self._schedule.stretch

    def configure(
        self,
        source: StepSource,
        automations: Sequence[Automation],
        *,
        interval: float,
        stale_after: float | None,
        forgive: bool,
    ) -> None:
        """Read the steps of exactly these automations, every `interval` seconds."""
        timed = [replace(automation, interval=interval) for automation in automations]
        with self._lock:
            self._source, self._stale_after = source, stale_after
            self._schedule.configure(timed, self._clock.monotonic(), forgive=forgive)
            ids = {automation.id for automation in automations}
            self._failing = {id_: failure for id_, failure in self._failing.items() if id_ in ids}

    def rest(self, idle: Collection[AutomationId], interval: float) -> None:
        """Read those of these automations at the idle interval (seconds)."""
        with self._lock:
            self._schedule.rest(idle, interval, self._clock.monotonic())

    def forgive(self) -> None:
        """End slowdowns caused by refusals, since the key has changed."""
        with self._lock:
            self._schedule.forgive(self._clock.monotonic())

    def staleness(self, automation_id: AutomationId) -> float:
        """Return the seconds after which the automation's steps are no longer shown."""
        with self._lock:
            of_interval = OUTDATED * self._schedule.planned_interval(automation_id)
            idle = self._schedule.is_idle(automation_id)
        if self._stale_after is None:
            return of_interval
        return max(self._stale_after, of_interval) if idle else self._stale_after

    def run(self, stop: threading.Event) -> None:
        """Read what is due until the stop."""
        while not stop.is_set():
            with self._lock:
                self._schedule.fit(self._rate() * SHARE)
                now = self._clock.monotonic()
                automation = self._schedule.take(now)
                wait = min(self._schedule.next_due() - now, _LONGEST_NAP)
            if automation is None:
                self._clock.wait(stop, wait)
                continue
            outcome = self.read(automation)
            if outcome is not None:
                with self._lock:
                    self._schedule.done(automation.id, PollResult(outcome, 1), self._clock.monotonic())

    def read(self, automation: Automation) -> Outcome | None:
        """Read one automation's steps; None if the stop interrupted it. Never raises."""
        source, deadline = self._source, self._clock.monotonic() + LONGEST_READING
        try:
            steps = source.steps(automation, deadline)
        except StoppedError:
            return None
        except Exception as exc:  # noqa: BLE001  # one automation's defect must not end the reading of the others
            self._note_failure(automation, exc)
            return reason_of(exc)[0]
        with self._lock:
            if source is self._source:  # a reload that came between may ask another account
                self._store.publish_steps(automation.id, steps, self._clock.monotonic())
        if self._failing.pop(automation.id, None) is not None:
            _log.info("the statistics by step recovered", extra=log_fields(automation, Outcome.SUCCESS))
        return Outcome.SUCCESS

    def _note_failure(self, automation: Automation, exc: Exception) -> None:
        reason = reason_of(exc)
        before, self._failing[automation.id] = self._failing.get(automation.id), reason
        # SendGrid knows an automation of its own list that has sent nothing yet as not found: no reason to worry.
        quiet = before == reason or reason[0] is Outcome.NOT_FOUND or isinstance(exc, KeyRefusedError)
        level = logging.DEBUG if quiet else logging.WARNING
        _log.log(level, "the statistics by step failed: %s", text_of(result_of(exc)), extra=log_fields(automation, exc))
