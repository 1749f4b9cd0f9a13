"""What may stand in a label: addresses cleaned, lengths and numbers bounded, nothing lost from the sums."""

import hashlib
import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from exporter.domain import OVERFLOW_URL, LinkClicks, add_up
from exporter.urls import UrlMode, UrlRules

_HASH_DIGITS: Final = 16
_MOST_BYTES: Final = 4
"""Of one character in UTF-8."""
_KEPT_ADVANTAGE: Final = 1.1
"""A link in the rest must have 10 % more clicks than a published one to take its place, so that two equal ones do
not change places at every poll."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What the configuration's `labels` group says."""

    url: UrlMode = UrlMode.FULL
    drop_params: tuple[str, ...] = ()
    """Shell patterns of parameters to leave out, in any letter case."""
    drop_paths: tuple[str, ...] = ()
    """Paths of which what a star stands for is left out."""
    max_links: int = 1000
    """Link rows per automation; the overflow rows stand outside this number."""
    max_url_length: int = 2048
    """Bytes of a label's value in UTF-8, as Prometheus counts them."""


@dataclass(frozen=True, slots=True)
class CappedLinks:
    """The rows to publish, and the rows that were added to an overflow row."""

    links: tuple[LinkClicks, ...]
    folded: tuple[LinkClicks, ...]


class LabelHygiene:
    """Applies the rules to the rows of one automation at a time; holds no state between them."""

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._urls = UrlRules(rules.url, rules.drop_params, rules.drop_paths)

    def clean(self, links: tuple[LinkClicks, ...]) -> tuple[LinkClicks, ...]:
        """Return the rows with their addresses cleaned and bounded; rows that became equal are added up."""
        return links if self._is_clean(links) else add_up(self._cleaned(links))

    def bounded(self, text: str) -> str:
        """Return the text, cut as a label's value where it is too long."""
        return _bounded(text, self._rules.max_url_length)

    def exceeds(self, links: tuple[LinkClicks, ...]) -> bool:
        """Return whether there are more rows than may be published."""
        return len(links) > self._rules.max_links

    def cap(self, links: tuple[LinkClicks, ...], was_kept: Callable[[LinkClicks], bool]) -> CappedLinks:
        """Keep the `max_links` most-clicked rows, and add the others up in one overflow row per step.

        `was_kept` returns whether a row is published now: those have an advantage over the others, so that links do
        not flap in and out. The clicks of the result sum up to those of the given rows.
        """
        most = self._rules.max_links
        if not self.exceeds(links):
            return CappedLinks(links, ())
        # Ties fall to the larger key, so that equal clicks give the same choice whatever order SendGrid sends.
        ranked = ((row.clicks * (_KEPT_ADVANTAGE if was_kept(row) else 1.0), row[:3]) for row in links)
        kept = {key for _, key in heapq.nlargest(most, ranked)}
        folded = tuple(row for row in links if row[:3] not in kept)
        return CappedLinks(add_up([*(row for row in links if row[:3] in kept), *_overflow(folded, most)]), folded)

    def _is_clean(self, links: tuple[LinkClicks, ...]) -> bool:
        """Return whether there is nothing to clean, as mostly; takes a fraction of the time of cleaning."""
        longest = self._rules.max_url_length // _MOST_BYTES
        if self._urls.rewrites:
            return False
        return all(max(map(len, map(itemgetter(at), links)), default=0) <= longest for at in (0, 1))

    def _cleaned(self, links: Iterable[LinkClicks]) -> Iterator[LinkClicks]:
        longest = self._rules.max_url_length
        for step_id, url, place, clicks in links:
            address = self._urls.apply(url) if self._urls.rewrites else url
            yield LinkClicks(_bounded(step_id, longest), _bounded(address, longest), place, clicks)


def _overflow(folded: Collection[LinkClicks], most_steps: int) -> Iterator[LinkClicks]:
    steps = {row.step_id for row in folded}
    for row in folded:
        # Steps without end would make overflow rows without end: beyond the cap, all of them share one.
        yield LinkClicks(row.step_id if len(steps) <= most_steps else OVERFLOW_URL, OVERFLOW_URL, "", row.clicks)


def _bounded(text: str, longest: int) -> str:
    """Cut text to a number of bytes; a hash of the whole at its end keeps two long texts apart."""
    if len(text) * _MOST_BYTES <= longest:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= longest:
        return text
    # 64 bits of the hash: with 1,000 cut texts, two are alike with a probability of 3e-14.
    tail = "~" + hashlib.sha256(encoded).hexdigest()[:_HASH_DIGITS]
    return encoded[: longest - len(tail)].decode("utf-8", "ignore") + tail
