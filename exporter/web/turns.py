"""Slow work taken in turns, so that no client keeps the others waiting."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.web.worker import Worker

_WAITING: Final = 64


class BusyError(Exception):
    """There is too much work before this one."""


class _Job(NamedTuple):
    function: Callable[[], bool]
    outcome: "asyncio.Future[bool]"


class Turns:
    """One piece of work at a time: clients take turns, and each client's newest goes first.

    Newest first, because in a flood the oldest has the least patience left; beyond the bound the oldest of the
    client with the most is told that it is too much.
    """

    def __init__(self, worker: Worker, *, waiting: int = _WAITING) -> None:
        self._worker = worker
        self._bound = waiting
        self._waiting: dict[str, list[_Job]] = {}
        self._task: asyncio.Task[None] | None = None

    def take(self, client: str, function: Callable[[], bool]) -> "asyncio.Future[bool]":
        """Return what will be the function's outcome, or BusyError."""
        job = _Job(function, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(client, []).append(job)
        if sum(map(len, self._waiting.values())) > self._bound:
            self._give_up_one()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return job.outcome

    async def _work(self) -> None:
        while self._waiting:
            job = self._next()
            try:
                job.outcome.set_result(await self._worker.run(job.function))
            except Exception as exc:  # noqa: BLE001 - whoever waits for it gets it
                job.outcome.set_exception(exc)
        self._task = None

    def _next(self) -> _Job:
        client = next(iter(self._waiting))
        jobs = self._waiting.pop(client)
        job = jobs.pop()
        if jobs:
            # Back to the end of the row.
            self._waiting[client] = jobs
        return job

    def _give_up_one(self) -> None:
        client = max(self._waiting, key=lambda name: len(self._waiting[name]))
        jobs = self._waiting[client]
        jobs.pop(0).outcome.set_exception(BusyError())
        if not jobs:
            del self._waiting[client]
