"""The web config file, in the format of Prometheus's exporter-toolkit, as it is now.

It is read again when it or a certificate changes, at the price of a stat. A thread of its own looks at the files,
because their disk may hang, and a scrape waits for no disk.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from exporter.web.toolkit import Section, WebConfigError, seconds
from exporter.web.toolkit.files import Input, exposure, fingerprint, read_bounded, why_unread
from exporter.web.toolkit.tls import ClientAuth, TLSSettings, admits, make_context, read_tls
from exporter.web.toolkit.worker import Worker, WorkerStoppedError

MAX_BCRYPT_COST: Final = 14
"""One check of a higher cost takes seconds: too long for a scrape, and for a process that is to end."""
_MAX_SIZE: Final = 256 * 1024
_HASH: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_UNITS: Final = MappingProxyType({"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0})
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Content-Security-Policy": (),
        "Strict-Transport-Security": (),
        "X-Content-Type-Options": ("nosniff",),
        "X-Frame-Options": ("deny", "sameorigin"),
        "X-XSS-Protection": (),
    }
)
_log = logging.getLogger(__name__)
_PATIENCE: Final = 0.5
"""Seconds that a request waits for a look at the files: a usual one takes less than a millisecond."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RateLimitRule:
    """A token bucket for each client: one request per interval, and bursts of so many."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the web config file says; the default is what an empty file says."""

    tls: TLSSettings | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)
    """Name in UTF-8 and bcrypt hash; empty means that no password is asked for."""
    rate_limit: RateLimitRule | None = None
    warnings: tuple[str, ...] = ()
    """What is accepted for compatibility and does nothing here, and a file of secrets that everybody may read."""


def load(path: Path) -> WebConfig:
    """Return what the file says; raise WebConfigError with every problem it has."""
    source = _read(path)
    config = parse(_text_of(source, path), path.parent)
    secret = config.users or (config.tls is not None and isinstance(config.tls.key, str))
    warning = exposure(path, source.details) if secret else None
    return replace(config, warnings=(*config.warnings, warning)) if warning else config


def parse(text: str, folder: Path) -> WebConfig:
    """Return what the text says, relative paths taken from the folder; raise WebConfigError."""
    from exporter.web.toolkit.strict_yaml import YamlError, read_texts  # noqa: PLC0415  # 1 MB and 11 ms, for a file

    problems: list[str] = []
    try:
        document = read_texts(text)
    except YamlError as exc:
        raise _not_yaml(exc.place, exc.reason) from None
    problems += (
        f"line {each.line}: the key is given a second time; remove one of the two" for each in document.repeated
    )
    top = Section("", document.content, problems)
    top.only(("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"))
    warnings: list[str] = []
    config = WebConfig(
        tls=read_tls(top.block("tls_server_config"), folder, warnings),
        headers=_headers(top.block("http_server_config"), warnings),
        users=_users(top.block("basic_auth_users")),
        rate_limit=_rate_limit(top.block("rate_limit")),
        warnings=tuple(warnings),
    )
    if problems:
        raise WebConfigError([f"web.config_file: {problem}" for problem in problems])
    return config


def _read(path: Path) -> Input:
    try:
        return read_bounded(path, _MAX_SIZE)
    except OSError as exc:
        raise WebConfigError([f"web.config_file: cannot read {path} {why_unread(path, exc)}"]) from exc


def _text_of(source: Input, path: Path) -> str:
    from exporter.web.toolkit.strict_yaml import YamlError, decoded  # noqa: PLC0415  # see above

    if len(source.content) > _MAX_SIZE:
        raise WebConfigError([f"web.config_file: {path} is larger than {_MAX_SIZE} bytes"])
    try:
        return decoded(source.content)
    except YamlError as exc:
        raise _not_yaml(exc.place, exc.reason) from None


def _not_yaml(place: str, reason: str) -> WebConfigError:
    return WebConfigError([f"web.config_file: {place}this is not valid YAML ({reason})"])


def _headers(block: Section, warnings: list[str]) -> tuple[tuple[str, str], ...]:
    block.only(("http2", "headers"))
    if block.flag("http2"):
        warnings.append("http_server_config.http2: HTTP/2 is not offered here; HTTP/1.1 is spoken")
    headers = block.block("headers")
    headers.only(_HEADERS)
    found: list[tuple[str, str]] = []
    for name, allowed in _HEADERS.items():
        value = headers.text(name)
        if value is None:
            continue
        if allowed and value not in allowed:
            headers.complain(name, f"only {' or '.join(allowed)} can stand here")
        elif not (value.isascii() and value.isprintable()):
            headers.complain(name, "only printable ASCII characters can stand in a header")
        else:
            found.append((name, value))
    return tuple(found)


