"""The last good statistics of each automation and of its steps, shown until they grow stale."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from exporter.domain import OVERFLOW_URL, AutomationId, Statistics
from exporter.exposition.compression import Compressed
from exporter.exposition.statistics import (
    AUTOMATION_STATISTICS,
    STEP_STATISTICS,
    Rows,
    labels_of,
    render_rows,
)

_MOST_STEPS: Final = 1000
"""Steps of one automation; the statistics of the others are added up in one row."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The statistics of an automation, or of its steps, and when they were read (monotonic)."""

    by_step: Mapping[str, Statistics]
    """Of the whole automation under the empty text."""
    read_at: float


class StatisticsStore:
    """Holds what is shown of the account's statistics. Writers take turns; a reader takes the lines and is done."""

    def __init__(self, bounded: Callable[[str], str] = str) -> None:
        """Clean a step's id by `bounded` before it becomes a label."""
        self._bounded = bounded
        self._lock = threading.Lock()
        self._totals: dict[AutomationId, Reading] = {}
        self._steps: dict[AutomationId, Reading] = {}
        self._total_rows, self._step_rows = Rows(), Rows()
        self._changed = False
        self._lines: Mapping[str, Compressed] = MappingProxyType({})

    @property
    def lines(self) -> Mapping[str, Compressed]:
        """Return the lines of each family that has any, without waiting; the same object until something changes."""
        return self._lines

    def totals(self) -> Mapping[AutomationId, Reading]:
        """Return what is known of each automation."""
        with self._lock:
            return dict(self._totals)

    def steps(self) -> Mapping[AutomationId, Reading]:
        """Return what is known of each automation's steps."""
        with self._lock:
            return dict(self._steps)

    def restore(self, totals: Mapping[AutomationId, Reading], steps: Mapping[AutomationId, Reading]) -> None:
        """Begin with what an earlier run showed."""
        with self._lock:
            self._totals.update(totals)
            self._steps.update(steps)
            self._changed = True

    def publish(self, statistics: Mapping[AutomationId, Statistics], read_at: float) -> None:
        """Take over the statistics of these automations; those of others stay as they are until they are stale."""
        with self._lock:
            for automation_id, counts in statistics.items():
                self._totals[automation_id] = Reading({"": counts}, read_at)
            self._changed = True

    def publish_steps(self, automation_id: AutomationId, steps: Mapping[str, Statistics], read_at: float) -> None:
        """Take over the statistics of an automation's steps in place of all that were known of them."""
        with self._lock:
            self._steps[automation_id] = Reading(self._cleaned(steps), read_at)
            self._changed = True

    def keep_only(self, automation_ids: Collection[AutomationId], *, steps: Collection[AutomationId]) -> None:
        """Show nothing of other automations any more, nor of the steps of others than `steps`."""
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
