"""The endpoints: their paths, the bounds of their parameters, and the pages that they return."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sendgrid_simulator.account import Account, Listed
from sendgrid_simulator.counts import Source, links_of
from sendgrid_simulator.messages import ApiError, Endpoint, Request
from sendgrid_simulator.model import ALL_STEPS, Row, Stats, summed
from sendgrid_simulator.pages import Listing, Page

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ROUTES: Final[Mapping[Endpoint, re.Pattern[str]]] = MappingProxyType(
    {
        Endpoint.LINKS: re.compile(r"/v3/marketing/stats/automations/(?P<id>[^/]+)/links"),
        Endpoint.STATISTICS: re.compile(r"/v3/marketing/stats/automations"),
        Endpoint.STEP_STATISTICS: re.compile(r"/v3/marketing/stats/automations/(?P<id>[^/]+)"),
        Endpoint.SCOPES: re.compile(r"/v3/scopes"),
    }
)
_SIZE: Final = re.compile(r"[0-9]{1,9}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LARGEST_PAGE: Final = 50
_DEFAULT_PAGE: Final = 25
_MOST_IDS: Final = 25
_TOTAL: Final = "total"
_DAY: Final = "day"
# A trap of the real API: a client that sends no dates gets the year 2021, not the automation's lifetime.
_DEFAULT_START: Final = "2021-01-01"
_DEFAULT_END: Final = "2021-12-31"


class ResetForm(StrEnum):
    """The form in which X-RateLimit-Reset gives the start of the next window."""

    EPOCH = "epoch"
    DELTA = "delta"


class HeaderForm(StrEnum):
    """The spelling of the X-RateLimit headers."""

    USUAL = "usual"
    LOWER = "lower"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Behavior:
    """Behavior for which nothing is published about the API; the defaults are the likely one."""

    total_per_page: bool = False
    require_accept: bool = True
    rate_headers: HeaderForm = HeaderForm.USUAL
    rate_reset: ResetForm = ResetForm.EPOCH
    statistics_lag: float = 0.0
    """Seconds by which statistics, and the list of automations itself, lag the links; below 0 they lead."""
    list_drafts: bool = False
    """Whether the list of all automations contains those that have not started."""
    list_deleted: bool = False
    """Whether the list of all automations contains deleted ones."""
    latency: float = 0.0
    """Seconds that every answer takes."""


class StatsRow(NamedTuple):
    """A row of a list of statistics."""

    automation_id: str
    aggregation: str
    """`total`, or the day."""
    step_id: str
    stats: Stats


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, and the automation that the path names."""

    endpoint: Endpoint
    automation_id: str | None


def route_of(path: str) -> Route | None:
    """Return the route of a path, None for a path that the API does not have."""
    for endpoint, pattern in _ROUTES.items():
        if match := pattern.fullmatch(path):
            return Route(endpoint, match.groupdict().get("id"))
    return None


def listing_of(route: Route, request: Request, secret: bytes) -> tuple[Listing, tuple[int, int]]:
    """Return the requested list and the page's position in it; refuse a parameter out of bounds."""
    query = request.query
    if route.automation_id is not None and not is_uuid(route.automation_id):
        raise ApiError(400, "id is not a valid UUID", field_name="id")
    selection = [
        (name, text)
        for name, checked in _PARAMETERS[route.endpoint].items()
        if (text := query.get(name)) is not None and checked(text)
    ]
    listing = Listing(request.origin, request.path, tuple(selection), _size(query), secret)
    token = query.get("page_token")
    return listing, (0, 0) if token is None else listing.place(token)


def page_of(route: Route, request: Request, account: Account, now: float, behavior: Behavior) -> Page[Any]:
    """Return the page for an admitted request, or refuse it."""
    listing, place = listing_of(route, request, account.secret)
    behind = now - behavior.statistics_lag
    match route.endpoint:
        case Endpoint.LINKS:
            return _links(listing, place, _source(route, account, now), now, behavior)
        case Endpoint.STEP_STATISTICS:
            rows = tuple(_statistics_of_one(_source(route, account, behind), dict(listing.query), behind))
            return Page(listing, place, rows, _stats_document)
        case _:
            listed = account.listed(behind, drafts=behavior.list_drafts, deleted=behavior.list_deleted)
            if wanted := {id_.lower() for id_ in _commas(dict(listing.query).get("automation_ids", ""))}:
                listed = tuple(each for each in listed if each.id.lower() in wanted)
            return Page(listing, place, listed, _total_document)


def _source(route: Route, account: Account, moment: float) -> Source:
    source = account.source(route.automation_id or "")
    if source is None or not source.known(moment):
        raise ApiError(404, "automation not found", field_name="id")
    return source


def _links(listing: Listing, place: tuple[int, int], source: Source, now: float, behavior: Behavior) -> Page[Row]:
    query = dict(listing.query)
    rows, total = links_of(source, now, grouped="group_by" in query, step_ids=_commas(query.get("step_ids", "")))
    page = Page(listing, place, rows, row_document, total)
    return replace(page, total=sum(row.clicks for row in page.results)) if behavior.total_per_page else page


