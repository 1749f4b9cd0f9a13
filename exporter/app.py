"""The composition root: the only place that builds the parts and puts them together.

settings ─▶ app. SendGrid ─▶ sendgrid.client ─▶ poller ─▶ store ─▶ serving ─▶ web ─▶ Prometheus.
"""

import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client import disable_created_metrics

from exporter.about import DISTRIBUTION, about
from exporter.assembly import (
    client_options,
    key_source,
    label_rules,
    needing_restart,
    open_state_file,
    own_automations,
    question_of,
    web_options,
)
from exporter.clock import Clock
from exporter.domain import Automation, Outcome
from exporter.errors import ConfigurationError, StateError
from exporter.labels import LabelHygiene
from exporter.logs import set_up_logs
from exporter.poller import Poller
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.key import Key
from exporter.serving import AutomationStatus, Exposition, ProcessHealth
from exporter.settings import Settings, redacted_line
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.ports import Limits, Page, Ports
from exporter.web.server import WebServer
from exporter.workers import Workers

_log = logging.getLogger(__name__)

_ONCE_SECONDS: Final = 300.0
_STOP_SERVING_SECONDS: Final = 2.0
_STOP_POLLING_SECONDS: Final = 1.0
_BEAT_SECONDS: Final = 1.0

Load = Callable[[], Settings]
"""Reads the settings again, as they are now; raises ConfigurationError."""


