"""The rules on clicks in numpy: in milliseconds instead of promtool's minutes, with the same results.

Only fresh numbers are covered; the rules' handling of stale ones is tested with promtool alone. Each row of an array is the
history of an automation, or of a part of one, and each column is an evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.backtest.link_traffic import Links
from tools.rules import click_alerts, parts, totals
from tools.rules import series as constants

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

DAY, WEEK = 24.0, 168.0
RATIO, SENSITIVITY, MINIMUM = (float(threshold.default) for threshold in constants.THRESHOLDS)


@dataclass(frozen=True)
class Pace:
    """The intervals of evaluations and of polls."""

    minutes: int = 5
    poll_minutes: int = 5
    slow_minutes: int = 30
    """The interval of the slow group."""

    def steps(self, hours: float) -> int:
        """Return the number of evaluations in this many hours."""
        return round(hours * 60 / self.minutes)

    def polled(self, totals_so_far: Numbers) -> Numbers:
        """Return the polled total at each evaluation."""
        every = self.poll_minutes // self.minutes
        steps = np.arange(totals_so_far.shape[-1]) // every * every
        return totals_so_far[..., steps]


def before(values: Numbers, steps: int) -> Numbers:
    """Return the values from this many evaluations earlier, NaN before the first."""
    moved = np.full_like(values, np.nan)
    if steps < values.shape[-1]:
        moved[..., steps:] = values[..., : values.shape[-1] - steps]
    return moved


def lowest(values: Numbers, steps: int) -> Numbers:
    """Return the minimum of each value and this many before it."""
    size, found = 1, values
    while size * 2 <= steps + 1:
        found = np.fmin(found, before(found, size))
        size *= 2
    return np.fmin(found, before(found, steps + 1 - size))


def _mean(values: Numbers, steps: int) -> Numbers:
    """Return the mean of each value and this many before it, ignoring NaN."""
    known = ~np.isnan(values)
    total, count = (
        summed - np.nan_to_num(before(summed, steps + 1))
        for summed in (np.cumsum(np.where(known, values, 0), axis=-1), np.cumsum(known, axis=-1, dtype=float))
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _remembered(values: Numbers, day: int) -> Numbers:
    """Return the moving average over the days at the same time of day, with weight 0.1."""
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
    """Return the minimum around the same time last week, and that of a week earlier."""
    last = before(lowest(values, pace.steps(2)), pace.steps(WEEK - 1))
    return last, before(last, pace.steps(WEEK))


@dataclass(frozen=True)
class Clicks:
    """The rules' results for the clicks of each automation at each evaluation."""

    stopped: Mask
    dropped: Mask
    """Includes stopped ones."""
    missing: Mask
    scarce: Mask
    """A day's clicks are missing."""
    judgeable: Mask
    unlike: Mapping[float, Numbers]
    """How much an automation's weeks differ, by the hours of the window."""


def automations(seen: Numbers, pace: Pace, delivered: Numbers | None = None, *, account: bool = False) -> Clicks:
    """Return when clicks of automations have stopped or dropped.

    `seen` are the totals at each evaluation, `delivered` the mails so far. With `account` the rows are automations of one
    account, whose median is its level.
    """
    with np.errstate(all="ignore"):
        return _automations(seen, pace, delivered, account=account)


