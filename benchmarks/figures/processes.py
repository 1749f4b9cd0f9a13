"""What the whole exporter needs before it does anything: memory and time."""

import statistics
import time
from collections.abc import Iterator

from benchmarks import exporters
from benchmarks.bench import Bench
from benchmarks.report import Row
from benchmarks.scraper import Request, fetch

_SETTLE_SECONDS = 5.0


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the memory of the demo and the time to its first byte."""
    starts = []
    resident = 0
    for number in range(1 if bench.quick else 5):
        bench.say(f"cold start {number + 1}")
        begun = time.perf_counter()
        with exporters.start_demo(bench) as demo:
            fetch(demo.port, Request())
            starts.append(time.perf_counter() - begun)
            if number == 0:
                time.sleep(_SETTLE_SECONDS)
                fetch(demo.port, Request())
                resident = demo.resident()
    yield Row.at_most("idle-memory", "idle process, demo configuration", resident / 1e6, 55, unit="MB", n=1)
    figure = "cold start to the first /metrics byte (the demo, simulator included)"
    yield Row.at_most(
        "cold-start", figure, statistics.median(starts), 1.0, unit="s", n=len(starts), raw={"seconds": starts}
    )
