"""From received bytes to whole requests, within bounds: HTTP/1.1 as RFC 9112 has it, without its leniencies.

The grammar is our own, because the status of a refusal depends on what is wrong: llhttp, for one, takes `RTSP/1.0` for
HTTP, and reports an unknown method like garbage.
"""

import enum
import ipaddress
import re
from http import HTTPStatus
from typing import Final, NamedTuple

from exporter.web.http.message import Request
from exporter.web.ports import Limits

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE: Final = re.compile(rb"(%b) ([\x21-\x7e]+)(?: ([\x21-\x7e]+))?" % _TOKEN)
_PROTOCOL: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")
_NAME: Final = re.compile(_TOKEN)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""RFC 9110, 5.5: never in a head, but for tab, CR and LF."""
_BARE_LINE_END: Final = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")
_AUTHORITY: Final = re.compile(
    # RFC 3986, 3.2.2: an IP literal or a registered name, which may be empty; then a port, whose digits may be missing.
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
)
_ABSOLUTE: Final = re.compile(r"(?i:https?)://([^/?#]+)([^?]*)(?:\?(.*))?")
# RFC 9112, 7.1: hexadecimal, with extensions that a recipient ignores (7.1.1). 16 digits are 64 bits: Python's int
# would take any number of them.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")
# RFC 9110, 8.6: digits only; int() would also take a sign, blanks and underscores.
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_MOST_LINES: Final = 256
"""Header lines of a request, or lines of a body's framing: each costs the event loop a microsecond or two."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""RFC 9110, 9.3, and RFC 5789."""


