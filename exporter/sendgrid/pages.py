"""Walking over an automation's list, page by page, until it is whole."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import parse_qs

from exporter.domain import AutomationStats
from exporter.errors import BadRequestError, ExchangeTimeoutError, IncompleteError, InvalidResponseError
from exporter.sendgrid.completeness import Rows, Walk, best_list, disagreement, total_of, whole_list
from exporter.sendgrid.wire import Page, parse_page

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


def read_stats(fetch: Fetch, url: str, explain: Explain) -> AutomationStats:
    """Return the automation's stats as soon as the walks over its pages show the whole list.

    `completeness` says when that is. A walk that ends early, since SendGrid puts errors beside the list or no longer
    takes a page token, is begun again once. Raises IncompleteError, with what can be published should it last, when two
    walks in a row say the same and are not whole, when the fourth is not, or when the time is over after one; and
    InvalidResponseError for what no API gives: a page that comes back, a list without an end. `url` is for messages.
    """
    walks: list[Walk] = []
    begun_again = False
    for _ in range(_MOST_WALKS):
        try:
            walks.append(_walk(fetch, url, explain, begun_again=begun_again))
        except (_TokenRefused, IncompleteError):
            if begun_again:
                raise
            begun_again = True
            continue
        except ExchangeTimeoutError:
            if not walks:
                raise
            break
        if (links := whole_list(walks)) is not None:
            return _stats(walks, links, counted=walks[-1].count is not None or not links)
        if len(walks) > 1 and walks[-1].says_the_same_as(walks[-2]):
            break  # a third one would say it again
    raise _incomplete(walks, url)


def _incomplete(walks: Sequence[Walk], url: str) -> IncompleteError:
    links, counted = best_list(walks)
    stats = _stats(walks, links, counted=counted) if links else None
    return IncompleteError(f"{url}: the pages do not make one whole list: {disagreement(walks)}", stats=stats)


def _stats(walks: Sequence[Walk], links: Rows, *, counted: bool) -> AutomationStats:
    total, gap = total_of(walks[-1], links)
    return AutomationStats(links, total, sum(len(walk.pages) for walk in walks), counted, gap)


def _walk(fetch: Fetch, url: str, explain: Explain, *, begun_again: bool) -> Walk:
    walk = Walk(_pages(fetch, url, explain, begun_again=begun_again))
    if walk.lacks_total:
        raise InvalidResponseError(f"{url}: total_clicks is missing")
    return walk


def _pages(fetch: Fetch, url: str, explain: Explain, *, begun_again: bool) -> Iterator[Page]:
    token: str | None = None
    seen: set[str] = set()
    size = rows = 0
    for _ in range(_MOST_PAGES):
        body = _fetched(fetch, token, begun_again=begun_again)
        size += len(body)
        if size > _MOST_BYTES:
            raise InvalidResponseError(f"{url}: the list is larger than {_MOST_BYTES} bytes")
        page = parse_page(body)
        if page.errors:
            said = explain(body)
            raise IncompleteError(f"{url}: SendGrid answered with errors beside the list{said and f' ({said})'}")
        rows += len(page.results or ())
        yield page
        token = _next_token(page, url)
        if token is None:
            return
        if token in seen:
            raise InvalidResponseError(f"{url}: the list of pages comes back to a page that was already read")
        seen.add(token)
        count = page.metadata.count if page.metadata else None
        counts_the_list = count not in (None, 0, len(page.results or ()))
        if counts_the_list and rows > 2 * (count or 0) + _SLACK:
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


def _next_token(page: Page, url: str) -> str | None:
    """Return the token in the address of the next page, None where there is no next page.

    Nothing but its query is read: a gateway in front of SendGrid passes addresses on that name SendGrid's host, and the
    request goes to our own base URL in any case. Where the token stands there several times, the last one counts: an
    API that appends the new one to the address it was asked for puts it there. Bytes that are no UTF-8 are kept as
    surrogates, and sent as they came.
    """
    address = page.metadata.next if page.metadata else None
    if not address:
        return None
    query = address.partition("#")[0].partition("?")[2]
    tokens = parse_qs(query, errors="surrogateescape").get("page_token")
    if not tokens:
        raise InvalidResponseError(f"{url}: the next page's address has no page_token")
    return tokens[-1]
