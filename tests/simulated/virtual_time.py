"""Virtual time for real threads: it jumps to the next moment that somebody waits for, once everybody waits."""

import threading
from collections.abc import Callable


class VirtualClock:
    """A clock of the exporter, and with `time` one of the simulator, that lets hours pass in moments.

    Every thread that uses the clock enrols first; time stands still while one of them is at work.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._changed = threading.Condition()
        self._enrolled = 0
        self._waiting: dict[int, float] = {}

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def run(self, work: Callable[[], None]) -> threading.Thread:
        """Start a thread that takes part in this time until its work is done."""
        with self._changed:
            self._enrolled += 1
        thread = threading.Thread(target=self._take_part, args=(work,), daemon=True)
        thread.start()
        return thread

    def wait(self, event: threading.Event, seconds: float) -> bool:
        me = threading.get_ident()
        with self._changed:
            until = self._now + max(seconds, 0.0)
            self._waiting[me] = until
            self._advance()
            while self._now < until and not event.is_set():
                self._changed.wait(0.5)
            self._waiting.pop(me, None)
        return event.is_set()

    def _take_part(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._enrolled -= 1
                self._advance()

    def _advance(self) -> None:
        if self._waiting and len(self._waiting) >= self._enrolled:
            self._now = max(self._now, min(self._waiting.values()))
            for me in [me for me, until in self._waiting.items() if until <= self._now]:
                del self._waiting[me]
            self._changed.notify_all()
