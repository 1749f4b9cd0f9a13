"""Walking over a list, page by page, until its rows show that it is whole.

A walk reads every page once. Rows move between pages meanwhile, get lost at a page's edge or stand on two pages, and
SendGrid does not say when. A list is whole when its rows show it; until then it is walked again:

    the pages of a walk say …                 | the list is whole when …
    ------------------------------------------|-----------------------------------------------------------------
    one count above 0, all the same one       | the walk has so many rows, and none of its places on two pages;
                                              | or the union of the last walks with this count has so many, none
                                              | of them having more; or two walks in a row have so many at the
                                              | same places, and only rows without a location on two pages
    different counts                          | never: the list changed meanwhile
    no count, 0 beside rows, or each page's   | two walks in a row have the same places, none of them with a
    own number of rows                        | location on two pages, and no page is empty but the last
    no rows; a count or a total of 0, none    | at once: SendGrid says that there is nothing
    above it                                  |
    no rows, anything else                    | never

A count or a total of 0 on a page without rows is that page's own where others have rows: it says nothing of the list.

A row's first three fields are its place: (step, url, location) of a link. Rows without a location share one, so several
may stand at the same place of the same page: these are added up. On two pages they may be two rows, or one that moved;
only a union that numbers the count, or a second walk, tells. A row with a location that stands twice on a page is
believed only where the count confirms it.

Of a place that several walks show, the last one's clicks are given: SendGrid's newest word. Clicks never decide: the
total is SendGrid's own number, published as it is said.
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
"""A step, a link and its location in the message; the location is empty where SendGrid gives none."""
RowT = TypeVar("RowT", bound=tuple[str, str, str, Any])
"""A place, and what SendGrid says of it."""
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


@dataclass(frozen=True, slots=True)
class PageSaid(Generic[RowT]):
    """What one page says; a parsed page takes several times as much memory."""

    rows: tuple[RowT, ...]
    count: int | None
    total: int | None
    has_results: bool
    """Whether there was a list at all, be it an empty one."""

    @property
    def says_nothing(self) -> bool:
        """Whether the page neither has rows nor says that there are none."""
        return not self.rows and 0 not in (self.count, self.total)


class Walk(Generic[RowT]):
    """All pages of a list, read once, in their order."""

    def __init__(self, pages: Iterable[PageSaid[RowT]]) -> None:
        self.pages = tuple(pages)
        """One at least."""

    @property
    def rows(self) -> Iterator[tuple[RowT, ...]]:
        """The rows of each page."""
        return (page.rows for page in self.pages)

    @cached_property
    def number(self) -> int:
        """How many rows the walk saw, doubled ones included."""
        return sum(map(len, self.rows))

    @cached_property
    def counts(self) -> frozenset[int]:
        """What the pages say of the number of rows in the list; empty where that is nothing about the list."""
        counting = [(page, page.count) for page in self.pages if page.count is not None]
        counts = frozenset(count for page, count in counting if self._is_of_list(page, count))
        # An API may mean each page's own number of rows by it, which says nothing about the list.
        per_page = len(self.pages) > 1 and all(count == len(page.rows) for page, count in counting)
        # Four rows on each page, and four of them altogether: a list of which every row is given twice.
        per_page = per_page and {count for _, count in counting} != {len(self.places)}
        return frozenset() if self.number and (per_page or counts == {0}) else counts

    @cached_property
    def totals(self) -> Sequence[int]:
        """What the pages say of the total, in their order."""
        return [page.total for page in self.pages if page.total is not None and self._is_of_list(page, page.total)]

    def _is_of_list(self, page: PageSaid[RowT], number: int) -> bool:
        return bool(number or page.rows) or not self.number

    @property
    def count(self) -> int | None:
        """How many rows SendGrid says that the list has; None where it does not say one number."""
        return next(iter(self.counts)) if len(self.counts) == 1 else None

    @property
    def is_torn(self) -> bool:
        """Whether the pages say different counts."""
        return len(self.counts) > 1

    @cached_property
    def places(self) -> Mapping[Place, int]:
        """How many rows stand at each place; one at most on a page where the place has a location."""
        return Counter(row[:3] for rows in self.rows for row in _once(rows))

    @cached_property
    def _repeated(self) -> tuple[frozenset[Place], bool]:
        seen = set(map(_PLACE, _all(self)))
        if len(seen) == self.number:
            return frozenset(), False  # as mostly
        seen.clear()
        shared: set[Place] = set()
        for rows in self.rows:
            places = set(map(_PLACE, rows))
            shared |= seen & places
            seen |= places
        return frozenset(shared), True

    @property
    def shared(self) -> frozenset[Place]:
        """The places that are on two pages."""
        return self._repeated[0]

    @property
    def repeats_a_place(self) -> bool:
        """Whether a place is there twice, on one page or on two."""
        return self._repeated[1]

    @property
    def doubled(self) -> int:
        """How many places with a location stand on two pages: such a row was read twice, and maybe for another one."""
        return sum(1 for place in self.shared if place[2])

    @cached_property
    def ambiguous(self) -> Mapping[RowT, int]:
        """The rows without a location whose place stands on two pages: one of them may be there twice, for another."""
        return Counter(row for rows in self.rows for row in rows if not row[2] and row[:3] in self.shared)

    @cached_property
    def has_page_twice(self) -> bool:
        """Whether two pages hold just the same rows; a page of one row may be like another by chance."""
        pages = [rows for rows in self.rows if len(rows) > 1]
        return len(set(pages)) < len(pages)

    @cached_property
    def says_nothing_is_there(self) -> bool:
        """Whether SendGrid says by a count or a total of 0 that the list is empty, and by no other that it is not."""
        return self.number == 0 and self.counts.union(self.totals) == {0}

    @cached_property
    def is_hollow(self) -> bool:
        """Whether a page neither has rows nor says that there are none; an empty last page only ends the list."""
        *inner, last = self.pages
        ends_the_list = bool(inner) and last.has_results
        return any(page.says_nothing for page in (inner if ends_the_list else self.pages))

    @property
    def lacks_total(self) -> bool:
        """Whether a page with rows gives no total, which the API always does."""
        return any(page.rows and page.total is None for page in self.pages)

    def says_the_same_as(self, other: "Walk[RowT]") -> bool:
        """Return whether both walks saw the same places, as many rows, the same ambiguous ones and the same counts."""
        mine, theirs = ((walk.number, walk.counts, walk.places, walk.ambiguous) for walk in (self, other))
        return mine == theirs


def whole_list(walks: Sequence[Walk[RowT]]) -> Sequence[RowT] | None:
    """Return the rows of the list where the walks show all of it; None where they do not.

    A place with a location has one row, unless one page has several of it and the count confirms them.
    """
    last = walks[-1]
    if last.number == 0:
        return () if last.says_nothing_is_there else None
    if last.is_torn:
        # The list changed while it was read, so which rows are missing cannot be told from this walk.
        return None
    # The strongest sign there is without a count: two walks that saw the same. A row read twice still spoils it, since
    # both walks may have lost the row that it was read for.
    confirmed = _agree(walks) and not last.doubled and not last.has_page_twice
    if last.count is not None:
        return _whole_by_count(walks, last.count, confirmed=confirmed)
    # Without a count only repetition is left as evidence, and an empty page in between may hide rows both times.
    if confirmed and not last.is_hollow:
        return [row for rows in last.rows for row in _once(rows)]
    return None


def _whole_by_count(walks: Sequence[Walk[RowT]], count: int, *, confirmed: bool) -> Sequence[RowT] | None:
    last = walks[-1]
    # The number alone does not do: one row lost and another read twice at a page's edge add up to the count as well.
    if last.number == count and (confirmed or not last.shared):
        return list(_all(last))
    # Rows that moved while a page was read are missing in one walk and present in another, so the union may be whole.
    alike = list(_last_with_count(walks, count))
    if any(walk.number > count for walk in alike):
        return None  # it is no count of this list, and rows that fit it would fit by chance
    # Only walks with the same count: rows of a list that has grown or shrunk since would mix two states.
    union = _union(rows for walk in alike for rows in walk.rows)
    return union if len(union) == count else None


def best_list(walks: Sequence[Walk[RowT]]) -> tuple[Sequence[RowT], bool]:
    """Return what can be said of a list that no walk shows whole, and whether it has as many rows as SendGrid counts.

    No row is doubled: a place with a location has one row, and where there are more rows than SendGrid counts, those of
    a page that are equal, clicks included, are one. Nothing is given where a page is missing, where an empty list is
    contradicted, or where rows without a location stand on several pages and two walks do not agree on them.
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
    """Return what keeps the last walk's list from being whole, in words for a log line."""
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
    """Return the total to publish beside the links, and how far their clicks are outside of what SendGrid says.

    Totals that equal each page's own clicks, on two or more pages, are per page, and the list's total is their sum.
    Otherwise the last page's is SendGrid's newest word. Clicks arrive between two pages, so those of the links may lie
    anywhere between the smallest and the largest total.
    """
    clicks = sum(map(_CLICKS_OF_LINK, links))
    given = [page for page in walk.pages if page.total is not None]
    # On one page a total per page and one of the list are the same number, so it takes two pages to see it.
    if len(given) > 1 and all(page.total == sum(map(_CLICKS_OF_LINK, page.rows)) for page in given):
        return clicks, 0
    if not walk.totals:
        return 0, 0
    return walk.totals[-1], min(clicks - min(walk.totals), 0) or max(clicks - max(walk.totals), 0)


