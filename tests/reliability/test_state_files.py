"""A state file that is full, locked, damaged, deleted, or on a disk that hangs costs one clear line, no more."""

import os
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import pytest

from exporter.domain import AutomationId, LinkClicks
from exporter.errors import StateError
from exporter.exposition import Block
from exporter.state import SavedAnswer, SavedBlock
from exporter.state.file import open_state
from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import COMMAND, ExporterProcess, run_exporter
from tests.end_to_end.harness.waiting import wait_until
from tests.factories import render
from tests.locks import locked_by_another
from tests.programs import needs
from tests.reliability.hung_disk import NoFileSystemError, freezable_disk, hang, totals_in

ID: Final = AutomationId("00000000-0000-4000-8000-000000000001")
STEP: Final = "11111111-2222-4333-8444-555555555555"
ROWS: Final = tuple(Row(STEP, f"https://shop.example/{os.urandom(60).hex()}", n, n + 1) for n in range(400))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([fixed(ID, ROWS)], rate_limit=0) as simulator:
        yield simulator


def exporter(simulator: Simulator, state: Path, command: Sequence[str] = COMMAND) -> ExporterProcess:
    return ExporterProcess(*flags(simulator, state), env={"SENDGRID_API_KEY": simulator.api_key}, command=command)


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


def flags(simulator: Simulator, state: Path) -> tuple[str, ...]:
    return (
        f"--automations={ID}",
        f"--sendgrid.base-url={simulator.base_url}",
        "--sendgrid.requests-per-minute=60000",
        "--poll.interval=1s",
        f"--state.path={state}",
    )


