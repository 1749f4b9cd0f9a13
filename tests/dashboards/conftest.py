"""The Prometheus servers that the dashboards' queries are asked of."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dashboards import worlds
from tests.dashboards.expansion import Variable
from tests.dashboards.looking import World, look
from tests.dashboards.prometheus_server import Prometheus
from tests.programs import skip_without
from tools.pictures.sample.lines import every_line
from tools.pictures.sample.server import made_blocks, serving
from tools.pictures.sample.story import HOUR


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory):
    """Return what serves lines under a name; of several test processes one makes the blocks and each serves a copy."""
    skip_without("prometheus", "promtool")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    @contextmanager
    def serve_lines(name: str, lines: Callable[[], Iterable[str]]) -> Iterator[Prometheus]:
        own = tmp_path_factory.mktemp(name) / "data"
        shutil.copytree(_made_once(shared / f"history-{name}", lines), own)
        with serving(own) as address:
            yield Prometheus(address)

    return serve_lines


def _made_once(folder: Path, lines: Callable[[], Iterable[str]]) -> Path:
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        if not made.exists():
            folder.mkdir()
            made_blocks(lines(), folder).rename(made)
    return made


@pytest.fixture(scope="session")
def usual(serve):
    story = worlds.usual()
    with serve("usual", lambda: worlds.usual_lines(story)) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def eventful(serve):
    story = worlds.eventful()
    with serve("eventful", lambda: worlds.eventful_lines(story)) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def empty(serve):
    with serve("empty", lambda: ["# EOF\n"]) as server:
        yield World(worlds.eventful(), server, look(worlds.RANGE, automation=Variable("")))


@pytest.fixture(scope="session")
def troubled(serve):
    with serve("troubled", worlds.troubled_lines) as server:
        yield World(worlds.eventful(), server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def unruled(serve):
    with serve("unruled", worlds.unruled_lines) as server:
        yield World(worlds.eventful(), server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def gone(serve):
    story = worlds.eventful()
    with serve("gone", lambda: worlds.gone_lines(story)) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def crowd(serve):
    story = worlds.crowd(1_000)
    with serve("crowd", lambda: every_line(story)) as server:
        yield World(story, server, look(HOUR, automation=Variable(story.automations[0].id)))
