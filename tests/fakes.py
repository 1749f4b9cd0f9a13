"""Stand-ins at the two seams of the exporter: time and SendGrid."""

import io
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from exporter.domain import Automation, AutomationId, AutomationStats, Endpoint, Fingerprint
from exporter.exposition import Block
from exporter.sendgrid.budget import RateLimitHeaders

WALL = 1_760_000_000.0
"""The fake wall clock's first reading."""


class FakeClock:
    """Time that moves only when told, or when somebody waits; waits are recorded and cost nothing."""

    def __init__(self, *, wall: float = WALL, monotonic: float = 1000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self.waits: list[float] = []
        self.on_wait: Callable[[float], None] = lambda _: None
        """Called with the seconds before each wait."""

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.on_wait(seconds)
        self.waits.append(seconds)
        if not event.is_set():
            self.advance(max(seconds, 0.0))
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._wall += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP does; the monotonic one is not concerned."""
        self._wall += seconds


class FakeSource:
    """A source of stats that answers from a list, and then again with its last answer."""

    def __init__(self, *answers: AutomationStats | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Automation, float]] = []
        self.known: Fingerprint = ()
        """What the last request was compared with."""

    def stats(self, automation: Automation, deadline: float, known: Fingerprint = ()) -> AutomationStats:
        self.known = known
        self.asked.append((automation, deadline))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def holding(self) -> AbstractContextManager[None]:
        return nullcontext()


class FakeKeeper:
    """Keeps blocks in memory."""

    def __init__(self) -> None:
        self.saved: list[tuple[AutomationId, Block, float]] = []

    def save(self, automation_id: AutomationId, _question: str, block: Block, last_success: float) -> None:
        self.saved.append((automation_id, block, last_success))


class FakeObserver:
    """Remembers what it was told of each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, float, RateLimitHeaders | None]] = []
        self.endpoints: list[Endpoint] = []

    def requested(self, endpoint: Endpoint, code: str, seconds: float, rate_limit: RateLimitHeaders | None) -> None:
        self.endpoints.append(endpoint)
        self.requests.append((code, seconds, rate_limit))

    @property
    def codes(self) -> list[str]:
        return [code for code, _, _ in self.requests]


@dataclass(frozen=True)
class Reply:
    """One scripted answer of the API."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: Exception | None = None
    """Raised when the body has been read."""


def json_reply(document: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(document).encode(), named)


class ScriptedAdapter(BaseAdapter):
    """A requests adapter that gives the replies in turn, raises those that are exceptions, and records requests.

    A reply may also be a function of the prepared request. The last one is given for ever.
    """

    def __init__(self, *script: Any) -> None:
        super().__init__()
        self._script = list(script)
        self.requests: list[requests.PreparedRequest] = []
        self.options: list[Mapping[str, Any]] = []
        self.closed = 0
        self.before: Callable[[], None] = lambda: None
        """Called before each reply, to let time pass."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.requests.append(request)
        self.options.append(options)
        self.before()
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        reply = step(request) if callable(step) and not isinstance(step, type) else step
        if isinstance(reply, BaseException):
            raise reply
        return _response(request, reply)

    def close(self) -> None:
        self.closed += 1

    def __call__(self, _: object) -> "ScriptedAdapter":
        """Serve as the client's maker of adapters: every connection shares this one."""
        return self


class _Breaking(io.BytesIO):
    """A body that breaks at its end."""

    def __init__(self, body: bytes, error: Exception) -> None:
        super().__init__(body)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found:
            raise self._error
        return found


def _response(request: requests.PreparedRequest, reply: Reply) -> requests.Response:
    body = io.BytesIO(reply.body) if reply.breaks is None else _Breaking(reply.body, reply.breaks)
    response = requests.Response()
    response.status_code = reply.status
    response.headers.update(reply.headers)
    response.raw = HTTPResponse(body=body, headers=dict(reply.headers), status=reply.status, preload_content=False)
    response.url = request.url or ""
    response.request = request
    return response


def pages(*documents: Any) -> Callable[[str | None], bytes]:
    """Return what fetches the documents as pages, in turn, whatever token is asked for."""
    script = iter(documents)
    return lambda _: json.dumps(next(script)).encode()
