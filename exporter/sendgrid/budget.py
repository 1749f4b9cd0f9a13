"""What may be spent: the requests of one API key, and the memory of all polls.

Every request passes `Budget` before it is sent. A poll is charged for its answers before they are kept, and until its
numbers are published. Small polls share one amount. A poll that finds it spent may go on alone, up to what one list may
take, while the others that need more wait for it: so the sum is bounded, and no two polls can wait for each other.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final

from exporter.clock import Clock
from exporter.domain import Endpoint
from exporter.errors import ExchangeTimeoutError, InvalidResponseError, RateLimitedError, StoppedError

_MINUTE: Final = 60.0
_EPOCH_FROM: Final = 1e9
"""A reset value from here on is an epoch, below it a number of seconds from now (both forms are published)."""
_LONGEST_PAUSE: Final = 300.0
"""No header makes the exporter wait longer than this before it asks again."""
_RESET_MARGIN: Final = 1.0
"""SendGrid gives the reset in whole seconds, so it may be up to a second later than it says."""
_RECHECK: Final = 0.1
"""A waiting worker looks again after this long, since an answer may have freed a place, or a poll's end memory."""
_BURST_SHARE: Final = 0.05
"""This share of a minute's requests may go out without pacing, so that a small configuration starts at once."""
SHARED: Final = 32 * 1024 * 1024
"""Bytes for all polls that are not alone: 16 workers have 2 MB each, for 1,500 rows."""
LARGEST_POLL: Final = 64 * 1024 * 1024
"""Bytes of one poll: about 45,000 rows, which are 900 pages. Within its deadline of 5 minutes and the default budget of
300 requests a minute, a poll can read 1,500."""
_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """What an answer's headers say of the key's budget; None where they are silent or make no sense."""

    limit: float | None
    remaining: float | None
    reset_in: float | None
    """Seconds from the answer to the reset of the budget."""
    retry_after: float | None
    """Seconds that the server asks to wait."""


def read_rate_limit(headers: Mapping[str, str], now: float) -> RateLimitHeaders:
    """Read `X-RateLimit-*` and `Retry-After`; `now` is the wall clock, used where the answer has no `Date`.

    `X-RateLimit-Reset` is epoch seconds in practice, while one published description says seconds from now. Waits
    are computed against the answer's own `Date`, so that a wrong clock here or there does not matter.
    """
    # Field names are case-insensitive (RFC 9110, 5.1); the keys of a mapping are not.
    lower = {name.lower(): value for name, value in headers.items()}
    reset = _number(lower.get("x-ratelimit-reset"))
    if reset is not None and reset >= _EPOCH_FROM:
        reset -= _http_date(lower.get("date")) or now
    retry_after = _number(lower.get("retry-after"))
    if retry_after is None:
        # Retry-After is seconds or a date (RFC 9110, 10.2.3); a date has to be measured against the clock that wrote
        # it.
        retry_at = _http_date(lower.get("retry-after"))
        retry_after = None if retry_at is None else retry_at - (_http_date(lower.get("date")) or now)
    return RateLimitHeaders(
        limit=_number(lower.get("x-ratelimit-limit")),
        remaining=_number(lower.get("x-ratelimit-remaining")),
        reset_in=_clamp(reset),
        retry_after=_clamp(retry_after),
    )


