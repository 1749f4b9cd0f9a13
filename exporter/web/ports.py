"""What the web server needs from the rest of the exporter, and the values it is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Scrape:
    """One exposition, ready to be sent: nothing of it is computed for the body as a whole."""

    content_type: str
    length: int
    """The bytes that `chunks` yields in all."""
    chunks: Iterator[bytes]
    """Pieces of any size, taken as fast as the reader takes them; never taken for a HEAD."""
    gzip: bool
    """Whether the bytes are one gzip stream."""


class Metrics(Protocol):
    """The exposition of the current snapshot."""

    def scrape(self, *, openmetrics: bool, compressed: bool, names: frozenset[str] | None) -> Scrape:
        """Return the exposition, of these metric names only where given; never block."""


class Health(Protocol):
    """Whether the process works and whether it can be used."""

    def alive(self) -> str | None:
        """Return None while polling works, else the reason."""

    def ready(self) -> str | None:
        """Return None when every automation was tried once or restored, else the reason."""


class Reloader(Protocol):
    """The way to a new configuration without a restart."""

    def reload(self) -> Sequence[str]:
        """Read the configuration again and return its problems, none on success; may block for a while."""


@dataclass(frozen=True, slots=True)
class AutomationRow:
    """One automation on the landing page."""

    id: str
    name: str
    outcome: str
    """Of the last poll; empty before the first."""
    last_success_age: float | None
    """Seconds since the last success; None before the first."""
    series: int


@dataclass(frozen=True, slots=True)
class Status:
    """The current state, as the landing page shows it."""

    automations: tuple[AutomationRow, ...] = ()


class StatusSource(Protocol):
    """The present state, for the landing page."""

    def status(self) -> Status:
        """Return the state of every automation; never block."""


@dataclass(frozen=True, slots=True)
class LandingPage:
    """The program, as the landing page presents it."""

    name: str
    version: str
    description: str
    documentation: str | None = None
    """The address of the documentation, http or https."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How the web server is configured."""

    listen: tuple[tuple[str, int], ...]
    """Hosts and ports; an empty host is every interface, port 0 any free port."""
    use_systemd: bool = False
    """Serve the sockets that systemd passed on, and no others."""
    telemetry_path: str = "/metrics"
    enable_lifecycle: bool = False
    open_health: bool = True
    config_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that keep one client from harming the others; times are seconds."""

    connections: int = 256
    """Open connections; beyond it the oldest that waits for a request makes room. There are fewer where the process
    may not open that many files."""
    request: float = 10.0
    """For a whole request, head and body, from the connection or its first byte."""
    idle: float = 300.0
    """Between two requests on one connection: more than any usual scrape interval."""
    stall: float = 30.0
    """For one piece of a response to leave."""
    handshake: float = 10.0
    linger: float = 2.0
    """For a client to read the last response before the connection closes."""
    line: int = 16 * 1024
    """Bytes of a request line."""
    head: int = 64 * 1024
    body: int = 64 * 1024
    reserved_files: int = 64
    """Descriptors left for SendGrid's connections, the state and configuration files and what libraries open."""
    pipelined: int = 16
    """Requests of one connection that may wait for their turn."""


class Observer(Protocol):
    """Who counts what the web server meets; called from its thread."""

    def login_failed(self) -> None:
        """Count a request that was refused for its user or password."""

    def web_config_read(self, *, successful: bool) -> None:
        """Record whether the web config file as it is now is in effect."""


class LinkTargets(Protocol):
    """The links that a prober may visit, as Prometheus's HTTP service discovery reads them."""

    @property
    def enabled(self) -> bool:
        """Whether they are handed out."""

    def document(self) -> bytes | None:
        """Return them as JSON, None while they are not known yet; never block."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the pages are made from."""

    metrics: Metrics
    health: Health
    reloader: Reloader
    status: StatusSource
    page: LandingPage
    observer: Observer
    links: LinkTargets
