"""The web config file, in the format of Prometheus's exporter-toolkit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exporter.web.toolkit.files import Input, exposure, read_bounded
from exporter.web.toolkit.parsing import Section, WebConfigError, seconds
from exporter.web.toolkit.strict_yaml import YamlError, read_texts
from exporter.web.toolkit.tls import TLSSettings, read_tls

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
    problems: list[str] = []
    try:
        document = read_texts(text)
    except YamlError as exc:
        problem = f"{exc.place}this is not valid YAML ({exc.reason})"
        raise WebConfigError([f"web.config_file: {problem}"]) from None
    problems += (
        f"line {each.line}: the key stands here a second time; remove one of the two" for each in document.repeated
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
        reason = (exc.strerror or str(exc)).lower()
        raise WebConfigError([f"web.config_file: cannot read {path}: {reason}"]) from exc


def _text_of(source: Input, path: Path) -> str:
    if len(source.content) > _MAX_SIZE:
        raise WebConfigError([f"web.config_file: {path} is larger than {_MAX_SIZE} bytes"])
    try:
        return source.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WebConfigError([f"web.config_file: {path} is not UTF-8 text"]) from None


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
