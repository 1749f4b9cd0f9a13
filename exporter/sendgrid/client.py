"""One exchange with SendGrid: a request for a page, its answer's body or one error of our tree.

That one is made of what the libraries raise, and of HTTP's statuses.
"""

import random
import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote

import requests
import urllib3
from requests import exceptions
from requests.adapters import HTTPAdapter

from exporter.clock import Clock
from exporter.domain import (
    Automation,
    AutomationId,
    AutomationList,
    AutomationStats,
    Endpoint,
    Fingerprint,
    Statistics,
    Unchanged,
)
from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    ExchangeTimeoutError,
    ForbiddenError,
    InvalidResponseError,
    KeyRefusedError,
    NotFoundError,
    RateLimitedError,
    SendGridError,
    ServerError,
    StoppedError,
    UnauthorizedError,
)
from exporter.sendgrid.budget import Budget, MemoryBudget, RateLimitHeaders, read_rate_limit
from exporter.sendgrid.key import KeyTrial, Turn
from exporter.sendgrid.pages import read_stats
from exporter.sendgrid.statistics import MOST_IDS, read_automations, read_steps
from exporter.sendgrid.transport import ApiSession, ClientOptions, Deadline, deadline_adapters, proxy_secrets
from exporter.sendgrid.wire import explain_error, foreign_text, named_automation, read_body, read_charged

_AUTOMATIONS: Final = "/v3/marketing/stats/automations"
_SCOPES: Final = "/v3/scopes"
_FIRST_DAY: Final = "2018-01-01"
"""Before SendGrid had its automations of today, so that statistics from here on are of an automation's whole life."""
_KEPT: Final = 3
"""Bytes that are kept of a list of automations for each byte of its JSON; 2.9 were measured at the most."""
_LEAST_SECRET: Final = 16
"""A secret from this length on is hidden in what is published, should a server echo it; a key has 69 characters, and
a shorter text could stand in an address by chance."""
_LONGEST_BACKOFF: Final = 30.0
_TRIAL_TICK: Final = 0.02
"""Seconds between two looks at whether the first request with a key was answered."""
_LARGEST_EXPLANATION: Final = 64 * 1024
"""Bytes of an error's body: SendGrid's have some hundred, a proxy's page some thousand."""
_MOST_IDLE: Final = 60.0
"""Seconds after which an idle connection is not used again. Load balancers discard one without a word, Azure's after 4
minutes and AWS's network balancer after 350 seconds, and the next request on it would wait for the whole timeout. A
poll's pages follow each other faster, and between two rounds, 5 minutes by default, a new connection costs little."""
_BY_LIBRARY_ERROR: Final[tuple[tuple[type[Exception], type[SendGridError]], ...]] = (
    (exceptions.Timeout, ExchangeTimeoutError),
    (exceptions.ContentDecodingError, InvalidResponseError),
    (exceptions.InvalidJSONError, InvalidResponseError),
    (exceptions.TooManyRedirects, InvalidResponseError),
    (exceptions.RequestException, ConnectionFailedError),
    (urllib3.exceptions.NewConnectionError, ConnectionFailedError),
    (urllib3.exceptions.TimeoutError, ExchangeTimeoutError),
    (urllib3.exceptions.DecodeError, InvalidResponseError),
    (urllib3.exceptions.HTTPError, ConnectionFailedError),
    (urllib3.exceptions.ProxySchemeUnsupported, ConnectionFailedError),
    (TimeoutError, ExchangeTimeoutError),
    (OSError, ConnectionFailedError),
)
"""The libraries' errors and ours, the first that fits counts; complete for requests' and urllib3's classes."""
LIBRARY_ERRORS: Final[tuple[type[Exception], ...]] = tuple(theirs for theirs, _ in _BY_LIBRARY_ERROR)
"""Everything that `broken_exchange` knows."""
_PROXY_REFUSES: Final = "the proxy refused its credentials"
_CHECK_PROXY: Final = "check sendgrid.proxy"
_BY_STATUS: Final[Mapping[int, tuple[type[SendGridError], str]]] = {
    401: (UnauthorizedError, "the key was refused"),
    403: (ForbiddenError, "the key may not read this"),
    407: (BadRequestError, _PROXY_REFUSES),
    404: (NotFoundError, "no such automation, or no statistics for it yet"),
    429: (RateLimitedError, "too many requests"),
}
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How urllib3 reports what a proxy answers to CONNECT. The phrase after the status is the proxy's own: it is not
repeated, since it may quote the credentials in any encoding."""
_CAUSES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (socket.gaierror, "DNS", "check the host in sendgrid.base_url or sendgrid.proxy, and this machine's DNS"),
    (ConnectionRefusedError, "refused", "check sendgrid.base_url and sendgrid.proxy, or what a firewall rejects"),
    (
        ssl.SSLCertVerificationError,
        "certificate",
        "check sendgrid.base_url and the clock; where a proxy intercepts TLS, name its authority in sendgrid.ca_file",
    ),
    (ssl.SSLError, "TLS", "check that the port of sendgrid.base_url or sendgrid.proxy speaks TLS"),
)
"""The cause's class, its name as a reason, and the next step; the first that fits counts."""
_LONGEST_CAUSE: Final = 200


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for, over all its pages."""

    endpoint: Endpoint
    url: str
    query: Mapping[str, str]
    subject: str
    """The id of the automation that it is about; for a list, the list's name."""

    def page(self, token: str | None) -> Mapping[str, str]:
        """Return the parameters of the page that the token names; None names the first."""
        return self.query if token is None else {**self.query, "page_token": token}


