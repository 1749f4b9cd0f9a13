"""What the web server shows: the exposition, the health, the status, and the links for a prober.

All is taken from the snapshot without waiting. The links are targets of Prometheus's HTTP service discovery: those that
are clicked now. SendGrid says how often a link was clicked, never when. So a link counts as clicked now until its count
has stood still for a week of this process's watching: after a start, where nothing is known yet, every link does.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Final
from weakref import WeakKeyDictionary

from exporter.clock import Clock
from exporter.domain import OVERFLOW_URL, AutomationId, Outcome, PollResult
from exporter.exposition import (
    EMPTY,
    AutomationView,
    Block,
    Compressed,
    Frame,
    escape,
    gzip_chunks,
    gzip_size,
    read_links,
    text_chunks,
)
from exporter.polling.poller import Poller
from exporter.polling.schedule import Plan
from exporter.polling.workers import Workers
from exporter.probes import ProbeRules
from exporter.store import Snapshot, Store
from exporter.telemetry import Telemetry
from exporter.web.ports import AutomationRow, Condition, FoundLink, Scrape, Status

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_MOST_FOUND: Final = 5
"""Links of one automation in which a search is shown to be found."""
_NO_PLAN: Final = Plan(None, is_idle=False)
_NO_LINES: Final[Mapping[str, Compressed]] = MappingProxyType({})
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_LATELY: Final = 7 * 86400.0
"""Seconds: a week, since mails and their readers have a weekly rhythm."""
_REFRESH_SECONDS: Final = 10.0
"""Prometheus asks once a minute; 20,000 links take some 40 ms of CPU each time."""
_UNKNOWN_SECONDS: Final = 1.0
_CUT: Final = re.compile(r"~[0-9a-f]{16}\Z")
"""How `labels.max_url_length` ends a URL that is no longer one."""
_LONGEST_CHARACTER: Final = 4
"""Bytes in UTF-8, by which a cut URL may be shorter than the limit."""


@dataclass(slots=True)
class Exposition:
    """Makes a scrape of the current snapshot and of the exporter's own metrics."""

    store: Store
    telemetry: Telemetry
    statistics: Callable[[], Mapping[str, Compressed]] = lambda: _NO_LINES
    """Returns the lines of the statistics, by the family's name."""
    frame: Frame = field(default_factory=Frame)
    _whole: WeakKeyDictionary[Snapshot, dict[bool, tuple[Mapping[str, Compressed], Compressed]]] = field(
        default_factory=WeakKeyDictionary
    )
    """The statistics and all families of a snapshot by format, since most scrapes ask for the same. They go with the
    snapshot: until the next scrape, the blocks of a former one would be in memory beside those that replaced them."""

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
        known = self._whole.setdefault(snapshot, {})
        beside, families = known.get(openmetrics, (None, EMPTY))
        if beside is not statistics:
            lines = {**snapshot.lines, **statistics}
            families = self.frame.families(lines, openmetrics=openmetrics, names=None)
            known[openmetrics] = (statistics, families)
        return families


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """Reports whether the process works; it never depends on SendGrid."""

    workers: Workers
    knows_whom: Callable[[], bool] = lambda: True
    """Returns whether it is known which automations there are."""

    def unhealthy_reason(self) -> str | None:
        """Return None while polling works, else the reason."""
        return self.workers.trouble()

    def unready_reason(self) -> str | None:
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
            next_step=result.next_step if result else "",
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


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What the configuration's `sd` group says, and how links are published."""

    enabled: bool = False
    exclude: tuple[str, ...] = ()
    max_links: int = 500
    private_addresses: bool = False
    max_url_length: int = 2048
    drops_paths: bool = False
    """Whether a `*` in a URL may stand for what was left out of it."""


