"""Which path answers what."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from exporter.web.message import Request, Response, plain, respond
from exporter.web.negotiation import wanted_names, wants_gzip, wants_openmetrics
from exporter.web.pages import CONTENT_SECURITY_POLICY, landing_page
from exporter.web.ports import Ports, WebOptions
from exporter.web.reload import Reloads

HEALTHY: Final = "/-/healthy"
READY: Final = "/-/ready"
RELOAD: Final = "/-/reload"

_READ: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Route:
    """The methods of a path and the page behind it."""

    methods: tuple[str, ...]
    answer: Callable[[Request], Awaitable[Response]]


class Routes:
    """The pages; every answer is complete but for what the web config file adds."""

    def __init__(self, options: WebOptions, ports: Ports, reloads: Reloads) -> None:
        self._telemetry_path = options.telemetry_path
        self._ports = ports
        self._reloads = reloads
        self.table: Mapping[str, Route] = {
            "/": Route(_READ, self._landing),
            options.telemetry_path: Route(_READ, self._metrics),
            HEALTHY: Route(_READ, self._healthy),
            READY: Route(_READ, self._ready),
            **({RELOAD: Route(("POST",), self._reload)} if options.enable_lifecycle else {}),
        }

    async def answer(self, request: Request) -> Response:
        """Return the page for the request: paths are exact, and nothing of the request is echoed."""
        if request.path == "*":
            return _not_allowed(_READ)
        route = self.table.get(request.path)
        if route is None:
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

    async def _landing(self, _: Request) -> Response:
        page = landing_page(self._ports.page, self._ports.status.status(), telemetry_path=self._telemetry_path)
        policy = ("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return respond(HTTPStatus.OK, page.encode(errors="replace"), "text/html; charset=utf-8", policy)

    async def _healthy(self, _: Request) -> Response:
        return _condition(self._ports.health.alive())

    async def _ready(self, _: Request) -> Response:
        return _condition(self._ports.health.ready())

    async def _reload(self, _: Request) -> Response:
        problems = await self._reloads.reload()
        if problems:
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "\n".join(problems))
        return plain(HTTPStatus.OK, "reloaded")


def _condition(reason: str | None) -> Response:
    if reason is None:
        return plain(HTTPStatus.OK, "ok")
    return plain(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def _not_allowed(methods: tuple[str, ...]) -> Response:
    return plain(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed", ("Allow", ", ".join(methods)))