class Observer(Protocol):
    """Who wants to know of each request."""

    def requested(self, endpoint: Endpoint, code: str, seconds: float, rate_limit: RateLimitHeaders | None) -> None:
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
        memory: MemoryBudget | None = None,
        adapter: Callable[[Deadline], HTTPAdapter] | None = None,
    ) -> None:
        self._options = options
        self._key = key
        self._budget = budget
        self._clock = clock
        self._stop = stop
        self._observer = observer
        self._memory = memory or MemoryBudget(clock=clock)
        self._adapter = adapter or deadline_adapters(options)
        self._proxy_secrets = proxy_secrets(options.proxy)
        self._trial = KeyTrial(clock)
        self._idle: deque[tuple[ApiSession, float]] = deque()
        """Connections with the moment since which they are idle, the latest at the end."""
        self._lock = threading.Lock()
        self._closed = False
        self._names_what_was_asked: bool | None = None
        """Whether the automation that an answer names is the one that was asked for; None until one names any."""

    def holding(self) -> AbstractContextManager[None]:
        """Account for the memory of this thread's poll until the end of the block, where its numbers are published."""
        return self._memory.poll()

    def stats(self, automation: Automation, deadline: float, known: Fingerprint = ()) -> AutomationStats | Unchanged:
        """Return the automation's stats, whole, before the deadline (monotonic); raise one SendGridError otherwise.

        Returns Unchanged where all pages are those that the fingerprint was taken of. Call it within `holding`, so that
        what it returns is accounted for.
        """
        question = self.links_question(automation)
        with _named(question.url):
            return read_stats(lambda token: self.fetch(question, token, deadline), question.url, self._explain, known)

    def listed(self, deadline: float, only: Sequence[AutomationId] | None = None) -> AutomationList:
        """Return the account's automations with their statistics, or those of `only`, before the deadline (monotonic).

        Raises one SendGridError where not all of it comes; an IncompleteError has what came all the same.
        """
        if only is None:
            return self._listed((), deadline, is_of_account=True)
        parts: list[AutomationList] = []
        for start in range(0, len(only), MOST_IDS):
            ids = only[start : start + MOST_IDS]
            part = self._listed(ids, deadline, is_of_account=False)
            if not {each.lower() for each in ids}.issuperset(each.lower() for each in part.statistics):
                return replace(part, is_of_account=True)  # the parameter was not taken, so this is the whole list
            parts.append(part)
        statistics = {id_: each for part in parts for id_, each in part.statistics.items()}
        return AutomationList(statistics, is_whole=True, is_of_account=False, pages=sum(part.pages for part in parts))

    def steps(self, automation: Automation, deadline: float) -> Mapping[str, Statistics]:
        """Return the automation's statistics by step, whole, before the deadline (monotonic); raise one SendGridError.

        Both dates are always sent: what SendGrid takes for missing ones is the year 2021.
        """
        today = datetime.fromtimestamp(self._clock.time(), UTC).date()
        query = {
            "group_by": "step_id",
            "aggregated_by": "total",
            "start_date": _FIRST_DAY,
            "end_date": today.isoformat(),
            "page_size": str(self._options.page_size),
        }
        if automation.step_ids:
            query["step_ids"] = ",".join(automation.step_ids)
        url = f"{self._options.base_url}{_AUTOMATIONS}/{quote(automation.id, safe='')}"
        question = Question(Endpoint.STEP_STATISTICS, url, query, automation.id)
        with self._memory.poll(), _named(url):
            return read_steps(
                lambda token: self.fetch(question, token, deadline), url, self._explain, automation_id=automation.id
            )

    def _listed(self, only: Sequence[AutomationId], deadline: float, *, is_of_account: bool) -> AutomationList:
        question, read = self.list_question(only), 0

        def fetch(token: str | None) -> bytes:
            nonlocal read
            # The pages before are parsed by now, which took several times what is kept of them.
            self._memory.settle(read * _KEPT)
            body = self.fetch(question, token, deadline)
            read += len(body)
            return body

        with self._memory.poll(), _named(question.url):
            return read_automations(fetch, question.url, self._explain, is_of_account=is_of_account)

    @contextmanager
    def looking(self, question: "Question") -> Iterator["Question"]:
        """Account for the memory of one page, and name the address in its errors; for use with `fetch`."""
        with self._memory.poll(), _named(question.url):
            yield question

    def scopes_question(self) -> "Question":
        """Return what asks for the scopes of the key."""
        return Question(Endpoint.SCOPES, f"{self._options.base_url}{_SCOPES}", {}, "the scopes")

    def list_question(self, only: Sequence[AutomationId] = ()) -> "Question":
        """Return what asks for the account's list, or for 25 automations of it at most."""
        query = {"automation_ids": ",".join(only)} if only else {}
        url, sized = f"{self._options.base_url}{_AUTOMATIONS}", {**query, "page_size": str(self._options.page_size)}
        return Question(Endpoint.STATISTICS, url, sized, "the list")

    def links_question(self, automation: Automation) -> "Question":
        """Return what asks for the automation's links."""
        query = {"group_by": "step_id", "page_size": str(self._options.page_size)}
        if automation.step_ids:
            query["step_ids"] = ",".join(automation.step_ids)
        url = f"{self._options.base_url}{_AUTOMATIONS}/{quote(automation.id, safe='')}/links"
        return Question(Endpoint.LINKS, url, query, automation.id)

    def fetch(self, question: "Question", page_token: str | None, deadline: float) -> bytes:
        """Return the body of one page of what is asked for.

        Waits for the budget, and tries again after a failure that may pass, all before the deadline (monotonic). A
        failure raises one SendGridError, whose message names the request and never a secret.
        """
        self._take_turn(question.url)
        failed: list[type[SendGridError]] = []
        while True:
            answer = _Exchange()
            try:
                return self._try(question, page_token, deadline, answer)
            except SendGridError as exc:
                self._note_failure(exc, failed, answer.key, question)
                pause = _pause(exc, failed, self._options.most_tries)
                if pause is None or self._clock.monotonic() + pause >= deadline:
                    self._trial.settle()
                    raise
                failed.append(type(exc))
            if self._clock.wait(self._stop, pause):
                raise StoppedError("the exporter is stopping")

    def _note_failure(
        self, exc: SendGridError, failed: Sequence[type[SendGridError]], key: str, question: "Question"
    ) -> None:
        """Learn what the failure says of the key; raise KeyRefusedError where it only repeats what is known."""
        if not isinstance(exc, UnauthorizedError):
            self._trial.settle()
        elif UnauthorizedError in failed:
            said = str(exc).removeprefix(f"{question.url}: ")
            if self._trial.refused(key, question.subject, said):
                raise KeyRefusedError(str(exc), reason=exc.reason) from None

    def _take_turn(self, url: str) -> None:
        """Return when asking makes sense; raise KeyRefusedError while SendGrid refuses the key to everybody."""
        while (turn := self._trial.turn(self._key)) is Turn.WAIT:
            if self._clock.wait(self._stop, _TRIAL_TICK):
                raise StoppedError("the exporter is stopping")
        if turn is Turn.REFUSED:
            raise KeyRefusedError(f"{url}: {self._trial.refusal}", reason=requests.codes.unauthorized)

    def close(self) -> None:
        """Close the idle connections; busy ones close when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, deque()
        for connection, _ in idle:
            connection.close()

    def _try(self, question: "Question", page_token: str | None, deadline: float, answer: "_Exchange") -> bytes:
        self._budget.acquire(deadline, self._stop, question.endpoint)
        started = self._clock.monotonic()
        try:
            with self._connection() as connection:
                return self._exchange(connection, question, page_token, deadline, answer)
        finally:
            # Whatever happened: a place that is not given back would count as under way for ever.
            limited = answer.status == requests.codes.too_many_requests
            self._budget.release(answer.rate_limit, question.endpoint, limited=limited)
            code, seconds = str(answer.status or "none"), self._clock.monotonic() - started
            self._observer.requested(question.endpoint, code, seconds, answer.rate_limit)

    def _exchange(
        self, connection: ApiSession, question: "Question", page_token: str | None, deadline: float, answer: "_Exchange"
    ) -> bytes:
        url, key = question.url, self._key()
        answer.key = key
        now = self._clock.monotonic()
        seconds = min(self._options.timeout, deadline - now)
        if seconds <= 0:
            raise ExchangeTimeoutError(f"{url}: the poll's time was over before this request")
        connection.deadline.set(seconds)
        secrets = (key, *self._proxy_secrets)
        hide = partial(_hidden, secrets)
        # Noted before the request leaves: after any failure, the connection must not pass for a new one.
        is_new, connection.was_used = not connection.was_used, True
        try:
            with (
                self._memory.exchange(now + seconds, self._stop, url) as reserve,
                connection.get(url, question.page(page_token), key, seconds) as response,
            ):
                answer.status = response.status_code
                answer.rate_limit = read_rate_limit(response.headers, self._clock.time())
                if answer.status != requests.codes.ok:
                    said = _explanation(response, url, hide)
                    raise refusal(url, answer.status, said, retry_after=answer.rate_limit.retry_after)
                self._trial.accepted(key)
                body = read_charged(response.raw, response.headers.get("Content-Encoding", ""), url, reserve)
        except LIBRARY_ERRORS as exc:
            raise broken_exchange(url, exc, hide) from None
        if foreign := foreign_text(body, response.headers.get("Content-Type", ""), hide):
            raise InvalidResponseError(f"{url}: HTTP 200 with {foreign}")
        if self._names_another(question, body, is_new=is_new):
            connection.close()
            raise ConnectionFailedError(f"{url}: the answer was about another automation")
        # An answer may quote what it was asked with, and its texts become labels.
        for secret in secrets:
            if len(secret) >= _LEAST_SECRET:
                body = body.replace(secret.encode(), b"<hidden>")
        return body

    def _names_another(self, question: "Question", body: bytes, *, is_new: bool) -> bool:
        """Return whether the answer is another automation's.

        A server that sends an answer nobody asked for, just when the next request leaves, puts every later answer under
        the next request's id, and nothing in HTTP shows it; a cache on the way may mix answers up. Once an answer named
        what it was asked for, every one must that names any. Until then the first answer over a new connection is
        believed: should it name another automation, that is the API's way (a gateway that maps ids, say).
        """
        named = named_automation(body)
        if named is None:
            return False
        if named == question.subject.lower():
            self._names_what_was_asked = True
            return False
        if is_new and self._names_what_was_asked is None:
            self._names_what_was_asked = False
        return self._names_what_was_asked is not False

    def _explain(self, body: bytes) -> str:
        return explain_error(body, "", partial(_hidden, (self._key(), *self._proxy_secrets)))

    @contextmanager
    def _connection(self) -> Iterator[ApiSession]:
        connection = self._idle_connection() or ApiSession(self._options, self._clock, self._adapter)
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append((connection, self._clock.monotonic()))
            if not keep:
                connection.close()

    def _idle_connection(self) -> ApiSession | None:
        """Return the connection that is idle for the shortest time, and close those that are idle for too long."""
        with self._lock:
            now = self._clock.monotonic()
            old = [connection for connection, since in self._idle if now - since > _MOST_IDLE]
            for _ in old:
                self._idle.popleft()
            # The last one in is the least likely to have been closed by the server meanwhile.
            found = self._idle.pop()[0] if self._idle else None
        for connection in old:
            connection.close()
        return found


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Give every error the address, and name it in one of an answer's form, which knows only the answer."""
    try:
        yield
    except SendGridError as exc:
        exc.url = url
        if isinstance(exc, InvalidResponseError) and url not in str(exc):
            # A new error with this one as its context would be a cycle, which keeps the answer's body (Python 3.13).
            exc.args = (f"{url}: HTTP 200, but {exc}",)
        raise


