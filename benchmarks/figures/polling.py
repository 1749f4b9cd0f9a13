"""What polling keeps up with, and what it does to scrapes meanwhile."""

import statistics
from collections.abc import Iterator
from typing import Final

from benchmarks import exporters
from benchmarks.bench import Bench
from benchmarks.report import Row
from benchmarks.scraper import KeptConnection, Request
from benchmarks.workload import Workload

_AUTOMATIONS: Final = 512
_PAGES: Final = 4
_PAGE_ROWS: Final = 50
_LATENCY: Final = 0.05
_CONCURRENCY: Final = 16
_SMALL: Final = Request(query="?name[]=automation_total_clicks", keep_alive=True)
_SCRAPES: Final = 2_000
_FLAT_OUT_AUTOMATIONS: Final = 64
_FLAT_OUT_LINKS: Final = 1000
"""Twenty pages of each automation every second: more than can be polled, so that no worker ever pauses."""


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the sweep's rate and the latencies of scrapes."""
    yield _sweep(bench)
    yield from _latencies(bench)


def _sweep(bench: Bench) -> Row:
    automations = 64 if bench.quick else _AUTOMATIONS
    workload = Workload(automations * _PAGES * _PAGE_ROWS, _PAGES * _PAGE_ROWS)
    requests = automations * _PAGES
    spans = []
    for number in range(1 if bench.quick else 3):
        bench.say(f"sweep {number + 1} of {automations} automations")
        api = exporters.start_api(bench, workload, latency=_LATENCY)
        with (
            api.program,
            exporters.start_exporter(bench, api, workload, interval=3600, concurrency=_CONCURRENCY) as exporter,
        ):
            exporters.wait_ready(exporter, 120)
            done = exporters.value_of(exporter, 'sendgrid_exporter_polls_total{outcome="success"}')
            span = api.span(requests)
            if done != automations or span is None:
                raise OSError(f"a sweep published {done:.0f} of {automations} automations")
            spans.append(span + _LATENCY)
    ideal = requests * _LATENCY / _CONCURRENCY
    shares = [ideal / span * 100 for span in spans]
    figure = (
        f"sweep of {automations} automations x {_PAGES} pages, 50 ms, concurrency {_CONCURRENCY}: of the ideal rate"
    )
    raw = {"ideal_seconds": ideal, "seconds": spans}
    return Row.at_least("sweep", figure, statistics.median(shares), 92, unit="%", n=requests * len(spans), raw=raw)


def _latencies(bench: Bench) -> Iterator[Row]:
    scrapes = 300 if bench.quick else _SCRAPES
    figure = "p99 of a small scrape while polls run flat out"
    quiet, loaded, polls = _idle_and_polling(bench, _LATENCY, scrapes)
    raw: dict[str, object] = {"idle_ms": quiet, "polling_ms": loaded, "polls_meanwhile": polls}
    yield Row.at_most("p99", figure, loaded["p99"], 20, unit="ms", n=scrapes, raw=raw)
    yield Row.at_most("p99-idle", f"{figure}, against idle", loaded["p99"] / quiet["p99"], 6, n=scrapes, raw=raw)
    quiet, loaded, polls = _idle_and_polling(bench, 0.0, scrapes)
    raw = {"idle_ms": quiet, "polling_ms": loaded, "polls_meanwhile": polls}
    figure = "the same, of an API that answers at once: both processors are full"
    yield Row("p99-full", figure, value=loaded["p99"], unit="ms", n=scrapes, raw=raw)


def _idle_and_polling(bench: Bench, latency: float, scrapes: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Return the times of scrapes, idle and while every worker polls without a pause, and the polls meanwhile."""
    bench.say(f"latencies, idle and while polls run flat out, of an API that takes {latency:g} s")
    workload = Workload(_FLAT_OUT_AUTOMATIONS * _FLAT_OUT_LINKS)
    api = exporters.start_api(bench, workload, latency=latency)
    with (
        api.program,
        exporters.start_exporter(bench, api, workload, interval=3600, concurrency=_CONCURRENCY) as idle,
    ):
        exporters.wait_ready(idle, 60)
        quiet = _p99(idle.port, scrapes)
        with exporters.start_exporter(bench, api, workload, interval=1, concurrency=_CONCURRENCY) as busy:
            exporters.wait_ready(busy, 60)
            before = exporters.value_of(busy, 'sendgrid_exporter_polls_total{outcome="success"}')
            loaded = _p99(busy.port, scrapes)
            polls = exporters.value_of(busy, 'sendgrid_exporter_polls_total{outcome="success"}') - before
    return quiet, loaded, polls


def _p99(port: int, scrapes: int) -> dict[str, float]:
    connection = KeptConnection(port, _SMALL)
    try:
        connection.timed()
        times = sorted(connection.timed() * 1e3 for _ in range(scrapes))
    finally:
        connection.close()
    return {"median": statistics.median(times), "p99": times[int(len(times) * 0.99)], "max": times[-1]}
