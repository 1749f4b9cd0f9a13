"""The composition root: the only place that builds the parts and puts them together.

settings ─▶ app. SendGrid ─▶ sendgrid.client ─▶ poller ─▶ store ─▶ serving ─▶ web ─▶ Prometheus.
"""

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import disable_created_metrics

from exporter.about import DISTRIBUTION, about
from exporter.assembly import (
    STATE_SECONDS,
    Changes,
    changed_questions,
    client_options,
    key_source,
    label_rules,
    needing_restart,
    own_automations,
    question_of,
    settle,
    web_options,
)
from exporter.clock import Clock
from exporter.domain import Automation, Outcome
from exporter.errors import ConfigurationError, ForeignFileError
from exporter.labels import LabelHygiene
from exporter.logs import LineWriter, set_up_logs
from exporter.poller import Poller
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.key import Key
from exporter.sendgrid.memory import MemoryBudget
from exporter.sendgrid.proxy import proxy_secrets
from exporter.serving import AutomationStatus, Exposition, ProcessHealth
from exporter.settings import Settings, redacted_line
from exporter.signals import Signals
from exporter.state import StateWriter
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.ports import Limits, Page, Ports
from exporter.web.server import WebServer
from exporter.workers import Workers, start_thread

_log = logging.getLogger(__name__)

_ONCE_SECONDS: Final = 300.0
_ONCE_BEAT_SECONDS: Final = 0.02
_STOP_SERVING_SECONDS: Final = 1.5
_STOP_POLLING_SECONDS: Final = 1.0
_STOP_WRITING_SECONDS: Final = 0.7
"""With the log's half second all of the stop takes less than signals.Signals allows."""
_FORMER_SECRETS: Final = 32
"""Keys and passwords of before a reload that the log still hides."""
_BEAT_SECONDS: Final = 1.0
_OTHER_FILES: Final = 64
"""Descriptors that the web server leaves for everything but the connections to SendGrid."""

Load = Callable[[], Settings]
"""Reads the settings again, as they are now; raises ConfigurationError."""


