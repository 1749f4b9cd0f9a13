"""A history with the server that has it, and what a reader looks at."""

from typing import NamedTuple

from tests.dashboards import worlds
from tests.dashboards.boards import Target
from tests.dashboards.expansion import ALL, Variable, View, expand
from tests.dashboards.prometheus_server import Prometheus, Series
from tools.pictures.sample.story import Story


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
