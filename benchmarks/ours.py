"""`python -m benchmarks.ours LINKS [EACH [FIRST]]`: the exporter without HTTP to SendGrid, serving real scrapes.

The only module that knows how the exporter is put together: the real poller reads prepared bodies in place of the
client's, and publishes into the real store, which the real web layer serves. It prints one line of JSON with its port
when all is published, then takes orders as lines of JSON on stdin, each answered by one line.
"""

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from benchmarks.holds import LockWatch
from benchmarks.pages import ADDRESS, pages
from benchmarks.workload import Workload
from exporter.__main__ import tune_runtime
from exporter.about import about
from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationId, AutomationStats, Endpoint, Fingerprint, Outcome, Unchanged
from exporter.labels import LabelHygiene, LabelRules
from exporter.polling.poller import Poller
from exporter.sendgrid.pages import read_stats
from exporter.serving import Exposition
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.ports import LandingPage, Limits, Ports, Scrape, Status, WebOptions
from exporter.web.server import WebServer

_INTERVAL: Final = 300.0
_REQUEST_SECONDS: Final = 0.05


class PreparedSource:
    """Gives the poller the bodies that were prepared, and tells when the first and the last were handed over."""

    def __init__(self) -> None:
        self.bodies: Sequence[bytes] = ()
        self.first_ns = 0
        self.last_ns = 0

    def stats(
        self,
        automation: Automation,
        deadline: float,  # noqa: ARG002 - the poller's port
        known: Fingerprint = (),
    ) -> AutomationStats | Unchanged:
        remaining = iter(self.bodies)
        self.first_ns = time.thread_time_ns()

        def fetch(_: str | None) -> bytes:
            body = next(remaining)
            self.last_ns = time.thread_time_ns()
            return body

        return read_stats(fetch, ADDRESS.format(automation.id), lambda _: "", known)

    def holding(self) -> AbstractContextManager[None]:
        """Account for nothing: the bodies were there before."""
        return nullcontext()


class Exporter:
    """The exporter's own parts around a prepared source."""

    def __init__(self, workload: Workload) -> None:
        clock = SystemClock()
        self._workload = workload
        self._source = PreparedSource()
        self.store = Store()
        self.telemetry = Telemetry(about(), clock=clock, link_series=lambda: self.store.snapshot.link_series)
        self._poller = Poller(
            source=self._source,
            hygiene=LabelHygiene(LabelRules(max_links=workload.each)),
            store=self.store,
            telemetry=self.telemetry,
            keeper=None,
            clock=clock,
        )
        ids = map(AutomationId, workload.ids())
        self._automations = tuple(Automation(id_, id_, _INTERVAL) for id_ in ids)
        self.store.configure(self._automations)

    def fill(self) -> None:
        """Publish every automation once."""
        for number in range(len(self._automations)):
            self.poll(number, clicked=0)

    def poll(self, number: int, *, clicked: int) -> dict[str, int]:
        """Publish one automation, every link clicked so many times more; return the CPU that its bodies cost."""
        automation = self._automations[number]
        source = self._source
        source.bodies = pages(automation.id, self._workload.rows(number, clicked=clicked))
        result = self._poller.poll(automation, deadline=math.inf, stale_after=math.inf)
        done = time.thread_time_ns()
        if result.outcome is not Outcome.SUCCESS:
            raise RuntimeError(f"a prepared poll ended as {result.outcome}")
        return {"all_ns": done - source.first_ns, "last_ns": done - source.last_ns}


class Metrics:
    """The exporter's exposition, on demand with a request counted before each scrape.

    The text of the exporter's own metrics is kept until one of them changes: scrapes without a poll in between, as
    here, would never pay for it.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._telemetry = exporter.telemetry
        self._exposition = Exposition(exporter.store, exporter.telemetry)
        self.stirred = False

    def scrape(self, *, openmetrics: bool, compressed: bool, names: frozenset[str] | None) -> Scrape:
        if self.stirred:
            self._telemetry.requested(Endpoint.LINKS, "200", _REQUEST_SECONDS, None)
        return self._exposition.scrape(openmetrics=openmetrics, compressed=compressed, names=names)


class Orders:
    """What can be asked for on stdin."""

    def __init__(self, exporter: Exporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._watch = LockWatch()

    def obey(self, order: dict[str, Any]) -> dict[str, int]:
        """Carry out one order and return the answer."""
        kinds: dict[str, Callable[[dict[str, Any]], dict[str, int]]] = {
            "change": lambda order: self._exporter.poll(order["number"], clicked=order["clicked"]),
            "stir": self._stir,
            "watch": self._start_watch,
            "watched": self._end_watch,
        }
        return kinds[order["do"]](order)

    def _stir(self, order: dict[str, Any]) -> dict[str, int]:
        self._metrics.stirred = order["on"]
        return {}

    def _start_watch(self, _: dict[str, Any]) -> dict[str, int]:
        self._watch = LockWatch()
        self._watch.start()
        return {}

    def _end_watch(self, _: dict[str, Any]) -> dict[str, int]:
        self._watch.stop()
        return {"longest_ns": self._watch.longest_ns, "samples": self._watch.samples}


class Unused:
    """The ports that no benchmark asks."""

    def unhealthy_reason(self) -> str | None:
        return None

    def unready_reason(self) -> str | None:
        return None

    def reload(self) -> Sequence[str]:
        return ()

    def status(self, sought: str) -> Status:
        del sought
        return Status()

    enabled = False

    def document(self) -> None:
        return None

    def login_failed(self) -> None:
        pass

    def web_config_read(self, *, successful: bool) -> None:
        pass


def serve(metrics: Metrics) -> WebServer:
    """Serve scrapes with the exporter's own web layer, on any free port of the loopback address."""
    unused = Unused()
    page = LandingPage("benchmark", "0", "The benchmarks' exporter.")
    ports = Ports(
        metrics=metrics, health=unused, reloader=unused, status=unused, page=page, observer=unused, links=unused
    )
    options = WebOptions(listen=(("127.0.0.1", 0),))
    server = WebServer(options, ports, clock=SystemClock(), limits=Limits())
    server.start()
    return server


def main() -> None:
    """Fill the store, serve, and obey until stdin is closed."""
    numbers = [int(argument) for argument in sys.argv[1:]]
    exporter = Exporter(Workload(*numbers))
    tune_runtime()
    exporter.fill()
    metrics = Metrics(exporter)
    server = serve(metrics)
    print(json.dumps({"port": server.addresses[0][1]}), flush=True)
    orders = Orders(exporter, metrics)
    for line in sys.stdin:
        print(json.dumps(orders.obey(json.loads(line))), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
