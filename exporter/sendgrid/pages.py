"""Reads a list page by page, again if necessary, until its rows prove that it is complete.

A walk reads every page once. Meanwhile rows move between pages, are lost at a page boundary or appear on two pages, and
SendGrid does not say when. A list is complete ("whole") if its rows prove it; otherwise it is walked again:

    the pages of a walk report …              | the list is whole when …
    ------------------------------------------|-----------------------------------------------------------------
    the same count above 0                    | the walk has that many rows, and no place is on two pages; or the
                                              | union of the last walks with this count has that many, and none
                                              | of them has more; or two walks in a row have that many at the
                                              | same places, and only rows without a location on two pages
    different counts                          | never: the list changed during the walk
    no count, 0 beside rows, or each page's   | two walks in a row have the same places, none with a location on
    own number of rows                        | two pages, and no page but the last is empty
    no rows; a count or a total of 0, none    | immediately: SendGrid reports an empty list
    above it                                  |
    no rows, anything else                    | never

If other pages have rows, a count or a total of 0 on a page without rows applies to that page, not to the list.

A row's first three fields are its place: the step, URL and location of a link. Rows without a location share a place,
so several on one page are added up. On two pages they may be two rows, or one that moved; only a union that matches the
count, or a second walk, distinguishes them. Two rows with the same location on one page are accepted only if the count
confirms them.

If several walks contain a place, the last one's clicks are used, as the newest. Clicks never decide: the total is
SendGrid's own number, published unchanged.
"""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import parse_qs

from exporter.domain import AutomationStats, Fingerprint, LinkClicks, Unchanged, add_up
from exporter.errors import BadRequestError, ExchangeTimeoutError, IncompleteError, InvalidResponseError
from exporter.sendgrid.wire import Metadata, Page, next_address, parse_page

_PLACE: Final = itemgetter(0, 1, 2)
_CLICKS_OF_LINK: Final = itemgetter(3)
Place = tuple[str, str, str]
"""A step, a link and its location in the message; the location is empty if SendGrid gives none."""
RowT = TypeVar("RowT", bound=tuple[str, str, str, Any])
"""A place, and SendGrid's numbers for it."""
_MOST_WALKS: Final = 4
"""Walks in one poll. Two are enough for a list that does not change, even without a count; the others are for rows that
moved during the first two. A list that keeps changing is read again an interval later."""
_MOST_PAGES: Final = 2000
_MOST_BYTES: Final = 32 * 1024 * 1024
"""All pages together, since each may have the largest size of an answer: 2000 real pages have two thirds of it."""
_SLACK: Final = 1000
"""A list may have twice the rows of its count, plus this many, before it is considered endless."""
Fetch = Callable[[str | None], bytes]
"""Returns the body of the page with this token; None is the first page."""
Explain = Callable[[bytes], str]
"""Returns the errors in an answer, as text for a log line."""


@dataclass(frozen=True, slots=True)
class PageSaid(Generic[RowT]):
    """The content of one page; a parsed page takes several times as much memory."""

    rows: tuple[RowT, ...]
    count: int | None
    total: int | None
    has_results: bool
    """Whether there was a list at all, even an empty one."""

    @property
    def says_nothing(self) -> bool:
        """Whether the page has no rows and does not report an empty list either."""
        return not self.rows and 0 not in (self.count, self.total)


