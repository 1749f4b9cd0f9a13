"""The number of events (clicks, mails) up to a moment: a pure function of a key and the time.

Events are a Poisson process whose rate depends on the hour and the day. Two steps allow queries at any moment
without replaying it:

- `weighted_hours` turns time into hours of equal rate: a busy hour counts for more than one, a night hour for less.
- `PoissonProcess` is a Poisson process of rate one. It covers [0, 16), [16, 32), [32, 64) … each with a drawn
  number of arrivals, and a look inside halves the interval and draws how many fell into the left half.
  Every draw is a hash of the key and the interval, so the order of the queries does not matter.
"""

import hashlib
import math
import struct
from bisect import bisect_right
from itertools import accumulate
from statistics import NormalDist
from typing import Final

from sendgrid_simulator.model import Change

HOUR: Final = 3600.0
_WEEK_HOURS: Final = 168
_EPOCH_HOUR: Final = 72
"""1970-01-01 was a Thursday: hour 72 of a week that begins on Monday."""
# Relative clicks of the 24 hours of a day in UTC, and of the seven days from Monday on. Only ratios matter: _SCALE
# makes the weights of a week add up to its 168 hours, so that a rate in clicks a day stays one.
_DAY: Final = (2, 1, 1, 1, 1, 2, 5, 9, 12, 14, 14, 12, 11, 12, 11, 10, 9, 9, 10, 12, 13, 10, 6, 3)
_DAYS: Final = (10, 11, 11, 10, 9, 5, 4)
_SCALE: Final = _WEEK_HOURS / (sum(_DAY) * sum(_DAYS))
_WEIGHTS: Final = tuple(hour * day * _SCALE for day in _DAYS for hour in _DAY)
_BEFORE: Final = tuple(accumulate(_WEIGHTS, initial=0.0))

_FIRST: Final = 16.0
_LEAF: Final = 8
"""Up to this many arrivals are placed by one digest of as many 64-bit numbers."""
_ANCHOR: Final = 256
"""The smallest interval with more arrivals is remembered, so that a walk forward need not start from the root."""
_EXACT_BITS: Final = 1 << 16
_EXACT_MEAN: Final = 64.0


def weighted_hours(moment: float) -> float:
    """Return the hours since the epoch, each weighted by its events; a week has 168."""
    # The integral of the weights: whole weeks, whole hours of the week from a table of sums, and a part of an hour.
    weeks, hour = divmod(moment / HOUR + _EPOCH_HOUR, _WEEK_HOURS)
    whole = int(hour)
    return weeks * _WEEK_HOURS + _BEFORE[whole] + (hour - whole) * _WEIGHTS[whole]


def exposure(started: float, changes: tuple[tuple[float, float], ...], until: float) -> float:
    """Return the weighted hours from `started` to `until`, each stretch after a change times its factor."""
    total, since, factor = 0.0, started, 1.0
    for at, following in changes:
        if at >= until:
            break
        total += max(at - since, 0.0) * factor
        since, factor = max(at, since), following
    return total + max(until - since, 0.0) * factor


def reached(started: float, changes: tuple[tuple[float, float], ...], goal: float) -> float:
    """Return the weighted hour at which the exposure reaches the goal; infinity if it never does."""
    total, since, factor = 0.0, started, 1.0
    for at, following in changes:
        stretch = max(at - since, 0.0) * factor
        if total + stretch >= goal:
            break
        total += stretch
        since, factor = max(at, since), following
    return since + (goal - total) / factor if factor > 0 else math.inf


def weighted_changes(changes: tuple[Change, ...]) -> tuple[tuple[float, float], ...]:
    """Return the changes as (weighted hour, factor)."""
    return tuple((weighted_hours(change.at), change.factor) for change in changes)


