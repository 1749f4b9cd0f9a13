"""The composition root: the only place that builds the parts and puts them together.

settings ─▶ app. SendGrid ─▶ sendgrid.client ─▶ polling ─▶ store ─▶ serving ─▶ web ─▶ Prometheus.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import disable_created_metrics
from pydantic import SecretStr

from exporter.about import DISTRIBUTION, ProgramInfo, about
from exporter.account.account import AccountRunner
from exporter.account.discovery import account_options
from exporter.account.memory import ACCOUNT
from exporter.account.statistics import StatisticsStore
from exporter.clock import Clock
from exporter.domain import Automation, AutomationId, Endpoint, Standing
from exporter.errors import ConfigurationError, ForeignFileError, StateError, text_of
from exporter.exposition import Block, compress, line_format
from exporter.labels import LabelHygiene, LabelRules
from exporter.logs import LineWriter, set_up_logs
from exporter.once import Round, poll_once
from exporter.polling.poller import Poller, Questions
from exporter.polling.workers import Workers, start_thread
from exporter.sendgrid.budget import Budget, MemoryBudget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.key import FixedKey, Key, KeyFile
from exporter.sendgrid.transport import ClientOptions, proxy_secrets
from exporter.serving import AutomationStatus, Exposition, LinkTargets, ProcessHealth, TargetOptions
from exporter.settings import Settings, key_oddity, read_key_file, redacted, redacted_line
from exporter.signals import Signals
from exporter.state import EVERY_AUTOMATION
from exporter.state.writer import StateWriter
from exporter.store import Store
from exporter.telemetry import Telemetry
from exporter.web.http.listener import shown
from exporter.web.ports import LandingPage, LastReload, Limits, Ports, Requests, Status, WebOptions
from exporter.web.server import WebServer

_log = logging.getLogger(__name__)

_STOP_SERVING_SECONDS: Final = 1.5
_STOP_POLLING_SECONDS: Final = 1.0
_STOP_WRITING_SECONDS: Final = 0.7
"""With the log's half second all of the stop takes less than signals.Signals allows."""
_FORMER_SECRETS: Final = 32
"""Keys and passwords of before a reload that the log still hides."""
_TICK_SECONDS: Final = 1.0
_MINUTE: Final = 60.0
_OTHER_FILES: Final = 64
"""Descriptors that the web server leaves for everything but the connections to SendGrid."""
_STATE_SECONDS: Final = 5.0
"""The longest that a start waits for the state file's disk."""
_UNCHANGEABLE: Final = ("web", "state", "shard")
"""Groups that are only read at start."""

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
        self._started = clock.monotonic()
        self._last_reload: LastReload | None = None
        self._about = about()
        self._lines = lines
        self._store = Store()
        self._telemetry = Telemetry(
            self._about,
            clock=clock,
            link_series=self._store.link_series,
            log=lines,
        )
        # Before the logs are set up, which hide the key.
        self._key = key_source(settings)
        self._former_secrets: tuple[str, ...] = ()
        self._set_up_logs()
        sendgrid, share = settings.sendgrid, 1 / settings.shard.total
        self._budget = Budget(sendgrid.requests_per_minute, clock=clock, share=share)
        self._memory = MemoryBudget(clock=clock)
        self._client = self._new_client(settings, self._key)
        self._state: StateWriter | None = None
        self._configuring = threading.Lock()
        """Held while the automations are exchanged: a reload and a list may do so at the same time."""
        self._poller = Poller(
            source=self._client,
            hygiene=LabelHygiene(_label_rules(settings)),
            store=self._store,
            telemetry=self._telemetry,
            keeper=None,
            clock=clock,
            questions=_questions_of(settings),
        )
        self._workers = Workers(self._poller, clock=clock, stop=signals.stop)
        statistics = StatisticsStore(self._bounded)
        self._account = AccountRunner(
            self._client,
            account_options(settings),
            store=statistics,
            follower=self,
            telemetry=self._telemetry,
            budget=self._budget,
            clock=clock,
            stop=signals.stop,
            spawn=start_thread,
            total_clicks=self._store.total_clicks,
        )
        self._health = ProcessHealth(self._workers, self._account.account.is_tried)
        self._targets = LinkTargets(
            self._store,
            _target_options(settings),
            clock=clock,
            stop=signals.stop,
            ready=lambda: self._health.unready_reason() is None,
        )
        self._exposition = Exposition(self._store, self._telemetry, statistics.lines)
        self._telemetry.sharded(settings.shard.index, settings.shard.total)
        self._configure_workers()

    def serve(self, greet: Callable[[str, str], None] = lambda *_: None) -> str | None:
        """Poll and serve until stopped; return None then, or the reason why it cannot go on.

        `greet` is called as soon as they answer, with the addresses of the first page and of the metrics.

        Raises StartError when an address cannot be listened on, ConfigurationError for a wrong web config file.
        """
        server = self._new_server()
        server.listen()  # first, so that a second process by mistake touches nothing
        self._restore()  # before the first answer, so that no scrape sees a hole
        server.start()
        addresses = ", ".join(shown(host, port) for host, port in server.addresses)
        version = f"{DISTRIBUTION} {self._about.version} (revision {self._about.revision})"
        _log.info("started %s, listening on %s: %s", version, addresses, redacted_line(self._settings))
        _log.info("%s", self._workers.plan())
        greet(server.url, server.url.rstrip("/") + self._settings.web.telemetry_path)
        self._workers.start()
        self._account.start()
        start_thread(self._watch_key, "key-file")
        try:
            return self._supervise(server)
        finally:
            self._shut_down(server)

    def once(self, progress: Callable[[Round], None] = lambda _: None) -> Round:
        """Poll every automation once, until the stop; return what came of it, and call `progress` meanwhile."""
        return poll_once(
            self._poller,
            self._account,
            self._budget,
            concurrency=self._settings.poll.concurrency,
            clock=self._clock,
            stop=self._signals.stop,
            exposition=lambda: self._exposition.body(openmetrics=False).text().decode(),
            progress=progress,
        )

    def follow(self, automations: Sequence[Automation]) -> None:
        """Poll these automations from now on, since the account's list has changed."""
        del automations  # the account itself says which, also to a reload that comes at the same time
        self._configure_workers(forgive=False)

    def rest(self, idle: Collection[AutomationId], interval: float) -> None:
        """Poll these of them at the idle interval, and keep what the list has shown."""
        self._workers.rest(idle, interval)
        if self._state is not None:
            block = Block(compress([self._account.remembered()]), 0, 0)
            self._state.save(ACCOUNT, self._poller.questions.of(ACCOUNT), block, self._clock.time())

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
            problems = tuple(_needing_restart(self._settings, settings))
            if not problems:
                self._take_over(settings, key)
        except ConfigurationError as exc:
            problems = exc.problems
        except Exception as exc:  # a reload must never end the process: what runs goes on, and this is logged
            _log.exception("the reload failed")
            problems = (f"the reload failed ({type(exc).__name__}), which is a defect of the exporter",)
        if problems:
            _log.error("the configuration was not reloaded: %s", "; ".join(problems))
        else:
            _log.info("the configuration was reloaded: %s", redacted_line(self._settings))
        self._telemetry.reloaded(successful=not problems)
        self._last_reload = LastReload(self._clock.time(), tuple(problems))
        return problems

    def _take_over(self, settings: Settings, key: Key) -> None:
        """Exchange what depends on the settings; all that can fail comes first."""
        client, hygiene = self._new_client(settings, key), LabelHygiene(_label_rules(settings))
        # From here on nothing fails: the process has the old settings or the new ones, never half of each.
        self._former_secrets = tuple(dict.fromkeys(self._secrets()))[-_FORMER_SECRETS:]
        before, self._settings = self._settings, settings
        former, self._client, self._key = self._client, client, key
        self._set_up_logs()
        self._budget.allow(settings.sendgrid.requests_per_minute)
        self._poller.take_over(client, hygiene, _questions_of(settings))
        self._account.take_over(client, account_options(settings))
        self._targets.take_over(_target_options(settings))
        # Only when nobody is handed the former client any more.
        former.close()
        self._configure_workers(before)
        self._workers.start()
        self._account.start()

    def _supervise(self, server: WebServer) -> str | None:
        """Tend the workers about once a second, until the stop or a death."""
        reload = threading.Thread()
        while not self._clock.wait(self._signals.stop, _TICK_SECONDS):
            # The wish is kept while a reload runs: a second SIGHUP may be about a file that the first had read already.
            if self._signals.reload_asked.is_set() and not reload.is_alive():
                self._signals.reload_asked.clear()
                # In a thread: the configuration may stand on a disk that hangs, or be a pipe that nobody writes to.
                reload = start_thread(self._reload_as_asked, "reload")
            self._workers.tend()
            self._account.tend(self._key())
            self._targets.tend(start_thread)
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
        while not self._clock.wait(self._signals.stop, _TICK_SECONDS):
            self._key.look()

    def _shut_down(self, server: WebServer) -> None:
        # Serving ends first, so that no scrape sees a process whose polls have ended; the state is written last.
        self._signals.stop.set()
        server.stop(_STOP_SERVING_SECONDS)
        # Before the client closes: a poll under way may still finish and hand its block to the state file.
        self._workers.join(_STOP_POLLING_SECONDS)
        self._client.close()
        if self._state is not None:
            self._state.close(_STOP_WRITING_SECONDS)
        _log.info("stopped")

    def _configure_workers(self, before: Settings | None = None, *, forgive: bool = True) -> None:
        with self._configuring:
            settings, account = self._settings, self._account.account
            automations = account.automations()
            renewed = _changed_questions(before, settings, automations) if before else _Changes()
            self._workers.configure(
                automations,
                concurrency=settings.poll.concurrency,
                stale_after=settings.poll.stale_after,
                capacity=self._capacity,
                app_url=settings.sendgrid.app_url,
                again=renewed.again,
                withdrawn=renewed.withdrawn,
                key=self._key,
                forgive=forgive,
            )
            self._workers.rest(account.idle(), account.options.idle_interval)
            self._account.configure(automations, forgive=forgive)
            if self._state is not None:
                self._state.forget_all_but({ACCOUNT, *(each.id for each in automations)})

    def _capacity(self) -> float:
        """Return the requests per second that are left for links."""
        return self._budget.rate_of(Endpoint.LINKS, beside=self._account.requests_per_second)

    def _bounded(self, text: str) -> str:
        return self._poller.hygiene.bounded(text)

    def _restore(self) -> None:
        """Show what an earlier run has kept and what has not grown stale, with its true age."""
        path = self._settings.state.path
        if path is None:
            return
        # Before the file is opened: the metric says that one is configured, whatever its disk does.
        self._telemetry.state_enabled()
        self._state = StateWriter(path, clock=self._clock, observe=self._telemetry.state_failing)
        # Whom discovery has found is only known once the file is read.
        account = self._account.account
        wanted = (
            EVERY_AUTOMATION if account.options.discovers else {ACCOUNT, *(each.id for each in account.automations())}
        )
        try:
            saved = self._state.start(self._poller.questions.of, wanted, _STATE_SECONDS)
        except ForeignFileError as exc:
            raise ConfigurationError([str(exc)]) from exc
        self._poller.keeper = self._state
        for each in saved:
            if each.automation_id == ACCOUNT:
                self._account.restore(each.block.links.text())
        self._configure_workers()
        polled = {each.id for each in account.automations()}
        blocks = [each for each in saved if each.automation_id in polled]
        restored = sum(self._workers.restore(block) for block in blocks)
        self._account.refresh()
        _log.info("state.path: %d of %d automations' values were restored", restored, len(blocks))

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
            health=self._health,
            reloader=self,
            status=AutomationStatus(self._store, self._poller, self._workers, self._clock, self._facts),
            page=LandingPage(DISTRIBUTION, self._about.version, self._about.summary, self._about.homepage),
            observer=self._telemetry,
            links=self._targets,
        )
        limits = Limits(reserved_files=_OTHER_FILES + self._settings.poll.concurrency)
        return WebServer(_web_options(self._settings), ports, clock=self._clock, limits=limits)

    def _facts(self) -> Status:
        """Return what the status page says of the process."""
        settings, account = self._settings, self._account.account
        standings = Counter(account.standings().values())
        return Status(
            uptime=self._clock.monotonic() - self._started,
            version=self._about.version,
            revision=self._about.revision,
            shard=(settings.shard.index, settings.shard.total),
            requests=Requests(
                needed=(self._workers.demand() + self._account.requests_per_second) * _MINUTE,
                allowed=self._budget.requests_per_second * _MINUTE,
                ceiling=settings.sendgrid.requests_per_minute / settings.shard.total,
            ),
            discovered={str(each): standings[each] for each in Standing} if account.options.discovers else None,
            list_error=text_of(account.failure) if account.failure else "",
            state_file=str(settings.state.path) if settings.state.path else None,
            state_error=self._state.trouble if self._state else "",
            configuration=redacted(settings, with_automations=False),
            reload=self._last_reload,
        )

    def _set_up_logs(self) -> None:
        set_up_logs(self._settings.log.level, self._settings.log.format, self._secrets, self._lines)

    def _secrets(self) -> tuple[str, ...]:
        """Return the keys and passwords of now and before: an answer to a request before a reload may quote one."""
        return (*self._former_secrets, *proxy_secrets(self._settings.sendgrid.proxy), *self._key.known())


