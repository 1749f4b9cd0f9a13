"""The API key, read again when its file changes, and what is known of its refusals."""

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.errors import ConfigurationError
from exporter.web.toolkit.files import Fingerprint, fingerprint

_log = logging.getLogger(__name__)
_LONGEST_TRIAL: Final = 5.0
"""Seconds for which other requests wait for the first one with a key: a refusal comes in less than one, and a name
server or a network that hangs must not hold up the others for long."""
_ROUND: Final = 10.0
"""Seconds for which a refused key is not tried again: the automations that are due at one time fail in far fewer."""
_REMEMBERED: Final = 16
"""Former keys that are still hidden in the log: an answer to an old request may quote one."""


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


class Turn(Enum):
    """Whether a request with the key makes sense now."""

    ASK = auto()
    WAIT = auto()
    """Another request is about to show whether SendGrid accepts the key."""
    REFUSED = auto()


class KeyTrial:
    """Knows whether SendGrid accepts the key, so that a refused one is not tried by every automation.

    A key that was not accepted yet is tried by one request alone, and a refusal that stood its second try is the key's.
    Once the key was accepted, a single automation's refusal says nothing of it: a second one without a success in
    between does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._forget("")

    def _forget(self, key: str) -> None:
        self._key = key
        self._is_accepted = False
        self._is_settled = False
        """Whether requests need not wait for one another."""
        self._trial_ends: float | None = None
        self._refused: set[str] = set()
        self._refused_until = -math.inf
        self._refusal: str | None = None
        """What SendGrid said when it refused the key; None while it has not."""

    def turn(self, key: Callable[[], str]) -> Turn:
        """Return whether to use the key now; a waiting caller asks again shortly, for a limited time."""
        if self._is_settled:
            return Turn.ASK
        current = key()
        with self._lock:
            if current != self._key:
                self._forget(current)
            now = self._clock.monotonic()
            if self._refusal is not None and now < self._refused_until:
                return Turn.REFUSED
            if self._trial_ends is None:
                self._trial_ends = now + _LONGEST_TRIAL
                return Turn.ASK
            self._is_settled = now >= self._trial_ends
            return Turn.ASK if self._is_settled else Turn.WAIT

    @property
    def refusal(self) -> str:
        """What SendGrid said when it refused the key."""
        return self._refusal or ""

    def refused(self, key: str, subject: str, said: str) -> bool:
        """Take note of a refusal, to an automation or a list, that stood its second try.

        Return whether the key was known to be refused before.
        """
        with self._lock:
            if key != self._key:
                self._forget(key)
            known = self._refusal is not None
            self._refused.add(subject)
            if not self._is_accepted or len(self._refused) > 1:
                self._refusal = said
                self._refused_until = self._clock.monotonic() + _ROUND
                self._is_settled, self._trial_ends = False, None
            return known

    def settle(self) -> None:
        """Take note of a failure that decides nothing: nobody needs to wait for more, unless the key is refused."""
        with self._lock:
            if self._refusal is None or self._clock.monotonic() >= self._refused_until:
                self._is_settled = True

    def accepted(self, key: str) -> None:
        """Take note of an answer with what was asked for."""
        with self._lock:
            if key == self._key:
                self._is_accepted = self._is_settled = True
                self._refused.clear()
                self._refusal = None


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
