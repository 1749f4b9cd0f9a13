"""Basic authentication against bcrypt hashes, and the rate limit, a token bucket for each client.

Passwords are slow to guess, cheap to repeat, and never checked on the event loop.
"""

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from exporter.web.toolkit.config_file import RateLimitRule
from exporter.web.toolkit.worker import BusyError, Worker, WorkerStoppedError

_MOST_CLIENTS: Final = 4096
"""Buckets kept, about 1 MB; a client whose bucket was dropped begins with a full one."""
_IPV6_HOST_BITS: Final = 64
_REMEMBERED_REFUSALS: Final = 256
_TRUSTED_CLIENTS: Final = 256
_LONGEST_PASSWORD: Final = 72
"""Bytes that bcrypt looks at: as in Go, what follows them is not compared."""
_LONGEST_CREDENTIALS: Final = 4096
# The dot is zero in bcrypt's base 64: 31 of them are a digest of zeroes.
_DUMMY: Final = "OrpheanBeholderScryDou" + "." * 31
"""Salt and digest that stand in for those of a user who does not exist."""
_USUAL_COST: Final = 10
_WAITING: Final = 64
_WAITING_OF_ONE: Final = 16


class _Bucket(NamedTuple):
    tokens: float
    counted_at: float


class ClientRateLimit:
    """Lets a client's requests pass as long as its bucket has tokens; one client cannot use up another's.

    A bucket begins full, and so do all of them when the rules change.
    """

    def __init__(self, monotonic: Callable[[], float], *, most_clients: int = _MOST_CLIENTS) -> None:
        self._monotonic = monotonic
        self._most = most_clients
        self._rules: RateLimitRule | None = None
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        """In the order of the last request, the oldest first."""

    def allows(self, rules: RateLimitRule, address: str) -> bool:
        """Take a token of the client at this address; return whether there was one."""
        if rules != self._rules:
            self._rules = rules
            self._buckets.clear()
        client, now = client_of(address), self._monotonic()
        bucket = self._buckets.pop(client, None) or _Bucket(float(rules.burst), now)
        tokens = min(bucket.tokens + (now - bucket.counted_at) / rules.interval, float(rules.burst))
        passes = tokens >= 1
        self._buckets[client] = _Bucket(tokens - passes, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return passes


def client_of(address: str) -> str:
    """Return the client that an IP address belongs to: for IPv6 its /64, which is one network (RFC 4291, 2.5.1).

    An IPv4 address that a dual-stack socket writes as IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.
    """
    if ":" not in address:
        return address
    try:
        number = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(number) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)}/{_IPV6_HOST_BITS}"


T = TypeVar("T")


def matches(password: bytes, hashed: bytes) -> bool:
    """Return whether the password, of at most 72 bytes, has this bcrypt hash; slow on purpose."""
    import bcrypt  # noqa: PLC0415  # 0.4 MB that only a web config file with users needs

    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


