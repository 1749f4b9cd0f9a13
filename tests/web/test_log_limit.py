import asyncio
import logging

import pytest

from exporter.logs import LogLimit

pytestmark = pytest.mark.unit


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be put forward."""

    skipped = 0.0

    def time(self):
        return super().time() + self.skipped


@pytest.fixture
def loop():
    loop = SkippingLoop()
    yield loop
    loop.close()


def lines(caplog):
    return [record.getMessage() for record in caplog.records]


def test_flood_is_some_lines_and_one_with_the_number_of_the_others(loop, caplog):
    async def flood():
        limit = LogLimit(logging.getLogger("test"), logging.WARNING, "failed logins", lines=2)
        for minute in range(2):
            for number in range(100):
                limit.log("minute %d, number %d", minute, number)
            loop.skipped += 61
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    loop.run_until_complete(flood())

    assert lines(caplog) == [
        "minute 0, number 0",
        "minute 0, number 1",
        "failed logins: 98 more within 60 seconds",
        "minute 1, number 0",
        "minute 1, number 1",
        "failed logins: 98 more within 60 seconds",
    ]


def test_few_lines_are_written_as_they_are(loop, caplog):
    async def two_lines():
        limit = LogLimit(logging.getLogger("test"), logging.WARNING, "failed logins", lines=2)
        limit.log("first")
        limit.log("second")
        loop.skipped += 61
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(two_lines())

    assert lines(caplog) == ["first", "second"]
