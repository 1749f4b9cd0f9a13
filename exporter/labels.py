"""What may stand in a label: addresses cleaned, lengths and numbers bounded, nothing lost from the sums."""

import hashlib
import heapq
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from operator import itemgetter
from typing import Final
from urllib.parse import unquote_plus

from exporter.domain import REST_URL, LinkClicks, add_up

_HASH_DIGITS: Final = 16
_MOST_BYTES: Final = 4
"""Of one character in UTF-8."""
_KEPT_ADVANTAGE: Final = 1.1
"""A link in the rest must have 10 % more clicks than a published one to take its place, so that two equal ones do
not change places at every poll."""


class UrlMode(StrEnum):
    """How much of a link's address is published."""

    FULL = "full"
    STRIP_FRAGMENT = "strip_fragment"
    STRIP_QUERY = "strip_query"


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What the configuration's `labels` group says."""

    url: UrlMode = UrlMode.FULL
    drop_params: tuple[str, ...] = ()
    """Shell patterns of query parameters to leave out, in any letter case."""
    max_links: int = 1000
    """Link rows per automation; the rest rows stand outside this number."""
    max_url_length: int = 2048
    """Bytes of a label's value in UTF-8, as Prometheus counts them."""


@dataclass(frozen=True, slots=True)
class CappedLinks:
    """The rows to publish, and the rows that were added to a rest row."""

    links: tuple[LinkClicks, ...]
    folded: tuple[LinkClicks, ...]


class LabelHygiene:
    """Applies the rules to the rows of one automation at a time; holds no state between them."""

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._dropped = [re.compile(translate(pattern), re.IGNORECASE) for pattern in rules.drop_params]
        self._rewrites = rules.url is not UrlMode.FULL or bool(self._dropped)

    def clean(self, links: tuple[LinkClicks, ...]) -> tuple[LinkClicks, ...]:
        """Return the rows with their addresses cleaned and bounded; rows that became equal are added up."""
        return links if self._is_clean(links) else add_up(self._cleaned(links))

    def exceeds(self, links: tuple[LinkClicks, ...]) -> bool:
        """Tell whether there are more rows than may be published."""
        return len(links) > self._rules.max_links

    def cap(self, links: tuple[LinkClicks, ...], was_kept: Callable[[LinkClicks], bool]) -> CappedLinks:
        """Keep the `max_links` most-clicked rows, and add the others up in one rest row per step.

        `was_kept` tells the rows that are published now: they have an advantage over the others, so that links do
        not flap in and out. The clicks of the result sum up to those of the given rows.
        """
        most = self._rules.max_links
        if not self.exceeds(links):
            return CappedLinks(links, ())
        ranked = ((row.clicks * (_KEPT_ADVANTAGE if was_kept(row) else 1.0), row[:3]) for row in links)
        kept = {key for _, key in heapq.nlargest(most, ranked)}
        folded = tuple(row for row in links if row[:3] not in kept)
        return CappedLinks(add_up([*(row for row in links if row[:3] in kept), *_rest(folded, most)]), folded)

    def _is_clean(self, links: tuple[LinkClicks, ...]) -> bool:
        """Tell, in a fraction of the time of cleaning, that there is nothing to clean, as mostly."""
        longest = self._rules.max_url_length // _MOST_BYTES
        if self._rewrites:
            return False
        return all(max(map(len, map(itemgetter(at), links)), default=0) <= longest for at in (0, 1))

    def _cleaned(self, links: Iterable[LinkClicks]) -> Iterator[LinkClicks]:
        longest = self._rules.max_url_length
        for step_id, url, place, clicks in links:
            address = self._rewritten(url) if self._rewrites else url
            yield LinkClicks(_bounded(step_id, longest), _bounded(address, longest), place, clicks)

    def _rewritten(self, url: str) -> str:
        address, fragment = _cut(url, "#")
        if self._rules.url is not UrlMode.FULL:
            fragment = ""
        path, query = _cut(address, "?")
        if self._rules.url is UrlMode.STRIP_QUERY:
            query = ""
        return path + (self._kept_params(query) if query else "") + fragment

    def _kept_params(self, query: str) -> str:
        if not self._dropped:
            return query
        kept = "&".join(param for param in _split(query[1:], "&") if not self._is_dropped(param))
        return "?" + kept if kept else ""

    def _is_dropped(self, param: str) -> bool:
        name = unquote_plus(param.split("=", 1)[0])
        return any(pattern.match(name) for pattern in self._dropped)


def _rest(folded: Collection[LinkClicks], most_steps: int) -> Iterator[LinkClicks]:
    steps = {row.step_id for row in folded}
    for row in folded:
        yield LinkClicks(row.step_id if len(steps) <= most_steps else REST_URL, REST_URL, "", row.clicks)


def _bounded(text: str, longest: int) -> str:
    """Cut text to a number of bytes; a hash of the whole at its end keeps two long texts apart."""
    if len(text) * _MOST_BYTES <= longest:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= longest:
        return text
    tail = "~" + hashlib.sha256(encoded).hexdigest()[:_HASH_DIGITS]
    return encoded[: longest - len(tail)].decode("utf-8", "ignore") + tail


def _cut(text: str, mark: str) -> tuple[str, str]:
    """Split text before the first mark that stands outside custom fields; the mark goes with the second part."""
    at = next(_marks(text, mark), len(text))
    return text[:at], text[at:]


def _split(text: str, mark: str) -> Iterator[str]:
    start = 0
    for at in _marks(text, mark):
        yield text[start:at]
        start = at + 1
    yield text[start:]


def _marks(text: str, mark: str) -> Iterator[int]:
    """Give the places of a mark outside `{{custom_fields}}`, which may hold any text (`{{#if vip}}`).

    Reads the text once: an address is data from outside, and a million open braces must not cost a million searches.
    """
    at, field = text.find(mark), text.find("{{")
    while at >= 0:
        if 0 <= field < at:
            end = text.find("}}", field + 2)
            if end >= 0:
                at = at if at >= end + 2 else text.find(mark, end + 2)
                field = text.find("{{", end + 2)
                continue
            field = -1
        yield at
        at = text.find(mark, at + 1)
