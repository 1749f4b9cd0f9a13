"""Reads the statistics by step, one automation at a time, in the rhythm of a schedule of their own."""

import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from exporter.account.options import LONGEST_READING, OUTDATED, SHARE
from exporter.account.statistics import StatisticsStore
from exporter.clock import Clock
from exporter.domain import Automation, AutomationId, Outcome, PollResult, Statistics
from exporter.errors import KeyRefusedError, Reason, StoppedError, log_fields, reason_of, text_of
from exporter.polling.schedule import Schedule

_log = logging.getLogger(__name__)

_LONGEST_NAP: Final = 1.0


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
        """Ask no more often than a part of `rate` (requests a second) allows."""
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
        """End what refusals have slowed down, since the key has changed."""
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
        """Read one automation's steps; None where the stop cut that short. Never raises."""
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
        _log.log(level, "the statistics by step failed: %s", text_of(exc), extra=log_fields(automation, exc))
