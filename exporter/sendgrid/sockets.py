"""Connections whose every wait ends at one deadline, and that carry another request only when they are in step.

A timeout of requests, urllib3 or the socket module bounds a single read, so a server that sends a byte now and then
holds a call for ever. Here each read first shortens its timeout to what is left of the exchange.

A connection is used again only after one final answer that was read whole, and while nothing waits in it to be read.
It is closed after anything else. What this relies on in urllib3 2: a pool puts every connection back with `_put_conn`,
also after a failure; before it lends one again it asks for its `is_connected` and closes it where that is false; and a
connection makes its answer with http.client's `response_class`.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

import certifi
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssltransport import SSLTransport

from exporter.authorities import Authorities
from exporter.clock import Clock
from exporter.sendgrid.framing import Answer


class Deadline:
    """The moment at which the current exchange of one connection must have ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = 0.0

    def set(self, seconds: float) -> None:
        """Let the exchange that begins now end after the seconds."""
        self._at = self._clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left; raise TimeoutError when there are none."""
        left = self._at - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange took too long")
        return left


Addresses = Sequence[tuple[Any, ...]]
"""What `socket.getaddrinfo` returns."""


def _look_up(host: str, port: int | None, flags: int = 0) -> Addresses:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


class Resolver:
    """Looks names up with a deadline, which getaddrinfo does not have: it waits as long as a name server is silent.

    A name is looked up by one thread at a time, whoever waits for it, so that a silent name server holds one thread.
    """

    def __init__(self, look_up: Callable[[str, int | None], Addresses] = _look_up) -> None:
        self._look_up = look_up
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int | None], Future[Addresses]] = {}

    def addresses(self, host: str, port: int | None, seconds: float) -> Addresses:
        """Return the host's addresses; raise what getaddrinfo does, and TimeoutError when it takes longer than that."""
        with suppress(socket.gaierror):
            # An address needs no name server, and so no thread that could be late.
            return _look_up(host, port, socket.AI_NUMERICHOST)
        with self._lock:
            found = self._pending.get((host, port))
            if found is None:
                found = self._pending[host, port] = Future()
                # A thread, because getaddrinfo(3) has no timeout and cannot be cancelled; a daemon, so that a silent
                # name server does not keep the process from ending.
                threading.Thread(target=self._run, args=(host, port, found), name="dns", daemon=True).start()
        return found.result(seconds)

    def _run(self, host: str, port: int | None, found: Future[Addresses]) -> None:
        try:
            addresses = self._look_up(host, port)
        except Exception as exc:  # noqa: BLE001  # whoever waits for it raises it
            # Forgotten before the waiters wake: one that tries again at once must start a new look-up.
            self._forget(host, port)
            found.set_exception(exc)
        else:
            self._forget(host, port)
            found.set_result(addresses)

    def _forget(self, host: str, port: int | None) -> None:
        with self._lock:
            del self._pending[host, port]


