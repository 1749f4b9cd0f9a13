"""What every request passes before its page: the web config file's rules, and the net for unforeseen errors."""

import logging
from http import HTTPStatus
from typing import Final

from exporter.web.message import Request, Response, plain
from exporter.web.routes import Routes

_LOG: Final = logging.getLogger(__name__)


class Front:
    """Answers requests; never raises."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def answer(self, request: Request) -> Response:
        """Return the answer to the request."""
        try:
            return await self._routes.answer(request)
        except Exception:  # noqa: BLE001 - no error of a page may end a connection without an answer
            _LOG.exception("a page failed unexpectedly")
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")
