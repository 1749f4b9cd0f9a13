import asyncio
import threading

import pytest

from exporter.web.handlers import Reloads
from exporter.web.toolkit.worker import Worker, WorkerStoppedError
from tests.web.support import FakeReloader

pytestmark = pytest.mark.e2e


@pytest.fixture
def worker():
    worker = Worker("test-worker")
    yield worker
    worker.stop()
    worker.join(5)


def test_function_runs_in_the_thread_one_after_the_other(worker):
    async def run():
        return await asyncio.gather(*[worker.run(lambda: threading.current_thread().name) for _ in range(3)])

    assert asyncio.run(run()) == ["test-worker"] * 3


def test_error_is_raised_to_the_caller(worker):
    def explode():
        raise KeyError("a")

    with pytest.raises(KeyError):
        asyncio.run(worker.run(explode))


def test_stop_drops_what_has_not_begun(worker):
    async def run():
        held, begun = threading.Event(), threading.Event()
        first = asyncio.create_task(worker.run(lambda: begun.set() or held.wait(10)))
        second = asyncio.create_task(worker.run(lambda: True))
        await asyncio.sleep(0)
        begun.wait(10)
        worker.stop()
        held.set()
        return await asyncio.gather(first, second, worker.run(lambda: True), return_exceptions=True)

    first, second, third = asyncio.run(run())

    assert first is True
    assert isinstance(second, WorkerStoppedError)
    assert isinstance(third, WorkerStoppedError)


def test_outcome_that_nobody_waits_for_is_dropped(worker):
    async def run():
        held = threading.Event()
        task = asyncio.create_task(worker.run(lambda: held.wait(10)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        held.set()
        return await worker.run(lambda: "next")

    assert asyncio.run(run()) == "next"


def test_outcome_after_the_loops_end_is_dropped(worker):
    held = threading.Event()

    async def run():
        task = asyncio.create_task(worker.run(lambda: held.wait(10)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    held.set()
    worker.stop()
    worker.join(5)

    assert not any(thread.name == "test-worker" for thread in threading.enumerate())


def test_reload_while_stopping_says_so(worker):
    worker.stop()

    async def run():
        return await Reloads(FakeReloader(), worker).reload()

    assert asyncio.run(run()) == ("the exporter is stopping",)
