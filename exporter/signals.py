"""Signals, taken by a thread that does nothing else.

A handler would run in the midst of whatever the main thread does, be it within the very lock that it needs. So every
signal is held back from the first moment on, which `hold_back` does before anything else is imported, and one thread
takes them in turn: process 1 of a container, too, ends when it is asked to.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HANDLED: Final = _ENDING | {signal.SIGHUP}
_PATIENCE: Final = 4.0
"""Seconds for an orderly end; what hangs then (a mount, a full pipe, another's lock) is left as it is."""


class Signals:
    """What the process was asked to do."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.reload_asked = threading.Event()
        self.cut_short_status = 0
        """The exit status when the end has to be forced: what was asked for may be unfinished by then."""

    def listen(self, end: Callable[[int], None] = os._exit) -> None:
        """Handle signals from now on: SIGHUP reloads, SIGTERM and SIGINT stop, a second one stops immediately."""
        # sigwait(3) takes a signal only from those that are blocked, which `hold_back` has done in every thread.
        threading.Thread(target=self._take, args=(end,), name="signals", daemon=True).start()

    def _take(self, end: Callable[[int], None]) -> None:
        while True:
            if signal.sigwait(_HANDLED) not in _ENDING:
                self.reload_asked.set()
            elif self.stop.is_set():
                end(self.cut_short_status)
            else:
                self.stop.set()
                last_resort = threading.Timer(_PATIENCE, lambda: end(self.cut_short_status))
                # A daemon: an orderly end must not wait for the timer that forces one.
                last_resort.daemon = True
                last_resort.start()


def hold_back() -> None:
    """Let no signal interrupt this thread and those that it starts; `Signals.listen` takes them."""
    # A new thread inherits the mask of its starter (pthread_create(3)), so this must come before all threads.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