def client_options(settings: Settings, about: ProgramInfo) -> ClientOptions:
    """Return how SendGrid is asked."""
    return ClientOptions(
        base_url=settings.sendgrid.base_url,
        timeout=settings.sendgrid.timeout,
        page_size=settings.sendgrid.page_size,
        user_agent=f"{DISTRIBUTION}/{about.version}",
        on_behalf_of=settings.sendgrid.on_behalf_of,
        proxy=settings.sendgrid.proxy,
        authorities=settings.authorities,
    )


def _target_options(settings: Settings) -> TargetOptions:
    """Return which links are handed out to a prober."""
    return TargetOptions(
        enabled=settings.sd.links,
        exclude=settings.sd.exclude,
        max_links=settings.sd.max_links,
        private_addresses=settings.sd.private_addresses,
        max_url_length=settings.labels.max_url_length,
        drops_paths=bool(settings.labels.drop_paths),
    )


def _web_options(settings: Settings) -> WebOptions:
    """Return how the web server is configured."""
    web = settings.web
    return WebOptions(
        listen=web.listen,
        use_systemd=web.systemd_socket,
        telemetry_path=web.telemetry_path,
        enable_lifecycle=web.enable_lifecycle,
        open_health=web.open_health,
        config_file=web.config_file,
    )


