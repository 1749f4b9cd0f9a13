"""Which path answers what, in which form, and what every request passes before: the web config file's rules.

What the client sends of formats is only compared, never echoed: the versions served are our own.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from exporter.logs import LogLimit
from exporter.web.http.message import Request, Response, plain, respond, with_headers
from exporter.web.pages import CONTENT_SECURITY_POLICY, asset, status_json, status_page, view_of
from exporter.web.ports import Observer, Ports, Reloader, WebOptions
from exporter.web.toolkit.config_file import WebConfig
from exporter.web.toolkit.passwords import BasicAuth, ClientRateLimit, Verdict, configured_user
from exporter.web.toolkit.worker import Worker, WorkerStoppedError

_log = logging.getLogger(__name__)
HEALTHY: Final = "/-/healthy"
READY: Final = "/-/ready"
RELOAD: Final = "/-/reload"
LINKS: Final = "/sd/links"
_READ: Final = ("GET", "HEAD")
_LONGEST_USER: Final = 64
_TEXT_TYPE: Final = "text/plain"
_OPENMETRICS_TYPE: Final = "application/openmetrics-text"
_KNOWN_VERSIONS: Final[Mapping[str, frozenset[str]]] = {
    _TEXT_TYPE: frozenset({"0.0.4"}),
    _OPENMETRICS_TYPE: frozenset({"1.0.0", "0.0.1"}),
}
# A quoted string takes what follows it up to its end, or up to the text's where it has none: no alternative is left
# that would be tried for each quote again, so the time grows with the length and not with its square.
_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER: Final = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_LONGEST_HEADER: Final = 4096
"""Characters of a header that is looked at: Prometheus sends some 300. A longer one counts as absent, as RFC 9110,
12.5.1 and 12.5.3, let a server disregard the field."""
_WEIGHT: Final = re.compile(r"[0-9]{0,9}(\.[0-9]{0,18})?")


class Middleware:
    """Answers requests; never raises.

    The order is the exporter-toolkit's: rate limit, headers, password. Health comes before all of them where
    `open_health` is set: no rule for clients may make the kubelet restart the process.
    """

    def __init__(
        self,
        handlers: "Handlers",
        config: Callable[[], Awaitable[WebConfig]],
        *,
        rate_limit: ClientRateLimit,
        auth: BasicAuth,
        observer: Observer,
        realm: str,
        open_health: bool,
    ) -> None:
        self._handlers = handlers
        self._config = config
        self._rate_limit = rate_limit
        self._auth = auth
        self._observer = observer
        # RFC 7617, 2: a realm is required, and the charset says how to encode names outside of ASCII.
        self._challenge = ("WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"')
        self._open = frozenset({HEALTHY, READY}) if open_health else frozenset()
        self._failed_logins = LogLimit(_log, logging.WARNING, "failed logins", lines=5)

    async def answer(self, request: Request) -> Response:
        """Return the answer to the request."""
        try:
            if request.path in self._open:
                return await self._handlers.answer(request)
            return await self._guarded(request, await self._config())
        except Exception:  # noqa: BLE001 - no error of a page may end a connection without an answer
            _log.exception("a page failed unexpectedly")
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")

    async def _guarded(self, request: Request, config: WebConfig) -> Response:
        rule = config.rate_limit
        if rule is not None and not self._rate_limit.allows(rule, request.client):
            return plain(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
        return with_headers(await self._admitted(request, config), config.headers)

    async def _admitted(self, request: Request, config: WebConfig) -> Response:
        if config.users:
            authorization = request.first(b"authorization")
            verdict = await self._auth.verdict(authorization, config.users, request.client)
            if verdict is Verdict.BUSY:
                return plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many passwords to check", ("Retry-After", "1"))
            if verdict is Verdict.DENIED:
                if authorization is not None:
                    self._report(authorization, config, request.client)
                return plain(HTTPStatus.UNAUTHORIZED, "unauthorized", self._challenge)
        return await self._handlers.answer(request)

    def _report(self, authorization: str, config: WebConfig, client: str) -> None:
        self._observer.login_failed()
        user = configured_user(authorization, config.users)
        if user is None:
            self._failed_logins.log("a login from %s failed: no such user", client)
        else:
            self._failed_logins.log("a login from %s failed: wrong password for user %s", client, user[:_LONGEST_USER])


@dataclass(frozen=True, slots=True)
class _Route:
    """The methods of a path and the page behind it."""

    methods: tuple[str, ...]
    answer: Callable[[Request], Awaitable[Response]]


class Handlers:
    """The pages; every answer is complete but for what the web config file adds."""

    def __init__(self, options: WebOptions, ports: Ports, reloads: "Reloads", pages: Worker) -> None:
        self._telemetry_path = options.telemetry_path
        self._ports = ports
        self._pages = pages
        self._reloads = reloads
        self._routes: Mapping[str, _Route] = {
            "/": _Route(_READ, self._status_page),
            "/status.json": _Route(_READ, self._status_json),
            "/status.css": _Route(_READ, partial(_asset, "status.css", "text/css; charset=utf-8")),
            "/status.svg": _Route(_READ, partial(_asset, "status.svg", "image/svg+xml")),
            "/status.js": _Route(_READ, partial(_asset, "status.js", "text/javascript; charset=utf-8")),
            options.telemetry_path: _Route(_READ, self._metrics),
            HEALTHY: _Route(_READ, self._healthy),
            READY: _Route(_READ, self._ready),
            LINKS: _Route(_READ, self._links),
            **({RELOAD: _Route(("POST",), self._reload)} if options.enable_lifecycle else {}),
        }

    async def answer(self, request: Request) -> Response:
        """Return the page for the request: paths are compared as they were sent, and nothing of them is echoed."""
        if request.path == "*":
            return _not_allowed(_READ)
        route = self._routes.get(request.path)
        if route is None or (request.path == LINKS and not self._ports.links.enabled):
            return plain(HTTPStatus.NOT_FOUND, "not found")
        if request.method not in route.methods:
            return _not_allowed(route.methods)
        return await route.answer(request)

    async def _metrics(self, request: Request) -> Response:
        scrape = self._ports.metrics.scrape(
            openmetrics=wants_openmetrics(request.joined(b"accept")),
            compressed=wants_gzip(request.joined(b"accept-encoding")),
            names=wanted_names(request.query),
        )
        encoding = (("Content-Encoding", "gzip"),) if scrape.gzip else ()
        vary = ("Vary", "Accept, Accept-Encoding")
        return respond(HTTPStatus.OK, scrape, scrape.content_type, vary, *encoding)

    async def _status_page(self, request: Request) -> Response:
        view = view_of(request.query)
        source, page, path = self._ports.status, self._ports.page, self._telemetry_path
        # In a thread: a scrape beside it must not wait for a thousand rows, or for a search in all links.
        body = await self._pages.run(lambda: status_page(page, source.status(view.sought), view, telemetry_path=path))
        policy = ("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return respond(HTTPStatus.OK, body, "text/html; charset=utf-8", policy)

    async def _status_json(self, request: Request) -> Response:
        view, source = view_of(request.query), self._ports.status
        body = await self._pages.run(lambda: status_json(source.status(view.sought), view))
        return respond(HTTPStatus.OK, body, "application/json")

    async def _links(self, _: Request) -> Response:
        document = self._ports.links.document()
        if document is None:
            # After anything but 200, Prometheus keeps the targets that it has: a restart ends no alert.
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, "the links are not known yet", ("Retry-After", "10"))
        return respond(HTTPStatus.OK, document, "application/json")

    async def _healthy(self, _: Request) -> Response:
        return _condition(self._ports.health.unhealthy_reason())

    async def _ready(self, _: Request) -> Response:
        return _condition(self._ports.health.unready_reason())

    async def _reload(self, request: Request) -> Response:
        if _is_cross_origin(request):
            return plain(HTTPStatus.FORBIDDEN, "a reload is not taken from a page of another origin")
        problems = await self._reloads.reload()
        if problems:
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "\n".join(problems))
        return plain(HTTPStatus.OK, "reloaded")


class Reloads:
    """Runs the reloader in a thread, one reload at a time; requests that come while one runs share the next one."""

    def __init__(self, reloader: Reloader, worker: Worker) -> None:
        self._reloader = reloader
        self._worker = worker
        self._running: asyncio.Task[Sequence[str]] | None = None
        self._next: asyncio.Task[Sequence[str]] | None = None

    async def reload(self) -> Sequence[str]:
        """Return the problems of a reload that began after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._running))
        # A client that goes away must not take the reload from the others.
        return await asyncio.shield(self._next)

    async def _run(self, before: "asyncio.Task[Sequence[str]] | None") -> Sequence[str]:
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._next = self._next, None
        try:
            return tuple(await self._worker.run(self._reloader.reload))
        except WorkerStoppedError:
            return ("the exporter is stopping",)
        except Exception:  # noqa: BLE001 - whatever goes wrong in a reload, the client gets an answer
            _log.exception("the reload failed unexpectedly")
            return ("the reload failed unexpectedly; see the exporter's log",)


