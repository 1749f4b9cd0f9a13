"""What one automation gives to a scrape, and how many automations' lines are put together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.domain import REST_URL, AutomationId, LinkClicks
from exporter.exposition.catalog import (
    DECREASED,
    INFO,
    LAST_SUCCESS,
    LINK_CLICKS,
    POLL_INTERVAL,
    TOTAL_CLICKS,
    UP,
)
from exporter.exposition.segment import THOROUGH, Run, Segment, compress, run_of
from exporter.exposition.text import Family, any_fell, line, link_key, link_lines, samples


@dataclass(frozen=True, slots=True)
class Block:
    """The last good stats of one automation, rendered."""

    links: Segment
    series: int
    """Rows of links, rest rows included."""
    total_clicks: int

    def clicks_by_link(self) -> dict[bytes, int]:
        """Return the published clicks, keyed as `key_of` keys a row."""
        return samples(self.links.text())

    def link_keys(self) -> frozenset[bytes]:
        """Return what names the published links, as `key_of` does, without the rest rows."""
        return frozenset(key for key in self.clicks_by_link() if _REST not in key)

    def fell_below(self, before: "Block", lines: Iterable[bytes]) -> bool:
        """Tell whether the total or a published link has fewer clicks; a rest row loses those of a promoted link.

        `lines` is the block's own text, which who has just rendered it still has.
        """
        if self.total_clicks < before.total_clicks:
            return True
        if self.links == before.links:
            return False
        return any_fell(before.links.text(), b"".join(lines), apart_from=_REST)


@dataclass(frozen=True, slots=True)
class AutomationView:
    """All that a scrape shows of one automation."""

    id: AutomationId
    name: str
    poll_interval: float
    """Seconds, as really kept."""
    block: Block | None = None
    """None before the first success, and when the last good has grown stale."""
    up: bool | None = None
    """None before the first poll."""
    last_success: float | None = None
    """Seconds since the epoch."""
    decreased: int = 0


_REST: Final = f',url="{REST_URL}",'.encode()


def lines_of(automation_id: AutomationId, links: Sequence[LinkClicks]) -> Sequence[bytes]:
    """Return the text of an automation's links, in pieces."""
    return tuple(link_lines(LINK_CLICKS.name, automation_id, links))


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
    runs: Mapping[str, Run]
    """The lines by the family's name."""
    link_series: int


def render_group(views: Sequence[AutomationView], before: Group | None = None) -> Group:
    """Return the lines of some automations, family by family; what is as `before` is not rendered again."""
    former = before.views if before else ()
    runs: dict[str, Run] = {}
    links = _link_segments(views)
    if before and links == _link_segments(former):
        runs[LINK_CLICKS.name] = before.runs[LINK_CLICKS.name]
    else:
        runs[LINK_CLICKS.name] = run_of(links)
    for family, value_of in _VALUES.items():
        values = [value_of(view) for view in views]
        if before and values == [value_of(view) for view in former]:
            runs[family.name] = before.runs[family.name]
        else:
            runs[family.name] = run_of([compress([_lines(family, views, values)])])
    return Group(tuple(views), runs, sum(view.block.series for view in views if view.block))


def _link_segments(views: Iterable[AutomationView]) -> list[Segment]:
    return [view.block.links for view in views if view.block is not None]


def _lines(family: Family, views: Sequence[AutomationView], values: Iterable["_Value"]) -> bytes:
    return "".join(
        line(family.name, {"automation_id": view.id, **value[1]}, value[0])
        for view, value in zip(views, values, strict=True)
        if value is not None
    ).encode("utf-8", "replace")


_Value = tuple[float, Mapping[str, str]] | None
"""A sample's value and its labels beside the id; None where there is no sample."""

_VALUES: Final[Mapping[Family, Callable[[AutomationView], _Value]]] = {
    TOTAL_CLICKS: lambda view: None if view.block is None else (view.block.total_clicks, {}),
    INFO: lambda view: (1, {"name": view.name}),
    UP: lambda view: None if view.up is None else (int(view.up), {}),
    LAST_SUCCESS: lambda view: None if view.last_success is None else (view.last_success, {}),
    POLL_INTERVAL: lambda view: (view.poll_interval, {}),
    DECREASED: lambda view: (view.decreased, {}),
}
