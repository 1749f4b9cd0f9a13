"""The exposition: rows to text, and text to compressed blocks, as functions over values.

Prometheus's text format 0.0.4 and OpenMetrics 1.0.0 ("Text Format") write samples in the same way, so one line serves
both; they differ in the comments and in OpenMetrics' end mark.

The text of an automation is compressed once. A chunk is raw deflate data (RFC 1951) that ends on a byte boundary
(Z_SYNC_FLUSH), so concatenated chunks are one deflate stream. It must be one gzip stream: clients such as curl and
httpx stop after the first of several members. Its trailer has the CRC-32 of the whole text, combined from those of the
parts. zlib-ng compresses to the same size in half of zlib's time, and computes a checksum in a tenth. zlib inflates,
since it is faster for well-compressed data.
"""

import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice, zip_longest
from operator import lt
from types import MappingProxyType
from typing import Final, Self

from zlib_ng import zlib_ng

from exporter.domain import NO_HISTORY, OVERFLOW_URL, AutomationId, ClickHistory, LinkClicks, Statistics, label_name

QUICK: Final = 2
"""For data that is compressed at every scrape; zlib-ng's level 1 saves little time and adds a third more bytes."""
THOROUGH: Final = 5
"""For data that is sent many times: three times the time for a tenth fewer bytes, the cost of a large scrape."""
_LARGEST_RATIO: Final = 1032
"""Deflate cannot compress better than this (zlib's technical details, "Maximum Compression Factor")."""
_PIECE: Final = 64 * 1024
"""Bytes of text inflated at once."""
_FED_AT_ONCE: Final = 8 * 1024
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, operating system unknown."""
_FINAL_BLOCK: Final = b"\x03\x00"
"""An empty block with BFINAL set (RFC 1951, 3.2.3): the chunks themselves leave the stream open."""
OPENMETRICS_END: Final = b"# EOF\n"
_ROWS_AT_ONCE: Final = 200
"""The lines of this many rows fit the allocator's caches, so rendering is twice as fast as all at once."""
_SPECIAL: Final = re.compile(r'[\\"\n]')
_ESCAPED: Final = re.compile(r"\\(.)")
_LINK_LINE: Final = re.compile(
    rb',step_id="((?:[^"\\\n]|\\.)*)",url="((?:[^"\\\n]|\\.)*)",url_location="([0-9]*)"\} ([0-9]+)\n'
)
_ESCAPES: Final[Mapping[str, str]] = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "requests": "Mails that were requested to be sent",
        "delivered": "Mails that were delivered",
        "opens": "Opens",
        "unique_opens": "Recipients who opened",
        "clicks": "Clicks, as SendGrid's statistics count them apart from automation_total_clicks",
        "unique_clicks": "Recipients who clicked",
        "bounces": "Mails that bounced",
        "bounce_drops": "Mails that were dropped, since the address had bounced before",
        "invalid_emails": "Mails that were dropped, since the address is invalid",
        "spam_reports": "Reports of spam",
        "spam_report_drops": "Mails that were dropped, since the recipient had reported spam before",
        "unsubscribes": "Recipients who unsubscribed",
    }
)
_OVERFLOW: Final = f',url="{OVERFLOW_URL}",'.encode()
_Samples = Sequence[tuple[float, Mapping[str, str]]]
"""The samples of one automation: each value, and its labels other than the id."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """Text that is compressed in chunks, with the CRC-32 and the length of the whole text."""

    chunks: tuple[bytes, ...]
    crc: int
    length: int
    """Bytes of the text."""
    size: int
    """Bytes of the chunks."""

    def text(self) -> bytes:
        """Return the text. Since zlib knows the exact length, it inflates into one buffer, three times as fast."""
        return zlib.decompress(b"".join(self.chunks) + _FINAL_BLOCK, -zlib.MAX_WBITS, self.length or 1)

    def is_sound(self) -> bool:
        """Return whether the data is still what was compressed."""
        # Before inflating: a damaged length must not make Python reserve gigabytes for the buffer.
        if not 0 < self.length <= self.size * _LARGEST_RATIO:
            return not self.length and not self.crc
        try:
            text = self.text()
        except zlib.error:
            return False
        return len(text) == self.length and zlib_ng.crc32(text) == self.crc


EMPTY: Final = Compressed((), 0, 0, 0)


def compress(pieces: Iterable[bytes], level: int = QUICK) -> Compressed:
    """Return the concatenated pieces as one chunk, without ever having their whole text in memory."""
    deflate = zlib_ng.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data, check, length = bytearray(), 0, 0
    for piece in pieces:
        data += deflate.compress(piece)
        check = zlib_ng.crc32(piece, check)
        length += len(piece)
    # An empty stored block ends the chunk on a byte boundary (RFC 1951, 3.2.4), without marking a last block.
    data += deflate.flush(zlib.Z_SYNC_FLUSH)
    return Compressed((bytes(data),), check, length, len(data))


def join(parts: Iterable[Compressed]) -> Compressed:
    """Return the parts concatenated to one; empty ones are omitted."""
    kept = [part for part in parts if part.length]
    if len(kept) <= 1:
        return kept[0] if kept else EMPTY
    total = kept[0].crc
    for part in kept[1:]:
        # CRC(A + B) from CRC(A), CRC(B) and the length of B: a CRC is linear over GF(2), so that A's is moved on by as
        # many zero bytes as B is long, and the two are added (xor). No byte is read twice.
        total = zlib_ng.crc32_combine(total, part.crc, part.length)
    chunks = tuple(chunk for part in kept for chunk in part.chunks)
    return Compressed(chunks, total, sum(part.length for part in kept), sum(part.size for part in kept))


def gzip_size(body: Compressed) -> int:
    """Return the number of bytes that `gzip_chunks` yields."""
    return len(GZIP_HEADER) + body.size + len(_FINAL_BLOCK) + 8


def gzip_chunks(body: Compressed) -> Iterator[bytes]:
    """Yield the body as one gzip stream, chunk by chunk (RFC 1952, 2.3: the trailer is CRC-32 and length mod 2**32)."""
    trailer = body.crc.to_bytes(4, "little") + (body.length & 0xFFFFFFFF).to_bytes(4, "little")
    # Not a generator: the web server takes every chunk, and a chain of tuples saves it a call into this module.
    return chain((GZIP_HEADER,), body.chunks, (_FINAL_BLOCK + trailer,))


def text_chunks(body: Compressed) -> Iterator[bytes]:
    """Yield the body's text in pieces of bounded size, since each stalled reader keeps one of them in memory."""
    for chunk in body.chunks:
        # Each chunk has its own inflater, which works since each was compressed separately: it refers to nothing
        # before it.
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        # Fed in parts, since zlib copies unprocessed input (`unconsumed_tail`) at every call.
        for start in range(0, len(chunk), _FED_AT_ONCE):
            rest = chunk[start : start + _FED_AT_ONCE]
            while rest:
                if text := inflate.decompress(rest, _PIECE):
                    yield text
                rest = inflate.unconsumed_tail


