"""What HTTP costs the exporter for each page, beside what its libraries cost alone."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.asking import KINDS
from benchmarks.bench import Bench
from benchmarks.programs import python
from benchmarks.report import Row

_PAGES: Final = 2000
_BAR_US: Final = 500.0
_ENCRYPTIONS: Final = {"plain": "no TLS", "tls": "TLS 1.3"}
_FIGURE: Final = "CPU of HTTP per page over a kept connection, {}"


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the CPU time of a page over a kept connection, plain and encrypted, of each kind of client."""
    for encryption, words in _ENCRYPTIONS.items():
        with python("canned", "benchmarks.canned", encryption, log=bench.log("canned")).ready() as server:
            where = (str(server.port), *filter(None, [str(server.told["authority"])]))
            for kind in KINDS:
                rounds = _rounds(bench, kind, where)
                raw, n, us = {"us": rounds}, _PAGES * len(rounds), statistics.median(rounds)
                figure = _FIGURE.format(words)
                if kind == "client":
                    yield Row.at_most(f"http-{encryption}", figure, us, _BAR_US, unit="us", n=n, raw=raw)
                else:
                    yield Row(
                        f"http-{encryption}-{kind}", f"{figure}, by {kind} alone", value=us, unit="us", n=n, raw=raw
                    )


def _rounds(bench: Bench, kind: str, where: Sequence[str]) -> list[float]:
    bench.say(f"pages by {kind}")
    with python("asking", "benchmarks.asking", kind, *where, log=bench.log("asking")).ready() as asking:
        return [asking.ask(pages=_PAGES)["cpu_ns"] / _PAGES / 1e3 for _ in range(bench.effort.rounds)]
