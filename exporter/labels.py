"""What may stand in a label: addresses cleaned, lengths and numbers bounded, nothing lost from the sums.

Of a URL, the query or fragment is cut off, and parameters and parts of paths are left out. What an operator leaves out
is mostly a secret or a person, so a name counts in every spelling that some program on the way may read:
percent-encoded at any depth, with HTML's character references, and as SendGrid mangles it (`&amp;`, and `#038;` without
its ampersand). The URL is decoded all the way, each character with the place where it came from; the decision is made
there, and the cut in the URL as it came. So what is not left out stays byte for byte.

Custom fields (`{{reset_token}}`) are the message's text and hold nobody's values; no parameter begins within one.
Everything is linear in the length of a URL, which comes from outside.
"""

import hashlib
import heapq
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import translate
from operator import itemgetter
from typing import Final, NamedTuple

from exporter.domain import OVERFLOW_URL, LinkClicks, add_up

_FIELD: Final = 255
"""The depth of what stands in a custom field: never a separator, never decoded."""
_DEEPEST: Final = 254
_PERCENT, _SEMICOLON, _SLASH = b"%;/"
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_REFERENCE: Final = re.compile(
    rb"&(?:(?P<name>amp|equals|lowbar|num|percnt|quest|semi)|#0*(?P<decimal>[0-9]{1,7})|#x0*(?P<hex>[0-9a-f]{1,6}))"
    rb"|(?P<mangled>#(?:0*38|x0*26))",
    re.IGNORECASE,
)
_NAMED: Final[Mapping[bytes, str]] = {
    b"amp": "&",
    b"equals": "=",
    b"lowbar": "_",
    b"num": "#",
    b"percnt": "%",
    b"quest": "?",
    b"semi": ";",
}
_UNENDED: Final = re.compile(r"(?:0*38|x0*26)", re.IGNORECASE)
"""`#38token`: a numeric reference may end without its semicolon, and SendGrid takes the ampersand."""
_ENCODED: Final = re.compile(rb"[%;]")
_MARK: Final = re.compile(rb"[?#&;/!]")
_BLOCK_TAG: Final = re.compile(rb"\{\{\s*(?:[#/^]|else\b)")
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f\xad\u200b-\u200f\u2060\ufeff]+")
"""Controls and what has no width: no part of a name that anybody means."""
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


class UrlRules:
    """Applies one configuration to one URL at a time; holds no state between them."""

    def __init__(self, mode: UrlMode, drop_params: Sequence[str], drop_paths: Sequence[str]) -> None:
        self._mode = mode
        self._params = re.compile("|".join(map(translate, drop_params)), re.IGNORECASE) if drop_params else None
        self._paths = [_PathPattern.of(pattern) for pattern in drop_paths]
        self.rewrites = mode is not UrlMode.FULL or bool(self._params or self._paths)
        """False when every URL is published as it came."""

    def apply(self, url: str) -> str:
        """Return the URL without what is left out."""
        if self._mode is not UrlMode.FULL:
            url = _before(url, "#" if self._mode is UrlMode.STRIP_FRAGMENT else "?#")
        if self._params:
            url = _without_params(url, self._params)
        return _without_paths(url, self._paths) if self._paths else url


def _before(url: str, marks: str) -> str:
    """Return what stands before the first of the marks that is outside custom fields."""
    masked = list(url)
    for start, end in _fields(url):
        masked[start:end] = "_" * (end - start)
    text = "".join(masked)
    return url[: min(at if (at := text.find(mark)) >= 0 else len(url) for mark in marks)]


def _fields(text: str) -> Iterator[tuple[int, int]]:
    """Give the spans of `{{custom_fields}}`, which may hold any text (`{{#if vip}}`).

    Reads the text once: a million open braces must not cost a million searches.
    """
    start = text.find("{{")
    while start >= 0 and (end := text.find("}}", start + 2)) >= 0:
        yield start, end + 2
        start = text.find("{{", end + 2)


