"""What the simulated account holds: automations, their links, and the rows of their lists."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

EPOCH: Final = 1736121600.0
"""When generated automations start by default: Monday 2025-01-06, so that runs on different days agree."""

ALL_STEPS: Final = "all"
"""The `step_id` of a row in a list that is not grouped by steps."""


class Row(NamedTuple):
    """One row of a list of link clicks."""

    step_id: str
    url: str
    url_location: int | None
    clicks: int


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, clicks arrive `factor` times as fast as the link's own rate; 0 is dead, 1 is as ever."""

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
    """Before this moment the API does not know the automation."""

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


@dataclass(frozen=True, slots=True)
class FixedAutomation:
    """An automation with exactly these rows, in this order, until a test replaces them."""

    id: str
    name: str
    rows: tuple[Row, ...]
    total: int


def fixed(automation_id: str, rows: tuple[Row, ...], *, name: str = "", total: int | None = None) -> FixedAutomation:
    """Return a fixed automation; the total is the rows' sum and the name the id unless given."""
    total = sum(row.clicks for row in rows) if total is None else total
    return FixedAutomation(automation_id, name or automation_id, rows, total)


def summed_over_steps(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows as a list that is not grouped: one per URL and place, in order of first sight."""
    clicks: dict[tuple[str, int | None], int] = {}
    for row in rows:
        key = (row.url, row.url_location)
        clicks[key] = clicks.get(key, 0) + row.clicks
    return tuple(Row(ALL_STEPS, url, place, count) for (url, place), count in clicks.items())


def _with(changes: tuple[Change, ...], change: Change) -> tuple[Change, ...]:
    """Return the changes in order of time, the new one last among equals."""
    return tuple(sorted((*changes, change), key=lambda each: each.at))
