"""What the web server shows: the exposition, the health and the status, taken from the snapshot without waiting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.clock import Clock
from exporter.exposition.block import Frame
from exporter.exposition.compression import Compressed, gzip_chunks, gzip_size, text_chunks
from exporter.polling.poller import Poller
from exporter.polling.workers import Workers
from exporter.store import Snapshot, Store
from exporter.telemetry import Telemetry
from exporter.web.ports import AutomationRow, Scrape, Status

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
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
    """The automations as the landing page lists them."""

    store: Store
    poller: Poller
    clock: Clock

    def status(self) -> Status:
        """Return the state of every automation."""
        now = self.clock.time()
        return Status(
            tuple(
                AutomationRow(
                    id=view.id,
                    name=view.name,
                    outcome=str(self.poller.last_outcome(view.id) or ""),
                    last_success_age=None if view.last_success is None else max(now - view.last_success, 0.0),
                    series=view.block.series if view.block else 0,
                )
                for view in self.store.snapshot.views()
            )
        )
