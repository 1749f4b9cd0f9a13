"""One answer of HTTP/1.1, read to its exact end.

On a connection that is used again, whatever is left of one answer is read as the next one: an automation then shows the
clicks of another. http.client prevents that only in part. Of the interim answers it reads over 100 alone; it takes a
length that is given twice, or `-5`, or a header that goes on in the next line; and it drops what came behind the
answer. `Answer` reads over every interim answer, refuses whatever leaves the answer's end open (RFC 9112, sections 5 to
7), and knows in the end whether the connection is in step.

What this relies on in http.client, whose `HTTPResponse` has no hooks of its own: `_read_status` is called for every
status line, `_close_conn` when the answer ends or is given up, `_read_next_chunk_size` and `_read_and_discard_trailer`
for chunks; `fp` is what all of them read from, `length` what is left of the body. tests/sendgrid/test_client_framing.py
fails where a version of Python changes one of them.
"""

import io
import re
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse, LineTooLong, RemoteDisconnected, UnknownProtocol
from typing import Any, Final

_MOST_LINES: Final = 1024 * 1024
"""Bytes of all lines of one answer: statuses, headers, sizes of chunks, trailers. A real one has about 1 kB."""
_LONGEST_LINE: Final = 64 * 1024
"""As http.client has it."""
_VERSIONS: Final = frozenset({"HTTP/1.0", "HTTP/1.1"})
_HEADER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
"""A token and a colon with nothing between them; no bare CR, which http.client's parser takes for a line's end."""
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(;[^\r\n]*)?\r?\n")
_END_OF_HEAD: Final = (b"\r\n", b"\n")
_SWITCHING_PROTOCOLS: Final = 101


class FramingError(ConnectionError, HTTPException):
    """The answer leaves open where it ends, so nothing can be read after it; the libraries know it by its bases."""


class Answer(HTTPResponse):
    """An answer whose connection is in step with it only once it was read whole."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.in_step = False
        """Whether this was one final answer, was read whole, and nothing came behind it."""
        # http.client reads through `fp`. It is taken apart and put together again with the tap in between, so that
        # `_has_more` can look at what is buffered without waiting for the socket.
        self._tap = _Tap(self.fp.detach())
        self._lines = _Lines(self._tap)
        self.fp = self._lines
        self._saw_last_chunk = False

    def begin(self) -> None:
        """Read the final answer's head; raise HTTPException for one that leaves the answer's end open."""
        super().begin()
        if self._lines.seen is not None:
            self._check_head(self._lines.seen)
            self._lines.seen = None

    def _check_head(self, lines: Sequence[bytes]) -> None:
        *headers, end = lines
        if end not in _END_OF_HEAD:
            raise RemoteDisconnected("the connection was closed within the headers")
        if not all(map(_HEADER.fullmatch, headers)):
            raise FramingError("the answer has a header line that is none")
        lengths, codings = self.headers.get_all("Content-Length", []), self.headers.get_all("Transfer-Encoding", [])
        # RFC 9112, 6.3: both fields, or one of them twice, is how requests and answers are smuggled past a proxy.
        if len(lengths) + len(codings) > 1:
            raise FramingError("the answer gives its length more than once")
        if lengths and not _LENGTH.fullmatch(lengths[0].strip(" \t")):
            raise FramingError("the answer's Content-Length is no number")
        # RFC 9112, 6.1: chunked must be the last coding, and a 1.0 server cannot mean it.
        if codings and (codings[0].strip(" \t").lower() != "chunked" or self.version == 10):  # noqa: PLR2004  # 1.0
            raise FramingError("the answer's Transfer-Encoding leaves its end open")

    def _read_status(self) -> tuple[str, int, str]:
        """Return the final answer's status, which comes after any number of interim ones (RFC 9110, section 15.2).

        101 is final, too: what follows it would be another protocol, which nobody asked for.
        """
        while True:
            # Private in http.client, which reads over 100 only, and takes 102 or 103 for the final answer.
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves private names out
            if version not in _VERSIONS:
                raise UnknownProtocol(version)
            if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:  # noqa: PLR2004  # the classes of HTTP
                self._lines.seen = []
                return version, status, reason
            if not self._read_over_headers():
                raise RemoteDisconnected("the connection was closed within the headers")

    def _read_over_headers(self) -> bool:
        """Read headers, and return whether they end with an empty line instead of with the connection."""
        while (line := self.fp.readline(_LONGEST_LINE + 1)) not in _END_OF_HEAD:
            if not line:
                return False
        return True

    def _read_next_chunk_size(self) -> int:
        """Return the size of the next chunk; int() alone would also take `-5`, `+5`, `0x5` and `1_0`."""
        line = self.fp.readline(_LONGEST_LINE + 1)
        if not _CHUNK_SIZE.fullmatch(line):
            self._close_conn()
            raise ValueError("no size of a chunk")
        return int(line.partition(b";")[0], 16)

    def _read_and_discard_trailer(self) -> None:
        """Read the trailers; where the connection ends first, the body is whole all the same."""
        self._saw_last_chunk = self._read_over_headers()

    def _close_conn(self) -> None:
        # http.client sets `length` to 0 when it has read a body of known length, None where only a close ends it.
        is_whole = self._saw_last_chunk if self.chunked is True else self.length == 0
        is_final = self.status != _SWITCHING_PROTOCOLS
        self.in_step = is_whole and is_final and self.will_close is False and not self._has_more()
        super()._close_conn()  # type: ignore[misc]

    def _has_more(self) -> bool:
        """Return whether bytes behind the answer were read along with it, without reading further ones."""
        self._tap.is_shut = True
        return bool(self._lines.peek(1))


class _Tap(io.RawIOBase):
    """What a reader reads from, until it is shut."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.is_shut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as the socket does; None, which means that nothing is there now, once the tap is shut."""
        # io.RawIOBase: None means that a non-blocking read found nothing, where 0 would be the end of the stream.
        return None if self.is_shut else self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """A reader that limits all its lines together, and keeps those of a head."""

    def __init__(self, raw: _Tap) -> None:
        super().__init__(raw)
        self.seen: list[bytes] | None = None
        self._left = _MOST_LINES

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("head")
        if self.seen is not None:
            self.seen.append(line)
        return line