@dataclass(slots=True)
class _Exchange:
    """What is known of an exchange so far, also when its answer's body breaks."""

    key: str = ""
    """The key that was sent."""
    status: int | None = None
    rate_limit: RateLimitHeaders | None = None


def _explanation(response: requests.Response, url: str, hide: Callable[[str], str]) -> str:
    encoding, content_type = (response.headers.get(name, "") for name in ("Content-Encoding", "Content-Type"))
    try:
        body = read_body(response.raw, encoding, url, largest=_LARGEST_EXPLANATION)
    except InvalidResponseError:
        return ""  # the status already tells the failure; its explanation is only lost
    except LIBRARY_ERRORS:
        return ""
    return explain_error(body, content_type, hide)


def _pause(error: SendGridError, failed: Sequence[type[SendGridError]], most_tries: int) -> float | None:
    """Return the seconds until the next try; None where another makes no sense after this one and those that failed.

    A transient failure is tried again, a refusal of the key or of the automation once: SendGrid's blocks can be short.
    The pause is random, up to 1, 2, 4 … 30 seconds ("full jitter"), so that workers that failed together do not come
    back together, and never shorter than SendGrid asks for.
    """
    first_refusal = isinstance(error, (ForbiddenError, UnauthorizedError)) and type(error) not in failed
    if len(failed) + 1 >= most_tries or not (error.transient or first_refusal):
        return None
    backoff = random.uniform(0, min(2.0 ** len(failed), _LONGEST_BACKOFF))  # noqa: S311  # spreads load, hides nothing
    return max(backoff, error.retry_after or 0.0)


