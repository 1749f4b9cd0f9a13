"""Basic authentication against bcrypt hashes: slow to guess, cheap to repeat, never in anybody's way."""

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import bcrypt

from exporter.errors import StoppedError
from exporter.web.turns import BusyError, Turns

_REMEMBERED_REFUSALS: Final = 256
_LONGEST_PASSWORD: Final = 72
"""Bytes that bcrypt looks at: as in Go, what follows them is not compared."""
_LONGEST_CREDENTIALS: Final = 4096
_DUMMY: Final = "OrpheanBeholderScryDou" + "." * 31
"""Salt and digest that stand in for those of a user who does not exist."""


def matches(password: bytes, hashed: bytes) -> bool:
    """Tell whether the password, of at most 72 bytes, has this bcrypt hash; slow on purpose."""
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


class Verdict(enum.Enum):
    """What to do with who asks."""

    ALLOWED = "allowed"
    DENIED = "denied"
    BUSY = "busy"
    """Too many other passwords wait to be checked."""


class _Credentials(NamedTuple):
    user: bytes
    password: bytes
    hashed: bytes | None
    """What the password must match; None for a user who does not exist."""
    digest: bytes


class BasicAuth:
    """Checks passwords; each pair of user and password costs one bcrypt at most.

    An unknown user costs the same as a known one. Right passwords are remembered apart from wrong ones, so that no
    flood of these can push them out.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool], turns: Turns) -> None:
        self._check = check
        self._turns = turns
        # Digests of passwords are only kept keyed: of use to nobody outside of this process.
        self._key = secrets.token_bytes(32)
        self._allowed: dict[bytes, bytes] = {}
        self._denied: OrderedDict[bytes, None] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[bool]] = {}

    async def verdict(self, authorization: str | None, users: Mapping[bytes, bytes], client: str) -> Verdict:
        """Decide on an Authorization header of the client, a host; users are names and bcrypt hashes."""
        credentials = parse_basic(authorization)
        if credentials is None:
            return Verdict.DENIED
        user, password = credentials
        hashed = users.get(user)
        asked = _Credentials(user, password, hashed, self._digest(user, hashed or b"", password))
        known = self._remembered(asked)
        if known is None:
            try:
                # A client that goes away must not take the check from others, nor its result from the memory.
                known = await asyncio.shield(self._checked(asked, users, client))
            except (BusyError, StoppedError):
                return Verdict.BUSY
        return Verdict.ALLOWED if known else Verdict.DENIED

    def _remembered(self, asked: _Credentials) -> bool | None:
        if hmac.compare_digest(self._allowed.get(asked.user, b""), asked.digest):
            return True
        if asked.digest in self._denied:
            self._denied.move_to_end(asked.digest)
            return False
        return None

    def _checked(self, credentials: _Credentials, users: Mapping[bytes, bytes], client: str) -> "asyncio.Future[bool]":
        pending = self._pending.get(credentials.digest)
        if pending is None:
            hashed = credentials.hashed or _dummy(users)
            password = credentials.password[:_LONGEST_PASSWORD]
            pending = self._turns.take(client, lambda: self._check(password, hashed) and credentials.hashed is not None)
            self._pending[credentials.digest] = pending
            pending.add_done_callback(lambda done: self._settle(credentials, done))
        return pending

    def _settle(self, credentials: _Credentials, done: "asyncio.Future[bool]") -> None:
        del self._pending[credentials.digest]
        if done.cancelled() or done.exception() is not None:
            return
        if done.result():
            self._allowed[credentials.user] = credentials.digest
            return
        self._denied[credentials.digest] = None
        while len(self._denied) > _REMEMBERED_REFUSALS:
            self._denied.popitem(last=False)

    def _digest(self, *parts: bytes) -> bytes:
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


def parse_basic(authorization: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of a Basic Authorization header, None where it is none."""
    if authorization is None or len(authorization) > _LONGEST_CREDENTIALS:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _dummy(users: Mapping[bytes, bytes]) -> bytes:
    cost = max((hashed[4:6] for hashed in users.values()), default=b"10").decode()
    return f"$2b${cost}${_DUMMY}".encode()
