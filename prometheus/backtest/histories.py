"""Seeded click histories of one automation: what Prometheus would have scraped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEP_MINUTES = 5
PER_HOUR = 60 // STEP_MINUTES
PER_DAY = 24 * PER_HOUR
PER_WEEK = 7 * PER_DAY
WEEKS = 5

QUIET = (
    "steady", "exporter away 6 h", "api away 6 h", "api frozen 1 h", "corrected by 2 %", "week at three times",
    "growth", "weekends at 15 %", "brand new", "5 clicks a day", "rollout",
)  # fmt: skip
DROPS = ("stop", "-70 %", "dead link", "dead step")
VOLUMES = (50, 300, 2000, 20000)

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """What a history is about; the same case gives the same history."""

    kind: str
    volume: float
    seed: int
    poll_minutes: int = 5
    weeks: int = WEEKS

    @property
    def name(self) -> str:
        """Return a name that is unique among the cases of a run."""
        return f"{self.kind}/{self.volume:g}/{self.poll_minutes}m/{self.seed}"

    @property
    def is_drop(self) -> bool:
        """Tell whether something breaks in it."""
        return self.kind in DROPS


@dataclass
class History:
    """Scrapes five minutes apart; not a number where a series is absent."""

    case: Case
    links: Numbers
    steps: list[int]
    total: Numbers
    success: Numbers
    up: Numbers
    interval: float
    rollout: int | None = None
    drop: int | None = None
    dead: set[int] = field(default_factory=set)


@dataclass
class _Draft:
    """A history in the making: rates by link, then what the polls do to it."""

    generator: np.random.Generator
    rates: Numbers
    steps: list[int]
    fresh: Mask
    frozen: Mask
    gone: Mask
    correction: int | None = None
    rollout: int | None = None
    begin: int = 0
    drop: int | None = None
    dead: set[int] = field(default_factory=set)

    @property
    def length(self) -> int:
        return int(self.rates.shape[1])

    def moment(self, first_day: float, last_day: float) -> int:
        """Return a random step between two days."""
        return int(self.generator.uniform(first_day, last_day) * PER_DAY)


def make(case: Case) -> History:
    """Return the history of a case."""
    digest = [case.seed, int(case.volume * 10), case.poll_minutes, (QUIET + DROPS).index(case.kind)]
    generator = np.random.default_rng(digest)
    draft = _plain(case, generator)
    _EVENTS[case.kind](draft, case)
    return _polled(case, draft)


def _plain(case: Case, generator: np.random.Generator) -> _Draft:
    length = case.weeks * PER_WEEK
    volume = 5.0 if case.kind == "5 clicks a day" else case.volume
    hours = np.arange(length) / PER_HOUR
    rate = volume / PER_DAY * _daily(hours, generator) * _weekly(hours, case.kind, generator)
    rate *= np.repeat(generator.gamma(25, 1 / 25, case.weeks * 168), PER_HOUR)
    shares = np.sort(generator.uniform(0.55, 0.75) ** np.arange(6) * generator.uniform(0.85, 1.15, 6))[::-1]
    layouts = ([0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2])
    steps = layouts[int(2 * generator.random())]
    none = np.zeros(length, dtype=bool)
    return _Draft(generator, np.outer(shares / shares.sum(), rate), steps, ~none, none.copy(), none.copy())


def _daily(hours: Numbers, generator: np.random.Generator) -> Numbers:
    peak, depth = generator.uniform(9, 20), generator.uniform(0.6, 0.9)
    angle = 2 * np.pi * (hours - peak) / 24
    return 1 + depth * (0.8 * np.cos(angle) + 0.2 * np.cos(2 * angle))


def _weekly(hours: Numbers, kind: str, generator: np.random.Generator) -> Numbers:
    weekend = 0.15 if kind == "weekends at 15 %" else generator.uniform(0.4, 1.0)
    days = np.concatenate([generator.uniform(0.85, 1.15, 5), [weekend, weekend]])
    shift = int(generator.integers(0, 7 * 24))
    chosen: Numbers = (days / days.mean())[((hours + shift) // 24).astype(int) % 7]
    return chosen


def _polled(case: Case, draft: _Draft) -> History:
    clicks = draft.generator.poisson(draft.rates).astype(float)
    clicks[:, : draft.begin] = 0
    before = draft.generator.uniform(0, 150) * case.volume if draft.begin == 0 and case.kind != "5 clicks a day" else 0
    shares = draft.rates.sum(axis=1) / draft.rates.sum()
    totals = np.cumsum(clicks, axis=1) + np.floor(before * shares)[:, None]
    if draft.correction is not None:
        lost = np.floor(totals[:, draft.correction] * 0.02)
        totals[:, draft.correction :] -= lost[:, None]
    every = case.poll_minutes // STEP_MINUTES
    polls = np.arange(draft.length) // every * every
    shown = _last(np.where(draft.frozen, -1, polls), polls)
    success = _last(np.where(draft.fresh, polls, -1), polls)
    links = totals[:, shown]
    total = links.sum(axis=0)
    links[links == 0] = np.nan
    absent = draft.gone | (np.arange(draft.length) < draft.begin)
    links[:, absent] = np.nan
    total = np.where(absent, np.nan, total)
    seconds = np.where(absent & ~draft.gone, np.nan, success * STEP_MINUTES * 60.0)
    up = np.where(draft.fresh, 1.0, 0.0)
    for series in (seconds, up):
        if case.kind == "exporter away 6 h":
            series[draft.gone] = np.nan
    return History(
        case, links, draft.steps, total, seconds, up, case.poll_minutes * 60.0, draft.rollout, draft.drop, draft.dead
    )  # fmt: skip


def _last(polls: NDArray[np.int64], every: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at each step the last poll that counts, polls being -1 where it does not."""
    counted = np.where(polls[every] >= 0, every, 0)
    return np.maximum.accumulate(counted)