class MetricType(StrEnum):
    """The metric types that the exporter renders itself."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what its HELP and TYPE lines say."""

    name: str
    """The name of its samples; a counter's ends in `_total`."""
    type: MetricType
    help: str


LINK_CLICKS: Final = Family(
    "automation_link_clicks",
    MetricType.GAUGE,
    "Clicks on a link over the automation's life so far, as SendGrid counts them: read every poll interval and cached.",
)


TOTAL_CLICKS: Final = Family(
    "automation_total_clicks",
    MetricType.GAUGE,
    "All clicks over the automation's life so far, SendGrid's own total: read every poll interval and cached.",
)


INFO: Final = Family(
    "automation_info",
    MetricType.GAUGE,
    "A configured automation and its name; always 1, also while its data is stale.",
)


PAGE_INFO: Final = Family(
    "automation_page_info",
    MetricType.GAUGE,
    "The address of the automation's page in SendGrid's application as sendgrid.app_url gives it, by default a guess; "
    "always 1, absent where that is empty.",
)


STEP_INFO: Final = Family(
    "automation_step_info",
    MetricType.GAUGE,
    "A step of an automation and its name in the configuration; always 1, absent for steps without a name there.",
)


LABELS: Final = Family(
    "automation_labels",
    MetricType.GAUGE,
    "The automation's labels in the configuration, each as label_<name>; always 1, absent without any.",
)


