"""Kills of a real exporter in the midst of its polls, and what is served after each."""

import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until

_AUTOMATIONS: Final = 20
_STEP: Final = "11111111-2222-4333-8444-555555555555"
_LAST_SUCCESS: Final = "sendgrid_exporter_automation_last_success_timestamp_seconds"
IDS: Final = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(_AUTOMATIONS))

Stored = Mapping[str, tuple[float, int]]
"""When each automation was last read, and its total, as the state file holds them."""


@dataclass
class Kills:
    """What the kills did."""

    done: int = 0
    within_50_ms: int = 0
    """Of those, so many hit within 50 ms of a write."""
    blocks: int = 0
    """Stored blocks that the restarts had to serve."""
    writes: int = 0
    damaged: list[str] = field(default_factory=list)


def kill_repeatedly(times: int, seed: int) -> Kills:
    """Kill the exporter so many times, half of them right after a write, and check each time what it serves then."""
    kills, dice = Kills(), random.Random(seed)  # no secret
    with (
        tempfile.TemporaryDirectory() as directory,
        Simulator([fixed(id_, _rows(1)) for id_ in IDS], rate_limit=0) as simulator,
        _clicking(simulator),
    ):
        state = Path(directory) / "state.db"
        for number in range(times):
            _kill_once(simulator, state, kills, close_to_a_write=number % 2 == 0, pause=dice.uniform(0, 0.6))
        _assert_served(simulator, state, kills)
    return kills


def _kill_once(simulator: Simulator, state: Path, kills: Kills, *, close_to_a_write: bool, pause: float) -> None:
    before = _stored(state)
    with _exporter(simulator, state) as exporter:
        _assert_stored_is_served(exporter, before, kills)
        wait_until(lambda: len(_stored(state)) == _AUTOMATIONS, "every block is stored once")
        threading.Event().wait(pause)
        if close_to_a_write:
            mark = _newest(state)
            wait_until(lambda: _newest(state) > mark, "a block is written")
        kept = _stored(state)
        exporter.popen.kill()
        killed = time.time()
        exporter.popen.wait()
    after = _stored(state)
    kills.done += 1
    kills.within_50_ms += killed - max(at for at, _ in after.values()) < 0.05
    kills.writes += sum(after[id_][0] > before.get(id_, (0.0, 0))[0] for id_ in after)
    kills.damaged += [id_ for id_, (at, _) in kept.items() if id_ not in after or after[id_][0] < at]


def _assert_served(simulator: Simulator, state: Path, kills: Kills) -> None:
    stored = _stored(state)
    with _exporter(simulator, state) as exporter:
        _assert_stored_is_served(exporter, stored, kills)


def _assert_stored_is_served(exporter: ExporterProcess, stored: Stored, kills: Kills) -> None:
    """Whatever was stored is served at once, with its age or a newer one, and each list is of one poll."""
    samples = exporter.samples()
    for id_, (at, total) in stored.items():
        label = (("automation_id", id_),)
        assert samples[_LAST_SUCCESS, label] >= at - 0.001
        assert samples["automation_total_clicks", label] >= total
        links = sum(
            value
            for (name, labels), value in samples.items()
            if name == "automation_link_clicks" and label[0] in labels
        )
        assert links == samples["automation_total_clicks", label]
    kills.blocks += len(stored)
    assert f"state.path: {len(stored)} of {len(stored)} automations' values were restored" in exporter.log
    assert "put aside" not in exporter.log


def _exporter(simulator: Simulator, state: Path) -> ExporterProcess:
    return ExporterProcess(
        f"--automations={','.join(IDS)}",
        f"--state.path={state}",
        f"--sendgrid.base-url={simulator.base_url}",
        "--sendgrid.requests-per-minute=60000",
        "--poll.interval=1s",
        "--poll.stale-after=1h",
        env={"SENDGRID_API_KEY": simulator.api_key},
    )


def _stored(state: Path) -> Stored:
    if not state.exists():
        return {}
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            rows = connection.execute("SELECT automation_id, last_success, total_clicks FROM blocks").fetchall()
        except sqlite3.OperationalError:  # not made yet
            return {}
    # What is kept of the account itself stands there too, and shows nothing by itself.
    return {id_: (at, total) for id_, at, total in rows if id_ in IDS}


def _newest(state: Path) -> float:
    return max((at for at, _ in _stored(state).values()), default=0.0)


def _rows(clicks: int) -> tuple[Row, ...]:
    return tuple(Row(_STEP, f"https://shop.example/{place}", place, clicks + place) for place in range(30))


@contextmanager
def _clicking(simulator: Simulator) -> Iterator[None]:
    """Let clicks arrive everywhere all the time."""
    stop = threading.Event()

    def click() -> None:
        for clicks in count(2):
            for id_ in IDS:
                simulator.put_rows(id_, _rows(clicks))
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=click)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
