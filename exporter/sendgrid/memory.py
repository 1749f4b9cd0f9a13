"""The memory that answers may take, over all workers together.

A poll is charged for its answers before they are kept, and until its numbers are published. Small polls share one
amount. A poll that finds it spent may go on alone, up to what one list may take, while the others that need more wait
for it: so the sum is bounded, and no two polls can wait for each other.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from exporter.clock import Clock
from exporter.errors import ExchangeTimeoutError, InvalidResponseError, StoppedError

SHARED: Final = 32 * 1024 * 1024
"""Bytes for all polls that are not alone: 16 workers have 2 MB each, for 1,500 rows."""
LARGEST_POLL: Final = 64 * 1024 * 1024
"""Bytes of one poll: about 45,000 rows, which are 900 pages. Within its deadline of 5 minutes and the default budget of
300 requests a minute, a poll can read 1,500."""
_OBJECT: Final = 1024
"""Bytes of a row without its texts, from the parser's tree to what is published; 870 were measured in the parser."""
_VALUE: Final = 24
"""Bytes of any other value in the parser's tree."""
_COPIES: Final = 4
"""The body, its texts, and what is made of them before the next is read."""
_WIDEST: Final = 3
"""How much wider than its JSON a text gets where it holds any character beyond Latin-1 (PEP 393: 2 or 4 bytes each)."""
_SURROGATE: Final = 128
"""Bytes of an escaped surrogate, while halves of pairs are repaired."""
_USUAL_OBJECTS: Final = 100
_USUAL_SIZE: Final = 64 * 1024
_RECHECK: Final = 0.1
_MEBIBYTE: Final = 1024 * 1024


def cost(body: bytes) -> int:
    """Return the most bytes that a page's rows can take, told from its JSON text without parsing it.

    No `{{` of a text (as in `{{first_name}}`) begins an object: after the brace of one stands a blank, `"` or `}`. What
    a usual page cannot have much of is only counted in others, since counting takes a tenth of the parser's time.
    """
    objects = body.count(b"{")
    if objects > _USUAL_OBJECTS:
        objects -= 2 * body.count(b"{{")
    values = body.count(b",") + body.count(b"[") if len(body) > _USUAL_SIZE else 0
    escapes = body.count(b"\\u") if b"\\" in body else 0
    surrogates = body.count(b"\\ud") + body.count(b"\\uD") if escapes else 0
    narrow = body.isascii() and escapes == (body.count(b"\\u00") if escapes else 0)
    texts = len(body) * _COPIES * (1 if narrow else _WIDEST)
    return texts + objects * _OBJECT + values * _VALUE + surrogates * _SURROGATE


class MemoryBudget:
    """Lends memory to polls; a thread has one poll at a time."""

    def __init__(self, *, clock: Clock, shared: int = SHARED, largest: int = LARGEST_POLL) -> None:
        self._clock = clock
        self._shared = shared
        self._largest = largest
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._alone: _Poll | None = None
        self._lent = 0
        """Bytes of the shared amount that are lent."""

    @contextmanager
    def poll(self) -> Iterator[None]:
        """Keep what this thread reserves until the end of the block; a block within another is a part of it."""
        if self._mine() is not None:
            yield
            return
        self._of_thread.poll = poll = _Poll()
        try:
            yield
        finally:
            self._of_thread.poll = None
            self._give_back(poll, poll.held)

    def settle(self, size: int) -> None:
        """Give back what this thread's poll holds beyond the size: what it read is smaller than what reading took."""
        poll = self._mine()
        if poll is not None and poll.held > size:
            self._give_back(poll, poll.held - size)

    @contextmanager
    def exchange(self, deadline: float, stop: threading.Event, where: str) -> Iterator[Callable[[int], None]]:
        """Yield what reserves bytes for one answer to this thread's poll; a failure within the block gives them back.

        A reservation waits where other polls hold the memory, and raises ExchangeTimeoutError when they still do at the
        deadline (monotonic), InvalidResponseError where the poll would hold more than one may, and StoppedError when
        `stop` is set meanwhile. Each names `where`.
        """
        with self.poll():
            poll = self._of_thread.poll
            before = poll.held
            try:
                yield partial(self._reserve, poll, deadline, stop, where)
            except BaseException:
                self._give_back(poll, poll.held - before)
                raise

    def _reserve(self, poll: "_Poll", deadline: float, stop: threading.Event, where: str, size: int) -> None:
        if poll.held + size > self._largest:
            most = f"{self._largest // _MEBIBYTE} MiB of memory"
            raise InvalidResponseError(f"{where}: the list would take more than {most}; fewer step_ids would help")
        while not self._lend(poll, size):
            if self._clock.monotonic() >= deadline:
                raise ExchangeTimeoutError(f"{where}: other automations' lists held the memory until the deadline")
            if self._clock.wait(stop, _RECHECK):
                raise StoppedError("the exporter is stopping")

    def _lend(self, poll: "_Poll", size: int) -> bool:
        with self._lock:
            # The first that the shared amount cannot serve goes on alone, and gives back to the others what it held.
            if self._alone is None and self._lent + size > self._shared:
                self._alone = poll
                self._lent -= poll.held
            if self._alone is not poll:
                if self._lent + size > self._shared:
                    return False
                self._lent += size
            poll.held += size
            return True

    def _give_back(self, poll: "_Poll", size: int) -> None:
        with self._lock:
            # The one that goes on alone is not part of `_lent`: it left the shared amount when it began to.
            poll.held -= size
            if self._alone is not poll:
                self._lent -= size
            elif poll.held == 0:
                self._alone = None

    def _mine(self) -> "_Poll | None":
        mine: _Poll | None = getattr(self._of_thread, "poll", None)
        return mine


class _Poll:
    """What one poll holds."""

    def __init__(self) -> None:
        self.held = 0
