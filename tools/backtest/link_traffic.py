"""Seeded kinds of traffic on links: the clicks of every link of one automation in steps of five minutes.

A third of the histories have no positions, as if SendGrid gave no `url_location`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tools.backtest.traffic import PER_DAY, PER_HOUR, PER_WEEK, Numbers, noise

QUIET = (
    "plain",
    "scanners 20 %",
    "rotating",
    "newsletter",
    "digest",
    "steps on weekdays",
    "edited",
    "all edited",
    "corrected",
    "max_links raised",
)
AWAY = "edited, away for hours"
"""A link that has no clicks for up to six hours before it is replaced."""
DEAD = ("dead link", "dead step", "dead link with 10 %", "three dead links", "link -80 %")
SHARE_NOISE = 0.12
LINKS = 6
NO_PLACE = -1
LETTERS = 9
"""The step of a newsletter, a digest, or a mail with weekdays of its own."""


@dataclass
class Links:
    """Clicks by link and time step; when something broke, and which links."""

    clicks: Numbers
    steps: NDArray[np.int64]
    places: NDArray[np.int64]
    drop: int | None = None
    dead: set[int] = field(default_factory=set)
    rest: set[int] = field(default_factory=set)
    """Overflow rows."""


def make(kind: str, volume: float, seed: int, weeks: int = 5) -> Links:
    """Return the history of a kind."""
    draw = np.random.default_rng([seed, int(volume), *kind.encode()])
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
    links = Links(clicks, np.array(plan.steps), np.array(plan.places), plan.drop, plan.dead)
    if draw.random() < 1 / 3:
        links.places[:] = NO_PLACE
    if kind == "max_links raised":
        _raise_limit(links, int(draw.uniform(14, 7 * weeks - 2) * PER_DAY))
    if kind == "corrected":
        _correct(links, draw)
    return links


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

    def add(self, rates: Sequence[Numbers], step: int, places: Sequence[int]) -> None:
        """Add links in a step."""
        self.rates = np.concatenate([self.rates, np.array(rates)])
        self.steps += [step] * len(rates)
        self.places += places

    def life(self, begin: float, end: float, overlap: float) -> Numbers:
        """Return 1 between two time steps, then a decay: earlier mails are still clicked for this many hours."""
        since = np.maximum(self.now - end, 0) / PER_HOUR
        after = np.exp(-since / overlap) if overlap else (since == 0).astype(float)
        alive: Numbers = np.where(self.now < begin, 0, np.where(self.now < end, 1, after))
        return alive


def _nothing(plan: _Plan) -> None:
    del plan


def _overlap(plan: _Plan) -> float:
    """Return how long old mails are still clicked; in half of the histories not at all."""
    return float(plan.draw.choice([0, 0, 3, 16]))


def _rotating(plan: _Plan) -> None:
    """Give the most clicked link another URL every few days."""
    period = int(plan.draw.choice([3, 5, 7, 10])) * PER_DAY
    phase, overlap, own = int(plan.draw.integers(0, period)), _overlap(plan), plan.rates[0].copy()
    begins = [number * period - phase for number in range(plan.now.size // period + 2)]
    lives = [own * plan.life(begin, begin + period, overlap) for begin in begins]
    born = own * np.minimum(1, sum(plan.life(begin, begin + period, 0) for begin in begins))
    for number in range(1, len(lives)):
        lives[number] = np.minimum(
            lives[number], np.maximum(born - lives[number - 1] * (plan.now >= begins[number]), 0)
        )
    plan.rates[0] = lives[0]
    plan.add(lives[1:], plan.steps[0], [0] * (len(lives) - 1))


def _letters(plan: _Plan, every: int, links: int, part: float, hours: float) -> None:
    """Send a mail with its own links every few days, sometimes hours late."""
    first = int(plan.draw.integers(0, every))
    rates: list[Numbers] = []
    places: list[int] = []
    for day in range(first - 7, plan.weeks * 7, every):
        late = plan.draw.uniform(1, 6) if plan.draw.random() < 1 / 4 else plan.draw.normal(0, 0.3)
        for place in range(links):
            since = plan.now / PER_HOUR - day * 24 - 10 - late
            size = plan.volume * every * part / links * plan.draw.uniform(0.5, 1.5)
            rates.append(np.where(since > 0, size / hours / PER_HOUR * np.exp(-np.maximum(since, 0) / hours), 0))
            places.append(place)
    plan.add(rates, LETTERS, places)


def _weekdays(plan: _Plan) -> None:
    """Send a mail with the same two links on some weekdays, sometimes hours late."""
    days = plan.draw.choice(7, int(plan.draw.integers(1, 4)), replace=False)
    hours, part = plan.draw.uniform(2, 20), plan.draw.uniform(0.15, 0.5)
    rate = np.zeros(plan.now.size)
    for week in range(-1, plan.weeks):
        for day in days:
            late = plan.draw.uniform(1, 6) if plan.draw.random() < 1 / 4 else plan.draw.normal(0, 0.3)
            since = plan.now / PER_HOUR - (week * 7 + day) * 24 - 10 - late
            size = plan.volume * 7 * part / days.size * plan.draw.uniform(0.7, 1.4)
            rate += np.where(since > 0, size / hours / PER_HOUR * np.exp(-np.maximum(since, 0) / hours), 0)
    plan.add([rate * 0.6, rate * 0.4], LETTERS, [0, 1])


def _edited(plan: _Plan, which: list[int], away: float = 0) -> None:
    """Give links another URL at the same position, all at one moment."""
    when, overlap = plan.draw.uniform(14, 7 * plan.weeks - 2) * PER_DAY, _overlap(plan)
    back, end = when + away * PER_HOUR, plan.now.size
    for link in which:
        own, old = plan.rates[link].copy(), plan.life(0, when, overlap)
        new = (1 - old) * plan.life(back, end, 0) * plan.draw.uniform(0.6, 1.4)
        plan.add([own * new], plan.steps[link], [plan.places[link]])
        plan.rates[link] = own * old


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


def _raise_limit(links: Links, when: int) -> None:
    """Keep the least clicked half in their steps' overflow rows until a given moment."""
    folded = np.arange(LINKS // 2, LINKS)
    rows, rests = [], np.unique(links.steps[folded])
    for step in rests:
        row = links.clicks[folded[links.steps[folded] == step]].sum(axis=0)
        row[when:] = 0
        rows.append(row)
    before = links.clicks[folded, :when].sum(axis=1)
    links.clicks[folded, :when] = 0
    links.clicks[folded, when] += before
    links.rest = set(range(len(links.steps), len(links.steps) + rests.size))
    links.clicks = np.concatenate([links.clicks, np.array(rows)])
    links.steps = np.append(links.steps, rests)
    links.places = np.append(links.places, np.full(rests.size, NO_PLACE))


def _correct(links: Links, draw: np.random.Generator) -> None:
    """Reduce the totals of some links by a few percent at one moment."""
    when = int(draw.uniform(14, links.clicks.shape[1] / PER_DAY - 2) * PER_DAY)
    for link in draw.choice(LINKS, int(draw.integers(1, LINKS)), replace=False):
        links.clicks[link, when] -= np.floor(links.clicks[link, :when].sum() * draw.uniform(0.01, 0.06))


_EVENTS: dict[str, Callable[[_Plan], None]] = {
    "rotating": _rotating,
    "newsletter": lambda plan: _letters(plan, int(plan.draw.choice([3, 7])), 4, 0.5, plan.draw.uniform(8, 60)),
    "digest": lambda plan: _letters(plan, 1, 2, 0.3, 12),
    "steps on weekdays": _weekdays,
    "edited": lambda plan: _edited(plan, [int(plan.draw.integers(0, LINKS))]),
    "all edited": lambda plan: _edited(plan, list(range(LINKS))),
    AWAY: lambda plan: _edited(plan, [int(plan.draw.integers(0, LINKS))], plan.draw.uniform(1, 6)),
}
