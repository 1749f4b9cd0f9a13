"""The web server: its thread, its event loop, its start and its end."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.web.handlers import Handlers, Middleware, Reloads
from exporter.web.http.connection import ConnectionLimit, Service
from exporter.web.http.listener import (
    Encryption,
    Listener,
    address_of,
    connections_within_files,
    inherited,
    listen,
    shown,
)
from exporter.web.ports import Limits, Ports, WebOptions
from exporter.web.toolkit import WebConfigError
from exporter.web.toolkit.config_file import FreshConfig, ReloadingConfig, validate
from exporter.web.toolkit.passwords import BasicAuth, ClientRateLimit, FairQueue, matches
from exporter.web.toolkit.worker import Worker

_log = logging.getLogger(__name__)
_EVERYWHERE: Final = ("", "::", "0.0.0.0")  # noqa: S104  # read, not listened on
_LAST_WORK: Final = 1.5
"""Seconds for the workers' threads to end: more than one bcrypt of the highest cost takes."""


class WebServer:
    """Serves the pages from a thread of its own, so that signals stay with the main thread."""

    def __init__(self, options: WebOptions, ports: Ports, *, clock: Clock, limits: Limits) -> None:
        self._options = options
        self._ports = ports
        self._clock = clock
        self._limits = limits
        self._config: ReloadingConfig | None = None
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._addresses: list[tuple[str, int]] = []
        self._grace = 0.0
        self._workers = (Worker("web-reload"), Worker("web-passwords"), Worker("web-config"), Worker("web-pages"))
        self._failure: BaseException | None = None

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """The hosts and ports that are listened on, as the kernel reports them."""
        return tuple(self._addresses)

    @property
    def url(self) -> str:
        """The address of the first page, for a browser of this machine."""
        host, port = self._addresses[0]
        scheme = "https" if self._config is not None and self._config.encrypted else "http"
        return f"{scheme}://{shown('localhost' if host in _EVERYWHERE else host, port)}/"

    def listen(self) -> None:
        """Take the addresses; who connects waits until `start`.

        Raise StartError when an address cannot be had, ConfigurationError when the web config file is wrong.
        """
        with _as_configuration_error():
            config = ReloadingConfig(self._options.config_file, self._note_web_config)
        try:
            if self._options.use_systemd:
                self._sockets += inherited(os.environ)
            else:
                for host, port in self._options.listen:
                    self._sockets.append(listen(host, port, beside=self._sockets))
        except BaseException:
            self._close_sockets()
            raise
        self._addresses = [address_of(sock) for sock in self._sockets]
        for host, port in self._addresses:
            _log.info("listening on %s with%s TLS", shown(host, port), "" if config.encrypted else "out")
        self._config = config

    def start(self) -> None:
        """Serve, and listen before where that was not done; raise what `listen` does."""
        if self._config is None:
            self.listen()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop, self._config), name="web", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.5) -> None:
        """Stop listening, let responses in hand end within the timeout, cut what is left, and return.

        A reload or a password check in hand can take 1.5 s more.
        """
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            return
        self._grace = timeout
        try:
            self._loop.call_soon_threadsafe(self._stopping.set)
        except RuntimeError:
            # It ended by itself between the two lines above.
            return
        self._thread.join(timeout + _LAST_WORK + 0.5)

    def failed(self) -> BaseException | None:
        """Return what ended the server's thread against its will, None while it works."""
        return self._failure

    def _run(self, loop: asyncio.AbstractEventLoop, config: ReloadingConfig) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._serve(config))
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the main thread must learn of it
            self._failure = exc
        finally:
            self._close_sockets()
            deadline = self._clock.monotonic() + _LAST_WORK
            for worker in self._workers:
                worker.join(max(deadline - self._clock.monotonic(), 0.0))

    async def _serve(self, config: ReloadingConfig) -> None:
        asyncio.get_running_loop().set_exception_handler(_log_unhandled)
        connections = ConnectionLimit(connections_within_files(self._limits.connections, self._limits.reserved_files))
        fresh = FreshConfig(config, self._workers[2])
        service = Service(self._middleware(fresh).answer, self._limits, self._clock, connections)
        encryption = Encryption(fresh.context, config.admits) if config.encrypted else None
        listener = Listener(self._sockets, service, encryption)
        listener.start()
        try:
            await self._stopping.wait()
        finally:
            # Also when the loop dies: clients must not wait for answers that will never come.
            listener.close()
            for worker in self._workers:
                worker.stop()
            await _close(connections, self._grace)

    def _middleware(self, config: FreshConfig) -> Middleware:
        reloading, checking, _, pages = self._workers
        return Middleware(
            Handlers(self._options, self._ports, Reloads(self._ports.reloader, reloading), pages),
            config.current,
            rate_limit=ClientRateLimit(self._clock.monotonic),
            auth=BasicAuth(matches, FairQueue(checking)),
            observer=self._ports.observer,
            realm=self._ports.page.name,
            open_health=self._options.open_health,
        )

    def _note_web_config(self, usable: bool) -> None:  # noqa: FBT001 - the toolkit's callback
        self._ports.observer.web_config_read(successful=usable)

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()


def check_web_config(path: Path) -> tuple[str, ...]:
    """Return warnings about the web config file; raise ConfigurationError when it, or a certificate, is wrong."""
    with _as_configuration_error():
        return validate(path)


@contextlib.contextmanager
def _as_configuration_error() -> Iterator[None]:
    try:
        yield
    except WebConfigError as exc:
        raise ConfigurationError(exc.problems) from exc


async def _close(connections: ConnectionLimit, grace: float) -> None:
    for connection in connections.connections():
        connection.retire()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(connections.empty.wait(), grace)
    for connection in connections.connections():
        connection.abort()
    # Aborted transports close their sockets in the loop's next round.
    await asyncio.sleep(0)


def _log_unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.error("the web server met an error: %s", context["message"], exc_info=context.get("exception"))
