"""What every request passes before its page: the web config file's rules, and the net for unforeseen errors."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from exporter.errors import ConfigurationError
from exporter.web.auth import BasicAuth, Verdict
from exporter.web.config_file import WebConfig
from exporter.web.message import Request, Response, plain, with_headers
from exporter.web.rate import TokenBucket
from exporter.web.routes import HEALTHY, READY, Routes

_LOG: Final = logging.getLogger(__name__)


class Front:
    """Answers requests; never raises.

    The order is the exporter-toolkit's: configuration, rate limit, headers, password. A configuration that cannot be
    used refuses everybody: it must not open what it was to protect.
    """

    def __init__(
        self,
        routes: Routes,
        config: Callable[[], WebConfig],
        *,
        limiter: TokenBucket,
        auth: BasicAuth,
        open_health: bool,
    ) -> None:
        self._routes = routes
        self._config = config
        self._limiter = limiter
        self._auth = auth
        self._open = frozenset({HEALTHY, READY}) if open_health else frozenset()

    async def answer(self, request: Request) -> Response:
        """Return the answer to the request."""
        try:
            return await self._guarded(request)
        except Exception:  # noqa: BLE001 - no error of a page may end a connection without an answer
            _LOG.exception("a page failed unexpectedly")
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")

    async def _guarded(self, request: Request) -> Response:
        try:
            config = self._config()
        except ConfigurationError:
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")
        if not self._limiter.allows(config.rate_limit):
            return plain(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
        return with_headers(await self._admitted(request, config), config.headers)

    async def _admitted(self, request: Request, config: WebConfig) -> Response:
        if config.users and request.path not in self._open:
            verdict = await self._auth.verdict(request.first(b"authorization"), config.users, request.client)
            if verdict is Verdict.BUSY:
                return plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many passwords to check", ("Retry-After", "1"))
            if verdict is Verdict.DENIED:
                return plain(HTTPStatus.UNAUTHORIZED, "unauthorized", ("WWW-Authenticate", "Basic"))
        return await self._routes.answer(request)