def _hidden(secrets: Sequence[str], text: str) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "<hidden>")
    return text


def broken_exchange(url: str, exc: Exception, hide: Callable[[str], str]) -> SendGridError:
    """Return the error for an exchange that requests, urllib3 or the system broke off; `hide` takes secrets out."""
    error = next(ours for theirs, ours in _BY_LIBRARY_ERROR if isinstance(exc, theirs))
    cause = _root_cause(exc)
    if error is ExchangeTimeoutError or isinstance(cause, TimeoutError):
        return _too_late(url, exc)
    if refused := _TUNNEL.search(str(cause)):
        return _no_tunnel(url, int(refused[1]))
    text = str(cause) if isinstance(cause, OSError) else f"the answer breaks HTTP ({type(cause).__name__})"
    text = " ".join(hide(text).split())[:_LONGEST_CAUSE]
    via = "the proxy: " if isinstance(exc, (exceptions.ProxyError, urllib3.exceptions.ProxyError)) else ""
    reason, step = next(((name, step) for kind, name, step in _CAUSES if isinstance(cause, kind)), (None, None))
    return error(f"{url}: {via}{text}", reason=reason, next_step=step)


def _too_late(url: str, exc: Exception) -> SendGridError:
    connecting = isinstance(exc, (exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError))
    if connecting:
        step = "check the network, a firewall that discards packets, or sendgrid.proxy"
        return ExchangeTimeoutError(f"{url}: no connection in time", reason="no connection", next_step=step)
    return ExchangeTimeoutError(f"{url}: no complete answer in time")


