"""`python -m benchmarks`: measure the exporter against its peers and print one table."""

import argparse
import fnmatch
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.bench import Bench
from benchmarks.figures import exchanges, growth, ingest, memory, polling, processes, scrapes, validity
from benchmarks.machine import describe
from benchmarks.report import Report, Row

_GROUPS: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {
    "scrapes": scrapes.measure,
    "memory": memory.measure,
    "processes": processes.measure,
    "ingest": ingest.measure,
    "exchanges": exchanges.measure,
    "polling": polling.measure,
    "automations": growth.automations,
    "scrapers": growth.scrapers,
    "shards": growth.shards,
    "validity": validity.measure,
}
_IDS: Final[Mapping[str, Sequence[str]]] = {
    "scrapes": ("gzip-*", "own-metrics-*", "plain-*", "memory-gauge-*", "memory-collector-*", "memory-golang-*"),
    "memory": ("memory-*", "slow-readers-*"),
    "processes": ("idle-memory*", "cold-start*"),
    "ingest": ("page", "page-equal", "change-*", "lock"),
    "exchanges": ("http-*",),
    "polling": ("sweep", "p99", "p99-idle", "p99-full"),
    "automations": ("growth-automations-*",),
    "scrapers": ("growth-scrapers-*",),
    "shards": ("growth-shards-*",),
    "validity": ("prometheus",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; return 1 where a target was missed or a group failed."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGALRM, _expired)
    signal.signal(signal.SIGTERM, _expired)
    signal.alarm(options.timeout)
    begun = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        failed = _measure(Bench(Path(folder), quick=options.quick), options.rows, rows)
    report = Report(describe(), tuple(rows), time.monotonic() - begun)
    if options.update and options.json is not None and options.json.exists():
        report = Report.from_json(options.json.read_text()).updated(report)
    sys.stdout.write(report.to_text())
    for path, text in ((options.json, report.to_json()), (options.text, report.to_text())):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return 1 if report.missed or failed else 0


def _measure(bench: Bench, wanted: Sequence[str], rows: list[Row]) -> Sequence[str]:
    """Add the rows that are wanted; return the groups that failed, whose loss must not be that of all."""
    failed = []
    for group, measure in _GROUPS.items():
        if _selected(group, wanted):
            try:
                rows += [row for row in measure(bench) if not wanted or group in wanted or _matches(row.id, wanted)]
            except (OSError, RuntimeError, ValueError) as exc:
                bench.say(f"the group {group} failed: {exc}")
                failed.append(group)
    return failed


def _selected(group: str, wanted: Sequence[str]) -> bool:
    """Tell whether any row of the group may be wanted: by the group's name, a row's id or a pattern of ids."""
    return not wanted or group in wanted or any(_overlap(pattern, id_) for pattern in wanted for id_ in _IDS[group])


def _overlap(pattern: str, id_: str) -> bool:
    return fnmatch.fnmatch(pattern, id_) or fnmatch.fnmatch(id_, pattern)


def _matches(id_: str, wanted: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(id_, pattern) for pattern in wanted)


def _expired(number: int, _: object) -> None:
    raise SystemExit(f"the benchmarks were ended by {signal.Signals(number).name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help=f"groups ({', '.join(_GROUPS)}), ids or patterns of ids"
    )
    parser.add_argument(
        "--quick", action="store_true", help="1k and 10k links only, fewer scrapes: minutes less, rougher"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON, raw medians included")
    parser.add_argument("--text", type=Path, metavar="FILE", help="also write the table")
    parser.add_argument(
        "--update", action="store_true", help="put the rows in place of those in the JSON, and keep its others"
    )
    parser.add_argument(
        "--timeout", type=int, default=3600, help="seconds after which to give up (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
