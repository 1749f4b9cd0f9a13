"""The links that are clicked now, as targets for a prober: Prometheus's HTTP service discovery.

SendGrid says how often a link was clicked, never when. So a link counts as clicked now until its count has stood still
for a week of this process's watching: after a start, where nothing is known yet, every link does.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.clock import Clock
from exporter.domain import AutomationId
from exporter.exposition.block import AutomationView, Block
from exporter.exposition.text import read_links
from exporter.probes import ProbeRules
from exporter.store import Store

_LATELY: Final = 7 * 86400.0
"""Seconds: a week, since mails and their readers have a weekly rhythm."""
_REFRESH_SECONDS: Final = 10.0
"""Prometheus asks once a minute; 20,000 links take some 40 ms of CPU each time."""
_UNKNOWN_SECONDS: Final = 1.0
_CUT: Final = re.compile(r"~[0-9a-f]{16}\Z")
"""How `labels.max_url_length` ends a URL that is no longer one."""
_LONGEST_CHARACTER: Final = 4
"""Bytes in UTF-8, by which a cut URL may be shorter than the limit."""


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
    """Keeps the document ready in a thread of its own, so that handing it over computes nothing."""

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
        """Whether the links are handed out."""
        return self._options.enabled

    def document(self) -> bytes | None:
        """Return the targets as JSON; None until every automation was tried: an empty list would end all alerts."""
        return self._document

    def take_over(self, options: TargetOptions) -> None:
        """Follow other settings from the next refresh on."""
        if options != self._options:
            self._rules = ProbeRules(options.exclude, private_addresses=options.private_addresses)
            self._options = options

    def tend(self, spawn: Callable[[Callable[[], None], str], threading.Thread]) -> None:
        """Start the thread where there has to be one and is none."""
        if self.enabled and not self._thread.is_alive():
            self._thread = spawn(self._run, "links")

    def refresh(self) -> None:
        """Look at what has been polled since the last time, and write the document."""
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