def _steady(draft: _Draft, case: Case) -> None:
    del draft, case


def _exporter_away(draft: _Draft, case: Case) -> None:
    start = draft.moment(1, 7 * case.weeks - 1)
    draft.gone[start : start + 6 * PER_HOUR] = True


def _api_away(draft: _Draft, case: Case) -> None:
    every = case.poll_minutes // STEP_MINUTES
    start = draft.moment(1, 7 * case.weeks - 1) // every * every
    away = slice(start, start + max(6 * PER_HOUR, 6 * every))
    draft.frozen[away] = True
    draft.fresh[away] = False
    draft.gone[start + 3 * every : away.stop] = True


def _api_frozen(draft: _Draft, case: Case) -> None:
    start = draft.moment(1, 7 * case.weeks - 1)
    draft.frozen[start : start + PER_HOUR] = True


def _corrected(draft: _Draft, case: Case) -> None:
    draft.correction = draft.moment(1, 7 * case.weeks - 1)


def _burst(draft: _Draft, case: Case) -> None:
    start = draft.moment(7, 7 * (case.weeks - 2))
    draft.rates[:, start : start + PER_WEEK] *= 3


def _growth(draft: _Draft, case: Case) -> None:
    weekly = draft.generator.uniform(1.05, 1.35)
    draft.rates *= weekly ** (np.arange(draft.length) / PER_WEEK - case.weeks + 1)


def _brand_new(draft: _Draft, case: Case) -> None:
    draft.begin = draft.moment(0.5, 7 * (case.weeks - 1.5))


def _rollout(draft: _Draft, case: Case) -> None:
    draft.rollout = draft.moment(1, 7 * case.weeks - 1)


def _fall(draft: _Draft, links: list[int], factor: float) -> None:
    weeks = draft.length // PER_WEEK
    draft.drop = draft.moment(7 * (weeks - 1), 7 * (weeks - 1) + 3.9)
    draft.dead = set(links)
    draft.rates[links, draft.drop :] *= factor


def _stop(draft: _Draft, case: Case) -> None:
    del case
    _fall(draft, list(range(6)), 0)


def _fall_70(draft: _Draft, case: Case) -> None:
    del case
    _fall(draft, list(range(6)), 0.3)


def _dead_link(draft: _Draft, case: Case) -> None:
    del case
    _fall(draft, [0], 0)


def _dead_step(draft: _Draft, case: Case) -> None:
    del case
    step = int(draft.generator.integers(0, 3))
    _fall(draft, [link for link, of in enumerate(draft.steps) if of == step], 0)


_EVENTS: dict[str, Callable[[_Draft, Case], None]] = {
    "steady": _steady,
    "exporter away 6 h": _exporter_away,
    "api away 6 h": _api_away,
    "api frozen 1 h": _api_frozen,
    "corrected by 2 %": _corrected,
    "week at three times": _burst,
    "growth": _growth,
    "weekends at 15 %": _steady,
    "brand new": _brand_new,
    "5 clicks a day": _steady,
    "rollout": _rollout,
    "stop": _stop,
    "-70 %": _fall_70,
    "dead link": _dead_link,
    "dead step": _dead_step,
}
