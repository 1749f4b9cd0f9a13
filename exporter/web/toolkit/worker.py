"""One thread for what would block the server's event loop."""

import asyncio
import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """Too much work waits before this one."""


class WorkerStoppedError(Exception):
    """The worker's thread is stopping, so the work was not done."""


class Worker:
    """A thread that runs one function after the other.

    It is a daemon, unlike an executor's threads: a function that hangs must not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False

    async def run(self, function: Callable[[], T]) -> T:
        """Run the function in the thread and return what it returns, or raise what it raises, or WorkerStoppedError."""
        if self._stopped:
            raise WorkerStoppedError
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: _run(lambda: self._unless_stopped(function), loop, future))
        return await future

    def stop(self) -> None:
        """Let the thread end after what it does now, without waiting for it."""
        self._stopped = True
        self._jobs.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread.

        A thread inside bcrypt's or pydantic's native code when the interpreter ends would abort the process.
        """
        if self._thread is not None:
            self._thread.join(timeout)

    def _unless_stopped(self, function: Callable[[], T]) -> T:
        if self._stopped:
            raise WorkerStoppedError
        return function()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _run(function: Callable[[], T], loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]") -> None:
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    try:
        outcome.set_result(function())
    except Exception as exc:  # noqa: BLE001 - the caller on the loop gets it
        outcome.set_exception(exc)
    # Where the loop was closed meanwhile, no one waits for the outcome any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, future, outcome)


def _settle(future: "asyncio.Future[T]", outcome: "concurrent.futures.Future[T]") -> None:
    if future.done():
        return
    error = outcome.exception()
    if error is None:
        future.set_result(outcome.result())
    else:
        future.set_exception(error)
