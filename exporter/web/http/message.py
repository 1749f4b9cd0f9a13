"""A request as it was read, a response as it will be written."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from exporter.web.ports import Scrape

PLAIN: Final = "text/plain; charset=utf-8"
SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request; its body was read and dropped, for no page takes one."""

    method: str
    path: str
    """As it was sent, without the query: decoded, `/-%2Freload` would pass a proxy's rule for `/-/reload`."""
    query: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """In order, the names in lower case."""
    keep_alive: bool = True
    client: str = ""
    """The peer's IP address."""

    def first(self, name: bytes) -> str | None:
        """Return the first header of this lower-case name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)

    def joined(self, name: bytes) -> str | None:
        """Return all headers of this lower-case name as one list, None without any."""
        values = [value.decode("latin-1") for key, value in self.headers if key == name]
        return ", ".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; its headers are unique by name in any case."""

    status: HTTPStatus
    body: bytes | Scrape
    headers: tuple[tuple[str, str], ...]
    close: bool = False
    """Whether the connection ends with it."""

    @property
    def length(self) -> int:
        return self.body.length if isinstance(self.body, Scrape) else len(self.body)


def respond(status: HTTPStatus, body: bytes | Scrape, content_type: str, *headers: tuple[str, str]) -> Response:
    """Return a response with the security headers, of which any given one takes the place."""
    return with_headers(Response(status, body, (("Content-Type", content_type), *SECURITY_HEADERS)), headers)


def plain(status: HTTPStatus, text: str, *headers: tuple[str, str], close: bool = False) -> Response:
    """Return a response of one or more lines of text."""
    return replace(respond(status, f"{text}\n".encode(), PLAIN, *headers), close=close)


def with_headers(response: Response, headers: tuple[tuple[str, str], ...]) -> Response:
    """Return the response with these headers in place of its own of the same name."""
    named = {name.lower(): (name, value) for name, value in (*response.headers, *headers)}
    return replace(response, headers=tuple(named.values()))


def head_bytes(response: Response, *, date: str, close: bool) -> bytes:
    """Return the status line and headers of the response, with its length."""
    status = response.status
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {date}", f"Content-Length: {response.length}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
