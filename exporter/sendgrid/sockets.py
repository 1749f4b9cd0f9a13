"""Connections whose every wait ends at one deadline, however slowly the other side trickles.

A timeout of requests, urllib3 or the socket module bounds a single read, so a server that sends a byte now and then
holds a call for ever. Here each read first shortens its timeout to what is left of the exchange.
"""

import socket
import ssl
from typing import Any, Final

import certifi
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from exporter.authorities import Authorities
from exporter.clock import Clock


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


def pool_classes(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools by scheme, with connections that obey the deadline."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, deadline)

    class TLS(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, deadline)

        def connect(self) -> None:
            super().connect()
            outermost = getattr(self.sock, "socket", self.sock)  # urllib3 puts TLS within a proxy's TLS
            if isinstance(outermost, _DeadlineTLSSocket):
                outermost.deadline = deadline

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = TLS

    return {"http": PlainPool, "https": TLSPool}


class _DeadlineSocket(socket.socket):
    deadline: Deadline

    def recv_into(self, *args: Any, **options: Any) -> int:
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
    context.sslsocket_class = _DeadlineTLSSocket
    return context


def _connect(connection: HTTPConnection, deadline: Deadline) -> socket.socket:
    """Try the host's addresses in turn, all of them within the deadline."""
    host, port = connection._dns_host, connection.port  # noqa: SLF001  # without a root dot
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        reason = exc if isinstance(exc, socket.gaierror) else socket.gaierror(str(exc))
        raise NameResolutionError(host, connection, reason) from exc
    failure: OSError = OSError("the name has no address")
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connected = _DeadlineSocket(family, kind, protocol)
        connected.deadline = deadline
        try:
            connected.settimeout(deadline.remaining() / left)
            connected.connect(address)
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
