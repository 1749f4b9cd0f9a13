"""Reading the body of an answer: decoded while it arrives, bounded in every form, within a memory for all of them.

A poll is charged for its answers before they are kept, and until its numbers are published. Small polls share one
amount. A poll that finds it spent may go on alone, up to what one list may take, while the others that need more wait
for it: so the sum is bounded, and no two polls can wait for each other.
"""

import io
import itertools
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.errors import ExchangeTimeoutError, InvalidResponseError, StoppedError

SHARED: Final = 32 * 1024 * 1024
"""Bytes for all polls that are not alone: 16 workers have 2 MB each, for 1,500 rows."""
LARGEST_POLL: Final = 64 * 1024 * 1024
"""Bytes of one poll: about 45,000 rows, which are 900 pages. Within its deadline of 5 minutes and the default budget of
300 requests a minute, a poll can read 1,500."""
_OBJECT: Final = 1024
"""Bytes of a row without its texts, from the parser's tree to what is published; 870 were measured in the parser."""
_VALUE: Final = 24
"""Bytes of any other value in the parser's tree."""
_COPIES: Final = 4
"""The body, its texts, and what is made of them before the next is read."""
_WIDEST: Final = 3
"""How much wider than its JSON a text gets where it holds any character beyond Latin-1 (PEP 393: 2 or 4 bytes each)."""
_SURROGATE: Final = 128
"""Bytes of an escaped surrogate, while halves of pairs are repaired."""
_USUAL_OBJECTS: Final = 100
_USUAL_SIZE: Final = 64 * 1024
_RECHECK: Final = 0.1
_MEBIBYTE: Final = 1024 * 1024


def cost(body: bytes) -> int:
    """Return the most bytes that a page's rows can take, told from its JSON text without parsing it.

    No `{{` of a text (as in `{{first_name}}`) begins an object: after the brace of one stands a blank, `"` or `}`. What
    a usual page cannot have much of is only counted in others, since counting takes a tenth of the parser's time.
    """
    objects = body.count(b"{")
    if objects > _USUAL_OBJECTS:
        objects -= 2 * body.count(b"{{")
    values = body.count(b",") + body.count(b"[") if len(body) > _USUAL_SIZE else 0
    escapes = body.count(b"\\u") if b"\\" in body else 0
    surrogates = body.count(b"\\ud") + body.count(b"\\uD") if escapes else 0
    narrow = body.isascii() and escapes == (body.count(b"\\u00") if escapes else 0)
    texts = len(body) * _COPIES * (1 if narrow else _WIDEST)
    return texts + objects * _OBJECT + values * _VALUE + surrogates * _SURROGATE


class MemoryBudget:
    """Lends memory to polls; a thread has one poll at a time."""

    def __init__(self, *, clock: Clock, shared: int = SHARED, largest: int = LARGEST_POLL) -> None:
        self._clock = clock
        self._shared = shared
        self._largest = largest
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._alone: _Poll | None = None
        self._lent = 0
        """Bytes of the shared amount that are lent."""

    @contextmanager
    def poll(self) -> Iterator[None]:
        """Keep what this thread reserves until the end of the block; a block within another is a part of it."""
        if self._mine() is not None:
            yield
            return
        self._of_thread.poll = poll = _Poll()
        try:
            yield
        finally:
            self._of_thread.poll = None
            self._give_back(poll, poll.held)

    def settle(self, size: int) -> None:
        """Give back what this thread's poll holds beyond the size: what it read is smaller than what reading took."""
        poll = self._mine()
        if poll is not None and poll.held > size:
            self._give_back(poll, poll.held - size)

    @contextmanager
    def exchange(self, deadline: float, stop: threading.Event, where: str) -> Iterator[Callable[[int], None]]:
        """Yield what reserves bytes for one answer to this thread's poll; a failure within the block gives them back.

        A reservation waits where other polls hold the memory, and raises ExchangeTimeoutError when they still do at the
        deadline (monotonic), InvalidResponseError where the poll would hold more than one may, and StoppedError when
        `stop` is set meanwhile. Each names `where`.
        """
        with self.poll():
            poll = self._of_thread.poll
            before = poll.held
            try:
                yield partial(self._reserve, poll, deadline, stop, where)
            except BaseException:
                self._give_back(poll, poll.held - before)
                raise

    def _reserve(self, poll: "_Poll", deadline: float, stop: threading.Event, where: str, size: int) -> None:
        if poll.held + size > self._largest:
            most = f"{self._largest // _MEBIBYTE} MiB of memory"
            raise InvalidResponseError(f"{where}: the list would take more than {most}; fewer step_ids would help")
        while not self._lend(poll, size):
            if self._clock.monotonic() >= deadline:
                raise ExchangeTimeoutError(f"{where}: other automations' lists held the memory until the deadline")
            if self._clock.wait(stop, _RECHECK):
                raise StoppedError("the exporter is stopping")

    def _lend(self, poll: "_Poll", size: int) -> bool:
        with self._lock:
            # The first that the shared amount cannot serve goes on alone, and gives back to the others what it held.
            if self._alone is None and self._lent + size > self._shared:
                self._alone = poll
                self._lent -= poll.held
            if self._alone is not poll:
                if self._lent + size > self._shared:
                    return False
                self._lent += size
            poll.held += size
            return True

    def _give_back(self, poll: "_Poll", size: int) -> None:
        with self._lock:
            # The one that goes on alone is not part of `_lent`: it left the shared amount when it began to.
            poll.held -= size
            if self._alone is not poll:
                self._lent -= size
            elif poll.held == 0:
                self._alone = None

    def _mine(self) -> "_Poll | None":
        mine: _Poll | None = getattr(self._of_thread, "poll", None)
        return mine


class _Poll:
    """What one poll holds."""

    def __init__(self) -> None:
        self.held = 0


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


def read_charged(raw: RawAnswer, encoding: str, where: str, reserve: Reserve) -> bytes:
    """Return the whole body as `read_body` does, once what parsing it will take is reserved too."""
    body = read_body(raw, encoding, where, reserve=reserve)
    reserve(cost(body) - len(body))
    return body


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