UP: Final = Family(
    "sendgrid_exporter_automation_up",
    MetricType.GAUGE,
    "Whether the automation's last poll succeeded; absent before the first one.",
)


LAST_SUCCESS: Final = Family(
    "sendgrid_exporter_automation_last_success_timestamp_seconds",
    MetricType.GAUGE,
    "When the automation was last read from SendGrid, seconds since the epoch; absent before the first success.",
)


POLL_INTERVAL: Final = Family(
    "sendgrid_exporter_automation_poll_interval_seconds",
    MetricType.GAUGE,
    "The poll interval in effect for the automation: longer than configured when the budget or refusals require it.",
)


DECREASED: Final = Family(
    "sendgrid_exporter_clicks_decreased_total",
    MetricType.COUNTER,
    "Polls in which the automation's total or a published link had fewer clicks than before.",
)


PER_AUTOMATION: Final = (
    LINK_CLICKS,
    TOTAL_CLICKS,
    INFO,
    PAGE_INFO,
    STEP_INFO,
    LABELS,
    UP,
    LAST_SUCCESS,
    POLL_INTERVAL,
    DECREASED,
)
"""In the order of the exposition."""


def header(family: Family, *, openmetrics: bool) -> bytes:
    """Return the HELP and TYPE lines; OpenMetrics names a counter without its `_total` and escapes quotes."""
    name = family.name.removesuffix("_total") if openmetrics and family.type is MetricType.COUNTER else family.name
    explanation = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    if openmetrics:
        explanation = explanation.replace('"', '\\"')
    return f"# HELP {name} {explanation}\n# TYPE {name} {family.type}\n".encode()


def escape(value: str) -> str:
    """Return a label's value, escaped for the place between quotes."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match.group()], value)


def _unescape(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value) if "\\" in value else value


def line(name: str, labels: Mapping[str, str], value: float) -> str:
    """Return the line of one sample."""
    pairs = ",".join(f'{label}="{escape(text)}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {number(value)}\n"


def number(value: float) -> str:
    """Return a value as text: whole numbers without a fraction, so that counts stay exact."""
    return str(int(value)) if value == int(value) else repr(value)


def link_lines(name: str, automation_id: str, rows: Sequence[LinkClicks]) -> Iterator[bytes]:
    """Yield the lines of an automation's links, a few hundred at a time."""
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        yield "".join(_link_lines(name, escape(automation_id), batch)).encode("utf-8", "replace")


def read_links(text: bytes) -> Iterator[LinkClicks]:
    """Yield the rows of lines from `link_lines`."""
    for found in _LINK_LINE.finditer(text):
        step_id, url, place, clicks = (part.decode() for part in found.groups())
        yield LinkClicks(_unescape(step_id), _unescape(url), place, int(clicks))


def samples(text: bytes) -> dict[bytes, int]:
    """Return the values of lines from `link_lines`, keyed by everything before the value."""
    pairs = (row.rpartition(b" ") for row in text.split(b"\n") if row)
    return {key: int(value) for key, _, value in pairs}


