"""The state file: a SQLite database of one table. Everything here may wait for the disk as long as the disk likes."""

import errno
import logging
import os
import shlex
import sqlite3
import stat
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from exporter.domain import AutomationId
from exporter.errors import ForeignFileError, StateError
from exporter.exposition import Block, Compressed
from exporter.state import SavedAnswer, SavedBlock
from exporter.web.toolkit.files import exposure

_log = logging.getLogger(__name__)

_APPLICATION_ID: Final = 0x53474145
"""Marks a SQLite file as ours ("SGAE"), so that another program's database is left alone."""
_VERSION: Final = 1
_COLUMNS: Final = (
    ("automation_id", "TEXT", 1, 1),
    ("question", "TEXT", 1, 0),
    ("last_success", "REAL", 1, 0),
    ("total_clicks", "INTEGER", 1, 0),
    ("series", "INTEGER", 1, 0),
    ("length", "INTEGER", 1, 0),
    ("crc", "INTEGER", 1, 0),
    ("data", "BLOB", 1, 0),
    ("seal", "INTEGER", 1, 0),
)
"""Name, type, whether it is NOT NULL, place in the primary key: what PRAGMA table_xinfo says of the table."""
_SCHEMA: Final = f"""
CREATE TABLE blocks (
    {", ".join(f"{name} {kind}" + (" PRIMARY KEY" if key else " NOT NULL") for name, kind, _, key in _COLUMNS)}
) WITHOUT ROWID
"""
_INSERT: Final = "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
# Measured from the newest row: a clock that is wrong at one start must not empty the file. SQLite sorts
# text above every number, so a damaged row must not be the newest (https://www.sqlite.org/datatype3.html, 4.1).
_FORGET: Final = """
DELETE FROM blocks WHERE typeof(last_success) = 'real'
AND last_success < (SELECT max(last_success) FROM blocks WHERE typeof(last_success) = 'real') - ?
"""
_KEPT_SECONDS: Final = 400 * 86400.0
"""Longer than any block is shown: the longest staleness that can be configured is 360 days."""
_BUSY_SECONDS: Final = 5.0
"""SQLite's own patience with another program's lock."""
_TYPES: Final = (str, str, float, int, int, int, int, bytes, int)
"""Of a sound row."""

_HEADER: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100
_OWNER_AT: Final = slice(68, 72)
_PAGE_SIZE_AT: Final = slice(16, 18)
"""Places in the header: https://www.sqlite.org/fileformat2.html#the_database_header."""
_LARGEST_ZEROES: Final = 64 * 1024 * 1024
_JOURNALS: Final = ("-wal", "-shm", "-journal")
_MOST_ASIDE: Final = 20
"""Damaged files that are kept: a disk that damages every file must not fill up as well."""
_NO_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_TOOBIG,
    }
)
"""Errors of the disk, the system or another program: the file itself may be sound."""


class _DamageError(sqlite3.DatabaseError):
    """The file is ours, and not as we made it."""


