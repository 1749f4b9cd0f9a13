"""`python -m benchmarks.profiling`: where the time of one sweep and of one scrape storm goes, sampled by py-spy.

It samples the programs of the benchmarks from outside, so that what is measured is not slowed down.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import exporters
from benchmarks.bench import Bench
from benchmarks.measure import wait_until
from benchmarks.programs import MissingToolError, Program
from benchmarks.scraper import Request, Scraper
from benchmarks.workload import Workload

_SWEEP: Final = Workload(links=512 * 200, each=200)
_STORM: Final = Workload(links=100_000)
_RATE: Final = 200
"""Samples a second."""
_STORM_SECONDS: Final = 8
_SWEEP_SECONDS: Final = 8
_PARTS: Final = 10
_LINE: Final = re.compile(r":\d+\)$")
_WAITING: Final = frozenset(
    {
        "Condition.wait (threading.py)",
        "EpollSelector.select (selectors.py)",
        "_DeadlineSocket.recv_into (exporter/sendgrid/transport.py)",
        "poll_wait_for_socket.<locals>.do_poll (urllib3/util/wait.py)",
        "main (benchmarks/ours.py)",
    }
)
"""Where threads wait for others; py-spy cannot tell on every kernel that they do not run."""


class Profile(NamedTuple):
    """Shares of the samples of running threads, largest first."""

    samples: int
    by_package: Sequence[tuple[str, int]]
    by_function: Sequence[tuple[str, int]]

    def to_markdown(self, title: str) -> str:
        """Return both tables."""
        lines = [f"**{title}** ({self.samples} samples)", "", "| package | share |", "|---|---|"]
        lines += [f"| {name} | {count / self.samples:.0%} |" for name, count in self.by_package]
        lines += ["", "| function | share |", "|---|---|"]
        lines += [f"| `{name}` | {count / self.samples:.0%} |" for name, count in self.by_function]
        return "\n".join(lines)


def summed(stacks: Iterable[str]) -> Profile:
    """Return the profile of py-spy's raw output: frames from the outermost on, then a number."""
    functions: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        function = _LINE.sub(")", stack.rsplit(";", 1)[-1])
        if function not in _WAITING:
            functions[function] += int(count)
    packages: Counter[str] = Counter()
    for function, samples in functions.items():
        packages[_package(function)] += samples
    return Profile(packages.total(), packages.most_common(_PARTS), functions.most_common(_PARTS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both profiles, and write them where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the tables")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        bench = Bench(Path(folder))
        text = "\n\n".join([_sweep(bench), _storm(bench)]) + "\n"
    sys.stdout.write(text)
    if options.markdown is not None:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(text)
    return 0


def _sweep(bench: Bench) -> str:
    bench.say("profile of a sweep")
    api = exporters.start_api(bench, _SWEEP, latency=0.05)
    with (
        api.program,
        exporters.start_exporter(bench, api, _SWEEP, interval=3600, concurrency=16) as exporter,
    ):
        profile = _sampled(bench, exporter, _SWEEP_SECONDS, lambda: time.sleep(0.1))
    return profile.to_markdown("One sweep, 512 automations x 4 pages, 50 ms, concurrency 16")


def _storm(bench: Bench) -> str:
    bench.say("profile of a scrape storm")
    with bench.ours(_STORM).ready() as ours:
        ours.ask(do="stir", on=True)
        scraper = Scraper(ours.port, Request())
        profile = _sampled(bench, ours, _STORM_SECONDS, scraper.scrape)
    return profile.to_markdown("A storm of gzip scrapes, 100k series, our own metrics changed before each")


def _sampled(bench: Bench, program: Program, seconds: int, work: Callable[[], object]) -> Profile:
    """Sample the program while the work is done over and over."""
    output = bench.folder / f"{program.name}.stacks"
    argv = [_py_spy(), "record", "--format", "raw", "--rate", str(_RATE), "--duration", str(seconds)]
    argv += ["--output", str(output), "--pid", str(program.pid)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampler:
        try:
            while sampler.poll() is None:
                work()
        finally:
            sampler.terminate()
    wait_until(output.is_file, 10, "py-spy's output")
    return summed(output.read_text().splitlines())


def _py_spy() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.is_file() else shutil.which("py-spy")
    if found is None:
        raise MissingToolError("the profiles need py-spy: pip install py-spy")
    return found


def _package(function: str) -> str:
    """Return the package of a function that is written as `function (package/module.py)`."""
    parts = function.rpartition("(")[2].removesuffix(")").removesuffix(".py").split("/")
    return ".".join(parts[:2]) if parts[0] == "exporter" else parts[0]


if __name__ == "__main__":
    raise SystemExit(main())
