"""The thread that writes the state file, with a real second process that holds the file up."""

import time
from contextlib import contextmanager

import pytest

from exporter.errors import ForeignFileError
from exporter.state import SavedAnswer, SavedBlock
from exporter.state.file import open_state
from exporter.state.writer import StateWriter
from tests.end_to_end.harness.waiting import wait_until
from tests.factories import a_block, a_link, an_id
from tests.fakes import FakeClock
from tests.locks import locked_by_another

pytestmark = pytest.mark.e2e

ID = an_id()
IDS = {an_id(number) for number in range(1, 9)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture(autouse=True)
def every_line(caplog):
    caplog.set_level("INFO")


def question(_):
    return "q"


def block_of(clicks):
    return a_block(a_link(clicks=clicks))


@contextmanager
def writing(path, *, seconds=20.0, clock=None):
    observed = []
    writer = StateWriter(path, clock=clock or FakeClock(), observe=observed.append, look_seconds=0.05)
    try:
        restored = writer.start(question, IDS, seconds)
        yield writer, restored, observed
    finally:
        writer.close(20.0)


def stored(path):
    """Return what the file holds, by a connection of its own."""
    file, blocks = open_state(path, question, IDS)
    file.close()
    return {saved.automation_id: saved.block for saved in blocks}


def texts(caplog, level):
    return [record.getMessage() for record in caplog.records if record.levelname == level]


def test_saved_blocks_are_there_after_the_end_and_come_back_at_the_start(path):
    with writing(path) as (writer, restored, observed):
        for clicks in (1, 2, 3):
            writer.save(ID, "q", block_of(clicks), 12.5)

    with writing(path) as (_, again, _):
        pass

    assert (restored, observed) == ([], [])
    assert again == [SavedBlock(ID, block_of(3), 12.5)]


def test_lock_of_another_process_holds_up_nobody_is_reported_once_and_then_all_is_written(path, caplog):
    with writing(path) as (writer, _, observed):
        writer.save(ID, "q", block_of(1), 1.0)
        wait_until(lambda: not writer._work.unwritten, "the first block is written")
        with locked_by_another(path):
            began = time.monotonic()
            for number in range(1, 9):
                for clicks in range(100):
                    writer.save(an_id(number), "q", block_of(clicks), 2.0)
            assert time.monotonic() - began < 2, "no save waits for the lock"
            wait_until(lambda: observed == [True], "the lock is reported", seconds=20)
            writer.save(ID, "q", block_of(100), 3.0)
        wait_until(lambda: observed == [True, False], "the recovery is reported", seconds=20)
        wait_until(lambda: not writer._work.unwritten, "all is written")

    assert len(texts(caplog, "WARNING")) == 1
    assert "database is locked" in texts(caplog, "WARNING")[0]
    assert texts(caplog, "INFO") == [f"state.path: {path} can be written again"]
    assert stored(path) == {ID: block_of(100), **{an_id(number): block_of(99) for number in range(2, 9)}}


def test_neither_start_nor_end_wait_for_a_locked_file(path, caplog):
    with writing(path):
        pass
    with locked_by_another(path):
        began = time.monotonic()
        writer = StateWriter(path, clock=FakeClock())
        assert writer.start(question, IDS, 0.2) == ()
        writer.save(ID, "q", block_of(5), 1.0)
        writer.close(0.2)
        assert time.monotonic() - began < 8
    writer._thread.join(20)

    assert "the newest values could not be written before the stop (blocks: 1)" in caplog.text


def test_file_that_answers_after_the_start_gave_up_is_written(path, caplog):
    with writing(path):
        pass
    with locked_by_another(path):
        writer = StateWriter(path, clock=FakeClock(), look_seconds=0.05)
        assert writer.start(question, IDS, 0.1) == ()
        writer.save(ID, "q", block_of(5), 1.0)
    wait_until(lambda: not writer._work.unwritten, "the block is written", seconds=20)
    writer.close(20.0)

    assert stored(path) == {ID: block_of(5)}
    assert "did not answer within 0.1 s; earlier values are not shown" in texts(caplog, "WARNING")[0]
    assert texts(caplog, "INFO") == [f"state.path: {path} can be written again"]


def test_disk_that_does_not_answer_is_reported_while_it_is_silent(path, caplog):
    clock = FakeClock()
    with writing(path, clock=clock) as (writer, _, observed):
        with locked_by_another(path):
            writer.save(ID, "q", block_of(1), 1.0)
            wait_until(lambda: writer._work.began is not None, "the file is asked")
            writer.watch()
            assert observed == []
            clock.advance(10.1)
            writer.watch()
            writer.watch()
            assert observed == [True]
            assert writer.trouble == f"{path} has not answered for 10 s (does its disk hang?)"
        wait_until(lambda: observed == [True, False], "the recovery is reported", seconds=20)
        assert writer.trouble == ""

    (warning,) = texts(caplog, "WARNING")
    assert f"{path} has not answered for 10 s (does its disk hang?); continuing without it" in warning


@pytest.mark.parametrize("change", ["deleted", "replaced", "cut", "only the journal"])
def test_file_that_is_deleted_or_replaced_is_made_again_with_every_block(path, change, caplog):
    with writing(path) as (writer, _, _):
        writer.save(an_id(1), "q", block_of(1), 1.0)
    with writing(path) as (writer, _, observed):
        writer.save(an_id(2), "q", block_of(2), 1.0)
        wait_until(lambda: not writer._work.unwritten, "the block is written")
        if change == "only the journal":
            path.with_name("state.db-wal").unlink()
        elif change == "cut":
            path.write_bytes(b"")
        else:
            path.unlink()
        if change == "replaced":
            path.touch()
        wait_until(lambda: "was deleted, replaced or truncated" in caplog.text, "the loss is noticed without any save")
        wait_until(path.exists, "the file is made again")

    assert stored(path) == {an_id(1): block_of(1), an_id(2): block_of(2)}
    assert observed == []


def test_file_that_is_damaged_while_it_is_used_is_put_aside_and_made_again_with_every_block(path, caplog):
    with writing(path) as (writer, _, _):
        writer.save(an_id(1), "q", block_of(1), 1.0)
        wait_until(lambda: not writer._work.unwritten, "the block is written")
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[:-7])
        wait_until(lambda: "was damaged" in caplog.text, "the damage is noticed")

    assert stored(path) == {an_id(1): block_of(1)}
    assert path.with_name("state.db.corrupt").read_bytes() == content[:-7]


