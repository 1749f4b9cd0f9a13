"""The peer (b): a custom collector over plain tuples behind prometheus_client's own server."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from benchmarks.peers.input import Arguments, arguments, serve
from benchmarks.workload import CLICKS, INFO, TOTAL, read


class Links(Collector):
    """Makes the families anew for every scrape, as collectors do."""

    def __init__(self, given: Arguments) -> None:
        self._helps = given.helps
        self._rows = tuple(read(given.rows))
        self._totals: Counter[str] = Counter()
        for automation_id, row in self._rows:
            self._totals[automation_id] += row.clicks

    def collect(self) -> Iterator[GaugeMetricFamily]:
        info = GaugeMetricFamily(INFO, self._helps[INFO], labels=["automation_id", "name"])
        total = GaugeMetricFamily(TOTAL, self._helps[TOTAL], labels=["automation_id"])
        for automation_id, clicks in self._totals.items():
            info.add_metric([automation_id, automation_id], 1)
            total.add_metric([automation_id], clicks)
        names = ["automation_id", "step_id", "url", "url_location"]
        links = GaugeMetricFamily(CLICKS, self._helps[CLICKS], labels=names)
        for automation_id, row in self._rows:
            links.add_metric([automation_id, row.step_id, row.url, row.url_location], row.clicks)
        yield from (info, links, total)


def registry(given: Arguments) -> CollectorRegistry:
    """Return a registry with the collector."""
    held = CollectorRegistry()
    held.register(Links(given))
    return held


if __name__ == "__main__":
    serve(registry(arguments()))