class StateFile:
    """The opened file; only the thread that opened it may use it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._seen = _identity(path)
        self._cut = False
        self._journaled = path.with_name(path.name + "-wal").exists()

    def save(self, answers: Iterable[SavedAnswer]) -> None:
        """Store the blocks, all of them or none; raise StateError."""
        try:
            # sqlite3's context manager commits, or rolls back after an exception; it does not close the connection.
            with self._connection:
                self._connection.executemany(_INSERT, map(_row, answers))
        except (sqlite3.Error, OverflowError) as exc:
            raise StateError(f"state.path: {self._path} cannot be written ({exc})") from exc

    def load(
        self, question: Callable[[AutomationId], str], automation_ids: Container[AutomationId]
    ) -> list[SavedBlock]:
        """Return these automations' blocks that answer today's question; damaged rows are ignored.

        Blocks of others stay, since a second process or a later configuration may want them, until they are of an age
        at which nobody shows them. Raise sqlite3.Error.
        """
        with self._connection:
            self._connection.execute(_FORGET, (_KEPT_SECONDS,))
            rows = self._connection.execute("SELECT * FROM blocks")
            wanted = [row for row in rows if row[0] in automation_ids and row[1] == question(row[0])]
        return [saved for row in wanted for saved in _saved(row)]

    def is_in_place(self) -> bool:
        """Return whether the path still names the file that was opened, not cut short, and its journal."""
        wal = self._path.with_name(self._path.name + "-wal")
        # The size may grow between two looks, never shrink: a SQLite file gets shorter only by VACUUM, which is not
        # used.
        former, self._seen = self._seen, _identity(self._path)
        same = self._seen[:2] == former[:2]
        self._cut = same and self._seen[2] < former[2]
        return same and not self._cut and (not self._journaled or wal.exists())

    def close(self) -> None:
        """Close the file; never raise."""
        if self._cut:  # SQLite would merge its journal into what is left, which nobody could tell for ours then
            with suppress(OSError, StateError):
                _put_aside(self._path, _DamageError("it was cut"))
        with suppress(sqlite3.Error):
            self._connection.close()


def open_state(
    path: Path, question: Callable[[AutomationId], str] = str, automation_ids: Container[AutomationId] = ()
) -> tuple[StateFile, list[SavedBlock]]:
    """Open the file, or make it; return it with these automations' blocks that answer today's question.

    A damaged file of ours is renamed to `….corrupt`, with its journals, and a new one is made. Raise ForeignFileError
    for somebody else's file and StateError for what cannot be used; both stay as they are.
    """
    examine(path)
    try:
        try:
            return _opened(path, question, automation_ids)
        except (sqlite3.Error, UnicodeError) as exc:
            if not _is_damage(exc):
                raise
            aside = _put_aside(path, exc)
            _log.warning(
                "state.path: %s was damaged (%s); it was put aside as %s, and a new one made", path, exc, aside
            )
            return _opened(path, question, automation_ids)
    except (sqlite3.Error, UnicodeError) as exc:
        raise StateError(f"state.path: {path} cannot be used ({exc}){_access_advice(path)}") from exc


def examine(path: Path) -> None:
    """Raise ForeignFileError for a file that is neither absent, empty nor ours, StateError for one out of reach.

    The file is only read. Its own first page decides: one of ours that was damaged there may have lost SQLite's mark,
    and one that was cut may have lost ours, but not both unless nothing is left.
    """
    try:
        # O_NONBLOCK: opening a named pipe for reading would otherwise wait for its writer.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        _check_folder(path)
        return
    except OSError as exc:
        advice = _access_advice(path) if isinstance(exc, PermissionError) else ""
        raise StateError(f"state.path: {path} cannot be opened ({exc.strerror}){advice}") from exc
    try:
        details = os.fstat(opened)
        if stat.S_ISDIR(details.st_mode):
            raise StateError(f"state.path: {path} is a directory; name a file in it")
        if not stat.S_ISREG(details.st_mode):
            raise StateError(f"state.path: {path} is not a regular file; name another one")
        head = os.read(opened, _HEADER_SIZE)
        # A file that lost its content in a power failure is as long as it was, and all zeroes.
        rest = b"" if any(head) or details.st_size > _LARGEST_ZEROES else os.read(opened, details.st_size)
        zeroes = not any(head) and len(head) + len(rest) == details.st_size and not rest.strip(b"\0")
    except OSError as exc:
        raise StateError(f"state.path: {path} cannot be read ({exc.strerror})") from exc
    finally:
        os.close(opened)
    if not zeroes and not _is_ours(path, head):
        raise ForeignFileError(f"state.path: {path} is not a state file of the exporter; name another file")


def _check_folder(path: Path) -> None:
    """Raise StateError where no file can be made at the path."""
    folder = path.parent
    if not folder.is_dir():
        advice = f"create it: mkdir -p {shlex.quote(str(folder))}"
        raise StateError(f"state.path: {path} cannot be created: no directory {folder}; {advice}")
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        reason = os.strerror(errno.EACCES)
        raise StateError(f"state.path: {path} cannot be opened ({reason}){_access_advice(path)}")


def _is_ours(path: Path, head: bytes) -> bool:
    owner = head[_OWNER_AT]
    # Numbers in the header are big-endian on every machine.
    if owner == _APPLICATION_ID.to_bytes(4, "big"):
        return True
    if len(head) < _OWNER_AT.stop:
        return head[: len(_HEADER)] == _HEADER[: len(head)]
    return head.startswith(_HEADER) and not any(owner) and _is_unused(path)


def _is_unused(path: Path) -> bool:
    """Return whether the database has no tables: one that was about to be made when the process was killed."""
    try:
        # `immutable=1` takes no lock and makes no journal: looking at another program's file must not change it.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            return not connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error:
        return False


def _access_advice(path: Path) -> str:
    """Return what is out of reach, whose it is, and the command that mends it; nothing where all is as it should be."""
    user = os.geteuid()
    for each in (path.parent, *_with_journals(path)):
        wanted = os.R_OK | os.W_OK | (os.X_OK if each == path.parent else 0)
        try:
            owner = each.stat().st_uid
        except OSError:
            continue
        if os.access(each, wanted, effective_ids=True):
            continue
        if owner == user:
            command = f"chmod u+rw{'x' if each == path.parent else ''} {shlex.quote(str(each))}"
        else:
            folder = [path.parent] if each == path.parent else []  # one that is shared with others stays theirs
            files = [shlex.quote(str(file)) for file in (*folder, *_with_journals(path)) if os.path.lexists(file)]
            command = f"chown {user}:{os.getegid()} {' '.join(files)}"
        return f": {each} belongs to user {owner}, and the exporter runs as {user}; mend it with: {command}"
    return ""


def _opened(
    path: Path, question: Callable[[AutomationId], str], automation_ids: Container[AutomationId]
) -> tuple[StateFile, list[SavedBlock]]:
    details = _create_private(path)
    page = int.from_bytes(_head(path)[_PAGE_SIZE_AT], "big")
    # The header's two bytes cannot hold 65536, so SQLite writes 1 for it.
    if details.st_size % (65536 if page == 1 else page or 1):
        raise _DamageError("it ends within a page")
    # IMMEDIATE takes the write lock when a transaction begins, where SQLite waits for the busy time-out. One that is
    # upgraded from reading fails at once where another connection has written meanwhile (SQLITE_BUSY_SNAPSHOT).
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level="IMMEDIATE")
    try:
        # A damaged row must not hide the others.
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        _prepare(connection, path)
        file = StateFile(connection, path)
        blocks = file.load(question, automation_ids)
    except BaseException:
        with suppress(sqlite3.Error):
            connection.close()
        raise
    if text := exposure(path, details):
        _log.warning("state.path: %s", text)
    return file, blocks


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and owner != _APPLICATION_ID:
        raise ForeignFileError(f"state.path: {path} is another program's database; name another file")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise StateError(f"state.path: {path} was written by a newer version of the exporter; name another file")
    if not tables:
        # Before the write-ahead log is switched on, so that the file itself says whose it is from its first page on.
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA}; PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={_VERSION};"
            "COMMIT"
        )
    elif tables != [("table", "blocks")] or _columns(connection) != _COLUMNS:
        raise _DamageError("its table is not as the exporter makes it")
    # With a write-ahead log, a killed process leaves the file itself as it was at the last checkpoint.
    connection.execute("PRAGMA journal_mode=WAL")
    # In WAL mode NORMAL syncs at checkpoints only: a power failure may lose the newest blocks, not the file's
    # consistency, and the next poll brings them again.
    connection.execute("PRAGMA synchronous=NORMAL")
    # quick_check leaves out the comparison of indexes with tables; (1) stops at the first error.
    check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise _DamageError(str(check))


def _columns(connection: sqlite3.Connection) -> tuple[tuple[str, str, int, int], ...]:
    found = connection.execute("PRAGMA table_xinfo(blocks)").fetchall()
    return tuple((name, kind, required, key) for _, name, kind, required, _, key, _ in found)


def _create_private(path: Path) -> os.stat_result:
    """Make the file readable by its owner only: addresses of links can hold what is nobody else's business."""
    try:
        # Made here and not by SQLite, which would create the file with the mode that the umask leaves.
        opened = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        advice = _access_advice(path) if isinstance(exc, PermissionError) else ""
        raise StateError(f"state.path: {path} cannot be opened ({exc.strerror}){advice}") from exc
    try:
        return os.fstat(opened)
    finally:
        os.close(opened)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_SIZE)


