"""The way to SendGrid: a session for each worker, whose connections have one deadline and stay in step.

The session has the key, the trust and the proxy, and takes nothing from outside.

A timeout of requests, urllib3 or the socket module bounds a single read, so a server that sends a byte now and then
holds a call for ever. Here each read first shortens its timeout to what is left of the exchange.

A connection is used again only after one final answer that was read whole, and while nothing waits in it to be read.
It is closed after anything else. What this relies on in urllib3 2: a pool puts every connection back with `_put_conn`,
also after a failure; before it lends one again it asks for its `is_connected` and closes it where that is false; and a
connection makes its answer with http.client's `response_class`.

On a connection that is used again, whatever is left of one answer is read as the next one: an automation then shows the
clicks of another. http.client prevents that only in part. Of the interim answers it reads over 100 alone; it takes a
length that is given twice, or `-5`, or a header that goes on in the next line; and it drops what came behind the
answer. `Answer` reads over every interim answer, refuses whatever leaves the answer's end open (RFC 9112, sections 5 to
7), and knows in the end whether the connection is in step.

What this relies on in http.client, whose `HTTPResponse` has no hooks of its own: `_read_status` is called for every
status line, `_close_conn` when the answer ends or is given up, `_read_next_chunk_size` and `_read_and_discard_trailer`
for chunks; `fp` is what all of them read from, `length` what is left of the body. tests/sendgrid/test_client_framing.py
fails where a version of Python changes one of them.
"""

import base64
import io
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, LineTooLong, RemoteDisconnected, UnknownProtocol
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_to_bytes, urlencode, urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssltransport import SSLTransport

from exporter.clock import Clock
from exporter.inputs import Authorities

_MOST_LINES: Final = 1024 * 1024
"""Bytes of all lines of one answer: statuses, headers, sizes of chunks, trailers. A real one has about 1 kB."""
_LONGEST_LINE: Final = 64 * 1024
"""As http.client has it."""
_VERSIONS: Final = frozenset({"HTTP/1.0", "HTTP/1.1"})
_HEADER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
"""A token and a colon with nothing between them; no bare CR, which http.client's parser takes for a line's end."""
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(;[^\r\n]*)?\r?\n")
_END_OF_HEAD: Final = (b"\r\n", b"\n")
_SWITCHING_PROTOCOLS: Final = 101
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds of silence before the first probe (macOS names it differently) and between two, and how many may fail."""
_LEAST_SECRET: Final = 4
"""A shorter password stands in any text by chance, and could not be hidden without making it unreadable."""


class FramingError(ConnectionError, HTTPException):
    """The answer leaves open where it ends, so nothing can be read after it; the libraries know it by its bases."""


class Answer(HTTPResponse):
    """An answer whose connection is in step with it only once it was read whole."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.in_step = False
        """Whether this was one final answer, was read whole, and nothing came behind it."""
        # http.client reads through `fp`. It is taken apart and put together again with the tap in between, so that
        # `_has_more` can look at what is buffered without waiting for the socket.
        self._tap = _Tap(self.fp.detach())
        self._lines = _Lines(self._tap)
        self.fp = self._lines
        self._saw_last_chunk = False

    def begin(self) -> None:
        """Read the final answer's head; raise HTTPException for one that leaves the answer's end open."""
        super().begin()
        if self._lines.seen is not None:
            self._check_head(self._lines.seen)
            self._lines.seen = None

    def _check_head(self, lines: Sequence[bytes]) -> None:
        *headers, end = lines
        if end not in _END_OF_HEAD:
            raise RemoteDisconnected("the connection was closed within the headers")
        if not all(map(_HEADER.fullmatch, headers)):
            raise FramingError("the answer has an invalid header line")
        lengths, codings = self.headers.get_all("Content-Length", []), self.headers.get_all("Transfer-Encoding", [])
        # RFC 9112, 6.3: both fields, or one of them twice, is how requests and answers are smuggled past a proxy.
        if len(lengths) + len(codings) > 1:
            raise FramingError("the answer gives its length more than once")
        if lengths and not _LENGTH.fullmatch(lengths[0].strip(" \t")):
            raise FramingError("the answer's Content-Length is not a number")
        # RFC 9112, 6.1: chunked must be the last coding, and a 1.0 server cannot mean it.
        if codings and (codings[0].strip(" \t").lower() != "chunked" or self.version == 10):  # noqa: PLR2004  # 1.0
            raise FramingError("the answer's Transfer-Encoding leaves its end open")

    def _read_status(self) -> tuple[str, int, str]:
        """Return the final answer's status, which comes after any number of interim ones (RFC 9110, section 15.2).

        101 is final, too: what follows it would be another protocol, which nobody asked for.
        """
        while True:
            # Private in http.client, which reads over 100 only, and takes 102 or 103 for the final answer.
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves private names out
            if version not in _VERSIONS:
                raise UnknownProtocol(version)
            if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:  # noqa: PLR2004  # the classes of HTTP
                self._lines.seen = []
                return version, status, reason
            if not self._read_over_headers():
                raise RemoteDisconnected("the connection was closed within the headers")

    def _read_over_headers(self) -> bool:
        """Read headers, and return whether they end with an empty line instead of with the connection."""
        while (line := self.fp.readline(_LONGEST_LINE + 1)) not in _END_OF_HEAD:
            if not line:
                return False
        return True

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk; int() alone would also take `-5`, `+5`, `0x5` and `1_0`."""
        line = self.fp.readline(_LONGEST_LINE + 1)
        if not _CHUNK_SIZE.fullmatch(line):
            self._close_conn()
            raise ValueError("no size of a chunk")
        return int(line.partition(b";")[0], 16)

    def _read_and_discard_trailer(self) -> None:
        """Read the trailers; where the connection ends first, the body is whole all the same."""
        self._saw_last_chunk = self._read_over_headers()

    def _close_conn(self) -> None:
        # http.client sets `length` to 0 when it has read a body of known length, None where only a close ends it.
        is_whole = self._saw_last_chunk if self.chunked is True else self.length == 0
        is_final = self.status != _SWITCHING_PROTOCOLS
        self.in_step = is_whole and is_final and self.will_close is False and not self._has_more()
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Return whether bytes behind the answer were read along with it, without reading further ones."""
        self._tap.is_shut = True
        return bool(self._lines.peek(1))