@pytest.mark.parametrize("mode", [(), ("--check",)])
@pytest.mark.parametrize("what", ["key", "another program's database", "a symlink to the configuration"])
def test_somebody_else_s_file_is_refused_and_stays(
    simulator: Simulator, tmp_path: Path, mode: tuple[str, ...], what: str
) -> None:
    state = tmp_path / "state.db"
    if what == "key":
        state.write_text(simulator.api_key)
    elif what == "another program's database":
        with closing(sqlite3.connect(state)) as connection, connection:
            connection.execute("CREATE TABLE theirs (a)")
    else:
        (tmp_path / "exporter.yaml").write_text("poll: {}")
        state.symlink_to("exporter.yaml")
    before, names = state.read_bytes(), sorted(tmp_path.iterdir())

    run = run_exporter(
        *flags(simulator, state), *mode, "--web.listen-address=127.0.0.1:0", env={"SENDGRID_API_KEY": simulator.api_key}
    )

    assert run.returncode == 2
    assert f"state.path: {state} is not a state file of the exporter; name another file" in run.stderr
    assert "Traceback" not in run.stderr
    assert (state.read_bytes(), sorted(tmp_path.iterdir())) == (before, names)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/proc/state.db", "cannot be opened ("),
        ("missing/state.db", "cannot be created: no directory "),
        (".", "is a directory; name a file in it"),
        ("/dev/full", "is not a regular file"),
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
    save(path, 1000.5)
    return path.read_bytes()


def load(path: Path) -> list[SavedBlock]:
    file, blocks = open_state(path, lambda _: "q", {ID})
    file.close()
    return blocks


def save(path: Path, at: float) -> None:
    file, _ = open_state(path)
    file.save([SavedAnswer("q", SavedBlock(ID, block(), at))])
    file.close()


def test_no_damaged_byte_gives_a_wrong_block(stored: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every byte of the header, and each region of the rest: the right block or none, and at most one warning."""
    good = block()
    places = [*range(100), *range(100, len(stored), 61)]
    given, refused = 0, list[int]()
    for number, place in enumerate(places):
        path = tmp_path / f"{number}.db"
        path.write_bytes(stored[:place] + bytes((stored[place] ^ 0xFF,)) + stored[place + 1 :])
        caplog.clear()
        content = path.read_bytes()
        try:
            file, blocks = open_state(path, lambda _: "q", {ID})
            with closing(file):
                file.save([SavedAnswer("q", SavedBlock(ID, good, 2.0))])
            assert all(saved.block == good for saved in blocks), f"byte {place}"
            given += len(blocks)
        except StateError:
            assert path.read_bytes() == content, f"byte {place}"
            refused.append(place)
        assert len(caplog.records) <= 2
    assert 0 < given < len(places)
    assert set(refused) <= set(range(100)), "no damage behind the header hides whose file it is"


def test_a_cut_file_gives_the_right_block_or_none(stored: bytes, tmp_path: Path) -> None:
    for length in range(0, len(stored), 509):
        path = tmp_path / f"{length}.db"
        path.write_bytes(stored[:length])
        assert all(saved.block == block() for saved in load(path))
        save(path, 2.0)
        (saved,) = load(path)
        assert (saved.block, saved.last_success) == (block(), 2.0)


def test_a_file_that_an_older_run_left_half_made_or_of_another_form_costs_one_line(
    simulator: Simulator, tmp_path: Path
) -> None:
    state = tmp_path / "state.db"
    save(state, 1000.5)
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("ALTER TABLE blocks RENAME TO others")
        connection.execute("CREATE VIEW blocks AS SELECT * FROM others")

    with exporter(simulator, state) as process:
        assert_goes_on(process, simulator, "put aside")

    assert state.with_name("state.db.corrupt").exists()
    assert len(load(state)) <= 1


def test_a_locked_file_holds_up_neither_start_polls_scrapes_nor_the_stop(simulator: Simulator, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    save(state, 1000.5)
    with locked_by_another(state):
        started = time.monotonic()
        with exporter(simulator, state) as process:
            assert time.monotonic() - started < 12
            assert_goes_on(process, simulator, "continuing without it, and retrying")
            assert process.get("/-/healthy").status == 200
            assert process.samples()["sendgrid_exporter_state_failing", ()] == 1
            started = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - started < 5
            assert (
                "the newest values could not be written before the stop (blocks: 2)" in process.log
            )  # the account's too


def test_a_deleted_file_is_made_again(simulator: Simulator, tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    with exporter(simulator, state) as process:
        wait_until(lambda: totals_in(state), "the block is stored")
        for path in tmp_path.iterdir():
            path.unlink()
        process.wait_for_log("was deleted, replaced or truncated; creating it again", seconds=30)
        wait_until(lambda: totals_in(state), "the block is stored again")


def test_a_disk_that_hangs_holds_up_neither_polls_scrapes_health_nor_the_log() -> None:
    result = hang(14.0)

    assert result.wrong == []
    assert result.scrapes > 10
    (line,) = result.lines
    assert "has not answered for 10 s (does its disk hang?)" in line or "database is locked" in line


def test_a_disk_that_hangs_does_not_hold_up_the_stop(simulator: Simulator, tmp_path: Path) -> None:
    state = tmp_path / "disk" / "state.db"
    with ExitStack() as disk:
        try:
            freeze = disk.enter_context(freezable_disk(state.parent))
        except NoFileSystemError as exc:
            pytest.skip(str(exc))
        with exporter(simulator, state) as process:
            wait_until(lambda: totals_in(state), "the block is stored")
            freeze("-f")
            simulator.put_rows(ID, ROWS[:50])
            clicks = sum(row.clicks for row in ROWS[:50])
            total = ("automation_total_clicks", (("automation_id", ID),))
            wait_until(lambda: process.samples().get(total) == clicks, "the values are renewed")
            process.send(signal.SIGTERM)
            process.wait_for_log("msg=stopped", seconds=5)
            freeze("-u")  # until then the kernel itself keeps a process whose write hangs
            assert process.wait() == 0
        with exporter(simulator, state) as process:
            process.wait_for_log("of 1 automations' values were restored")
