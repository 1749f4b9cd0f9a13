"""Seeded kinds of traffic on links: the clicks of every link of one automation in steps of five minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.backtest.traffic import PER_DAY, PER_HOUR, PER_WEEK, Numbers, noise

QUIET = (
    "plain",
    "scanners 20 %",
    "rotating weekly",
    "newsletter",
    "digest",
    "edited",
    "all edited",
    "max_links raised",
)
DEAD = ("dead link", "dead step", "dead link with 10 %", "three dead links", "link -80 %")
SHARE_NOISE = 0.12
LINKS = 6


@dataclass
class Links:
    """Clicks by link and step of time; when something broke, and which links."""

    clicks: Numbers
    steps: NDArray[np.int64]
    places: NDArray[np.int64]
    drop: int | None = None
    dead: set[int] = field(default_factory=set)


def make(kind: str, volume: float, seed: int, weeks: int = 5) -> Links:
    """Return the history of a kind."""
    draw = np.random.default_rng([seed, int(volume), (QUIET + DEAD).index(kind), 1])
    length = weeks * PER_WEEK
    hours = np.arange(length) / PER_HOUR
    angle = 2 * np.pi * (hours - draw.uniform(9, 20)) / 24
    days = np.append(draw.uniform(0.85, 1.15, 5), [0.6, 0.6])
    rhythm = (1 + draw.uniform(0.5, 0.8) * np.cos(angle)) * days[(hours // 24).astype(int) % 7]
    rate = volume / PER_DAY * rhythm / rhythm.mean() * noise(draw, length, 0.18, 10)
    shares = np.sort(draw.uniform(0.55, 0.75) ** np.arange(LINKS) * draw.uniform(0.85, 1.15, LINKS))[::-1]
    rates = np.array([share * rate * noise(draw, length, SHARE_NOISE, 10) for share in shares / shares.sum()])
    steps = ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2])[int(2 * draw.random())]
    plan = _Plan(kind, volume, weeks, draw, rates, list(steps), list(range(LINKS)))
    _EVENTS.get(kind, _nothing)(plan)
    if kind in DEAD:
        plan.drop = int(draw.uniform((weeks - 1) * 7, (weeks - 1) * 7 + 3.9) * PER_DAY)
        _break(plan)
    clicks = draw.poisson(plan.rates * (0.8 if kind == "scanners 20 %" else 1)).astype(float)
    if kind == "scanners 20 %":
        clicks += draw.poisson(plan.rates.sum(axis=0) * 0.2 / LINKS)
    if kind == "max_links raised":
        clicks[3:, : int(draw.uniform(14, 33) * PER_DAY)] = 0
    return Links(clicks, np.array(plan.steps), np.array(plan.places), plan.drop, plan.dead)


@dataclass
class _Plan:
    kind: str
    volume: float
    weeks: int
    draw: np.random.Generator
    rates: Numbers
    steps: list[int]
    places: list[int]
    drop: int | None = None
    dead: set[int] = field(default_factory=set)

    @property
    def now(self) -> NDArray[np.int64]:
        return np.arange(self.rates.shape[1])

    def add(self, rates: list[Numbers], step: int, places: list[int]) -> None:
        """Add links in a step."""
        self.rates = np.concatenate([self.rates, np.array(rates)])
        self.steps += [step] * len(rates)
        self.places += places


def _nothing(plan: _Plan) -> None:
    del plan


def _rotating(plan: _Plan) -> None:
    """Give the most clicked link another URL each week."""
    phase = int(plan.draw.integers(0, PER_WEEK))
    own = plan.rates[0].copy()
    week = (plan.now + phase) // PER_WEEK
    plan.rates[0] = own * (week == 0)
    plan.add([own * (week == number) for number in range(1, plan.weeks + 1)], plan.steps[0], [0] * plan.weeks)


def _letters(plan: _Plan, every: int, links: int, part: float, hours: float) -> None:
    first = int(plan.draw.integers(0, every))
    rates, places = [], []
    for day in range(first - 7, plan.weeks * 7, every):
        for place in range(links):
            since = plan.now / PER_HOUR - day * 24 - 10
            size = plan.volume * every * part / links * plan.draw.uniform(0.5, 1.5)
            rates.append(np.where(since > 0, size / hours / PER_HOUR * np.exp(-np.maximum(since, 0) / hours), 0))
            places.append(place)
    plan.add(rates, 9, places)


def _edited(plan: _Plan, which: list[int]) -> None:
    """Give links another URL at their places at one moment."""
    when = int(plan.draw.uniform(14, 7 * plan.weeks - 2) * PER_DAY)
    for link in which:
        later = plan.now >= when
        plan.add([plan.rates[link] * later * plan.draw.uniform(0.6, 1.4)], plan.steps[link], [plan.places[link]])
        plan.rates[link] *= ~later


def _break(plan: _Plan) -> None:
    left = 0.0
    if plan.kind == "dead step":
        step = int(plan.draw.integers(0, 3))
        plan.dead = {link for link, of in enumerate(plan.steps) if of == step}
    elif plan.kind == "three dead links":
        plan.dead = {1, 2, 4}
    elif plan.kind == "link -80 %":
        plan.dead, left = {int(plan.draw.integers(0, 3))}, 0.2
    elif plan.kind == "dead link with 10 %":
        plan.rates[3] = (plan.rates.sum(axis=0) - plan.rates[3]) / 9
        plan.dead = {3}
    else:
        plan.dead = {0}
    plan.rates[sorted(plan.dead), plan.drop :] *= left


_EVENTS: dict[str, Callable[[_Plan], None]] = {
    "rotating weekly": _rotating,
    "newsletter": lambda plan: _letters(plan, 7, 4, 0.5, 30),
    "digest": lambda plan: _letters(plan, 1, 2, 0.3, 12),
    "edited": lambda plan: _edited(plan, [int(plan.draw.integers(0, LINKS))]),
    "all edited": lambda plan: _edited(plan, list(range(LINKS))),
}
