"""What the simulated account holds: automations, their links, the rows of their lists, and their statistics."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

EPOCH: Final = 1736121600.0
"""When generated automations start by default: Monday 2025-01-06, so that runs on different days agree."""

ALL_STEPS: Final = "all"
"""The `step_id` of a row in a list that is not grouped by steps."""

CLICK_RATE: Final = 0.03
"""Clicks per delivered mail, unless an automation has its own."""


class Row(NamedTuple):
    """One row of a list of link clicks."""

    step_id: str
    url: str
    url_location: int | None
    clicks: int


class Stats(NamedTuple):
    """The twelve counts that SendGrid keeps of an automation, or of one of its steps."""

    requests: int = 0
    delivered: int = 0
    opens: int = 0
    unique_opens: int = 0
    clicks: int = 0
    unique_clicks: int = 0
    bounces: int = 0
    bounce_drops: int = 0
    invalid_emails: int = 0
    spam_reports: int = 0
    spam_report_drops: int = 0
    unsubscribes: int = 0

    def since(self, before: "Stats") -> "Stats":
        """Return what was added to each count since an earlier moment."""
        return Stats(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, clicks or mails come `factor` times as fast as usual; 0 is not at all, 1 is as usual."""

    at: float
    factor: float


@dataclass(frozen=True, slots=True)
class Link:
    """A link at one place of one step's message."""

    step_id: str
    url: str
    url_location: int | None
    clicks_per_day: float
    changes: tuple[Change, ...] = ()
    """In order of time."""


@dataclass(frozen=True, slots=True)
class Automation:
    """An automation whose clicks are generated."""

    id: str
    name: str
    links: tuple[Link, ...]
    started: float = EPOCH
    """Until this moment the automation is a draft: it sends nothing, and its links are not found."""
    click_rate: float = CLICK_RATE
    """Clicks per delivered mail: how many mails there are follows from the clicks of the links."""
    sending: tuple[tuple[str | None, Change], ...] = ()
    """How the pace of sending changes, and with it the clicks: of one step, or of all where it is None."""

    @property
    def step_ids(self) -> tuple[str, ...]:
        """Return every step once, in the order of the messages."""
        return tuple(dict.fromkeys(link.step_id for link in self.links))

    def changed(self, change: Change, *, step_id: str | None = None, url: str | None = None) -> "Automation":
        """Return the automation with the change on the links of that step and URL; None matches every one."""
        links = tuple(
            replace(link, changes=_with(link.changes, change))
            if step_id in (None, link.step_id) and url in (None, link.url)
            else link
            for link in self.links
        )
        if links == self.links:
            raise LookupError(f"automation {self.id} has no link of step {step_id} and URL {url}")
        return replace(self, links=links)

    def sending_changed(self, change: Change, *, step_id: str | None = None) -> "Automation":
        """Return the automation with the change on the pace of sending of that step; None is every one."""
        if step_id not in (None, *self.step_ids):
            raise LookupError(f"automation {self.id} has no step {step_id}")
        return replace(self, sending=(*self.sending, (step_id, change)))

    def sending_of(self, step_id: str) -> tuple[Change, ...]:
        """Return the changes of the pace at which a step sends, in order of time."""
        of_all = _in_order(change for step, change in self.sending if step is None)
        return multiplied(of_all, _in_order(change for step, change in self.sending if step == step_id))


@dataclass(frozen=True, slots=True)
class FixedAutomation:
    """An automation with exactly these rows and statistics, until a test replaces them."""

    id: str
    name: str
    rows: tuple[Row, ...]
    """In this order."""
    total: int
    stats: Mapping[str, Stats] = field(default_factory=lambda: MappingProxyType({}))
    """By step; where empty, they are derived from the rows."""

    def statistics(self) -> dict[str, Stats]:
        """Return the statistics by step: those given, else numbers that go with the clicks of the step's rows."""
        if self.stats:
            return dict(self.stats)
        clicks: dict[str, int] = {}
        for row in self.rows:
            clicks[row.step_id] = clicks.get(row.step_id, 0) + row.clicks
        return {step_id: _plausible(count) for step_id, count in clicks.items()}


def fixed(
    automation_id: str,
    rows: tuple[Row, ...],
    *,
    name: str = "",
    total: int | None = None,
    stats: Mapping[str, Stats] | None = None,
) -> FixedAutomation:
    """Return a fixed automation; the total is the rows' sum, the name the id, unless given."""
    total = sum(row.clicks for row in rows) if total is None else total
    return FixedAutomation(automation_id, name or automation_id, rows, total, MappingProxyType(dict(stats or {})))


def summed(stats: Iterable[Stats]) -> Stats:
    """Return the sum of each count."""
    return Stats(*(sum(counts) for counts in zip(*stats, strict=True)))


def multiplied(*courses: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes of a pace that follows several courses at once: the product of their factors."""
    # Between two changes of any course the product is constant, so those moments are all that is needed.
    moments = sorted({change.at for course in courses for change in course})
    return tuple(Change(at, math.prod(_factor(course, at) for course in courses)) for at in moments)


def summed_over_steps(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows as a list that is not grouped: one per URL and place, in order of first sight."""
    clicks: dict[tuple[str, int | None], int] = {}
    for row in rows:
        key = (row.url, row.url_location)
        clicks[key] = clicks.get(key, 0) + row.clicks
    return tuple(Row(ALL_STEPS, url, place, count) for (url, place), count in clicks.items())


def _with(changes: tuple[Change, ...], change: Change) -> tuple[Change, ...]:
    """Return the changes in order of time, the new one last among equals."""
    return _in_order((*changes, change))


def _in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda each: each.at))


def _factor(course: tuple[Change, ...], at: float) -> float:
    """Return the factor in effect at a moment."""
    return next((change.factor for change in reversed(course) if change.at <= at), 1.0)


def _plausible(clicks: int) -> Stats:
    """Return statistics that go with so many clicks, one and the same each time."""
    delivered = math.ceil(clicks / CLICK_RATE)
    bounces = delivered // 150
    return Stats(
        requests=delivered + bounces,
        delivered=delivered,
        opens=delivered * 3 // 5,
        unique_opens=delivered * 2 // 5,
        clicks=clicks,
        unique_clicks=-(-clicks * 4 // 5),
        bounces=bounces,
        unsubscribes=delivered // 400,
    )
