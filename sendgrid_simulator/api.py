"""Answers requests: key and scope, rate limit, planned fault, page or refusal; and keeps a record of them."""

import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sendgrid_simulator.account import Account, Rights
from sendgrid_simulator.alterations import altered
from sendgrid_simulator.clock import Clock
from sendgrid_simulator.endpoints import Behavior, HeaderForm, ResetForm, Route, listing_of, page_of, route_of
from sendgrid_simulator.faults import Fault, FaultPlan
from sendgrid_simulator.messages import ApiError, Endpoint, Request, Response, json_response
from sendgrid_simulator.model import Row
from sendgrid_simulator.pages import Page

_BEARER: Final = re.compile(r"Bearer +(\S+)", re.IGNORECASE)
_ACCEPTED: Final = ("application/json", "application/*", "*/*")
_INVALID_GRANT: Final = "The provided authorization grant is invalid, expired, or revoked"


class Exchange(NamedTuple):
    """A request and its answer."""

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
    """As the API answered; a delivery fault may have prevented the client from receiving it."""
    fault: Fault | None


class ServedPage(NamedTuple):
    """A page of links that was served unaltered."""

    time: float
    automation_id: str
    number: int
    rows: tuple[Row, ...]
    listed: tuple[Row, ...]
    """All rows of the list at that moment."""
    total: int


