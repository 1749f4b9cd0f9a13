"""One HTTP connection: requests in their order, deadlines for all that a client may leave undone."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from exporter.clock import Clock
from exporter.web.guests import Guests, Standing
from exporter.web.inbox import Inbox
from exporter.web.message import Request, plain
from exporter.web.message import Response as HttpResponse
from exporter.web.outbox import BrokenBodyError, Outbox
from exporter.web.ports import Limits

_LOG: Final = logging.getLogger(__name__)
_SLICE: Final = 2048
"""Bytes parsed at once: bounds the requests that one packet of pipelined ones can become."""


@dataclass(frozen=True, slots=True)
class Service:
    """What every connection shares."""

    answer: Callable[[Request], Awaitable[HttpResponse]]
    limits: Limits
    clock: Clock
    guests: Guests


class Connection(asyncio.Protocol):
    """Reads requests, answers them one after the other, and ends when a deadline passes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits = service.limits
        self._loop = asyncio.get_running_loop()
        self._unread = b""
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed = 0
        self._served = False
        self._retiring = False
        self._eof = False
        self.since = self._loop.time()

    @property
    def standing(self) -> Standing:
        if self._task is not None:
            return Standing.STALLED if self._outbox.stalled else Standing.WORKING
        return Standing.IDLE if self._served and not self._inbox.ended else Standing.UNPROVEN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows asyncio's type for mypy
        self._transport = transport
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        self._inbox = Inbox(self._limits, _host(transport))
        self._outbox = Outbox(transport, self._limits.stall)
        self._service.guests.enter(self)
        self._arm(self._limits.request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._service.guests.leave(self)
        self._disarm()
        self._outbox.close()
        self._inbox.end()
        self._unread = b""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        # After the last request, bytes are only read so that the client can finish writing and hear the answer.
        if not self._inbox.ended:
            self._unread += data
            self._take_in()

    def eof_received(self) -> bool:
        self._eof = True
        if self._task is None and not self._unread:
            self._transport.close()
        # Over TLS there is no half-closed state to keep.
        return not self._encrypted

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.resume()

    def abort(self) -> None:
        self._outbox.cut()

    def retire(self) -> None:
        self._retiring = True
        if self._task is None:
            self._transport.close()

    def _take_in(self) -> None:
        while self._unread and not self._inbox.ended and len(self._queue) < self._limits.pipelined:
            piece, self._unread = self._unread[:_SLICE], self._unread[_SLICE:]
            self._queue.extend(self._inbox.feed(piece))
        if self._inbox.ended:
            self._unread = b""
        if self._unread:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
        self._watch_request()
        if self._task is None and (self._queue or self._inbox.refusal):
            self.since = self._loop.time()
            self._task = self._loop.create_task(self._work())
            self._task.add_done_callback(self._worked)
        elif self._task is None and self._inbox.continue_due:
            self._inbox.continue_due = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _watch_request(self) -> None:
        if self._unread or not self._inbox.partial:
            # What is not read yet is not late; what is whole is on time.
            if self._unread or self._queue or self._inbox.ended:
                self._disarm()
                self._timed = 0
        elif self._timed != self._inbox.begun:
            self._timed = self._inbox.begun
            self._arm(self._limits.request)

    async def _work(self) -> None:
        try:
            while self._queue:
                if not await self._exchange(self._queue.popleft()):
                    return
                self._take_in()
            if self._inbox.refusal is not None:
                await self._refuse(self._inbox.refusal)
                return
        finally:
            self._task = None
            self.since = self._loop.time()
        self._rest()

    def _worked(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _LOG.error("a connection failed unexpectedly", exc_info=error)
            self._transport.abort()

    async def _exchange(self, request: Request) -> bool:
        """Answer one request; return whether another may follow."""
        response = await self._service.answer(request)
        close = not request.keep_alive or self._retiring
        try:
            await self._outbox.send(response, head_only=request.method == "HEAD", close=close, date=self._date())
        except BrokenBodyError as exc:
            _LOG.error("a response was cut: %s", exc)
            self._transport.abort()
            return False
        except Exception:  # noqa: BLE001 - the body is made by others, piece by piece
            _LOG.exception("a response failed while it was written")
            if self._outbox.begun:
                # What left cannot be taken back: only a cut tells the client that the body is not whole.
                self._transport.abort()
            else:
                await self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            return False
        self._served = True
        if close:
            self._finish(lingering=not self._encrypted)
        return not close

    async def _refuse(self, status: HTTPStatus) -> None:
        response = plain(status, status.phrase.lower())
        await self._outbox.send(response, head_only=False, close=True, date=self._date())
        self._finish(lingering=True)

    def _rest(self) -> None:
        if self._eof or self._retiring or self._inbox.ended:
            self._transport.close()
        elif not self._inbox.partial:
            self._arm(self._limits.idle)
        elif self._inbox.continue_due:
            self._take_in()

    def _finish(self, *, lingering: bool) -> None:
        # Closing a socket with unread bytes in it resets the connection, and the client would lose the last response.
        self._inbox.end()
        self._queue.clear()
        if self._eof or not lingering:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._arm(self._limits.linger)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, self._overdue)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._inbox.end()
        if self._task is None:
            self._transport.abort()
        else:
            self._retiring = True

    def _date(self) -> str:
        return formatdate(self._service.clock.time(), usegmt=True)


def _host(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
