"""What a poll costs beside HTTP, and for how long one call keeps the interpreter's lock."""

import statistics
from collections.abc import Iterator
from typing import Final

from benchmarks.bench import Bench
from benchmarks.programs import Program
from benchmarks.report import Row
from benchmarks.scraper import Request, Scraper
from benchmarks.workload import LINKS_EACH, Workload

_PAGE_ROWS: Final = 50
_PAGES: Final = LINKS_EACH // _PAGE_ROWS
_CHANGE_BAR_MS: Final = 5.0
_FLAT: Final = 2.0


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the cost of a page, of a change at each size, and the longest hold of the lock."""
    medians = {}
    for size, links in bench.sizes.items():
        if size == "1k":
            continue
        with bench.ours(Workload(links)).ready() as ours:
            changes = _changes(bench, ours, links)
            medians[size] = statistics.median(change["last_ns"] for change in changes) / 1e6
            if size == bench.largest[0]:
                yield _page(size, changes)
                yield _equal(size, ours, links // LINKS_EACH, len(changes))
                yield _lock(bench, size, ours)
            raw = {"last_body_to_snapshot_ms": [change["last_ns"] / 1e6 for change in changes]}
            figure = f"one automation of {LINKS_EACH} links changes, {size}: CPU from its last body to the snapshot"
            yield Row.at_most(
                f"change-{size}", figure, medians[size], _CHANGE_BAR_MS, unit="ms", n=len(changes), raw=raw
            )
    flatness = max(medians.values()) / min(medians.values())
    figure = f"the same, {' / '.join(medians)}: the largest against the smallest"
    yield Row.at_most("change-flat", figure, flatness, _FLAT, n=len(medians), raw=medians)


def _changes(bench: Bench, ours: Program, links: int) -> list[dict[str, int]]:
    bench.say(f"changes of one automation among {links} links")
    automations = links // LINKS_EACH
    count = 20 if bench.quick else 100
    return [ours.ask(do="change", number=step % automations, clicked=step + 1) for step in range(count)]


def _page(size: str, changes: list[dict[str, int]]) -> Row:
    pages = [change["all_ns"] / _PAGES / 1e3 for change in changes]
    figure = f"CPU from received body to published block, HTTP apart, a page of {_PAGE_ROWS} rows, {size}"
    raw = {"us": pages}
    return Row.at_most("page", figure, statistics.median(pages), 150, unit="us", n=len(pages) * _PAGES, raw=raw)


def _equal(size: str, ours: Program, automations: int, changes: int) -> Row:
    """Give each automation the pages of its last change again, as most polls of most automations bring them."""
    last = {step % automations: step + 1 for step in range(changes)}
    repeated = [ours.ask(do="change", number=number, clicked=clicked) for number, clicked in last.items()]
    pages = [each["all_ns"] / _PAGES / 1e3 for each in repeated]
    figure = f"the same of an answer equal to the one before, {size}"
    return Row.at_most(
        "page-equal", figure, statistics.median(pages), 40, unit="us", n=len(pages) * _PAGES, raw={"us": pages}
    )


def _lock(bench: Bench, size: str, ours: Program) -> Row:
    bench.say("holds of the interpreter's lock")
    ours.ask(do="watch")
    scrapers = [Scraper(ours.port, Request()), Scraper(ours.port, Request(compressed=False))]
    rounds = 3 if bench.quick else 10
    for step in range(rounds):
        for scraper in scrapers:
            scraper.scrape()
        for number in range(min(10, bench.largest[1] // LINKS_EACH)):
            ours.ask(do="change", number=number, clicked=1_000 + step)
    held = ours.ask(do="watched")
    figure = f"longest hold of the interpreter's lock while blocks change and scrapes run, {size}"
    return Row.at_most("lock", figure, held["longest_ns"] / 1e6, 3.0, unit="ms", n=held["samples"], raw=held)