def any_fell(before: bytes, after: bytes, *, apart_from: bytes) -> bool:
    """Return whether a line of `after` has a smaller value than in `before`; lines with `apart_from` do not count.

    Lines are usually in the same order, so they are compared in pairs, and only lines that moved are looked up. Values
    have no leading zeros: of two lines that differ only in the value, the smaller one is shorter, or sorts first.
    """
    moved_from, moved_to = [], []
    for old, new in zip_longest(before.split(b"\n"), after.split(b"\n"), fillvalue=b""):
        # The value follows the last space: a label may contain spaces, a sample's value cannot. And no label contains
        # the key's end, `"} `, since its quotes are escaped.
        if not new.startswith(old[: old.rfind(b" ") + 1]) or not old:
            moved_from.append(old)
            moved_to.append(new)
        elif (len(new) < len(old) or (len(new) == len(old) and new < old)) and apart_from not in new:
            return True
    gone = samples(b"\n".join(moved_from))
    come = samples(b"\n".join(moved_to))
    return any(value < gone.get(key, 0) for key, value in come.items() if apart_from not in key)


def link_key(name: str, automation_id: str, row: LinkClicks) -> bytes:
    """Return the key under which `samples` holds the row."""
    return next(link_lines(name, automation_id, [row])).rpartition(b" ")[0]


def _link_lines(name: str, automation_id: str, rows: Sequence[LinkClicks]) -> Iterator[str]:
    current, prefix = None, ""
    # One search through all addresses, since hardly any contains a character to escape.
    addresses = "".join([row.url for row in rows])
    is_plain = not any(special in addresses for special in _ESCAPES)
    for step_id, url, place, clicks in rows:
        # The rows of a step are usually adjacent, so its labels are escaped once.
        if step_id != current:
            current = step_id
            prefix = f'{name}{{automation_id="{automation_id}",step_id="{escape(step_id)}",url="'
        address = url if is_plain else escape(url)
        yield f'{prefix}{address}",url_location="{place}"}} {clicks}\n'


def _families(prefix: str, of_what: str) -> tuple[Family, ...]:
    end = "over its life so far: read every statistics interval and cached."
    return tuple(
        Family(f"{prefix}_{name}", MetricType.GAUGE, f"{_MEANINGS[name]}, {of_what} {end}")
        for name in Statistics._fields
    )


AUTOMATION_STATISTICS: Final = _families("sendgrid_automation", "of the automation")


STEP_STATISTICS: Final = _families("sendgrid_automation_step", "of one step of the automation")


STATISTICS: Final = (*AUTOMATION_STATISTICS, *STEP_STATISTICS)
"""In the order of the exposition."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The statistics of several automations or steps, each named by its labels, and the text of each family."""

    labels: tuple[str, ...] = ()
    """The labels of each, as between the braces."""
    columns: tuple[tuple[int | None, ...], ...] = ((),) * len(Statistics._fields)
    """The values of each count, in the order of the labels."""
    lines: Mapping[str, Compressed] = field(default_factory=lambda: MappingProxyType({}))
    """By the family's name; families without values are omitted."""


def labels_of(automation_id: str, step_id: str | None = None) -> str:
    """Return the labels of an automation, or of one of its steps, in a sample."""
    step = "" if step_id is None else f',step_id="{escape(step_id)}"'
    return f'automation_id="{escape(automation_id)}"{step}'


def render_rows(families: Sequence[Family], statistics: Mapping[str, Statistics], before: Rows) -> Rows:
    """Return the rows of the statistics, by labels; a family whose values are as `before` is not rendered again."""
    labels = tuple(statistics)
    columns = tuple(zip(*statistics.values(), strict=True)) if statistics else Rows().columns
    lines: dict[str, Compressed] = {}
    for family, column, former in zip(families, columns, before.columns, strict=True):
        if column == former and labels == before.labels:
            known = before.lines.get(family.name)
        else:
            text = "".join(
                f"{family.name}{{{subject}}} {value}\n"
                for subject, value in zip(labels, column, strict=True)
                if value is not None
            )
            known = compress([text.encode("utf-8", "replace")], THOROUGH) if text else None
        if known is not None:
            lines[family.name] = known
    return Rows(labels, columns, MappingProxyType(lines))


