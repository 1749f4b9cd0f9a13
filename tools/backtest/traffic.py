"""Seeded kinds of traffic: the clicks and mails of one automation in steps of five minutes.

The parameters are our own. The noise of every history lasts hours: a log-normal of 18 % with a correlation time of ten hours, half of it
in the mails and half in the clicks per mail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

PER_HOUR = 12
PER_DAY = 24 * PER_HOUR
PER_WEEK = 7 * PER_DAY

PLAIN = (
    "plain",
    "growth",
    "office hours",
    "US + EU",
    "step up",
    "clocks change",
    "clocks change, office hours",
    "corrected",
    "polls every hour",
    "polls every three hours",
)
BATCHES = (
    "batch daily", "batch twice a day", "batch on weekdays", "batch weekly", "batch irregular", "cohorts", "fading -20 %",
    "scanners 6 %", "scanners 20 %", "noise 40 %",
)  # fmt: skip
TRENDS = ("fading -63 %", "launch", "holiday", "Black Friday")
LATE = ("batch late",)
"""One send in seven is up to six hours late."""

KINDS = (*PLAIN, *BATCHES, *TRENDS, *LATE)
POLL_MINUTES = {"polls every hour": 60, "polls every three hours": 180}
FALLS = {"stop": 0.0, "-70 %": 0.3}
MAIL_FALLS = {"mails stop": 0.0, "mails -70 %": 0.3}
"""The fraction of clicks left while mails continue, and the fraction of mails left, whose clicks fade."""

NOISE, NOISE_HOURS = 0.18, 10.0
CLICKS_BY_MAIL = 0.08
WORKDAYS = 5
SCANNED = 8
"""Clicks that a scanner makes at once in one mail."""


@dataclass(frozen=True)
class History:
    """Clicks and mails of each step, and when something broke."""

    clicks: Numbers
    mails: Numbers
    drop: int | None = None


def make(
    kind: str,
    volume: float,
    seed: int,
    *,
    weeks: int = 5,
    fall: str = "",
    days: int | None = None,
    clicks_by_mail: float = CLICKS_BY_MAIL,
) -> History:
    """Return a history of a kind; with a fall, one in which clicks, or mails and then clicks, fall in the last week.

    Histories of the same `days` have their weekdays, holidays and odd weeks on the same days.
    """
    draw = np.random.default_rng([seed, int(volume), *kind.encode()])
    maker = _Maker(kind, volume, weeks, draw, np.random.default_rng([seed if days is None else days, 2]))
    mails, clicks = maker.sends() if kind.startswith("batch") or kind == "cohorts" else maker.flow()
    spread, hours = (0.4, NOISE_HOURS) if kind == "noise 40 %" else (NOISE, NOISE_HOURS)
    first, second = (noise(draw, maker.length, spread / np.sqrt(2), hours) for _ in range(2))
    clicks, mails = clicks * first * second, mails * first / clicks_by_mail
    scanned = {"scanners 6 %": 0.06, "scanners 20 %": 0.2}.get(kind, 0.0)
    came = draw.poisson(clicks * (1 - scanned)).astype(float)
    if scanned:
        came += SCANNED * draw.poisson(np.roll(clicks, -PER_HOUR // 2) * scanned / SCANNED)
    if kind == "corrected":
        when = int(draw.uniform(14, 7 * weeks) * PER_DAY)
        came[when] -= np.floor(came[:when].sum() * draw.uniform(0.01, 0.06))
    drop = None
    if fall:
        drop = int(draw.uniform((weeks - 1) * 7, (weeks - 1) * 7 + 3.9) * PER_DAY)
        if fall in FALLS:
            came[drop:] = draw.binomial(came[drop:].astype(int), FALLS[fall])
    sent = draw.poisson(mails).astype(float)
    if fall in MAIL_FALLS:
        left = MAIL_FALLS[fall]
        sent[drop:] = draw.binomial(sent[drop:].astype(int), left)
        part = left + (1 - left) * (1 - np.cumsum(delay(draw, came.size - (drop or 0))))
        came[drop:] = draw.binomial(came[drop:].astype(int), np.clip(part, 0, 1))
    return History(came, sent, drop)


def missed_send(kind: str, volume: float, seed: int, *, weeks: int = 5) -> History:
    """Return a history of batches whose sends end in the last week; the drop is when the first is missing."""
    whole = make(kind, volume, seed, weeks=weeks)
    large = np.flatnonzero(whole.mails > whole.mails.max() * 0.02)
    gap = PER_WEEK if kind == "batch weekly" else PER_DAY
    sends = [step for step in large.tolist() if step >= (weeks - 1) * PER_WEEK]
    usual = sends[0] if sends else int(large[-1]) + gap
    draw = np.random.default_rng([seed, 1])
    fading = np.exp(-np.arange(whole.clicks.size - usual) / (6 * PER_HOUR))
    level = whole.clicks[usual - PER_HOUR : usual].mean()
    clicks, mails = whole.clicks.copy(), whole.mails.copy()
    clicks[usual:] = draw.poisson(level * fading)
    mails[usual:] = 0
    return History(clicks, mails, usual)


def noise(draw: np.random.Generator, length: int, spread: float, hours: float) -> Numbers:
    """Return a log-normal factor around 1 with a correlation time of this many hours."""
    kept = np.exp(-1 / (hours * PER_HOUR))
    steps = draw.normal(0, np.sqrt(1 - kept**2), length)
    steps[0] = draw.normal()
    walk = np.empty(length)
    last = 0.0
    for index, step in enumerate(steps.tolist()):
        last = kept * last + step
        walk[index] = last
    factor: Numbers = np.exp(spread * walk - spread**2 / 2)
    return factor


class _Maker:
    """The rates of a history, before random noise."""

    def __init__(
        self, kind: str, volume: float, weeks: int, draw: np.random.Generator, days: np.random.Generator
    ) -> None:
        self.kind, self.volume, self.weeks, self.draw, self.days = kind, volume, weeks, draw, days
        self.length = weeks * PER_WEEK
        self.hours = np.arange(self.length) / PER_HOUR
        self.first_weekday = int(days.integers(0, 7))
        self.weekday = ((self.hours // 24).astype(int) + self.first_weekday) % 7
        office = kind.endswith("office hours")
        self.weekend = 0.15 if office else float(draw.uniform(0.4, 1.0))
        self.rhythm = self._daily(office) * np.append(draw.uniform(0.85, 1.15, 5), [self.weekend] * 2)[self.weekday]
        self.rhythm /= self.rhythm.mean()

    def _daily(self, office: bool) -> Numbers:  # noqa: FBT001 - one caller
        hours = self.hours
        if self.kind.startswith("clocks change"):
            change = int(self.draw.integers(2, self.weeks)) * PER_WEEK
            hours = hours + np.where(np.arange(self.length) >= change, self.draw.choice([-1, 1]), 0)
        of_day = hours % 24
        if office:
            working: Numbers = 1 / (1 + np.exp(-2 * (of_day - 8))) / (1 + np.exp(1.5 * (of_day - 18))) + 0.01
            return working
        if self.kind == "US + EU":
            humps = [np.exp(-0.5 * (((of_day - peak + 12) % 24 - 12) / 3) ** 2) for peak in (10, 17)]
            both: Numbers = humps[0] + self.draw.uniform(0.4, 0.8) * humps[1] + 0.05
            return both
        peak, depth = self.draw.uniform(9, 20), self.draw.uniform(0.6, 0.9)
        angle = 2 * np.pi * (hours - peak) / 24
        wave: Numbers = 1 + depth * (0.8 * np.cos(angle) + 0.2 * np.cos(2 * angle))
        return wave

    def flow(self) -> tuple[Numbers, Numbers]:
        """Return the mails, in clicks, and the clicks of an automation that people enter individually."""
        clicks = self.volume / PER_DAY * self.rhythm * _FORMS.get(self.kind, _even)(self)
        return np.roll(clicks, -int(self.draw.uniform(0.5, 2) * PER_HOUR)), clicks

    def sends(self) -> tuple[Numbers, Numbers]:
        """Return the same for an automation that people enter in batches."""
        sent = np.zeros(self.length)
        for step, size in self._sends():
            lasts = int(self.draw.uniform(1, 6))
            if 0 <= step < self.length:
                sent[step : step + lasts] += size / lasts
        mails = self.volume * (sent / sent.sum() * self.length / PER_DAY + 0.02 * self.rhythm / PER_DAY)
        awake = 0.25 + 0.75 * (1 + 0.8 * np.cos(2 * np.pi * (self.hours - 14) / 24)) / 1.2
        clicks = _convolved(mails, delay(self.draw, 6 * PER_DAY)) * awake
        return mails, clicks * self.volume * self.length / PER_DAY / clicks.sum()

    def _sends(self) -> list[tuple[int, float]]:
        draw = self.draw
        hour, jitter, spread = draw.uniform(6, 16), draw.uniform(0.05, 0.5), draw.uniform(0.1, 0.35)

        def send(day: float, at: float, size: float = 1.0) -> tuple[int, float]:
            return int((day * 24 + at + draw.normal(0, jitter)) * PER_HOUR), size * float(
                np.exp(draw.normal(0, spread))
            )

        days = range(self.weeks * 7)
        if self.kind == "batch irregular":
            found, day = [], 0.0
            while day < len(days):
                found.append(send(int(day), draw.uniform(6, 18), float(np.exp(draw.normal(0, 0.4)))))
                day += draw.uniform(1, 5)
            return found
        if self.kind == "cohorts":
            return [
                send(week * 7 + 1 + later, hour, size)
                for week in range(-1, self.weeks)
                for later, size in ((0, 1), (2, 0.7), (5, 0.5))
            ]
        weekday = int(draw.integers(0, 5))
        on = {"batch on weekdays": range(5), "batch weekly": (weekday,)}.get(self.kind, range(7))
        sends = [send(day, hour) for day in days if (day + self.first_weekday) % 7 in on]
        if self.kind == "batch twice a day":
            later, part = draw.uniform(4, 9), draw.uniform(0.3, 1)
            sends += [send(day, hour + later, part) for day in days]
        if self.kind == "batch late":
            late = draw.uniform(1, 6, len(sends)) * (draw.random(len(sends)) < 1 / 7)
            sends = [(step + int(hours * PER_HOUR), size) for (step, size), hours in zip(sends, late, strict=True)]
        return sends


def delay(draw: np.random.Generator, length: int) -> Numbers:
    """Return the distribution of a mail's clicks over the following day or more."""
    hours = np.arange(length) / PER_HOUR
    soon = draw.uniform(0.8, 2.5)
    spread: Numbers = (
        0.6 * np.exp(-hours / soon) / soon + 0.3 * np.exp(-hours / 12) / 12 + 0.1 * np.exp(-hours / 60) / 60
    )
    spread /= spread.sum()
    return spread


