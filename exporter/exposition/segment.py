"""Compressed text that can be put together without being compressed again.

A segment is raw deflate data that ends on a byte border (Z_SYNC_FLUSH), with the CRC-32 and the length of its text, so
that segments one after the other are one deflate stream. One gzip stream it must be: clients such as curl and httpx
stop after the first of several members.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exporter.exposition import crc

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
_FINAL_BLOCK: Final = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text, compressed."""

    data: bytes
    crc: int
    length: int
    """Bytes of the text."""
    shift: int

    def text(self) -> bytes:
        """Return the text itself; with the exact length zlib inflates into one buffer, three times as fast."""
        return zlib.decompress(self.data + _FINAL_BLOCK, -zlib.MAX_WBITS, self.length or 1)

    def is_sound(self) -> bool:
        """Tell whether the data still is what was compressed."""
        if not 0 < self.length <= len(self.data) * _LARGEST_RATIO:
            return not self.length and not self.crc
        try:
            text = self.text()
        except zlib.error:
            return False
        return len(text) == self.length and zlib.crc32(text) == self.crc


@dataclass(frozen=True, slots=True)
class Run:
    """Segments one after the other, with the CRC-32 and the length of their whole text."""

    segments: tuple[Segment, ...]
    crc: int
    length: int
    shift: int
    size: int
    """Bytes of the compressed data."""


EMPTY: Final = Run((), 0, 0, crc.ONE, 0)


def compress(pieces: Iterable[bytes], level: int = QUICK) -> Segment:
    """Return the pieces, one after the other, as one segment; their whole text never stands in memory."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data, check, length = bytearray(), 0, 0
    for piece in pieces:
        data += deflate.compress(piece)
        check = zlib.crc32(piece, check)
        length += len(piece)
    data += deflate.flush(zlib.Z_SYNC_FLUSH)
    return Segment(bytes(data), check, length, crc.shift_by(length))


def run_of(segments: Iterable[Segment]) -> Run:
    """Return the run of the segments; empty ones leave no trace."""
    kept = tuple(segment for segment in segments if segment.length)
    if not kept:
        return EMPTY
    total, shift = kept[0].crc, kept[0].shift
    for segment in kept[1:]:
        total = crc.combine(total, segment.crc, segment.shift)
        shift = crc.multiply(shift, segment.shift)
    return Run(kept, total, sum(s.length for s in kept), shift, sum(len(s.data) for s in kept))


def join(runs: Iterable[Run]) -> Run:
    """Return the runs one after the other as one."""
    kept = [run for run in runs if run.length]
    if len(kept) <= 1:
        return kept[0] if kept else EMPTY
    total, shift = kept[0].crc, kept[0].shift
    for run in kept[1:]:
        total = crc.combine(total, run.crc, run.shift)
        shift = crc.multiply(shift, run.shift)
    segments = tuple(segment for run in kept for segment in run.segments)
    return Run(segments, total, sum(run.length for run in kept), shift, sum(run.size for run in kept))


def gzip_size(run: Run) -> int:
    """Return the number of bytes that `gzip_chunks` gives."""
    return len(GZIP_HEADER) + run.size + len(_FINAL_BLOCK) + 8


def gzip_chunks(run: Run) -> Iterator[bytes]:
    """Give the run as one gzip stream, piece by piece."""
    yield GZIP_HEADER
    for segment in run.segments:
        yield segment.data
    yield _FINAL_BLOCK + run.crc.to_bytes(4, "little") + (run.length & 0xFFFFFFFF).to_bytes(4, "little")


def text_chunks(run: Run) -> Iterator[bytes]:
    """Give the run's text, in pieces of bounded size: each reader who stands still holds one of them."""
    for segment in run.segments:
        if segment.length <= _PIECE:
            yield segment.text()
        else:
            yield from _inflated(segment.data)


def _inflated(data: bytes) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    # Fed in parts, since zlib copies what it did not get to (`unconsumed_tail`) at every call.
    for start in range(0, len(data), _FED_AT_ONCE):
        rest = data[start : start + _FED_AT_ONCE]
        while rest:
            yield inflate.decompress(rest, _PIECE)
            rest = inflate.unconsumed_tail