@dataclass(slots=True)
class _Decoded:
    """A URL after every decoding, in UTF-8, with the place of each byte in the URL as it came."""

    raw: bytes
    text: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    """Where each byte of `text` begins in `raw`; it ends where the next one begins."""
    depths: bytearray = field(default_factory=bytearray)
    """How often each byte of `text` was percent-encoded."""
    tags: list[tuple[int, int]] = field(default_factory=list)
    """Spans in `text` of `{{#if}}`, `{{else}}` and `{{/if}}`, beside which a parameter may begin."""

    @classmethod
    def of(cls, url: str) -> "_Decoded":
        raw = url.encode("utf-8", "surrogatepass")
        if not any(mark in raw for mark in (b"%", b";", b"{{")):
            return cls(raw, bytearray(raw), list(range(len(raw) + 1)), bytearray(len(raw)))
        decoded, at = cls(raw), 0
        for start, end in _fields(raw.decode("latin-1")):
            decoded._read(at, start)
            decoded._skip(start, end)
            at = end
        decoded._read(at, len(raw))
        decoded.starts.append(len(raw))
        return decoded

    def _skip(self, start: int, end: int) -> None:
        if _BLOCK_TAG.match(self.raw, start):
            self.tags.append((len(self.text), len(self.text) + end - start))
        self.text += self.raw[start:end]
        self.starts += range(start, end)
        self.depths += bytes([_FIELD]) * (end - start)

    def _read(self, start: int, end: int) -> None:
        at = start
        while at < end:
            # A reduction ends with a semicolon or within two bytes behind a percent sign: all else is taken in one go.
            by_one = _PERCENT in self.text[-2:] or self.raw[at] in b"%;"
            found = None if by_one else _ENCODED.search(self.raw, at, end)
            plain = at + 1 if by_one else found.start() if found else end
            self.text += self.raw[at:plain]
            self.starts += range(at, plain)
            self.depths += bytes(plain - at)
            at = plain
            # Each reduction makes the text shorter, so all of them together are linear.
            while self._reduce_percent() or self._reduce_reference():
                pass

    def _reduce_percent(self) -> bool:
        """Decode `%41` at the end, the parts of which may have been decoded themselves (`%2541`)."""
        text = self.text
        if len(text) < 3 or text[-3] != _PERCENT or text[-2] not in _HEX or text[-1] not in _HEX:  # noqa: PLR2004
            return False
        if (deepest := max(self.depths[-3:])) == _FIELD:
            return False
        self._put(len(text) - 3, bytes([int(text[-2:], 16)]), min(deepest + 1, _DEEPEST))
        return True

    def _reduce_reference(self) -> bool:
        """Decode `&amp;`, `&#38;`, `&#x26;` or SendGrid's `#038;` at the end."""
        text = self.text
        if not text or text[-1] != _SEMICOLON or self.depths[-1] == _FIELD:
            return False
        # The run of letters and digits before the semicolon, which ends it: no run is read twice.
        start = len(text) - 1
        while start and text[start - 1] not in b"&#{}" and chr(text[start - 1]).isalnum():
            start -= 1
        start -= text[start - 1 : start] == b"#"
        start -= text[start - 1 : start] == b"&"
        found = _REFERENCE.fullmatch(text, start, len(text) - 1)
        if found is None or _FIELD in self.depths[start:]:
            return False
        character = _referred(found)
        if character is None:
            return False
        self._put(start, character.encode("utf-8", "surrogatepass"), self.depths[start])
        return True

    def _put(self, start: int, content: bytes, depth: int) -> None:
        at = self.starts[start]
        del self.text[start:], self.starts[start:], self.depths[start:]
        self.text += content
        self.starts += [at] * len(content)
        self.depths += bytes([depth]) * len(content)

    def without(self, spans: Sequence[tuple[int, int, bytes]]) -> str:
        """Return the URL as it came, with what the spans of `text` stand for replaced."""
        pieces: list[bytes] = []
        at = 0
        for start, end, content in sorted(spans):
            first, last = self.starts[start], self.starts[end]
            if last > at:
                pieces += (self.raw[at : max(at, first)], content if first >= at else b"")
                at = last
        return b"".join((*pieces, self.raw[at:])).decode("utf-8", "surrogatepass")


def _referred(found: re.Match[bytes]) -> str | None:
    if found["mangled"]:
        return "&"
    if found["name"]:
        return _NAMED[found["name"].lower()]
    number = int(found["decimal"]) if found["decimal"] else int(found["hex"], 16)
    return chr(number) if 0 < number <= 0x10FFFF else None  # noqa: PLR2004  # the last of Unicode