def _is_damage(exc: Exception) -> bool:
    """Return whether the error is the file's own.

    A page that is cut is an input or output error to SQLite from 3.46 on, as a broken disk is, with a code of its own.
    """
    code = getattr(exc, "sqlite_errorcode", None)
    return code is None or code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF not in _NO_DAMAGE


def _put_aside(path: Path, damage: Exception) -> Path:
    """Rename the file and its journals to the first name with a number that is free; return the name."""
    names = (path.with_name(f"{path.name}.corrupt{f'.{number}' if number else ''}") for number in range(_MOST_ASIDE))
    aside = next((name for name in names if not os.path.lexists(name)), None)
    if aside is None:
        raise StateError(f"state.path: {path} is damaged ({damage}), as {_MOST_ASIDE} files before it; delete those")
    try:
        # The journals first: a new database beside an old journal would take in its pages.
        for old, new in list(zip(_with_journals(path), _with_journals(aside), strict=True))[::-1]:
            if os.path.lexists(old):
                old.rename(new)
    except OSError as exc:
        raise StateError(f"state.path: {path} is damaged ({damage}) and cannot be put aside ({exc.strerror})") from exc
    return aside


def _with_journals(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in _JOURNALS)]


def _identity(path: Path) -> tuple[int, int, int]:
    """Return the device, the number and the size of the file; zeroes where there is none."""
    try:
        details = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return details.st_dev, details.st_ino, details.st_size


def _row(answer: SavedAnswer) -> tuple[object, ...]:
    saved, links = answer.saved, answer.saved.block.links
    row = (
        saved.automation_id,
        answer.question,
        saved.last_success,
        saved.block.total_clicks,
        saved.block.series,
        links.length,
        links.crc,
        b"".join(links.chunks),
    )
    return (*row, _seal(row))


def _seal(row: Sequence[object]) -> int:
    """Return a checksum of the columns beside the data, which has its own."""
    return zlib.crc32(repr(row[:-1]).encode())


def _saved(row: tuple[Any, ...]) -> Iterator[SavedBlock]:
    """Give the row's block; nothing where the row is damaged: SQLite keeps whatever type a column is given."""
    automation_id, _, last_success, total_clicks, series, length, check, data, seal = row
    if tuple(map(type, row)) != _TYPES or seal != _seal(row[:-1]) or min(total_clicks, series, length) < 0:
        return
    links = Compressed((data,), check, length, len(data))
    if links.is_sound():
        yield SavedBlock(AutomationId(automation_id), Block(links, series, total_clicks), last_success)
