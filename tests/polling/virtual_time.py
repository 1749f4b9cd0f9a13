"""Virtual time for real threads: it jumps to the next moment that somebody waits for, once everybody waits."""

import threading
from collections.abc import Callable


class VirtualClock:
    """A clock of the exporter, and with `time` one of the simulator, that lets hours pass in moments.

    Every thread that uses the clock enrols first; time stands still while one of them is at work.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._enrolled = 0
        self._waiting: list[tuple[float, threading.Event]] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def run(self, work: Callable[[], None]) -> threading.Thread:
        """Start a thread that takes part in this time until its work is done."""
        with self._lock:
            self._enrolled += 1
        thread = threading.Thread(target=self._take_part, args=(work,), daemon=True)
        thread.start()
        return thread

    def wait(self, event: threading.Event, seconds: float) -> bool:
        due = threading.Event()
        with self._lock:
            self._waiting.append((self._now + max(seconds, 0.0), due))
            self._advance()
        due.wait()
        return event.is_set()

    def _take_part(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._enrolled -= 1
                self._advance()

    def _advance(self) -> None:
        """Let those go on for whom it is time, once everybody waits; each has a bell that wakes it alone."""
        if self._waiting and len(self._waiting) >= self._enrolled:
            self._now = max(self._now, min(until for until, _ in self._waiting))
            for until, bell in self._waiting:
                if until <= self._now:
                    bell.set()
            self._waiting = [(until, bell) for until, bell in self._waiting if until > self._now]
