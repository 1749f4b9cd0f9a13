"""The rules on clicks in numpy: what promtool needs minutes for takes milliseconds, and comes to the same.

It covers numbers that are fresh; what the rules do with old ones is tested with promtool alone. A history is a row of an array, a
column is an evaluation; one row is one automation, or one part of an automation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.rules import click_alerts, parts, totals
from tools.rules import series as constants

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

DAY, WEEK = 24.0, 168.0
RATIO, SENSITIVITY, MINIMUM = (float(threshold.default) for threshold in constants.THRESHOLDS)


@dataclass(frozen=True)
class Pace:
    """How often the rules are evaluated, and how often numbers change."""

    minutes: int = 5
    poll_minutes: int = 5

    def steps(self, hours: float) -> int:
        """Return how many evaluations lie in so many hours."""
        return round(hours * 60 / self.minutes)

    def polled(self, totals_so_far: Numbers) -> Numbers:
        """Return what is seen of a total at each evaluation."""
        every = self.poll_minutes // self.minutes
        steps = np.arange(totals_so_far.shape[-1]) // every * every
        return totals_so_far[..., steps]


def before(values: Numbers, steps: int) -> Numbers:
    """Return the values so many evaluations earlier, not a number before the first."""
    moved = np.full_like(values, np.nan)
    if steps < values.shape[-1]:
        moved[..., steps:] = values[..., : values.shape[-1] - steps]
    return moved


def lowest(values: Numbers, steps: int) -> Numbers:
    """Return the lowest of each value and so many before it."""
    size, found = 1, values
    while size * 2 <= steps + 1:
        found = np.fmin(found, before(found, size))
        size *= 2
    return np.fmin(found, before(found, steps + 1 - size))


def _mean(values: Numbers, steps: int) -> Numbers:
    """Return the mean of each value and so many before it, of those that are numbers."""
    known = ~np.isnan(values)
    total, count = (
        summed - np.nan_to_num(before(summed, steps + 1))
        for summed in (np.cumsum(np.where(known, values, 0), axis=-1), np.cumsum(known, axis=-1, dtype=float))
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _remembered(values: Numbers, day: int) -> Numbers:
    """Return the mean over the days so far at the same time of day, a tenth of it new each day."""
    found = values.copy()
    for start in range(day, values.shape[-1], day):
        now, last = found[:, start : start + day], found[:, start - day : start]
        last = last[:, : now.shape[1]]
        both = 0.9 * last + 0.1 * now
        found[:, start : start + day] = np.where(np.isnan(last), now, np.where(np.isnan(now), last, both))
    return found


def log_likelihood(observed: Numbers, expected: Numbers, certainty: Numbers) -> Numbers:
    """Return how much better the clicks fit a lower rate than the expected one (negative binomial)."""
    clicks = np.maximum(observed, 0.01)
    return clicks * np.log(clicks / expected) - (clicks + certainty) * np.log(
        (clicks + certainty) / (expected + certainty)
    )


def _last_weeks(values: Numbers, pace: Pace) -> tuple[Numbers, Numbers]:
    """Return the lowest around the same time last week, and a week earlier."""
    last = before(lowest(values, pace.steps(2)), pace.steps(WEEK - 1))
    return last, before(last, pace.steps(WEEK))


def automations(seen: Numbers, pace: Pace, delivered: Numbers | None = None, *, account: bool = False) -> Mask:
    """Return when clicks of automations have stopped or dropped.

    `seen` are the totals at each evaluation, `delivered` the mails so far. With `account` the rows are automations of one
    account, whose middle one says how it is doing.
    """
    with np.errstate(all="ignore"):
        return _automations(seen, pace, delivered, account=account)


def _automations(seen: Numbers, pace: Pace, delivered: Numbers | None, *, account: bool) -> Mask:
    shape, interval = seen.shape, pace.poll_minutes * 60
    low, missing, told = (np.zeros(shape, dtype=bool) for _ in range(3))
    for hours in constants.WINDOWS.values():
        observed = seen - before(seen, pace.steps(hours))
        last, earlier = _last_weeks(observed, pace)
        usual = np.fmin(last, earlier)
        telling = (usual >= totals.TELLING) & ~np.isnan(observed) & ~told
        told |= telling
        missing |= telling & (observed < usual * (1 + RATIO) / 2)
        missed = np.maximum(usual - observed, 0)
        day = pace.steps(DAY)
        squares = [
            before(_mean(_remembered(values, day), day), day)
            for values in (missed**2 + missed - usual, np.where(np.isnan(observed), np.nan, usual**2))
        ]
        unlike = np.nan_to_num(np.maximum(squares[0] / squares[1], 0))
        expected = np.fmin(usual, _by_mails(delivered, last, hours, pace)) if delivered is not None else usual
        expected = expected * (_level(observed, usual) if account else 1) * np.where(np.isnan(earlier), 0.5, 1)
        variance = (
            constants.UNLIKE_WEIGHT * (np.exp(constants.UNLIKE_STEEPNESS * unlike) - 1)
            + constants.USUAL_VARIANCE / np.maximum(expected, 0.01)
            + constants.LEVEL_VARIANCE
            + constants.HOURLY_VARIANCE / hours
        )
        asked = constants.ASKED - constants.LESS_BY_LENGTH * np.log(hours)
        score = log_likelihood(observed, expected, 1 / variance) / asked
        if hours * 3600 >= 4 * interval:
            low |= (observed < RATIO * expected) & (expected >= MINIMUM) & (score >= SENSITIVITY)
    return _lasting(low, missing, _judgeable(seen, interval, pace))


def _by_mails(delivered: Numbers, last: Numbers, hours: float, pace: Pace) -> Numbers:
    mails = before(delivered, pace.steps(1)) - before(delivered, pace.steps(hours + constants.MAIL_LAG_HOURS))
    then = before(mails, pace.steps(WEEK))
    rate = last / np.where(then > 0, then, np.nan)
    return mails * np.fmin(rate, np.where(np.isnan(rate), np.nan, before(rate, pace.steps(WEEK))))


def _level(observed: Numbers, usual: Numbers) -> Numbers:
    countable = np.where(usual >= totals.COUNTABLE, observed / usual, np.nan)
    enough = (~np.isnan(countable)).sum(axis=0) >= totals.MEMBERS
    middle = np.full(countable.shape[1], np.nan)
    middle[enough] = np.nanmedian(countable[:, enough], axis=0)
    return np.where(enough, np.minimum(middle, 1), 1)


def _judgeable(seen: Numbers, interval: int, pace: Pace) -> Mask:
    steps = np.arange(seen.shape[1])
    moves = np.diff(seen, axis=1, prepend=seen[:, :1] - 1) > 0
    silent = (steps - np.maximum.accumulate(np.where(moves, steps, 0), axis=1)) * pace.minutes * 60
    judgeable: Mask = (silent <= interval + 90) | (silent > 3600 + 2 * interval)
    return judgeable


def _lasting(begins: Mask, lasts: Mask, judgeable: Mask) -> Mask:
    """Return the state that begins with the one and lasts with the other, as judged."""
    state = np.zeros_like(begins)
    current = np.zeros(begins.shape[0], dtype=bool)
    for step in range(begins.shape[1]):
        sure, missed = judgeable[:, step], lasts[:, step]
        current = current & (missed | ~sure) | sure & missed & begins[:, step]
        state[:, step] = current
    return state


def mails(delivered: Numbers, seen: Numbers, pace: Pace) -> Mask:
    """Return when automations have stopped sending."""
    with np.errstate(all="ignore"):
        return _mails(delivered, seen, pace)


def _mails(delivered: Numbers, seen: Numbers, pace: Pace) -> Mask:
    found = np.zeros(delivered.shape, dtype=bool)
    day = pace.steps(DAY)
    for hours in (1.0, 24.0):
        sent = before(delivered, pace.steps(1)) - before(delivered, pace.steps(hours + constants.MAIL_LAG_HOURS))
        last, earlier = _last_weeks(sent, pace)
        both = np.minimum(last, earlier)
        observed = seen - before(seen, pace.steps(hours))
        usual = np.fmin(*_last_weeks(observed, pace))
        missed = np.maximum(usual - observed, 0)
        squares = [
            before(_mean(_remembered(values, day), day), day) for values in (missed**2 + missed - usual, usual**2)
        ]
        alike = squares[0] / squares[1] < click_alerts.UNLIKE_AT_MOST
        found |= (sent < click_alerts.NO_MAILS * both) & (both >= click_alerts.MAILS_AT_LEAST) & alike
    hold = pace.steps(1)
    lasted = np.cumsum(found, axis=1)
    held: Mask = found & (lasted - np.nan_to_num(before(lasted.astype(float), hold + 1)) == hold + 1)
    return held


@dataclass(frozen=True)
class Parts:
    """The links of one automation, and what the rules say of them and of its steps."""

    dead: Mask
    """A row for every link, then one for every step."""
    replaced: Mask
    """A row for every link."""


def links(clicks: Numbers, steps: NDArray[np.int64], places: NDArray[np.int64], pace: Pace) -> Parts:
    """Return when links and steps of one automation have lost their clicks, by the clicks of each link at each evaluation."""
    with np.errstate(all="ignore"):
        return _links(clicks, steps, places, pace)


def _links(clicks: Numbers, steps: NDArray[np.int64], places: NDArray[np.int64], pace: Pace) -> Parts:
    size, week = len(steps), pace.steps(WEEK)
    every = np.concatenate([clicks, [clicks[steps == step].sum(axis=0) for step in np.unique(steps)]])
    begun = np.cumsum(every, axis=1)
    born = begun > 0
    first = np.where(born, begun, np.inf).min(axis=1)
    counted = np.where(born, begun - first[:, None], np.nan)
    whole = np.nansum(counted[size:], axis=0)
    share = (counted - before(counted, week)) / (whole - before(whole, week))
    share = np.where(share > 0, share, np.nan)
    lower = np.minimum(np.minimum(share, before(share, week)), 0.95)
    odds = lower / (1 - lower)
    young = np.where(born[:size] & np.isnan(share[:size]), counted[:size], 0)
    at_place = np.array(
        [young[(steps == step) & (places == place)].sum(axis=0) for step, place in zip(steps, places, strict=True)]
    )
    best, gone, told = np.full(every.shape, -np.inf), np.full(clicks.shape, -np.inf), np.zeros(clicks.shape, bool)
    for hours in constants.PART_WINDOWS.values():
        length = pace.steps(hours)
        observed = counted - before(counted, length)
        expected = odds * (whole - before(whole, length) - observed)
        expected = np.fmin(expected, np.where(np.isnan(expected), np.nan, before(observed, week) + 1))
        short = observed < parts.SHORT * odds * (whole - before(whole, length))
        certainty = 1 / (constants.SHARE_VARIANCE + constants.SHARE_DOUBT / expected)
        asked = constants.PART_ASKED - constants.PART_LESS_BY_LENGTH * np.log(hours)
        score = log_likelihood(observed, expected, certainty) / asked
        score = np.where(short & (expected > observed) & (expected >= parts.FEWEST), score, -np.inf)
        best = np.maximum(best, score)
        taken = (score[:size] > -np.inf) & (constants.REPLACING * expected[:size] <= at_place) & (at_place > 0)
        gone = np.maximum(gone, np.where(taken, score[:size], -np.inf))
        told |= taken
    dead = -lowest(-best, pace.steps(2)) >= SENSITIVITY
    dead[:size] &= ~told
    return Parts(dead, gone >= SENSITIVITY)
