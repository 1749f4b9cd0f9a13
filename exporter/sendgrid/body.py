"""Reading the body of an answer: decoded while it arrives, and bounded in every form that it takes."""

import io
import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from exporter.errors import InvalidResponseError

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Bytes of one page, in each of its encodings; a real one is about 10 kB."""
_CHUNK: Final = 64 * 1024
_GZIP: Final = 31
_ZLIB: Final = 47
_RAW: Final = -15
"""zlib's `wbits`; 47 also takes gzip's format, which some servers call deflate."""
_GZIP_MAGIC: Final = 0x1F8B
_MEMBER: Final = b"\x1f"
"""The first byte of each member of a gzip stream."""
_DEFLATE: Final = 8
"""The only compression method that zlib's format knows."""
_DECODED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Content codings that can be undone; not asked for, but an answer in one of them is still an answer."""
_UNREADABLE: Final = frozenset(
    {"aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"}
)
"""IANA's other content codings. A word that is none of them (`UTF-8`, `none`, `aws-chunked`) changes no byte."""
_MOST_CODINGS: Final = 4
"""Codings on top of each other; each takes a pass over the body."""
_MOST_MEMBERS: Final = 1000
"""Parts of one gzip stream (RFC 1952, 2.2); a server that flushes often makes a few."""


class RawAnswer(Protocol):
    """What urllib3 gives to read an answer from."""

    def read(self, amt: int, *, decode_content: bool) -> bytes:
        """Return up to `amt` bytes as they came; empty at the end."""


Reserve = Callable[[int], None]
"""Makes room for so many bytes more, or raises."""


def read_body(
    raw: RawAnswer, encoding: str, where: str, *, largest: int = LARGEST_BODY, reserve: Reserve = lambda _: None
) -> bytes:
    """Return the whole body, decoded as its Content-Encoding says; `reserve` is called before a piece is kept.

    A hostile answer may be endless or inflate a thousandfold. One that is larger than `largest` in any of its
    encodings, cut, or encoded in a way that cannot be read raises InvalidResponseError, which names `where`.
    """
    pieces = _bounded(_received(raw), largest, where)
    for coding in _codings(encoding, where):
        pieces = _bounded(_decoded(pieces, coding, where), largest, where)
    with io.BytesIO() as body:  # gives its buffer away without a copy, or frees it, whoever keeps an error's traceback
        for piece in pieces:
            reserve(len(piece))
            body.write(piece)
        return body.getvalue()


def _codings(encoding: str, where: str) -> Sequence[str]:
    """Return the codings to undo, the last applied one first (RFC 9110, 8.4)."""
    named = [name.strip().lower() for name in encoding.split(",")]
    if unreadable := _UNREADABLE.intersection(named):
        raise InvalidResponseError(f"{where}: the answer is encoded as {min(unreadable)}, which was not asked for")
    codings = [name for name in reversed(named) if name in _DECODED]
    if len(codings) > _MOST_CODINGS:
        raise InvalidResponseError(f"{where}: the answer is encoded more than {_MOST_CODINGS} times")
    return codings


def _received(raw: RawAnswer) -> Iterator[bytes]:
    # Not decoded by urllib3: `_inflated` bounds what one piece can become.
    while chunk := raw.read(_CHUNK, decode_content=False):
        yield chunk


def _bounded(pieces: Iterator[bytes], largest: int, where: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise InvalidResponseError(f"{where}: the answer is larger than {largest} bytes")
        yield piece


def _decoded(pieces: Iterator[bytes], coding: str, where: str) -> Iterator[bytes]:
    try:
        if coding == "deflate":
            yield from _inflated(*_deflate_form(pieces))
        else:
            yield from _inflated(pieces, _GZIP)
    except zlib.error:
        raise InvalidResponseError(f"{where}: the answer cannot be decompressed") from None
    except EOFError:
        raise InvalidResponseError(f"{where}: the compressed answer is cut") from None


def _inflated(pieces: Iterator[bytes], wbits: int) -> Iterator[bytes]:
    """Inflate the members of one stream, at most a chunk at once; raise EOFError where it is cut.

    What follows a whole stream without being another member is ignored, as gzip(1) and browsers do.
    """
    inflater = zlib.decompressobj(wbits)
    members = 1
    for piece in pieces:
        rest, inflated = piece, b""
        # A full chunk may leave more within the inflater, without input.
        while rest or (len(inflated) == _CHUNK and not inflater.eof):
            if inflater.eof:
                # gzip(1) ignores zero bytes after a member: they pad a file to the size of a block.
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                if wbits != _GZIP or rest[:1] != _MEMBER or members == _MOST_MEMBERS:
                    return
                inflater = zlib.decompressobj(wbits)
                members += 1
            inflated = inflater.decompress(rest, _CHUNK)
            yield inflated
            # At most one of both: `unconsumed_tail` within a member, `unused_data` after its end.
            rest = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        raise EOFError


def _deflate_form(pieces: Iterator[bytes]) -> tuple[Iterator[bytes], int]:
    """Tell zlib's format (RFC 1950), which deflate means, from the raw stream that some servers send instead.

    The first two bytes of zlib's format are a multiple of 31, and begin a raw stream that no encoder writes.
    """
    head = b""
    while len(head) < 2 and (piece := next(pieces, b"")):  # noqa: PLR2004  # the two bytes that tell
        head += piece
    first = int.from_bytes(head[:2])
    headed = first == _GZIP_MAGIC or (first % 31 == 0 and (first >> 8) & 15 == _DEFLATE)
    return itertools.chain([head], pieces), _ZLIB if headed else _RAW
