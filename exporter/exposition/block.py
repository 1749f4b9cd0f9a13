"""What one automation gives to a scrape, and how all automations' lines are put together below their comments.

The statistics of automations and of their steps are text of their own, rendered when they change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.domain import (
    NO_HISTORY,
    OVERFLOW_URL,
    AutomationId,
    ClickHistory,
    LinkClicks,
    Statistics,
    label_name,
)
from exporter.exposition.compression import EMPTY, THOROUGH, Compressed, compress, join
from exporter.exposition.text import (
    DECREASED,
    INFO,
    LABELS,
    LAST_SUCCESS,
    LINK_CLICKS,
    OPENMETRICS_END,
    PAGE_INFO,
    PER_AUTOMATION,
    POLL_INTERVAL,
    STEP_INFO,
    TOTAL_CLICKS,
    UP,
    Family,
    MetricType,
    any_fell,
    escape,
    header,
    line,
    link_key,
    link_lines,
    samples,
)

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
    """The statistics of some subjects, each named by its labels, and the text of each family."""

    labels: tuple[str, ...] = ()
    """Of each subject, as they stand between the braces."""
    columns: tuple[tuple[int | None, ...], ...] = ((),) * len(Statistics._fields)
    """Of each count, its values in the order of the subjects."""
    lines: Mapping[str, Compressed] = field(default_factory=lambda: MappingProxyType({}))
    """By the family's name; without a family that has no value."""


def labels_of(automation_id: str, step_id: str | None = None) -> str:
    """Return what names an automation, or one of its steps, in a sample."""
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
class Block:
    """The last good stats of one automation, rendered."""

    links: Compressed
    series: int
    """Rows of links, overflow rows included."""
    total_clicks: int

    def clicks_by_link(self) -> dict[bytes, int]:
        """Return the published clicks, keyed as `key_of` keys a row."""
        return samples(self.links.text())

    def link_keys(self) -> frozenset[bytes]:
        """Return what names the published links, as `key_of` does, without the overflow rows."""
        return frozenset(key for key in self.clicks_by_link() if _OVERFLOW not in key)

    def fell_below(self, before: "Block", lines: Iterable[bytes]) -> bool:
        """Return whether the total or a published link has fewer clicks.

        Overflow rows do not count: one loses the clicks of a link that is promoted out of it.
        `lines` is the block's own text, which its caller has just rendered.
        """
        if self.total_clicks < before.total_clicks:
            return True
        if self.links == before.links:
            return False
        return any_fell(before.links.text(), b"".join(lines), apart_from=_OVERFLOW)


@dataclass(frozen=True, slots=True)
class AutomationView:
    """What is known of one automation: all that a scrape shows of it, and more for the status page."""

    id: AutomationId
    name: str
    poll_interval: float
    """Seconds between two polls, in effect."""
    block: Block | None = None
    """None before the first success, and when the last good has grown stale."""
    up: bool | None = None
    """None before the first poll."""
    last_success: float | None = None
    """Seconds since the epoch."""
    decreased: int = 0
    history: ClickHistory = NO_HISTORY
    """Its totals of the last day; no part of a scrape, Prometheus has its own."""
    steps: tuple[tuple[str, str], ...] = ()
    """Ids and names of steps, as configured."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values of the owner's labels, as configured."""
    page: str = ""
    """The address of its page in SendGrid; empty where none is to be linked."""


_OVERFLOW: Final = f',url="{OVERFLOW_URL}",'.encode()


def lines_of(automation_id: AutomationId, links: Sequence[LinkClicks]) -> Sequence[bytes]:
    """Return the text of an automation's links, in pieces."""
    return tuple(link_lines(LINK_CLICKS.name, automation_id, links))


def line_format() -> str:
    """Return a made-up link's line: the metric, its labels, their order and how they are escaped.

    A block that was kept under another format must not be shown among today's: its series would have other names.
    """
    odd = '"\\\n'
    return b"".join(lines_of(AutomationId(odd), [LinkClicks(odd, odd, "0", 0)])).decode()


def block_of(lines: Iterable[bytes], series: int, total_clicks: int) -> Block:
    """Return the block of such a text, which has as many lines as there are series."""
    return Block(compress(lines, THOROUGH), series, total_clicks)


def key_of(automation_id: AutomationId, row: LinkClicks) -> bytes:
    """Return what names the row's series in `Block.clicks_by_link`."""
    return link_key(LINK_CLICKS.name, automation_id, row)


@dataclass(frozen=True, slots=True)
class Group:
    """Some automations side by side, so that one change touches little and a scrape walks over few pieces."""

    views: tuple[AutomationView, ...]
    lines: Mapping[str, Compressed]
    """By the family's name."""
    link_series: int


def render_group(views: Sequence[AutomationView], before: Group | None = None) -> Group:
    """Return the lines of some automations, family by family; what is as `before` is not rendered again."""
    former = before.views if before else ()
    lines: dict[str, Compressed] = {}
    links = _links(views)
    if before and links == _links(former):
        lines[LINK_CLICKS.name] = before.lines[LINK_CLICKS.name]
    else:
        lines[LINK_CLICKS.name] = join(links)
    for family, value_of in _VALUES.items():
        values = [value_of(view) for view in views]
        if before and values == [value_of(view) for view in former]:
            lines[family.name] = before.lines[family.name]
        else:
            lines[family.name] = compress([_lines(family, views, values)])
    return Group(tuple(views), lines, sum(view.block.series for view in views if view.block))


def _links(views: Iterable[AutomationView]) -> list[Compressed]:
    return [view.block.links for view in views if view.block is not None]


def _lines(family: Family, views: Sequence[AutomationView], values: Iterable["_Samples"]) -> bytes:
    return "".join(
        line(family.name, {"automation_id": view.id, **labels}, value)
        for view, samples_of_view in zip(views, values, strict=True)
        for value, labels in samples_of_view
    ).encode("utf-8", "replace")


_Samples = Sequence[tuple[float, Mapping[str, str]]]
"""Of one automation: each sample's value and its labels beside the id."""

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
    """What stands around the blocks of every scrape: each family's comments, ready for both formats."""

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
        """Return the selected families, each below its comments; those of statistics only where they have lines."""
        return join(
            part
            for family in (*PER_AUTOMATION, *STATISTICS)
            if names is None or family.name in names
            if family.name in lines or family in PER_AUTOMATION
            for part in (self._headers[family.name, openmetrics], lines.get(family.name, EMPTY))
        )

    def body(self, families: Compressed, own: Compressed, *, openmetrics: bool) -> Compressed:
        """Return the families followed by the exporter's own metrics, which have no end mark."""
        return join([families, own, self._end if openmetrics else EMPTY])
