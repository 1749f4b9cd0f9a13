"""Fakes behind the web server's ports, a server on loopback, and clients of bare sockets."""

import base64
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.parser import BytesParser
from pathlib import Path

from exporter.clock import SystemClock
from exporter.serving import OPENMETRICS, TEXT
from exporter.web.ports import AutomationRow, LandingPage, Limits, Ports, Scrape, Status, WebOptions
from exporter.web.server import WebServer

PATIENCE = 10.0
"""Seconds after which something that should have happened has not."""
PROMPT = 6.0
"""Seconds that a busy machine may take for what nothing holds up; what is held up takes all of PATIENCE, or more."""


@dataclass
class FakeMetrics:
    """Serves the same bytes as any format; records what was asked for and how many chunks were taken."""

    body: bytes = b"clicks 1\n"
    chunk: int = 64 * 1024
    length: int | None = None
    error: Exception | None = None
    whole_chunks: int = 2
    asked: list[tuple[bool, bool, frozenset[str] | None]] = field(default_factory=list)
    taken: int = 0

    def scrape(self, *, openmetrics: bool, compressed: bool, names: frozenset[str] | None) -> Scrape:
        self.asked.append((openmetrics, compressed, names))
        length = len(self.body) if self.length is None else self.length
        return Scrape(OPENMETRICS if openmetrics else TEXT, length, self._chunks(self.body), compressed)

    def _chunks(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), self.chunk):
            if self.error is not None and self.taken >= self.whole_chunks:
                raise self.error
            self.taken += 1
            yield body[start : start + self.chunk]


@dataclass
class FakeHealth:
    dead: str | None = None
    unready: str | None = None

    def unhealthy_reason(self) -> str | None:
        return self.dead

    def unready_reason(self) -> str | None:
        return self.unready


@dataclass
class FakeReloader:
    problems: Sequence[str] = ()
    act: Callable[[], None] | None = None
    calls: int = 0

    def reload(self) -> Sequence[str]:
        self.calls += 1
        if self.act is not None:
            self.act()
        return self.problems


@dataclass
class FakeStatus:
    rows: tuple[AutomationRow, ...] = ()
    error: Exception | None = None
    sought: list[str] = field(default_factory=list)

    def status(self, sought: str) -> Status:
        self.sought.append(sought)
        if self.error is not None:
            raise self.error
        return Status(self.rows)


@dataclass
class FakeObserver:
    failed_logins: int = 0
    web_config: list[bool] = field(default_factory=list)

    def login_failed(self) -> None:
        self.failed_logins += 1

    def web_config_read(self, *, successful: bool) -> None:
        self.web_config.append(successful)


@dataclass
class FakeLinks:
    """The links of a prober; None while they are not known."""

    enabled: bool = False
    content: bytes | None = b"[]"

    def document(self) -> bytes | None:
        return self.content


@dataclass
class FakePorts:
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    health: FakeHealth = field(default_factory=FakeHealth)
    reloader: FakeReloader = field(default_factory=FakeReloader)
    status: FakeStatus = field(default_factory=FakeStatus)
    observer: FakeObserver = field(default_factory=FakeObserver)
    page: LandingPage = field(
        default_factory=lambda: LandingPage("the-exporter", "1.2.3", "what it does", "https://docs.invalid/")
    )
    links: FakeLinks = field(default_factory=FakeLinks)

    def ports(self) -> Ports:
        return Ports(self.metrics, self.health, self.reloader, self.status, self.page, self.observer, self.links)


@contextlib.contextmanager
def running(fakes: FakePorts | None = None, limits: Limits | None = None, **options: object) -> Iterator[WebServer]:
    """Run a server on a free port of 127.0.0.1."""
    options = {"listen": (("127.0.0.1", 0),), **options}
    server = WebServer(
        WebOptions(**options),  # type: ignore[arg-type]
        (fakes or FakePorts()).ports(),
        clock=SystemClock(),
        limits=limits or Limits(),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(0.0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def connect(server: WebServer, context: ssl.SSLContext | None = None, name: str = "localhost") -> socket.socket:
    raw = socket.create_connection(server.addresses[0], timeout=PATIENCE)
    if context is None:
        return raw
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


def request(path: str = "/metrics", method: str = "GET", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def login(user: str, password: str) -> str:
    """Return the header of basic authentication."""
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def read_answer(client: socket.socket, method: str = "GET", buffer: bytes = b"") -> tuple[Answer, bytes]:
    """Return one response and the bytes after it."""
    while b"\r\n\r\n" not in buffer:
        data = client.recv(65536)
        if not data:
            raise EOFError(buffer)
        buffer += data
    head, _, rest = buffer.partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = {name.lower(): value for name, value in BytesParser().parsebytes(fields + b"\r\n\r\n").items()}
    length = 0 if method == "HEAD" else int(headers["content-length"])
    pieces = [rest]
    size = len(rest)
    while size < length:
        data = client.recv(1 << 20)
        if not data:
            raise EOFError(size)
        pieces.append(data)
        size += len(data)
    rest = b"".join(pieces)
    return Answer(int(status_line.split()[1]), headers, rest[:length]), rest[length:]


def ask(server: WebServer, data: bytes, context: ssl.SSLContext | None = None, method: str = "GET") -> Answer:
    """Send the bytes on a new connection and return the first response."""
    with connect(server, context) as client:
        client.sendall(data)
        return read_answer(client, method)[0]


def get(server: WebServer, path: str = "/metrics", *headers: str, context: ssl.SSLContext | None = None) -> Answer:
    return ask(server, request(path, "GET", *headers), context)


def read_to_end(client: socket.socket) -> bytes:
    """Return all until the server closes; a reset counts as a close."""
    data = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := client.recv(65536):
            data += piece
    return data


def eventually(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Wait until the condition holds; return whether it did in time."""
    pause = threading.Event()
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.005)
    return True


def is_closed(client: socket.socket) -> bool:
    """Read what is there, and return whether the server has closed this connection after it."""
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
        return True  # noqa: TRY300
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def reset(client: socket.socket) -> None:
    """Close the connection as a process that dies does: with a TCP reset, and without reading what is there."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def resident_memory() -> int:
    """Return this process's resident bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
