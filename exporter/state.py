"""The last good blocks on disk, so that a restart leaves no hole."""

import logging
import os
import sqlite3
import stat
import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.domain import AutomationId
from exporter.errors import StateError
from exporter.exposition import crc
from exporter.exposition.block import Block
from exporter.exposition.segment import Segment

_log = logging.getLogger(__name__)

_APPLICATION_ID: Final = 0x53474145
"""Marks a SQLite file as ours ("SGAE"), so that another program's database is left alone."""
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blocks (
    automation_id TEXT PRIMARY KEY,
    question TEXT NOT NULL,
    last_success REAL NOT NULL,
    total_clicks INTEGER NOT NULL,
    series INTEGER NOT NULL,
    length INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL,
    seal INTEGER NOT NULL
) WITHOUT ROWID
"""
_INSERT: Final = "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET: Final = """
DELETE FROM blocks WHERE typeof(last_success) = 'real'
AND last_success < (SELECT max(last_success) FROM blocks WHERE typeof(last_success) = 'real') - ?
"""
_KEPT_SECONDS: Final = 400 * 86400.0
"""Longer than any block is shown: the longest staleness that can be configured is 360 days."""
_CLOSE_SECONDS: Final = 0.5
_TYPES: Final = (str, str, float, int, int, int, int, bytes, int)
"""Of a sound row."""


@dataclass(frozen=True, slots=True)
class SavedBlock:
    """A good block of an earlier run."""

    automation_id: AutomationId
    block: Block
    last_success: float
    """Seconds since the epoch."""


class StateFile:
    """A SQLite file with one row per automation; safe to use from several threads.

    With each block stands the question that it answers (who was asked, for which steps, under which label rules): an
    answer to another question is not given back, so that what an operator has just hidden does not come up again.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.Lock()
        self._failing = False

    def save(self, automation_id: AutomationId, question: str, block: Block, last_success: float) -> None:
        """Keep the block; a failure is logged once, and the next block is tried again."""
        links = block.links
        row = (
            automation_id,
            question,
            last_success,
            block.total_clicks,
            block.series,
            links.length,
            links.crc,
            links.data,
        )
        try:
            with self._lock, self._connection:
                self._connection.execute(_INSERT, (*row, _seal(row)))
        except (sqlite3.Error, OverflowError) as exc:
            if not self._failing:
                _log.warning("state.path: %s cannot be written (%s); blocks are not kept until it can", self._path, exc)
            self._failing = True
            return
        if self._failing:
            _log.info("state.path: %s can be written again", self._path)
        self._failing = False

    def load(
        self, question: Callable[[AutomationId], str], automation_ids: Collection[AutomationId]
    ) -> list[SavedBlock]:
        """Return these automations' blocks that answer today's question; damaged rows are passed over.

        Blocks of others stay, since a second process or a later configuration may want them, until they are of an age
        at which nobody shows them.
        """
        try:
            with self._lock, self._connection:
                self._connection.execute(_FORGET, (_KEPT_SECONDS,))
                rows = self._connection.execute("SELECT * FROM blocks").fetchall()
        except (sqlite3.Error, UnicodeError) as exc:
            raise StateError(f"state.path: {self._path} cannot be read ({exc})") from exc
        wanted = [row for row in rows if row[0] in automation_ids and row[1] == question(row[0])]
        return [saved for row in wanted for saved in _saved(row)]

    def close(self) -> None:
        """Close the file, unless another program holds up a write: what was stored stays stored either way."""
        if self._lock.acquire(timeout=_CLOSE_SECONDS):
            self._connection.close()
            self._lock.release()


def open_state(path: Path) -> StateFile:
    """Open the file, or make it.

    A damaged file of ours, or one that is no database, is renamed to `….corrupt` and a new one is begun. Another
    program's database, and what cannot be written, raises StateError and stays as it is.
    """
    try:
        return StateFile(_connect(path), path)
    except sqlite3.OperationalError as exc:
        raise StateError(f"state.path: {path} cannot be used ({exc})") from exc
    except (sqlite3.DatabaseError, UnicodeError) as exc:
        aside = path.with_name(path.name + ".corrupt")
        try:
            path.replace(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            connection = _connect(path)
        except (OSError, sqlite3.Error) as again:
            raise StateError(f"state.path: {path} is damaged ({exc}) and cannot be put aside ({again})") from again
        _log.warning("state.path: %s was damaged (%s); it was put aside as %s and a new one begun", path, exc, aside)
        return StateFile(connection, path)


def _connect(path: Path) -> sqlite3.Connection:
    _create_private(path)
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level="IMMEDIATE")
    connection.text_factory = lambda text: text.decode("utf-8", "replace")  # a damaged row must not hide the others
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _seal(row: Sequence[object]) -> int:
    """Return a checksum of the columns beside the data, which has its own."""
    return zlib.crc32(repr(row[:-1]).encode())


def _create_private(path: Path) -> None:
    """Make the file readable by its owner only: addresses of links can hold what is nobody else's business."""
    try:
        opened = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_NONBLOCK, 0o600)
    except OSError as exc:
        raise StateError(f"state.path: {path} cannot be opened ({exc.strerror})") from exc
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise StateError(f"state.path: {path} is no regular file; name another one")
    finally:
        os.close(opened)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and owner != _APPLICATION_ID:
        raise StateError(f"state.path: {path} is another program's database; name another file")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise StateError(f"state.path: {path} was written by a newer version of the exporter; name another file")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    with connection:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={_VERSION}")
    check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if check != "ok":
        raise sqlite3.DatabaseError(str(check))


def _saved(row: tuple[Any, ...]) -> Iterator[SavedBlock]:
    """Give the row's block; nothing where the row is damaged: SQLite keeps whatever type a column is given."""
    automation_id, _, last_success, total_clicks, series, length, check, data, seal = row
    if tuple(map(type, row)) != _TYPES or seal != _seal(row[:-1]) or min(total_clicks, series, length) < 0:
        return
    segment = Segment(data, check, length, crc.shift_by(length))
    if segment.is_sound():
        yield SavedBlock(AutomationId(automation_id), Block(segment, series, total_clicks), last_success)
