"""What the web server shows: the exposition, the health and the status, taken from the snapshot without waiting."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Final

from exporter.clock import Clock
from exporter.domain import OVERFLOW_URL, Outcome, PollResult
from exporter.errors import NEXT_STEPS
from exporter.exposition.block import AutomationView, Block, Frame
from exporter.exposition.compression import Compressed, gzip_chunks, gzip_size, text_chunks
from exporter.exposition.text import escape, read_links
from exporter.polling.poller import Poller
from exporter.polling.schedule import Plan
from exporter.polling.workers import Workers
from exporter.store import Snapshot, Store
from exporter.telemetry import Telemetry
from exporter.web.ports import AutomationRow, Condition, FoundLink, Scrape, Status

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_FOUND: Final = 5
"""Links of one automation in which a search is shown to be found."""
_NO_PLAN: Final = Plan(None, is_idle=False)
_NO_LINES: Final[Mapping[str, Compressed]] = MappingProxyType({})
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(slots=True)
class Exposition:
    """Makes a scrape of the current snapshot and of the exporter's own metrics."""

    store: Store
    telemetry: Telemetry
    statistics: Callable[[], Mapping[str, Compressed]] = lambda: _NO_LINES
    """Returns the lines of the statistics, by the family's name."""
    frame: Frame = field(default_factory=Frame)
    _whole: tuple[Snapshot, Mapping[str, Compressed], dict[bool, Compressed]] | None = None
    """All families of the newest snapshot and statistics by format, since most scrapes ask for the same; never of
    older ones, whose blocks would stay in memory."""

    def body(self, *, openmetrics: bool, names: frozenset[str] | None = None) -> Compressed:
        """Return the exposition, of these metric names only where given."""
        families = self._families(openmetrics=openmetrics, names=names)
        own = self.telemetry.render(openmetrics=openmetrics, names=names)
        return self.frame.body(families, own, openmetrics=openmetrics)

    def scrape(self, *, openmetrics: bool, compressed: bool, names: frozenset[str] | None) -> Scrape:
        """Return the exposition in the form that the web server sends."""
        body = self.body(openmetrics=openmetrics, names=names)
        return Scrape(
            content_type=OPENMETRICS if openmetrics else TEXT,
            length=gzip_size(body) if compressed else body.length,
            chunks=gzip_chunks(body) if compressed else text_chunks(body),
            gzip=compressed,
        )

    def _families(self, *, openmetrics: bool, names: frozenset[str] | None) -> Compressed:
        snapshot, statistics = self.store.snapshot, self.statistics()
        if names is not None:
            return self.frame.families({**snapshot.lines, **statistics}, openmetrics=openmetrics, names=names)
        # Two scrapes may both render here, with the same result; a lock would make one wait for the other.
        known = self._whole
        if known is None or known[0] is not snapshot or known[1] is not statistics:
            self._whole = known = (snapshot, statistics, {})
        if openmetrics not in known[2]:
            lines = {**snapshot.lines, **statistics}
            known[2][openmetrics] = self.frame.families(lines, openmetrics=openmetrics, names=None)
        return known[2][openmetrics]


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """Reports whether the process works; it never depends on SendGrid."""

    workers: Workers
    knows_whom: Callable[[], bool] = lambda: True
    """Returns whether it is known which automations there are."""

    def alive(self) -> str | None:
        """Return None while polling works, else the reason."""
        return self.workers.trouble()

    def ready(self) -> str | None:
        """Return None when every automation, and the list that names them, was tried once or restored."""
        if not self.knows_whom():
            return "the list of automations was not asked for yet"
        untried = self.workers.untried()
        return f"{untried} automations were not tried yet" if untried else None


@dataclass(frozen=True, slots=True)
class AutomationStatus:
    """The automations as the status page lists them."""

    store: Store
    poller: Poller
    workers: Workers
    clock: Clock
    facts: Callable[[], Status] = Status
    """Returns what the page says of the process, without automations."""

    def status(self, sought: str = "") -> Status:
        """Return the state of every automation, with the links in which the text is found."""
        plans = self.workers.plans()
        now, views = self.clock.time(), self.store.snapshot.views()
        rows = tuple(self._row(view, plans.get(view.id, _NO_PLAN), sought, now) for view in views)
        return replace(self.facts(), automations=rows, time=now)

    def _row(self, view: AutomationView, plan: Plan, sought: str, now: float) -> AutomationRow:
        result = self.poller.last_result(view.id)
        is_stale = view.block is None and view.last_success is not None
        return AutomationRow(
            id=view.id,
            name=view.name,
            state=_condition(view, result, is_stale=is_stale, is_idle=plan.is_idle),
            is_stale=is_stale,
            is_idle=plan.is_idle,
            outcome=str(result.outcome) if result else "",
            error=result.message if result else "",
            next_step=NEXT_STEPS[result.outcome] if result else "",
            last_success=view.last_success,
            next_poll=plan.wait,
            interval=view.poll_interval,
            series=view.block.series if view.block else 0,
            clicks=view.block.total_clicks if view.block else None,
            day_clicks=view.history.gained(view.block.total_clicks, now) if view.block else None,
            page=view.page,
            found=tuple(islice(_links_with(sought, view.block), _MOST_FOUND)) if sought and view.block else (),
        )


def _condition(view: AutomationView, result: PollResult | None, *, is_stale: bool, is_idle: bool) -> Condition:
    if result is not None and result.outcome is not Outcome.SUCCESS:
        return Condition.FAILING
    if is_stale:
        return Condition.STALE
    if view.block is None:
        return Condition.WAITING
    return Condition.IDLE if is_idle else Condition.OK


def _links_with(sought: str, block: Block) -> Iterator[FoundLink]:
    """Give the links of the block whose URL holds the text, in any case."""
    text = sought.lower()
    # First a look at the whole text, which mostly says no: only few lines are taken apart.
    needle = escape(text).encode(errors="replace")
    lines = block.links.text()
    if needle.isascii() and needle not in lines.lower():
        return
    for step_id, url, _, clicks in read_links(lines):
        if text in url.lower() and url != OVERFLOW_URL:
            yield FoundLink(step_id, url, clicks)