def _agree(walks: Sequence[Walk[RowT]]) -> bool:
    return len(walks) > 1 and walks[-1].says_the_same_as(walks[-2])


def _last_with_count(walks: Sequence[Walk[RowT]], count: int) -> Iterator[Walk[RowT]]:
    """Give the walks at the end that say the same count, in their order."""
    others = [number for number, walk in enumerate(walks, 1) if walk.count != count]
    yield from walks[max(others, default=0) :]


def _union(pages: Iterable[tuple[RowT, ...]]) -> list[RowT]:
    """Return the rows that surely exist: of each place those of the page that has most of them, or the last such page.

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
    """Return a page's rows with each place that has a location once, as its last row has it, or any equal ones once."""
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
            token = _next_token(next_address(body), url)
        except InvalidResponseError:
            return False
        if token is None:
            return len(fetched) == len(known)
    return False


def read_list(fetch: Fetch, url: str, explain: Explain, form: Form[PageT, RowT]) -> Reading[RowT]:
    """Walk over the pages until they show the whole list, or cannot show it.

    The table above says when that is. A walk that ends early, since SendGrid puts errors beside the list or no longer
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
        # Not the refusal itself, which read_stats would have to keep: it holds the pages by its traceback.
        raise _TokenRefused from None


class _TokenRefused(Exception):  # noqa: N818  # it never leaves this module: a second walk may still succeed
    """A page token that SendGrid gave is no longer taken."""


def _next_token(address: str | None, url: str) -> str | None:
    """Return the token in the address of the next page, None where there is no next page.

    Nothing but its query is read: a gateway in front of SendGrid passes addresses on that name SendGrid's host, and the
    request goes to our own base URL in any case. Where the token stands there several times, the last one counts: an
    API that appends the new one to the address it was asked for puts it there. Bytes that are no UTF-8 are kept as
    surrogates, and sent as they came.
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