class Budget:
    """One limiter for all workers: a ceiling of requests a minute, narrowed by what SendGrid says remains.

    The requests of any 60 seconds number at most the ceiling, over all endpoints. SendGrid counts each endpoint by
    itself: while its budget for one is known, what remains of it is spread over the time to its reset, so that the
    exporter slows down before a 429, and the other endpoints go on; requests whose answer is still under way count as
    spent. A shard takes its share of both.
    """

    def __init__(self, requests_per_minute: float, *, clock: Clock, share: float = 1.0) -> None:
        self._ceiling = requests_per_minute * share
        self._share = share
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[float] = deque()
        self._next = -math.inf
        self._learned = {endpoint: _Learned(share) for endpoint in Endpoint}

    @property
    def requests_per_second(self) -> float:
        """The rate of requests for links that is allowed in the long run, as far as it is known."""
        return self.rate_of(Endpoint.LINKS)

    @property
    def pause(self) -> float:
        """Seconds until links may be asked for again after a 429; 0 where there was none, or it is over."""
        with self._lock:
            return max(self._learned[Endpoint.LINKS].paused_until - self._clock.monotonic(), 0.0)

    def rate_of(self, endpoint: Endpoint, *, beside: float = 0.0) -> float:
        """Return the requests per second that the endpoint allows in the long run, as far as it is known.

        `beside` is what others take of the ceiling meanwhile; a third of it is left in any case.
        """
        with self._lock:
            ceiling = self._ceiling / _MINUTE
            # The third is a floor: traffic beside the links must not stretch every interval without end.
            return min(max(ceiling - beside, ceiling / 3), self._learned[endpoint].rate)

    def allow(self, requests_per_minute: float) -> None:
        """Change the ceiling; what was sent and what SendGrid said stay known."""
        with self._lock:
            self._ceiling = requests_per_minute * self._share

    def acquire(self, deadline: float, stop: threading.Event, endpoint: Endpoint = Endpoint.LINKS) -> None:
        """Wait for the endpoint's next free place and take it.

        Raises ExchangeTimeoutError when the place comes after the deadline (monotonic), RateLimitedError when it comes
        too late because of a 429, and StoppedError when `stop` is set meanwhile. Every `acquire` that returns is
        followed by one `release`.
        """
        learned = self._learned[endpoint]
        while True:
            with self._lock:
                now = self._clock.monotonic()
                # Looking and taking happen under one lock: two workers must not see the same free place.
                free_at = max(self._free_at(now), learned.free_at(now))
                if free_at <= now:
                    self._take(now)
                    learned.take(now, pace=_MINUTE / self._ceiling)
                    return
                limited = learned.paused_until > deadline
            if limited:
                message = "SendGrid's limit was hit, and its pause is longer than the poll may take"
                raise RateLimitedError(message, retry_after=free_at - now)
            if free_at > deadline:
                message = "the request budget has no place left before the poll's deadline"
                step = "raise poll.interval, or sendgrid.requests_per_minute where SendGrid allows more"
                raise ExchangeTimeoutError(message, retry_after=free_at - now, next_step=step)
            # The wait holds no lock, so that an answer can be released meanwhile and free a place earlier.
            if self._clock.wait(stop, min(free_at - now, _RECHECK)):
                raise StoppedError("the exporter is stopping")

    def release(
        self, rate_limit: RateLimitHeaders | None, endpoint: Endpoint = Endpoint.LINKS, *, limited: bool = False
    ) -> None:
        """Give back a place after its answer (None: there was none); `limited` says that it was a 429."""
        with self._lock:
            self._learned[endpoint].answered(rate_limit, self._clock.monotonic(), limited=limited)

    def _free_at(self, now: float) -> float:
        while self._sent and self._sent[0] <= now - _MINUTE:
            self._sent.popleft()
        # GCRA alone lets a burst and a minute's pace fall into one window: the ceiling is kept by a sliding window of
        # send times. A ceiling below one request a minute (a small shard) is one place in a window that is longer.
        capacity = max(1, math.floor(self._ceiling))
        window_free = (
            self._sent[-capacity] + max(_MINUTE, _MINUTE / self._ceiling) if len(self._sent) >= capacity else now
        )
        return max(window_free, self._next)

    def _take(self, now: float) -> None:
        self._sent.append(now)
        # GCRA, the generic cell rate algorithm (ITU-T I.371): `_next` is the theoretical arrival time less the burst
        # tolerance. A request moves it on by one pace; time without requests earns at most one burst.
        pace = _MINUTE / self._ceiling
        burst = max(1.0, self._ceiling * _BURST_SHARE) * pace
        self._next = max(self._next, now - burst) + pace


