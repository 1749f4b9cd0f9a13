"""A state file on a disk that hangs, and what is polled and shown all the while."""

import os
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until
from tests.locks import locked_by_another
from tests.programs import find_program

_AUTOMATIONS: Final = 8
_IDS: Final = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(_AUTOMATIONS))
_STEP: Final = "11111111-2222-4333-8444-555555555555"
_STALE_AFTER: Final = 30.0
"""At most: a short hang must outlast it, or it would show nothing. A busy machine may be late by seconds."""
_LAST_SUCCESS: Final = "sendgrid_exporter_automation_last_success_timestamp_seconds"


class NoFileSystemError(Exception):
    """A file system of its own cannot be had here; the message says why."""


@dataclass
class Hang:
    """What was seen while the disk hung."""

    way: str
    scrapes: int = 0
    oldest: float = 0.0
    """The greatest age of an automation's values in any scrape, in seconds."""
    wrong: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What the log said of it, beside its information."""


Freeze = Callable[[str], None]
"""Freezes (`-f`) or thaws (`-u`) a file system."""


@contextmanager
def freezable_disk(folder: Path) -> Iterator[Freeze]:
    """Mount a new file system on the folder; raise NoFileSystemError where that cannot be done."""
    fsfreeze, make = find_program("fsfreeze"), find_program("mkfs.ext4")
    if os.geteuid() != 0 or fsfreeze is None or make is None:
        raise NoFileSystemError("only root can mount and freeze one, with fsfreeze and mkfs.ext4")
    image = folder.with_name("disk.img")
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    for command in ([make, "-q", image], ["mount", "-o", "loop", image, folder]):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NoFileSystemError(f"{command[0]} failed: {done.stderr.strip()}")

    def freeze(way: str) -> None:
        subprocess.run([fsfreeze, way, folder], check=True, capture_output=True)

    try:
        yield freeze
    finally:
        subprocess.run([fsfreeze, "-u", folder], check=False, capture_output=True)
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def hang(seconds: float) -> Hang:
    """Let the state file's disk hang for the seconds, under polls and scrapes, and return what was seen.

    Where no file system can be frozen, another process locks the file instead.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        Simulator([fixed(id_, _rows(1)) for id_ in _IDS], rate_limit=0) as simulator,
        ExitStack() as disk,
    ):
        folder = Path(directory) / "disk"
        state = folder / "state.db"
        try:
            hanging = _frozen(disk.enter_context(freezable_disk(folder)))
            result = Hang("a frozen file system")
        except NoFileSystemError as exc:
            folder.mkdir(exist_ok=True)
            hanging = locked_by_another(state)
            result = Hang(f"another program's lock; no file system can be frozen here: {exc}")
        stale_after = min(_STALE_AFTER, seconds / 2)
        with _exporter(simulator, state, stale_after) as exporter:
            wait_until(lambda: len(totals_in(state)) == _AUTOMATIONS, "every block is stored")
            with hanging:
                clicks = _watch(exporter, simulator, result, seconds, stale_after)
            exporter.wait_for_log("can be written again", seconds=30)
            last = sum(row.clicks for row in _rows(clicks))
            wait_until(lambda: set(totals_in(state).values()) == {last}, "the last values are stored", seconds=30)
            result.lines = [line for line in exporter.log.splitlines() if "level=info" not in line]
    return result


@contextmanager
def _frozen(freeze: Freeze) -> Iterator[None]:
    freeze("-f")
    try:
        yield
    finally:
        freeze("-u")


def _watch(exporter: ExporterProcess, simulator: Simulator, result: Hang, seconds: float, stale_after: float) -> int:
    """Let clicks arrive, scrape, and ask for the health, twice a second; return the last number of clicks."""
    clicks, pause, deadline = 1, threading.Event(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        clicks += 1
        for id_ in _IDS:
            simulator.put_rows(id_, _rows(clicks))
        pause.wait(0.5)
        samples = exporter.samples()
        result.scrapes += 1
        for id_ in _IDS:
            label = (("automation_id", id_),)
            age = time.time() - samples.get((_LAST_SUCCESS, label), 0.0)
            result.oldest = max(result.oldest, age)
            if ("automation_total_clicks", label) not in samples or age > stale_after:
                result.wrong.append(f"scrape {result.scrapes}: {id_} is {age:.1f} s old, or not shown")
        result.wrong += [
            f"scrape {result.scrapes}: {path} fails"
            for path in ("/-/healthy", "/-/ready")
            if exporter.get(path).status != 200
        ]
    return clicks


def _exporter(simulator: Simulator, state: Path, stale_after: float) -> ExporterProcess:
    return ExporterProcess(
        f"--automations={','.join(_IDS)}",
        f"--state.path={state}",
        f"--sendgrid.base-url={simulator.base_url}",
        "--sendgrid.requests-per-minute=60000",
        "--poll.interval=1s",
        f"--poll.stale-after={stale_after:g}s",
        env={"SENDGRID_API_KEY": simulator.api_key},
    )


def totals_in(state: Path) -> dict[str, int]:
    """Return the totals in the file by automation; none while it is not made or cannot be read."""
    if not state.exists():
        return {}
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=5)) as connection:
        with suppress(sqlite3.OperationalError):
            # What is kept of the account itself is no automation's.
            query = "SELECT automation_id, total_clicks FROM blocks WHERE automation_id != 'account'"
            return dict(connection.execute(query))
        return {}


def _rows(clicks: int) -> tuple[Row, ...]:
    return tuple(Row(_STEP, f"https://shop.example/{place}", place, clicks + place) for place in range(30))
