"""The simulator's time: the only module here that reads a clock."""

import threading
import time
from typing import Protocol


def monotonic() -> float:
    """Return real seconds that never go backwards, for what takes its time."""
    return time.monotonic()


class Clock(Protocol):
    """The simulated time."""

    def time(self) -> float:
        """Return seconds since the epoch."""


class RealClock:
    """The machine's wall clock, from the moment of construction on at `speed` times its pace."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"the speed must be above 0, not {speed}")
        self._speed = speed
        self._origin = time.time()

    def time(self) -> float:
        return self._origin + (time.time() - self._origin) * self._speed


class ManualClock:
    """Time that moves only when a test moves it, backwards too."""

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
    """Another clock that can be held still and let go again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: float | None = None

    def time(self) -> float:
        held = self._held
        return self._clock.time() if held is None else held

    def hold(self) -> None:
        """Stop time where it is now; once held, holding again changes nothing."""
        self._held = self.time()

    def release(self) -> None:
        """Go on at the time it would be had it never been held."""
        self._held = None
