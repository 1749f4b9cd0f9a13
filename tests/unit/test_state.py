import os
import resource
import signal
import sqlite3
import stat
from contextlib import closing, contextmanager

import pytest

from exporter.errors import StateError
from exporter.state import SavedBlock, open_state
from tests.factories import a_block, a_link, an_id, render

ID = an_id()
EMPTY_BLOCK = render(ID, [], 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@contextmanager
def opened(path):
    state = open_state(path)
    try:
        yield state
    finally:
        state.close()


def save(path, *numbers, question="q"):
    with opened(path) as state:
        for number in numbers or (1,):
            state.save(an_id(number), question, a_block(automation_id=an_id(number)), 12.5)


def load(path, *numbers, question="q"):
    with opened(path) as state:
        return load_from(state, *numbers, question=question)


def load_from(state, *numbers, question="q"):
    return state.load(lambda _: question, {an_id(number) for number in numbers or (1,)})


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(*statement)


def test_saved_block_comes_back_as_it_was(path):
    block = a_block(a_link(), a_link(url="ü\n\ufffd", clicks=2**53))
    with opened(path) as state:
        state.save(ID, "q", block, 12.5)

    assert load(path) == [SavedBlock(ID, block, 12.5)]


def test_newer_block_takes_the_place_of_the_older(path):
    newer = a_block(a_link(clicks=8))
    with opened(path) as state:
        state.save(ID, "q", a_block(), 1.0)
        state.save(ID, "q", newer, 2.0)

        assert load_from(state) == [SavedBlock(ID, newer, 2.0)]


def test_block_without_links_comes_back(path):
    with opened(path) as state:
        state.save(ID, "q", EMPTY_BLOCK, 1.0)

        assert load_from(state) == [SavedBlock(ID, EMPTY_BLOCK, 1.0)]


def test_file_is_readable_by_its_owner_only(path):
    save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_blocks_of_others_stay_for_those_who_want_them(path):
    save(path, 1, 2)

    assert [saved.automation_id for saved in load(path, 2)] == [an_id(2)]
    assert [saved.automation_id for saved in load(path, 1)] == [an_id(1)]


def test_block_that_nobody_can_show_any_more_is_forgotten_when_newer_ones_are_read(path):
    with opened(path) as state:
        state.save(ID, "q", a_block(), 12.5)
        state.save(an_id(2), "q", a_block(), 12.5 + 401 * 86400)

        assert [saved.automation_id for saved in load_from(state, 1, 2)] == [an_id(2)]


def test_blocks_that_answer_another_question_are_not_given_back_but_those_of_the_same_are(path):
    save(path, question="strip")

    assert load(path, question="full") == []
    assert len(load(path, question="strip")) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("length", -1),
        ("length", 2**40),
        ("length", "many"),
        ("length", 1.5),
        ("crc", -1),
        ("crc", "x"),
        ("data", b"damaged"),
        ("data", ""),
        ("last_success", "yesterday"),
        ("last_success", b""),
        ("total_clicks", "many"),
        ("total_clicks", 0.5),
        ("series", b"x"),
        ("automation_id", b"\xff"),
    ],
)
def test_damaged_row_is_passed_over_and_the_others_come_back(path, column, value):
    save(path, 1, 2)
    execute(path, (f"UPDATE blocks SET {column} = ? WHERE automation_id = ?", (value, an_id(1))))

    assert [saved.automation_id for saved in load(path, 1, 2)] == [an_id(2)]


@pytest.mark.parametrize("content", [b"no database " * 500, os.urandom(5000)])
def test_file_that_is_no_database_is_put_aside_and_a_new_one_begun(path, content, caplog):
    path.write_bytes(content)

    save(path)

    assert len(load(path)) == 1
    assert path.with_name("state.db.corrupt").read_bytes() == content
    assert "was damaged" in caplog.text


def test_damaged_database_of_ours_is_put_aside_with_its_journal(path):
    save(path, *range(1, 60))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    path.with_name("state.db-wal").write_bytes(b"old")

    assert load(path) == []

    assert path.with_name("state.db.corrupt").exists()
    save(path)
    assert len(load(path)) == 1


def test_damage_that_appears_while_reading_is_an_error_of_the_state(path):
    with opened(path) as state:
        execute(path, ("DROP TABLE blocks",))

        with pytest.raises(StateError, match=r"state\.path: .*state\.db cannot be read"):
            load_from(state)


def test_database_of_another_program_is_left_alone(path):
    execute(path, ("CREATE TABLE treasure (x)",))
    content = path.read_bytes()

    with pytest.raises(StateError, match="another program's database; name another file"):
        open_state(path)

    assert path.read_bytes() == content
    assert not path.with_name("state.db.corrupt").exists()


def test_file_of_a_newer_version_is_left_alone(path):
    save(path)
    execute(path, ("PRAGMA user_version = 2",))

    with pytest.raises(StateError, match="written by a newer version"):
        open_state(path)


def test_empty_file_is_taken(path):
    path.touch()

    save(path)

    assert len(load(path)) == 1


@pytest.mark.parametrize("place", ["missing/state.db", "."])
def test_place_that_cannot_hold_a_file_is_told(tmp_path, place):
    with pytest.raises(StateError, match=r"state\.path: .* cannot be opened"):
        open_state(tmp_path / place)


@contextmanager
def unprivileged():
    """Be nobody for a while where the tests run as root, who may write everywhere."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_directory_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)

    with unprivileged(), pytest.raises(StateError, match=r"cannot be opened \(Permission denied\)"):
        open_state(tmp_path / "state.db")


def test_corrupt_file_that_cannot_be_put_aside_is_told(path):
    path.write_bytes(b"no database " * 500)
    path.with_name("state.db.corrupt").mkdir()

    with pytest.raises(StateError, match=r"is damaged .* and cannot be put aside"):
        open_state(path)


def test_database_that_another_process_holds_is_told(path):
    save(path)
    execute(path, ("PRAGMA journal_mode=DELETE",))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StateError, match=r"cannot be used .*locked"):
            open_state(path)


@contextmanager
def file_size_limit(size):
    """Let writes beyond the size fail, as on a full disk."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, ignored)


def test_full_disk_is_told_once_costs_no_poll_and_heals(path, caplog):
    caplog.set_level("INFO")
    large = a_block(*(a_link(url=os.urandom(200).hex()) for _ in range(2000)))
    with opened(path) as state:
        state.save(ID, "q", a_block(), 1.0)
        with file_size_limit(100_000):
            state.save(an_id(2), "q", large, 2.0)
            state.save(an_id(2), "q", large, 2.0)
        assert [saved.automation_id for saved in load_from(state, 1, 2)] == [ID]

        state.save(an_id(2), "q", large, 3.0)

        assert len(load_from(state, 1, 2)) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_full_disk_at_the_start_is_told(path):
    with file_size_limit(100), pytest.raises(StateError, match="cannot be used"):
        open_state(path)


def test_number_that_the_file_cannot_hold_is_told_and_never_raised(path, caplog):
    with opened(path) as state:
        state.save(ID, "q", a_block(total=2**63), 1.0)

    assert "cannot be written" in caplog.text


def test_closed_file_does_not_raise(path):
    with opened(path) as state:
        pass

    state.save(ID, "q", a_block(), 1.0)
