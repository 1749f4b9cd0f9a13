"""The API key, read again when its file changes, so that a rotated key is used by the next request."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from exporter.errors import ConfigurationError

_log = logging.getLogger(__name__)


class Key(Protocol):
    """Where the key comes from."""

    def __call__(self) -> str:
        """Return the key to use for the next request."""

    def known(self) -> tuple[str, ...]:
        """Return the keys that were in use so far, which no log may show; never waits for anything."""


class FixedKey:
    """A key that stays as it is."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self) -> str:
        return self._key

    def known(self) -> tuple[str, ...]:
        return (self._key,)


_REMEMBERED: Final = 16
"""Former keys that are still hidden in the log: an answer to an old request may quote one."""
_Stamp = tuple[int, int, int]


class KeyFile:
    """Gives the key that a file holds; while the file cannot be read, the last good key stays in use."""

    def __init__(self, path: Path, read: Callable[[Path], str], key: str | None = None) -> None:
        """Begin with the key that was read already, or read it; raise ConfigurationError when the file holds none."""
        self._path = path
        self._read = read
        self._lock = threading.Lock()
        self._stamp = None if key is not None else self._current_stamp()
        self._key = read(path) if key is None else key
        self._known: tuple[str, ...] = (self._key,)
        self._failing = False

    def __call__(self) -> str:
        """Return the current key; costs one look at the file's times."""
        with self._lock:
            stamp = self._current_stamp()
            news = self._renew(stamp) if stamp != self._stamp or self._failing else None
            key = self._key
        if news is not None:
            _log.log(*news)
        return key

    def known(self) -> tuple[str, ...]:
        return self._known

    def _renew(self, stamp: _Stamp | None) -> tuple[int, str] | None:
        """Read the file again; return the level and the text of what is worth telling."""
        try:
            key = self._read(self._path)
        except ConfigurationError as exc:
            known, self._failing = self._failing, True
            return None if known else (logging.WARNING, f"{exc}; the key that was read before stays in use")
        changed = key != self._key or self._failing
        self._key, self._stamp, self._failing = key, stamp, False
        self._known = (*(known for known in self._known if known != key), key)[-_REMEMBERED:]
        return (logging.INFO, "sendgrid.api_key_file: the key was read again") if changed else None

    def _current_stamp(self) -> _Stamp | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  # twice as fast as through a path object, for each request
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