def _users(block: Section) -> Mapping[bytes, bytes]:
    users: dict[bytes, bytes] = {}
    for name in block.keys():  # noqa: SIM118 - a block is no dict
        hashed = block.text(name) or ""
        match = _HASH.fullmatch(hashed)
        if ":" in name:
            block.complain(name, "a user name cannot hold a colon")
        elif match is None:
            block.complain(name, "a bcrypt hash is needed here ($2a$, $2b$ or $2y$); make one with htpasswd -nBC 10 ''")
        elif not 4 <= int(match[1]) <= MAX_BCRYPT_COST:  # noqa: PLR2004 - bcrypt's own least cost
            block.complain(name, f"the hash's cost must lie between 4 and {MAX_BCRYPT_COST}; 10 to 12 is usual")
        else:
            users[name.encode(errors="surrogatepass")] = hashed.encode()
    return MappingProxyType(users)


def _rate_limit(block: Section) -> RateLimitRule | None:
    block.only(("interval", "burst"))
    interval = _duration(block, "interval")
    burst_text = block.text("burst")
    burst = int(burst_text) if burst_text is not None and re.fullmatch(r"[0-9]{1,9}", burst_text) else None
    if burst_text is not None and burst is None:
        block.complain("burst", "a whole number is needed here")
    if not interval:
        return None
    if not burst:
        block.complain("burst", "at least 1 is needed with an interval, or every request would be refused")
        return None
    return RateLimitRule(interval, burst)


def _duration(block: Section, key: str) -> float:
    text = block.text(key)
    if text is None or text == "0":
        return 0.0
    found = seconds(text, _UNITS)
    if found is None:
        block.complain(key, "a duration such as 500ms, 1s or 1m30s is needed here, 0 to switch the limit off")
    return found or 0.0


