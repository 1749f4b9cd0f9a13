"""Virtual time for real threads: it jumps to the next moment that somebody waits for, once everybody waits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import BaseAdapter

from sendgrid_simulator import Request, Simulator


class VirtualClock:
    """A clock of the exporter, and with `time` one of the simulator, that lets hours pass in moments.

    One thread works at a time: the earliest that is due, and of those due together the one that has waited longest. So
    a run takes the same course on a busy machine as on a quiet one. A thread that uses the clock is started by `run`.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()
        self._working = 0
        self._waiting: list[tuple[float, threading.Event]] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let time stand still meanwhile, as for a thread that is at work: whoever is started begins at one moment."""
        with self._lock:
            self._working += 1
        try:
            yield
        finally:
            self._rest()

    def run(self, work: Callable[[], None]) -> threading.Thread:
        """Start a thread that takes part in this time until its work is done."""
        begin = threading.Event()
        with self._lock:
            self._waiting.append((self._now, begin))
        thread = threading.Thread(target=self._take_part, args=(begin, work), daemon=True)
        thread.start()
        return thread

    def wait(self, event: threading.Event, seconds: float) -> bool:
        due = threading.Event()
        with self._lock:
            self._waiting.append((self._now + max(seconds, 0.0), due))
        self._rest()
        due.wait()
        return event.is_set()

    def _take_part(self, begin: threading.Event, work: Callable[[], None]) -> None:
        begin.wait()
        try:
            work()
        finally:
            self._rest()

    def _rest(self) -> None:
        """Stop working; where nobody else works, wake the one whose moment comes first."""
        with self._lock:
            self._working -= 1
            if not self._working and self._waiting:
                first = min(self._waiting, key=lambda waiting: waiting[0])
                self._waiting.remove(first)
                self._now = max(self._now, first[0])
                self._working += 1
                first[1].set()


class InProcess(BaseAdapter):
    """Hands requests to the simulator without sockets; an exchange takes some virtual milliseconds."""

    def __init__(self, simulator: Simulator, clock: VirtualClock, seconds: float) -> None:
        super().__init__()
        self._simulator, self._clock, self._seconds = simulator, clock, seconds
        self._never = threading.Event()

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self._clock.wait(self._never, self._seconds / 2)
        headers = {name.lower(): str(value) for name, value in request.headers.items()} | {"host": "sendgrid.test"}
        answer = self._simulator.answer(Request("GET", request.path_url, headers))
        self._clock.wait(self._never, self._seconds / 2)
        response = requests.Response()
        response.status_code, response.url = answer.status, request.url or ""
        response.headers.update(dict(answer.headers))
        response.raw = _Body(answer.body)
        return response

    def close(self) -> None:
        pass


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, amt: int, *, decode_content: bool) -> bytes:
        assert not decode_content
        piece, self._body = self._body[:amt], self._body[amt:]
        return piece

    def close(self) -> None:
        pass

    def release_conn(self) -> None:
        pass
