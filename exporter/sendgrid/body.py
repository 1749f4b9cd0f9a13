"""Reading the body of an answer, bounded before and after decompression."""

import zlib
from collections.abc import Mapping
from typing import Final, Protocol

from exporter.errors import InvalidResponseError

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Bytes of one page, before and after decompression; a real one is about 10 kB."""
_CHUNK: Final = 64 * 1024
_DECODERS: Final[Mapping[str, int]] = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""zlib's `wbits` by Content-Encoding; not asked for, but an answer in one of them is still an answer."""


class RawAnswer(Protocol):
    """What urllib3 gives to read an answer from."""

    def read(self, amt: int, *, decode_content: bool) -> bytes:
        """Return up to `amt` bytes as they came; empty at the end."""


def read_body(raw: RawAnswer, encoding: str, where: str) -> bytes:
    """Return the whole body, decompressed.

    A hostile answer may be endless or inflate a thousandfold: what is larger than LARGEST_BODY, cut, or in an encoding
    that cannot be read raises InvalidResponseError, which names `where`.
    """
    received = bytearray()
    while chunk := raw.read(_CHUNK, decode_content=False):
        received += chunk
        if len(received) > LARGEST_BODY:
            raise InvalidResponseError(f"{where}: the answer is larger than {LARGEST_BODY} bytes")
    name = encoding.strip().lower()
    return bytes(received) if name in {"", "identity"} else _inflated(bytes(received), name, where)


def _inflated(received: bytes, encoding: str, where: str) -> bytes:
    if encoding not in _DECODERS:
        raise InvalidResponseError(f"{where}: the answer comes in an encoding that was not asked for")
    decoder = zlib.decompressobj(_DECODERS[encoding])
    try:
        body = decoder.decompress(received, LARGEST_BODY + 1)
    except zlib.error:
        raise InvalidResponseError(f"{where}: the answer cannot be decompressed") from None
    if len(body) > LARGEST_BODY or not decoder.eof:
        raise InvalidResponseError(f"{where}: the compressed answer is cut, or larger than {LARGEST_BODY} bytes")
    return body
