"""What travels between client and simulator: requests, responses, and the API's documented error bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

JSON_TYPE: Final = "application/json"
_PHRASES: Final = MappingProxyType({int(status): status.phrase for status in HTTPStatus})
_MESSAGES: Final[Mapping[int, str]] = {
    401: "authorization required",
    403: "access forbidden",
    404: "not found",
    405: "method not allowed",
    406: "the resource can only be given as application/json",
    429: "too many requests",
}


class Endpoint(StrEnum):
    """What a request can be for; each has a rate limit of its own."""

    LINKS = "links"
    """`/v3/marketing/stats/automations/{id}/links`."""
    STATISTICS = "statistics"
    """`/v3/marketing/stats/automations`: the list of all automations."""
    STEP_STATISTICS = "step_statistics"
    """`/v3/marketing/stats/automations/{id}`: one automation, by step and day where asked for."""
    SCOPES = "scopes"
    """`/v3/scopes`: what the key may do."""


@dataclass(frozen=True)
class Request:
    """A request as it was received; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    secure: bool = False

    @cached_property
    def path(self) -> str:
        """Return the path without its query, percent-decoded."""
        return unquote(urlsplit(self.target).path)

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the query's parameters; of one given twice the first."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query, True).items()}

    @property
    def origin(self) -> str:
        """Return scheme and host as the client knows them."""
        return f"{'https' if self.secure else 'http'}://{self.headers.get('host', 'localhost')}"


@dataclass(frozen=True, slots=True)
class Response:
    """A response; Content-Length is added on the wire."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def with_headers(self, *headers: tuple[str, str | None]) -> "Response":
        """Return the response with these headers in place of any of the same name; None removes one."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(header for header in self.headers if header[0].lower() not in names)
        added = tuple((name, value) for name, value in headers if value is not None)
        return replace(self, headers=kept + added)


class ApiError(Exception):
    """A request that the API refuses."""

    def __init__(self, status: int, message: str = "", *, field_name: str | None = None, allow: str = "") -> None:
        super().__init__(message or _MESSAGES[status])
        self.status = status
        self.field_name = field_name
        self.allow = allow

    def response(self) -> Response:
        """Return the refusal in the form that the API documents for its status."""
        answer = error_response(self.status, str(self), self.field_name)
        return answer.with_headers(("Allow", self.allow)) if self.allow else answer


def phrase(status: int) -> str:
    """Return a status's name; any number can be a status."""
    return _PHRASES.get(status, "Unknown")


def json_bytes(document: object) -> bytes:
    """Encode compactly, in UTF-8 where the text allows it, else escaped (a lone surrogate)."""
    # RFC 8259, 8.2: JSON can hold a lone surrogate as an escape, UTF-8 cannot hold it at all.
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def json_response(document: object, status: int = 200) -> Response:
    """Return a response that carries the document."""
    return Response(status, json_bytes(document), (("Content-Type", JSON_TYPE),))


def error_response(status: int, message: str = "", field_name: str | None = None) -> Response:
    """Return an error body: 400 and 404 carry `help` and `id`, the others `field` and `message` alone."""
    text = message or _MESSAGES.get(status) or phrase(status).lower()
    error: dict[str, object] = {"field": field_name, "message": text}
    document: dict[str, object] = {"errors": [error]}
    # The forms are those of the published examples; that 404 has the long one too is likely, not published.
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
        error["help"] = None if field_name is None else {"parameter": field_name}
        document["id"] = f"simulated-{status}"
    return json_response(document, status)