class Verdict(enum.Enum):
    """What to do with a request."""

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
    """Checks passwords; each pair of user and password costs one check at most.

    Every check takes as long as one against the highest cost in the file, for known and unknown users alike: the time
    must not reveal which names exist. Right passwords are remembered apart from wrong ones, so that no flood of these
    can push them out, and a client who has given a right one does not wait behind strangers when the next is checked.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool], queue: "FairQueue") -> None:
        self._check = check
        self._queue = queue
        # Digests of passwords are only kept keyed: useless outside of this process.
        self._key = secrets.token_bytes(32)
        self._allowed: dict[bytes, bytes] = {}
        self._denied: OrderedDict[bytes, None] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[bool]] = {}
        self._trusted: OrderedDict[str, None] = OrderedDict()

    async def verdict(self, authorization: str | None, users: Mapping[bytes, bytes], address: str) -> Verdict:
        """Decide on an Authorization header of the client at this address; users are names and bcrypt hashes."""
        credentials = parse_basic(authorization)
        if credentials is None:
            return Verdict.DENIED
        user, password = credentials
        hashed = users.get(user)
        asked = _Credentials(user, password, hashed, self._digest(user, hashed or b"", password))
        client = client_of(address)
        known = self._remembered(asked)
        if known is None:
            try:
                # A client that goes away must not take the check from others, nor its result from the memory.
                known = await asyncio.shield(self._checked(asked, users, client))
            except (BusyError, WorkerStoppedError):
                return Verdict.BUSY
        if known:
            _remember(self._trusted, client, _TRUSTED_CLIENTS)
        return Verdict.ALLOWED if known else Verdict.DENIED

    def _remembered(self, asked: _Credentials) -> bool | None:
        # Compared in constant time: how far two digests agree must not show in how long the answer takes.
        if hmac.compare_digest(self._allowed.get(asked.user, b""), asked.digest):
            return True
        if asked.digest in self._denied:
            self._denied.move_to_end(asked.digest)
            return False
        return None

    def _checked(self, asked: _Credentials, users: Mapping[bytes, bytes], client: str) -> "asyncio.Future[bool]":
        pending = self._pending.get(asked.digest)
        if pending is None:
            highest = _highest_cost(users)
            pending = self._queue.submit(
                client, lambda: self._check_slowly(asked, highest), trusted=client in self._trusted
            )
            self._pending[asked.digest] = pending
            pending.add_done_callback(lambda done: self._settle(asked, done))
        return pending

    def _check_slowly(self, asked: _Credentials, highest: int) -> bool:
        hashed = asked.hashed or _dummy(highest)
        password = asked.password[:_LONGEST_PASSWORD]
        right = self._check(password, hashed) and asked.hashed is not None
        # A check of cost n is 2^n rounds, so those of the costs n to m - 1 fill up to the one of m:
        # 2^n + 2^n + 2^(n+1) + ... + 2^(m-1) = 2^m.
        for cost in range(_cost(hashed), highest):
            self._check(password, _dummy(cost))
        return right

    def _settle(self, asked: _Credentials, done: "asyncio.Future[bool]") -> None:
        del self._pending[asked.digest]
        if done.cancelled() or done.exception() is not None:
            return
        if done.result():
            self._allowed[asked.user] = asked.digest
        else:
            _remember(self._denied, asked.digest, _REMEMBERED_REFUSALS)

    def _digest(self, *parts: bytes) -> bytes:
        # Lengths before the parts: otherwise user "a" with "bc" and user "ab" with "c" would be one.
        text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()


class _Job(NamedTuple):
    function: Callable[[], bool]
    outcome: "asyncio.Future[bool]"


_Waiting = dict[str, list[_Job]]
"""The jobs of each client, the newest last; clients in the order of their turns."""


class FairQueue:
    """One piece of work at a time: clients take turns, and each client's newest goes first.

    Newest first, because in a flood the oldest has the least patience left. Beyond the bounds the oldest job of the
    client with the most gets BusyError. Trusted clients and the others take turns too, and others never displace a
    trusted client's job: however many addresses a flood comes from, it cannot keep them out.
    """

    def __init__(self, worker: Worker, *, waiting: int = _WAITING) -> None:
        self._worker = worker
        self._bound = waiting
        self._trusted: _Waiting = {}
        self._others: _Waiting = {}
        self._trusted_next = True
        self._task: asyncio.Task[None] | None = None

    def submit(self, client: str, function: Callable[[], bool], *, trusted: bool = False) -> "asyncio.Future[bool]":
        """Return what will be the function's outcome, or BusyError."""
        job = _Job(function, asyncio.get_running_loop().create_future())
        lane = self._trusted if trusted else self._others
        jobs = lane.setdefault(client, [])
        jobs.append(job)
        if len(jobs) > _WAITING_OF_ONE:
            _refuse_oldest(lane, client)
        elif sum(map(len, lane.values())) > self._bound:
            _refuse_oldest(lane, max(lane, key=lambda name: len(lane[name])))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return job.outcome

    async def _work(self) -> None:
        while self._trusted or self._others:
            job = self._next()
            try:
                job.outcome.set_result(await self._worker.run(job.function))
            except Exception as exc:  # noqa: BLE001 - the waiting request gets it
                job.outcome.set_exception(exc)
        self._task = None

    def _next(self) -> _Job:
        first, second = (self._trusted, self._others) if self._trusted_next else (self._others, self._trusted)
        lane = first or second
        self._trusted_next = lane is self._others
        client = next(iter(lane))
        jobs = lane.pop(client)
        job = jobs.pop()
        if jobs:
            # Back to the end of the line.
            lane[client] = jobs
        return job


def parse_basic(authorization: str | None) -> tuple[bytes, bytes] | None:
    """Return user and password of a Basic Authorization header (RFC 7617), None where it is none."""
    if authorization is None or len(authorization) > _LONGEST_CREDENTIALS:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    # RFC 7617, 2: a user's name has no colon, a password may have some, so the first one separates them.
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def configured_user(authorization: str, users: Mapping[bytes, bytes]) -> str | None:
    """Return the name in the header where it is a configured user's; another may be a password in the wrong field."""
    credentials = parse_basic(authorization)
    return credentials[0].decode(errors="replace") if credentials and credentials[0] in users else None


def _refuse_oldest(lane: _Waiting, client: str) -> None:
    jobs = lane[client]
    jobs.pop(0).outcome.set_exception(BusyError())
    if not jobs:
        del lane[client]


def _remember(table: "OrderedDict[T, None]", item: T, most: int) -> None:
    table[item] = None
    table.move_to_end(item)
    while len(table) > most:
        table.popitem(last=False)


def _cost(hashed: bytes) -> int:
    # $2b$NN$...: the version takes the first four bytes, then two digits of cost.
    return int(hashed[4:6])


def _highest_cost(users: Mapping[bytes, bytes]) -> int:
    return max(map(_cost, users.values()), default=_USUAL_COST)


def _dummy(cost: int) -> bytes:
    return f"$2b${cost:02}${_DUMMY}".encode()
