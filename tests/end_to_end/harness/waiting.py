"""Waiting for a condition that can be observed, with a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], what: str, *, seconds: float = 15.0) -> Found:
    """Return the condition's first truthy result; fail with `what` was awaited when none came within the seconds.

    A refused or broken connection counts as not yet.
    """
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            found = condition()
        except OSError as error:
            last = error
        else:
            if found:
                return found
            last = found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain until {what}; last seen: {last!r}")
        pause.wait(0.02)
