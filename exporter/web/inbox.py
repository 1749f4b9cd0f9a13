"""From received bytes to whole requests, within bounds."""

from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

import httptools

from exporter.web.message import Request
from exporter.web.ports import Limits

_VERSIONS: Final = ("1.0", "1.1")


class _RefusedError(Exception):
    """Stops the parser inside a callback."""


class Inbox:
    """Reads one connection's requests; llhttp, the parser of httptools, knows the grammar but no bounds."""

    def __init__(self, limits: Limits, client: str) -> None:
        self._limits = limits
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Request] = []
        self._received = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self.partial = False
        """Whether a request has begun and is not yet whole."""
        self.begun = 0
        """How many requests have begun."""
        self.continue_due = False
        """Whether the client waits for a 100 before it sends its body."""
        self.ended = False
        """Whether nothing that follows will be read as a request."""
        self.refusal: HTTPStatus | None = None
        """The answer to what ended the reading, after those to the whole requests before it."""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that these bytes made whole."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # No other protocol is spoken here: the request is answered as it stands, what follows it is not HTTP.
            self.end()
        except httptools.HttpParserError:
            # The parser also complains of bytes after the last request of a connection: they are nobody's.
            if not self.ended:
                self._refuse(HTTPStatus.BAD_REQUEST)
        if self.partial and not self.ended:
            self._check_size()
        done, self._done = self._done, []
        return done

    def end(self) -> None:
        """Read nothing more as a request."""
        self.ended = True
        self.partial = False
        self.continue_due = False

    def on_message_begin(self) -> None:
        self._received = 0
        self._target = b""
        self._headers = []
        self._in_head = True
        self.partial = True
        self.begun += 1

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser calls it for trailers too, which must not pass for headers.
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            self._stop(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        hosts = sum(1 for name, _ in self._headers if name == b"host")
        if hosts > 1 or (version == "1.1" and not hosts):
            self._stop(HTTPStatus.BAD_REQUEST)
        lengths = [int(value) for name, value in self._headers if name == b"content-length"]
        if any(length > self._limits.body for length in lengths):
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        expectation = next((value for name, value in self._headers if name == b"expect"), b"")
        self.continue_due = version == "1.1" and expectation.lower() == b"100-continue"

    def on_message_complete(self) -> None:
        self.partial = False
        self.continue_due = False
        method = self._parser.get_method().decode("ascii")
        path, query = self._split(method)
        last = self._parser.get_http_version() == "1.0" or not self._parser.should_keep_alive()
        keep_alive = not (last or self._parser.should_upgrade())
        self._done.append(Request(method, path, query, tuple(self._headers), keep_alive, self._client))
        if not keep_alive:
            self.end()

    def _split(self, method: str) -> tuple[str, str]:
        target = self._target.decode("latin-1")
        if method == "CONNECT":
            # Its target is a host: there is no path, and the server as a whole does not do it.
            return "*", ""
        if target.startswith("/") or target == "*":
            path, _, query = target.partition("?")
            return unquote(path), query
        try:
            parts = urlsplit(target)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            raise
        return unquote(parts.path) or "/", parts.query

    def _check_size(self) -> None:
        if self._in_head and self._received > self._limits.head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._received > self._limits.head + self._limits.body:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _stop(self, status: HTTPStatus) -> None:
        self._refuse(status)
        raise _RefusedError

    def _refuse(self, status: HTTPStatus) -> None:
        self.refusal = status
        self.end()
