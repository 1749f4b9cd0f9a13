"""From the libraries' errors and HTTP's statuses to one error of our tree."""

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import requests
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

_CHECK_PROXY: Final = "the proxy refused its credentials: check sendgrid.proxy"

_BY_STATUS: Final[Mapping[int, tuple[type[SendGridError], str]]] = {
    401: (UnauthorizedError, "the key was refused: check that it is complete and not revoked"),
    403: (
        ForbiddenError,
        "the key may not read this: it needs read access to Marketing (and Automation), or is blocked for a while",
    ),
    407: (BadRequestError, _CHECK_PROXY),
    404: (NotFoundError, "no such automation, or no statistics for it yet"),
    429: (
        RateLimitedError,
        "too many requests: others may use the key too; if it lasts, lower sendgrid.requests_per_minute",
    ),
}


_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How urllib3 reports what a proxy answers to CONNECT. The phrase after the status is the proxy's own: it is not
repeated, since it may quote the credentials in any encoding."""

_ADVICE: Final[tuple[tuple[type[Exception], str, str], ...]] = (
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
    reason, advice = next(((name, f"; {step}") for kind, name, step in _ADVICE if isinstance(cause, kind)), (None, ""))
    return error(f"{url}: {via}{text}{advice}", reason=reason)


def _too_late(url: str, exc: Exception) -> SendGridError:
    connecting = isinstance(exc, (exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError))
    if connecting:
        text = "no connection in time; check the network, a firewall that discards packets, or sendgrid.proxy"
        return ExchangeTimeoutError(f"{url}: {text}", reason="no connection")
    return ExchangeTimeoutError(f"{url}: no whole answer in time; check the network, or raise sendgrid.timeout")


def _no_tunnel(url: str, status: int) -> SendGridError:
    if status == requests.codes.proxy_authentication:
        return BadRequestError(f"{url}: HTTP {status} to CONNECT: {_CHECK_PROXY}", reason=status)
    text = f"HTTP {status} to CONNECT: the proxy opens no connection; check its rules, or sendgrid.proxy"
    return ConnectionFailedError(f"{url}: {text}", reason=f"proxy {status}")


def refusal(url: str, status: int, said: str, *, retry_after: float | None) -> SendGridError:
    """Return the error for an answer other than 200; `said` is what it says for an explanation."""
    error, advice = _kind(status)
    return error(f"{url}: HTTP {status}: {advice}{said and f' ({said})'}", retry_after=retry_after, reason=status)


def _kind(status: int) -> tuple[type[SendGridError], str]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500:  # noqa: PLR2004  # the classes of HTTP
        return BadRequestError, "the request was not accepted"
    if 500 <= status < 600:  # noqa: PLR2004  # the classes of HTTP
        return ServerError, "SendGrid failed; it usually mends itself"
    return InvalidResponseError, "an answer with statistics was expected, and redirects are not followed"


def _root_cause(exc: BaseException) -> BaseException:
    """Return the innermost reason, which distinguishes DNS, TCP and TLS; the outer ones only name urllib3's objects."""
    inner = getattr(exc, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in exc.args if isinstance(arg, BaseException)), None) or exc.__cause__
    return exc if inner is None else _root_cause(inner)
