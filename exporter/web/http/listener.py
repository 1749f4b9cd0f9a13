"""Listening sockets: connections are accepted within the descriptors available, and a TLS handshake blocks no other.

The accept loop is ours, since asyncio's (base_events, `_accept_connection`) goes on accepting after an EMFILE, as often
as the backlog is long, and logs a traceback each time.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from exporter.errors import StartError
from exporter.logs import LogLimit
from exporter.web.http.connection import Activity, Connection, Service, peer_of
from exporter.web.http.message import Request, Response, plain

_log = logging.getLogger(__name__)

BACKLOG: Final = 512
_ACCEPTED_AT_ONCE: Final = 16
"""Connections accepted before the loop does something else, fewer where few may be open: those that make room only
close in its next round."""
_PAUSE: Final = 0.1
"""Seconds without accepting after the descriptors ran out."""
_CLOSING: Final = 0.005
"""The same where a connection is being closed, which frees its descriptor."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_NOW: Final = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNABORTED})
_TLS_HANDSHAKE: Final = 0x16
"""The first byte of a TLS record that begins a handshake (RFC 8446, 5.1)."""
_LONGEST_REASON: Final = 120
# sd_listen_fds(3): systemd passes sockets from SD_LISTEN_FDS_START, which is 3, on.
_FIRST_INHERITED: Final = 3
_MOST_INHERITED: Final = 64
_FIRST_FREE_PORT: Final = 1024
"""The first that Linux gives to everybody, unless net.ipv4.ip_unprivileged_port_start says otherwise."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How connections are encrypted."""

    context: Callable[[], Awaitable[ssl.SSLContext]]
    """Returns the context for the next handshake."""
    admits: Callable[[Any], bool]
    """Returns whether a client with this certificate may come in."""


