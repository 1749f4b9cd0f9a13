"""One accepted connection: reading requests, sending bytes, waiting, and breaking off."""

import contextlib
import math
import select
import socket
import ssl
import struct
from typing import Final
from urllib.parse import urlsplit

from sendgrid_simulator.messages import Request

_HEAD_LIMIT: Final = 1 << 16
_BODY_LIMIT: Final = 1 << 20
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_REQUEST_LINE_PARTS: Final = 3


class BadRequestError(Exception):
    """What came is not an HTTP request."""


class Connection:
    """A client's connection; everything raises OSError once either side has left."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self._buffer = b""
        self.secure = isinstance(accepted, ssl.SSLSocket)

    def shake_hands(self) -> None:
        """Do the TLS handshake where there is one; before it is over a silent client is given up."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.do_handshake()
        self._socket.settimeout(None)

    def request(self) -> Request | None:
        """Return the next request, or None when the client has closed between two."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT:
                raise BadRequestError("the headers are too long")
            if not self._more():
                if self._buffer:
                    raise BadRequestError("the request ends within its headers")
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        method, target, headers = _parsed(head.decode("latin-1"))
        try:
            urlsplit(target)
        except ValueError as error:
            raise BadRequestError(f"the target cannot be read: {error}") from error
        return Request(method, target, headers, self._body(headers.get("content-length", "0")), self.secure)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def wait(self, seconds: float = math.inf) -> None:
        """Let time pass; raise ConnectionAbortedError as soon as the client leaves or the simulator stops."""
        waiting = select.poll()
        waiting.register(self._socket, _GONE)
        if waiting.poll(None if math.isinf(seconds) else max(round(seconds * 1_000), 1)):
            raise ConnectionAbortedError("the connection ended while it was kept waiting")

    def reset(self) -> None:
        """Break off with RST: whatever is under way is lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def interrupt(self) -> None:
        """Wake up whoever reads, sends or waits; may be called from another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close in order, so that what was sent arrives."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def _more(self) -> bool:
        received = self._socket.recv(_HEAD_LIMIT)
        self._buffer += received
        return bool(received)

    def _body(self, length: str) -> bytes:
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            raise BadRequestError("the body's length is not a number, or too large")
        while len(self._buffer) < int(length):
            if not self._more():
                raise BadRequestError("the request ends within its body")
        body, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return body


def _parsed(head: str) -> tuple[str, str, dict[str, str]]:
    """Return method, target and headers; of a header given twice the values are joined."""
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != _REQUEST_LINE_PARTS or not parts[2].startswith("HTTP/1."):
        raise BadRequestError("the first line is not one of HTTP/1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError("a header line has no name")
        known = headers.get(name.lower())
        headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
    headers.setdefault("connection", "close" if parts[2] == "HTTP/1.0" else "keep-alive")
    return parts[0], parts[1], headers
