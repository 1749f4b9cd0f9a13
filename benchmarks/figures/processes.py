"""What the whole exporter needs before it does anything: memory and time."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks import exporters
from benchmarks.bench import Bench
from benchmarks.programs import Program
from benchmarks.report import Row
from benchmarks.scraper import Request, fetch
from benchmarks.workload import Workload

_SETTLE_SECONDS: Final = 5.0
_LINKS: Final = 10
_STARTS: Final = 9


@dataclass
class _Starts:
    """What several starts of one kind came to."""

    seconds: list[float]
    resident: int

    @property
    def raw(self) -> dict[str, object]:
        return {"seconds": self.seconds, "resident_bytes": self.resident}


def measure(bench: Bench) -> Iterator[Row]:
    """Yield memory and time to the first byte: with one automation, the same over TLS, and of the demo."""
    with ExitStack() as stack:
        api = exporters.start_api(bench, Workload(_LINKS, _LINKS), latency=0.0)
        stack.enter_context(api.program)
        usual = _starts(bench, lambda: exporters.start_alone(bench, api))
        # Nobody listens there: the authorities are read all the same, which is what takes the memory.
        encrypted = _starts(bench, lambda: exporters.start_alone(bench, api, base_url="https://127.0.0.1:9"), 1)
    demo = _starts(bench, lambda: exporters.start_demo(bench))
    figure = "idle process with one automation, polled and scraped"
    yield Row.at_most("idle-memory", figure, usual.resident / 1e6, 42, unit="MB", n=1, raw=usual.raw)
    figure = "idle process over TLS, with the system's and certifi's authorities"
    yield Row("idle-memory-tls", figure, value=encrypted.resident / 1e6, unit="MB", n=1, raw=encrypted.raw)
    yield Row.at_most(
        "idle-memory-demo", "idle demo, simulator included", demo.resident / 1e6, 55, unit="MB", n=1, raw=demo.raw
    )
    figure = "cold start of the installed command to the first /metrics byte"
    yield _time("cold-start", figure, usual, 0.35)
    yield _time("cold-start-demo", "cold start of the demo, simulator included", demo, 1.0)


def _time(id_: str, figure: str, starts: _Starts, bar: float) -> Row:
    median, n = statistics.median(starts.seconds), len(starts.seconds)
    return Row.at_most(id_, figure, median, bar, unit="s", n=n, raw=starts.raw)


def _starts(bench: Bench, start: Callable[[], Program], times: int = _STARTS) -> _Starts:
    found = _Starts([], 0)
    for number in range(1 if bench.quick else times):
        bench.say(f"cold start {number + 1}")
        begun = time.perf_counter()
        with start() as program:
            fetch(program.port, Request())
            found.seconds.append(time.perf_counter() - begun)
            if number == 0:
                time.sleep(_SETTLE_SECONDS)
                fetch(program.port, Request())
                found.resident = program.resident()
    return found