@dataclass(frozen=True, slots=True)
class Clicks:
    """The values of a block's lines, in their order.

    Comparing two polls by them takes a quarter of the time that comparing their texts takes.
    """

    places: int
    """A hash of the lines' keys."""
    values: "array[int]"
    """Usually 2 bytes each: the size that the largest value needs."""

    @classmethod
    def of(cls, links: Sequence[LinkClicks]) -> Self | None:
        """Return the values of the rows; None if there are no rows, or an overflow row."""
        if not links:
            return None
        steps, urls, places, values = zip(*links, strict=True)
        if OVERFLOW_URL in urls:
            return None
        largest = max(values)
        size = "H" if largest < 2**16 else "I" if largest < 2**32 else "Q"
        return cls(hash((steps, urls, places)), array(size, values))


@dataclass(frozen=True, slots=True)
class Block:
    """The last good stats of one automation, rendered."""

    links: Compressed
    series: int
    """Rows of links, overflow rows included."""
    total_clicks: int
    clicks: Clicks | None = field(default=None, compare=False)
    """None if only the text has them, as in a block of an earlier run."""

    def clicks_by_link(self) -> dict[bytes, int]:
        """Return the published clicks, keyed as `key_of` keys a row."""
        return samples(self.links.text())

    def link_keys(self) -> frozenset[bytes]:
        """Return the keys of the published links, as `key_of` forms them, without the overflow rows."""
        return frozenset(key for key in self.clicks_by_link() if _OVERFLOW not in key)

    def fell_below(self, before: "Block", lines: Iterable[bytes]) -> bool:
        """Return whether the total or a published link has fewer clicks.

        Overflow rows do not count: one loses the clicks of a link that leaves it. `lines` is this block's text, which
        the caller has just rendered.
        """
        if self.total_clicks < before.total_clicks:
            return True
        if self.clicks is not None and before.clicks is not None and self.clicks.places == before.clicks.places:
            return any(map(lt, self.clicks.values, before.clicks.values))
        if self.links == before.links:
            return False
        return any_fell(before.links.text(), b"".join(lines), apart_from=_OVERFLOW)


@dataclass(frozen=True, slots=True)
class AutomationView:
    """What is known of one automation: everything that a scrape shows of it, and more for the status page."""

    id: AutomationId
    name: str
    poll_interval: float
    """Seconds between two polls, in effect."""
    block: Block | None = None
    """None before the first success, and once the last good block is stale."""
    up: bool | None = None
    """None before the first poll."""
    last_success: float | None = None
    """Seconds since the epoch."""
    decreased: int = 0
    history: ClickHistory = NO_HISTORY
    """Its totals of the last day; not part of a scrape, since Prometheus has its own."""
    steps: tuple[tuple[str, str], ...] = ()
    """Ids and names of steps, as configured."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values of the owner's labels, as configured."""
    page: str = ""
    """The address of its page in SendGrid; empty if it is not linked."""


def lines_of(automation_id: AutomationId, links: Sequence[LinkClicks]) -> Sequence[bytes]:
    """Return the text of an automation's links, in pieces."""
    return tuple(link_lines(LINK_CLICKS.name, automation_id, links))


def line_format() -> str:
    """Return the line of an example link, with the metric, its labels, their order and escaping.

    A saved block in another format must not be shown beside current ones: its series would have other names.
    """
    odd = '"\\\n'
    return b"".join(lines_of(AutomationId(odd), [LinkClicks(odd, odd, "0", 0)])).decode()


def block_of(lines: Iterable[bytes], links: Sequence[LinkClicks], total_clicks: int) -> Block:
    """Return the block of the links and of their text."""
    return Block(compress(lines, THOROUGH), len(links), total_clicks, Clicks.of(links))