def _convolved(values: Numbers, kernel: Numbers) -> Numbers:
    size = 1 << (values.size + kernel.size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(values, size) * np.fft.rfft(kernel, size), size)
    convolved: Numbers = np.maximum(product[: values.size], 0)
    return convolved


def _even(maker: _Maker) -> Numbers:
    return np.ones(maker.length)


def _growth(maker: _Maker) -> Numbers:
    growth: Numbers = maker.draw.uniform(1.05, 1.35) ** (np.arange(maker.length) / PER_WEEK - maker.weeks + 1)
    return growth


def _step_up(maker: _Maker) -> Numbers:
    return np.where(np.arange(maker.length) > maker.draw.uniform(1, maker.weeks) * PER_WEEK, 2.0, 1.0)


def _fading(left: float) -> Callable[[_Maker], Numbers]:
    def form(maker: _Maker) -> Numbers:
        fading: Numbers = left ** (np.arange(maker.length) / PER_WEEK - 1)
        return fading

    return form


def _launch(maker: _Maker) -> Numbers:
    since = np.arange(maker.length) / PER_WEEK - maker.draw.uniform(0, 1.5)
    return np.where(since < 0, 0.15, 0.15 + 6 * np.exp(-np.maximum(since, 0) / maker.draw.uniform(0.3, 1)))


def _holiday(maker: _Maker) -> Numbers:
    days = [day for day in range(14, maker.weeks * 7) if (day + maker.first_weekday) % 7 < WORKDAYS]
    day = maker.days.choice(days)
    return np.where((maker.hours // 24).astype(int) == day, maker.days.uniform(0.25, 0.6), 1.0)


def _black_friday(maker: _Maker) -> Numbers:
    week = int(maker.days.integers(1, maker.weeks - 1))
    day = week * 7 + int(maker.days.integers(2, 7))
    form = np.where((maker.hours // 168).astype(int) == week, maker.days.uniform(1.5, 3), 1.0)
    return np.where((maker.hours // 24).astype(int) == day, form * maker.days.uniform(2, 3), form)


_FORMS: dict[str, Callable[[_Maker], Numbers]] = {
    "growth": _growth,
    "step up": _step_up,
    "fading -20 %": _fading(0.8),
    "fading -63 %": _fading(0.37),
    "launch": _launch,
    "holiday": _holiday,
    "Black Friday": _black_friday,
}
