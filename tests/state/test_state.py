import os
import resource
import signal
import sqlite3
import stat
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exporter.errors import ForeignFileError, StateError
from exporter.state import SavedAnswer, SavedBlock
from exporter.state.file import open_state
from tests.factories import a_block, a_link, an_id, render

pytestmark = pytest.mark.unit

ID = an_id()
EMPTY_BLOCK = render(ID, [], 0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@contextmanager
def opened(path, *numbers, question="q"):
    """Open the file; give it and the blocks that it has of the automations of these numbers."""
    file, blocks = open_state(path, lambda _: question, {an_id(number) for number in numbers or (1,)})
    try:
        yield file, blocks
    finally:
        file.close()


def answer(number=1, block=None, at=12.5, question="q"):
    block = a_block(automation_id=an_id(number)) if block is None else block
    return SavedAnswer(question, SavedBlock(an_id(number), block, at))


def save(path, *numbers, question="q"):
    with opened(path) as (file, _):
        file.save([answer(number, question=question) for number in numbers or (1,)])


def load(path, *numbers, question="q"):
    with opened(path, *numbers, question=question) as (_, blocks):
        return blocks


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(*statement)


def test_saved_block_comes_back_as_it_was(path):
    block = a_block(a_link(), a_link(url="ü\n\ufffd", clicks=2**53))
    with opened(path) as (file, _):
        file.save([answer(block=block)])

    assert load(path) == [SavedBlock(ID, block, 12.5)]


def test_newer_block_takes_the_place_of_the_older(path):
    newer = a_block(a_link(clicks=8))
    with opened(path) as (file, _):
        file.save([answer(at=1.0)])
        file.save([answer(block=newer, at=2.0)])

    assert load(path) == [SavedBlock(ID, newer, 2.0)]


def test_block_without_links_comes_back(path):
    with opened(path) as (file, _):
        file.save([answer(block=EMPTY_BLOCK)])

    assert load(path) == [SavedBlock(ID, EMPTY_BLOCK, 12.5)]


def test_file_is_readable_by_its_owner_only(path):
    save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_blocks_of_others_stay_for_those_who_want_them(path):
    save(path, 1, 2)

    assert [saved.automation_id for saved in load(path, 2)] == [an_id(2)]
    assert [saved.automation_id for saved in load(path, 1)] == [an_id(1)]


def test_block_that_nobody_can_show_any_more_is_forgotten_when_newer_ones_are_read(path):
    with opened(path) as (file, _):
        file.save([answer(1), answer(2, at=12.5 + 401 * 86400)])

    assert [saved.automation_id for saved in load(path, 1, 2)] == [an_id(2)]


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


def a_database_of(*statements):
    """Return the bytes of a database that the statements make."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in statements:
            connection.execute(statement)
        return connection.serialize()


@pytest.mark.parametrize(
    "content",
    [
        b"SG.key\n",
        b"automations: []\n",
        b"no database " * 500,
        b"\0" * 200 + b"x",
        a_database_of("CREATE TABLE treasure (x)"),
        a_database_of("CREATE TABLE blocks (x)", "PRAGMA application_id=7"),
        a_database_of("CREATE TABLE t (x)", "PRAGMA application_id=7")[:80],
    ],
)
def test_file_that_is_not_ours_is_refused_and_stays_as_it_is(path, content):
    path.write_bytes(content)
    path.chmod(0o640)

    with pytest.raises(ForeignFileError, match=r"state\.db is not a state file of the exporter; name another file"):
        open_state(path)

    assert (path.read_bytes(), list(path.parent.iterdir())) == (content, [path])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def ours(tmp_path, *numbers):
    """Return the bytes of a state file with these automations' blocks."""
    made = tmp_path / "made.db"
    save(made, *numbers or (1,))
    return made.read_bytes()


DAMAGES = {
    "cut in the header": lambda content: content[:50],
    "cut after the header": lambda content: content[:4096],
    "cut in its last page": lambda content: content[:-1],
    "one byte too many": lambda content: content + b"x",
    "SQLite's mark is lost": lambda content: b"\xff" * 16 + content[16:],
    "every page but the first": lambda content: content[:4096] + b"\xa5" * (len(content) - 4096),
    "only zeroes, as after a power failure": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_of_ours_is_put_aside_with_its_journals_and_made_again(path, tmp_path, damage, caplog):
    content = DAMAGES[damage](ours(tmp_path, *range(1, 60)))
    path.write_bytes(content)
    path.with_name("state.db-wal").write_bytes(b"old")

    assert load(path, *range(1, 60)) == []

    aside = path.with_name("state.db.corrupt")
    assert aside.read_bytes() == content
    assert not path.with_name("state.db-wal").exists(), "an old journal would damage the new database"
    assert f"state.path: {path} was damaged (" in caplog.text
    assert f"put aside as {aside}, and a new one made" in caplog.text
    save(path)
    assert len(load(path)) == 1


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE blocks ADD COLUMN more"],
        ["ALTER TABLE blocks DROP COLUMN seal"],
        ["ALTER TABLE blocks RENAME TO others"],
        ["ALTER TABLE blocks RENAME TO others", "CREATE VIEW blocks AS SELECT * FROM others"],
        ["CREATE TRIGGER t BEFORE INSERT ON blocks BEGIN SELECT RAISE(ABORT, 'no'); END"],
        ["CREATE INDEX i ON blocks (series)"],
        ["CREATE TABLE another (x)"],
        ["DROP TABLE blocks", f"CREATE TABLE blocks ({', '.join(f'{name} BLOB' for name in 'abcdefghi')})"],
    ],
)
def test_table_that_is_not_as_we_make_it_is_put_aside(path, statements, caplog):
    save(path)
    execute(path, *((statement,) for statement in statements))

    save(path)

    assert "its table is not as the exporter makes it" in caplog.text
    assert len(load(path)) == 1
    assert path.with_name("state.db.corrupt").exists()


