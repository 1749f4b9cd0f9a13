"""What the web server needs from the rest of the exporter, and the values it is given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol


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

    def unhealthy_reason(self) -> str | None:
        """Return None while polling works, else the reason."""

    def unready_reason(self) -> str | None:
        """Return None when every automation was tried once or restored, else the reason."""


class Reloader(Protocol):
    """The way to a new configuration without a restart."""

    def reload(self) -> Sequence[str]:
        """Read the configuration again and return its problems, none on success; may block for a while."""


class Condition(StrEnum):
    """What a person has to know of an automation first."""

    FAILING = "failing"
    """Its last poll failed."""
    STALE = "stale"
    """Its data has grown too old to be shown."""
    WAITING = "waiting"
    """It was not polled yet."""
    OK = "ok"
    IDLE = "idle"
    """It is up to date, and polled seldom."""


class FoundLink(NamedTuple):
    """A link in which a search was found."""

    step_id: str
    url: str
    clicks: int


@dataclass(frozen=True, slots=True)
class AutomationRow:
    """One automation on the status page."""

    id: str
    name: str
    state: Condition = Condition.WAITING
    is_stale: bool = False
    is_idle: bool = False
    outcome: str = ""
    """Of the last poll; empty before the first."""
    error: str = ""
    """Why the last poll failed, with what SendGrid said; empty after a success."""
    next_step: str = ""
    last_success: float | None = None
    """Seconds since the epoch; None before the first."""
    next_poll: float | None = None
    """Seconds from now; None while it is polled."""
    interval: float = 0.0
    """Seconds between two polls, in effect."""
    series: int = 0
    clicks: int | None = None
    """SendGrid's total; None where there is no data."""
    found: tuple[FoundLink, ...] = ()
    """The first links in which the search was found."""
    day_clicks: int | None = None
    """What was added to the clicks in about a day; None where it is not known."""
    page: str = ""
    """The address of its page in SendGrid; empty where none is to be linked."""


class Requests(NamedTuple):
    """Requests a minute."""

    needed: float
    """What the configured intervals take."""
    allowed: float
    """For links, by the ceiling and by what SendGrid says remains."""
    ceiling: float
    """As configured, of this shard."""


NO_REQUESTS: Final = Requests(0.0, 0.0, 0.0)


class LastReload(NamedTuple):
    """The last reload of the configuration."""

    time: float
    """Seconds since the epoch."""
    problems: tuple[str, ...]
    """Why it was not taken over; none after a success."""


@dataclass(frozen=True, slots=True)
class Status:
    """The current state, as the status page shows it."""

    automations: tuple[AutomationRow, ...] = ()
    time: float = 0.0
    """Seconds since the epoch."""
    uptime: float = 0.0
    version: str = ""
    revision: str = ""
    shard: tuple[int, int] = (0, 1)
    """Its index, and how many there are."""
    requests: Requests = NO_REQUESTS
    discovered: Mapping[str, int] | None = None
    """Automations of the account by state; None while discovery is off."""
    list_error: str = ""
    """Why the account's list could not be read last; empty where it was."""
    state_file: str | None = None
    state_error: str = ""
    """Why values cannot be saved in it; empty while they can."""
    configuration: str = ""
    """YAML without secrets."""
    reload: LastReload | None = None


class StatusSource(Protocol):
    """The present state, for the status page."""

    def status(self, sought: str) -> Status:
        """Return the state of every automation, with the links in which the text is found; never wait for anybody.

        The search takes time: it is called in a thread of its own.
        """


@dataclass(frozen=True, slots=True)
class LandingPage:
    """The program, as the status page presents it."""

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