def key_source(settings: Settings) -> Key:
    """Return where the key comes from; raise ConfigurationError when its file holds none.

    The key that was checked is the first to be used; what is no regular file, a pipe, gave it once and for all.
    """
    path, found = settings.sendgrid.api_key_file, settings.key_of_file
    if path is None or (found is not None and path.exists() and not path.is_file()):
        fixed = found if path is not None else settings.sendgrid.api_key
        return FixedKey(fixed.get_secret_value() if fixed else "")
    return KeyFile(path, _reader_after(found), found.get_secret_value() if found else None)


def _reader_after(found: SecretStr | None) -> Callable[[Path], str]:
    """Return what reads a key file again; a key that is not the one before is looked at as at the start."""
    last = found

    def read(path: Path) -> str:
        nonlocal last
        if path.exists() and not path.is_file():  # every request would wait for the other end of a pipe
            raise ConfigurationError([f"sendgrid.api_key_file: {path} is no longer a regular file"])
        key = read_key_file(path)
        odd = key_oddity(key) if key != last else None
        if odd is not None:
            _log.warning("sendgrid.api_key_file: the key %s; SendGrid answers 401 when it is wrong", odd)
        last = key
        return key.get_secret_value()

    return read


def _label_rules(settings: Settings) -> LabelRules:
    """Return the rules of label hygiene."""
    labels = settings.labels
    return LabelRules(
        url=labels.url,
        drop_params=labels.drop_params,
        drop_paths=labels.drop_paths,
        max_links=labels.max_links,
        max_url_length=labels.max_url_length,
    )


