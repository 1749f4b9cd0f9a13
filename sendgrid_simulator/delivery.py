"""Sends an answer's bytes: complete, or cut, stalled, trickled or malformed, as a fault requires."""

import gzip
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from sendgrid_simulator.faults import Delivery, Fault
from sendgrid_simulator.messages import Response, phrase

_BLOCK: Final = 1 << 16
_CHUNKED: Final = ("Transfer-Encoding", "chunked")
_GZIP: Final = ("Content-Encoding", "gzip")
_LINE_END: Final = b"\r\n"


class Connection(Protocol):
    """A client's connection; its methods raise OSError once either side has closed it."""

    def send(self, data: bytes) -> None:
        """Send all of it."""

    def wait(self, seconds: float) -> None:
        """Wait, at most until the client disconnects."""

    def reset(self) -> None:
        """Close with RST."""


def wire_head(response: Response, *headers: tuple[str, str]) -> bytes:
    """Return status line and headers; a lone surrogate becomes the raw byte that it escapes (PEP 383)."""
    # Not always Python's HTTPStatus: a fault may have a status that no standard defines.
    lines = [f"HTTP/1.1 {response.status} {phrase(response.status)}"]
    lines += [f"{name}: {value}" for name, value in (*response.headers, *headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def wire_bytes(response: Response) -> bytes:
    """Return the whole correct answer, to be sent at once."""
    if any(name.lower() == "content-length" for name, _ in response.headers):
        return wire_head(response) + response.body
    return wire_head(response, ("Content-Length", str(len(response.body)))) + response.body


def deliver(connection: Connection, response: Response, fault: Fault) -> bool:
    """Send the answer as the fault requires; return whether the connection can be used for another request."""
    if fault.preface:
        connection.send(fault.preface)
    return _DELIVERIES[fault.deliver](connection, response, fault)


def _whole(connection: Connection, response: Response, _: Fault) -> bool:
    connection.send(wire_bytes(response))
    return True


def _close_after(connection: Connection, response: Response, _: Fault) -> bool:
    # RFC 9112, 9.6: the server announces that it will close, and a client must not reuse the connection.
    connection.send(wire_bytes(response.with_headers(("Connection", "close"))))
    return False


def _chunks(body: bytes) -> bytes:
    half = len(body) // 2
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)


def _chunked(connection: Connection, response: Response, _: Fault) -> bool:
    connection.send(wire_head(response, _CHUNKED) + _chunks(response.body) + b"0\r\n\r\n")
    return True


def _gzip(connection: Connection, response: Response, _: Fault) -> bool:
    packed = Response(response.status, gzip.compress(response.body, 6), (*response.headers, _GZIP))
    connection.send(wire_bytes(packed))
    return True


def _wrong_gzip(connection: Connection, response: Response, _: Fault) -> bool:
    # The header promises gzip, the body is plain: what a misconfigured proxy does.
    connection.send(wire_bytes(Response(response.status, response.body, (*response.headers, _GZIP))))
    return True


def _cut_gzip(connection: Connection, response: Response, _: Fault) -> bool:
    packed = gzip.compress(response.body)
    cut = Response(response.status, packed[: len(packed) // 2], (*response.headers, _GZIP))
    connection.send(wire_bytes(cut))
    return True


def _continue(connection: Connection, response: Response, _: Fault) -> bool:
    # RFC 9110, 15.2: a client must be able to parse interim answers that it did not ask for.
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + wire_bytes(response))
    return True


def _early_hints(connection: Connection, response: Response, fault: Fault) -> bool:
    connection.send(
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    )
    connection.wait(fault.pace)
    connection.send(wire_bytes(response))
    return True


def _second_answer(connection: Connection, response: Response, _: Fault) -> bool:
    connection.send(wire_bytes(response) * 2)
    return True


# A trickle defeats a timeout that counts from one read to the next: each read brings a byte in time.
def _trickle(part: Delivery) -> Callable[[Connection, Response, Fault], bool]:
    def send(connection: Connection, response: Response, fault: Fault) -> bool:
        data = wire_bytes(response)
        line, head = data.index(_LINE_END), data.index(_LINE_END * 2) + 4
        begin, end = {
            Delivery.TRICKLE_STATUS: (0, line),
            Delivery.TRICKLE_HEADERS: (line, head),
            Delivery.TRICKLE_BODY: (head, len(data)),
        }[part]
        connection.send(data[:begin])
        for byte in data[begin:end]:
            connection.send(bytes((byte,)))
            connection.wait(fault.pace)
        connection.send(data[end:])
        return True

    return send


def _part(response: Response, where: str) -> bytes:
    """Return the first part of the answer, up to the middle of its headers or its body."""
    data = wire_bytes(response)
    head = data.index(_LINE_END * 2) + 4
    return {"before": b"", "headers": data[: head // 2], "body": data[: head + len(response.body) // 2]}[where]


def _stall(where: str) -> Callable[[Connection, Response, Fault], bool]:
    def send(connection: Connection, response: Response, _: Fault) -> bool:
        connection.send(_part(response, where))
        connection.wait(math.inf)
        return False

    return send


def _reset(where: str) -> Callable[[Connection, Response, Fault], bool]:
    def send(connection: Connection, response: Response, fault: Fault) -> bool:
        connection.send(_part(response, where))
        # RST discards what the client has not read yet, so it gets a moment to read the part first.
        if where != "before":
            connection.wait(fault.pace)
        connection.reset()
        return False

    return send


def _cut(where: str) -> Callable[[Connection, Response, Fault], bool]:
    def send(connection: Connection, response: Response, _: Fault) -> bool:
        connection.send(_part(response, where))
        return False

    return send


def _cut_chunk(connection: Connection, response: Response, _: Fault) -> bool:
    # RFC 9112, 8: without the chunk of size zero a chunked body is incomplete.
    size = len(response.body)
    connection.send(wire_head(response, _CHUNKED) + b"%x\r\n" % size + response.body[: size // 2])
    return False


def _filler(size: int) -> Iterator[bytes]:
    """Yield that many bytes of a JSON object without its end."""
    # The start is valid, so that a streaming parser does not stop early.
    begin = b'{"results":[],"total_clicks":0,"padding":"'
    yield begin
    for sent in range(len(begin), size, _BLOCK):
        yield b"x" * min(_BLOCK, size - sent)


def _huge_body(connection: Connection, response: Response, fault: Fault) -> bool:
    connection.send(wire_head(response, ("Content-Length", str(fault.size))))
    for block in _filler(fault.size):
        connection.send(block)
    return True


def _huge_chunks(connection: Connection, response: Response, fault: Fault) -> bool:
    connection.send(wire_head(response, _CHUNKED))
    for block in _filler(fault.size):
        connection.send(b"%x\r\n%b\r\n" % (len(block), block))
    connection.send(b"0\r\n\r\n")
    return True


def _huge_headers(connection: Connection, response: Response, fault: Fault) -> bool:
    connection.send(wire_head(response).removesuffix(_LINE_END))
    for number in range(fault.size // _BLOCK + 1):
        connection.send(b"X-Padding-%d: %b\r\n" % (number, b"x" * _BLOCK))
    connection.send(_LINE_END)
    return False


def _gzip_bomb(connection: Connection, response: Response, fault: Fault) -> bool:
    """Send blocks that inflate a thousandfold; no client should reach the wrong trailer."""
    # RFC 1952: ten bytes of header, the deflate stream, eight of checksum and length. A full flush ends a block on a
    # byte and forgets the window, so that one compressed block can be sent again and again.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    connection.send(wire_head(response, _GZIP, _CHUNKED) + b"a\r\n\x1f\x8b\x08" + bytes(7) + _LINE_END)
    for _ in range(max(fault.size >> 20, 1)):
        connection.send(b"%x\r\n%b\r\n" % (len(block), block))
    connection.send(b"a\r\n\x03\x00" + bytes(8) + b"\r\n0\r\n\r\n")
    return True


def _not_http(connection: Connection, _: Response, __: Fault) -> bool:
    # The greeting of a mail server, as an address with the wrong port would get.
    connection.send(b"220 mail.example.com ESMTP ready\r\n")
    return False


_DELIVERIES: Final[Mapping[Delivery, Callable[[Connection, Response, Fault], bool]]] = MappingProxyType(
    {
        Delivery.WHOLE: _whole,
        Delivery.CLOSE_AFTER: _close_after,
        Delivery.CHUNKED: _chunked,
        Delivery.GZIP: _gzip,
        Delivery.WRONG_GZIP: _wrong_gzip,
        Delivery.CUT_GZIP: _cut_gzip,
        Delivery.CONTINUE: _continue,
        Delivery.EARLY_HINTS: _early_hints,
        Delivery.SECOND_ANSWER: _second_answer,
        Delivery.TRICKLE_STATUS: _trickle(Delivery.TRICKLE_STATUS),
        Delivery.TRICKLE_HEADERS: _trickle(Delivery.TRICKLE_HEADERS),
        Delivery.TRICKLE_BODY: _trickle(Delivery.TRICKLE_BODY),
        Delivery.STALL: _stall("before"),
        Delivery.STALL_IN_HEADERS: _stall("headers"),
        Delivery.STALL_IN_BODY: _stall("body"),
        Delivery.RESET_BEFORE: _reset("before"),
        Delivery.RESET_IN_HEADERS: _reset("headers"),
        Delivery.RESET_IN_BODY: _reset("body"),
        Delivery.CLOSE: _cut("before"),
        Delivery.CUT_HEADERS: _cut("headers"),
        Delivery.CUT_BODY: _cut("body"),
        Delivery.CUT_CHUNK: _cut_chunk,
        Delivery.HUGE_BODY: _huge_body,
        Delivery.HUGE_CHUNKS: _huge_chunks,
        Delivery.HUGE_HEADERS: _huge_headers,
        Delivery.GZIP_BOMB: _gzip_bomb,
        Delivery.NOT_HTTP: _not_http,
    }
)