class _Mark(NamedTuple):
    """A separator: a parameter may begin behind it, and end before it."""

    start: int
    end: int
    kind: str
    """`?`, `#`, `&`, `;`, `/`, `!`, or `{` for a tag such as `{{#if}}`."""
    depth: int
    part: str
    """The part of the URL that it stands in, by the mark that opens it: empty for the path, `?` or `#`."""
    opens: bool = False
    """It opens the query or a fragment."""

    @property
    def is_weak(self) -> bool:
        """Some programs separate parameters by it, others take it for a part of a value."""
        return self.kind in ";{"

    @property
    def begins(self) -> bool:
        return self.kind not in "/!" or self.part == "#"

    @property
    def opens_parameters(self) -> bool:
        """Return whether the first parameter of several stands behind it; a `?` in a value of the query is not it."""
        return self.kind in "?#/!" and (self.opens or self.part != "?" or self.depth > 0)

    def ends(self, begun: "_Mark") -> bool:
        """Return whether the parameter behind the other mark ends here at the latest.

        A secret's value may hold an encoded `&`, or a `;` or `?` as it is: only what separates for every program that
        took the name for a name ends it.
        """
        if self.kind == "&" or self.opens:
            return self.depth <= begun.depth
        return begun.is_weak and self.depth == begun.depth and (self.kind in "?;{" or self.part != "?")


def _without_params(url: str, dropped: re.Pattern[str]) -> str:
    decoded = _Decoded.of(url)
    marks = list(_marks(decoded))
    spans: list[tuple[int, int, bytes]] = []
    at = 0
    while at < len(marks):
        mark = marks[at]
        following = marks[at + 1].start if at + 1 < len(marks) else len(decoded.text)
        if not mark.begins or not _names_dropped(decoded, mark, following, dropped):
            at += 1
            continue
        at += 1
        while at < len(marks) and not marks[at].ends(mark):
            at += 1
        end = marks[at] if at < len(marks) else None
        joined = end is not None and end.kind == "&" and (end.depth, end.part) == (mark.depth, mark.part)
        if end is not None and joined and mark.opens_parameters:
            # `?token=S&a=1` becomes `?a=1`: what opens the parameters stays, and opens the next one.
            spans.append((mark.end, end.end, b""))
            marks[at] = mark._replace(end=end.end)
        else:
            last = end.start if end is not None else len(decoded.text)
            spans.append((mark.end if mark.kind == "{" else mark.start, last, b""))
    return decoded.without(spans) if spans else url


def _marks(decoded: _Decoded) -> Iterator[_Mark]:
    """Give the separators in their order."""
    tags = iter(decoded.tags)
    tag = next(tags, None)
    part = ""
    for found in _MARK.finditer(decoded.text):
        while tag is not None and tag[0] < found.start():
            yield _Mark(*tag, "{", 0, part)
            tag = next(tags, None)
        depth, kind = decoded.depths[found.start()], found[0].decode()
        if depth == _FIELD:
            continue
        opens = kind == "#" or (kind == "?" and depth == 0 and part == "")
        if opens and depth == 0:
            part = kind
        yield _Mark(found.start(), found.end(), kind, depth, part, opens)
    while tag is not None:
        yield _Mark(*tag, "{", 0, part)
        tag = next(tags, None)


def _names_dropped(decoded: _Decoded, mark: _Mark, end: int, dropped: re.Pattern[str]) -> bool:
    """Return whether a parameter of a dropped name begins behind the mark.

    Where no parameter must begin (in a path, a fragment, a value), it takes a `=` to be one.
    """
    equals = decoded.text.find(b"=", mark.end, end)
    if equals < 0 and (mark.kind not in "?&" or mark.depth or mark.part != "?"):
        return False
    written = decoded.text[mark.end : equals if equals >= 0 else end].decode("utf-8", "replace")
    name = _UNSEEN.sub("", written.replace("+", " ")).strip()
    names = [name]
    if mark.kind == "#" and (reference := _UNENDED.match(name)):
        names.append(name[reference.end() :].lstrip())
    if "[" in name:
        names += [each.partition("[")[0] for each in names]  # `token[]=S`
    return any(map(dropped.match, names))


