"""Faults: what goes wrong, for which requests, and how often."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from sendgrid_simulator.alterations import Alteration, StatisticsAlteration
from sendgrid_simulator.messages import Endpoint, Request, Response, error_response


class Delivery(StrEnum):
    """How the bytes of an answer reach the client, or do not."""

    WHOLE = "whole"
    CLOSE_AFTER = "close_after"
    CHUNKED = "chunked"
    GZIP = "gzip"
    CONTINUE = "continue"
    EARLY_HINTS = "early_hints"
    SECOND_ANSWER = "second_answer"
    TRICKLE_STATUS = "trickle_status"
    TRICKLE_HEADERS = "trickle_headers"
    TRICKLE_BODY = "trickle_body"
    STALL = "stall"
    STALL_IN_HEADERS = "stall_in_headers"
    STALL_IN_BODY = "stall_in_body"
    RESET_BEFORE = "reset_before"
    RESET_IN_HEADERS = "reset_in_headers"
    RESET_IN_BODY = "reset_in_body"
    CLOSE = "close"
    CUT_HEADERS = "cut_headers"
    CUT_BODY = "cut_body"
    CUT_CHUNK = "cut_chunk"
    CUT_GZIP = "cut_gzip"
    WRONG_GZIP = "wrong_gzip"
    GZIP_BOMB = "gzip_bomb"
    HUGE_BODY = "huge_body"
    HUGE_CHUNKS = "huge_chunks"
    HUGE_HEADERS = "huge_headers"
    NOT_HTTP = "not_http"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and the requests that it applies to."""

    endpoint: Endpoint | None = None
    """Only requests for this endpoint; None is any, unknown paths too."""
    automation: str | None = None
    """Only requests for this automation; None is any request."""
    page: int | None = None
    """Only the page of that number, from 1."""
    skip: int = 0
    """The number of matching requests that pass first."""
    times: int | None = 1
    """The number of requests it applies to; None is unlimited."""
    share: float = 1.0
    """The share of matching requests that it applies to, drawn from the simulator's seed."""
    predicate: Callable[[Request], bool] | None = None
    """Only requests that it accepts; not available over HTTP."""

    status: int | None = None
    """Answer with this status instead, with the documented body unless `body` is given."""
    body: bytes | None = None
    headers: tuple[tuple[str, str | None], ...] = ()
    """Replace the answer's headers of the same name; None removes one."""
    alter: Alteration | StatisticsAlteration | None = None
    """How the page breaks the API's promises."""
    deliver: Delivery = Delivery.WHOLE
    preface: bytes = b""
    """Raw bytes before the status line: an interim answer such as `HTTP/1.1 103 Early Hints`, or nonsense."""
    delay: float = 0.0
    """Seconds before the first byte."""
    pace: float = 0.02
    """Seconds between two bytes of a trickle."""
    size: int = 1 << 30
    """Bytes of a huge body, or of a bomb once inflated."""

    def response(self) -> Response | None:
        """Return the answer that replaces the correct one; None if the fault keeps it."""
        if self.status is None and self.body is None:
            return None
        response = error_response(self.status or 200)
        if self.body is not None:
            response = Response(response.status, self.body, response.headers)
        return response

    @classmethod
    def from_document(cls, document: Mapping[str, object]) -> Self:
        """Make a fault from a JSON object; `body` and `preface` are text, or base64 as `body_base64` and so on."""
        values = dict(document)
        for name in ("body", "preface"):
            if f"{name}_base64" in values:
                values[name] = base64.b64decode(str(values.pop(f"{name}_base64")), validate=True)
            elif isinstance(text := values.get(name), str):
                values[name] = text.encode("utf-8", "surrogatepass")
        known = {each.name for each in fields(cls)} - {"predicate"}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**_typed(values))


@dataclass(slots=True)
class _Planned:
    fault: Fault
    met: int = 0


class FaultPlan:
    """The planned faults; the first that matches and is not used up applies to a request."""

    def __init__(self, seed: int = 0, faults: Iterable[Fault] = ()) -> None:
        self._seed = seed
        self._planned = [_Planned(fault) for fault in faults]
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._planned += [_Planned(fault) for fault in faults]

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take(
        self,
        request: Request,
        *,
        endpoint: Endpoint | None,
        automation: str | None,
        page: Callable[[], int | None],
    ) -> Fault | None:
        """Return the fault that applies to this request, and count it."""
        with self._lock:
            for planned in self._planned:
                fault = planned.fault
                if fault.endpoint not in (None, endpoint) or not _is_of(fault, automation):
                    continue
                if _matches(fault, request, page) and self._counted(planned):
                    return planned.fault
        return None

    def _counted(self, planned: _Planned) -> bool:
        fault, number = planned.fault, planned.met
        if fault.times is not None and number >= fault.skip + fault.times:
            return False
        planned.met += 1
        if number < fault.skip:
            return False
        # A hash of seed and number instead of a generator: runs agree regardless of how threads' requests interleave.
        draw = hashlib.blake2b(f"{self._seed} fault {number}".encode(), digest_size=4).digest()
        return int.from_bytes(draw, "big") < fault.share * (1 << 32)


def _is_of(fault: Fault, automation: str | None) -> bool:
    if fault.automation is None:
        return True
    return automation is not None and fault.automation.lower() == automation.lower()


def _matches(fault: Fault, request: Request, page: Callable[[], int | None]) -> bool:
    if fault.page is not None and fault.page != page():
        return False
    return fault.predicate is None or fault.predicate(request)


_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "endpoint": str,
    "automation": str,
    "page": int,
    "skip": int,
    "times": int,
    "share": (int, float),
    "status": int,
    "body": bytes,
    "headers": dict,
    "alter": str,
    "deliver": str,
    "preface": bytes,
    "delay": (int, float),
    "pace": (int, float),
    "size": int,
}
_OPTIONAL: Final = frozenset({"endpoint", "automation", "page", "times", "status", "body", "alter"})


def _typed(values: Mapping[str, object]) -> dict[str, Any]:
    """Return the values with the types of the fields, or raise ValueError naming the wrong one."""
    for name, value in values.items():
        if not isinstance(value, _TYPES[name]) and not (value is None and name in _OPTIONAL):
            raise ValueError(f"a fault's {name} cannot be {value!r}")
    typed: dict[str, Any] = dict(values)
    if isinstance(headers := values.get("headers"), dict):
        typed["headers"] = tuple((str(name), None if text is None else str(text)) for name, text in headers.items())
    if isinstance(alter := values.get("alter"), str):
        typed["alter"] = StatisticsAlteration(alter) if alter in set(StatisticsAlteration) else Alteration(alter)
    if isinstance(endpoint := values.get("endpoint"), str):
        typed["endpoint"] = Endpoint(endpoint)
    if isinstance(deliver := values.get("deliver"), str):
        typed["deliver"] = Delivery(deliver)
    return typed
