"""Reloads on request: one at a time, and as few as the requests need."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from exporter.errors import StoppedError
from exporter.web.ports import Reloader
from exporter.web.worker import Worker

_LOG: Final = logging.getLogger(__name__)


class Reloads:
    """Runs the reloader in a thread; requests that come while one runs share the next one."""

    def __init__(self, reloader: Reloader, worker: Worker) -> None:
        self._reloader = reloader
        self._worker = worker
        self._running: asyncio.Task[Sequence[str]] | None = None
        self._next: asyncio.Task[Sequence[str]] | None = None

    async def reload(self) -> Sequence[str]:
        """Return the problems of a reload that began after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._running))
        # A client that goes away must not take the reload from the others.
        return await asyncio.shield(self._next)

    async def _run(self, before: "asyncio.Task[Sequence[str]] | None") -> Sequence[str]:
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        try:
            return tuple(await self._worker.run(self._reloader.reload))
        except StoppedError:
            return ("the exporter is stopping",)
        except Exception:  # noqa: BLE001 - whatever a reload meets, the one who asked is told
            _LOG.exception("the reload failed unexpectedly")
            return ("the reload failed unexpectedly; see the exporter's log",)
