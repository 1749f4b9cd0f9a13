"""One request answered: what is asked, what goes wrong, what is said, and the record of it."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import MappingProxyType
from typing import NamedTuple

from exporter.simulator.account import Account
from exporter.simulator.altering import altered
from exporter.simulator.api import admit, page_of
from exporter.simulator.clock import Clock
from exporter.simulator.faults import Fault, FaultPlan
from exporter.simulator.messages import ApiError, Request, Response, json_response
from exporter.simulator.model import Row
from exporter.simulator.paging import Page, links_id, listing_of
from exporter.simulator.ratelimit import Allowance, HeaderForm, RateLimit, ResetForm, refuse_beyond


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Where nothing is published about the API, what the simulator does; the defaults are the likely answers."""

    total_per_page: bool = False
    require_accept: bool = True
    rate_headers: HeaderForm = HeaderForm.USUAL
    rate_reset: ResetForm = ResetForm.EPOCH
    latency: float = 0.0
    """Seconds that every answer takes."""


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


class Answers:
    """Answers requests for one account; every method may be called from any thread."""

    def __init__(self, account: Account, clock: Clock, *, limit: RateLimit, faults: FaultPlan, secret: bytes) -> None:
        self._account = account
        self._clock = clock
        self._limit = limit
        self._faults = faults
        self._secret = secret
        self._log: deque[Exchange] = deque(maxlen=10_000)
        self._pages: deque[ServedPage] = deque(maxlen=10_000)
        self._lock = threading.Lock()
        self.count = 0
        """Requests answered since the start."""
        self.behaviour = Behaviour()

    @property
    def log(self) -> tuple[Exchange, ...]:
        """Return the last exchanges, oldest first."""
        with self._lock:
            return tuple(self._log)

    @property
    def pages(self) -> tuple[ServedPage, ...]:
        """Return the last pages told, oldest first."""
        with self._lock:
            return tuple(self._pages)

    def answer(self, request: Request) -> tuple[Response, Fault | None]:
        """Return the response to a request, and the fault that it met: its delivery and delay are the server's."""
        now = self._clock.time()
        fault = self._faults.take(request, links_id(request.path), lambda: self._page_number(request))
        response, allowance = self._response(request, now, fault)
        response = response.with_headers(*self._common(allowance))
        if fault is not None:
            response = response.with_headers(*fault.headers)
        self._record(request, now, response.status, fault)
        return response, fault

    def _response(self, request: Request, now: float, fault: Fault | None) -> tuple[Response, Allowance | None]:
        behaviour = self.behaviour
        allowance = None
        try:
            endpoint = admit(request, self._account, require_accept=behaviour.require_accept)
            allowance = self._limit.spend(endpoint)
            refuse_beyond(allowance)
            if fault is not None and (instead := fault.response()) is not None:
                return instead, allowance
            page = page_of(request, self._account, now, secret=self._secret, total_per_page=behaviour.total_per_page)
        except ApiError as error:
            instead = fault.response() if fault is not None else None
            return instead or error.response(), allowance
        if fault is not None and fault.alter is not None:
            return altered(fault.alter, page), allowance
        self._remember(page, now)
        return json_response(page.document()), allowance

    def _common(self, allowance: Allowance | None) -> tuple[tuple[str, str], ...]:
        behaviour = self.behaviour
        date = ("Date", formatdate(self._limit.time(), usegmt=True))
        if allowance is None:
            return (date,)
        return (date, *allowance.headers(behaviour.rate_headers, behaviour.rate_reset))

    def _page_number(self, request: Request) -> int | None:
        if links_id(request.path) is None:
            return None
        try:
            listing, (offset, _) = listing_of(request, self._secret)
        except ApiError:
            return None
        return offset // listing.size + 1

    def _remember(self, page: Page, now: float) -> None:
        told = ServedPage(now, page.listing.automation_id, page.number, page.results, page.rows, page.total)
        with self._lock:
            self._pages.append(told)

    def _record(self, request: Request, now: float, status: int, fault: Fault | None) -> None:
        shown = {name: text for name, text in request.headers.items() if name != "authorization"}
        sent = "authorization" in request.headers
        query = MappingProxyType(request.query)
        entry = Exchange(now, request.method, request.path, query, MappingProxyType(shown), sent, status, fault)
        with self._lock:
            self.count += 1
            self._log.append(entry)