def _is_cross_origin(request: Request) -> bool:
    """Return whether a browser sent the request for a page of another origin.

    A page may send a POST anywhere, with the passwords and client certificates that the browser has for that place.
    Browsers add Sec-Fetch-Site, and older ones Origin; curl and other programs add neither.
    """
    site = request.first(b"sec-fetch-site")
    if site is not None:
        # "none" is a person's own doing, such as a bookmark (Fetch Metadata, 2.4).
        return site.strip().lower() not in ("same-origin", "none")
    origin = request.first(b"origin")
    if origin is None:
        return False
    # RFC 6454, 7: scheme "://" host [":" port], or "null". The scheme differs behind a proxy that ends TLS.
    host = origin.partition("://")[2].lower()
    return not host or host != (request.first(b"host") or "").lower()


async def _asset(name: str, content_type: str, _: Request) -> Response:
    return respond(HTTPStatus.OK, asset(name), content_type)


def _condition(reason: str | None) -> Response:
    if reason is None:
        return plain(HTTPStatus.OK, "ok")
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def _not_allowed(methods: tuple[str, ...]) -> Response:
    return plain(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", ("Allow", ", ".join(methods)))


class _Range(NamedTuple):
    name: str
    parameters: Mapping[str, str]
    weight: float
    position: int


class _Match(NamedTuple):
    weight: float
    specificity: int
    earliness: int


def wants_openmetrics(accept: str | None) -> bool:
    """Return whether OpenMetrics suits an Accept header better than the text format.

    Text is served where both suit alike, and where nothing on offer suits at all.
    """
    ranges = tuple(_ranges(accept))
    for strict in (True, False):
        text = _best(ranges, _TEXT_TYPE, strict=strict)
        openmetrics = _best(ranges, _OPENMETRICS_TYPE, strict=strict)
        if text.weight or openmetrics.weight:
            return openmetrics > text
    return False


def wants_gzip(accept_encoding: str | None) -> bool:
    """Return whether an Accept-Encoding header asks for gzip; a mere `*` does only where identity is refused."""
    weights: dict[str, float] = {}
    for item in _ranges(accept_encoding):
        weights.setdefault("gzip" if item.name == "x-gzip" else item.name, item.weight)
    anything = weights.get("*")
    identity = weights.get("identity", 0.0)
    if "gzip" in weights:
        return weights["gzip"] > 0 and weights["gzip"] >= identity
    refused = weights.get("identity") == 0
    return bool(anything) and refused


def wanted_names(query: str) -> frozenset[str] | None:
    """Return the metric names that `name[]` parameters ask for, None for all of them."""
    names = parse_qs(query, errors="replace").get("name[]")
    return frozenset(names) if names else None


def _best(ranges: tuple[_Range, ...], media_type: str, *, strict: bool) -> _Match:
    # RFC 9110, 12.5.1: the most specific range decides on a type, whatever the weights of the others.
    nothing = _Match(0.0, 0, 0)
    found = [match for item in ranges if (match := _match(item, media_type, strict=strict))]
    return max(found, key=lambda match: (match.specificity, match.weight, match.earliness), default=nothing)


def _match(item: _Range, media_type: str, *, strict: bool) -> _Match | None:
    if item.name == media_type:
        version = item.parameters.get("version")
        if version is None:
            return _Match(item.weight, 3, -item.position)
        known = version in _KNOWN_VERSIONS[media_type]
        return _Match(item.weight, 4, -item.position) if known or not strict else None
    if item.name == f"{media_type.partition('/')[0]}/*":
        return _Match(item.weight, 2, -item.position)
    return _Match(item.weight, 1, -item.position) if item.name == "*/*" else None


def _ranges(header: str | None) -> Iterator[_Range]:
    if header is None or len(header) > _LONGEST_HEADER:
        return
    for position, element in enumerate(_ELEMENT.findall(header)):
        name, *parameters = [part.strip() for part in _PARAMETER.findall(element)] or [""]
        pairs = [parameter.partition("=") for parameter in parameters]
        values = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        weight = _weight(values.get("q", "1"))
        if weight is not None:
            yield _Range(name.lower(), values, weight, position)


def _weight(text: str) -> float | None:
    if not _WEIGHT.fullmatch(text) or not any(map(str.isdigit, text)):
        return None
    return min(float(text), 1.0)
