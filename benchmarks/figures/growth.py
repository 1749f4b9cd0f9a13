"""How the cost of a scrape grows with automations, scrapers and shards; growth with links is in the scrapes."""

import concurrent.futures
import contextlib
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.measure import Effort, Lane, in_turn
from benchmarks.programs import Program
from benchmarks.report import Row
from benchmarks.scraper import Request, Scraper
from benchmarks.workload import LINKS_EACH, Workload

_EACH: Final = (10_000, 1_000, 100)
_SCRAPERS: Final = (1, 4, 16)
_SHARDS: Final = (1, 2, 4)
_GZIP: Final = Request()


def automations(bench: Bench) -> Iterator[Row]:
    """Yield the cost of a scrape of the same links on few large automations and on many small ones."""
    size, links = _links(bench)
    with contextlib.ExitStack() as stack:
        lanes = [
            Lane(str(links // each), stack.enter_context(bench.ours(Workload(links, each))).ready(), _GZIP)
            for each in _EACH
        ]
        costs = in_turn(lanes, bench.effort, bench.say)
        for lane in lanes:
            raw = {"rounds_ms": [value / 1e6 for value in costs.nanoseconds[lane.name]], "links": links}
            figure = f"gzip scrape, {size} on {lane.name} automations: CPU"
            value, n = costs.milliseconds(lane.name), costs.scrapes[lane.name]
            yield Row(f"growth-automations-{lane.name}", figure, value=value, unit="ms", n=n, raw=raw)


def scrapers(bench: Bench) -> Iterator[Row]:
    """Yield the cost of one scrape while so many scrape at a time."""
    size, links = _links(bench)
    with bench.ours(Workload(links)).ready() as ours:
        for scrapers in _SCRAPERS:
            each = max(bench.effort.scrapes // 10 // scrapers, 5)
            rounds = [_together(ours, scrapers, each) for _ in range(bench.effort.rounds)]
            figure = f"gzip scrape, {size}, {scrapers} scrapers at a time: CPU of one scrape"
            value, n = statistics.median(rounds), scrapers * each * len(rounds)
            yield Row(f"growth-scrapers-{scrapers}", figure, value=value, unit="ms", n=n, raw={"rounds_ms": rounds})


def _links(bench: Bench) -> tuple[str, int]:
    return ("10k", 10_000) if bench.quick else ("100k", 100_000)


def _together(ours: Program, scrapers: int, each: int) -> float:
    begun = ours.settled_cpu()
    with concurrent.futures.ThreadPoolExecutor(scrapers) as pool:
        list(pool.map(_scrape_often, [ours.port] * scrapers, [each] * scrapers))
    return (ours.settled_cpu() - begun) / (scrapers * each) / 1e6


def _scrape_often(port: int, times: int) -> None:
    scraper = Scraper(port, _GZIP)
    for _ in range(times):
        scraper.scrape()


def shards(bench: Bench) -> Iterator[Row]:
    """Yield the cost of scraping all of so many processes that share the links."""
    size, links = _links(bench)
    for shards in _SHARDS:
        each = links // shards // LINKS_EACH
        with contextlib.ExitStack() as stack:
            workloads = [Workload(each * LINKS_EACH, first=each * number) for number in range(shards)]
            programs = [stack.enter_context(bench.ours(workload)).ready() for workload in workloads]
            yield _shard_row(bench, size, programs, bench.effort)


def _shard_row(bench: Bench, size: str, programs: Sequence[Program], effort: Effort) -> Row:
    lanes = [Lane(str(number), program, _GZIP) for number, program in enumerate(programs)]
    costs = in_turn(lanes, effort, bench.say)
    all_of_them = [sum(round_) / 1e6 for round_ in zip(*costs.nanoseconds.values(), strict=True)]
    raw = {"rounds_ms": all_of_them, "memory_mb": sum(program.resident() for program in programs) / 1e6}
    figure = f"gzip scrape, {size} over {len(programs)} shards: CPU of scraping them all"
    n = sum(costs.scrapes.values())
    id_ = f"growth-shards-{len(programs)}"
    return Row(id_, figure, value=statistics.median(all_of_them), unit="ms", n=n, raw=raw)