def _automations(seen: Numbers, pace: Pace, delivered: Numbers | None, *, account: bool) -> Clicks:
    seen = upwards(seen)
    low, silent, missing, scarce, told = (np.zeros(seen.shape, dtype=bool) for _ in range(5))
    unlike = {}
    for hours in constants.WINDOWS.values():
        observed = seen - before(seen, pace.steps(hours))
        last, earlier = _last_weeks(observed, pace)
        usual = np.fmin(last, earlier)
        telling = (usual >= totals.TELLING) & ~np.isnan(observed) & ~told
        told |= telling
        missing |= telling & (observed < usual * (1 + RATIO) / 2)
        if hours == DAY:
            scarce = observed < usual * (1 + RATIO) / 2
        unlike[hours] = _unlike(observed, usual, pace)
        expected = np.fmin(usual, _by_mails(delivered, last, hours, pace)) if delivered is not None else usual
        in_all = level(observed, usual, totals.COUNTABLE, totals.MEMBERS) if account else 1
        expected = expected * in_all * np.where(np.isnan(earlier), 0.5, 1)
        scored = score(observed, expected, unlike[hours], hours)
        if hours * 3600 >= 4 * pace.poll_minutes * 60:
            now = (observed < RATIO * expected) & (expected >= MINIMUM) & (scored >= SENSITIVITY)
            low |= now
            silent |= now & (observed == 0)
    sure = judgeable(seen, pace)
    stopped, dropped = (lasting(begins & missing & sure, missing | ~sure) for begins in (silent, low))
    return Clicks(stopped, dropped, missing, scarce, sure, unlike)


def upwards(totals_so_far: Numbers) -> Numbers:
    """Return the totals without downward corrections."""
    return np.cumsum(np.maximum(np.diff(totals_so_far, axis=1, prepend=totals_so_far[:, :1]), 0), axis=1)


def _unlike(observed: Numbers, usual: Numbers, pace: Pace) -> Numbers:
    missed, day = np.maximum(usual - observed, 0), pace.steps(DAY)
    squares = [
        before(_mean(_remembered(values, day), day), day)
        for values in (missed**2 + missed - usual, np.where(np.isnan(observed), np.nan, usual**2))
    ]
    return squares[0] / squares[1]


def score(observed: Numbers, expected: Numbers, unlike: Numbers, hours: float) -> Numbers:
    """Return the evidence for a drop."""
    variance = (
        constants.UNLIKE_WEIGHT * (np.exp(constants.UNLIKE_STEEPNESS * np.nan_to_num(np.maximum(unlike, 0))) - 1)
        + constants.USUAL_VARIANCE / np.maximum(expected, 0.01)
        + constants.LEVEL_VARIANCE
        + constants.HOURLY_VARIANCE / hours
    )
    asked = constants.ASKED - constants.LESS_BY_LENGTH * np.log(hours)
    evidence: Numbers = log_likelihood(observed, expected, 1 / variance) / asked
    return evidence


def _by_mails(delivered: Numbers, last: Numbers, hours: float, pace: Pace) -> Numbers:
    mails = before(delivered, pace.steps(1)) - before(delivered, pace.steps(hours + constants.MAIL_LAG_HOURS))
    then = before(mails, pace.steps(WEEK))
    rate = last / np.where(then > 0, then, np.nan)
    return mails * np.fmin(rate, np.where(np.isnan(rate), np.nan, before(rate, pace.steps(WEEK))))


def level(observed: Numbers, usual: Numbers, countable: float, members: int) -> Numbers:
    """Return the median automation's fraction of its usual clicks: at most 1, and 1 if there are too few automations."""
    parts_of = np.where(usual >= countable, observed / usual, np.nan)
    enough = (~np.isnan(parts_of)).sum(axis=0) >= members
    middle = np.full(parts_of.shape[1], np.nan)
    middle[enough] = np.nanmedian(parts_of[:, enough], axis=0)
    return np.where(enough, np.minimum(middle, 1), 1)


def judgeable(seen: Numbers, pace: Pace) -> Mask:
    """Return when numbers that may pause for an hour are meaningful."""
    steps, interval = np.arange(seen.shape[1]), pace.poll_minutes * 60
    moves = np.diff(seen, axis=1, prepend=seen[:, :1] - 1) > 0
    silent = (steps - np.maximum.accumulate(np.where(moves, steps, 0), axis=1)) * pace.minutes * 60
    sure: Mask = (silent <= interval + 90) | (silent > 3600 + 2 * interval)
    return sure


def lasting(begins: Mask, lasts: Mask) -> Mask:
    """Return the state that starts with `begins` and lasts while `lasts` is true."""
    state = np.zeros_like(begins)
    current = np.zeros(begins.shape[0], dtype=bool)
    for step in range(begins.shape[1]):
        current = current & lasts[:, step] | begins[:, step]
        state[:, step] = current
    return state


