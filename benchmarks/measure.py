"""Measuring lanes in turn, and what comes of it."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.programs import Program
from benchmarks.scraper import Request, Scraper

ENOUGH_CPU: Final = 0.5e9
ENOUGH_SCRAPES: Final = 2_000


@dataclass(frozen=True)
class Effort:
    """How much is enough: the issue's numbers, or less of it for a quick look."""

    cpu: float = ENOUGH_CPU
    scrapes: int = ENOUGH_SCRAPES
    rounds: int = 5


@dataclass(frozen=True)
class Lane:
    """One program scraped in one way."""

    name: str
    program: Program
    request: Request
    order: Mapping[str, object] | None = None
    """What the program is asked to do before each round."""


@dataclass
class Costs:
    """What each lane's scrape cost, round by round."""

    nanoseconds: dict[str, list[float]] = field(default_factory=dict)
    scrapes: dict[str, int] = field(default_factory=dict)

    def milliseconds(self, lane: str) -> float:
        """Return the median CPU of one scrape."""
        return statistics.median(self.nanoseconds[lane]) / 1e6

    def ratio(self, upper: str, lower: str) -> float:
        """Return how many times the upper lane costs the lower one: the median over the rounds' own ratios."""
        return median_ratio(self.nanoseconds[upper], self.nanoseconds[lower])


def median_ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Return the median of the ratios of values measured in turn."""
    return statistics.median(above / below for above, below in zip(upper, lower, strict=True))


def in_turn(lanes: Sequence[Lane], effort: Effort, say: Callable[[str], None]) -> Costs:
    """Measure the lanes one after another, and that so many rounds; the first scrape of each is not counted."""
    costs = Costs({lane.name: [] for lane in lanes}, {lane.name: 0 for lane in lanes})
    for lane in lanes:
        Scraper(lane.program.port, lane.request).scrape()
    for number in range(effort.rounds):
        for lane in lanes:
            nanoseconds, scrapes = scrape_cost(lane, effort)
            costs.nanoseconds[lane.name].append(nanoseconds)
            costs.scrapes[lane.name] += scrapes
            say(f"round {number + 1}: {lane.name} {nanoseconds / 1e6:.3f} ms x {scrapes}")
    return costs


def scrape_cost(lane: Lane, effort: Effort) -> tuple[float, int]:
    """Return (CPU nanoseconds of one scrape, scrapes) over enough scrapes."""
    scraper = Scraper(lane.program.port, lane.request)
    if lane.order is not None:
        lane.program.ask(**lane.order)
    begun = lane.program.settled_cpu()
    scrapes = 0
    while scrapes < effort.scrapes:
        for _ in range(_batch(scrapes, effort)):
            scraper.scrape()
            scrapes += 1
        if lane.program.cpu() - begun >= effort.cpu:
            break
    return (lane.program.settled_cpu() - begun) / scrapes, scrapes


def _batch(done: int, effort: Effort) -> int:
    """Return how many scrapes to do before the clock is read again: reading it is not free."""
    return min(max(done // 4, 1), effort.scrapes - done)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for the condition, or raise TimeoutError naming what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)


def spread(values: Sequence[float]) -> Mapping[str, float]:
    """Return what of a series of values goes into the JSON."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}