class Walk(Generic[RowT]):
    """All pages of a list, read once, in order."""

    def __init__(self, pages: Iterable[PageSaid[RowT]]) -> None:
        self.pages = tuple(pages)
        """At least one."""

    @property
    def rows(self) -> Iterator[tuple[RowT, ...]]:
        """The rows of each page."""
        return (page.rows for page in self.pages)

    @cached_property
    def number(self) -> int:
        """The number of rows in the walk, including duplicates."""
        return sum(map(len, self.rows))

    @cached_property
    def counts(self) -> frozenset[int]:
        """The pages' counts of the rows in the list; empty if they do not apply to the list."""
        counting = [(page, page.count) for page in self.pages if page.count is not None]
        counts = frozenset(count for page, count in counting if self._is_of_list(page, count))
        # An API may report each page's own number of rows, which says nothing about the list.
        per_page = len(self.pages) > 1 and all(count == len(page.rows) for page, count in counting)
        # Four rows on each page, and four different ones in all: a list in which every row is given twice.
        per_page = per_page and {count for _, count in counting} != {len(self.places)}
        return frozenset() if self.number and (per_page or counts == {0}) else counts

    @cached_property
    def totals(self) -> Sequence[int]:
        """The totals that the pages report, in order."""
        return [page.total for page in self.pages if page.total is not None and self._is_of_list(page, page.total)]

    def _is_of_list(self, page: PageSaid[RowT], number: int) -> bool:
        return bool(number or page.rows) or not self.number

    @property
    def count(self) -> int | None:
        """The number of rows according to SendGrid; None unless all pages report the same number."""
        return next(iter(self.counts)) if len(self.counts) == 1 else None

    @property
    def is_torn(self) -> bool:
        """Whether the pages report different counts."""
        return len(self.counts) > 1

    @cached_property
    def places(self) -> Mapping[Place, int]:
        """The number of rows at each place; at most one per page if the place has a location."""
        return Counter(row[:3] for rows in self.rows for row in _once(rows))

    @cached_property
    def _repeated(self) -> tuple[frozenset[Place], bool]:
        seen = set(map(_PLACE, _all(self)))
        if len(seen) == self.number:
            return frozenset(), False  # the usual case
        seen.clear()
        shared: set[Place] = set()
        for rows in self.rows:
            places = set(map(_PLACE, rows))
            shared |= seen & places
            seen |= places
        return frozenset(shared), True

    @property
    def shared(self) -> frozenset[Place]:
        """The places on two pages."""
        return self._repeated[0]

    @property
    def repeats_a_place(self) -> bool:
        """Whether a place appears twice, on one page or on two."""
        return self._repeated[1]

    @property
    def doubled(self) -> int:
        """The number of places with a location on two pages: such a row was read twice, perhaps instead of another."""
        return sum(1 for place in self.shared if place[2])

    @cached_property
    def ambiguous(self) -> Mapping[RowT, int]:
        """The rows without a location whose place is on two pages: one may be there twice, instead of another."""
        return Counter(row for rows in self.rows for row in rows if not row[2] and row[:3] in self.shared)

    @cached_property
    def has_page_twice(self) -> bool:
        """Whether two pages have exactly the same rows; pages of one row may be equal by chance."""
        pages = [rows for rows in self.rows if len(rows) > 1]
        return len(set(pages)) < len(pages)

    @cached_property
    def says_nothing_is_there(self) -> bool:
        """Whether a count or a total of 0 says that the list is empty, and none says that it is not."""
        return self.number == 0 and self.counts.union(self.totals) == {0}

    @cached_property
    def is_hollow(self) -> bool:
        """Whether a page has no rows and does not report an empty list; an empty last page only ends the list."""
        *inner, last = self.pages
        ends_the_list = bool(inner) and last.has_results
        return any(page.says_nothing for page in (inner if ends_the_list else self.pages))

    @property
    def lacks_total(self) -> bool:
        """Whether a page with rows lacks a total, which the API always gives."""
        return any(page.rows and page.total is None for page in self.pages)

    def says_the_same_as(self, other: "Walk[RowT]") -> bool:
        """Return whether both walks have the same places, number of rows, ambiguous rows and counts."""
        mine, theirs = ((walk.number, walk.counts, walk.places, walk.ambiguous) for walk in (self, other))
        return mine == theirs


def whole_list(walks: Sequence[Walk[RowT]]) -> Sequence[RowT] | None:
    """Return the rows of the list if the walks prove that it is whole, otherwise None.

    A place with a location has one row, unless a page has several and the count confirms them.
    """
    last = walks[-1]
    if last.number == 0:
        return () if last.says_nothing_is_there else None
    if last.is_torn:
        # The list changed while it was read, so this walk does not show which rows are missing.
        return None
    # The strongest evidence without a count: two equal walks. A row that was read twice still disproves it, since
    # both walks may have missed the row in whose stead it was read.
    confirmed = _agree(walks) and not last.doubled and not last.has_page_twice
    if last.count is not None:
        return _whole_by_count(walks, last.count, confirmed=confirmed)
    # Without a count the only evidence is repetition, and an empty page in between may hide rows both times.
    if confirmed and not last.is_hollow:
        return [row for rows in last.rows for row in _once(rows)]
    return None


def _whole_by_count(walks: Sequence[Walk[RowT]], count: int, *, confirmed: bool) -> Sequence[RowT] | None:
    last = walks[-1]
    # The number alone is not enough: a row lost and another read twice at a page boundary also match the count.
    if last.number == count and (confirmed or not last.shared):
        return list(_all(last))
    # Rows that moved while a page was read are missing in one walk and present in another, so the union may be whole.
    alike = list(_last_with_count(walks, count))
    if any(walk.number > count for walk in alike):
        return None  # not a count of this list, so rows that match it would match by chance
    # Only walks with the same count: otherwise rows from before and after a change would be mixed.
    union = _union(rows for walk in alike for rows in walk.rows)
    return union if len(union) == count else None