def mails(delivered: Numbers, clicks: Clicks, pace: Pace) -> Mask:
    """Return when automations have stopped sending, from the mails of seven hours or more."""
    with np.errstate(all="ignore"):
        return _mails(delivered, clicks, pace)


def _mails(delivered: Numbers, clicks: Clicks, pace: Pace) -> Mask:
    found = np.zeros(delivered.shape, dtype=bool)
    for hours in (1.0, 24.0):
        sent = before(delivered, pace.steps(1)) - before(delivered, pace.steps(hours + constants.MAIL_LAG_HOURS))
        both = np.minimum(*_last_weeks(sent, pace))
        alike = clicks.unlike[hours] < click_alerts.UNLIKE_AT_MOST
        found |= (sent < click_alerts.NO_MAILS * both) & (both >= click_alerts.MAILS_AT_LEAST) & alike
    hold = pace.steps(click_alerts.MAILS_HOLD_MINUTES / 60)
    return held(found, hold + 1)


def held(found: Mask, steps: int) -> Mask:
    """Return where something has been found for this many evaluations."""
    lasted = np.cumsum(found, axis=1)
    long: Mask = found & (lasted - np.nan_to_num(before(lasted.astype(float), steps)) == steps)
    return long


@dataclass(frozen=True)
class Parts:
    """The rules' results for the links and steps of one automation."""

    dead: Mask
    """A row for every link, then one for every step."""
    replaced: Mask
    """A row for every link."""


def links(history: Links, pace: Pace) -> Parts:
    """Return when links and steps of an automation have lost their clicks, from each link's clicks at each evaluation."""
    with np.errstate(all="ignore"):
        return _links(history, pace)


def _links(history: Links, pace: Pace) -> Parts:
    size, week = len(history.steps), pace.steps(WEEK)
    rest = np.isin(np.arange(size), sorted(history.rest))
    gained, born = _gained(history)
    counted = np.where(born, np.cumsum(gained, axis=1), np.nan)
    of_steps = counted[size:]
    odds, lately, uneven = _shares(counted, of_steps, pace)
    unlike = constants.PART_UNLIKE_WEIGHT * (np.exp(constants.UNLIKE_STEEPNESS * np.maximum(uneven, 0)) - 1)
    variance = constants.SHARE_VARIANCE + np.nan_to_num(unlike)
    young = np.where(np.isnan(lately[:size]) & ~rest[:, None], gained[:size], 0)
    same = (history.steps[:, None] == history.steps) & (history.places[:, None] == history.places)
    inherited = np.where(np.isnan(lately[:size]), 0, same.astype(float) @ young)
    succeeded = counted.copy()
    succeeded[:size] += np.cumsum(inherited, axis=1)
    best = np.full(counted.shape, -np.inf)
    for hours in constants.PART_WINDOWS.values():
        length = pace.steps(hours)
        observed = succeeded - before(succeeded, length)
        expected = odds * (_whole(of_steps, length) - observed)
        last_week = before(counted - before(counted, length), week)
        expected = np.fmin(
            expected,
            np.where(np.isnan(expected), np.nan, constants.MORE_THAN_LAST_WEEK * last_week + constants.CLICKS_MORE),
        )
        certainty = 1 / (variance + (constants.SHARE_DOUBT + odds) / expected)
        asked = constants.PART_ASKED - constants.PART_LESS_BY_LENGTH * np.log(hours)
        score = log_likelihood(observed, expected, certainty) / asked
        short = (observed >= 0) & (observed < parts.SHORT * expected) & (expected >= parts.FEWEST)
        best = np.maximum(best, np.where(short, score, -np.inf))
    dead = -lowest(-best, pace.steps(2)) >= SENSITIVITY
    dead[:size] &= ~rest[:, None]
    replaced = np.zeros((size, counted.shape[1]), dtype=bool)
    for window in parts.REPLACED_IN:
        length = pace.steps(constants.PART_WINDOWS[window])
        promised = parts.SHORT * odds[:size] * _whole(of_steps, length)
        own, both = (values[:size] - before(values[:size], length) for values in (counted, succeeded))
        enough = promised >= parts.SHORT * parts.REPLACED_FROM
        replaced |= enough & (own < promised) & (both >= promised) & ~rest[:, None]
    return Parts(dead, replaced)