@dataclass(frozen=True, slots=True)
class _PathPattern:
    """A path with stars: the texts between them, in lower case."""

    pieces: tuple[bytes, ...]
    anchored: bool
    """It begins with a slash, so it is the path from its beginning."""

    @classmethod
    def of(cls, pattern: str) -> "_PathPattern":
        text = re.sub(rb"\*+", b"*", re.sub(rb"/+", b"/", bytes(_Decoded.of(pattern).text).lower()))
        if not text.endswith(b"*"):
            text = text.rstrip(b"/")
        return cls(tuple(text.split(b"*")), text.startswith((b"/", b"*")))

    def stars(self, path: bytes) -> Iterator[tuple[int, int]]:
        """Give the spans of a path, in lower case and begun by a slash, that the stars stand for."""
        at = 0
        while (found := self._match(path, at)) is not None:
            spans, at = found
            yield from spans
            if self.anchored:
                return

    def _match(self, path: bytes, start: int) -> tuple[list[tuple[int, int]], int] | None:
        first, *others = self.pieces
        at = (0 if path.startswith(first) else -1) if self.anchored else _find(path, first, start, begins=True)
        if at < 0:
            return None
        at = max(at + len(first), 1)  # a star at the beginning leaves the path's first slash
        spans = []
        for number, piece in enumerate(others, 1):
            if number == len(others) and not piece:
                found = len(path)
            else:
                least = at - 1 if number == 1 and not first else at + 1
                found = _find(path, piece, least, ends=number == len(others))
            if found < 0:
                return None
            if found > at:
                spans.append((at, found))
            at = found + len(piece)
        return spans, at


def _find(path: bytes, piece: bytes, start: int, *, begins: bool = False, ends: bool = False) -> int:
    """Return where the piece stands, as whole segments at its beginning or its end where asked; -1 for nowhere."""
    at = path.find(piece, start)
    while at >= 0:
        after = at + len(piece)
        if (not begins or path[at - 1 : at] == b"/") and (not ends or path[after : after + 1] in (b"", b"/")):
            return at
        at = path.find(piece, at + 1)
    return -1


def _without_paths(url: str, patterns: Sequence[_PathPattern]) -> str:
    decoded = _Decoded.of(url)
    lower = decoded.text.lower()
    spans = []
    for start, end in _paths(decoded):
        path, places = _plain(lower, decoded.depths, start, end)
        for pattern in patterns:
            spans += [(places[first], places[last], b"*") for first, last in pattern.stars(path)]
    return decoded.without(spans) if spans else url


def _paths(decoded: _Decoded) -> Iterator[tuple[int, int]]:
    """Give the spans of `text` that are paths: the URL's own, a route in the fragment, and those of URLs in values."""
    text = decoded.text
    marks = [mark for mark in _marks(decoded) if mark.kind in "?#&"]
    opened = next((mark.start for mark in marks if mark.opens and mark.depth == 0), len(text))
    scheme = text.find(b"://", 0, opened)
    host = scheme + 3 if scheme >= 0 else 2 if text.startswith(b"//") else 0
    start = text.find(b"/", host, opened)
    if start >= 0:
        yield start, opened
    at = opened
    rest = iter(mark for mark in marks if mark.start > opened)
    mark = next(rest, None)
    for found in re.finditer(rb"(?:=|#!?|://[^/?#&=]*)(?=/)", text):
        start = found.end()
        if start < at or found.start() < opened or decoded.depths[start] == _FIELD:
            continue
        depth = decoded.depths[start]
        while mark is not None and (mark.start < start or mark.depth > depth):
            mark = next(rest, None)
        at = mark.start if mark is not None else len(text)
        yield start, at


def _plain(lower: bytearray, depths: bytearray, start: int, end: int) -> tuple[bytes, list[int]]:
    """Return the path in lower case with single slashes, and the place of each byte, and of the end, in the text."""
    places = [at for at in range(start, end) if at == start or lower[at] != _SLASH or lower[at - 1] != _SLASH]
    path = bytes(0 if depths[at] == _FIELD else lower[at] for at in places)
    return path, [*places, end]


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
