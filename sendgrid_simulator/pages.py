"""Lists in pages: which list, the opaque tokens of its pages, and the document of one page."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from sendgrid_simulator.messages import ApiError

_MAC_BYTES: Final = 9

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Listing:
    """One list that a client pages through."""

    origin: str
    path: str
    query: tuple[tuple[str, str], ...]
    """What selects the list's rows: every parameter but those of the page."""
    size: int
    secret: bytes

    def token(self, offset: int, turn: int = 0) -> str:
        """Return an opaque token for the page that begins at the offset; another turn gives another text."""
        # Opaque to clients, and needs no memory here: the place itself, signed.
        place = b"%d %d" % (offset, turn)
        return base64.urlsafe_b64encode(self._mac(place) + place).decode().rstrip("=")

    def place(self, token: str) -> tuple[int, int]:
        """Return the token's offset and turn, or refuse a token of another list."""
        try:
            # Tokens carry no padding, which would have to be escaped in a URL; b64decode wants it.
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            plain = b""
        mac, place = plain[:_MAC_BYTES], plain[_MAC_BYTES:]
        if not place or not hmac.compare_digest(mac, self._mac(place)):
            raise ApiError(400, "invalid page token", field_name="page_token")
        offset, turn = place.split()
        return int(offset), int(turn)

    def url(self, token: str | None) -> str:
        """Return the absolute URL of a page; None is the first."""
        query = {"page_size": str(self.size), **dict(self.query)}
        if token is not None:
            query["page_token"] = token
        return f"{self.origin}{self.path}?{urlencode(query, safe=',')}"

    def _mac(self, place: bytes) -> bytes:
        """Sign a place, so that a forged token and one of another list are refused."""
        identity = f"{self.path.lower()}?{urlencode(self.query)} ".encode()
        return hashlib.blake2b(identity + place, key=self.secret, digest_size=_MAC_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """One page as it is at one moment, with all rows of its list."""

    listing: Listing
    place: tuple[int, int]
    """Offset of its first row, and the token's turn."""
    rows: Sequence[RowT]
    encode: Callable[[RowT], dict[str, Any]]
    """Makes a row's JSON object."""
    total: int | None = None
    """The value of `total_clicks`; None where the list has no such field."""

    @property
    def offset(self) -> int:
        """Return how many rows stand on the pages before."""
        return self.place[0]

    @property
    def turn(self) -> int:
        """Return which of several tokens for this page was sent."""
        return self.place[1]

    @property
    def number(self) -> int:
        """Return 1 for the first page."""
        return self.offset // self.listing.size + 1

    @property
    def results(self) -> Sequence[RowT]:
        """Return the rows of this page."""
        return self.rows[self.offset : self.offset + self.listing.size]

    def document(self) -> dict[str, Any]:
        """Return the page's JSON object."""
        document: dict[str, Any] = {"results": [self.encode(row) for row in self.results]}
        if self.total is not None:
            document["total_clicks"] = self.total
        return {**document, "_metadata": self._metadata()}

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