def _statistics_of_one(source: Source, query: Mapping[str, str], now: float) -> Iterator[StatsRow]:
    """Yield an automation's statistics between two dates, both included, as a whole or by day, by step if grouped."""
    zone = _zone(query.get("timezone", "UTC"))
    start = date.fromisoformat(query.get("start_date", _DEFAULT_START))
    end = date.fromisoformat(query.get("end_date", _DEFAULT_END))
    if end < start:
        raise ApiError(400, "end_date must not be before start_date", field_name="end_date")
    chosen = _commas(query.get("step_ids", ""))
    if query.get("aggregated_by", _TOTAL) == _TOTAL:
        periods = [(_TOTAL, start, end)]
    else:
        last = min(end, _day(now, zone))
        periods = [(day.isoformat(), day, day) for day in _days(max(start, _day(source.first(now), zone)), last)]
    for aggregation, first, last in periods:
        counted = source.between(_midnight(first, zone), _midnight(last + timedelta(days=1), zone), now)
        steps = {step_id: counted[step_id] for step_id in chosen or counted if step_id in counted}
        if aggregation != _TOTAL and not any(map(any, steps.values())):
            continue  # a day on which nothing happened has no row
        if "group_by" in query:
            yield from (StatsRow(source.automation.id, aggregation, step_id, stats) for step_id, stats in steps.items())
        else:
            yield StatsRow(source.automation.id, aggregation, ALL_STEPS, summed([Stats(), *steps.values()]))


def _days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=number) for number in range((last - first).days + 1))


def _day(moment: float, zone: tzinfo) -> date:
    return datetime.fromtimestamp(moment, zone).date()


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def _zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name; UTC is known without the system's database of zones."""
    return UTC if name == "UTC" else ZoneInfo(name)


def stats_fields(stats: Stats) -> dict[str, int]:
    """Return the twelve counts as the API names them."""
    return stats._asdict()


def _stats_document(row: StatsRow) -> dict[str, Any]:
    automation_id, aggregation, step_id, stats = row
    return {"id": automation_id, "aggregation": aggregation, "step_id": step_id, "stats": stats_fields(stats)}


def _total_document(listed: Listed) -> dict[str, Any]:
    return _stats_document(StatsRow(listed.id, _TOTAL, ALL_STEPS, summed([Stats(), *listed.stats().values()])))


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
    """Check `group_by`; return whether it asks for anything."""
    if any(each != "step_id" for each in _commas(text)):
        raise ApiError(400, "group_by must be step_id", field_name="group_by")
    return bool(text)


def _steps(text: str) -> bool:
    """Check `step_ids`; return whether it names any."""
    steps = text.split(",") if text else []
    if not all(map(is_uuid, steps)):
        raise ApiError(400, "step_ids must be a comma-separated list of UUIDs", field_name="step_ids")
    if len(set(steps)) != len(steps):
        raise ApiError(400, "step_ids must not name a step twice", field_name="step_ids")
    return bool(steps)


def _ids(text: str) -> bool:
    """Check `automation_ids`."""
    if not 1 <= len(text.split(",")) <= _MOST_IDS or not all(text.split(",")):
        raise ApiError(400, f"automation_ids must be 1 to {_MOST_IDS} ids", field_name="automation_ids")
    return True


def _aggregation(text: str) -> bool:
    """Check `aggregated_by`."""
    if text not in (_TOTAL, _DAY):
        raise ApiError(400, "aggregated_by must be day or total", field_name="aggregated_by")
    return True


def _date(name: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            known = _DATE.fullmatch(text) is not None and date.fromisoformat(text) < date.max
        except ValueError:
            known = False
        if not known:
            raise ApiError(400, f"{name} must be a date, YYYY-MM-DD", field_name=name)
        return True

    return check


def _timezone(text: str) -> bool:
    """Check `timezone`."""
    try:
        _zone(text)
    except (ValueError, OSError, LookupError):  # a malformed key, a folder of the database, an unknown name
        raise ApiError(400, "timezone must be an IANA time zone", field_name="timezone") from None
    return True


def _commas(text: str) -> tuple[str, ...]:
    """Split what OpenAPI calls style form, not exploded: values in one parameter, separated by commas."""
    return tuple(each for each in text.split(",") if each)


def _size(query: dict[str, str]) -> int:
    text = query.get("page_size", str(_DEFAULT_PAGE))
    if not _SIZE.fullmatch(text) or not 1 <= int(text) <= _LARGEST_PAGE:
        raise ApiError(400, f"page_size must be between 1 and {_LARGEST_PAGE}", field_name="page_size")
    return int(text)


_PARAMETERS: Final[Mapping[Endpoint, Mapping[str, Callable[[str], bool]]]] = MappingProxyType(
    {
        Endpoint.LINKS: {"group_by": _grouped, "step_ids": _steps},
        Endpoint.STATISTICS: {"automation_ids": _ids},
        Endpoint.STEP_STATISTICS: {
            "group_by": _grouped,
            "step_ids": _steps,
            "aggregated_by": _aggregation,
            "start_date": _date("start_date"),
            "end_date": _date("end_date"),
            "timezone": _timezone,
        },
        Endpoint.SCOPES: {},
    }
)
"""What selects the rows of each list, with the check that refuses a value or says that it selects nothing."""
