"""One request answered: what is asked, what goes wrong, what is said, and the record of it."""

from dataclasses import dataclass
from email.utils import formatdate
from types import MappingProxyType

from sendgrid_simulator.account import Account
from sendgrid_simulator.altering import altered
from sendgrid_simulator.api import admit, page_of
from sendgrid_simulator.clock import Clock
from sendgrid_simulator.faults import Fault, FaultPlan
from sendgrid_simulator.messages import ApiError, Request, Response, json_response
from sendgrid_simulator.paging import Page, links_id, listing_of
from sendgrid_simulator.ratelimit import Allowance, HeaderForm, RateLimit, ResetForm, refuse_beyond
from sendgrid_simulator.records import Exchange, Records, ServedPage


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Where nothing is published about the API, what the simulator does; the defaults are the likely answers."""

    total_per_page: bool = False
    require_accept: bool = True
    rate_headers: HeaderForm = HeaderForm.USUAL
    rate_reset: ResetForm = ResetForm.EPOCH
    latency: float = 0.0
    """Seconds that every answer takes."""


class Answers:
    """Answers requests for one account; every method may be called from any thread."""

    def __init__(
        self, account: Account, clock: Clock, *, limit: RateLimit, faults: FaultPlan, records: Records
    ) -> None:
        self._account = account
        self._clock = clock
        self._limit = limit
        self._faults = faults
        self._records = records
        self.behaviour = Behaviour()

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
            page = page_of(request, self._account, now, total_per_page=behaviour.total_per_page)
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
            listing, (offset, _) = listing_of(request, self._account.secret)
        except ApiError:
            return None
        return offset // listing.size + 1

    def _remember(self, page: Page, now: float) -> None:
        told = ServedPage(now, page.listing.automation_id, page.number, page.results, page.rows, page.total)
        self._records.add_page(told)

    def _record(self, request: Request, now: float, status: int, fault: Fault | None) -> None:
        shown = {name: text for name, text in request.headers.items() if name != "authorization"}
        sent = "authorization" in request.headers
        query = MappingProxyType(request.query)
        entry = Exchange(now, request.method, request.path, query, MappingProxyType(shown), sent, status, fault)
        self._records.add(entry)