class _Tap(io.RawIOBase):
    """What a reader reads from, until it is shut."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.is_shut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as the socket does; None, which means that nothing is there now, once the tap is shut."""
        # io.RawIOBase: None means that a non-blocking read found nothing, where 0 would be the end of the stream.
        return None if self.is_shut else self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """A reader that limits all its lines together, and keeps those of a head."""

    def __init__(self, raw: _Tap) -> None:
        super().__init__(raw)
        self.seen: list[bytes] | None = None
        self._left = _MOST_LINES

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("head")
        if self.seen is not None:
            self.seen.append(line)
        return line


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


def _keep_alive(connected: socket.socket) -> None:
    """Let the system probe a silent connection, so that what lies between knows it is in use, or its end is noticed."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            connected.setsockopt(socket.IPPROTO_TCP, option, number)


def proxy_authorization(proxy: str) -> str | None:
    """Return the value of Proxy-Authorization; None where the proxy's URL has no user.

    The octets that the URL's percent-encoding names are sent as they are, as curl does: UTF-8 where the URL is written
    as RFC 3986 (2.5) says, which is also what RFC 7617 (2.1) has for text beyond ASCII.
    """
    token = _token(proxy)
    return f"Basic {token}" if token else None


def proxy_secrets(proxy: str | None) -> tuple[str, ...]:
    """Return the password as written, decoded and in the encodings of URLs, JSON and HTTP; the longest first."""
    if not proxy or (password := urlsplit(proxy).password) is None:
        return ()
    plain = unquote(password)
    forms = {password, plain, unquote(password, "latin-1"), quote(plain), quote(plain, safe=""), quote_plus(plain)}
    forms |= {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    octets = unquote_to_bytes(password)
    tokens = {_token(proxy), base64.b64encode(octets).decode(), base64.urlsafe_b64encode(octets).decode()}
    forms |= {token.rstrip("=") for token in tokens}
    return tuple(sorted((form for form in forms if len(form) >= _LEAST_SECRET), key=len, reverse=True))


def _token(proxy: str) -> str:
    """Return the user and the password as HTTP's Basic scheme sends them; empty where there is no user."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    return base64.b64encode(b":".join(map(unquote_to_bytes, (parts.username, parts.password or "")))).decode()


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How SendGrid is asked."""

    base_url: str
    """Scheme, host and port, without a slash at the end; the key goes nowhere else."""
    timeout: float
    """Seconds for a whole exchange, from the connection to the last byte."""
    page_size: int
    user_agent: str
    on_behalf_of: str | None = None
    proxy: str | None = None
    authorities: Authorities | None = None
    """Those to trust instead of the system's."""
    most_tries: int = 4
    """Of one request, after failures that may pass."""


