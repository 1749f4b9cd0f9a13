"""The text of samples: escaping, label pairs, lines and the comments above them.

Both formats write a sample alike (Prometheus's text format 0.0.4 and OpenMetrics 1.0.0, "Text Format"), so one line
serves both; they differ in the comments and in OpenMetrics' end mark.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Final

from exporter.domain import LinkClicks
from exporter.exposition.families import Family, MetricType

OPENMETRICS_END: Final = b"# EOF\n"
_ROWS_AT_ONCE: Final = 200
"""Lines of so few rows fit the allocator's caches, which makes rendering twice as fast as all at once."""
_SPECIAL: Final = re.compile(r'[\\"\n]')
_ESCAPED: Final = re.compile(r"\\(.)")
_LINK_LINE: Final = re.compile(
    rb',step_id="((?:[^"\\\n]|\\.)*)",url="((?:[^"\\\n]|\\.)*)",url_location="([0-9]*)"\} ([0-9]+)\n'
)
_ESCAPES: Final[Mapping[str, str]] = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


def header(family: Family, *, openmetrics: bool) -> bytes:
    """Return the HELP and TYPE lines; OpenMetrics names a counter without its `_total` and escapes quotes."""
    name = family.name.removesuffix("_total") if openmetrics and family.type is MetricType.COUNTER else family.name
    explanation = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    if openmetrics:
        explanation = explanation.replace('"', '\\"')
    return f"# HELP {name} {explanation}\n# TYPE {name} {family.type}\n".encode()


def escape(value: str) -> str:
    """Return a label's value as it stands between quotes."""
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
    """Give the lines of an automation's links, some hundred at a time."""
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_AT_ONCE)):
        yield "".join(_link_lines(name, escape(automation_id), batch)).encode("utf-8", "replace")


def read_links(text: bytes) -> Iterator[LinkClicks]:
    """Give the rows of lines that `link_lines` gave."""
    for found in _LINK_LINE.finditer(text):
        step_id, url, place, clicks = (part.decode() for part in found.groups())
        yield LinkClicks(_unescape(step_id), _unescape(url), place, int(clicks))


def samples(text: bytes) -> dict[bytes, int]:
    """Return the values of lines that `link_lines` gave, keyed by all that stands before the value."""
    pairs = (row.rpartition(b" ") for row in text.split(b"\n") if row)
    return {key: int(value) for key, _, value in pairs}


def any_fell(before: bytes, after: bytes, *, apart_from: bytes) -> bool:
    """Return whether a line of `after` has a smaller value than in `before`; lines with `apart_from` do not count.

    Lines mostly stand in the same order, so that they are compared in pairs; only what moved is looked up. Values have
    no leading zeros: of two lines that differ in the value alone, the smaller one is shorter, or sorts first.
    """
    moved_from, moved_to = [], []
    for old, new in zip_longest(before.split(b"\n"), after.split(b"\n"), fillvalue=b""):
        if old == new:
            continue
        # The value follows the last blank: a label's value may hold blanks, a sample's value cannot.
        key = new[: new.rfind(b" ") + 1]
        if key != old[: old.rfind(b" ") + 1]:
            moved_from.append(old)
            moved_to.append(new)
        elif (len(new) < len(old) or (len(new) == len(old) and new < old)) and apart_from not in key:
            return True
    gone = samples(b"\n".join(moved_from))
    come = samples(b"\n".join(moved_to))
    return any(value < gone.get(key, 0) for key, value in come.items() if apart_from not in key)


def link_key(name: str, automation_id: str, row: LinkClicks) -> bytes:
    """Return the key under which `samples` holds the row."""
    return next(link_lines(name, automation_id, [row])).rpartition(b" ")[0]


def _link_lines(name: str, automation_id: str, rows: Iterable[LinkClicks]) -> Iterator[str]:
    current, prefix = None, ""
    for step_id, url, place, clicks in rows:
        # Rows of one step mostly stand together, so its escaped labels are made once.
        if step_id != current:
            current = step_id
            prefix = f'{name}{{automation_id="{automation_id}",step_id="{escape(step_id)}",url="'
        address = escape(url) if '"' in url or "\\" in url or "\n" in url else url
        yield f'{prefix}{address}",url_location="{place}"}} {clicks}\n'
