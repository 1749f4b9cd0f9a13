"""The endpoints: which one a path names, what its parameters may be, and the page that it returns."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sendgrid_simulator.account import Account
from sendgrid_simulator.counts import links_of
from sendgrid_simulator.messages import ApiError, Request
from sendgrid_simulator.model import Row
from sendgrid_simulator.pages import Listing, Page

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LINKS_PATH: Final = re.compile(r"/v3/marketing/stats/automations/([^/]+)/links")
_SIZE: Final = re.compile(r"[0-9]{1,9}")
_LARGEST_PAGE: Final = 50
_DEFAULT_PAGE: Final = 25


class Endpoint(StrEnum):
    """What has a rate limit of its own."""

    LINKS = "links"
    """`/v3/marketing/stats/automations/{id}/links`."""


class ResetForm(StrEnum):
    """How X-RateLimit-Reset gives the start of the next window."""

    EPOCH = "epoch"
    DELTA = "delta"


class HeaderForm(StrEnum):
    """How the names of the X-RateLimit headers are written."""

    USUAL = "usual"
    LOWER = "lower"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Behavior:
    """What the simulator does where nothing is published about the API; the defaults are the likely answers."""

    total_per_page: bool = False
    require_accept: bool = True
    rate_headers: HeaderForm = HeaderForm.USUAL
    rate_reset: ResetForm = ResetForm.EPOCH
    latency: float = 0.0
    """Seconds that every answer takes."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, and the automation that the path names."""

    endpoint: Endpoint
    automation_id: str


def route_of(path: str) -> Route | None:
    """Return the route of a path, None for a path that the API does not have."""
    match = _LINKS_PATH.fullmatch(path)
    return Route(Endpoint.LINKS, match[1]) if match else None


def links_page(route: Route, request: Request, account: Account, now: float, behavior: Behavior) -> Page[Row]:
    """Return the page of links that an admitted request asks for, or refuse it."""
    listing, place = listing_of(route, request, account.secret)
    source = account.source(route.automation_id)
    if source is None or not source.known(now):
        raise ApiError(404, "automation not found", field_name="id")
    query = dict(listing.query)
    rows, total = links_of(source, now, grouped="group_by" in query, step_ids=_commas(query.get("step_ids", "")))
    page = Page(listing, place, rows, row_document, total)
    if behavior.total_per_page:
        return Page(listing, place, rows, row_document, sum(row.clicks for row in page.results))
    return page


def listing_of(route: Route, request: Request, secret: bytes) -> tuple[Listing, tuple[int, int]]:
    """Return the list that a request asks for and its page's place in it; refuse a parameter out of bounds."""
    query = request.query
    if not is_uuid(route.automation_id):
        raise ApiError(400, "id is not a valid UUID", field_name="id")
    selection: list[tuple[str, str]] = []
    if _grouped(query.get("group_by", "")):
        selection.append(("group_by", "step_id"))
    if steps := _steps(query.get("step_ids", "")):
        selection.append(("step_ids", ",".join(steps)))
    listing = Listing(request.origin, request.path, tuple(selection), _size(query), secret)
    token = query.get("page_token")
    return listing, (0, 0) if token is None else listing.place(token)


def row_document(row: Row) -> dict[str, object]:
    """Return a link's row as JSON; a link without a place has no `url_location`."""
    document: dict[str, object] = {"url": row.url, "step_id": row.step_id, "clicks": row.clicks}
    if row.url_location is not None:
        document["url_location"] = row.url_location
    return document


def is_uuid(text: str) -> bool:
    """Return whether the text is a UUID in its usual form."""
    return _UUID.fullmatch(text) is not None


def _grouped(text: str) -> bool:
    if any(each != "step_id" for each in _commas(text)):
        raise ApiError(400, "group_by must be step_id", field_name="group_by")
    return bool(text)


def _steps(text: str) -> tuple[str, ...]:
    steps = tuple(text.split(",")) if text else ()
    if not all(map(is_uuid, steps)):
        raise ApiError(400, "step_ids must be a comma-separated list of UUIDs", field_name="step_ids")
    if len(set(steps)) != len(steps):
        raise ApiError(400, "step_ids must not name a step twice", field_name="step_ids")
    return steps


def _commas(text: str) -> tuple[str, ...]:
    """Split what OpenAPI calls style form, not exploded: values in one parameter, separated by commas."""
    return tuple(each for each in text.split(",") if each)


def _size(query: dict[str, str]) -> int:
    text = query.get("page_size", str(_DEFAULT_PAGE))
    if not _SIZE.fullmatch(text) or not 1 <= int(text) <= _LARGEST_PAGE:
        raise ApiError(400, f"page_size must be between 1 and {_LARGEST_PAGE}", field_name="page_size")
    return int(text)
