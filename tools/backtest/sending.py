"""The rules on deliveries in numpy, beside those on clicks in `emulation`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.backtest import emulation
from tools.backtest.emulation import DAY, SENSITIVITY, WEEK, Clicks, Mask, Numbers, Pace, before, lasting
from tools.rules import deliveries as rules
from tools.rules import series as constants

REACH_HOURS = {3.0: 3}
"""The span around the same time last week in which the minimum is searched, if it is not one hour."""


@dataclass(frozen=True)
class Sending:
    """The rules' results for the deliveries of each automation at each evaluation."""

    stopped: Mask
    dropped: Mask
    """Mails have dropped and clicks with them."""
    cause: Numbers
    """1 if clicks would be missing although mails are as usual, -1 if mails are missing, 0 if neither is certain."""


def sending(delivered: Numbers, clicks: Clicks, pace: Pace, *, account: bool = False) -> Sending:
    """Return the results for deliveries, from the mails and clicks so far; with `account` the rows belong to one account."""
    with np.errstate(all="ignore"):
        return _sending(delivered, clicks, pace, account=account)


def _sending(delivered: Numbers, clicks: Clicks, pace: Pace, *, account: bool) -> Sending:
    counted = emulation.upwards(delivered)
    stop, soon, fall, known, other, scarce, again = (np.zeros(counted.shape, dtype=bool) for _ in range(7))
    for window, hours in constants.DELIVERY_WINDOWS.items():
        observed = counted - before(counted, pace.steps(hours))
        usual = _usual(observed, hours, pace)
        expected = usual * (_level(observed, usual) if account else 1)
        score = emulation.score(observed, expected, clicks.unlike[hours], hours)
        low = (score >= SENSITIVITY) & (expected >= rules.FEWEST) & (expected > observed)
        dropped = low & (observed < rules.DROPPED * expected)
        if window in constants.STOP_WINDOWS:
            soon |= dropped
            stop |= low & (observed < rules.STOPPED * expected)
        if window in constants.FALL_WINDOWS:
            fall |= dropped
        many = usual >= rules.MANY
        known |= many & ~np.isnan(observed)
        other |= many & (observed / usual < rules.AS_USUAL)
        if hours == DAY:
            scarce = observed < rules.AS_USUAL * usual
        if window == "3h":
            again = (observed >= rules.FEWEST) & (observed >= rules.DROPPED * usual)
    sure = emulation.judgeable(counted, pace)
    stopped = lasting(stop & sure, ~again)
    alike = (
        np.max([clicks.unlike[constants.WINDOWS[window]] for window in rules.ALIKE_IN], axis=0) < rules.UNLIKE_AT_MOST
    )
    both = (clicks.missing | clicks.scarce) & scarce
    long = emulation.held(fall, pace.steps(rules.LATE_HOURS) + 1)
    dropped = lasting(long & sure & alike & clicks.missing & scarce, both)
    cause = np.where(stopped | dropped | long | soon, -1.0, np.where(known & ~other, 1.0, 0.0))
    return Sending(stopped, dropped, cause)


def _usual(observed: Numbers, hours: float, pace: Pace) -> Numbers:
    reach = REACH_HOURS.get(hours, 1)
    last = before(emulation.lowest(observed, pace.steps(2 * reach)), pace.steps(WEEK - reach))
    earlier = before(last, pace.steps(WEEK))
    both: Numbers = np.where(np.isnan(earlier), last / 2, np.minimum(last, earlier))
    return both


def _level(observed: Numbers, usual: Numbers) -> Numbers:
    return emulation.level(observed, usual, rules.COUNTABLE, rules.MEMBERS)
