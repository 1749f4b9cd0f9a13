"""Lists in pages: the query that selects one, its opaque tokens, and the document of one page."""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from sendgrid_simulator.messages import ApiError, Request
from sendgrid_simulator.model import Row

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LINKS_PATH: Final = re.compile(r"/v3/marketing/stats/automations/([^/]+)/links")
_SIZE: Final = re.compile(r"[0-9]{1,9}")
_LARGEST_PAGE: Final = 50
_USUAL_PAGE: Final = 25
_MAC: Final = 9


def links_id(path: str) -> str | None:
    """Return the automation's id as written in the path of a list of links, None for any other path."""
    match = _LINKS_PATH.fullmatch(path)
    return match[1] if match else None


def is_uuid(text: str) -> bool:
    """Tell whether the text is a UUID in its usual form."""
    return _UUID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of links that a client pages through."""

    automation_id: str
    grouped: bool
    step_ids: tuple[str, ...]
    size: int
    origin: str
    secret: bytes

    def token(self, offset: int, turn: int = 0) -> str:
        """Return an opaque token for the page that begins at the offset; another turn gives another text."""
        place = b"%d %d" % (offset, turn)
        return base64.urlsafe_b64encode(self._mac(place) + place).decode().rstrip("=")

    def place(self, token: str) -> tuple[int, int]:
        """Return the token's offset and turn, or refuse a token that is not of this list."""
        try:
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            plain = b""
        mac, place = plain[:_MAC], plain[_MAC:]
        if not place or not hmac.compare_digest(mac, self._mac(place)):
            raise ApiError(400, "invalid page token", field_name="page_token")
        offset, turn = place.split()
        return int(offset), int(turn)

    def url(self, token: str | None) -> str:
        """Return the absolute URL of a page; None is the first."""
        query = {"page_size": str(self.size)}
        if self.grouped:
            query["group_by"] = "step_id"
        if self.step_ids:
            query["step_ids"] = ",".join(self.step_ids)
        if token is not None:
            query["page_token"] = token
        path = f"/v3/marketing/stats/automations/{self.automation_id}/links"
        return f"{self.origin}{path}?{urlencode(query, safe=',')}"

    def _mac(self, place: bytes) -> bytes:
        identity = f"{self.automation_id.lower()} {self.grouped} {','.join(self.step_ids)} ".encode()
        return hashlib.blake2b(identity + place, key=self.secret, digest_size=_MAC).digest()


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it stands at one moment, with all rows of its list."""

    listing: Listing
    offset: int
    rows: tuple[Row, ...]
    total: int
    turn: int = 0
    total_per_page: bool = False

    @property
    def number(self) -> int:
        """Return 1 for the first page."""
        return self.offset // self.listing.size + 1

    @property
    def results(self) -> tuple[Row, ...]:
        """Return the rows of this page."""
        return self.rows[self.offset : self.offset + self.listing.size]

    def document(self) -> dict[str, Any]:
        """Return the page as the API tells it."""
        results = self.results
        total = sum(row.clicks for row in results) if self.total_per_page else self.total
        return {"results": [row_document(row) for row in results], "total_clicks": total, "_metadata": self._metadata()}

    def _metadata(self) -> dict[str, object]:
        listing, end = self.listing, self.offset + self.listing.size
        metadata: dict[str, object] = {}
        if self.offset > 0:
            previous = max(self.offset - listing.size, 0)
            metadata["prev"] = listing.url(listing.token(previous) if previous else None)
        metadata["self"] = listing.url(listing.token(self.offset) if self.offset else None)
        if end < len(self.rows):
            metadata["next"] = listing.url(listing.token(end))
        metadata["count"] = len(self.rows)
        return metadata


def row_document(row: Row) -> dict[str, object]:
    """Return one row as the API tells it: without a place where the link has none."""
    step_id, url, place, clicks = row
    if place is None:
        return {"url": url, "step_id": step_id, "clicks": clicks}
    return {"url": url, "url_location": place, "step_id": step_id, "clicks": clicks}


def listing_of(request: Request, secret: bytes) -> tuple[Listing, tuple[int, int]]:
    """Return the list that a request for links asks for, and its page's offset and turn, or refuse it."""
    query = request.query
    automation_id = links_id(request.path) or ""
    if not is_uuid(automation_id):
        raise ApiError(400, "id is not a valid UUID", field_name="id")
    grouped = _grouped(query.get("group_by", ""))
    listing = Listing(automation_id, grouped, _steps(query.get("step_ids", "")), _size(query), request.origin, secret)
    token = query.get("page_token")
    return listing, (0, 0) if token is None else listing.place(token)


def _grouped(text: str) -> bool:
    if any(each != "step_id" for each in text.split(",") if text):
        raise ApiError(400, "group_by must be step_id", field_name="group_by")
    return bool(text)


def _steps(text: str) -> tuple[str, ...]:
    steps = tuple(text.split(",")) if text else ()
    if not all(map(is_uuid, steps)):
        raise ApiError(400, "step_ids must be a comma-separated list of UUIDs", field_name="step_ids")
    if len(set(steps)) != len(steps):
        raise ApiError(400, "step_ids must not name a step twice", field_name="step_ids")
    return steps


def _size(query: dict[str, str]) -> int:
    text = query.get("page_size", str(_USUAL_PAGE))
    if not _SIZE.fullmatch(text) or not 1 <= int(text) <= _LARGEST_PAGE:
        raise ApiError(400, f"page_size must be between 1 and {_LARGEST_PAGE}", field_name="page_size")
    return int(text)