class PoissonProcess:
    """A Poisson process of rate one on [0, infinity), fixed by its key."""

    __slots__ = ("_anchor", "_block", "_count", "_from", "_key", "_until")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._from, self._until, self._count = 0.0, 0.0, 0
        self._block: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
        self._anchor = self._block

    def count(self, moment: float) -> int:
        """Return the number of arrivals in [0, moment]."""
        if not self._from <= moment < self._until:
            self._look(max(moment, 0.0))
        return self._count

    def quiet_until(self, moment: float) -> float:
        """Return a later moment before which nothing arrives."""
        self.count(moment)
        return self._until

    def first(self) -> float:
        """Return the moment of the first arrival."""
        moment = 0.0
        while self.count(moment) == 0:
            moment = self._until
        return moment

    def _look(self, moment: float) -> None:
        # Descends a binary tree of intervals that is never stored: each node's numbers are drawn again from its hash.
        low, high, before, inside = self._interval(moment)
        while inside > _LEAF:
            if inside > _ANCHOR:
                self._anchor = (low, high, before, inside)
            middle = (low + high) / 2
            left = self._left_half(low, high, inside)
            if moment < middle:
                high, inside = middle, left
            else:
                low, before, inside = middle, before + left, inside - left
        arrivals = self._arrivals(low, high, inside)
        passed = bisect_right(arrivals, moment)
        # Until the next arrival every query has the same answer, so it is kept.
        self._from = arrivals[passed - 1] if passed else low
        self._until = arrivals[passed] if passed < inside else high
        self._count = before + passed

    def _interval(self, moment: float) -> tuple[float, float, int, int]:
        """Return (low, high, arrivals before, arrivals inside) of a drawn interval that holds the moment."""
        if self._anchor[0] <= moment < self._anchor[1]:
            return self._anchor
        low, high, before, inside = self._block
        if moment < low or not high:
            low, high, before = 0.0, _FIRST, 0
            inside = self._drawn(low, high)
        while moment >= high:
            low, high, before = high, high * 2, before + inside
            inside = self._drawn(low, high)
        self._block = (low, high, before, inside)
        return self._block

    def _drawn(self, low: float, high: float) -> int:
        """Draw the number of arrivals in [low, high): Poisson, approximately normal if there are many."""
        mean = high - low
        chance = self._uniform(low, high, b"number")
        # Inverse transform sampling: the smallest n whose cumulative probability, the sum of e^-mean mean^k / k! for
        # k up to n, reaches the chance. From a mean of 64 on the normal law with the same mean and variance is close.
        if mean > _EXACT_MEAN:
            return max(round(NormalDist(mean, math.sqrt(mean)).inv_cdf(chance)), 0)
        number, term = 0, math.exp(-mean)
        reached_chance = term
        while chance > reached_chance and term > 0:
            number += 1
            term *= mean / number
            reached_chance += term
        return number

    def _left_half(self, low: float, high: float, inside: int) -> int:
        """Draw the number of arrivals in the left half: a coin toss for each."""
        if inside > _EXACT_BITS:
            law = NormalDist(inside / 2, math.sqrt(inside) / 2)
            return min(max(round(law.inv_cdf(self._uniform(low, high, b"half"))), 0), inside)
        # Given their number, the arrivals of a Poisson process are spread uniformly and independently, so those in the
        # left half are binomial (n, 1/2): the number of ones among n random bits. Large n again take the normal law.
        tosses = hashlib.shake_128(self._place(low, high, b"coins")).digest((inside + 7) // 8)
        return (int.from_bytes(tosses, "big") >> (-inside % 8)).bit_count()

    def _arrivals(self, low: float, high: float, inside: int) -> list[float]:
        """Draw the positions of a few arrivals in [low, high), in order."""
        draws = struct.unpack(">8Q", hashlib.blake2b(self._place(low, high, b"places")).digest())
        width = (high - low) / (1 << 64)
        return sorted(low + draw * width for draw in draws[:inside])

    def _uniform(self, low: float, high: float, purpose: bytes) -> float:
        """Draw a number in (0, 1), never one of the ends."""
        # 52 bits, the mantissa of a double; the half keeps out 0 and 1, where the normal law is infinite.
        digest = hashlib.blake2b(self._place(low, high, purpose), digest_size=8).digest()
        return ((int.from_bytes(digest, "big") >> 12) + 0.5) / (1 << 52)

    def _place(self, low: float, high: float, purpose: bytes) -> bytes:
        return self._key + struct.pack(">dd", low, high) + purpose
