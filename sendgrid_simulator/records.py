"""The record of what was asked and what was told, for tests to look at."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from sendgrid_simulator.faults import Fault
from sendgrid_simulator.model import Row


class Exchange(NamedTuple):
    """What was received and what was answered to it."""

    time: float
    """In simulated seconds since the epoch."""
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Without the key."""
    authorization: bool
    """Whether a key was sent at all."""
    status: int
    """As far as the simulator is concerned; a fault of delivery may have kept it from the client."""
    fault: Fault | None


class ServedPage(NamedTuple):
    """A page as it was told, when nothing altered it."""

    time: float
    automation_id: str
    number: int
    rows: tuple[Row, ...]
    listed: tuple[Row, ...]
    """All rows that the list held at that moment."""
    total: int


class Records:
    """Keeps the last so many requests and the last so many pages; every method may be called from any thread."""

    def __init__(self, requests: int, pages: int) -> None:
        self._requests: deque[Exchange] = deque(maxlen=requests)
        self._pages: deque[ServedPage] = deque(maxlen=pages)
        self._lock = threading.Lock()
        self.count = 0
        """Requests answered since the start."""

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """Return the last exchanges, oldest first."""
        with self._lock:
            return tuple(self._requests)

    @property
    def pages(self) -> tuple[ServedPage, ...]:
        """Return the last pages told, oldest first."""
        with self._lock:
            return tuple(self._pages)

    def add(self, exchange: Exchange) -> None:
        with self._lock:
            self.count += 1
            self._requests.append(exchange)

    def add_page(self, page: ServedPage) -> None:
        with self._lock:
            self._pages.append(page)