class _RefusedError(Exception):
    """The bytes are no request that is answered with a page; holds the status that they get."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class _Part(enum.Enum):
    """What of a message the next bytes belong to."""

    HEAD = enum.auto()
    BODY = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK = enum.auto()
    TRAILERS = enum.auto()


class _Head(NamedTuple):
    request: Request
    length: int
    """Bytes of the body; 0 where it is chunked."""
    chunked: bool
    expects_continue: bool


class RequestParser:
    """Reads one connection's requests; bodies are read over and dropped, for no page takes one."""

    def __init__(self, limits: Limits, client: str) -> None:
        self._limits = limits
        self._client = client
        self._buffer = bytearray()
        self._searched = 0
        """Bytes of the buffer in which the end of what is looked for does not begin."""
        self._part = _Part.HEAD
        self._line_ended = False
        """Whether the request line is whole."""
        self._request: Request | None = None
        """The one whose body is read."""
        self._left = 0
        self._body = 0
        """Bytes of the body so far, its framing included."""
        self._lines = 0
        """Lines of its framing so far."""
        self.begun = 0
        """How many requests have begun."""
        self.partial = False
        """Whether a request has begun and is not yet whole."""
        self.continue_due = False
        """Whether the client waits for a 100 before it sends its body (RFC 9110, 10.1.1)."""
        self.ended = False
        """Whether nothing that follows will be read as a request."""
        self.refusal: HTTPStatus | None = None
        """The answer to what ended the reading, after those to the whole requests before it."""
        self.head_only = False
        """Whether the refused request is a HEAD, whose answer has no body either (RFC 9110, 9.3.2)."""

    @property
    def waiting(self) -> bool:
        """Whether there are bytes that `next_request` has not looked at yet."""
        return self._searched < len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes in; `next_request` reads them."""
        if not self.ended:
            self._buffer += data

    def next_request(self) -> Request | None:
        """Return the next whole request, None where there is none yet, or none will follow."""
        while not self.ended:
            try:
                request, more = self._step()
            except _RefusedError as exc:
                self.refuse(exc.status)
                return None
            if request is not None:
                self.partial = self.continue_due = False
                if not request.keep_alive:
                    self.end()
                return request
            if not more:
                return None
        return None

    def end(self) -> None:
        """Read nothing more as a request."""
        self.ended = True
        self.partial = self.continue_due = False
        self._buffer.clear()
        self._searched = 0

    def refuse(self, status: HTTPStatus) -> None:
        """Read nothing more; what came last is to be answered with this status."""
        self.refusal = status
        method = self._request.method.encode() if self._request else self._buffer[:5].partition(b" ")[0]
        self.head_only = method == b"HEAD"
        self.end()

    def _step(self) -> tuple[Request | None, bool]:
        """Read one part; return the request that it made whole, and whether there may be more to read."""
        match self._part:
            case _Part.HEAD:
                return self._read_head()
            case _Part.BODY:
                taken = min(self._left, len(self._buffer))
                self._drop(taken)
                self._left -= taken
                return (None, False) if self._left else (self._whole(), True)
            case _Part.CHUNK_SIZE:
                return None, self._read_chunk_size()
            case _Part.CHUNK:
                return None, self._read_chunk()
            case _Part.TRAILERS:
                return self._read_trailer()

    def _read_head(self) -> tuple[Request | None, bool]:
        if not self.partial:
            # RFC 9112, 2.2: empty lines before a request are ignored.
            while self._buffer.startswith(b"\r\n"):
                del self._buffer[:2]
            self._searched = 0
            if not self._buffer or self._buffer == b"\r":
                self._searched = len(self._buffer)
                return None, False
            self.partial, self._line_ended = True, False
            self.begun += 1
        # Up to three bytes of the empty line may have been the end of what was searched before: each byte is searched
        # once, however small the pieces in which a client sends its head.
        end = self._buffer.find(b"\r\n\r\n", max(self._searched - 3, 0))
        self._check_head(end if end >= 0 else len(self._buffer))
        if end < 0:
            self._searched = len(self._buffer)
            return None, False
        head = _read(bytes(self._buffer[:end]), self._client)
        # Refused by what the head announces, before a byte of the body is read.
        if head.length > self._limits.body:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._drop(end + 4)
        if not (head.length or head.chunked):
            return head.request, True
        self._request, self._left, self._body, self._lines = head.request, head.length, 0, 0
        self._part = _Part.CHUNK_SIZE if head.chunked else _Part.BODY
        # A client that is already sending the body does not wait.
        self.continue_due = head.expects_continue and not self._buffer
        return None, True

    def _check_head(self, end: int) -> None:
        """Refuse what cannot become a head any more, before its end has come: its sender may wait for our answer."""
        begin = max(self._searched - 1, 0)
        if _CONTROL.search(self._buffer, begin, end) or _BARE_LINE_END.search(self._buffer, begin, end):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        if not self._line_ended:
            self._line_ended = self._buffer.find(b"\r\n", begin, self._limits.line + 2) >= 0
        if not self._line_ended and end > self._limits.line:
            raise _RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG)
        if end > self._limits.head:
            raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        self._left = int(match[1], 16)
        self._part = _Part.CHUNK if self._left else _Part.TRAILERS
        if self._left:
            self._count(self._left)
            # The chunk's own line end (RFC 9112, 7.1) is not counted by its size.
            self._left += 2
        return True

    def _read_chunk(self) -> bool:
        """Drop the chunk and the line end after it."""
        taken = min(max(self._left - 2, 0), len(self._buffer))
        self._drop(taken)
        self._left -= taken
        if self._left > 2 or len(self._buffer) < self._left:  # noqa: PLR2004 - CR and LF
            self._searched = len(self._buffer)
            return False
        if not self._buffer.startswith(b"\r\n"):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        self._drop(2)
        self._part = _Part.CHUNK_SIZE
        return True

    def _read_trailer(self) -> tuple[Request | None, bool]:
        # RFC 9110, 6.5.1: trailers are not headers; they are dropped.
        line = self._take_line()
        if line is None:
            return None, False
        if line:
            _split_field(line)
            return None, True
        return self._whole(), True

    def _take_line(self) -> bytes | None:
        """Return the next line of the body's framing without its end; None where it is not whole yet."""
        # The CR may have come as the last byte of the piece before.
        end = self._buffer.find(b"\r\n", max(self._searched - 1, 0))
        if end < 0:
            if self._body + len(self._buffer) > self._limits.body:
                raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        self._lines += 1
        self._count(end + 2)
        self._drop(end + 2)
        if _CONTROL.search(line) or _BARE_LINE_END.search(line):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        return line

    def _count(self, size: int) -> None:
        self._body += size
        if self._body > self._limits.body or self._lines > _MOST_LINES:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _drop(self, size: int) -> None:
        # A bytearray is cut at its front without being copied.
        del self._buffer[:size]
        self._searched = 0

    def _whole(self) -> Request | None:
        request, self._request = self._request, None
        self._part = _Part.HEAD
        return request