def test_what_is_put_aside_is_numbered_and_no_more_than_some_are_kept(path, tmp_path):
    content = ours(tmp_path)[:-1]
    content = content[:100] * 100
    for number in range(20):
        path.write_bytes(content[: 10_000 - number])
        assert load(path) == []
    path.write_bytes(content)

    with pytest.raises(StateError, match=r"is damaged .*, as 20 files before it; delete those"):
        open_state(path)

    assert path.with_name("state.db.corrupt").read_bytes() == content
    assert path.with_name("state.db.corrupt.19").read_bytes() == content[: 10_000 - 19]


def test_file_that_was_never_finished_is_taken(path):
    """The process was killed between the database's first page and its table."""
    path.write_bytes(a_database_of("CREATE TABLE t (x)", "DROP TABLE t"))

    save(path)

    assert len(load(path)) == 1


def test_file_says_whose_it_is_before_its_journal_is_merged(path):
    with opened(path) as (file, _):
        file.save([answer()])
        content = path.read_bytes()

    assert content[68:72] == b"SGAE"


def test_file_of_a_newer_version_is_left_alone(path):
    save(path)
    execute(path, ("PRAGMA user_version = 2",))

    with pytest.raises(StateError, match="written by a newer version"):
        open_state(path)


def test_empty_file_is_taken(path):
    path.touch()

    save(path)

    assert len(load(path)) == 1


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("missing/state.db", r"cannot be created: no directory .*/missing; create it: mkdir -p /"),
        (".", "is a directory; name a file in it"),
        ("/dev/full", "is not a regular file; name another one"),
    ],
)
def test_place_that_cannot_hold_a_file_is_reported(tmp_path, place, says):
    with pytest.raises(StateError, match=rf"state\.path: .* {says}"):
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


@pytest.fixture
def shared_path():
    """A path that other users can reach: pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "state.db"


def test_directory_that_may_not_be_written_is_reported(shared_path):
    shared_path.parent.chmod(0o555)

    with unprivileged(), pytest.raises(StateError, match=r"cannot be opened \(Permission denied\)"):
        open_state(shared_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_file_of_another_user_is_reported_with_the_command_that_mends_it(shared_path, mode):
    save(shared_path)
    shared_path.chmod(mode)
    shared_path.parent.chmod(0o777)

    with unprivileged(), pytest.raises(StateError) as caught:
        open_state(shared_path)

    assert f"{shared_path} belongs to user 0, and the exporter runs as 65534" in str(caught.value)
    assert f"mend it with: chown 65534:0 {shared_path}" in str(caught.value)
    assert not shared_path.with_name("state.db.corrupt").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_own_file_and_folder_without_write_permission_are_reported_with_the_command_that_mends_it(shared_path):
    save(shared_path)
    os.chown(shared_path, 65534, -1)
    shared_path.chmod(0o400)
    shared_path.parent.chmod(0o777)

    with unprivileged(), pytest.raises(StateError, match=rf"mend it with: chmod u\+rw {shared_path}$"):
        open_state(shared_path)

    shared_path.chmod(0o600)
    os.chown(shared_path.parent, 65534, -1)
    shared_path.parent.chmod(0o555)
    with unprivileged(), pytest.raises(StateError, match=rf"mend it with: chmod u\+rwx {shared_path.parent}$"):
        open_state(shared_path)


def test_damaged_file_that_cannot_be_put_aside_is_reported(shared_path, tmp_path):
    content = ours(tmp_path)[:-1]
    shared_path.write_bytes(content)
    shared_path.chmod(0o666)
    shared_path.parent.chmod(0o555)

    with unprivileged(), pytest.raises(StateError, match=r"is damaged .* and cannot be put aside"):
        open_state(shared_path)

    assert shared_path.read_bytes() == content


def test_file_that_is_open_to_others_is_reported_with_its_mode(path, caplog):
    save(path)
    path.chmod(0o644)

    load(path)

    assert f"{path} is open to others (mode 0644); close it with: chmod 600 {path}" in caplog.text


def test_database_that_another_program_holds_is_not_taken_for_damaged(path):
    save(path)
    execute(path, ("PRAGMA journal_mode=DELETE",))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StateError, match=r"cannot be used .*locked"):
            open_state(path)

    assert len(load(path)) == 1


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


def test_full_disk_is_an_error_and_keeps_what_was_stored(path):
    large = a_block(*(a_link(url=os.urandom(200).hex()) for _ in range(2000)))
    with opened(path) as (file, _):
        file.save([answer()])
        with file_size_limit(100_000), pytest.raises(StateError, match="cannot be written"):
            file.save([answer(2, large)])

    assert [saved.automation_id for saved in load(path, 1, 2)] == [ID]


def test_full_disk_at_the_start_is_reported(path):
    with file_size_limit(100), pytest.raises(StateError, match="cannot be used"):
        open_state(path)


def test_deleted_or_replaced_file_is_out_of_place(path):
    with opened(path) as (file, _):
        assert file.is_in_place()
        path.with_name("state.db-wal").unlink()
        assert not file.is_in_place()
    with opened(path) as (file, _):
        path.unlink()
        assert not file.is_in_place()
        path.touch()
        assert not file.is_in_place()