def _questions_of(settings: Settings) -> Questions:
    """Return what each automation's block answers; the account's has neither labels nor metrics."""
    asked, labels, form = _asked_of(settings), _label_rules(settings), line_format()

    def full(asked_of_it: str) -> str:
        return repr((asked_of_it, labels, form))

    own = {automation.id: full(asked.of(automation.id)) for automation in settings.automations}
    return Questions(full(asked.common), {ACCOUNT: repr(asked.of(ACCOUNT)), **own})


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a reload means for the blocks that are shown."""

    again: frozenset[AutomationId] = frozenset()
    """Answers to a former question: to be polled at once."""
    withdrawn: frozenset[AutomationId] = frozenset()
    """Those among them that came from elsewhere, or of other steps: to be shown no longer."""


def _changed_questions(before: Settings, after: Settings, automations: Sequence[Automation]) -> _Changes:
    """Compare what is asked. Blocks that only need other labels stay until the next poll, so that nothing is lost."""
    ids = [automation.id for automation in automations]

    def differ(former: Questions, now: Questions) -> frozenset[AutomationId]:
        return frozenset(id_ for id_ in ids if former.of(id_) != now.of(id_))

    return _Changes(
        again=differ(_questions_of(before), _questions_of(after)),
        withdrawn=differ(_asked_of(before), _asked_of(after)),
    )


def _asked_of(settings: Settings) -> Questions:
    """Return the part of the questions that SendGrid hears."""
    whom = (settings.sendgrid.base_url, settings.sendgrid.on_behalf_of)
    return Questions(
        repr((whom, ())), {automation.id: repr((whom, automation.step_ids)) for automation in settings.automations}
    )


def state_file_warning(settings: Settings) -> str | None:
    """Return why the state file could not be used now; raise ConfigurationError where it is somebody else's.

    Nothing is written, and a disk that does not answer is not waited for.
    """
    path, found = settings.state.path, list[StateError]()
    if path is None:
        return None
    from exporter.state.file import examine  # noqa: PLC0415  # SQLite takes 1 MB, and most have no state file

    def look() -> None:
        try:
            examine(path)
        except StateError as exc:
            found.append(exc)

    thread = threading.Thread(target=look, name="state-check", daemon=True)
    thread.start()
    thread.join(_STATE_SECONDS)
    if thread.is_alive():
        return f"state.path: {path} did not answer within {_STATE_SECONDS:g} s"
    if found and isinstance(found[0], ForeignFileError):
        raise ConfigurationError([str(found[0])])
    return str(found[0]) if found else None


def _needing_restart(before: Settings, after: Settings) -> Iterator[str]:
    """Give a sentence for each changed setting that only a restart can take over."""
    for group in _UNCHANGEABLE:
        former, wanted = getattr(before, group), getattr(after, group)
        for name in type(former).model_fields:
            if getattr(former, name) != getattr(wanted, name):
                yield f"{group}.{name}: a changed value needs a restart"