def test_file_that_somebody_puts_in_its_place_stays_as_it_is(path):
    with writing(path) as (writer, _, observed):
        path.unlink()
        path.write_text("automations: []")
        writer.save(ID, "q", block_of(1), 1.0)
        wait_until(lambda: observed == [True], "the foreign file is reported")
        assert path.read_text() == "automations: []"
        path.unlink()
        wait_until(lambda: observed == [True, False], "the recovery is reported")

    assert stored(path) == {ID: block_of(1)}


def test_foreign_file_ends_the_start(path):
    path.write_text("SG.key")
    writer = StateWriter(path, clock=FakeClock())

    with pytest.raises(ForeignFileError):
        writer.start(question, IDS, 20.0)

    writer._thread.join(20)
    assert not writer._thread.is_alive()
    assert path.read_text() == "SG.key"


def test_folder_that_appears_later_is_used(tmp_path):
    path = tmp_path / "later" / "state.db"
    with writing(path) as (writer, _, observed):
        writer.save(ID, "q", block_of(1), 1.0)
        assert observed == [True]
        path.parent.mkdir()
        wait_until(lambda: observed == [True, False], "the folder is used")

    assert stored(path) == {ID: block_of(1)}


def test_number_that_the_file_cannot_hold_is_reported_and_the_others_are_kept(path, caplog):
    with writing(path) as (writer, _, observed):
        writer.save(an_id(1), "q", a_block(total=2**63), 1.0)
        writer.save(an_id(2), "q", block_of(1), 1.0)

    assert "are too large to be stored" in caplog.text
    assert (stored(path), observed) == ({an_id(2): block_of(1)}, [])


def test_automation_that_is_no_longer_configured_is_not_held_in_memory(path):
    with writing(path) as (writer, _, _):
        for number in (1, 2):
            writer.save(an_id(number), "q", block_of(number), 1.0)
        wait_until(lambda: not writer._work.unwritten, "both are written")
        writer.forget_all_but({an_id(2)})
        assert list(writer._answers) == [an_id(2)]

    assert stored(path) == {an_id(1): block_of(1), an_id(2): block_of(2)}


def test_file_that_another_wrote_an_answer_to_is_read_with_its_question(path):
    file, _ = open_state(path)
    file.save(
        [
            SavedAnswer("other", SavedBlock(ID, block_of(1), 1.0)),
            SavedAnswer("q", SavedBlock(an_id(2), block_of(2), 1.0)),
        ]
    )
    file.close()

    with writing(path) as (_, restored, _):
        assert [saved.automation_id for saved in restored] == [an_id(2)]