def _whole(of_steps: Numbers, length: int) -> Numbers:
    """Return the clicks of all steps in this many evaluations, NaN before any step is that old."""
    found = of_steps - before(of_steps, length)
    return np.where(np.isnan(found).all(axis=0), np.nan, np.nansum(found, axis=0))


def _gained(history: Links) -> tuple[Numbers, Mask]:
    """Return the clicks that links, then steps, gain at each evaluation, and from when on they exist."""
    born = np.cumsum(history.clicks != 0, axis=1) > 0
    gained = np.maximum(history.clicks, 0)
    gained[np.arange(len(gained)), np.argmax(born, axis=1)] = 0
    of_step = [history.steps == step for step in np.unique(history.steps)]
    return (
        np.concatenate([gained, [gained[links].sum(axis=0) for links in of_step]]),
        np.concatenate([born, [born[links].any(axis=0) for links in of_step]]),
    )


def _shares(counted: Numbers, of_steps: Numbers, pace: Pace) -> tuple[Numbers, Numbers, Numbers]:
    """Return each part's odds, its odds of the last ten hours, and its unevenness, as the other rules read them."""

    def gain(values: Numbers, hours: float) -> Numbers:
        return values - before(values, pace.steps(hours))

    every = pace.slow_minutes // pace.minutes
    hours, samples = constants.UNEVEN_HOURS, constants.UNEVEN_SAMPLES
    in_all = {span: _whole(of_steps, pace.steps(span)) for span in (hours, DAY, WEEK)}
    share = gain(counted, WEEK) / in_all[WEEK]
    share = np.where(share > 0, share, np.nan)[:, ::every]
    earlier = before(share, round(WEEK * 60 / pace.slow_minutes))
    lower = np.minimum(np.minimum(share, earlier), 0.95)
    alive = gain(counted, DAY)[:, ::every] > parts.SHORT * share * in_all[DAY][::every]
    expected = share * in_all[hours][::every]
    missed = (expected - gain(counted, hours)[:, ::every]) ** 2 - expected
    news = missed / (share * in_all[WEEK][::every] / (WEEK / hours)) ** 2
    odds, uneven = np.full(share.shape, np.nan), np.full(share.shape, np.nan)
    judged, last = (np.full(share.shape[0], -np.inf) for _ in range(2))
    current = np.zeros(share.shape[0])
    for step in range(share.shape[1]):
        minutes = step * pace.slow_minutes
        on = ~np.isnan(lower[:, step]) & (alive[:, step] | (minutes - judged <= parts.JUDGED_MINUTES))
        judged[on] = minutes
        odds[on, step] = (lower / (1 - lower))[on, step]
        new = ~np.isnan(news[:, step])
        current = np.where(minutes - last > DAY * 60, 0, current)
        current = np.where(new, (1 - 1 / samples) * current + news[:, step] / samples, current)
        last[new] = minutes
        uneven[new, step] = current[new]
    length = counted.shape[1]
    lately = _read(odds, length, pace, 1, hours=10)
    return _read(odds, length, pace, 1), lately, _read(uneven, length, pace, pace.steps(3 * DAY))


def _read(values: Numbers, length: int, pace: Pace, later: int, hours: float = 2) -> Numbers:
    """Return the last value within the hours at each evaluation, delayed by `later` evaluations."""
    every = pace.slow_minutes // pace.minutes
    found = np.full((values.shape[0], length), np.nan)
    found[:, ::every] = values
    steps = np.where(np.isnan(found), -1, np.arange(length))
    latest = np.maximum.accumulate(steps, axis=1)
    recent = (latest >= 0) & (np.arange(length) - latest <= pace.steps(hours) - (later == 1))
    return before(np.where(recent, np.take_along_axis(found, np.maximum(latest, 0), axis=1), np.nan), later)
