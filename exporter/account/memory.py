"""What is remembered of the account over a restart, as text for the state file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from exporter.account.movement import Still
from exporter.account.statistics import Reading
from exporter.domain import AutomationId, Statistics, is_automation_id

ACCOUNT: Final = AutomationId("account")
"""Under which the state file keeps it; no automation has such an id."""
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an exporter that starts again would otherwise have to learn in a week; moments are monotonic."""

    missed: Mapping[AutomationId, int] = field(default_factory=dict)
    """Of each discovered automation, the whole lists in a row that lacked it."""
    still: Mapping[AutomationId, Still] = field(default_factory=dict)
    totals: Mapping[AutomationId, Reading] = field(default_factory=dict)
    steps: Mapping[AutomationId, Reading] = field(default_factory=dict)


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
    then are left out, and whoever stood still begins to at `now`.
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


def _documents(readings: Mapping[AutomationId, Reading], wall: float) -> Mapping[str, object]:
    return {id_: [reading.read_at + wall, reading.by_step] for id_, reading in readings.items()}


def _readings(document: Mapping[str, Any], wall: float, now: float) -> Iterator[tuple[AutomationId, Reading]]:
    for id_, (read_at, by_step) in document.items():
        at = float(read_at) - wall
        if at <= now:
            yield _id(id_), Reading({str(step): _statistics(counts) for step, counts in by_step.items()}, at)


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
