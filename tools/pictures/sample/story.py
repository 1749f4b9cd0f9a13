"""The events of the sample: which automations there are, what drops, what dies and when."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sendgrid_simulator import Automation, Change, Simulator, generated_automation

HOUR: Final = 3600
DAY: Final = 24 * HOUR
STEP: Final = 300
JOB: Final = "sendgrid-automation-exporter"

_JOURNEYS: Final = (
    ("Welcome series", 5, 2_000.0),
    ("Abandoned cart", 3, 1_300.0),
    ("Trial to paid", 4, 900.0),
    ("Post-purchase care", 2, 520.0),
    ("Win-back after 90 days", 2, 240.0),
    ("Birthday offer", 1, 130.0),
    ("Review request", 1, 60.0),
)
_NEW: Final = ("Back in stock", 1, 340.0)
_LEFT: Final = ("Summer sale", 1, 90.0)
_UNWATCHED: Final = ("Welcome series (copy)", 2, 150.0)
_STEPS: Final = (
    ("Hello", "How it works", "First order", "Stories", "Last call"),
    ("After an hour", "Next day", "Three days later"),
)
"""Names of the steps of the first journeys; the others have none."""
_LEFT_AT_A_STEP: Final = 0.55
_LINKS_PER_STEP: Final = 12
"""Of the catalog's steps; every other link is kept."""


@dataclass(frozen=True)
class Story:
    """The automations, and what happened to their exporter."""

    start: float
    end: float
    automations: Sequence[Automation]
    outages: Sequence[tuple[float, float]] = ()
    """When SendGrid's API answered with 503, from and until."""
    rollouts: Sequence[float] = ()
    """When a new version of the exporter started under another instance name."""
    unwatched: Sequence[Automation] = ()
    """Automations of the account that are not polled."""
    left: Mapping[str, float] = field(default_factory=dict)
    """When an automation was deleted and left the configuration, by id."""
    step_names: Mapping[str, str] = field(default_factory=dict)
    rest: float = 0.0
    """Since when the most clicked automation has more links than are published; 0 is never."""
    seed: int = 1
    simulator: Simulator = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "simulator", Simulator(self.listed, seed=self.seed))

    @property
    def moments(self) -> list[float]:
        """Return when Prometheus scraped."""
        return [self.start + number * STEP for number in range(int((self.end - self.start) // STEP) + 1)]

    @property
    def listed(self) -> list[Automation]:
        """Return all automations of the account."""
        return [*self.automations, *self.unwatched]

    def configured(self, automation_id: str, moment: float) -> bool:
        """Return whether the exporter polls the automation."""
        polled = any(one.id == automation_id and one.started <= moment for one in self.automations)
        return polled and moment < self.left.get(automation_id, math.inf)

    def watched(self, moment: float) -> bool:
        """Return whether the click data was published, which it is for the first three intervals of an outage."""
        return not any(since + 3 * STEP < moment < until for since, until in self.outages)


def journey(name: str, steps: int, clicks_per_day: float) -> Automation:
    """Return an automation that loses readers from step to step."""
    made = generated_automation(7, name, steps * _LINKS_PER_STEP, clicks_per_day=clicks_per_day)
    weights = [
        link.clicks_per_day * _LEFT_AT_A_STEP ** made.step_ids.index(link.step_id) * (number % 2 == 0)
        for number, link in enumerate(made.links)
    ]
    links = tuple(
        replace(link, clicks_per_day=clicks_per_day * weight / sum(weights))
        for link, weight in zip(made.links, weights, strict=True)
        if weight
    )
    return replace(made, links=links)


def month(end: float, days: int = 23) -> Story:
    """Return a month of nine journeys: one has lost its best link, one is falling, one is new, one was taken out."""
    start = end - days * DAY
    welcome, cart, *others = (journey(*one) for one in _JOURNEYS)
    best = max(welcome.links, key=lambda link: link.clicks_per_day)
    welcome = welcome.changed(Change(end - 26 * HOUR, 0.0), step_id=best.step_id, url=best.url)
    cart = cart.changed(Change(end - 20 * HOUR, 0.3))
    new = replace(journey(*_NEW), started=end - 4 * DAY)
    left = journey(*_LEFT)
    copy = replace(journey(*_UNWATCHED), started=end - 2 * DAY)
    named = [zip(one.step_ids, names, strict=True) for one, names in zip((welcome, cart), _STEPS, strict=True)]
    return Story(
        start,
        end,
        [welcome, cart, *others, new, left],
        unwatched=[copy],
        left={left.id: end - 3.5 * DAY},
        step_names={step_id: name for pairs in named for step_id, name in pairs},
        outages=[(end - 5 * DAY - 3 * HOUR, end - 5 * DAY)],
        rollouts=[end - 3 * DAY],
    )
