"""An automation's rows at a moment: generated from its history, or fixed by a test."""

import math
import threading
from enum import StrEnum
from typing import Final, Protocol

from sendgrid_simulator.arrivals import PoissonProcess, exposure, reached, weighted_changes, weighted_hours
from sendgrid_simulator.model import Automation, FixedAutomation, Row, summed_over_steps

_MARGIN: Final = 1e-7
"""Weighted hours before a click in which rows are computed again: far more than the rounding errors."""
_DAY_HOURS: Final = 24.0


class Order(StrEnum):
    """In which order the API lists an automation's rows."""

    BIRTH = "birth"
    """By first click: a new row comes last and no row ever moves."""
    PLACE = "place"
    """By step and place: a row moves down when one above it gets its first click."""
    CLICKS = "clicks"
    """Most clicked first: rows move while clicks arrive."""


class Source(Protocol):
    """What the API reads about one automation."""

    @property
    def automation(self) -> Automation | FixedAutomation:
        """Return its definition."""

    def known(self, now: float) -> bool:
        """Return whether the API knows the automation at that moment."""

    def rows(self, now: float) -> tuple[Row, ...]:
        """Return all rows, by step, in the API's order."""

    def total(self, now: float) -> int:
        """Return the total clicks of the whole automation."""


class FixedSource:
    """The rows that a test gave."""

    def __init__(self, automation: FixedAutomation) -> None:
        self.automation = automation

    def known(self, now: float) -> bool:  # noqa: ARG002 - a fixed automation has no history
        return True

    def rows(self, now: float) -> tuple[Row, ...]:  # noqa: ARG002
        return self.automation.rows

    def total(self, now: float) -> int:  # noqa: ARG002
        return self.automation.total


class _LinkHistory:
    """One link's clicks over weighted hours."""

    __slots__ = ("_changes", "_rate", "_started", "_stream", "birth", "link")

    def __init__(self, key: bytes, automation: Automation, number: int) -> None:
        self.link = automation.links[number]
        self._stream = PoissonProcess(key + b" %d" % number)
        self._rate = self.link.clicks_per_day / _DAY_HOURS
        self._started = weighted_hours(automation.started)
        self._changes = weighted_changes(self.link.changes)
        first = self._stream.first() / self._rate if self._rate > 0 else math.inf
        self.birth = reached(self._started, self._changes, first)

    def clicks(self, hours: float) -> int:
        return self._stream.count(exposure(self._started, self._changes, hours) * self._rate)

    def quiet_until(self, hours: float) -> float:
        """Return the weighted hour up to which the count stays as it is."""
        if self._rate <= 0:
            return math.inf
        until = self._stream.quiet_until(exposure(self._started, self._changes, hours) * self._rate)
        return reached(self._started, self._changes, until / self._rate) - _MARGIN


class GeneratedSource:
    """Rows from the clicks so far, cached until the next click."""

    def __init__(self, automation: Automation, seed: int, order: Order) -> None:
        self.automation = automation
        self._key = f"{seed} {automation.id}".encode()
        self._order = order
        self._links: tuple[_LinkHistory, ...] = ()
        self._cached: tuple[float, float, tuple[Row, ...], int] = (0.0, 0.0, (), 0)
        self._lock = threading.Lock()

    def known(self, now: float) -> bool:
        return now >= self.automation.started

    def rows(self, now: float) -> tuple[Row, ...]:
        return self._at(now)[2]

    def total(self, now: float) -> int:
        return self._at(now)[3]

    def _at(self, now: float) -> tuple[float, float, tuple[Row, ...], int]:
        """Return (from, until, rows, total)."""
        hours = weighted_hours(now)
        cached = self._cached
        if cached[0] <= hours < cached[1]:
            return cached
        with self._lock:
            return self._computed(hours)

    def _computed(self, hours: float) -> tuple[float, float, tuple[Row, ...], int]:
        histories = self._histories()
        rows = [
            (history.birth, Row(history.link.step_id, history.link.url, history.link.url_location, clicks))
            for history in histories
            if (clicks := history.clicks(hours)) > 0
        ]
        until = min((history.quiet_until(hours) for history in histories), default=math.inf)
        listed = self._ordered(rows)
        self._cached = cached = (hours, until, listed, sum(row.clicks for row in listed))
        return cached

    def _histories(self) -> tuple[_LinkHistory, ...]:
        if not self._links:
            numbers = range(len(self.automation.links))
            self._links = tuple(_LinkHistory(self._key, self.automation, number) for number in numbers)
        return self._links

    def _ordered(self, rows: list[tuple[float, Row]]) -> tuple[Row, ...]:
        if self._order is Order.BIRTH:
            rows.sort(key=lambda each: each[0])
        elif self._order is Order.CLICKS:
            rows.sort(key=lambda each: -each[1].clicks)
        return tuple(row for _, row in rows)


def links_of(
    source: Source, moment: float, *, grouped: bool, step_ids: tuple[str, ...] = ()
) -> tuple[tuple[Row, ...], int]:
    """Return the rows and the total of one list of links at that moment."""
    rows, total = source.rows(moment), source.total(moment)
    if step_ids:
        rows = tuple(row for row in rows if row.step_id in step_ids)
        total = sum(row.clicks for row in rows)
    return (rows if grouped else summed_over_steps(rows)), total