def pool_classes(deadline: Deadline, resolver: Resolver) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools by scheme, with connections that obey the deadline and stay in step."""

    class Plain(_InStep, HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, deadline, resolver)

    class TLS(_InStep, HTTPSConnection):
        # Private: urllib3 has no option that bounds name, address and TLS together.
        def _new_conn(self) -> socket.socket:
            return _connect(self, deadline, resolver)

        def connect(self) -> None:
            super().connect()
            outermost = getattr(self.sock, "socket", self.sock)  # urllib3 puts TLS within a proxy's TLS
            if isinstance(outermost, _DeadlineTLSSocket):
                outermost.deadline = deadline

    class PlainPool(_PoolInStep, HTTPConnectionPool):
        ConnectionCls = Plain

    class TLSPool(_PoolInStep, HTTPSConnectionPool):
        ConnectionCls = TLS

    return {"http": PlainPool, "https": TLSPool}


class _InStep(HTTPConnection):
    """A connection that knows whether it may carry another request."""

    _answer: Answer | None = None

    def response_class(self, *args: Any, **options: Any) -> Answer:  # type: ignore[override]  # called, never inherited
        self._answer = Answer(*args, **options)
        return self._answer

    @property
    def is_connected(self) -> bool:
        """Whether its last answer was read whole and nothing waits to be read: no byte, no end, nothing decrypted."""
        # urllib3's own check sees bytes in the socket, not those that TLS has decrypted already.
        in_step = self._answer is not None and self._answer.in_step
        return in_step and not _decrypted(self.sock) and super().is_connected


class _PoolInStep(HTTPConnectionPool):
    """A pool that closes what is out of step at once, instead of when it would be used again."""

    def _put_conn(self, conn: Any) -> None:
        # Private in urllib3 2, and the only place through which every connection comes back, also after an exception.
        if conn is not None and not conn.is_connected:
            conn.close()
        super()._put_conn(conn)


def _decrypted(connected: Any) -> int:
    """Return the bytes that TLS has taken from the socket and nobody has read, which no poll of the socket shows."""
    if isinstance(connected, SSLTransport):  # TLS within a proxy's TLS
        return int(connected.sslobj.pending()) + int(connected.incoming.pending)
    return connected.pending() if isinstance(connected, ssl.SSLSocket) else 0


class _DeadlineSocket(socket.socket):
    deadline: Deadline

    def recv_into(self, *args: Any, **options: Any) -> int:
        # settimeout bounds one call of the system, so it is set again before each: what is left gets less.
        self.settimeout(self.deadline.remaining())
        return super().recv_into(*args, **options)


class _DeadlineTLSSocket(ssl.SSLSocket):
    deadline: Deadline | None = None

    def recv(self, *args: Any, **options: Any) -> bytes:
        self._shorten()
        return super().recv(*args, **options)

    def recv_into(self, *args: Any, **options: Any) -> int:
        self._shorten()
        return super().recv_into(*args, **options)

    def _shorten(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())


def trusting_context(authorities: Authorities | None) -> ssl.SSLContext:
    """Return a context that trusts these authorities; without any, certifi's and the system's.

    The system's are those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where these are set.
    """
    context = ssl.create_default_context(cadata=authorities)
    if authorities is None:
        context.load_verify_locations(certifi.where())
    # Python 3.13 checks authorities by every rule of RFC 5280, for instance that basicConstraints is critical
    # (section 4.2.1.9). The private authorities of many companies break one of them; browsers, curl and earlier
    # Pythons take them. Signatures, names, dates and purposes are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # As Python 3.13 does: a bundle may hold the issuing authority alone, without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # wrap_socket makes its socket from this class; there is no other way to come between TLS and its reads.
    context.sslsocket_class = _DeadlineTLSSocket
    return context


def _connect(connection: HTTPConnection, deadline: Deadline, resolver: Resolver) -> socket.socket:
    """Try the host's addresses in turn, all of them within the deadline."""
    host, port = connection._dns_host, connection.port  # noqa: SLF001  # without a root dot
    try:
        addresses = resolver.addresses(host, port, deadline.remaining())
    except TimeoutError:
        reason = socket.gaierror(socket.EAI_AGAIN, "no name server has answered within the exchange's time")
        raise NameResolutionError(host, connection, reason) from reason
    except (socket.gaierror, UnicodeError) as exc:
        reason = exc if isinstance(exc, socket.gaierror) else socket.gaierror(str(exc))
        raise NameResolutionError(host, connection, reason) from exc
    failure: OSError = OSError("the name has no address")
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connected = _DeadlineSocket(family, kind, protocol)
        connected.deadline = deadline
        try:
            # An equal share of the time for each address that is left: a first one that drops packets, often IPv6, must
            # not use up what the others need.
            connected.settimeout(deadline.remaining() / left)
            connected.connect(address)
            # As urllib3 sets it by default; this method replaces the one that would do so.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connected)
        except OSError as exc:
            connected.close()
            failure = exc
        else:
            return connected
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "no connection within the exchange's time") from failure
    raise NewConnectionError(connection, f"cannot connect: {failure}") from failure


_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds of silence before the first probe (macOS names it differently) and between two, and how many may fail."""


def _keep_alive(connected: socket.socket) -> None:
    """Let the system probe a silent connection, so that what lies between knows it is in use, or its end is noticed."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, number)