def _no_tunnel(url: str, status: int) -> SendGridError:
    if status == requests.codes.proxy_authentication:
        text = f"{url}: HTTP {status} to CONNECT: {_PROXY_REFUSES}"
        return BadRequestError(text, reason=status, next_step=_CHECK_PROXY)
    text = f"{url}: HTTP {status} to CONNECT: the proxy opens no connection"
    return ConnectionFailedError(text, reason=f"proxy {status}", next_step="check the proxy's rules, or sendgrid.proxy")


def refusal(url: str, status: int, said: str, *, retry_after: float | None) -> SendGridError:
    """Return the error for an answer other than 200; `said` is what it says for an explanation."""
    error, what = _kind(status)
    step = _CHECK_PROXY if status == requests.codes.proxy_authentication else None
    text = f"{url}: HTTP {status}: {what}{said and f' ({said})'}"
    return error(text, retry_after=retry_after, reason=status, next_step=step)


def _kind(status: int) -> tuple[type[SendGridError], str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:  # noqa: PLR2004  # the classes of HTTP
        return BadRequestError, "the request was not accepted"
    if 500 <= status < 600:  # noqa: PLR2004  # the classes of HTTP
        return ServerError, "SendGrid failed"
    return InvalidResponseError, "an answer with statistics was expected, and redirects are not followed"


def _root_cause(exc: BaseException) -> BaseException:
    """Return the innermost reason, which distinguishes DNS, TCP and TLS; the outer ones only name urllib3's objects."""
    inner = getattr(exc, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in exc.args if isinstance(arg, BaseException)), None) or exc.__cause__
    return exc if inner is None else _root_cause(inner)