class Records:
    """The last requests and the last pages of links; every method is thread-safe."""

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
        """Return the last pages served, oldest first."""
        with self._lock:
            return tuple(self._pages)

    def add(self, exchange: Exchange) -> None:
        with self._lock:
            self.count += 1
            self._requests.append(exchange)

    def add_page(self, page: ServedPage) -> None:
        with self._lock:
            self._pages.append(page)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The state of an endpoint's rate limit at a request."""

    granted: bool
    limit: int
    remaining: int
    now: float
    reset: float

    def headers(self, names: HeaderForm, form: ResetForm) -> tuple[tuple[str, str], ...]:
        """Return the three X-RateLimit headers."""
        # Header names are case-insensitive (RFC 9110, 5.1); SendGrid has used several spellings.
        if names is HeaderForm.ABSENT:
            return ()
        reset = self.reset if form is ResetForm.EPOCH else self.reset - self.now
        values = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(-int(-reset // 1)),  # rounded up: never before the window ends
        }
        return tuple((name.lower() if names is HeaderForm.LOWER else name, text) for name, text in values.items())


class RateLimit:
    """Counts requests per endpoint in fixed windows that start at multiples of their length."""

    def __init__(self, clock: Clock, limit: int, window: float = 60.0) -> None:
        self._clock = clock
        self._window = window
        self._limits = dict.fromkeys(Endpoint, limit)
        self._spent: dict[Endpoint, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the API's wall clock, which is also in the `Date` header."""
        return self._clock.time()

    def change(self, limit: int, endpoint: Endpoint | None) -> None:
        """Set the requests per window of one endpoint, or of all; 0 means no limit and no headers."""
        with self._lock:
            self._limits.update(dict.fromkeys(Endpoint if endpoint is None else (endpoint,), limit))

    def spend(self, endpoint: Endpoint) -> Allowance | None:
        """Count a request against the endpoint's limit; return None if it has none."""
        now = self._clock.time()
        # A fixed window, as SendGrid's headers suggest: the whole limit is available again when it ends.
        window = now // self._window * self._window
        with self._lock:
            limit = self._limits[endpoint]
            if not limit:
                return None
            began, spent = self._spent.get(endpoint, (window, 0))
            spent = spent if began == window else 0
            granted = spent < limit
            spent += granted
            self._spent[endpoint] = (window, spent)
        return Allowance(granted, limit, max(limit - spent, 0), now, window + self._window)


class Api:
    """Answers requests for one account; every method is thread-safe."""

    def __init__(
        self, account: Account, clock: Clock, *, limit: RateLimit, faults: FaultPlan, records: Records
    ) -> None:
        self._account = account
        self._clock = clock
        self._limit = limit
        self._faults = faults
        self._records = records
        self.behavior = Behavior()

    def answer(self, request: Request) -> tuple[Response, Fault | None]:
        """Return the response, and the fault that applies to the request; its delivery and delay are the server's."""
        now = self._clock.time()
        route = route_of(request.path)
        # First of all, since a proxy or load balancer in front of the API fails before it, too.
        fault = self._faults.take(
            request,
            endpoint=route.endpoint if route else None,
            automation=route.automation_id if route else None,
            page=lambda: self._page_number(route, request),
        )
        response, allowance = self._response(route, request, now, fault)
        response = response.with_headers(*self._common_headers(allowance))
        if fault is not None:
            response = response.with_headers(*fault.headers)
        self._record(request, now, response.status, fault)
        return response, fault

    def _response(
        self, route: Route | None, request: Request, now: float, fault: Fault | None
    ) -> tuple[Response, Allowance | None]:
        allowance = None
        try:
            admitted, rights = self._admitted(route, request)
            # A refused key costs nothing: only what passes this point is counted.
            allowance = self._limit.spend(admitted.endpoint)
            _refuse_beyond(allowance)
            if fault is not None and (instead := fault.response()) is not None:
                return instead, allowance
            if admitted.endpoint is Endpoint.SCOPES:
                return json_response({"scopes": rights.scopes}), allowance
            page = page_of(admitted, request, self._account, now, self.behavior)
        except ApiError as error:
            instead = fault.response() if fault is not None else None
            return instead or error.response(), allowance
        if fault is not None and fault.alter is not None:
            return altered(fault.alter, page), allowance
        if admitted.endpoint is Endpoint.LINKS:
            self._record_page(admitted, page, now)
        return json_response(page.document()), allowance

    def _admitted(self, route: Route | None, request: Request) -> tuple[Route, Rights]:
        """Refuse a request because of its key, Accept header, path, permissions or method, checked in this order."""
        # The key is first, so that nobody learns without one which paths exist.
        rights = self._rights(request)
        accept = request.headers.get("accept", "")
        if self.behavior.require_accept and not any(each in accept for each in _ACCEPTED):
            raise ApiError(406)
        if route is None:
            raise ApiError(404)
        if not rights.allow(route.endpoint):
            raise ApiError(403)
        if request.method != "GET":
            raise ApiError(405, allow="GET")
        return route, rights

    def _rights(self, request: Request) -> Rights:
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        if match is None:
            raise ApiError(401)
        rights = self._account.rights(match[1])
        if rights is None:
            raise ApiError(401, _INVALID_GRANT)
        return rights

    def _common_headers(self, allowance: Allowance | None) -> tuple[tuple[str, str], ...]:
        date = ("Date", formatdate(self._limit.time(), usegmt=True))
        if allowance is None:
            return (date,)
        return (date, *allowance.headers(self.behavior.rate_headers, self.behavior.rate_reset))

    def _page_number(self, route: Route | None, request: Request) -> int | None:
        if route is None or route.endpoint is Endpoint.SCOPES:
            return None
        try:
            listing, (offset, _) = listing_of(route, request, self._account.secret)
        except ApiError:
            return None
        return offset // listing.size + 1

    def _record_page(self, route: Route, page: Page[Row], now: float) -> None:
        rows = tuple(page.rows)
        served = ServedPage(now, route.automation_id or "", page.number, tuple(page.results), rows, page.total or 0)
        self._records.add_page(served)

    def _record(self, request: Request, now: float, status: int, fault: Fault | None) -> None:
        headers: dict[str, Any] = {name: text for name, text in request.headers.items() if name != "authorization"}
        sent = "authorization" in request.headers
        query = MappingProxyType(request.query)
        entry = Exchange(now, request.method, request.path, query, MappingProxyType(headers), sent, status, fault)
        self._records.add(entry)


def _refuse_beyond(allowance: Allowance | None) -> None:
    if allowance is not None and not allowance.granted:
        raise ApiError(429)