def best_list(walks: Sequence[Walk[RowT]]) -> tuple[Sequence[RowT], bool]:
    """Return the best known rows of a list that no walk proves whole, and whether their number matches the count.

    No row is duplicated: a place with a location has one row, and if there are more rows than the count, equal rows of
    a page (including their clicks) are one. Return nothing if a page is missing, if an empty list is contradicted, or
    if rows without a location are on several pages and two walks disagree on them.
    """
    last = walks[-1]
    if last.number == 0 or last.is_hollow:
        return (), False
    has_surplus = last.count is not None and last.number > last.count
    pages = [[_once(rows, equal=has_surplus) for rows in walk.rows] for walk in walks]
    union = _union(rows for walk in pages for rows in walk)
    doubled_pages = last.has_page_twice and not has_surplus
    if len(union) == last.count or doubled_pages or not any(walk.ambiguous for walk in walks):
        return union, len(union) == last.count
    is_settled = sum(map(len, pages[-1])) == last.count if has_surplus else _agree(walks)
    if not is_settled:
        return (), False
    located = [row for row in union if row[2]]
    union = located + [row for rows in pages[-1] for row in rows if not row[2]]
    return union, len(union) == last.count


def disagreement(walks: Sequence[Walk[RowT]]) -> str:
    """Return why the last walk is not whole, as text for a log line."""
    last = walks[-1]
    if last.number == 0:
        said = [f"{name} of {_listed(numbers)}" for name, numbers in _said_numbers(last) if numbers]
        return f"no rows, but a {' and a '.join(said)}" if said else "neither rows nor a count or total of 0"
    if last.is_torn:
        return f"the pages give different counts: {_listed(last.counts)}"
    if last.count is not None and last.count != last.number:
        return f"{last.number} rows, and SendGrid counts {last.count}"
    if last.shared:
        return f"{len(last.shared)} places stand on two pages"
    return "a page is empty" if last.is_hollow else "no count of the list, and no two readings agree"


def total_of(walk: Walk[LinkClicks], links: Sequence[LinkClicks]) -> tuple[int, int]:
    """Return the total to publish with the links, and by how much their clicks are outside SendGrid's totals.

    If on two or more pages each total equals the page's own clicks, totals are per page, and the list's is their sum.
    Otherwise the last page has the newest total. Clicks arrive between two pages, so the links' sum may be anywhere
    between the smallest and the largest total.
    """
    clicks = sum(map(_CLICKS_OF_LINK, links))
    given = [page for page in walk.pages if page.total is not None]
    # On a single page both kinds of total are the same number, so two pages are needed to distinguish them.
    if len(given) > 1 and all(page.total == sum(map(_CLICKS_OF_LINK, page.rows)) for page in given):
        return clicks, 0
    if not walk.totals:
        return 0, 0
    return walk.totals[-1], min(clicks - min(walk.totals), 0) or max(clicks - max(walk.totals), 0)


def _agree(walks: Sequence[Walk[RowT]]) -> bool:
    return len(walks) > 1 and walks[-1].says_the_same_as(walks[-2])


def _last_with_count(walks: Sequence[Walk[RowT]], count: int) -> Iterator[Walk[RowT]]:
    """Yield the last walks that report the same count, in order."""
    others = [number for number, walk in enumerate(walks, 1) if walk.count != count]
    yield from walks[max(others, default=0) :]


def _union(pages: Iterable[tuple[RowT, ...]]) -> list[RowT]:
    """Return the rows that certainly exist: for each place those of the page with the most, or the last such page.

    A page is one answer, so its rows are different ones; rows on two pages may be the same one.
    """
    best: dict[Place, list[RowT]] = {}
    for rows in pages:
        by_place: dict[Place, list[RowT]] = {}
        for row in rows:
            by_place.setdefault(_PLACE(row), []).append(row)
        best.update({place: them for place, them in by_place.items() if len(them) >= len(best.get(place, ()))})
    return [row for rows in best.values() for row in rows]


def _once(rows: tuple[RowT, ...], *, equal: bool = False) -> tuple[RowT, ...]:
    """Return a page's rows without duplicates: for each place with a location its last row, of equal rows one."""
    located = {row[:3]: row for row in rows if row[2]}
    others = (row for row in rows if not row[2])
    return (*located.values(), *(dict.fromkeys(others) if equal else others))


def _all(walk: Walk[RowT]) -> Iterator[RowT]:
    return chain.from_iterable(walk.rows)


def _said_numbers(walk: Walk[RowT]) -> Iterator[tuple[str, Collection[int]]]:
    yield from (("count", walk.counts), ("total", frozenset(walk.totals)))


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:3]))