@dataclass(slots=True)
class _Link:
    clicks: int
    moved: float
    """When the count was last seen to rise, or the link was first seen."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """The links of an automation that may be probed, by step and URL."""

    block: Block | None = None
    links: Mapping[tuple[str, str], _Link] = field(default_factory=lambda: MappingProxyType({}))


class LinkTargets:
    """Prepares the document in a separate thread, so that serving it computes nothing."""

    def __init__(
        self, store: Store, options: TargetOptions, *, clock: Clock, stop: threading.Event, ready: Callable[[], bool]
    ) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop
        self._ready = ready
        self._thread = threading.Thread()
        self._watched: Mapping[AutomationId, _Watched] = {}
        self._document: bytes | None = None
        self._options = options
        self._rules = ProbeRules(options.exclude, private_addresses=options.private_addresses)
        self._judged_by = self._rules

    @property
    def enabled(self) -> bool:
        """Whether the links are served."""
        return self._options.enabled

    def document(self) -> bytes | None:
        """Return the targets as JSON; None until every automation was tried: an empty list would end all alerts."""
        return self._document

    def take_over(self, options: TargetOptions) -> None:
        """Apply other settings from the next refresh on."""
        if options != self._options:
            self._rules = ProbeRules(options.exclude, private_addresses=options.private_addresses)
            self._options = options

    def tend(self, spawn: Callable[[Callable[[], None], str], threading.Thread]) -> None:
        """Start the thread if it is needed and not running."""
        if self.enabled and not self._thread.is_alive():
            self._thread = spawn(self._run, "links")

    def refresh(self) -> None:
        """Process what has been polled since the last time, and write the document."""
        # Read once: a reload may exchange the rules while this runs, and half of the links would be judged by each.
        now, views, rules = self._clock.monotonic(), self._store.snapshot.views(), self._rules
        if rules is not self._judged_by:
            # Every link is judged again, and keeps what is known of its clicks.
            self._judged_by = rules
            self._watched = {id_: _Watched(None, each.links) for id_, each in self._watched.items()}
        self._watched = {view.id: self._watch(view, now) for view in views}
        if self._ready():
            self._document = json.dumps(self._targets(views, now)).encode()

    def _run(self) -> None:
        while self.enabled and not self._stop.is_set():
            self.refresh()
            self._clock.wait(self._stop, _REFRESH_SECONDS if self._document is not None else _UNKNOWN_SECONDS)
        self._document, self._watched = None, {}

    def _watch(self, view: AutomationView, now: float) -> _Watched:
        known = self._watched.get(view.id, _Watched())
        if view.block is None or view.block is known.block:
            return known
        links: dict[tuple[str, str], _Link] = {}
        for step_id, url, _, clicks in read_links(view.block.links.text()):
            if (step_id, url) in links:
                links[step_id, url].clicks += clicks
            elif self._is_whole(url) and self._judged_by.admits(url):
                links[step_id, url] = _Link(clicks, now)
        for key, link in links.items():
            before = known.links.get(key)
            # A count that falls is no click: it happens when SendGrid corrects its numbers.
            if before is not None and link.clicks <= before.clicks:
                link.moved = before.moved
        return _Watched(view.block, links)

    def _is_whole(self, url: str) -> bool:
        """Return whether the URL is published as SendGrid gives it, but for its parameters."""
        if self._options.drops_paths and "*" in url:
            return False
        shortest_cut = self._options.max_url_length - _LONGEST_CHARACTER
        return not (len(url.encode()) > shortest_cut and _CUT.search(url))

    def _targets(self, views: Sequence[AutomationView], now: float) -> list[Mapping[str, object]]:
        # The rest of the key makes the order the same each time: equal counts must not make targets come and go.
        ranked = sorted(self._clicked(views, now), key=lambda each: (-each[0], each[1:3], each[3].id))
        targets: dict[str, Mapping[str, object]] = {}
        for _, url, step_id, view in ranked:
            if len(targets) == self._options.max_links:
                break
            # A prober does not send the fragment: links that differ in it alone are one visit.
            targets.setdefault(url.partition("#")[0], _target(url, step_id, view))
        return list(targets.values())

    def _clicked(self, views: Sequence[AutomationView], now: float) -> Iterator[tuple[int, str, str, AutomationView]]:
        for view in views:
            if view.block is None:
                continue
            for (step_id, url), link in self._watched[view.id].links.items():
                if now - link.moved <= _LATELY:
                    yield link.clicks, url, step_id, view


def _target(url: str, step_id: str, view: AutomationView) -> Mapping[str, object]:
    # Prometheus drops `__meta_` labels after relabeling: only what a user takes over becomes a label of the probe.
    labels = {
        "__meta_sendgrid_automation_id": str(view.id),
        "__meta_sendgrid_automation_name": view.name,
        "__meta_sendgrid_step_id": step_id,
        "__meta_sendgrid_step_name": dict(view.steps).get(step_id, step_id),
    }
    return {"targets": [url], "labels": labels}
