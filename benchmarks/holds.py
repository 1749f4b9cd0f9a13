"""How long the interpreter's lock was kept from a thread that wanted it."""

import sys
import threading
import time
from typing import Final

_NAP: Final = 0.0005
_SWITCH_SECONDS: Final = 0.0001
"""Python code gives the lock away after this long, so that what takes longer is a single call in C."""


class LockWatch:
    """A thread that naps, and notes how much later than asked it runs again.

    A nap also ends late when other programs have the processors. So a hold counts for no more than the CPU time that
    this process used meanwhile: whoever keeps the lock in a long call is running.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lock-watch", daemon=True)
        self._interval = sys.getswitchinterval()
        self.samples = 0
        self.longest_ns = 0

    def start(self) -> None:
        """Begin to watch."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def _watch(self) -> None:
        while not self._stop.is_set():
            begun, used = time.perf_counter_ns(), time.process_time_ns()
            time.sleep(_NAP)
            late = time.perf_counter_ns() - begun - int(_NAP * 1e9)
            self.longest_ns = max(self.longest_ns, min(late, time.process_time_ns() - used))
            self.samples += 1
