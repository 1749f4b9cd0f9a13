"""A state file that is full, read-only, damaged or another program's costs one clear line, and nothing else."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from exporter.domain import AutomationId, LinkClicks
from exporter.errors import StateError
from exporter.exposition.block import Block
from exporter.state import SavedBlock, open_state
from sendgrid_simulator import Row, Simulator, fixed
from tests.e2e.harness.process import COMMAND, ExporterProcess
from tests.e2e.harness.waiting import wait_until
from tests.factories import render
from tests.programs import needs

ID: Final = AutomationId("00000000-0000-4000-8000-000000000001")
STEP: Final = "11111111-2222-4333-8444-555555555555"
ROWS: Final = tuple(Row(STEP, f"https://shop.example/{os.urandom(60).hex()}", n, n + 1) for n in range(400))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([fixed(ID, ROWS)], rate_limit=0) as simulator:
        yield simulator


def exporter(simulator: Simulator, state: Path, command: Sequence[str] = COMMAND) -> ExporterProcess:
    flags = (
        f"--automations={ID}",
        f"--sendgrid.base-url={simulator.base_url}",
        "--sendgrid.requests-per-minute=60000",
        "--poll.interval=1s",
        f"--state.path={state}",
    )
    return ExporterProcess(*flags, env={"SENDGRID_API_KEY": simulator.api_key}, command=command)


def assert_goes_on(process: ExporterProcess, simulator: Simulator, says: str) -> None:
    """The values are served and renewed, and what is wrong with the file stands in the log once."""
    label = (("automation_id", ID),)
    total = ("automation_total_clicks", label)
    for rows in (ROWS, ROWS[:100]):
        simulator.put_rows(ID, rows)
        clicks = sum(row.clicks for row in rows)
        wait_until(lambda clicks=clicks: process.samples().get(total) == clicks, "the values are served")
    lines = [line for line in process.log.splitlines() if "level=warn" in line]
    assert len(lines) == 1, process.log
    assert "state.path" in lines[0]
    assert says in lines[0]
    assert "Traceback" not in process.log


def test_another_program_s_database_is_left_alone(simulator: Simulator, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = state.read_bytes()

    with exporter(simulator, state) as process:
        assert_goes_on(process, simulator, "another program's database; name another file; the exporter goes on")

    assert state.read_bytes() == before


def test_text_is_put_aside(simulator: Simulator, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    state.write_text("no database at all\n" * 100)

    with exporter(simulator, state) as process:
        assert_goes_on(process, simulator, "put aside")

    assert state.with_name("state.db.corrupt").read_text().startswith("no database")
    assert state.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/proc/state.db", "cannot be opened (No such file or directory)"),
        ("missing/state.db", "cannot be opened (No such file or directory)"),
        (".", "cannot be opened (Is a directory)"),
        ("/dev/full", "/dev/full"),
    ],
)
def test_a_place_that_cannot_be_written(simulator: Simulator, tmp_path: Path, path: str, says: str) -> None:
    with exporter(simulator, tmp_path / path) as process:
        assert_goes_on(process, simulator, says)


@needs("prlimit")
def test_a_full_disk(simulator: Simulator, tmp_path: Path) -> None:
    with exporter(simulator, tmp_path / "state.db", ("prlimit", "--fsize=34000", *COMMAND)) as process:
        assert_goes_on(process, simulator, "cannot be written")


def block() -> Block:
    return render(ID, [LinkClicks(row.step_id, row.url, str(row.url_location), row.clicks) for row in ROWS], 7)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stored") / "state.db"
    state = open_state(path)
    state.save(ID, "q", block(), 1000.5)
    state.close()
    return path.read_bytes()


def test_no_damaged_byte_gives_a_wrong_block(stored: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every byte of the header, and each region of the rest: the right block or none, and at most one warning."""
    good = block()
    places = [*range(100), *range(100, len(stored), 61)]
    given = 0
    for number, place in enumerate(places):
        path = tmp_path / f"{number}.db"
        path.write_bytes(stored[:place] + bytes((stored[place] ^ 0xFF,)) + stored[place + 1 :])
        caplog.clear()
        with suppress(StateError), closing(open_state(path)) as state:
            loaded: list[SavedBlock] = []
            with suppress(StateError):
                loaded = state.load(lambda _: "q", {ID})
            for saved in loaded:
                assert saved.block == good, f"byte {place}"
                given += 1
            state.save(ID, "q", good, 2.0)
        assert len(caplog.records) <= 2
    assert 0 < given < len(places)


def test_a_cut_file_gives_the_right_block_or_none(stored: bytes, tmp_path: Path) -> None:
    for length in range(0, len(stored), 509):
        path = tmp_path / f"{length}.db"
        path.write_bytes(stored[:length])
        state = open_state(path)
        assert all(saved.block == block() for saved in state.load(lambda _: "q", {ID}))
        state.save(ID, "q", block(), 2.0)
        (saved,) = state.load(lambda _: "q", {ID})
        assert (saved.block, saved.last_success) == (block(), 2.0)
        state.close()
