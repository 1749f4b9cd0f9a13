"""Time, injected: the only module that reads a clock or waits."""

import threading
from time import monotonic as system_monotonic
from time import time as system_time
from typing import Protocol


class Clock(Protocol):
    """What the exporter needs to know of time."""

    def time(self) -> float:
        """Return the wall clock's seconds since the epoch; it may jump, so only use it for what a person reads."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for ages, deadlines and rhythms."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the seconds have passed; return whether it is set."""


class SystemClock:
    """The machine's own clocks."""

    # The functions themselves and no methods around them: a poll asks for the time some twenty times.
    time = staticmethod(system_time)
    monotonic = staticmethod(system_monotonic)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(seconds, 0.0))