class _Learned:
    """What SendGrid's answers say of the budget of one endpoint."""

    def __init__(self, share: float) -> None:
        self.rate = math.inf
        """Requests per second in the long run."""
        self.paused_until = -math.inf
        self._share = share
        self._next = -math.inf
        self._in_flight = 0
        self._remaining: float | None = None
        self._reset_at = -math.inf
        self._window = self._former_window = 0.0
        """The longest time to a reset that this window and the one before it told: about a window's length."""
        self._limited_in_a_row = 0

    def free_at(self, now: float) -> float:
        """Return when the endpoint may be asked again."""
        return max(self._next, self.paused_until, self._server_free_at(now))

    def take(self, now: float, *, pace: float) -> None:
        """Take note of a request that leaves now; `pace` is the seconds between two of them that the ceiling allows."""
        self._in_flight += 1
        if self._remaining is not None:
            # What SendGrid still allows is spread evenly over the time to its reset, so that a 429 never comes first.
            # The 1 is the request being taken, which `_in_flight` counts already.
            spread = (self._reset_at - _RESET_MARGIN - now) / max(self._unspent() + 1, 1.0)
            if spread > pace:
                self._next = max(self._next, now + spread)

    def answered(self, rate_limit: RateLimitHeaders | None, now: float, *, limited: bool) -> None:
        """Take note of an answer, or of none; `limited` says that it was a 429."""
        self._in_flight -= 1
        if rate_limit is not None:
            self._learn(rate_limit, now)
        elif self._remaining is not None:
            self._remaining = max(self._remaining - 1, 0.0)  # no answer does not mean that it was not counted
        if limited:
            self._limited_in_a_row += 1
            self._pause(rate_limit, now)
        elif rate_limit is not None:
            self._limited_in_a_row = 0

    def _server_free_at(self, now: float) -> float:
        if self._remaining is None or now >= self._reset_at:
            self._remaining = None
            return now
        if self._unspent() >= 1:
            return now
        # Where requests under way hold all that remains, their answers soon say what is left; else wait for the reset.
        in_flight_only = self._remaining * self._share >= 1
        return now + _RECHECK if in_flight_only else self._reset_at

    def _unspent(self) -> float:
        return (self._remaining or 0.0) * self._share - self._in_flight

    def _learn(self, said: RateLimitHeaders, now: float) -> None:
        if said.remaining is None:
            return
        # Without a reset, a minute is assumed: the period in which this budget itself counts.
        reset_in = _MINUTE if said.reset_in is None else said.reset_in
        reset_at = now + reset_in + _RESET_MARGIN
        # The same reset comes in whole seconds and with the network's delay: two margins apart is still one window.
        same_window = self._remaining is not None and abs(reset_at - self._reset_at) <= 2 * _RESET_MARGIN
        if self._remaining is not None and same_window:
            # Answers overtake one another: within one window what remains only falls.
            self._remaining = min(said.remaining, self._remaining)
            self._window = max(self._window, reset_in)
        else:
            self._remaining, self._reset_at = said.remaining, reset_at
            self._former_window, self._window = self._window, reset_in
        # Requests per second in the long run. The first answer may come late in a window and understate its length, so
        # the longest time to a reset of two windows stands for it.
        if said.limit is not None and said.limit >= 1:
            self.rate = said.limit * self._share / max(self._window, self._former_window, 1.0)

    def _pause(self, said: RateLimitHeaders | None, now: float) -> None:
        # Retry-After (RFC 9110, 10.2.3) is meant for this refusal, the reset for the window: the former wins. Without
        # either, pauses double with each 429 in a row, up to a minute.
        asked = None if said is None else (said.reset_in if said.retry_after is None else said.retry_after)
        backoff = min(2.0**self._limited_in_a_row, _MINUTE)
        # Only ever later: answers arrive out of order, and a short pause must not cut a longer one.
        self.paused_until = max(self.paused_until, now + max(asked or 0.0, backoff) + _RESET_MARGIN)


