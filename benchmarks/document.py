"""`python -m benchmarks.document`: bring docs/performance.md and its charts to what the committed run measured.

Only what is between the markers is written; no figure is in the page that a run did not measure.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.chart import Points, line_chart
from benchmarks.report import Report, Row
from benchmarks.workload import SIZES

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results" / "full.json"
PAGE: Final = ROOT / "docs" / "performance.md"
CHARTS: Final = ROOT / "docs" / "images"

_NOT_YET: Final = "*Not measured yet: `make bench` fills this part.*"
_HEADLINES: Final = (
    "gzip-gauge-100k",
    "gzip-collector-100k",
    "gzip-golang-100k",
    "plain-gauge-100k",
    "gzip-nginx-100k",
    "gzip-nginx-1M",
    "own-metrics-100k",
    "own-metrics-changed-100k",
    "memory-1M",
    "memory-changed-1M",
    "memory-gauge-1M",
    "slow-readers-1M",
    "idle-memory",
    "cold-start",
    "page",
    "page-equal",
    "http-plain",
    "http-tls",
    "change-1M",
    "lock",
    "sweep",
    "p99-idle",
    "prometheus",
)
"""The rows that the page has, besides every one whose target was missed; the results have them all."""
_LANES: Final = {
    "prometheus_client Gauge": ("gzip-gauge-{}", "gauge"),
    "custom collector": ("gzip-collector-{}", "collector"),
    "client_golang": ("gzip-golang-{}", "golang"),
    "this exporter": ("gzip-gauge-{}", "ours"),
    "without own metrics": ("gzip-nginx-{}", "ours filtered"),
    "nginx, static file": ("gzip-nginx-{}", "nginx"),
}
_SPREADS: Final = ("automations", "scrapers", "shards")


def render(page: str, report: Report | None) -> str:
    """Return the page with what is between its markers made from the report."""
    parts = {"table": _NOT_YET, "machine": _NOT_YET, "growth": _NOT_YET}
    if report is not None:
        parts |= {"table": _headlines(report), "machine": _machine(report), "growth": _growth(report)}
    for name, text in parts.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if begin not in page or end not in page:
            raise ValueError(f"the page has no markers for {name}: {begin.strip()} and {end}")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def charts(report: Report) -> dict[str, str]:
    """Return the charts by their file's name."""
    links = {name: points for name, lane in _LANES.items() if (points := _by_links(report, *lane))}
    spread = {name: points for name in _SPREADS if (points := _by_number(report, name))}
    drawn = {}
    if links:
        drawn["scrape-by-links.svg"] = line_chart(
            "CPU of one gzip scrape, by link series", "link series", "milliseconds of CPU", links
        )
    if spread:
        drawn["scrape-by-spread.svg"] = line_chart(
            "CPU of a gzip scrape, by how the same links are spread", "number of them", "milliseconds of CPU", spread
        )
    return drawn


def committed() -> Report | None:
    """Return the committed run, None before there is one."""
    return Report.from_json(RESULTS.read_text()) if RESULTS.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and its charts; return 1 with `--check` where they were not as they should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.document", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, tell whether anything would change")
    options = parser.parse_args(arguments)
    report = committed()
    wanted = {PAGE: render(PAGE.read_text(), report)}
    wanted |= {CHARTS / name: text for name, text in (charts(report) if report else {}).items()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    if not options.check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
    for path in stale:
        print(
            f"{path.relative_to(ROOT)} {'is stale: run python -m benchmarks.document' if options.check else 'written'}"
        )
    return 1 if options.check and stale else 0


def _headlines(report: Report) -> str:
    rows = [row for row in report.rows if row.id in _HEADLINES or row.met is False]
    return Report(report.machine, tuple(rows), report.seconds).to_markdown()


def _machine(report: Report) -> str:
    lines = [f"- {name}: {value}" for name, value in report.machine.items()]
    return "\n".join([*lines, f"- the whole run: {report.seconds / 60:.0f} minutes"])


def _growth(report: Report) -> str:
    lines = [f"![{name.removesuffix('.svg').replace('-', ' ')}](images/{name})" for name in charts(report)]
    return "\n\n".join(lines) or _NOT_YET


def _by_links(report: Report, id_: str, lane: str) -> Points:
    rows = {row.id: row for row in report.rows}
    found = ((links, _median(rows.get(id_.format(size)), lane)) for size, links in SIZES.items())
    return [(float(links), median) for links, median in found if median]


def _median(row: Row | None, lane: str) -> float:
    measured: Mapping[str, Any] = row.raw.get(lane, {}) if row else {}
    return float(measured.get("median_ms", 0.0))


def _by_number(report: Report, spread: str) -> Points:
    start = f"growth-{spread}-"
    rows = [row for row in report.rows if row.id.startswith(start) and row.value]
    return sorted((float(row.id.removeprefix(start)), row.value or 0.0) for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
