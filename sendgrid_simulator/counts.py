"""An automation's rows and statistics at a moment: generated from its history, or fixed by a test."""

import math
import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from sendgrid_simulator.arrivals import PoissonProcess, exposure, reached, weighted_changes, weighted_hours
from sendgrid_simulator.model import (
    EPOCH,
    Automation,
    Change,
    FixedAutomation,
    Row,
    Stats,
    multiplied,
    summed_over_steps,
)

_MARGIN: Final = 1e-7
"""Weighted hours before a click during which rows are recomputed: far more than the rounding errors."""
_DAY_HOURS: Final = 24.0
_PER_DELIVERED: Final[Mapping[str, float]] = {
    "unique_opens": 0.36,
    "repeated_opens": 0.25,
    "bounces": 0.006,
    "bounce_drops": 0.002,
    "invalid_emails": 0.001,
    "spam_reports": 0.0004,
    "spam_report_drops": 0.0003,
    "unsubscribes": 0.0025,
}
"""The rate of each per delivered mail: plausible values, not from a real account."""
_UNIQUE_CLICKS: Final = (4, 5)
"""The share of clicks that are a reader's first, as a fraction: integers do not round downwards over time."""


class Order(StrEnum):
    """The order in which the API lists an automation's rows."""

    FIRST_CLICK = "first_click"
    """A new row is last, and no row ever moves."""
    PLACE = "place"
    """By step and place: a row moves down when one above it gets its first click."""
    CLICKS = "clicks"
    """Most clicked first: rows move while clicks arrive."""


class Source(Protocol):
    """The data of one automation that the API uses."""

    @property
    def automation(self) -> Automation | FixedAutomation:
        """Return its definition."""

    def known(self, now: float) -> bool:
        """Return whether the API knows the automation at that moment."""

    def rows(self, now: float) -> tuple[Row, ...]:
        """Return all rows, by step, in the API's order."""

    def total(self, now: float) -> int:
        """Return the total clicks of the whole automation."""

    def stats(self, now: float) -> Mapping[str, Stats]:
        """Return the statistics so far by step; all zero before the automation has started."""

    def first(self, now: float) -> float:
        """Return the moment before which nothing was counted."""

    def between(self, start: float, end: float, now: float) -> Mapping[str, Stats]:
        """Return what was counted from start until before end, as far as it is in the past."""


class FixedSource:
    """Rows given by a test."""

    def __init__(self, automation: FixedAutomation) -> None:
        self.automation = automation

    def known(self, now: float) -> bool:  # noqa: ARG002 - a fixed automation has no history
        return True

    def rows(self, now: float) -> tuple[Row, ...]:  # noqa: ARG002
        return self.automation.rows

    def total(self, now: float) -> int:  # noqa: ARG002
        return self.automation.total

    def stats(self, now: float) -> Mapping[str, Stats]:  # noqa: ARG002
        return self.automation.statistics()

    def first(self, now: float) -> float:
        """Return when generated automations start, or now if that is in the future."""
        return min(EPOCH, now)

    def between(self, start: float, end: float, now: float) -> Mapping[str, Stats]:
        """Return all statistics or zeros: without a history, all was counted at the first moment."""
        stats = self.automation.statistics()
        return stats if start <= self.first(now) < end else dict.fromkeys(stats, Stats())


class _History:
    """The number of events over weighted hours."""

    __slots__ = ("_changes", "_rate", "_started", "_stream")

    def __init__(self, key: bytes, started: float, changes: tuple[Change, ...], per_day: float) -> None:
        self._stream = PoissonProcess(key)
        self._rate = per_day / _DAY_HOURS
        self._started = weighted_hours(started)
        self._changes = weighted_changes(changes)

    def count(self, hours: float) -> int:
        return self._stream.count(exposure(self._started, self._changes, hours) * self._rate)

    def first(self) -> float:
        """Return the weighted hour of the first event; infinity if there is none."""
        if self._rate <= 0:
            return math.inf
        return reached(self._started, self._changes, self._stream.first() / self._rate)

    def quiet_until(self, hours: float) -> float:
        """Return the weighted hour until which the count does not change."""
        if self._rate <= 0:
            return math.inf
        until = self._stream.quiet_until(exposure(self._started, self._changes, hours) * self._rate)
        return reached(self._started, self._changes, until / self._rate) - _MARGIN


class _LinkHistory(_History):
    """The clicks of a link, which depend on the link and on the mails of its step."""

    __slots__ = ("first_click", "link")

    def __init__(self, key: bytes, automation: Automation, number: int) -> None:
        self.link = link = automation.links[number]
        changes = multiplied(link.changes, automation.sending_of(link.step_id))
        super().__init__(key + b" %d" % number, automation.started, changes, link.clicks_per_day)
        self.first_click = self.first()