class ReloadingConfig:
    """The rules of the web config file; without a path, those of an empty one.

    Raise WebConfigError on construction when they cannot be used. Later the last ones that could be used stay in
    effect, and what is wrong is logged once and reported: a half-written file must neither open what it protects nor
    refuse the scrapes. The toolkit in Go answers every request with 500 until the file is right.
    """

    def __init__(self, path: Path | None, report: Callable[[bool], None] = lambda _: None) -> None:
        """Call `report` with whether the file and its certificates are in effect, whenever that changes."""
        self._path = path
        self._report = report
        self._config: _LastGood[WebConfig] = _LastGood("the web config file")
        self._context: _LastGood[ssl.SSLContext] = _LastGood("the certificate")
        self._usable = True
        self._stalled = False
        self.look()
        self.encrypted = self.current().tls is not None
        """Whether connections are encrypted: decided at start, for a port cannot change its protocol."""

    @property
    def is_watched(self) -> bool:
        """Whether there is a file to look at."""
        return self._path is not None

    def look(self) -> None:
        """Read again what has changed; may wait for a disk, so one thread does this and no request."""
        if self._path is None:
            return
        path = self._path
        # The rules first: the settings of TLS are part of the certificate's key, so a changed block renews it, too.
        tls = self._config.get((fingerprint(path),), lambda: self._load(path)).tls
        if tls is not None:
            self._context.get((tls, *map(fingerprint, tls.files)), lambda: make_context(tls))
        self._report_change()

    def stalled(self) -> None:
        """Report that a look has not come back: whatever has changed since is not in effect."""
        if not self._stalled:
            self._stalled = True
            _log.error(
                "the web config file or its certificates cannot be accessed (does their disk hang?); what was loaded "
                "before stays in effect"
            )
        if self._usable:
            self._usable = False
            self._report(False)

    def current(self) -> WebConfig:
        """Return the rules in effect; never waits."""
        return self._config.value or WebConfig()

    def context(self) -> ssl.SSLContext:
        """Return the TLS context in effect, only where connections are encrypted; never waits."""
        if self._context.value is None:
            raise WebConfigError(["web.config_file: TLS is not configured"])
        return self._context.value

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether the client behind a finished handshake may come in."""
        tls = self.current().tls
        return tls is not None and admits(tls, certificate)

    def _load(self, path: Path) -> WebConfig:
        config = load(path)
        former = self._config.value
        if former is not None and (lost := _lost_protection(former, config)):
            raise WebConfigError([f"web.config_file: {lost} needs a restart"])
        for warning in config.warnings:
            _log.warning("web config file: %s", warning)
        return config

    def _report_change(self) -> None:
        usable = not (self._config.problems or self._context.problems)
        if self._stalled:
            self._stalled = False
            _log.info("the web config file and its certificates can be accessed again")
        if usable != self._usable:
            self._usable = usable
            self._report(usable)


class FreshConfig:
    """What is in effect for the next request or handshake: after a look at the files, unless their disk hangs.

    Used from the event loop alone. Requests that come during a look share it; while one hangs, they do not wait.
    """

    def __init__(self, config: ReloadingConfig, worker: Worker) -> None:
        self._config = config
        self._worker = worker
        self._look: asyncio.Task[None] | None = None
        self._hangs = False

    async def current(self) -> WebConfig:
        """Return the rules."""
        await self._refresh()
        return self._config.current()

    async def context(self) -> ssl.SSLContext:
        """Return the TLS context; only where connections are encrypted."""
        await self._refresh()
        return self._config.context()

    async def _refresh(self) -> None:
        if not self._config.is_watched:
            return
        if self._look is None:
            self._look = asyncio.create_task(self._run())
        elif self._hangs:
            return
        # wait, not wait_for: that would cancel the look at the time-out, and the others who share it with it.
        _, pending = await asyncio.wait((self._look,), timeout=_PATIENCE)
        if pending and not self._hangs:
            self._hangs = True
            self._config.stalled()

    async def _run(self) -> None:
        try:
            await self._worker.run(self._config.look)
        except WorkerStoppedError:
            pass
        except Exception:  # noqa: BLE001 - whatever a look meets, requests go on with what was loaded
            _log.exception("the web config file cannot be accessed; what was loaded before stays in effect")
        finally:
            # Whatever happened, the next request starts a new look.
            self._look, self._hangs = None, False


def validate(path: Path) -> tuple[str, ...]:
    """Return warnings about the web config file; raise WebConfigError when it, or a certificate, is wrong."""
    config = load(path)
    if config.tls is not None:
        make_context(config.tls)
    return config.warnings


def _lost_protection(before: WebConfig, after: WebConfig) -> str | None:
    """Return the change that a reload must not make, None where there is none.

    A file that is emptied or cut short while it is written is often valid YAML that lets every client in.
    """
    if (before.tls is None) != (after.tls is None):
        return "tls_server_config: switching TLS on or off"
    if before.users and not after.users:
        return "basic_auth_users: taking out every user"
    if before.tls is None or after.tls is None:
        return None
    if before.tls.client_auth is ClientAuth.REQUIRE_AND_VERIFY is not after.tls.client_auth:
        return "tls_server_config.client_auth_type: no longer requiring client certificates"
    if before.tls.allowed_sans is not None and after.tls.allowed_sans is None:
        return "tls_server_config.client_allowed_sans: taking out the list"
    return None


class _LastGood(Generic[T]):
    """A value made again when its key changes; where that fails, the one before stays and the reason is logged."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._key: tuple[object, ...] | None = None
        self.value: T | None = None
        self.problems: tuple[str, ...] = ()
        """Why the newest one cannot be used; empty where it is in effect."""

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key != self._key:
            self._renew(key, make)
        if self.value is None:
            raise WebConfigError(self.problems)
        return self.value

    def _renew(self, key: tuple[object, ...], make: Callable[[], T]) -> None:
        try:
            value = make()
        except WebConfigError as exc:
            self._fail(exc.problems)
            # What could not be read may be readable in a moment with the file unchanged; what was read stays wrong.
            self._key = None if isinstance(exc.__cause__, OSError) else key
            return
        if self.value is not None:
            _log.info("%s %s", self._what, "was fixed, and is in effect" if self.problems else "was reloaded")
        self._key, self.value, self.problems = key, value, ()

    def _fail(self, problems: tuple[str, ...]) -> None:
        if self.value is not None and problems != self.problems:
            _log.error(
                "%s cannot be used any more, what was loaded before stays in effect until it is fixed: %s",
                self._what,
                "; ".join(problems),
            )
        self.problems = problems
