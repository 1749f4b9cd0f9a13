"""Walking over a list, page by page, until it is whole."""

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qs

from exporter.domain import AutomationStats, Fingerprint, LinkClicks, Unchanged, add_up
from exporter.errors import BadRequestError, ExchangeTimeoutError, IncompleteError, InvalidResponseError
from exporter.sendgrid.completeness import PageSaid, RowT, Walk, best_list, disagreement, total_of, whole_list
from exporter.sendgrid.wire import Metadata, Page, next_address, parse_page

_MOST_WALKS: Final = 4
"""Of one poll. Two settle a list that holds still, also one without a count; the others are for rows that moved in the
first two. A list that never holds still for so long is asked for again an interval later."""
_MOST_PAGES: Final = 2000
_MOST_BYTES: Final = 32 * 1024 * 1024
"""Of all pages together, since each may be as large as an answer may: 2000 real ones have two thirds of it."""
_SLACK: Final = 1000
"""A list may have twice the rows that it counts, and this many more, before it is taken for one without an end."""

Fetch = Callable[[str | None], bytes]
"""Returns the body of the page that the token names; None names the first."""
Explain = Callable[[bytes], str]
"""Returns what an answer with errors says of them, fit for a log line."""


class AnyPage(Protocol):
    """What every parsed page has."""

    @property
    def metadata(self) -> Metadata | None:
        """The paging part."""

    @property
    def errors(self) -> object:
        """What belongs into a refusal only."""


PageT = TypeVar("PageT", bound=AnyPage)


