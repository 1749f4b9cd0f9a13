"""The families of metrics that are rendered per automation, and the text of samples.

Escaping, label pairs, lines and the comments above them: both formats write a sample alike (Prometheus's text format
0.0.4 and OpenMetrics 1.0.0, "Text Format"), so one line serves both; they differ in the comments and in OpenMetrics'
end mark.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, zip_longest
from typing import Final

from exporter.domain import LinkClicks


class MetricType(StrEnum):
    """The types of metric that the exporter renders itself."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what stands above its samples."""

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
