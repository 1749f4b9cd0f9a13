"""Thousands of polls with churn, faults and scrapes: nothing grows, and every scrape shows whole polls only."""

import gzip
import random
import re
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import yaml

from sendgrid_simulator import Alteration, Delivery, Fault, Row, ServedPage, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until

_AUTOMATIONS: Final = 40
_STEP: Final = "11111111-2222-4333-8444-555555555555"
_IDS: Final = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(_AUTOMATIONS))
_PAGE: Final = 20
_FAULTS: Final = (
    Fault(status=500),
    Fault(status=404),
    Fault(body=b"<html>"),
    Fault(deliver=Delivery.RESET_IN_BODY),
    Fault(deliver=Delivery.CLOSE),
    Fault(deliver=Delivery.CUT_HEADERS),
    Fault(deliver=Delivery.STALL_IN_BODY),
    Fault(alter=Alteration.ROW_LOST),
    Fault(alter=Alteration.NEXT_WITHOUT_TOKEN),
    Fault(alter=Alteration.CLICKS_NAN),
    Fault(deliver=Delivery.HUGE_BODY, size=9 * 1024 * 1024),
    Fault(deliver=Delivery.GZIP_BOMB),
    Fault(
        body=gzip.compress(b'{"results":[' + b"{}," * 350_000 + b"{}]}"),
        headers=(("Content-Encoding", "gzip"),),
    ),
)
"""Two in a hundred requests meet each, which makes a quarter of them."""

Links = frozenset[tuple[str, str, int]]


@dataclass
class Soak:
    """What a soak showed."""

    polls: int = 0
    failed: int = 0
    scrapes: int = 0
    lists: int = 0
    """Published lists that were compared with what the simulator told in one poll."""
    reloads: int = 0
    wrong: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """Resident kB, about once a second."""
    threads: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By which share the memory of the last tenth stands above that of the tenth after the half."""
        tenth, half = max(len(self.memory) // 10, 1), len(self.memory) // 2
        first, last = self.memory[half : half + tenth], self.memory[-tenth:]
        return (sum(last) / len(last)) / (sum(first) / len(first)) - 1

    def second_half(self, figures: list[int]) -> tuple[int, int]:
        """Return the least and the most of the figures' second half."""
        half = figures[len(figures) // 2 :]
        return min(half), max(half)


class _Told:
    """The lists that the simulator told, walk by walk, put together from its pages.

    Two walks that each lost a row make a whole list together: what the simulator held when it told a page counts, too.
    """

    def __init__(self) -> None:
        self._last: ServedPage | None = None
        self._walks: dict[str, list[tuple[Row, ...]]] = defaultdict(list)
        self.lists: dict[str, set[Links]] = defaultdict(set)

    def take(self, pages: tuple[ServedPage, ...]) -> None:
        """Read the pages that came since the last call; a page told again stands for the one before it."""
        begin = next((n + 1 for n in range(len(pages) - 1, -1, -1) if pages[n] is self._last), 0)
        for page in pages[begin:]:
            walk = self._walks[page.automation_id]
            del walk[page.number - 1 :]
            walk.append(page.rows)
            if page.number * _PAGE >= len(page.listed) and len(walk) == page.number:
                self.lists[page.automation_id].add(_links(row for rows in walk for row in rows))
            self.lists[page.automation_id].add(_links(page.listed))
        self._last = pages[-1] if pages else None


def _links(rows: Iterable[Row]) -> Links:
    return frozenset((row.url, str(row.url_location), row.clicks) for row in rows)


def soak(polls: int, *, seed: int = 1, seconds: float = 3600.0) -> Soak:
    """Let the exporter poll so often, at most for the seconds, and return what was seen."""
    result, told, dice = Soak(), _Told(), random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as directory,
        Simulator([fixed(id_, _rows(1, 30)) for id_ in _IDS], rate_limit=0, record_pages=20_000) as simulator,
    ):
        config = Path(directory) / "exporter.yaml"
        _configure(config, simulator, _IDS)
        with ExporterProcess(
            f"--config.file={config}",
            f"--state.path={directory}/state.db",
            env={"SENDGRID_API_KEY": simulator.api_key},
        ) as exporter:
            wait_until(lambda: exporter.get("/-/ready").status == 200, "every automation was tried", seconds=60)
            for fault in _FAULTS:
                simulator.fault(replace(fault, times=None, share=0.02))
            deadline = time.monotonic() + seconds
            with _churn(simulator, exporter, config, dice, result):
                while result.polls < polls and time.monotonic() < deadline:
                    _scrape(exporter, simulator, told, result)
            simulator.faults.clear()
    return result


def _scrape(exporter: ExporterProcess, simulator: Simulator, told: _Told, result: Soak) -> None:
    """Scrape once, and compare each automation's list with those that the simulator told in one poll."""
    shown: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    totals: dict[str, float] = {}
    outcomes: dict[str, float] = {}
    for (name, labels), value in exporter.samples().items():
        label = dict(labels)
        if name == "automation_link_clicks":
            shown[label["automation_id"]].append((label["url"], label["url_location"], int(value)))
        elif name == "automation_total_clicks":
            totals[label["automation_id"]] = value
        elif name == "sendgrid_exporter_polls_total":
            outcomes[label["outcome"]] = value
    told.take(simulator.pages)
    result.polls = int(sum(outcomes.values()))
    result.failed = result.polls - int(outcomes["success"])
    result.scrapes += 1
    for id_, links in shown.items():
        result.lists += 1
        if frozenset(links) not in told.lists[id_]:
            result.wrong.append(f"scrape {result.scrapes}: {id_} shows what no poll was told")
    result.wrong += [f"{id_} has links or a total alone" for id_ in shown.keys() ^ totals.keys()]
    _measure(exporter, result)


def _measure(exporter: ExporterProcess, result: Soak) -> None:
    process = Path(f"/proc/{exporter.pid}")
    status = (process / "status").read_text()
    result.memory.append(_number("VmRSS", status))
    result.threads.append(_number("Threads", status))
    result.files.append(len(list((process / "fd").iterdir())))


def _number(name: str, status: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextmanager
def _churn(
    simulator: Simulator, exporter: ExporterProcess, config: Path, dice: random.Random, result: Soak
) -> Iterator[None]:
    """Let clicks arrive, links come and go, and automations be taken out and put back, all the while."""
    stop = threading.Event()

    def churn() -> None:
        clicks = 1
        while not stop.wait(0.2):
            clicks += 1
            for id_ in dice.sample(_IDS, 10):
                simulator.put_rows(id_, _rows(clicks, dice.randint(1, 60)))
            if clicks % 10 == 0:
                _configure(config, simulator, tuple(sorted(dice.sample(_IDS, dice.randint(30, _AUTOMATIONS)))))
                exporter.send(signal.SIGHUP)
                result.reloads += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _configure(config: Path, simulator: Simulator, ids: tuple[str, ...]) -> None:
    sendgrid: Mapping[str, object] = {
        "base_url": simulator.base_url,
        "requests_per_minute": 100_000,
        "page_size": _PAGE,
        "timeout": "1s",
    }
    poll = {"interval": "1s", "concurrency": 16, "stale_after": "1h"}
    fresh = config.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"automations": list(ids), "sendgrid": sendgrid, "poll": poll}))
    fresh.replace(config)


def _rows(clicks: int, number: int) -> tuple[Row, ...]:
    return tuple(Row(_STEP, f"https://shop.example/{place}", place, clicks + place) for place in range(number))