class ApiSession:
    """Requests of one worker at a time over one connection, and the deadline that its sockets obey.

    They pass requests' transport adapter alone. Its Session would read proxies, a CA bundle and .netrc, which replaces
    the key, from the environment, keep cookies, and look up for each request what never changes here: 120 of 420 us.
    """

    def __init__(
        self,
        options: ClientOptions,
        clock: Clock,
        adapter: Callable[[Deadline], HTTPAdapter],
    ) -> None:
        self.deadline = Deadline(clock)
        self.was_used = False
        """Whether it carried a request since it was made or reconnected."""
        self._base_url = options.base_url
        self._headers = _headers(options)
        self._proxies = {"http": options.proxy, "https": options.proxy} if options.proxy else None
        self._adapter = adapter(self.deadline)
        self._prepared: requests.PreparedRequest | None = None

    def get(self, url: str, query: Mapping[str, str], key: str, seconds: float) -> requests.Response:
        """Send one request for an address below the base URL; the body is left to be read, redirects are answers.

        Only address and key differ from one request to the next, and requests takes as long to prepare one as urllib3
        to send it: the first is prepared, the others are copies. Nothing but this puts the key into a request.
        """
        if self._prepared is None:
            self._prepared = requests.Request("GET", self._base_url).prepare()
        request = copy(self._prepared)  # not deeply: what the two share is never changed
        base = str(self._prepared.url).rstrip("/")
        request.url = f"{base}{url.removeprefix(self._base_url)}?{urlencode(query, errors='surrogateescape')}"
        request.headers = CaseInsensitiveDict({**self._headers, "Authorization": f"Bearer {key}"})
        return self._adapter.send(request, stream=True, timeout=seconds, proxies=self._proxies)

    def close(self) -> None:
        """Close whatever is connected; the next request connects again."""
        self._adapter.close()
        self.was_used = False


class _Trust:
    """The one context of all connections, made when the first of them needs it.

    Reading some 300 certificates takes 40 ms: the first poll waits for them, and the first scrape does not.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._authorities = options.authorities
        self._is_needed = any(address.startswith("https:") for address in (options.base_url, options.proxy or ""))
        self._lock = threading.Lock()
        self._context: SSLContext | None = None

    def context(self) -> SSLContext | None:
        """Return the context; None where nothing is encrypted."""
        with self._lock:
            if self._context is None and self._is_needed:
                self._context = trusting_context(self._authorities)
            return self._context


class _DeadlineAdapter(HTTPAdapter):
    """An adapter whose connections obey the deadline and trust one context."""

    def __init__(self, deadline: Deadline, trust: SSLContext | None, resolver: Resolver) -> None:
        self._pool_classes = pool_classes(deadline, resolver)
        self._trust = trust
        self._pool: Any = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **options)
        # No argument of urllib3's PoolManager, but the public attribute through which it makes its pools.
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._trust, proxy_ssl_context=self._trust, **options)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the credentials as the proxy's URL has them; requests can send none beyond Latin-1."""
        authorization = proxy_authorization(proxy)
        return {"Proxy-Authorization": authorization} if authorization else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave trust to the context, which holds the authorities already."""

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the pool of the one host, which is looked up once."""
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **options)
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return the target of the request line (RFC 9112, section 3.2); only a proxy may need the whole address."""
        return super().request_url(request, proxies) if proxies else str(request.path_url)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Return what is read of an answer, without requests' search for cookies and charsets."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, CaseInsensitiveDict(resp.headers), resp
        response.url, response.request = str(req.url), req
        return response

    def close(self) -> None:
        super().close()
        self._pool = None


def deadline_adapters(options: ClientOptions, resolver: Resolver | None = None) -> Callable[[Deadline], HTTPAdapter]:
    """Return what makes each connection's adapter; the authorities, some megabytes, are read once and only for TLS."""
    trust, resolver = _Trust(options), resolver or Resolver()
    return lambda deadline: _DeadlineAdapter(deadline, trust.context(), resolver)


def _headers(options: ClientOptions) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": options.user_agent}
    return headers | ({"on-behalf-of": options.on_behalf_of} if options.on_behalf_of else {})