class AnyPage(Protocol):
    """The fields of every parsed page."""

    @property
    def metadata(self) -> Metadata | None:
        """The paging part."""

    @property
    def errors(self) -> object:
        """Present only in a refusal."""


PageT = TypeVar("PageT", bound=AnyPage)


@dataclass(frozen=True, slots=True)
class Form(Generic[PageT, RowT]):
    """How to read the pages of one kind of list."""

    parse: Callable[[bytes], PageT]
    """Returns the page in a body; raises InvalidResponseError, whose text is about the answer alone."""
    said: Callable[[PageT], PageSaid[RowT]]
    most_rows: int = sys.maxsize
    """A longer list is considered endless."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[RowT]):
    """The walks over a list, and its rows."""

    walks: Sequence[Walk[RowT]]
    rows: Sequence[RowT] | None
    """None if the walks do not prove the list whole."""


def read_stats(fetch: Fetch, url: str, explain: Explain, known: Fingerprint = ()) -> AutomationStats | Unchanged:
    """Return the automation's stats as soon as the walks over its pages prove the list whole.

    Return Unchanged if the pages match the fingerprint. Raise as `read_list` does, and IncompleteError, with what can
    be published if that persists, if the walks do not prove it.
    """
    fetched: list[bytes] = []
    if known and _are_known(known, fetch, fetched, url):
        return Unchanged(len(known))
    hashes, ready = array("q"), iter(fetched)

    def fetch_hashed(token: str | None) -> bytes:
        if token is None:
            del hashes[:]  # a walk starts
        # The pages fetched for the comparison are the start of the first walk.
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
    """Fetch pages while they match the known ones, adding them, and return whether all match."""
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
            token = _next_token(next_address(body), url)
        except InvalidResponseError:
            return False
        if token is None:
            return len(fetched) == len(known)
    return False


def read_list(fetch: Fetch, url: str, explain: Explain, form: Form[PageT, RowT]) -> Reading[RowT]:
    """Walk over the pages until they prove the list whole, or cannot.

    The table above defines when. A walk that ends early, because SendGrid returns errors beside the list or rejects a
    page token, restarts once. The list is not whole if two equal walks in a row do not prove it, if the fourth does
    not, or if the time is over after one. Raise InvalidResponseError for a page that comes back or an endless list.
    `url` is for messages.
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
            break  # a third one would be the same
    return Reading(walks, None)


def _incomplete(walks: Sequence[Walk[LinkClicks]], url: str) -> IncompleteError:
    links, counted = best_list(walks)
    stats = _stats(walks, links, counted=counted) if links else None
    return IncompleteError(f"{url}: the pages do not form one complete list: {disagreement(walks)}", stats=stats)


def _stats(walks: Sequence[Walk[LinkClicks]], rows: Sequence[LinkClicks], *, counted: bool) -> AutomationStats:
    # Rows of one walk are some of its rows, so that mostly there is nothing to add up.
    links = add_up(rows) if len(walks) > 1 or walks[-1].repeats_a_place else tuple(rows)
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
        token = _next_token(page.metadata.next if page.metadata else None, url)
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
        # Not the refusal itself, which read_stats would have to keep: its traceback refers to the pages.
        raise _TokenRefused from None


class _TokenRefused(Exception):  # noqa: N818  # it never leaves this module: a second walk may still succeed
    """SendGrid no longer accepts a page token that it gave."""


def _next_token(address: str | None, url: str) -> str | None:
    """Return the token in the address of the next page, None if there is no next page.

    Only the query is read: a gateway in front of SendGrid passes on addresses with SendGrid's host, and the request
    goes to our own base URL in any case. If there are several tokens, the last one counts, since an API may append the
    new one to the requested address. Bytes that are not UTF-8 are kept as surrogates and sent unchanged.
    """
    if not address:
        return None
    query = address.partition("#")[0].partition("?")[2]
    tokens = parse_qs(query, errors="surrogateescape").get("page_token")
    if not tokens:
        raise InvalidResponseError(f"{url}: the next page's address has no page_token")
    return tokens[-1]


def _said(page: Page) -> PageSaid[LinkClicks]:
    count = page.metadata.count if page.metadata else None
    # A row is the tuple of its fields. Its class takes them one by one, in Python; the tuple's constructor does not.
    new = tuple.__new__
    rows = [
        new(LinkClicks, (row.step_id, row.url, "" if (at := row.url_location) is None else str(at), row.clicks))
        for row in page.results or ()
    ]
    return PageSaid(tuple(rows), count, page.total_clicks, page.results is not None)


_LINKS: Final = Form(parse_page, _said)