class Listener:
    """Accepts the connections of some listening sockets."""

    def __init__(self, sockets: Sequence[socket.socket], service: Service, encryption: Encryption | None) -> None:
        self._sockets = sockets
        self._service = service
        self._encryption = encryption
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._accept_failures = LogLimit(_log, logging.WARNING, "connections that could not be accepted", lines=1)
        self._tls_failures = LogLimit(_log, logging.INFO, "failed TLS handshakes", lines=5)

    def start(self) -> None:
        """Accept from now on."""
        for sock in self._sockets:
            sock.setblocking(False)
            self._watch(sock)

    def close(self) -> None:
        """Accept nothing more, and close the sockets."""
        self._closed = True
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()

    def _watch(self, sock: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(max(min(_ACCEPTED_AT_ONCE, self._service.open.most // 4), 1)):
            try:
                sock, address = listening.accept()
            except OSError as exc:
                # Else it is an error of the connection's own, which accept(2) passes on: the next may be better.
                if exc.errno in _EXHAUSTED:
                    self._out_of_files(listening, exc)
                elif exc.errno not in _NOT_NOW:
                    self._accept_failures.log("a connection could not be accepted: %s", exc.strerror)
                return
            sock.setblocking(False)
            self._keep(self._admit(sock, peer_of(address)))

    def _out_of_files(self, listening: socket.socket, exc: OSError) -> None:
        """Close an idle connection if there is one, and accept again in a moment: the kernel keeps what waits."""
        made_room = self._service.open.make_room(below=Activity.WORKING)
        self._loop.remove_reader(listening)
        self._loop.call_later(_CLOSING if made_room else _PAUSE, self._watch, listening)
        self._accept_failures.log(
            "no connection can be accepted (%s): idle ones are closed to make room; allow more open files "
            "(ulimit -n, LimitNOFILE)",
            (exc.strerror or str(exc)).lower(),
        )

    async def _admit(self, sock: socket.socket, peer: str) -> None:
        if self._encryption is None:
            await self._loop.connect_accepted_socket(lambda: Connection(self._service), sock)
            return
        # Counted among the open connections from now on, or clients that never finish a handshake would escape the
        # limit.
        handshake = Handshake(self._service, self._encryption, sock)
        try:
            await handshake.run()
        except (OSError, ValueError, HandshakeError) as exc:
            self._tls_failures.log("a TLS handshake with %s failed: %s", peer or "a client", _reason(exc))

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        # asyncio itself keeps only a weak reference.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class HandshakeError(Exception):
    """The client is not let in for a reason that TLS itself does not know."""


class Handshake(asyncio.Protocol):
    """A connection until its TLS handshake is done, then handed on to the protocol behind it."""

    def __init__(self, service: Service, encryption: Encryption, sock: socket.socket) -> None:
        self._service = service
        self._encryption = encryption
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._task = asyncio.current_task()
        self.since = self._loop.time()
        self.activity = Activity.UNPROVEN

    async def run(self) -> None:
        """Do the handshake and start the connection; raise OSError, ValueError or HandshakeError where it fails."""
        self._service.open.enter(self)
        try:
            first = await asyncio.wait_for(self._first_byte(), self._service.limits.handshake)
            if not first:
                # A mere look whether the port is open, as load balancers take one.
                return
            if first[0] != _TLS_HANDSHAKE and first.isalpha():
                await self._refuse_plain_http()
                raise HandshakeError("the client sent an HTTP request to the HTTPS port")
            await self._encrypt()
        except TimeoutError:
            raise OSError(None, f"nothing came within {self._service.limits.handshake:g} s") from None
        finally:
            self._service.open.leave(self)
            if self._transport is None:
                self._sock.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows asyncio's type for mypy
        # Not one byte may be read before TLS reads it.
        transport.pause_reading()
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        # TLS may decrypt the first request before the handshake's waiter has run.
        self._early += data

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        elif self._task is not None:
            self._task.cancel()

    def retire(self) -> None:
        self.abort()

    async def _first_byte(self) -> bytes:
        """Wait for the first byte and return it, without taking it from TLS; empty where the client closes."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._sock, _settle, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(self._sock)
        # MSG_PEEK leaves the byte in the kernel's buffer: OpenSSL has to read the whole record.
        return self._sock.recv(1, socket.MSG_PEEK)

    async def _refuse_plain_http(self) -> None:
        service = replace(self._service, answer=_answer_plain_http)
        self._transport, _ = await self._loop.connect_accepted_socket(lambda: Connection(service), self._sock)

    async def _encrypt(self) -> None:
        limits = self._service.limits
        context = await self._encryption.context()
        await self._loop.connect_accepted_socket(lambda: self, self._sock)
        assert self._transport is not None  # noqa: S101 - connection_made has run
        try:
            encrypted = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.handshake,
                ssl_shutdown_timeout=limits.stall,
            )
        except BaseException:
            self._transport.abort()
            raise
        if encrypted is None or encrypted.is_closing():
            return
        if not self._encryption.admits(encrypted.get_extra_info("peercert")):
            encrypted.abort()
            raise HandshakeError("no name of the client's certificate is in client_allowed_sans")
        # A new protocol on the same transport: asyncio calls connection_made once only, so it is called here.
        connection = Connection(self._service, below_tls=self._transport)
        encrypted.set_protocol(connection)
        connection.connection_made(encrypted)
        if self._early:
            connection.data_received(self._early)


def listen(host: str, port: int, beside: Sequence[socket.socket] = ()) -> socket.socket:
    """Return a socket that listens there; an empty host is every interface, IPv6 and IPv4.

    Raise StartError when it cannot; `beside` are the server's other sockets, which may be in the way.
    """
    if port not in range(65536):
        # socket.create_server would leave its socket open.
        raise StartError(f"cannot listen on {shown(host, port)}: a port lies between 0 and 65535")
    try:
        return _listen_on(host, port) if host else _listen_everywhere(port)
    except (OSError, UnicodeError) as exc:
        own = [shown(*address_of(sock)) for sock in beside if address_of(sock)[1] == port]
        if own and isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
            reason = f"{own[0]} of web.listen_address includes it; leave one of them out"
        else:
            reason = listen_failure(exc, port)
        raise StartError(f"cannot listen on {shown(host, port)}: {reason}") from exc


def inherited(environment: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd opened for this process (sd_listen_fds(3)); raise StartError where it has none.

    They begin at descriptor 3, and LISTEN_PID says whom they are for: a child inherits the variables too.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        raise StartError(
            "--web.systemd-socket: systemd passed no socket on; start the .socket unit in place of the service, or "
            "leave the flag out"
        )
    found: list[socket.socket] = []
    for descriptor in range(_FIRST_INHERITED, _FIRST_INHERITED + min(int(count), _MOST_INHERITED)):
        sock = _passed_on(descriptor)
        if sock is None:
            text = f"descriptor {descriptor} listens for no streams; give the .socket unit ListenStream= and Accept=no"
            raise StartError(f"--web.systemd-socket: {text}")
        found.append(sock)
    return found


def _passed_on(descriptor: int) -> socket.socket | None:
    """Return the listening socket of the descriptor; None where it is something else."""
    with suppress(OSError):
        sock = socket.socket(fileno=descriptor)
        # systemd passes descriptors on without close-on-exec (sd_listen_fds(3)).
        sock.set_inheritable(False)
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return sock
    return None


def address_of(sock: socket.socket) -> tuple[str, int]:
    """Return the host and the port of a socket as the kernel has them; a socket in the file system has port 0."""
    name = sock.getsockname()
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else (os.fsdecode(name), 0)


def shown(host: str, port: int) -> str:
    """Return the address as a person writes it: a socket in the file system has no port."""
    if host.startswith("/"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def connections_within_files(most: int, reserved: int) -> int:
    """Return how many connections to keep open at most: each needs one of the descriptors that are free now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    free = max(soft - len(os.listdir("/proc/self/fd")), 0)  # noqa: PTH208 - only counted
    # Where there are few, half of them are for everything else.
    possible = max(free - min(free // 2, reserved), 1)
    if possible < most:
        _log.info("room for %d connections instead of %d: the process may open %d files", possible, most, soft)
    return min(most, possible)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _answer_plain_http(_: Request) -> Response:
    # The words that Go's servers use, which people find when they search for them.
    return plain(HTTPStatus.BAD_REQUEST, "Client sent an HTTP request to an HTTPS server.", close=True)


def _reason(exc: Exception) -> str:
    """Return a failed handshake's reason in OpenSSL's words, of bounded length."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        words = f"the client's certificate was refused: {exc.verify_message}"
    elif isinstance(exc, ssl.SSLError) and exc.reason:
        words = exc.reason.replace("_", " ").lower()
    else:
        words = (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or "the client closed the connection"
    return words[:_LONGEST_REASON]


def _listen_on(host: str, port: int) -> socket.socket:
    # As Go's net.Listen: one socket, IPv4 first where a name has both.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda item: item[0] != socket.AF_INET)
    return socket.create_server((str(address[0]), port), family=family, backlog=BACKLOG)


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=BACKLOG)


def listen_failure(exc: OSError | UnicodeError, port: int) -> str:
    """Return what is wrong with the address, and what helps."""
    if not isinstance(exc, OSError) or isinstance(exc, socket.gaierror):
        return "no address is known for this name; correct web.listen_address, or /etc/hosts"
    match exc.errno:
        case errno.EADDRINUSE:
            return f"the port is in use by {port_holder(port)}; stop it, or choose another port in web.listen_address"
        case errno.EADDRNOTAVAIL:
            return f"the address is not on this machine; choose one that is, or :{port} for all of them"
        case errno.EACCES if port < _FIRST_FREE_PORT:
            return (
                f"a port below {_FIRST_FREE_PORT} takes the right CAP_NET_BIND_SERVICE; choose a higher one in "
                "web.listen_address, or let systemd open it (--web.systemd-socket)"
            )
        case errno.EAFNOSUPPORT:
            return "this machine has no such addresses (is IPv6 switched off?); choose another web.listen_address"
    # The exception's own text repeats the address.
    reason = os.strerror(exc.errno).lower() if exc.errno else str(exc)
    return f"{reason}; choose another web.listen_address"


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Return which process listens on the TCP port, as far as /proc shows it to this user."""
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(proc / "net" / table, port)}
    for process in proc.glob("[0-9]*"):
        # Processes end meanwhile, and those of others may not be looked into.
        with suppress(OSError):
            if any(_target(link) in inodes for link in (process / "fd").iterdir()):
                name = "".join(filter(str.isprintable, (process / "comm").read_text("utf-8", "replace")))
                return f"{name} (process {process.name})"
    return "another process"


def _listening(table: Path, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on the port (proc(5), /proc/net/tcp: state 0A is LISTEN)."""
    with suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink())
    return ""