def key_of(automation_id: AutomationId, row: LinkClicks) -> bytes:
    """Return the key of the row's series in `Block.clicks_by_link`."""
    return link_key(LINK_CLICKS.name, automation_id, row)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of automations, so that a change re-renders little and a scrape reads few pieces."""

    views: tuple[AutomationView, ...]
    lines: Mapping[str, Compressed]
    """By the family's name."""
    link_series: int


def render_group(views: Sequence[AutomationView], before: Group | None = None) -> Group:
    """Return the lines of a group of automations, by family; those that are as in `before` are not rendered again.

    `before` has the same automations.
    """
    lines: dict[str, Compressed] = {}
    changed = [(new, old) for new, old in zip(views, before.views, strict=True) if new is not old] if before else ()
    if before and all(_links_of(new) == _links_of(old) for new, old in changed):
        lines[LINK_CLICKS.name] = before.lines[LINK_CLICKS.name]
    else:
        lines[LINK_CLICKS.name] = join(map(_links_of, views))
    for family, value_of in _VALUES.items():
        if before and all(value_of(new) == value_of(old) for new, old in changed):
            lines[family.name] = before.lines[family.name]
        else:
            lines[family.name] = compress([_lines(family, views, map(value_of, views))])
    return Group(tuple(views), lines, sum(view.block.series for view in views if view.block))


def _links_of(view: AutomationView) -> Compressed:
    return EMPTY if view.block is None else view.block.links


def _lines(family: Family, views: Sequence[AutomationView], values: Iterable["_Samples"]) -> bytes:
    return "".join(
        line(family.name, {"automation_id": view.id, **labels}, value)
        for view, samples_of_view in zip(views, values, strict=True)
        for value, labels in samples_of_view
    ).encode("utf-8", "replace")


_VALUES: Final[Mapping[Family, Callable[[AutomationView], _Samples]]] = {
    TOTAL_CLICKS: lambda view: () if view.block is None else ((view.block.total_clicks, {}),),
    INFO: lambda view: ((1, {"name": view.name}),),
    PAGE_INFO: lambda view: ((1, {"url": view.page}),) if view.page else (),
    STEP_INFO: lambda view: [(1, {"step_id": step_id, "name": name}) for step_id, name in view.steps],
    LABELS: lambda view: ((1, {label_name(name): value for name, value in view.labels}),) if view.labels else (),
    UP: lambda view: () if view.up is None else ((int(view.up), {}),),
    LAST_SUCCESS: lambda view: () if view.last_success is None else ((view.last_success, {}),),
    POLL_INTERVAL: lambda view: ((view.poll_interval, {}),),
    DECREASED: lambda view: ((view.decreased, {}),),
}


class Frame:
    """The comments of each family, around the blocks of every scrape, ready for both formats."""

    def __init__(self) -> None:
        self._headers = {
            (family.name, openmetrics): compress([header(family, openmetrics=openmetrics)])
            for family in (*PER_AUTOMATION, *STATISTICS)
            for openmetrics in (False, True)
        }
        self._end = compress([OPENMETRICS_END])

    def families(
        self, lines: Mapping[str, Compressed], *, openmetrics: bool, names: frozenset[str] | None
    ) -> Compressed:
        """Return the selected families, each below its comments; those of statistics only if they have lines."""
        return join(
            part
            for family in (*PER_AUTOMATION, *STATISTICS)
            if names is None or family.name in names
            if family.name in lines or family in PER_AUTOMATION
            for part in (self._headers[family.name, openmetrics], lines.get(family.name, EMPTY))
        )

    def body(self, families: Compressed, own: Compressed, *, openmetrics: bool) -> Compressed:
        """Return the families, followed by the exporter's own metrics, which have no end mark."""
        return join([families, own, self._end if openmetrics else EMPTY])