class MemoryBudget:
    """Lends memory to polls; a thread has one poll at a time."""

    def __init__(self, *, clock: Clock, shared: int = SHARED, largest: int = LARGEST_POLL) -> None:
        self._clock = clock
        self._shared = shared
        self._largest = largest
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._alone: _Poll | None = None
        self._lent = 0
        """Bytes of the shared amount that are lent."""

    @contextmanager
    def poll(self) -> Iterator[None]:
        """Keep what this thread reserves until the end of the block; a block within another is a part of it."""
        if self._mine() is not None:
            yield
            return
        self._of_thread.poll = poll = _Poll()
        try:
            yield
        finally:
            self._of_thread.poll = None
            self._give_back(poll, poll.held)

    def settle(self, size: int) -> None:
        """Give back what this thread's poll holds beyond the size: what it read is smaller than what reading took."""
        poll = self._mine()
        if poll is not None and poll.held > size:
            self._give_back(poll, poll.held - size)

    @contextmanager
    def exchange(self, deadline: float, stop: threading.Event, where: str) -> Iterator[Callable[[int], None]]:
        """Yield what reserves bytes for one answer to this thread's poll; a failure within the block gives them back.

        A reservation waits where other polls hold the memory, and raises ExchangeTimeoutError when they still do at the
        deadline (monotonic), InvalidResponseError where the poll would hold more than one may, and StoppedError when
        `stop` is set meanwhile. Each names `where`.
        """
        with self.poll():
            poll = self._of_thread.poll
            before = poll.held
            try:
                yield partial(self._reserve, poll, deadline, stop, where)
            except BaseException:
                self._give_back(poll, poll.held - before)
                raise

    def _reserve(self, poll: "_Poll", deadline: float, stop: threading.Event, where: str, size: int) -> None:
        if poll.held + size > self._largest:
            most = f"{self._largest // _MEBIBYTE} MiB of memory"
            raise InvalidResponseError(
                f"{where}: the list would take more than {most}", next_step="name fewer step_ids"
            )
        while not self._lend(poll, size):
            if self._clock.monotonic() >= deadline:
                text = f"{where}: other automations' lists held the memory until the deadline"
                raise ExchangeTimeoutError(text, next_step="wait; if it lasts, lower poll.concurrency")
            if self._clock.wait(stop, _RECHECK):
                raise StoppedError("the exporter is stopping")

    def _lend(self, poll: "_Poll", size: int) -> bool:
        with self._lock:
            # The first that the shared amount cannot serve goes on alone, and gives back to the others what it held.
            if self._alone is None and self._lent + size > self._shared:
                self._alone = poll
                self._lent -= poll.held
            if self._alone is not poll:
                if self._lent + size > self._shared:
                    return False
                self._lent += size
            poll.held += size
            return True

    def _give_back(self, poll: "_Poll", size: int) -> None:
        with self._lock:
            # The one that goes on alone is not part of `_lent`: it left the shared amount when it began to.
            poll.held -= size
            if self._alone is not poll:
                self._lent -= size
            elif poll.held == 0:
                self._alone = None

    def _mine(self) -> "_Poll | None":
        mine: _Poll | None = getattr(self._of_thread, "poll", None)
        return mine


class _Poll:
    """What one poll holds."""

    def __init__(self) -> None:
        self.held = 0


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    # float() also takes "nan" and "inf", which would poison every comparison that follows.
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(text: str | None) -> float | None:
    """Return the seconds since the epoch of a date in any of HTTP's forms (RFC 9110, 5.6.7), all of them UTC.

    asctime's form has no zone, and `-0000` says that it is unknown: the parser then leaves the zone open, which Python
    would take for the machine's own.
    """
    try:
        moment = parsedate_to_datetime(text) if text else None
        return None if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _clamp(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_PAUSE)
