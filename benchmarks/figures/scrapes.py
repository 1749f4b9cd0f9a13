"""What a scrape costs, against the usual ways and against a static file."""

import contextlib
import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.bench import Bench
from benchmarks.content import Content, content, help_texts
from benchmarks.measure import Costs, Lane, in_turn
from benchmarks.peers import static
from benchmarks.programs import MissingToolError, Program
from benchmarks.report import Row
from benchmarks.scraper import OWN_FAMILIES_LEFT_OUT, TEXT, Request, fetch
from benchmarks.workload import Workload

GZIP: Final = Request()
PLAIN: Final = Request(compressed=False)
FILTERED: Final = Request(query=OWN_FAMILIES_LEFT_OUT)
PEERS: Final = {
    "gauge": "(a) prometheus_client Gauge",
    "collector": "(b) custom collector",
    "golang": "(c) client_golang",
}

_GZIP_BARS: Final[Mapping[str, Mapping[str, float]]] = {
    "gauge": {"1k": 10, "10k": 80, "100k": 800, "1M": 1500},
    "collector": {},
    "golang": {"1k": 3, "10k": 30, "100k": 300, "1M": 600},
}
_NGINX_BARS: Final = {"100k": 2, "1M": 1.5}
_PLAIN_BARS: Final = {"100k": 25, "1M": 25}
_OWN_BAR_MS: Final = 0.3
_OWN_CHANGED_BAR_MS: Final = 0.6


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of all sizes."""
    for size, links in bench.sizes.items():
        bench.say(f"scrapes of {size} links")
        yield from _of_size(bench, size, Workload(links))


def _of_size(bench: Bench, size: str, workload: Workload) -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(bench.ours(workload)).ready()
        body = fetch(ours.port, GZIP)
        rows, helps = bench.input(workload, help_texts(body))
        wanted = content(body)
        _same(content(fetch(ours.port, PLAIN)), wanted, "our plain scrape")
        peers: dict[str, Program] = {}
        for name, title in PEERS.items():
            try:
                peers[name] = stack.enter_context(bench.peer(name, rows, helps)).ready()
                _same(content(fetch(peers[name].port, GZIP)), wanted, name)
            except MissingToolError as exc:
                yield Row.missing(f"gzip-{name}-{size}", f"gzip scrape, {size}: CPU less than {title}", str(exc))
        lanes = _lanes(ours, peers)
        try:
            lanes.append(Lane("nginx", stack.enter_context(_nginx(bench, size, ours)), FILTERED))
        except MissingToolError as exc:
            yield Row.missing(
                f"gzip-nginx-{size}", f"gzip scrape without own metrics, {size}: CPU against (d) nginx", str(exc)
            )
        yield from _rows(size, in_turn(lanes, bench.effort, bench.say))
        idle = _idle_memory(bench, tuple(peers), helps)
        for name, program in peers.items():
            yield _memory(name, size, program, idle[name], workload.links)


def _lanes(ours: Program, peers: Mapping[str, Program]) -> list[Lane]:
    return [
        Lane("ours", ours, GZIP, {"do": "stir", "on": False}),
        Lane("ours changed", ours, GZIP, {"do": "stir", "on": True}),
        Lane("ours filtered", ours, FILTERED, {"do": "stir", "on": False}),
        Lane("ours plain", ours, PLAIN),
        *(Lane(name, program, GZIP) for name, program in peers.items()),
        Lane("gauge plain", peers["gauge"], PLAIN),
    ]


def _rows(size: str, costs: Costs) -> Iterator[Row]:
    for name, title in PEERS.items():
        if name in costs.nanoseconds:
            row = Row(f"gzip-{name}-{size}", f"gzip scrape, {size}: CPU less than {title}")
            yield _times_less(row, costs, (name, "ours"), _GZIP_BARS[name].get(size))
    if "nginx" in costs.nanoseconds:
        yield _against_nginx(size, costs)
    yield from _own_metrics(size, costs)
    row = Row(f"plain-gauge-{size}", f"plain scrape, {size}: CPU less than {PEERS['gauge']}")
    yield _times_less(row, costs, ("gauge plain", "ours plain"), _PLAIN_BARS.get(size))


def _times_less(row: Row, costs: Costs, lanes: tuple[str, str], bar: float | None) -> Row:
    """Return the row with how many times the second lane costs less than the first."""
    value, n, raw = costs.ratio(*lanes), costs.scrapes[lanes[1]], _raw(costs, *lanes)
    if bar is None:
        return Row(row.id, row.figure, value=value, unit="x", n=n, raw=raw)
    return Row.at_least(row.id, row.figure, value, bar, n=n, raw=raw)


def _against_nginx(size: str, costs: Costs) -> Row:
    id_, figure = f"gzip-nginx-{size}", f"gzip scrape without own metrics, {size}: CPU against (d) nginx"
    value, n, raw = costs.ratio("ours filtered", "nginx"), costs.scrapes["nginx"], _raw(costs, "ours filtered", "nginx")
    bar = _NGINX_BARS.get(size)
    if bar is None:
        return Row(id_, figure, value=value, unit="x", n=n, raw=raw)
    return Row.at_most(id_, figure, value, bar, n=n, raw=raw)


def _own_metrics(size: str, costs: Costs) -> Iterator[Row]:
    for lane, id_, when, bar in (
        ("ours", "own-metrics", "nothing was polled since the last scrape", _OWN_BAR_MS),
        ("ours changed", "own-metrics-changed", "polls changed them since the last scrape", _OWN_CHANGED_BAR_MS),
    ):
        added = costs.milliseconds(lane) - costs.milliseconds("ours filtered")
        figure, raw = (
            f"gzip scrape, {size}: CPU that our own metrics add when {when}",
            _raw(costs, lane, "ours filtered"),
        )
        yield Row.at_most(f"{id_}-{size}", figure, added, bar, unit="ms", n=costs.scrapes[lane], raw=raw)


def _raw(costs: Costs, *lanes: str) -> dict[str, object]:
    return {
        lane: {
            "median_ms": costs.milliseconds(lane),
            "rounds_ms": [nanoseconds / 1e6 for nanoseconds in costs.nanoseconds[lane]],
            "scrapes": costs.scrapes[lane],
        }
        for lane in lanes
    }


def _same(found: Content, wanted: Content, who: str) -> None:
    if found != wanted:
        raise ValueError(f"{who} serves {found.samples} samples that are not the {wanted.samples} that we serve")


def _nginx(bench: Bench, size: str, ours: Program) -> Program:
    """Start nginx on the very bytes that our filtered scrape gives."""
    connection = http.client.HTTPConnection("127.0.0.1", ours.port, timeout=120)
    connection.request("GET", FILTERED.path + FILTERED.query, headers={"Accept": TEXT, "Accept-Encoding": "gzip"})
    compressed = connection.getresponse().read()
    connection.close()
    plain = fetch(ours.port, Request(compressed=False, query=OWN_FAMILIES_LEFT_OUT))
    return static.start(bench.folder / f"nginx-{size}", bench.log("nginx"), plain=plain, compressed=compressed)


def _idle_memory(bench: Bench, names: tuple[str, ...], helps: Path) -> dict[str, int]:
    """Return what each peer holds without any link, after a scrape of it."""
    empty = bench.folder / "rows-0.tsv"
    empty.write_text("")
    held = {}
    for name in names:
        with bench.peer(name, empty, helps).ready() as idle:
            fetch(idle.port, GZIP)
            held[name] = idle.resident()
    return held


def _memory(name: str, size: str, program: Program, idle: int, links: int) -> Row:
    rest, peak = program.resident() - idle, program.peak() - idle
    raw = {"idle_bytes": idle, "rest_bytes": rest, "peak_bytes": peak, "peak_per_series": peak / links}
    figure = f"memory a series of {PEERS[name]} after its scrapes, {size}"
    return Row(f"memory-{name}-{size}", figure, value=rest / links, unit="B", n=1, raw=raw)
