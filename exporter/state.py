"""The last good blocks on disk, so that a restart leaves no hole."""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
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
    rules TEXT NOT NULL,
    last_success REAL NOT NULL,
    total_clicks INTEGER NOT NULL,
    series INTEGER NOT NULL,
    length INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    data BLOB NOT NULL
) WITHOUT ROWID
"""
_TYPES: Final = (str, str, float, int, int, int, int, bytes)
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

    `rules` names what the blocks depend on beside SendGrid's answer (label rules, steps asked for): blocks that were
    rendered under other rules are not given back, so that what an operator has just hidden does not come up again.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = threading.Lock()
        self._failing = False
        self.rules: Callable[[AutomationId], str] = lambda _: ""

    def save(self, automation_id: AutomationId, block: Block, last_success: float) -> None:
        """Keep the block; a failure is logged once, and the next block is tried again."""
        links = block.links
        row = (
            automation_id,
            self.rules(automation_id),
            last_success,
            block.total_clicks,
            block.series,
            links.length,
            links.crc,
            links.data,
        )
        try:
            with self._lock, self._connection:
                self._connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        except (sqlite3.Error, OverflowError) as exc:
            if not self._failing:
                _log.warning("state.path: %s cannot be written (%s); blocks are not kept until it can", self._path, exc)
            self._failing = True
            return
        if self._failing:
            _log.info("state.path: %s can be written again", self._path)
        self._failing = False

    def load(self, automation_ids: Collection[AutomationId]) -> list[SavedBlock]:
        """Return the blocks of these automations, and forget all others; damaged rows are passed over."""
        try:
            with self._lock, self._connection:
                held = self._connection.execute("SELECT automation_id FROM blocks").fetchall()
                gone = [row for row in held if row[0] not in automation_ids]
                self._connection.executemany("DELETE FROM blocks WHERE automation_id = ?", gone)
                rows = self._connection.execute("SELECT * FROM blocks").fetchall()
        except sqlite3.Error as exc:
            raise StateError(f"state.path: {self._path} cannot be read ({exc})") from exc
        return [saved for row in rows if row[1] == self.rules(row[0]) for saved in _saved(row)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def open_state(path: Path) -> StateFile:
    """Open the file, or make it.

    A damaged file of ours, or one that is no database, is renamed to `….corrupt` and a new one is begun. Another
    program's database, and what cannot be written, raises StateError and stays as it is.
    """
    try:
        return StateFile(_connect(path), path)
    except sqlite3.OperationalError as exc:
        raise StateError(f"state.path: {path} cannot be used ({exc})") from exc
    except sqlite3.DatabaseError as exc:
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
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _create_private(path: Path) -> None:
    """Make the file readable by its owner only: addresses of links can hold what is nobody else's business."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    except OSError as exc:
        raise StateError(f"state.path: {path} cannot be opened ({exc.strerror})") from exc


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
    automation_id, _, last_success, total_clicks, series, length, check, data = row
    if tuple(map(type, row)) != _TYPES or min(total_clicks, series, length) < 0:
        return
    segment = Segment(data, check, length, crc.shift_by(length))
    if segment.is_sound():
        yield SavedBlock(AutomationId(automation_id), Block(segment, series, total_clicks), last_success)