def _read(head: bytes, client: str) -> _Head:
    line, *fields = head.split(b"\r\n")
    if len(fields) > _MOST_LINES:
        raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    method, target, minor = _read_request_line(line)
    headers = tuple(map(_split_field, fields))
    hosts = [value for name, value in headers if name == b"host"]
    # RFC 9112, 3.2: exactly one valid Host; HTTP/1.0 knew none.
    if len(hosts) > 1 or (minor and not hosts) or not all(is_authority(host.decode("latin-1")) for host in hosts):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    path, query = _split_target(method, target)
    length, chunked = _framing(headers, minor)
    # Connection is a list of case-insensitive options, possibly over several lines (RFC 9110, 7.6.1).
    options = {
        option.strip(b" \t").lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    }
    # What follows CONNECT or an upgrade is another protocol, which is not spoken here: the upgrade is ignored (RFC
    # 9110, 7.8), and nothing after the request is read. An HTTP/1.0 client gets its answer and a closed connection.
    keep_alive = bool(minor) and method != "CONNECT" and not options & {b"close", b"upgrade"}
    expects = bool(minor) and any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
    return _Head(Request(method, path, query, headers, keep_alive, client), length, chunked, expects)


def _read_request_line(line: bytes) -> tuple[str, str, int]:
    """Return method, target and minor version."""
    match = _REQUEST_LINE.fullmatch(line)
    # RFC 9113, 3.4: the method of HTTP/2's preface is no method of HTTP/1.
    if match is None or match[1] == b"PRI":
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if match[3] is None:  # HTTP/0.9 ended the line after the target.
        raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    protocol = _PROTOCOL.fullmatch(match[3])
    if protocol is None:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if protocol[1] != b"1":
        raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    method = match[1].decode("ascii")
    if method not in _METHODS:  # RFC 9110, 9.1
        raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED)
    return method, match[2].decode("ascii"), int(protocol[2])


def _split_field(line: bytes) -> tuple[bytes, bytes]:
    """Return a header's name in lower case, and its value.

    A blank before the colon, or at the line's begin, where it once continued the line before, is refused: proxies read
    such lines in different ways (RFC 9112, 5.1 and 5.2).
    """
    name, colon, value = line.partition(b":")
    if not colon or _NAME.fullmatch(name) is None or b"\r" in value:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return name.lower(), value.strip(b" \t")


def _split_target(method: str, target: str) -> tuple[str, str]:
    """Return path and query of a request's target (RFC 9112, 3.2)."""
    if method == "CONNECT":
        # Its target is a host: there is no path, and the server as a whole does not do it.
        if target.startswith(":") or not is_authority(target):
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        return "*", ""
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query
    if target == "*" and method == "OPTIONS":
        return "*", ""
    # RFC 9112, 3.2.2: a server must accept the absolute form, although only proxies are sent it.
    match = _ABSOLUTE.fullmatch(target)
    if match is None or not is_authority(match[1]):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return match[2] or "/", match[3] or ""


def _framing(headers: tuple[tuple[bytes, bytes], ...], minor: int) -> tuple[int, bool]:
    """Return the body's length, and whether it is chunked instead (RFC 9112, 6.3).

    Whatever two readers could understand differently is refused: a request must not hide in another's body.
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings:
        # Both together are how requests are smuggled (RFC 9112, 11.2), and HTTP/1.0 has no transfer codings (6.1).
        if lengths or not minor:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        # RFC 9112, 6.1 and 6.3: an unknown coding is 501; without chunked as the last one the length is unknown, so
        # 400.
        if codings != [b"chunked"]:
            last = codings[-1].rpartition(b",")[2].strip(b" \t")
            raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED if last == b"chunked" else HTTPStatus.BAD_REQUEST)
        return 0, True
    if not lengths:
        return 0, False
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return int(lengths[0]), False


def is_authority(text: str) -> bool:
    """Return whether this is a host with an optional port, as in Host, a URL and CONNECT; a user name is refused."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return False
    if match["literal"] is None:
        return True
    try:
        ipaddress.IPv6Address(match["literal"])
    except ValueError:
        return False
    return True
