"""One HTTP connection: requests in their order, deadlines for all that a client may leave undone."""

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

from exporter.clock import Clock
from exporter.web.http.message import BrokenBodyError, ClientGoneError, Request, Response, ResponseWriter, plain
from exporter.web.http.parser import RequestParser
from exporter.web.ports import Limits

_log = logging.getLogger(__name__)


class Activity(enum.IntEnum):
    """What a connection does: the lowest is the first to be closed when room is needed."""

    UNPROVEN = 0
    """It has not yet sent one whole request."""
    IDLE = 1
    """It waits between two requests."""
    STALLED = 2
    """It does not read its response."""
    WORKING = 3


class Evictable(Protocol):
    """What counts as an open connection."""

    since: float
    """When its present activity began, in the loop's time."""

    @property
    def activity(self) -> Activity: ...

    def abort(self) -> None:
        """End at once."""

    def retire(self) -> None:
        """End after the response in hand, or at once without one."""


class ConnectionLimit:
    """The open connections. At the limit the next one is not refused: idle ones would deny service to all others."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[Evictable, None] = {}
        self.empty = asyncio.Event()
        """Set while there is none."""
        self.empty.set()

    def enter(self, connection: Evictable) -> None:
        """Count the connection, and close the one least missed where there are too many."""
        if len(self._open) >= self.most:
            self.make_room()
        self._open[connection] = None
        self.empty.clear()

    def make_room(self, *, below: Activity | None = None) -> bool:
        """Close the connection least missed, only one less active than `below` where given; return whether one was."""
        least = self._least_missed() if self._open else None
        if least is None or (below is not None and least.activity >= below):
            return False
        self.leave(least)
        least.abort()
        return True

    def _least_missed(self) -> Evictable:
        # In a flood of silent connections the first looked at is the one: they stand in the order they came.
        for connection in self._open:
            if connection.activity is Activity.UNPROVEN:
                return connection
        return min(self._open, key=lambda connection: (connection.activity, connection.since))

    def leave(self, connection: Evictable) -> None:
        """Count the connection no longer; it may have been taken out before."""
        self._open.pop(connection, None)
        if not self._open:
            self.empty.set()

    def connections(self) -> Sequence[Evictable]:
        """Return the open connections."""
        return tuple(self._open)


@dataclass(frozen=True, slots=True)
class Service:
    """What every connection shares."""

    answer: Callable[[Request], Awaitable[Response]]
    limits: Limits
    clock: Clock
    open: ConnectionLimit


class Connection(asyncio.Protocol):
    """Reads requests, answers them one after the other, and ends when a deadline passes."""

    def __init__(self, service: Service, *, below_tls: asyncio.BaseTransport | None = None) -> None:
        self._service = service
        self._below_tls = below_tls
        self._limits = service.limits
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timed = 0
        self._served = False
        self._retiring = False
        self._eof = False
        self.since = self._loop.time()

    @property
    def activity(self) -> Activity:
        if self._task is not None:
            return Activity.STALLED if self._writer.stalled else Activity.WORKING
        return Activity.IDLE if self._served and not self._parser.ended else Activity.UNPROVEN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows asyncio's type for mypy
        self._transport = transport
        self._encrypted = transport.get_extra_info("sslcontext") is not None
        self._parser = RequestParser(self._limits, peer_of(transport.get_extra_info("peername")))
        self._writer = ResponseWriter(transport, self._limits.stall, below=self._below_tls or transport)
        self._service.open.enter(self)
        self._arm(self._limits.request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._service.open.leave(self)
        self._disarm()
        self._writer.close()
        self._parser.end()
        self._queue.clear()
        if self._task is not None:
            # A response whose client is gone would go on rendering for nobody.
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        # After the last request, bytes are only read so that the client can finish writing and receive the answer.
        if not self._parser.ended:
            self._parser.feed(data)
            self._take_in()

    def eof_received(self) -> bool:
        self._eof = True
        if self._task is None and not self._parser.waiting:
            self._transport.close()
        # Over TLS there is no half-closed state to keep.
        return not self._encrypted

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()

    def abort(self) -> None:
        self._writer.cut()

    def retire(self) -> None:
        self._retiring = True
        if self._task is None:
            self._transport.close()

    def _take_in(self) -> None:
        while len(self._queue) < self._limits.pipelined and (request := self._parser.next_request()) is not None:
            self._queue.append(request)
        # Not reading fills the kernel's buffers until TCP stops the client: a flood of pipelined requests takes no
        # memory.
        if self._parser.waiting:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
        self._watch_request()
        if self._task is None and (self._queue or self._parser.refusal):
            self.since = self._loop.time()
            self._task = self._loop.create_task(self._work())
            self._task.add_done_callback(self._worked)
        elif self._task is None and self._parser.continue_due:
            self._parser.continue_due = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _watch_request(self) -> None:
        parser = self._parser
        if parser.waiting or not parser.partial:
            # What is not read yet is not late; what is whole is on time.
            if parser.waiting or self._queue or parser.ended:
                self._disarm()
                self._timed = 0
        # Armed once for each request, not for each piece of it: a client that trickles bytes gains no time by them.
        elif self._timed != parser.begun:
            self._timed = parser.begun
            self._arm(self._limits.request)

    async def _work(self) -> None:
        try:
            while self._queue:
                if not await self._exchange(self._queue.popleft()):
                    return
                self._take_in()
                if self._queue:
                    # Pipelined requests are answered without a wait: others must have their turn between them.
                    await asyncio.sleep(0)
            if self._parser.refusal is not None:
                await self._refuse(self._parser.refusal)
                return
        except ClientGoneError:
            return
        finally:
            self._task = None
            self.since = self._loop.time()
        self._become_idle()

    def _worked(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("a connection failed unexpectedly", exc_info=error)
            self._transport.abort()

    async def _exchange(self, request: Request) -> bool:
        """Answer one request; return whether another may follow."""
        response = await self._service.answer(request)
        # RFC 9112, 9.6: after a response with `Connection: close` no further request of this connection is answered.
        close = response.close or not request.keep_alive or self._retiring
        try:
            await self._writer.send(response, head_only=request.method == "HEAD", close=close, date=self._date())
        except ClientGoneError:
            return False
        except BrokenBodyError as exc:
            _log.error("a response was cut: %s", exc)
            self._transport.abort()
            return False
        except Exception:  # noqa: BLE001 - the body is made by others, piece by piece
            _log.exception("a response failed while it was written")
            if self._writer.begun:
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
        await self._writer.send(response, head_only=self._parser.head_only, close=True, date=self._date())
        self._finish(lingering=True)

    def _become_idle(self) -> None:
        if self._eof or self._retiring or self._parser.ended:
            self._transport.close()
        elif not self._parser.partial:
            self._arm(self._limits.idle)
        elif self._parser.continue_due:
            self._take_in()

    def _finish(self, *, lingering: bool) -> None:
        # Closing a socket with unread bytes in it resets the connection, and the client would lose the last response.
        self._parser.end()
        self._queue.clear()
        if self._eof or not lingering or not half_close(self._transport):
            self._transport.close()
            return
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
        if self._task is not None:
            # The response under way may be a good one: it is finished, and nothing follows it.
            self._parser.end()
            self._retiring = True
        elif self._parser.partial:
            # RFC 9110, 15.5.9: a client that did not finish its request in time learns why the connection ends.
            self._parser.refuse(HTTPStatus.REQUEST_TIMEOUT)
            self._take_in()
        else:
            self._parser.end()
            self._transport.abort()

    def _date(self) -> str:
        return formatdate(self._service.clock.time(), usegmt=True)


def half_close(transport: asyncio.Transport) -> bool:
    """Send the client the end of what it will get; return whether it can still be read from.

    Not over TLS, and not when the client has reset the connection, which shutdown(2) is the first to report.
    """
    if transport.is_closing():
        return False
    if not transport.can_write_eof():
        return True
    try:
        transport.write_eof()
    except OSError:
        return False
    return True


def peer_of(peername: object) -> str:
    """Return the IP address of a peer's socket name; empty where it is gone already."""
    host = str(peername[0]) if isinstance(peername, tuple) and peername else ""
    # A dual-stack socket writes IPv4 addresses so (RFC 4291, 2.5.5.2).
    return host.removeprefix("::ffff:") if "." in host else host
