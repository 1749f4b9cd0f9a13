"""A scraper that costs little itself: a raw socket, one fresh connection a scrape, the same for every server."""

import http.client
import socket
import time
import zlib
from dataclasses import dataclass, field
from typing import Final

OWN_FAMILIES_LEFT_OUT: Final = "?name[]=automation_info&name[]=automation_link_clicks&name[]=automation_total_clicks"
TEXT: Final = "text/plain;version=0.0.4"
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
_TIMEOUT: Final = 120.0
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class Request:
    """What a scraper asks for."""

    compressed: bool = True
    query: str = ""
    path: str = "/metrics"
    keep_alive: bool = False
    accept: str = TEXT

    def encoded(self, port: int) -> bytes:
        """Return the request's bytes."""
        lines = [
            f"GET {self.path}{self.query} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Accept: {self.accept}",
            f"Accept-Encoding: {'gzip' if self.compressed else 'identity'}",
            f"Connection: {'keep-alive' if self.keep_alive else 'close'}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass
class Scraper:
    """Scrapes one port and throws away what it gets, but for its length and the status."""

    port: int
    request: Request
    _buffer: bytearray = field(default_factory=lambda: bytearray(_PIECE))

    def scrape(self) -> int:
        """Scrape once over a fresh connection; return the bytes that came, or raise OSError if it is not whole."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT) as connection:
            connection.sendall(self.request.encoded(self.port))
            received = connection.recv_into(self._buffer)
            head = bytes(self._buffer[:received])
            while count := connection.recv_into(self._buffer):
                received += count
        _check(head, received)
        return received


class KeptConnection:
    """Scrapes one port over one connection and times each answer."""

    def __init__(self, port: int, request: Request) -> None:
        self._wanted = request.encoded(port)
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def timed(self) -> float:
        """Return the seconds from sending the request to the last byte of the answer."""
        begun = time.perf_counter()
        self._connection.sendall(self._wanted)
        left = None
        while left is None or left > 0:
            piece = self._connection.recv(_PIECE)
            if not piece:
                raise OSError("the server closed a kept connection in the middle of an answer")
            left = (answer_length(piece) if left is None else left) - len(piece)
        return time.perf_counter() - begun

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def fetch(port: int, request: Request) -> bytes:
    """Return the whole body of one scrape, inflated."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        headers = {
            "Accept": request.accept,
            "Accept-Encoding": "gzip" if request.compressed else "identity",
            "Connection": "close",
        }
        connection.request("GET", request.path + request.query, headers=headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise OSError(f"port {port} answered {response.status} to a scrape")
        if response.headers.get("Content-Encoding") == "gzip":
            return zlib.decompress(body, wbits=31)
        return body
    finally:
        connection.close()


def answer_length(head: bytes) -> int:
    """Return the bytes of a whole answer, head and body, from its first bytes; raise OSError unless it is a 200."""
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status + b" ":
        raise OSError(f"a scrape was answered with {status!r}")
    length = _length(head)
    if length is None:
        raise OSError("this measurement needs answers with Content-Length")
    return length


def _length(head: bytes) -> int | None:
    at = head.find(b"\r\n\r\n")
    for line in head[: max(at, 0)].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return at + 4 + int(value)
    return None


def _check(head: bytes, received: int) -> None:
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status + b" ":
        raise OSError(f"a scrape was answered with {status!r}")
    length = _length(head)
    if length is not None and received != length:
        raise OSError(f"a scrape got {received} of {length} bytes")
