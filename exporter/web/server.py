"""The web server: its thread, its event loop, its start and its end."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final

from exporter.clock import Clock
from exporter.web.auth import BasicAuth, matches
from exporter.web.connection import Connection, Service
from exporter.web.front import Front
from exporter.web.guests import Guests
from exporter.web.handshake import Handshake
from exporter.web.listen import listen, shown
from exporter.web.ports import Limits, Ports, WebOptions
from exporter.web.rate import TokenBucket
from exporter.web.reload import Reloads
from exporter.web.routes import Routes
from exporter.web.turns import Turns
from exporter.web.watch import ConfigFile
from exporter.web.worker import Worker

_LOG: Final = logging.getLogger(__name__)
_BACKLOG: Final = 512
_LAST_WORK: Final = 1.5
"""Seconds for the workers' threads to end: more than one bcrypt of the highest cost takes."""


class WebServer:
    """Serves the pages from a thread of its own, so that signals stay with the main thread."""

    def __init__(self, options: WebOptions, ports: Ports, *, clock: Clock, limits: Limits) -> None:
        self._options = options
        self._ports = ports
        self._clock = clock
        self._limits = limits
        self._config: ConfigFile | None = None
        self._sockets: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._addresses: list[tuple[str, int]] = []
        self._grace = 0.0
        self._workers = (Worker("web-reload"), Worker("web-passwords"))
        self._failure: BaseException | None = None

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """The hosts and ports that are listened on, as the kernel tells them."""
        return tuple(self._addresses)

    def listen(self) -> None:
        """Take the addresses; who connects waits until `start`.

        Raise StartError when an address cannot be had, ConfigurationError when the web config file is wrong.
        """
        config = ConfigFile(self._options.config_file)
        try:
            for host, port in self._options.listen:
                self._sockets.append(listen(host, port, backlog=_BACKLOG))
        except BaseException:
            self._close_sockets()
            raise
        self._addresses = [(str(name[0]), int(name[1])) for name in (sock.getsockname() for sock in self._sockets)]
        for host, port in self._addresses:
            _LOG.info("listening on %s with%s TLS", shown(host, port), "" if config.encrypted else "out")
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
        """Return what ended the server's thread against its will, None while all is well."""
        return self._failure

    def _run(self, loop: asyncio.AbstractEventLoop, config: ConfigFile) -> None:
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

    async def _serve(self, config: ConfigFile) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_unhandled)
        guests = Guests(self._limits.connections)
        service = Service(self._front(config).answer, self._limits, self._clock, guests)
        servers = [
            await loop.create_server(lambda: _entrance(service, config), sock=sock, backlog=_BACKLOG)
            for sock in self._sockets
        ]
        try:
            await self._stopping.wait()
        finally:
            # Also when the loop dies: clients must not wait for answers that nobody will give.
            for server in servers:
                server.close()
            for worker in self._workers:
                worker.stop()
            await _empty(guests, self._grace)

    def _front(self, config: ConfigFile) -> Front:
        reloading, checking = self._workers
        return Front(
            Routes(self._options, self._ports, Reloads(self._ports.reloader, reloading)),
            config.current,
            limiter=TokenBucket(self._clock),
            auth=BasicAuth(matches, Turns(checking)),
            open_health=self._options.open_health,
        )

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()


def serve(options: WebOptions, ports: Ports, *, clock: Clock, limits: Limits | None = None) -> WebServer:
    """Return the web server for these options, not yet started."""
    return WebServer(options, ports, clock=clock, limits=limits or Limits())


def _entrance(service: Service, config: ConfigFile) -> asyncio.Protocol:
    return Handshake(service, config.context, config.admits) if config.encrypted else Connection(service)


async def _empty(guests: Guests, grace: float) -> None:
    for guest in guests.everyone():
        guest.retire()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(guests.gone.wait(), grace)
    for guest in guests.everyone():
        guest.abort()
    # Aborted transports close their sockets in the loop's next round.
    await asyncio.sleep(0)


def _log_unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _LOG.error("the web server met an error: %s", context["message"], exc_info=context.get("exception"))
