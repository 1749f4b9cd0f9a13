"""A small HTTP/1.1 server: a thread per connection, one write per answer, prompt at stopping."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from sendgrid_simulator.clock import monotonic
from sendgrid_simulator.connection import BadRequestError, Connection
from sendgrid_simulator.delivery import deliver, wire_bytes
from sendgrid_simulator.faults import Fault
from sendgrid_simulator.messages import Request, Response, error_response

_BACKLOG: Final = 512
_HANDSHAKE_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.05

Reply = Callable[[Request], tuple[Response, Fault | None, float]]
"""What answers a request: the response, the fault of its delivery, and the seconds that it takes."""


class Server:
    """Listens from construction on; serves between `start` and `stop`."""

    def __init__(self, reply: Reply, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._reply = reply
        self._tls = tls
        self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        self._connections: dict[threading.Thread, Connection] = {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="simulator-accept", daemon=True)
        self.host = host
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        self._acceptor.start()

    def stop(self) -> None:
        """Close everything, stalled connections too, and wait for the threads; stopping twice is harmless."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(_STOP_SECONDS)
        self._listener.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            connection.interrupt()
        for thread in connections:
            thread.join(_STOP_SECONDS)

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    def _accept(self) -> None:
        while (accepted := self._accepted()) is not None:
            try:
                connection = self._connection(accepted)
            except OSError:
                accepted.close()  # the client has left already
                continue
            thread = threading.Thread(target=self._serve, name="simulator-connection", daemon=True)
            with self._lock:
                self._connections[thread] = connection
            thread.start()

    def _accepted(self) -> socket.socket | None:
        """Return the next client, or None once the server stops."""
        while not self._stopping.is_set():
            try:
                return self._listener.accept()[0]
            except OSError:
                self._stopping.wait(_RETRY_SECONDS)  # out of file descriptors: some client will go
        return None

    def _connection(self, accepted: socket.socket) -> Connection:
        """Return the connection; with TLS the handshake is left to its thread, so that nobody else waits for it."""
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return Connection(accepted)
        accepted.settimeout(_HANDSHAKE_SECONDS)
        return Connection(self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False))

    def _serve(self) -> None:
        connection = self._connections[threading.current_thread()]
        try:
            connection.shake_hands()
            while self._answer_one(connection):
                pass
        except OSError:
            pass  # the client left, or the simulator stops: either way nobody is there to be told
        finally:
            with self._lock:
                del self._connections[threading.current_thread()]
            connection.close()

    def _answer_one(self, connection: Connection) -> bool:
        """Answer a request; return whether the connection can take another."""
        try:
            request = connection.request()
        except BadRequestError as error:
            connection.send(wire_bytes(error_response(HTTPStatus.BAD_REQUEST, str(error))))
            return False
        if request is None:
            return False
        began = monotonic()
        response, fault, seconds = self._reply(request)
        if (left := seconds - (monotonic() - began)) > 0:
            connection.wait(left)
        if fault is None:
            data = wire_bytes(response)
            connection.send(data[: len(data) - len(response.body)] if request.method == "HEAD" else data)
            again = True
        else:
            again = deliver(connection, response, fault)
        return again and request.headers["connection"].lower() != "close"
