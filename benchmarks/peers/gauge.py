"""The peer (a): prometheus_client's labelled Gauge behind the library's own server."""

from prometheus_client import CollectorRegistry, Gauge

from benchmarks.peers.input import Arguments, arguments, serve
from benchmarks.workload import CLICKS, INFO, TOTAL, read


def registry(given: Arguments) -> CollectorRegistry:
    """Return a registry with a child for each link."""
    held = CollectorRegistry()
    info = Gauge(INFO, given.helps[INFO], ["automation_id", "name"], registry=held)
    clicks = Gauge(CLICKS, given.helps[CLICKS], ["automation_id", "step_id", "url", "url_location"], registry=held)
    total = Gauge(TOTAL, given.helps[TOTAL], ["automation_id"], registry=held)
    for automation_id, row in read(given.rows):
        info.labels(automation_id, automation_id).set(1)
        clicks.labels(automation_id, row.step_id, row.url, row.url_location).set(row.clicks)
        total.labels(automation_id).inc(row.clicks)
    return held


if __name__ == "__main__":
    serve(registry(arguments()))
