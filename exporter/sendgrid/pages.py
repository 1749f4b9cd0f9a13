"""All pages of one automation, whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final
from urllib.parse import parse_qs, urljoin, urlsplit

from exporter.domain import AutomationStats, LinkClicks, add_up
from exporter.errors import BadRequestError, IncompleteError, InvalidResponseError
from exporter.sendgrid.wire import LinkRow, Page, parse_page

_MOST_PAGES: Final = 2000
_MOST_BYTES: Final = 32 * 1024 * 1024
"""Of all pages together, since each may be as large as an answer may: 2000 real ones have two thirds of it."""
_SLACK: Final = 1000
"""A list may have twice the rows that it counts, and this many more, before it is taken for one without an end."""
_CLICKS: Final = itemgetter("clicks")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}

Fetch = Callable[[str | None], bytes]
"""Returns the body of the page that the token names; None names the first."""


def read_stats(fetch: Fetch, url: str) -> AutomationStats:
    """Return the automation's stats as soon as one walk over all its pages agrees with itself.

    Rows move between pages while clicks arrive, so a walk that does not add up, that has a row on two pages, or whose
    page token SendGrid no longer takes, is followed by one more. Raises IncompleteError with the difference when that
    one disagrees too, and InvalidResponseError for what no API gives: a foreign or repeated next page, no end. `url` is
    the first page's address: next pages must be on its scheme, host and port, since the key goes nowhere else.
    """
    repeated: Sequence[_Place] = ()
    try:
        pages = _walk(fetch, url)
        stats = check_whole(pages, url)
        repeated = _repeated(pages, stats)
        if not repeated:
            return stats
    except (IncompleteError, _TokenRefused):
        pass
    return _second_walk(fetch, url, repeated)


def _second_walk(fetch: Fetch, url: str, repeated: "Sequence[_Place]") -> AutomationStats:
    """Read all pages once more; rows that stand on two pages again, the same ones, are the API's own and add up.

    A whole page that stands there twice is none of them: then another page is missing.
    """
    try:
        pages = _walk(fetch, url)
    except _TokenRefused as exc:
        raise exc.refusal from None
    stats = check_whole(pages, url)
    again = _repeated(pages, stats)
    if again and (again != repeated or _has_page_twice(pages)):
        message = f"{url}: the pages do not make one whole list: {len(again)} rows stand on two of them"
        raise IncompleteError(message, difference=(len(again), 0), stats=stats)
    return stats


def _walk(fetch: Fetch, url: str) -> tuple[Page, ...]:
    return tuple(_pages(fetch, url))


def _pages(fetch: Fetch, url: str) -> Iterator[Page]:
    token: str | None = None
    seen: set[str] = set()
    size = rows = 0
    for _ in range(_MOST_PAGES):
        body = _fetched(fetch, token)
        size += len(body)
        if size > _MOST_BYTES:
            raise InvalidResponseError(f"{url}: the list is larger than {_MOST_BYTES} bytes")
        page = parse_page(body)
        rows += len(page.results or ())
        yield page
        token = _next_token(page, url)
        if token is None:
            return
        if token in seen:
            raise InvalidResponseError(f"{url}: the list of pages comes back to a page that was already read")
        seen.add(token)
        count = page.metadata.count if page.metadata else None
        if count is not None and rows > 2 * count + _SLACK:
            raise InvalidResponseError(f"{url}: the list does not end: {rows} rows so far, and it says to have {count}")
    raise InvalidResponseError(f"{url}: the list does not end after {_MOST_PAGES} pages")


def _fetched(fetch: Fetch, token: str | None) -> bytes:
    try:
        return fetch(token)
    except BadRequestError as exc:
        if token is None:
            raise
        raise _TokenRefused(exc) from None


class _TokenRefused(Exception):  # noqa: N818  # it never leaves this module: a second walk may still succeed
    """A page token that SendGrid gave is no longer taken."""

    def __init__(self, refusal: BadRequestError) -> None:
        super().__init__()
        self.refusal = refusal


def _next_token(page: Page, url: str) -> str | None:
    address = page.metadata.next if page.metadata else None
    if not address:
        return None
    try:
        target = urljoin(url, address)
        if _origin(target) != _origin(url):
            raise InvalidResponseError(f"{url}: the next page is on another host, which must not see the key")
        tokens = parse_qs(urlsplit(target).query).get("page_token", [])
    except ValueError:
        raise InvalidResponseError(f"{url}: the next page's address cannot be read") from None
    if not tokens:
        raise InvalidResponseError(f"{url}: the next page's address has no page_token")
    return tokens[0]


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def check_whole(pages: Sequence[Page], url: str) -> AutomationStats:
    """Return the stats that the pages hold; raise IncompleteError where they contradict each other.

    The rows number what the last page's `count` says, where given, and their clicks lie between the smallest and the
    largest total that the pages give, since clicks arrive between two pages. Totals that equal each page's own sum,
    on two or more pages, are per page: SendGrid does not say which of the two they are.
    """
    rows = [row for page in pages for row in _rows(page, url)]
    sums = [sum(map(_CLICKS, page.results or ())) for page in pages]
    clicks = sum(sums)
    low, high, total = _totals(pages, sums, url)
    stats = AutomationStats(add_up(_links(rows)), total, len(pages))
    count = pages[-1].metadata.count if pages[-1].metadata else None
    surplus_rows = 0 if count is None else len(rows) - count
    surplus_clicks = min(clicks - low, 0) or max(clicks - high, 0)
    if surplus_rows or surplus_clicks:
        raise IncompleteError(
            f"{url}: the pages do not make one whole list: {surplus_rows:+d} rows, {surplus_clicks:+d} clicks",
            difference=(surplus_rows, surplus_clicks),
            stats=stats,
        )
    return stats


_Place = tuple[str, str, int | None]
"""A step, a link and its place in the message."""


def _repeated(pages: Sequence[Page], stats: AutomationStats) -> Sequence[_Place]:
    """Return the places of a link that stand on two pages; without a place, a link may stand on several.

    A row that moves while the pages are read doubles one link and loses another. Where both have equally many clicks,
    neither the count nor the total tells. Where no two rows were added up, none can stand on two pages.
    """
    if len(pages) == 1 or len(stats.links) == sum(len(page.results or ()) for page in pages):
        return ()
    seen: set[_Place] = set()
    repeated: list[_Place] = []
    for page in pages:
        placed = [row for row in page.results or () if row.get("url_location") is not None]
        places = [(row["step_id"], row["url"], row.get("url_location")) for row in placed]
        repeated += [place for place in places if place in seen]
        seen.update(places)
    return repeated


def _has_page_twice(pages: Sequence[Page]) -> bool:
    seen: list[list[LinkRow]] = []
    for rows in (page.results or [] for page in pages):
        if len(rows) > 1 and rows in seen:
            return True
        seen.append(rows)
    return False


def _rows(page: Page, url: str) -> Sequence[LinkRow]:
    if page.results is not None:
        return page.results
    count = page.metadata.count if page.metadata else None
    if 0 in (count, page.total_clicks):
        return ()
    raise IncompleteError(f"{url}: a page has no results, and does not say that there are none", difference=None)


def _totals(pages: Sequence[Page], sums: Sequence[int], url: str) -> tuple[int, int, int]:
    """Return the smallest and the largest total that the rows' clicks may have, and the one to publish."""
    clicks = sum(sums)
    given = [page.total_clicks for page in pages if page.total_clicks is not None]
    if not given and clicks == 0:
        return 0, 0, 0
    if len(given) < len(pages):
        raise InvalidResponseError(f"{url}: total_clicks is missing")
    if len(pages) > 1 and given == sums:
        return clicks, clicks, clicks
    return min(given), max(given), given[-1]


def _links(rows: Sequence[LinkRow]) -> Iterator[LinkClicks]:
    for row in rows:
        place = row.get("url_location")
        yield LinkClicks(row["step_id"], row["url"], "" if place is None else str(place), row["clicks"])
