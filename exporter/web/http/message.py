"""A request as it was read, a response as it will be written, and the writing of it at the reader's pace."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import chain
from typing import Final

from exporter.web.ports import Scrape

PLAIN: Final = "text/plain; charset=utf-8"
SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)
_AT_ONCE: Final = 64 * 1024
"""Bytes from which on pieces are written: more would cost fewer calls, and be held for each stalled reader."""
_SHARED_AT_ONCE: Final = 256 * 1024
"""The same for compressed pieces, which are the store's own: holding them costs nothing."""
_LEFT_TO_TRANSPORT: Final = 64 * 1024
"""Bytes that the transport copies and keeps when the kernel takes no more."""
_MOST_PIECES: Final = 512
"""Pieces that are written at once: the kernel takes 1024 (IOV_MAX)."""
_TURN: Final = 1024 * 1024
"""Bytes that a fast reader gets before others have their turn: about a millisecond of the loop."""
_RESET: Final = struct.pack("ii", 1, 0)
"""The SO_LINGER value by which a closed connection keeps no bytes to send."""


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; its body was read and dropped, for no page takes one."""

    method: str
    path: str
    """As it was sent, without the query: decoded, `/-%2Freload` would pass a proxy's rule for `/-/reload`."""
    query: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """In order, the names in lower case."""
    keep_alive: bool = True
    client: str = ""
    """The peer's IP address."""

    def first(self, name: bytes) -> str | None:
        """Return the first header of this lower-case name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)

    def joined(self, name: bytes) -> str | None:
        """Return all headers of this lower-case name as one list, None without any."""
        values = [value.decode("latin-1") for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; its headers are unique by name in any case."""

    status: HTTPStatus
    body: bytes | Scrape
    headers: tuple[tuple[str, str], ...]
    close: bool = False
    """Whether the connection ends with it."""

    @property
    def length(self) -> int:
        return self.body.length if isinstance(self.body, Scrape) else len(self.body)


def respond(status: HTTPStatus, body: bytes | Scrape, content_type: str, *headers: tuple[str, str]) -> Response:
    """Return a response with the security headers, of which any given one takes the place."""
    return with_headers(Response(status, body, (("Content-Type", content_type), *SECURITY_HEADERS)), headers)


def plain(status: HTTPStatus, text: str, *headers: tuple[str, str], close: bool = False) -> Response:
    """Return a response of one or more lines of text."""
    return replace(respond(status, f"{text}\n".encode(), PLAIN, *headers), close=close)


def with_headers(response: Response, headers: tuple[tuple[str, str], ...]) -> Response:
    """Return the response with these headers in place of its own of the same name."""
    named = {name.lower(): (name, value) for name, value in (*response.headers, *headers)}
    return replace(response, headers=tuple(named.values()))


def head_bytes(response: Response, *, date: str, close: bool) -> bytes:
    """Return the status line and headers of the response, with its length."""
    status = response.status
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {date}", f"Content-Length: {response.length}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_Piece = bytes | memoryview


class BrokenBodyError(Exception):
    """A body did not yield what its length promised: the connection cannot be used any more."""


class ClientGoneError(Exception):
    """The client has closed or reset the connection before it had the whole response."""