class App:
    """The parts of one process, built from settings, and what a reload exchanges."""

    def __init__(self, load: Load, *, clock: Clock) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it without types
        self.stop = threading.Event()
        self.reload_asked = threading.Event()
        self._reloading = threading.Lock()
        self._load = load
        self._settings = settings = load()
        self._clock = clock
        self._about = about()
        self._store = Store()
        self._telemetry = Telemetry(self._about, clock=clock, link_series=lambda: self._store.snapshot.link_series)
        self._key = key_source(settings)
        self._set_up_logs()
        self._budget = self._new_budget(settings)
        self._client = self._new_client(settings)
        self._state = open_state_file(settings)
        self._poller = Poller(
            source=self._client,
            hygiene=LabelHygiene(label_rules(settings)),
            store=self._store,
            telemetry=self._telemetry,
            keeper=self._state,
            clock=clock,
        )
        self._workers = Workers(self._poller, clock=clock, stop=self.stop)
        self._exposition = Exposition(self._store, self._telemetry)
        self._telemetry.sharded(settings.shard.index, settings.shard.total)
        self._configure_workers()
        self._restore()

    def serve(self) -> str | None:
        """Poll and serve until stopped; return None then, or the reason why it cannot go on.

        Raises StartError when an address cannot be listened on, ConfigurationError for a wrong web config file.
        """
        server = self._new_server()
        server.start()
        addresses = ", ".join(f"{host}:{port}" for host, port in server.addresses)
        version = f"{DISTRIBUTION} {self._about.version} (revision {self._about.revision})"
        _log.info("started %s, listening on %s: %s", version, addresses, redacted_line(self._settings))
        _log.info("%s", self._workers.plan())
        self._workers.start()
        try:
            return self._beat(server)
        finally:
            self._shut_down(server)

    def once(self) -> tuple[str, Sequence[tuple[Automation, Outcome]]]:
        """Poll every automation once; return the exposition as text, and the automations that failed."""

        def poll(automation: Automation) -> tuple[Automation, Outcome]:
            deadline = self._clock.monotonic() + _ONCE_SECONDS
            return automation, self._poller.poll(automation, deadline=deadline, stale_after=math.inf).outcome

        with ThreadPoolExecutor(self._settings.poll.concurrency) as pool:
            results = list(pool.map(poll, own_automations(self._settings)))
        document = self._exposition.document(openmetrics=False)
        text = b"".join(document.chunks(compressed=False)).decode()
        return text, [result for result in results if result[1] is not Outcome.SUCCESS]

    def reload(self) -> Sequence[str]:
        """Read the settings again and take them over, or keep the old ones whole; return the problems.

        A signal and a request may ask at the same time, from two threads: one reload follows the other.
        """
        with self._reloading:
            return self._reload()

    def _reload(self) -> Sequence[str]:
        problems: Sequence[str] = ()
        try:
            settings = self._load()
            key = key_source(settings)
            problems = tuple(needing_restart(self._settings, settings))
            if not problems:
                self._take_over(settings, key)
        except ConfigurationError as exc:
            problems = exc.problems
        if problems:
            _log.error("the configuration was not reloaded: %s", "; ".join(problems))
        else:
            _log.info("the configuration was reloaded: %s", redacted_line(self._settings))
        self._telemetry.reloaded(successful=not problems)
        return problems

    def _take_over(self, settings: Settings, key: Key) -> None:
        budget_kept = settings.sendgrid.requests_per_minute == self._settings.sendgrid.requests_per_minute
        self._settings, self._key = settings, key
        self._set_up_logs()
        if not budget_kept:
            self._budget = self._new_budget(settings)
        former, self._client = self._client, self._new_client(settings)
        self._poller.source, self._poller.hygiene = self._client, LabelHygiene(label_rules(settings))
        former.close()
        self._configure_workers()
        self._workers.start()

    def _beat(self, server: WebServer) -> str | None:
        """Tend the workers about once a second, until the stop or a death."""
        while not self._clock.wait(self.stop, _BEAT_SECONDS):
            if self.reload_asked.is_set():
                self.reload_asked.clear()
                self.reload()
            self._workers.tend()
            failure = server.failed()
            if failure is not None:
                return f"the web server has ended ({type(failure).__name__}: {failure})"
            if (dead := self._workers.dead()) is not None:
                return dead
        return None

    def _shut_down(self, server: WebServer) -> None:
        self.stop.set()
        server.stop(_STOP_SERVING_SECONDS)
        self._workers.join(_STOP_POLLING_SECONDS)
        self._client.close()
        if self._state is not None:
            self._state.close()
        _log.info("stopped")

    def _configure_workers(self) -> None:
        if self._state is not None:
            self._state.rules = question_of(self._settings)
        poll = self._settings.poll
        self._workers.configure(
            own_automations(self._settings),
            concurrency=poll.concurrency,
            stale_after=poll.stale_after,
            capacity=lambda: self._budget.requests_per_second,
        )

    def _restore(self) -> None:
        """Show the blocks of an earlier run that have not grown stale, with their true age."""
        if self._state is None:
            return
        try:
            saved = self._state.load({automation.id for automation in own_automations(self._settings)})
        except StateError as exc:
            _log.warning("%s; the exporter goes on without the blocks of earlier runs", exc)
            return
        restored = sum(self._workers.restore(block) for block in saved)
        _log.info("state.path: %d of %d automations' values were restored", restored, len(saved))

    def _new_budget(self, settings: Settings) -> Budget:
        return Budget(settings.sendgrid.requests_per_minute, clock=self._clock, share=1 / settings.shard.total)

    def _new_client(self, settings: Settings) -> SendGridClient:
        return SendGridClient(
            client_options(settings, self._about),
            key=self._key,
            budget=self._budget,
            clock=self._clock,
            stop=self.stop,
            observer=self._telemetry,
        )

    def _new_server(self) -> WebServer:
        ports = Ports(
            metrics=self._exposition,
            health=ProcessHealth(self._workers),
            reloader=self,
            status=AutomationStatus(self._store, self._poller, self._clock),
            page=Page(DISTRIBUTION, self._about.version, self._about.summary, self._about.homepage),
        )
        return WebServer(web_options(self._settings), ports, clock=self._clock, limits=Limits())

    def _set_up_logs(self) -> None:
        set_up_logs(self._settings.log.level, self._settings.log.format, lambda: (self._key(),))
