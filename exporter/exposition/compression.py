"""Compressed text that can be joined without being compressed again.

A chunk is raw deflate data (RFC 1951) that ends on a byte border (Z_SYNC_FLUSH), so that chunks one after the other are
one deflate stream. It must be one gzip stream: clients such as curl and httpx stop after the first of several members.

Its trailer holds the CRC-32 of the whole text, combined from those of the parts as zlib's `crc32_combine` does. A CRC
is a polynomial over GF(2) modulo P, its bits in reflected order: bit 31 stands for x**0. Appending n bytes multiplies
the CRC of what stands before by x**(8 n) modulo P; that factor, the part's *shift*, is what a part carries.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Final

QUICK: Final = 1
"""The fastest level of compression, for what is compressed at every scrape."""
THOROUGH: Final = 5
"""For what is sent many times: twice the time for a sixth fewer bytes, which is what a large scrape costs."""
_LARGEST_RATIO: Final = 1032
"""Deflate cannot compress better than this (zlib's technical details, "Maximum Compression Factor")."""
_PIECE: Final = 64 * 1024
"""Bytes of text inflated at once."""
_FED_AT_ONCE: Final = 8 * 1024
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, operating system unknown."""
_FINAL_BLOCK: Final = b"\x03\x00"
"""An empty block with BFINAL set (RFC 1951, 3.2.3): the chunks themselves leave the stream open."""
ONE: Final = 1 << 31
"""x**0: the shift of an empty part."""

_MASK: Final = 0xFFFFFFFF
_LOW_BITS: Final = int.from_bytes(b"\x01" * 32, "big")
_PARITY: Final = b"01" * 128
"""Translates a byte to the digit of its lowest bit."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """Text that is compressed in chunks, with the CRC-32 and the length of the whole text."""

    chunks: tuple[bytes, ...]
    crc: int
    length: int
    """Bytes of the text."""
    shift: int
    """x**(8 * length) modulo P, which the CRC of what stands before is multiplied by."""
    size: int
    """Bytes of the chunks."""

    def text(self) -> bytes:
        """Return the text itself; with the exact length zlib inflates into one buffer, three times as fast."""
        return zlib.decompress(b"".join(self.chunks) + _FINAL_BLOCK, -zlib.MAX_WBITS, self.length or 1)

    def is_sound(self) -> bool:
        """Return whether the data still is what was compressed."""
        if not 0 < self.length <= self.size * _LARGEST_RATIO:
            return not self.length and not self.crc
        try:
            text = self.text()
        except zlib.error:
            return False
        return len(text) == self.length and zlib.crc32(text) == self.crc


EMPTY: Final = Compressed((), 0, 0, ONE, 0)


def compress(pieces: Iterable[bytes], level: int = QUICK) -> Compressed:
    """Return the pieces, one after the other, as one chunk; their whole text never stands in memory."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data, check, length = bytearray(), 0, 0
    for piece in pieces:
        data += deflate.compress(piece)
        check = zlib.crc32(piece, check)
        length += len(piece)
    # An empty stored block ends the chunk on a byte border (RFC 1951, 3.2.4), without the mark of a last block.
    data += deflate.flush(zlib.Z_SYNC_FLUSH)
    return Compressed((bytes(data),), check, length, shift_by(length), len(data))


def join(parts: Iterable[Compressed]) -> Compressed:
    """Return the parts one after the other as one; empty ones leave no trace."""
    kept = [part for part in parts if part.length]
    if len(kept) <= 1:
        return kept[0] if kept else EMPTY
    total, shift = kept[0].crc, kept[0].shift
    for part in kept[1:]:
        total = combine(total, part.crc, part.shift)
        shift = multiply(shift, part.shift)
    chunks = tuple(chunk for part in kept for chunk in part.chunks)
    return Compressed(chunks, total, sum(part.length for part in kept), shift, sum(part.size for part in kept))


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
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        # Fed in parts, since zlib copies what it did not get to (`unconsumed_tail`) at every call.
        for start in range(0, len(chunk), _FED_AT_ONCE):
            rest = chunk[start : start + _FED_AT_ONCE]
            while rest:
                if text := inflate.decompress(rest, _PIECE):
                    yield text
                rest = inflate.unconsumed_tail


def multiply(a: int, b: int) -> int:
    """Return the product of two polynomials modulo P.

    Each bit gets a byte of its own, so that one product of integers adds them up without carries from bit to bit; the
    lowest bit of each byte is the product's. zlib then reduces its upper half: it is a CRC of zeros. In Python this
    takes a quarter of the time of a loop over the bits.
    """
    # "1011" as ASCII has the digit in the lowest bit of each byte. A column of the product sums at most 32 ones, so no
    # byte (up to 255) carries into the next, and its parity is the coefficient over GF(2).
    spread_a = int.from_bytes(f"{a:b}".encode(), "big") & _LOW_BITS
    spread_b = int.from_bytes(f"{b:b}".encode(), "big") & _LOW_BITS
    product = int((spread_a * spread_b).to_bytes(63, "big").translate(_PARITY), 2)
    # Degree 0 is bit 31 (reflected), so a product of degree < 62 has its low half at bits 62..31. crc32 of four zero
    # bytes multiplies its register by x**32 modulo P; the two XORs undo the inversions that zlib does around it.
    return (product >> 31) ^ _MASK ^ zlib.crc32(bytes(4), ((product & 0x7FFFFFFF) << 1) ^ _MASK)


def shift_by(length: int) -> int:
    """Return x**(8 * length) modulo P."""
    shift, power = ONE, 0
    # Square and multiply: x**(8 n) is the product of x**(8 * 2**k) over the bits k that are set in n.
    while length:
        if length & 1:
            shift = multiply(shift, _square_power(power))
        length >>= 1
        power += 1
    return shift


def combine(first: int, second: int, second_shift: int) -> int:
    """Return the CRC of two parts one after the other."""
    return multiply(second_shift, first) ^ second


@cache
def _square_power(power: int) -> int:
    """Return x**(8 * 2**power) modulo P."""
    if power == 0:
        return ONE >> 8
    return multiply(_square_power(power - 1), _square_power(power - 1))
