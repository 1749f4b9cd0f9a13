"""One exchange with SendGrid: a request for a page, its answer's body or one error of our tree."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

import requests
import tenacity
import urllib3
from requests import exceptions
from requests.adapters import HTTPAdapter

from exporter.clock import Clock
from exporter.domain import Automation, AutomationStats
from exporter.errors import ConnectionFailedError, ExchangeTimeoutError, ForbiddenError, SendGridError, StoppedError
from exporter.sendgrid.body import read_body
from exporter.sendgrid.budget import Budget, RateLimit, read_rate_limit
from exporter.sendgrid.failures import LIBRARY_ERRORS, broken_exchange, refusal
from exporter.sendgrid.pages import read_stats
from exporter.sendgrid.session import ClientOptions, Connection, deadline_adapters
from exporter.sendgrid.sockets import Deadline
from exporter.sendgrid.wire import explain_error, named_automation

_SHORTEST: Final = 0.001
"""The libraries take no timeout of 0; a deadline that has just passed still ends the exchange at once."""
_LEAST_SECRET: Final = 16
"""A key from this length on is hidden in what is published, should a server echo it; a real one has 69 characters, and
a shorter text could stand in an address by chance."""
_MOST_TRIES: Final = 4
_BACKOFF: Final = tenacity.wait_random_exponential(multiplier=1, max=30)
"""Full jitter: up to 1, 2, 4 … 30 seconds, so that workers that failed together do not come back together."""


class Observer(Protocol):
    """Who wants to know of each request."""

    def requested(self, code: str, seconds: float, rate_limit: RateLimit | None) -> None:
        """Take note of an exchange: the status, or `none` where no answer came, and its duration."""


class SendGridClient:
    """Reads link clicks over reused connections; safe to use from several threads."""

    def __init__(
        self,
        options: ClientOptions,
        *,
        key: Callable[[], str],
        budget: Budget,
        clock: Clock,
        stop: threading.Event,
        observer: Observer,
        adapter: Callable[[Deadline], HTTPAdapter] | None = None,
    ) -> None:
        self._options = options
        self._key = key
        self._budget = budget
        self._clock = clock
        self._stop = stop
        self._observer = observer
        self._adapter = adapter or deadline_adapters(options)
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._names_what_was_asked = True
        """Whether the automation that an answer names is the one that was asked for, as far as is known."""

    def stats(self, automation: Automation, deadline: float) -> AutomationStats:
        """Return the automation's stats, whole, before the deadline (monotonic); raise one SendGridError otherwise."""
        return read_stats(
            lambda page_token: self.fetch(automation, page_token, deadline),
            self._url(automation),
            lambda body: explain_error(body, secret=self._key()),
        )

    def fetch(self, automation: Automation, page_token: str | None, deadline: float) -> bytes:
        """Return the body of one page of the automation's link clicks.

        Waits for the budget, and tries again after a failure that may pass, all before the deadline (monotonic). A
        failure raises one SendGridError, whose message names the request and never the key.
        """
        retrying = tenacity.Retrying(
            retry=_may_pass,
            wait=_wait,
            stop=self._enough(deadline),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._try, automation, page_token, deadline)

    def close(self) -> None:
        """Close the idle connections; busy ones close when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.session.close()

    def _try(self, automation: Automation, page_token: str | None, deadline: float) -> bytes:
        self._budget.acquire(deadline, self._stop)
        answer = _Answer()
        started = self._clock.monotonic()
        try:
            with self._connection() as connection:
                return self._exchange(connection, automation, page_token, deadline, answer)
        finally:
            limited = answer.status == requests.codes.too_many_requests
            self._budget.release(answer.rate_limit, limited=limited)
            code = str(answer.status or "none")
            self._observer.requested(code, self._clock.monotonic() - started, answer.rate_limit)

    def _exchange(
        self, connection: Connection, automation: Automation, page_token: str | None, deadline: float, answer: "_Answer"
    ) -> bytes:
        url, key = self._url(automation), self._key()
        seconds = min(self._options.timeout, deadline - self._clock.monotonic())
        if seconds <= 0:
            raise ExchangeTimeoutError(f"{url}: the poll's time was over before this request")
        connection.deadline.set(seconds)
        is_new, connection.was_used = not connection.was_used, True
        try:
            with connection.get(url, self._query(automation, page_token), key, seconds) as response:
                answer.status = response.status_code
                answer.rate_limit = read_rate_limit(response.headers, self._clock.time())
                body = self._body(response, url)
        except LIBRARY_ERRORS as exc:
            raise broken_exchange(url, exc, key) from None
        if answer.status != requests.codes.ok:
            said = explain_error(body, secret=key)
            raise refusal(url, answer.status, said, retry_after=answer.rate_limit.retry_after)
        if self._names_another(automation, body, is_new=is_new):
            connection.start_anew()
            raise ConnectionFailedError(f"{url}: the answer was about another automation")
        return body.replace(key.encode(), b"<hidden>") if len(key) >= _LEAST_SECRET else body

    def _names_another(self, automation: Automation, body: bytes, *, is_new: bool) -> bool:
        """Tell whether the answer is another automation's, which came over a connection that was used before.

        A server that sends an answer nobody asked for, just when the next request leaves, puts every later answer under
        the next request's id, and nothing in HTTP shows it. Over a new connection the first answer is the request's
        own: should that one name another automation, too, it is the API's way (a gateway that maps ids, say), and what
        its answers name says nothing.
        """
        if not self._names_what_was_asked or named_automation(body) in (None, automation.id.lower()):
            return False
        if is_new:
            self._names_what_was_asked = False
        return not is_new

    def _body(self, response: requests.Response, what: str) -> bytes:
        encoding = response.headers.get("Content-Encoding", "")
        if response.status_code == requests.codes.ok:
            return read_body(response.raw, encoding, what)
        try:
            return read_body(response.raw, encoding, what)
        except (SendGridError, urllib3.exceptions.HTTPError, exceptions.RequestException, OSError):
            return b""  # the status already tells the failure; its explanation is only lost

    def _url(self, automation: Automation) -> str:
        return f"{self._options.base_url}/v3/marketing/stats/automations/{quote(automation.id, safe='')}/links"

    def _query(self, automation: Automation, page_token: str | None) -> dict[str, str]:
        query = {"group_by": "step_id", "page_size": str(self._options.page_size)}
        if automation.step_ids:
            query["step_ids"] = ",".join(automation.step_ids)
        if page_token is not None:
            query["page_token"] = page_token
        return query

    def _enough(self, deadline: float) -> Callable[[tenacity.RetryCallState], bool]:
        return lambda state: (
            state.attempt_number >= _MOST_TRIES or self._clock.monotonic() + state.upcoming_sleep >= deadline
        )

    def _sleep(self, seconds: float) -> None:
        if self._clock.wait(self._stop, seconds):
            raise StoppedError("the exporter is stopping")

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or Connection(self._options, self._clock, self._adapter)
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.session.close()


@dataclass(slots=True)
class _Answer:
    """What is known of an answer so far, also when its body breaks."""

    status: int | None = None
    rate_limit: RateLimit | None = None


def _may_pass(state: tenacity.RetryCallState) -> bool:
    """Tell whether trying again makes sense: a transient failure always, a 403 once, since blocks can be short."""
    error = state.outcome.exception() if state.outcome else None
    first_refusal = isinstance(error, ForbiddenError) and state.attempt_number == 1
    return first_refusal or (isinstance(error, SendGridError) and error.transient)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, SendGridError) else None
    return max(_BACKOFF(state), asked or 0.0)
