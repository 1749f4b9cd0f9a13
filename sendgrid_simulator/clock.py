"""The simulator's time: the only module here that reads a clock."""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

BUSY_HOUR: Final = 1739264400.0
"""Tuesday 2025-02-11, 09:00 UTC: the busiest hours of the week begin, five weeks after generated automations start."""


def monotonic() -> float:
    """Return monotonic real seconds, for durations."""
    return time.monotonic()


class Clock(Protocol):
    """The simulated time."""

    def time(self) -> float:
        """Return seconds since the epoch."""


class SimulatedClock:
    """Time that starts at a fixed busy hour and runs at `speed` times real time.

    Clicks depend on the hour and the day of the week. If it started at the wall clock's hour, a demo would hardly move
    at night, and a test that waits for clicks would fail then.
    """

    def __init__(
        self, speed: float = 1.0, *, start: float = BUSY_HOUR, elapsed: Callable[[], float] = monotonic
    ) -> None:
        if not speed > 0:
            raise ValueError(f"the speed must be above 0, not {speed}")
        self._speed = speed
        self._start = start
        self._elapsed = elapsed
        self._origin = elapsed()

    def time(self) -> float:
        return self._start + (self._elapsed() - self._origin) * self._speed


class WallClock:
    """The machine's wall clock, for values that a client compares with its own: `Date` and rate limit windows."""

    def time(self) -> float:
        return time.time()


class ManualClock:
    """Time that changes only when a test changes it, also backwards."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._lock = threading.Lock()

    def time(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def set(self, now: float) -> None:
        with self._lock:
            self._now = now


class HeldClock:
    """Wraps a clock that can be stopped and released."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: float | None = None

    def time(self) -> float:
        held = self._held
        return self._clock.time() if held is None else held

    def hold(self) -> None:
        """Stop time now; holding it again changes nothing."""
        self._held = self.time()

    def release(self) -> None:
        """Continue with the time as if it had never been held."""
        self._held = None
