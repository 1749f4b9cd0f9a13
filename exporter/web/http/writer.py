"""Writing responses at the reader's pace."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

from exporter.web.http.message import Response, head_bytes
from exporter.web.ports import Scrape

_AT_ONCE: Final = 64 * 1024
"""Bytes from which on pieces are written: more would cost fewer calls, and be held for each stalled reader."""
_PIECE: Final = 64 * 1024
"""Bytes of one piece at most; a larger one is cut."""
_MOST_PIECES: Final = 512
"""Pieces that are written at once: the kernel takes 1024 (IOV_MAX)."""
_TURN: Final = 1024 * 1024
"""Bytes that a fast reader gets before others have their turn: about a millisecond of the loop."""
_RESET: Final = struct.pack("ii", 1, 0)
"""The SO_LINGER value by which a closed connection keeps no bytes to send."""

_Piece = bytes | memoryview


class BrokenBodyError(Exception):
    """A body did not yield what its length promised: the connection cannot be used any more."""


class ClientGoneError(Exception):
    """The client has closed or reset the connection before it had the whole response."""


class ResponseWriter:
    """Writes one connection's responses; a piece that does not leave in time ends the connection."""

    def __init__(self, transport: asyncio.WriteTransport, stall: float) -> None:
        # Paused as long as anything is left, so that "written" means: given to the kernel. With high=0, asyncio's TLS
        # would count nothing as too much.
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport
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
        self._timer = asyncio.get_running_loop().call_later(self._stall, self.cut)

    def resume(self) -> None:
        """Take note that everything written has left."""
        self._writable.set()
        self.close()

    def cut(self) -> None:
        """End the connection at once; what its reader has not taken is dropped, by the kernel too."""
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
        if head_only:
            await self._write([head])
        elif isinstance(response.body, Scrape):
            await self._stream(head, response.body)
        else:
            await self._write([head, response.body])

    async def _stream(self, head: bytes, scrape: Scrape) -> None:
        left, turn = scrape.length + len(head), 0
        for pieces in _gathered(chain([head], scrape.chunks)):
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
        """Write the pieces and wait until they have left; empties the list.

        For a stalled reader, only the transport's copy of what has not left is held.
        """
        if self._transport.is_closing():
            # asyncio would log a warning of its own for each further write.
            raise ClientGoneError
        self.begun = True
        rest = self._after_what_left(pieces)
        pieces.clear()
        if rest:
            self._transport.write(rest)
            del rest
        await self._writable.wait()

    def _after_what_left(self, pieces: list[_Piece]) -> bytes:
        """Give the kernel the pieces as they are; return what it did not take, for the transport to keep.

        asyncio would put them into one before it writes them: another copy of every scrape.
        """
        sent = 0
        if self._socket is not None and not self._transport.get_write_buffer_size():
            # An error is the transport's to find: it meets the same one, and ends the connection.
            with suppress(OSError):
                sent = os.writev(self._socket.fileno(), pieces)
        total = sum(map(len, pieces))
        if sent == total:
            return b""
        return b"".join(_without_first(pieces, sent))


def _without_first(pieces: Iterable[_Piece], sent: int) -> Iterator[_Piece]:
    for piece in pieces:
        if sent < len(piece):
            yield memoryview(piece)[sent:] if sent else piece
        sent = max(sent - len(piece), 0)


def _gathered(chunks: Iterable[bytes]) -> Iterator[list[_Piece]]:
    """Give the chunks in lists that are worth a write; the consumer may empty a list."""
    gathered: list[_Piece] = []
    size = 0
    for piece in _pieces(chunks):
        gathered.append(piece)
        size += len(piece)
        if size >= _AT_ONCE or len(gathered) == _MOST_PIECES:
            yield gathered
            gathered, size = [], 0
    if gathered:
        yield gathered


def _pieces(chunks: Iterable[bytes]) -> Iterator[_Piece]:
    for chunk in chunks:
        if len(chunk) <= _PIECE:
            if chunk:
                yield chunk
        else:
            # Views: a copy of each piece would be held for each stalled reader.
            view = memoryview(chunk)
            for start in range(0, len(chunk), _PIECE):
                yield view[start : start + _PIECE]
