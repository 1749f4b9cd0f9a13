"""From the libraries' errors and HTTP's statuses to one error of our tree."""

from collections.abc import Mapping
from typing import Final

import urllib3
from requests import exceptions

from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    ExchangeTimeoutError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    RateLimitedError,
    SendGridError,
    ServerError,
    UnauthorizedError,
)

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

_BY_STATUS: Final[Mapping[int, tuple[type[SendGridError], str]]] = {
    401: (UnauthorizedError, "the key was refused: check that it is complete and not revoked"),
    403: (
        ForbiddenError,
        "the key may not read this: it needs read access to Marketing (and Automation), or is blocked for a while",
    ),
    407: (BadRequestError, "the proxy refused its credentials: check sendgrid.proxy"),
    404: (NotFoundError, "no such automation, or no statistics for it yet"),
    429: (RateLimitedError, "too many requests"),
}


def broken_exchange(url: str, exc: Exception, key: str) -> SendGridError:
    """Return the error for an exchange that requests, urllib3 or the system broke off; its text never holds the key."""
    error = next(ours for theirs, ours in _BY_LIBRARY_ERROR if isinstance(exc, theirs))
    cause = _root_cause(exc)
    if error is ExchangeTimeoutError or isinstance(cause, TimeoutError):
        return ExchangeTimeoutError(f"{url}: no whole answer in time")
    text = str(cause) if isinstance(cause, OSError) else f"the answer breaks HTTP ({type(cause).__name__})"
    return error(f"{url}: {_without(key, text)}")


def refusal(url: str, status: int, said: str, *, retry_after: float | None) -> SendGridError:
    """Return the error for an answer other than 200; `said` is SendGrid's explanation."""
    error, advice = _kind(status)
    hint = f" (SendGrid says: {said})" if said else ""
    return error(f"{url}: HTTP {status}: {advice}{hint}", retry_after=retry_after)


def _without(key: str, text: str) -> str:
    return text.replace(key, "<hidden>")


def _kind(status: int) -> tuple[type[SendGridError], str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:  # noqa: PLR2004  # the classes of HTTP
        return BadRequestError, "the request was not accepted"
    if 500 <= status < 600:  # noqa: PLR2004  # the classes of HTTP
        return ServerError, "SendGrid failed; it usually mends itself"
    return InvalidResponseError, "an answer with statistics was expected, and redirects are not followed"


def _root_cause(exc: BaseException) -> BaseException:
    """Return the innermost reason, which tells DNS, TCP and TLS apart; the outer ones only name urllib3's objects."""
    inner = getattr(exc, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in exc.args if isinstance(arg, BaseException)), None) or exc.__cause__
    return exc if inner is None else _root_cause(inner)
