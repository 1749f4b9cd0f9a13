"""The API key, read again when its file changes, and what is known of its refusals."""

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.web.toolkit.files import Fingerprint, fingerprint

_log = logging.getLogger(__name__)


class Key(Protocol):
    """Where the key comes from."""

    def __call__(self) -> str:
        """Return the key to use for the next request; never waits for anything."""

    def look(self) -> None:
        """Read the key again where it may have changed; may wait for a disk, so no request does it."""

    def known(self) -> tuple[str, ...]:
        """Return the keys that were in use so far, which no log may show; never waits for anything."""


class FixedKey:
    """A key that stays as it is."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self) -> str:
        return self._key

    def look(self) -> None:
        """Do nothing, since there is no file."""

    def known(self) -> tuple[str, ...]:
        return (self._key,)


class Refusals:
    """Remembers which key SendGrid refuses, so that its other automations need not ask in vain.

    A single automation's refusal says nothing of the key: a second one without a success in between does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._key = ""
        self._refused: set[str] = set()
        self._until = -math.inf

    def in_effect(self, key: Callable[[], str]) -> bool:
        """Return whether the key was just refused to several automations, so that asking with it is of no use yet."""
        with self._lock:
            refused = self._key if len(self._refused) > 1 and self._clock.monotonic() < self._until else None
        return refused is not None and key() == refused

    def refused(self, key: str, subject: str) -> None:
        """Take note of a refusal, to an automation or a list, that stood its second try."""
        with self._lock:
            if key != self._key:
                self._key, self._refused = key, set()
            self._refused.add(subject)
            self._until = self._clock.monotonic() + _ROUND

    def accepted(self) -> None:
        """Take note of an answer other than a refusal."""
        with self._lock:
            self._refused.clear()


_ROUND: Final = 10.0
"""Seconds for which a refused key is not tried again: the automations that are due at one time fail in far fewer."""
_REMEMBERED: Final = 16
"""Former keys that are still hidden in the log: an answer to an old request may quote one."""


class KeyFile:
    """Gives the key that a file holds; while the file cannot be read, the last good key stays in use."""

    def __init__(self, path: Path, read: Callable[[Path], str], key: str | None = None) -> None:
        """Begin with the key that was read already, or read it; raise ConfigurationError when the file holds none."""
        self._path = path
        self._read = read
        self._stamp = None if key is not None else fingerprint(path)
        self._key = read(path) if key is None else key
        self._known: tuple[str, ...] = (self._key,)
        self._failing = False

    def __call__(self) -> str:
        return self._key

    def look(self) -> None:
        """Read the file again if it changed; one thread does this, about once a second."""
        stamp = fingerprint(self._path)
        news = self._renew(stamp) if stamp != self._stamp or self._failing else None
        if news is not None:
            _log.log(*news)

    def known(self) -> tuple[str, ...]:
        return self._known

    def _renew(self, stamp: Fingerprint) -> tuple[int, str] | None:
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