class App:
    """The parts of one process, built from settings, and what a reload exchanges."""

    def __init__(self, load: Load, *, clock: Clock, signals: Signals, lines: LineWriter) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it without types
        self._signals = signals
        self._reloading = threading.Lock()
        self._load = load
        self._settings = settings = load()
        self._clock = clock
        self._about = about()
        self._lines = lines
        self._store = Store()
        self._telemetry = Telemetry(
            self._about,
            clock=clock,
            link_series=lambda: self._store.snapshot.link_series,
            dropped_lines=lambda: lines.dropped,
        )
        self._key = key_source(settings)
        self._former_secrets: tuple[str, ...] = ()
        self._set_up_logs()
        sendgrid, share = settings.sendgrid, 1 / settings.shard.total
        self._budget = Budget(sendgrid.requests_per_minute, clock=clock, share=share)
        self._memory = MemoryBudget(clock=clock)
        self._client = self._new_client(settings, self._key)
        self._state: StateWriter | None = None
        self._poller = Poller(
            source=self._client,
            hygiene=LabelHygiene(label_rules(settings)),
            store=self._store,
            telemetry=self._telemetry,
            keeper=None,
            clock=clock,
            question=question_of(settings),
        )
        self._workers = Workers(self._poller, clock=clock, stop=signals.stop)
        self._exposition = Exposition(self._store, self._telemetry)
        self._telemetry.sharded(settings.shard.index, settings.shard.total)
        self._configure_workers()

    def serve(self) -> str | None:
        """Poll and serve until stopped; return None then, or the reason why it cannot go on.

        Raises StartError when an address cannot be listened on, ConfigurationError for a wrong web config file.
        """
        server = self._new_server()
        server.listen()  # first, so that a second process by mistake touches nothing
        self._restore()  # before the first answer, so that no scrape sees a hole
        server.start()
        addresses = ", ".join(f"{host}:{port}" for host, port in server.addresses)
        version = f"{DISTRIBUTION} {self._about.version} (revision {self._about.revision})"
        _log.info("started %s, listening on %s: %s", version, addresses, redacted_line(self._settings))
        _log.info("%s", self._workers.plan())
        self._workers.start()
        start_thread(self._watch_key, "key-file")
        settle()
        try:
            return self._beat(server)
        finally:
            self._shut_down(server)

    def once(self) -> tuple[str, Sequence[tuple[Automation, Outcome]], int]:
        """Poll every automation once, until a stop is asked for.

        Return the exposition as text, the automations that failed, and how many were not polled to the end.
        """
        automations = own_automations(self._settings)
        waiting = deque(automations)
        results: list[tuple[Automation, Outcome]] = []

        def work() -> None:
            while waiting and not self._signals.stop.is_set():
                with suppress(IndexError):
                    automation = waiting.popleft()
                    deadline = self._clock.monotonic() + _ONCE_SECONDS
                    result = self._poller.poll(automation, deadline=deadline, stale_after=math.inf)
                    if result.outcome is Outcome.SUCCESS or not self._signals.stop.is_set():
                        results.append((automation, result.outcome))

        threads = [start_thread(work, f"once-{number}") for number in range(self._settings.poll.concurrency)]
        while any(thread.is_alive() for thread in threads):
            if self._clock.wait(self._signals.stop, _ONCE_BEAT_SECONDS):
                break
        document = self._exposition.document(openmetrics=False)
        text = b"".join(document.chunks(compressed=False)).decode()
        done = tuple(results)
        failed = [result for result in done if result[1] is not Outcome.SUCCESS]
        return text, failed, len(automations) - len(done)

    def reload(self) -> Sequence[str]:
        """Read the settings again and take them over, or keep the old ones whole; return the problems.

        A signal and a request may ask at the same time, from two threads: one reload follows the other.
        """
        with self._reloading:
            return self._reload()

    def _reload_as_asked(self) -> None:
        self.reload()

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
        except Exception as exc:  # a reload must never end the process: what runs goes on, and this is told
            _log.exception("the reload failed")
            problems = (f"the reload failed ({type(exc).__name__}), which is a defect of the exporter",)
        if problems:
            _log.error("the configuration was not reloaded: %s", "; ".join(problems))
        else:
            _log.info("the configuration was reloaded: %s", redacted_line(self._settings))
        self._telemetry.reloaded(successful=not problems)
        return problems

    def _take_over(self, settings: Settings, key: Key) -> None:
        """Exchange what depends on the settings; all that can fail comes first."""
        client, hygiene = self._new_client(settings, key), LabelHygiene(label_rules(settings))
        self._former_secrets = tuple(dict.fromkeys(self._secrets()))[-_FORMER_SECRETS:]
        before, self._settings = self._settings, settings
        former, self._client, self._key = self._client, client, key
        self._set_up_logs()
        self._budget.allow(settings.sendgrid.requests_per_minute)
        self._poller.take_over(client, hygiene, question_of(settings))
        former.close()
        self._configure_workers(before)
        self._workers.start()

    def _beat(self, server: WebServer) -> str | None:
        """Tend the workers about once a second, until the stop or a death."""
        reload = threading.Thread()
        while not self._clock.wait(self._signals.stop, _BEAT_SECONDS):
            if self._signals.reload_asked.is_set() and not reload.is_alive():
                self._signals.reload_asked.clear()
                # In a thread: the configuration may stand on a disk that hangs, or be a pipe that nobody writes to.
                reload = start_thread(self._reload_as_asked, "reload")
            self._workers.tend()
            if self._state is not None:
                self._state.watch()
            failure = server.failed()
            if failure is not None:
                return f"the web server has ended ({type(failure).__name__}: {failure})"
            if (dead := self._workers.dead()) is not None:
                return dead
        return None

    def _watch_key(self) -> None:
        """Look at the key's file about once a second, in a thread that nobody waits for: its disk may hang."""
        while not self._clock.wait(self._signals.stop, _BEAT_SECONDS):
            self._key.look()

    def _shut_down(self, server: WebServer) -> None:
        self._signals.stop.set()
        server.stop(_STOP_SERVING_SECONDS)
        self._workers.join(_STOP_POLLING_SECONDS)
        self._client.close()
        if self._state is not None:
            self._state.close(_STOP_WRITING_SECONDS)
        _log.info("stopped")

    def _configure_workers(self, before: Settings | None = None) -> None:
        settings, automations = self._settings, own_automations(self._settings)
        renewed = changed_questions(before, settings) if before else Changes()
        self._workers.configure(
            automations,
            concurrency=settings.poll.concurrency,
            stale_after=settings.poll.stale_after,
            capacity=lambda: self._budget.requests_per_second,
            again=renewed.again,
            withdrawn=renewed.withdrawn,
            key=self._key,
        )
        if self._state is not None:
            self._state.forget_all_but({each.id for each in automations})

    def _restore(self) -> None:
        """Show the blocks of an earlier run that have not grown stale, with their true age."""
        path = self._settings.state.path
        if path is None:
            return
        self._telemetry.state_enabled()
        self._state = StateWriter(path, clock=self._clock, observe=self._telemetry.state_failing)
        ids = [each.id for each in own_automations(self._settings)]
        try:
            saved = self._state.start(question_of(self._settings), ids, STATE_SECONDS)
        except ForeignFileError as exc:
            raise ConfigurationError([str(exc)]) from exc
        self._poller.keeper = self._state
        restored = sum(self._workers.restore(block) for block in saved)
        _log.info("state.path: %d of %d automations' values were restored", restored, len(saved))

    def _new_client(self, settings: Settings, key: Key) -> SendGridClient:
        return SendGridClient(
            client_options(settings, self._about),
            key=key,
            budget=self._budget,
            clock=self._clock,
            stop=self._signals.stop,
            observer=self._telemetry,
            memory=self._memory,
        )

    def _new_server(self) -> WebServer:
        ports = Ports(
            metrics=self._exposition,
            health=ProcessHealth(self._workers),
            reloader=self,
            status=AutomationStatus(self._store, self._poller, self._clock),
            page=Page(DISTRIBUTION, self._about.version, self._about.summary, self._about.homepage),
            observer=self._telemetry,
        )
        limits = Limits(reserved_files=_OTHER_FILES + self._settings.poll.concurrency)
        return WebServer(web_options(self._settings), ports, clock=self._clock, limits=limits)

    def _set_up_logs(self) -> None:
        set_up_logs(self._settings.log.level, self._settings.log.format, self._secrets, self._lines)

    def _secrets(self) -> tuple[str, ...]:
        """Return the keys and passwords of now and before: an answer to a request before a reload may quote one."""
        return (*self._former_secrets, *proxy_secrets(self._settings.sendgrid.proxy), *self._key.known())
