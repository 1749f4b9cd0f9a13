"""Compressed text that can be joined without being compressed again.

A chunk is raw deflate data (RFC 1951) that ends on a byte border (Z_SYNC_FLUSH), so that chunks one after the other are
one deflate stream. It must be one gzip stream: clients such as curl and httpx stop after the first of several members.

Its trailer holds the CRC-32 of the whole text, combined from those of the parts. zlib-ng does it all: at the same size
it takes half of zlib's time to compress, and a tenth for a checksum. Inflating is left to zlib, which is the faster one
for what is compressed well.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from zlib_ng import zlib_ng

QUICK: Final = 2
"""The level of compression for what is compressed at every scrape; zlib-ng's level 1 saves little time for a third more
bytes."""
THOROUGH: Final = 5
"""For what is sent many times: three times the time for a tenth fewer bytes, which is what a large scrape costs."""
_LARGEST_RATIO: Final = 1032
"""Deflate cannot compress better than this (zlib's technical details, "Maximum Compression Factor")."""
_PIECE: Final = 64 * 1024
"""Bytes of text inflated at once."""
_FED_AT_ONCE: Final = 8 * 1024
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, operating system unknown."""
_FINAL_BLOCK: Final = b"\x03\x00"
"""An empty block with BFINAL set (RFC 1951, 3.2.3): the chunks themselves leave the stream open."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """Text that is compressed in chunks, with the CRC-32 and the length of the whole text."""

    chunks: tuple[bytes, ...]
    crc: int
    length: int
    """Bytes of the text."""
    size: int
    """Bytes of the chunks."""

    def text(self) -> bytes:
        """Return the text itself; with the exact length zlib inflates into one buffer, three times as fast."""
        return zlib.decompress(b"".join(self.chunks) + _FINAL_BLOCK, -zlib.MAX_WBITS, self.length or 1)

    def is_sound(self) -> bool:
        """Return whether the data still is what was compressed."""
        # Before inflating: a damaged length must not make Python reserve gigabytes for the buffer.
        if not 0 < self.length <= self.size * _LARGEST_RATIO:
            return not self.length and not self.crc
        try:
            text = self.text()
        except zlib.error:
            return False
        return len(text) == self.length and zlib_ng.crc32(text) == self.crc


EMPTY: Final = Compressed((), 0, 0, 0)


def compress(pieces: Iterable[bytes], level: int = QUICK) -> Compressed:
    """Return the pieces, one after the other, as one chunk; their whole text never stands in memory."""
    deflate = zlib_ng.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data, check, length = bytearray(), 0, 0
    for piece in pieces:
        data += deflate.compress(piece)
        check = zlib_ng.crc32(piece, check)
        length += len(piece)
    # An empty stored block ends the chunk on a byte border (RFC 1951, 3.2.4), without the mark of a last block.
    data += deflate.flush(zlib.Z_SYNC_FLUSH)
    return Compressed((bytes(data),), check, length, len(data))


def join(parts: Iterable[Compressed]) -> Compressed:
    """Return the parts one after the other as one; empty ones leave no trace."""
    kept = [part for part in parts if part.length]
    if len(kept) <= 1:
        return kept[0] if kept else EMPTY
    total = kept[0].crc
    for part in kept[1:]:
        # CRC(A + B) from CRC(A), CRC(B) and the length of B: a CRC is linear over GF(2), so that A's is moved on by as
        # many zero bytes as B is long, and the two are added (xor). No byte is read again.
        total = zlib_ng.crc32_combine(total, part.crc, part.length)
    chunks = tuple(chunk for part in kept for chunk in part.chunks)
    return Compressed(chunks, total, sum(part.length for part in kept), sum(part.size for part in kept))


def gzip_size(body: Compressed) -> int:
    """Return the number of bytes that `gzip_chunks` gives."""
    return len(GZIP_HEADER) + body.size + len(_FINAL_BLOCK) + 8


def gzip_chunks(body: Compressed) -> Iterator[bytes]:
    """Give the body as one gzip stream, chunk by chunk (RFC 1952, 2.3: the trailer is CRC-32 and length mod 2**32)."""
    trailer = body.crc.to_bytes(4, "little") + (body.length & 0xFFFFFFFF).to_bytes(4, "little")
    # Not a generator: the web server takes every chunk, and a chain of tuples costs it no call into this module.
    return chain((GZIP_HEADER,), body.chunks, (_FINAL_BLOCK + trailer,))


def text_chunks(body: Compressed) -> Iterator[bytes]:
    """Give the body's text, in pieces of bounded size: each reader who stands still holds one of them."""
    for chunk in body.chunks:
        # One inflater for each chunk works, as a chunk was made by a compressor of its own: it refers to nothing
        # before it.
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        # Fed in parts, since zlib copies what it did not get to (`unconsumed_tail`) at every call.
        for start in range(0, len(chunk), _FED_AT_ONCE):
            rest = chunk[start : start + _FED_AT_ONCE]
            while rest:
                if text := inflate.decompress(rest, _PIECE):
                    yield text
                rest = inflate.unconsumed_tail