@dataclass(frozen=True, slots=True)
class Form(Generic[PageT, RowT]):
    """How the pages of one kind of list are read."""

    parse: Callable[[bytes], PageT]
    """Returns the page that a body holds; raises InvalidResponseError, whose text is about the answer alone."""
    said: Callable[[PageT], PageSaid[RowT]]
    most_rows: int = sys.maxsize
    """A longer list is taken for one without an end."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[RowT]):
    """The walks over a list, and its rows."""

    walks: Sequence[Walk[RowT]]
    rows: Sequence[RowT] | None
    """None where the walks do not show the whole list."""


def read_stats(fetch: Fetch, url: str, explain: Explain, known: Fingerprint = ()) -> AutomationStats | Unchanged:
    """Return the automation's stats as soon as the walks over its pages show the whole list.

    Returns Unchanged where the pages are those of the fingerprint. Raises as `read_list` does, and IncompleteError,
    with what can be published should it last, where the walks do not show it.
    """
    fetched: list[bytes] = []
    if known and _are_known(known, fetch, fetched, url):
        return Unchanged(len(known))
    hashes, ready = array("q"), iter(fetched)

    def fetch_hashed(token: str | None) -> bytes:
        if token is None:
            del hashes[:]  # a walk begins
        # What was fetched for the comparison is the beginning of the first walk.
        body = next(ready, None)
        if body is None:
            body = fetch(token)
        hashes.append(hash(body))
        return body

    reading = read_list(fetch_hashed, url, explain, _LINKS)
    walks, links = reading.walks, reading.rows
    if walks[-1].lacks_total:
        raise InvalidResponseError(f"{url}: total_clicks is missing")
    if links is None:
        raise _incomplete(walks, url)
    stats = _stats(walks, links, counted=walks[-1].count is not None or not links)
    is_sure = len(walks) == 1 and stats.counted and not stats.gap
    return replace(stats, fingerprint=hashes) if is_sure else stats


def _are_known(known: Fingerprint, fetch: Fetch, fetched: list[bytes], url: str) -> bool:
    """Fetch the pages as long as they are the known ones, and return whether all are; those fetched are added."""
    token: str | None = None
    for digest in known:
        try:
            body = fetch(token)
        except BadRequestError:
            if token is None:
                raise
            return False
        fetched.append(body)
        if hash(body) != digest:
            return False
        try:
            token = _token_in(next_address(body), url)
        except InvalidResponseError:
            return False
        if token is None:
            return len(fetched) == len(known)
    return False


def read_list(fetch: Fetch, url: str, explain: Explain, form: Form[PageT, RowT]) -> Reading[RowT]:
    """Walk over the pages until they show the whole list, or cannot show it.

    `completeness` says when that is. A walk that ends early, since SendGrid puts errors beside the list or no longer
    takes a page token, is begun again once. The list is not whole when two walks in a row say the same and are not,
    when the fourth is not, or when the time is over after one. Raises InvalidResponseError for what no API gives: a
    page that comes back, a list without an end. `url` is for messages.
    """
    walks: list[Walk[RowT]] = []
    begun_again = False
    for _ in range(_MOST_WALKS):
        try:
            walks.append(Walk(_pages(fetch, url, explain, form, begun_again=begun_again)))
        except (_TokenRefused, IncompleteError):
            if begun_again:
                raise
            begun_again = True
            continue
        except ExchangeTimeoutError:
            if not walks:
                raise
            break
        if (rows := whole_list(walks)) is not None:
            return Reading(walks, rows)
        if len(walks) > 1 and walks[-1].says_the_same_as(walks[-2]):
            break  # a third one would say it again
    return Reading(walks, None)


def _incomplete(walks: Sequence[Walk[LinkClicks]], url: str) -> IncompleteError:
    links, counted = best_list(walks)
    stats = _stats(walks, links, counted=counted) if links else None
    return IncompleteError(f"{url}: the pages do not make one whole list: {disagreement(walks)}", stats=stats)


def _stats(walks: Sequence[Walk[LinkClicks]], rows: Sequence[LinkClicks], *, counted: bool) -> AutomationStats:
    links = add_up(rows)
    total, gap = total_of(walks[-1], links)
    return AutomationStats(links, total, sum(len(walk.pages) for walk in walks), counted, gap)


def _pages(
    fetch: Fetch, url: str, explain: Explain, form: Form[PageT, RowT], *, begun_again: bool
) -> Iterator[PageSaid[RowT]]:
    token: str | None = None
    seen: set[str] = set()
    size = rows = 0
    for _ in range(_MOST_PAGES):
        body = _fetched(fetch, token, begun_again=begun_again)
        size += len(body)
        if size > _MOST_BYTES:
            raise InvalidResponseError(f"{url}: the list is larger than {_MOST_BYTES} bytes")
        page = form.parse(body)
        if page.errors:
            said = explain(body)
            raise IncompleteError(f"{url}: SendGrid answered with errors beside the list{said and f' ({said})'}")
        content = form.said(page)
        rows += len(content.rows)
        if rows > form.most_rows:
            raise InvalidResponseError(f"{url}: the list does not end after {rows} rows")
        yield content
        token = _next_token(page, url)
        if token is None:
            return
        if token in seen:
            raise InvalidResponseError(f"{url}: the list of pages comes back to a page that was already read")
        seen.add(token)
        counts_the_list = content.count not in (None, 0, len(content.rows))
        if counts_the_list and rows > 2 * (content.count or 0) + _SLACK:
            count = content.count
            raise InvalidResponseError(f"{url}: the list does not end: {rows} rows so far, and it says to have {count}")
    raise InvalidResponseError(f"{url}: the list does not end after {_MOST_PAGES} pages")


def _fetched(fetch: Fetch, token: str | None, *, begun_again: bool) -> bytes:
    try:
        return fetch(token)
    except BadRequestError:
        if token is None or begun_again:
            raise
        # Not the refusal itself, which read_stats would have to keep: it holds the pages by its traceback.
        raise _TokenRefused from None


class _TokenRefused(Exception):  # noqa: N818  # it never leaves this module: a second walk may still succeed
    """A page token that SendGrid gave is no longer taken."""


def _next_token(page: AnyPage, url: str) -> str | None:
    """Return the token in the address of the next page, None where there is no next page.

    Nothing but its query is read: a gateway in front of SendGrid passes addresses on that name SendGrid's host, and the
    request goes to our own base URL in any case. Where the token stands there several times, the last one counts: an
    API that appends the new one to the address it was asked for puts it there. Bytes that are no UTF-8 are kept as
    surrogates, and sent as they came.
    """
    return _token_in(page.metadata.next if page.metadata else None, url)


def _token_in(address: str | None, url: str) -> str | None:
    if not address:
        return None
    query = address.partition("#")[0].partition("?")[2]
    tokens = parse_qs(query, errors="surrogateescape").get("page_token")
    if not tokens:
        raise InvalidResponseError(f"{url}: the next page's address has no page_token")
    return tokens[-1]


def _said(page: Page) -> PageSaid[LinkClicks]:
    count = page.metadata.count if page.metadata else None
    rows = page.results or ()
    places = ["" if (place := row.get("url_location")) is None else str(place) for row in rows]
    fields = zip(map(_STEP, rows), map(_URL, rows), places, map(_CLICKS, rows), strict=True)
    return PageSaid(tuple(map(_LINK, fields)), count, page.total_clicks, page.results is not None)


# A row is the tuple of its fields. Its class takes them one by one, in Python; the tuple's own constructor does not.
_LINK: Final[Callable[[tuple[str, str, str, int]], LinkClicks]] = partial(tuple.__new__, LinkClicks)
_STEP, _URL, _CLICKS = itemgetter("step_id"), itemgetter("url"), itemgetter("clicks")
_LINKS: Final = Form(parse_page, _said)
