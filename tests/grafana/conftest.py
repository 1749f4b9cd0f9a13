"""The Prometheus servers that the dashboards' queries are asked of."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from grafana.sample.lines import every_line
from grafana.sample.server import made_blocks, serving
from grafana.sample.story import HOUR, Story
from tests.grafana import worlds
from tests.grafana.boards import Target
from tests.grafana.expansion import ALL, Variable, View, expand
from tests.grafana.prometheus_server import Prometheus, Series


class World(NamedTuple):
    """A history, the server that has it, and what the reader looks at."""

    story: Story
    server: Prometheus
    view: View

    def answer(self, target: Target) -> list[Series]:
        """Return what the panel gets."""
        query = expand(target.target["expr"], target.panel, self.view)
        if target.target["instant"]:
            return self.server.instant(query, self.view.end)
        step = self.view.interval(target.panel)
        return self.server.over_time(query, self.view.start, self.view.end, step)


def look(span: float, **changed: Variable) -> View:
    """Return a view of the newest part of a history with everything chosen."""
    chosen = {
        "job": Variable([ALL], all_value=".+", multi=True),
        "automation": Variable(worlds.WELCOME),
        "step": Variable([ALL], all_value=".*", multi=True),
        "url": Variable(ALL, all_value=".*"),
    }
    return View(worlds.END - span, worlds.END, {**chosen, **changed}, scrape_interval=300)


@contextmanager
def _served(lines: Iterable[str], folder: Path) -> Iterator[Prometheus]:
    with serving(made_blocks(lines, folder)) as address:
        yield Prometheus(address)


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    story = worlds.usual()
    with _served(worlds.usual_lines(story), tmp_path_factory.mktemp("usual")) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    story = worlds.eventful()
    with _served(worlds.eventful_lines(story), tmp_path_factory.mktemp("eventful")) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with _served(["# EOF\n"], tmp_path_factory.mktemp("empty")) as server:
        yield World(worlds.eventful(), server, look(worlds.RANGE, automation=Variable("")))


@pytest.fixture(scope="session")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    story = worlds.eventful()
    with _served(worlds.gone_lines(story), tmp_path_factory.mktemp("gone")) as server:
        yield World(story, server, look(worlds.RANGE))


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    story = worlds.crowd(1_000)
    with _served(every_line(story), tmp_path_factory.mktemp("crowd")) as server:
        yield World(story, server, look(HOUR, automation=Variable(story.automations[0].id)))