class _StepHistory:
    """The mails of a step and their outcomes, at a rate derived from its links' clicks and the click rate."""

    __slots__ = ("_delivered", "_histories")

    def __init__(self, key: bytes, automation: Automation, step_id: str) -> None:
        clicks = sum(link.clicks_per_day for link in automation.links if link.step_id == step_id)
        # Mails have a process of their own with the expected ratio to the clicks: on a real account, too, the number of
        # clicks on a day is not a fixed share of its mails.
        per_day, sending = clicks / automation.click_rate, automation.sending_of(step_id)
        key += f" {step_id} ".encode()
        self._delivered = _History(key + b"delivered", automation.started, sending, per_day)
        self._histories = {
            name: _History(key + name.encode(), automation.started, sending, per_day * share)
            for name, share in _PER_DELIVERED.items()
        }

    def stats(self, hours: float, clicks: int) -> Stats:
        """Return the counts, none of which ever falls.

        What happens once to a mail at most never exceeds those delivered: a minimum or maximum of counts that do not
        fall does not fall either.
        """
        count = {name: history.count(hours) for name, history in self._histories.items()}
        share, of = _UNIQUE_CLICKS
        unique_clicks = -(-clicks * share // of)  # rounded up: the first click is unique
        delivered = max(self._delivered.count(hours), unique_clicks)
        unique_opens = min(count["unique_opens"], delivered)
        dropped = count["bounce_drops"] + count["spam_report_drops"]
        return Stats(
            requests=delivered + count["bounces"] + count["invalid_emails"] + dropped,
            delivered=delivered,
            opens=unique_opens + (count["repeated_opens"] if unique_opens else 0),
            unique_opens=unique_opens,
            clicks=clicks,
            unique_clicks=unique_clicks,
            bounces=count["bounces"],
            bounce_drops=count["bounce_drops"],
            invalid_emails=count["invalid_emails"],
            spam_reports=min(count["spam_reports"], delivered),
            spam_report_drops=count["spam_report_drops"],
            unsubscribes=min(count["unsubscribes"], delivered),
        )


class GeneratedSource:
    """Rows from the clicks so far, cached until the next click."""

    def __init__(self, automation: Automation, seed: int, order: Order) -> None:
        self.automation = automation
        self._key = f"{seed} {automation.id}".encode()
        self._order = order
        self._links: tuple[_LinkHistory, ...] = ()
        self._steps: dict[str, _StepHistory] = {}
        self._cached: tuple[float, float, tuple[Row, ...], int] = (0.0, 0.0, (), 0)
        self._lock = threading.Lock()

    def known(self, now: float) -> bool:
        return now >= self.automation.started

    def rows(self, now: float) -> tuple[Row, ...]:
        return self._at(now)[2]

    def total(self, now: float) -> int:
        return self._at(now)[3]

    def stats(self, now: float) -> Mapping[str, Stats]:
        step_ids = self.automation.step_ids
        if not self.known(now):
            return dict.fromkeys(step_ids, Stats())
        hours = weighted_hours(now)
        with self._lock:
            if not self._steps:
                self._steps = {step_id: _StepHistory(self._key, self.automation, step_id) for step_id in step_ids}
            clicks = dict.fromkeys(step_ids, 0)
            for history in self._histories():
                clicks[history.link.step_id] += history.count(hours)
            return {step_id: steps.stats(hours, clicks[step_id]) for step_id, steps in self._steps.items()}

    def first(self, now: float) -> float:  # noqa: ARG002
        return self.automation.started

    def between(self, start: float, end: float, now: float) -> Mapping[str, Stats]:
        before, after = self.stats(min(start, now)), self.stats(min(end, now))
        return {step_id: stats.since(before[step_id]) for step_id, stats in after.items()}

    def _at(self, now: float) -> tuple[float, float, tuple[Row, ...], int]:
        """Return (from, until, rows, total)."""
        if not self.known(now):  # a draft may have no start at all
            return -math.inf, math.inf, (), 0
        # Read once, without the lock: another thread may replace the tuple meanwhile, but never modifies it.
        hours = weighted_hours(now)
        cached = self._cached
        if cached[0] <= hours < cached[1]:
            return cached
        with self._lock:
            return self._computed(hours)

    def _computed(self, hours: float) -> tuple[float, float, tuple[Row, ...], int]:
        histories = self._histories()
        rows = [
            (history.first_click, Row(history.link.step_id, history.link.url, history.link.url_location, clicks))
            for history in histories
            if (clicks := history.count(hours)) > 0
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
        if self._order is Order.FIRST_CLICK:
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