class ResponseWriter:
    """Writes one connection's responses; a piece that does not leave in time ends the connection."""

    def __init__(self, transport: asyncio.WriteTransport, stall: float, *, below: asyncio.BaseTransport) -> None:
        """`below` is the transport of the socket: the same one, or that under TLS, which is the first to fail."""
        # Paused as long as anything is left, so that "written" means: given to the kernel. With high=0, asyncio's TLS
        # would count nothing as too much.
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport
        self._below = below
        encrypted = transport.get_extra_info("sslcontext") is not None
        self._socket = None if encrypted else transport.get_extra_info("socket")
        self._stall = stall
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None
        self.begun = False
        """Whether anything of the last response has left."""

    @property
    def stalled(self) -> bool:
        """Whether the reader has not yet taken what was written."""
        return not self._writable.is_set()

    def pause(self) -> None:
        """Take note that the transport holds bytes which the reader does not take."""
        self._writable.clear()
        # Started again by each pause: a slow reader that takes every piece in time is not cut.
        self._timer = asyncio.get_running_loop().call_later(self._stall, self.cut)

    def resume(self) -> None:
        """Take note that everything written has left."""
        self._writable.set()
        self.close()

    def cut(self) -> None:
        """End the connection at once; what its reader has not taken is dropped, by the kernel too."""
        # SO_LINGER with zero seconds: close(2) sends a reset and drops the send buffer, which a reader that stalls
        # would otherwise keep in the kernel's memory long after the connection has ended here.
        sock = self._transport.get_extra_info("socket")
        if self.stalled and sock is not None:
            with suppress(OSError):  # The socket may be closed already.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def send(self, response: Response, *, head_only: bool, close: bool, date: str) -> None:
        """Write the response, its body only where it is wanted.

        Raise BrokenBodyError when the body is not as long as its head says, ClientGoneError when the client has gone.
        """
        self.begun = False
        head = head_bytes(response, date=date, close=close)
        # RFC 9110, 9.3.2: a HEAD gets the header fields of a GET, and no body.
        if head_only:
            await self._write([head])
        elif isinstance(response.body, Scrape):
            await self._stream(head, response.body)
        else:
            await self._write([head, response.body])

    async def _stream(self, head: bytes, scrape: Scrape) -> None:
        left, turn = scrape.length + len(head), 0
        for pieces in _gathered(chain([head], scrape.chunks), _SHARED_AT_ONCE if scrape.gzip else _AT_ONCE):
            size = sum(map(len, pieces))
            left -= size
            if left < 0:
                raise BrokenBodyError(f"the body is longer than its {scrape.length} bytes")
            await self._write(pieces)
            turn += size
            if turn >= _TURN:
                # A fast reader never makes a write wait: without this it would have the loop for itself.
                await asyncio.sleep(0)
                turn = 0
        if left:
            raise BrokenBodyError(f"the body is {left} bytes shorter than its {scrape.length} bytes")

    async def _write(self, pieces: list[_Piece]) -> None:
        """Write the pieces and wait until they have left; takes them out of the list."""
        while pieces:
            if self._transport.is_closing() or self._below.is_closing():
                # asyncio would log a warning of its own for each further write.
                raise ClientGoneError
            self.begun = True
            self._give_to_kernel(pieces)
            if pieces:
                self._transport.write(_take(pieces, _LEFT_TO_TRANSPORT))
            await self._writable.wait()

    def _give_to_kernel(self, pieces: list[_Piece]) -> None:
        """Give the kernel the pieces as they are, and take out of the list what it took.

        asyncio would join them before it writes them: another copy of every scrape. TLS has to encrypt them first.
        """
        # What the transport still holds comes first: written past it, these bytes would overtake the others.
        if self._socket is None or self._transport.get_write_buffer_size():
            return
        # An error is the transport's to find: it meets the same one, and ends the connection.
        with suppress(OSError):
            _drop(pieces, os.writev(self._socket.fileno(), pieces))


def _take(pieces: list[_Piece], size: int) -> bytes:
    """Take so many bytes off the pieces, or all there are."""
    first: list[_Piece] = []
    for piece in pieces:
        first.append(memoryview(piece)[:size])
        size -= len(first[-1])
        if not size:
            break
    taken = b"".join(first)
    _drop(pieces, len(taken))
    return taken


def _drop(pieces: list[_Piece], size: int) -> None:
    count = 0
    for piece in pieces:
        if size < len(piece):
            break
        size -= len(piece)
        count += 1
    del pieces[:count]
    if size:
        pieces[0] = memoryview(pieces[0])[size:]


def _gathered(chunks: Iterable[bytes], at_once: int) -> Iterator[list[_Piece]]:
    """Give the chunks in lists that are worth a write; the consumer may empty a list."""
    gathered: list[_Piece] = []
    size = 0
    for piece in chunks:
        if piece:
            gathered.append(piece)
            size += len(piece)
        if size >= at_once or len(gathered) == _MOST_PIECES:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered
