"""What is kept of the account across restarts, as text for the state file.

Since when an automation's numbers stand still is a part of it: the idle lane goes by that.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.account.statistics import DatedStatistics
from exporter.domain import AutomationId, Statistics, is_automation_id


@dataclass(slots=True)
class Still:
    """The numbers of an automation, and since when they have been the same."""

    statistics: Statistics
    since: float
    """Monotonic; the first sight of them, where nothing is known of the time before."""
    total_clicks: int | None = None
    """Of its links: only a change of it counts, since the two are counted apart."""


@dataclass(slots=True)
class Movement:
    """Keeps the listed numbers of each automation, and since when they have not changed.

    Clicks on links count as a movement too: should SendGrid's statistics lag or stand still by mistake, an automation
    that is clicked is not idle.
    """

    _still: dict[AutomationId, Still] = field(default_factory=dict)

    def see(self, statistics: Mapping[AutomationId, Statistics], now: float) -> None:
        """Process a list; an automation without any number is never idle."""
        for automation_id, counts in statistics.items():
            known = self._still.get(automation_id)
            if counts == Statistics():
                self._still.pop(automation_id, None)
            elif known is None:
                self._still[automation_id] = Still(counts, now)
            # Any difference, also a fall: a number that SendGrid corrects has moved.
            elif known.statistics != counts:
                known.statistics, known.since = counts, now

    def see_clicks(self, totals: Mapping[AutomationId, int], now: float) -> None:
        """Process the clicks on the links of these automations."""
        for automation_id, clicks in totals.items():
            known = self._still.get(automation_id)
            if known is None or known.total_clicks == clicks:
                continue
            if known.total_clicks is not None:
                known.since = now
            known.total_clicks = clicks

    def idle(self, now: float, idle_after: float) -> frozenset[AutomationId]:
        """Return the automations without a change for that many seconds."""
        return frozenset(id_ for id_, still in self._still.items() if now - still.since >= idle_after)

    def keep_only(self, automation_ids: Collection[AutomationId]) -> None:
        """Forget all others."""
        for gone in self._still.keys() - set(automation_ids):
            del self._still[gone]

    def remembered(self) -> Mapping[AutomationId, Still]:
        """Return what is known of each automation."""
        return dict(self._still)

    def restore(self, remembered: Mapping[AutomationId, Still]) -> None:
        """Begin with what an earlier run knew."""
        self._still.update(remembered)


ACCOUNT: Final = AutomationId("account")
"""Under which the state file keeps it; no automation has such an id."""
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a restarted exporter would otherwise need a week to learn; times are monotonic."""

    missed: Mapping[AutomationId, int] = field(default_factory=dict)
    """For each discovered automation, the number of complete lists in a row without it."""
    still: Mapping[AutomationId, Still] = field(default_factory=dict)
    totals: Mapping[AutomationId, DatedStatistics] = field(default_factory=dict)
    steps: Mapping[AutomationId, DatedStatistics] = field(default_factory=dict)


def encoded(remembered: Remembered, wall: float) -> bytes:
    """Return it as text, its moments moved by `wall`: the wall clock less the monotonic one."""
    document = {
        "version": _VERSION,
        "missed": remembered.missed,
        "still": {
            id_: [*still.statistics, still.since + wall, still.total_clicks] for id_, still in remembered.still.items()
        },
        "totals": _documents(remembered.totals, wall),
        "steps": _documents(remembered.steps, wall),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decoded(text: bytes, wall: float, now: float) -> Remembered | None:
    """Return what the text holds; None where it is damaged, or of another version.

    A moment that would lie after `now`, since the machine's clock was set back meanwhile, is not known: statistics of
    then are left out, and idle times start at `now`.
    """
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            return None
        return Remembered(
            missed={_id(id_): int(missed) for id_, missed in document["missed"].items()},
            still={_id(id_): _still(values, wall, now) for id_, values in document["still"].items()},
            totals=dict(_readings(document["totals"], wall, now)),
            steps=dict(_readings(document["steps"], wall, now)),
        )
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def _documents(readings: Mapping[AutomationId, DatedStatistics], wall: float) -> Mapping[str, object]:
    return {id_: [reading.read_at + wall, reading.by_step] for id_, reading in readings.items()}


def _readings(document: Mapping[str, Any], wall: float, now: float) -> Iterator[tuple[AutomationId, DatedStatistics]]:
    for id_, (read_at, by_step) in document.items():
        at = float(read_at) - wall
        if at <= now:
            yield _id(id_), DatedStatistics({str(step): _statistics(counts) for step, counts in by_step.items()}, at)


def _still(values: list[Any], wall: float, now: float) -> Still:
    *counts, since, clicks = values
    return Still(_statistics(counts), min(float(since) - wall, now), None if clicks is None else int(clicks))


def _statistics(counts: list[Any]) -> Statistics:
    if len(counts) != len(Statistics._fields):
        raise ValueError("twelve counts are expected")
    return Statistics(*(None if count is None else int(count) for count in counts))


def _id(text: str) -> AutomationId:
    if not is_automation_id(text):
        raise ValueError("an automation's id is expected")
    return AutomationId(text)
