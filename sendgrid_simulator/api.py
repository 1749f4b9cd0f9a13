"""The API itself: a request, the account and a moment make a page or a refusal."""

import re
from typing import Final

from sendgrid_simulator.account import Account, stats_of
from sendgrid_simulator.messages import ApiError, Request
from sendgrid_simulator.paging import Page, links_id, listing_of

LINKS_ENDPOINT: Final = "/v3/marketing/stats/automations/{id}/links"
_BEARER: Final = re.compile(r"Bearer +(\S+)", re.IGNORECASE)
_ACCEPTED: Final = ("application/json", "application/*", "*/*")
_GRANT: Final = "The provided authorization grant is invalid, expired, or revoked"


def admit(request: Request, account: Account, *, require_accept: bool = True) -> str:
    """Return the endpoint that the request may use, or refuse it: key, form, right, path and method, in this order."""
    scoped = _scope(request, account)
    accept = request.headers.get("accept", "")
    if require_accept and not any(each in accept for each in _ACCEPTED):
        raise ApiError(406)
    if not scoped:
        raise ApiError(403)
    if links_id(request.path) is None:
        raise ApiError(404)
    if request.method != "GET":
        raise ApiError(405, allow="GET")
    return LINKS_ENDPOINT


def page_of(request: Request, account: Account, now: float, *, total_per_page: bool = False) -> Page:
    """Return the page of links that an admitted request asks for, or refuse it."""
    listing, (offset, turn) = listing_of(request, account.secret)
    source = account.source(listing.automation_id)
    if source is None or not source.known(now):
        raise ApiError(404, "automation not found", field_name="id")
    rows, total = stats_of(source, now, grouped=listing.grouped, step_ids=listing.step_ids)
    return Page(listing, offset, rows, total, turn, total_per_page)


def _scope(request: Request, account: Account) -> bool:
    match = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise ApiError(401)
    scoped = account.scope(match[1])
    if scoped is None:
        raise ApiError(401, _GRANT)
    return scoped
