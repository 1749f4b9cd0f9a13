"""The HTTP server: the standard library's, with the answer's bytes left to the caller and a prompt stop.

`http.server` reads requests and keeps connections open. It is not asked to write: its `send_response` cannot cut an
answer short, trickle it or give it a wrong length, so every answer is one sequence of bytes made in `delivery`.
"""

import contextlib
import logging
import math
import select
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final
from urllib.parse import urlsplit

from sendgrid_simulator.clock import monotonic
from sendgrid_simulator.delivery import deliver, wire_bytes
from sendgrid_simulator.faults import Fault
from sendgrid_simulator.messages import Request, Response, error_response

_log = logging.getLogger(__name__)

_BODY_LIMIT: Final = 1 << 20
_LINE_LIMIT: Final = 1 << 16
_BACKLOG: Final = 512
_HANDSHAKE_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.05
# POLLRDHUP (Linux) reports that the client has closed its side although unread bytes may be waiting.
_GONE: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR

Reply = Callable[[Request], tuple[Response, Fault | None, float]]
"""What answers a request: the response, the fault of its delivery, and the seconds that it takes."""


class Server(ThreadingTCPServer):
    """Listens from construction on, serves between `start` and `stop`, with one thread for each connection.

    `ThreadingTCPServer` and not `ThreadingHTTPServer`, which looks the host's name up when it binds.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = _BACKLOG

    def __init__(self, reply: Reply, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.reply = reply
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Connection)
        self.port: int = self.socket.getsockname()[1]

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="simulator-accept", daemon=True).start()

    def stop(self) -> None:
        """Close everything, stalled connections too; stopping twice is harmless."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread at once
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    # Of socket.socket, since SSLSocket.shutdown takes the TLS state from under a running handshake.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, _STOP_SECONDS)

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a client; with TLS the handshake is left to its thread, so that nobody else waits for it."""
        try:
            accepted, address = self.socket.accept()
        except OSError:
            self._stopping.wait(_RETRY_SECONDS)  # out of file descriptors: some client will leave
            raise
        if self._tls is None:
            return accepted, address
        try:
            return self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False), address
        except OSError:
            accepted.close()  # the client has left already
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        # Called at the end of the connection's thread, after its last byte.
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """Log what ended a connection: mostly its client left or the simulator stops, which is an OSError."""
        level = logging.DEBUG if isinstance(sys.exception(), OSError) else logging.ERROR
        _log.log(level, "a connection from %s ended", client_address, exc_info=True)


class _Connection(BaseHTTPRequestHandler):
    """One client's connection: its requests in, bytes out, until either side leaves."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(_HANDSHAKE_SECONDS)
            self.request.do_handshake()
            self.request.settimeout(None)
        super().setup()

    def handle_one_request(self) -> None:
        """Answer the next request; `close_connection` says whether there may be another."""
        # Closed unless the whole exchange goes well: an exception on the way must not leave a connection out of step.
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(_LINE_LIMIT + 1)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > _LINE_LIMIT:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return
        if not self.parse_request():  # it has called send_error
            return
        wants_more = not self.close_connection
        self.close_connection = True
        request = self._read()
        if request is not None:
            self.close_connection = not (self._answer(request) and wants_more)

    def send(self, data: bytes) -> None:
        self.wfile.write(data)

    def wait(self, seconds: float = math.inf) -> None:
        """Let time pass; raise ConnectionAbortedError as soon as the client leaves or the simulator stops."""
        waiting = select.poll()
        waiting.register(self.connection, _GONE)
        if waiting.poll(None if math.isinf(seconds) else max(round(seconds * 1_000), 1)):
            raise ConnectionAbortedError("the connection ended while it was kept waiting")

    def reset(self) -> None:
        """Close with RST, which discards whatever is under way: SO_LINGER with a time of zero."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # as long as this file is open, closing the socket has no effect
        self.connection.close()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, in the API's own form; called by the parser with statuses of its own too."""
        reason = explain or message or HTTPStatus(code).description
        self.close_connection = True
        self.send(wire_bytes(error_response(HTTPStatus.BAD_REQUEST, reason)))

    def _read(self) -> Request | None:
        """Return the request whose headers were parsed; None where it was refused."""
        headers = _joined(self.headers)
        if self.request_version == "HTTP/0.9" or self.headers.defects:
            # The parser takes a line without a colon for the end of the headers, and notes a defect.
            self.send_error(HTTPStatus.BAD_REQUEST, "the request line or a header line is malformed")
            return None
        try:
            urlsplit(self.path)
        except ValueError as exc:
            self.send_error(HTTPStatus.BAD_REQUEST, f"the target cannot be read: {exc}")
            return None
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            self.send_error(HTTPStatus.BAD_REQUEST, "the body's length is not a number, or too large")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.send_error(HTTPStatus.BAD_REQUEST, "the request ends within its body")
            return None
        return Request(self.command, self.path, headers, body, isinstance(self.connection, ssl.SSLSocket))

    def _answer(self, request: Request) -> bool:
        """Answer a request; return whether the connection can take another."""
        # The time that the answer takes to compute is part of its latency, not on top of it.
        began = monotonic()
        response, fault, seconds = self.server.reply(request)
        if (left := seconds - (monotonic() - began)) > 0:
            self.wait(left)
        if fault is not None:
            return deliver(self, response, fault)
        # RFC 9110, 9.3.2: the answer to HEAD has the length of the body, and no body.
        data = wire_bytes(response)
        self.send(data[: len(data) - len(response.body)] if request.method == "HEAD" else data)
        return True


def _joined(headers: Message) -> dict[str, str]:
    """Return the headers by lower-case name, the values of a repeated one joined (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        known = joined.get(name.lower())
        joined[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
    return joined
