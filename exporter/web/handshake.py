"""The way in where connections are encrypted: a TLS handshake holds up nobody."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

from exporter.errors import ExporterError
from exporter.web.connection import Connection, Service
from exporter.web.guests import Standing

_LOG: Final = logging.getLogger(__name__)


class Handshake(asyncio.Protocol):
    """A connection until its TLS handshake is done, then handed on to the protocol behind it."""

    def __init__(self, service: Service, context: Callable[[], ssl.SSLContext], admits: Callable[..., bool]) -> None:
        self._service = service
        self._context = context
        self._admits = admits
        self._early = b""
        self._task: asyncio.Task[None] | None = None
        self.since = asyncio.get_running_loop().time()
        self.standing = Standing.UNPROVEN

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows asyncio's type for mypy
        # Not one byte may be read before TLS reads it.
        transport.pause_reading()
        transport.set_write_buffer_limits(high=1, low=0)
        self._transport = transport
        self._service.guests.enter(self)
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._service.guests.leave(self)

    def data_received(self, data: bytes) -> None:
        # TLS may decrypt the first request before the handshake's waiter has run.
        self._early += data

    def abort(self) -> None:
        self._transport.abort()

    def retire(self) -> None:
        self._transport.abort()

    async def _shake(self) -> None:
        limits = self._service.limits
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._context(),
                server_side=True,
                ssl_handshake_timeout=limits.handshake,
                ssl_shutdown_timeout=limits.stall,
            )
        except (OSError, ValueError, ExporterError) as exc:
            _LOG.debug("a TLS handshake failed: %s", type(exc).__name__)
            self._transport.abort()
            return
        finally:
            self._service.guests.leave(self)
        if encrypted is None or encrypted.is_closing():
            return
        if not self._admits(encrypted.get_extra_info("peercert")):
            encrypted.abort()
            return
        connection = Connection(self._service)
        encrypted.set_protocol(connection)
        connection.connection_made(encrypted)
        if self._early:
            connection.data_received(self._early)
