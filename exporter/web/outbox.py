"""Writing responses at the reader's pace."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import Final

from exporter.web.message import Response, head_bytes
from exporter.web.ports import Scrape

_PIECE: Final = 256 * 1024
"""Bytes handed to the transport at once: what a reader who stops reading costs."""
_JOINED: Final = 64 * 1024
"""A first piece up to this size leaves together with the head, in one packet train."""
_TURN: Final = 1024 * 1024
"""Bytes that a fast reader gets before others have their turn: about a millisecond of the loop."""
_RESET: Final = struct.pack("ii", 1, 0)
"""The SO_LINGER value by which a closed connection keeps no bytes to send."""


class BrokenBodyError(Exception):
    """A body did not yield what its length promised: the connection cannot be used any more."""


class Outbox:
    """Writes one connection's responses; a piece that does not leave in time ends the connection."""

    def __init__(self, transport: asyncio.WriteTransport, stall: float) -> None:
        # Paused as long as anything is left, so that "written" means: given to the kernel. With high=0, asyncio's TLS
        # would count nothing as too much.
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport
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
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def write(self, data: bytes) -> None:
        """Write the bytes and wait until they have left."""
        self.begun = True
        self._transport.write(data)
        await self._writable.wait()

    async def send(self, response: Response, *, head_only: bool, close: bool, date: str) -> None:
        """Write the response, its body only where it is wanted."""
        self.begun = False
        head = head_bytes(response, date=date, close=close)
        if head_only:
            await self.write(head)
        elif isinstance(response.body, Scrape):
            await self._stream(head, response.body)
        else:
            await self.write(head + response.body)

    async def _stream(self, head: bytes, scrape: Scrape) -> None:
        left, turn = scrape.length, 0
        for piece in _pieces(scrape.chunks):
            left -= len(piece)
            if left < 0:
                raise BrokenBodyError(f"the body is longer than its {scrape.length} bytes")
            if head and len(piece) <= _JOINED:
                await self.write(head + piece)
            else:
                if head:
                    await self.write(head)
                await self.write(piece)
                turn += len(piece)
                if turn >= _TURN:
                    # A fast reader never makes a write wait: without this it would have the loop for itself.
                    await asyncio.sleep(0)
                    turn = 0
            head = b""
        if left:
            raise BrokenBodyError(f"the body is {left} bytes shorter than its {scrape.length} bytes")
        if head:
            await self.write(head)


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= _PIECE:
            if chunk:
                yield chunk
        else:
            for start in range(0, len(chunk), _PIECE):
                yield chunk[start : start + _PIECE]
