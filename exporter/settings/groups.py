"""The groups of settings: each key with its type, its bounds, its default and its meaning."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from exporter.settings import addresses, values
from exporter.settings.api_key import LAST_OF_LATIN_1, checked_key

LONGEST_INTERVAL: Final = 30 * 86400.0


class UrlLabel(StrEnum):
    """How much of a link's URL its label shows."""

    FULL = "full"
    STRIP_FRAGMENT = "strip_fragment"
    STRIP_QUERY = "strip_query"


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The form of a log line."""

    LOGFMT = "logfmt"
    JSON = "json"


def _key(default: Any, meaning: str, *, metavar: str, shown: str | None = None, **options: Any) -> Any:
    """Declare a key; `shown` is how the documentation writes its default where the value does not tell."""
    return Field(default, description=meaning, json_schema_extra={"metavar": metavar, "shown": shown}, **options)


def _log_level(value: object) -> LogLevel:
    word = value.strip().lower() if isinstance(value, str) else value
    return values.choice(LogLevel)("warning" if word == "warn" else word)


def _header_text(value: object) -> str:
    written = values.text(value, at_most=256)
    if any(ord(character) > LAST_OF_LATIN_1 for character in written):
        raise ValueError("holds characters that no HTTP header can carry")
    return written


def _shard_index(value: object) -> int:
    if value == "pod":
        raise ValueError("is pod, but the variable POD_NAME does not end in a number such as the 0 of exporter-0")
    return values.whole_number(0, 9_999)(value)


_Path = Annotated[Path, BeforeValidator(values.path)]
_Bool = Annotated[bool, BeforeValidator(values.boolean)]


class _Group(BaseModel):
    """A frozen group; its errors never show what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SendGridSettings(_Group):
    """How the API is reached."""

    api_key: Annotated[SecretStr, BeforeValidator(checked_key)] | None = _key(
        None, "The key; also `SENDGRID_API_KEY`. It has no flag, which would stand in the process list.", metavar="KEY"
    )
    api_key_file: _Path | None = _key(
        None,
        "The file that holds the key, read again when it changes; also `SENDGRID_API_KEY_FILE`. "
        "Give the key or its file, not both.",
        metavar="FILE",
    )
    base_url: Annotated[str, BeforeValidator(addresses.base_url)] = _key(
        "https://api.sendgrid.com", "The API's scheme, host and port; the key is sent nowhere else.", metavar="URL"
    )
    on_behalf_of: Annotated[str, BeforeValidator(_header_text)] | None = _key(
        None, "The subuser, or `account-id <id>`, whose automations are read.", metavar="NAME"
    )
    timeout: Annotated[float, BeforeValidator(values.duration(0.1, 300.0))] = _key(
        30.0, "The longest that one request may take, from the first byte to the last.", metavar="DURATION"
    )
    page_size: Annotated[int, BeforeValidator(values.whole_number(1, 50))] = _key(
        50, "Rows asked for in one request, 1 to 50.", metavar="NUMBER"
    )
    requests_per_minute: Annotated[float, BeforeValidator(values.number(0.1, 100_000))] = _key(
        300.0, "The most requests a minute, over all automations; SendGrid's own limits narrow it.", metavar="NUMBER"
    )
    proxy: Annotated[str, BeforeValidator(addresses.proxy)] | None = _key(
        None,
        "The HTTP proxy for all requests; the proxy variables of the system are not read.",
        metavar="URL",
        repr=False,
    )
    ca_file: _Path | None = _key(
        None,
        "A PEM bundle of the authorities to trust instead of the system's, such as a TLS-intercepting proxy's.",
        metavar="FILE",
    )


class PollSettings(_Group):
    """When the automations are asked."""

    interval: Annotated[float, BeforeValidator(values.duration(0.001, LONGEST_INTERVAL))] = _key(
        300.0,
        "The time between two polls of an automation, at least 10s (1s where the base URL is a loopback address).",
        metavar="DURATION",
    )
    concurrency: Annotated[int, BeforeValidator(values.whole_number(1, 256))] = _key(
        4, "Automations polled at the same time, 1 to 256.", metavar="NUMBER"
    )
    stale_after: Annotated[float, BeforeValidator(values.duration(0.001, 12 * LONGEST_INTERVAL))] | None = _key(
        None,
        "The age at which values that could not be renewed disappear; at least the interval.",
        metavar="DURATION",
        shown="3 intervals",
    )


class LabelSettings(_Group):
    """What may stand in a label."""

    url: Annotated[UrlLabel, BeforeValidator(values.choice(UrlLabel))] = _key(
        UrlLabel.FULL,
        "`full` publishes a URL exactly as SendGrid gives it; `strip_fragment` and `strip_query` cut it, "
        "and add up what then is the same.",
        metavar="FORM",
    )
    drop_params: Annotated[tuple[str, ...], BeforeValidator(values.texts)] = _key(
        (),
        "Parameters to leave out of URLs, as patterns with commas: `utm_*,token`.",
        metavar="PATTERNS",
        shown="none",
    )
    drop_paths: Annotated[tuple[str, ...], BeforeValidator(values.path_patterns)] = _key(
        (),
        "Parts of paths to leave out, each given as a `*`: `/unsubscribe/*`; a `*` at the end is all that follows.",
        metavar="PATTERNS",
        shown="none",
    )
    max_links: Annotated[int, BeforeValidator(values.whole_number(1, 1_000_000))] = _key(
        1000, "Links published for each automation; the rest is one row, `__other__`.", metavar="NUMBER"
    )
    max_url_length: Annotated[int, BeforeValidator(values.whole_number(64, 1_000_000))] = _key(
        2048, "The longest URL in a label, 64 or more; a longer one is cut and ends in a hash.", metavar="NUMBER"
    )


class WebSettings(_Group):
    """What the exporter serves."""

    listen_address: Annotated[str, BeforeValidator(addresses.listen_address)] = _key(
        ":10154", "Where to listen: `:10154`, `127.0.0.1:10154`, `[::1]:10154`.", metavar="ADDRESS"
    )
    config_file: _Path | None = _key(
        None, "TLS and passwords, in the format of Prometheus's exporter-toolkit.", metavar="FILE"
    )
    telemetry_path: Annotated[str, BeforeValidator(addresses.telemetry_path)] = _key(
        "/metrics", "The path of the metrics.", metavar="PATH"
    )
    enable_lifecycle: _Bool = _key(
        default=False, meaning="Answer `POST /-/reload`, which reads the configuration again.", metavar=""
    )
    open_health: _Bool = _key(
        default=True, meaning="Answer `/-/healthy` and `/-/ready` without a password.", metavar=""
    )

    @property
    def host(self) -> str:
        """The host of the listen address, without brackets; empty for every interface."""
        return addresses.split_listen_address(self.listen_address).host

    @property
    def port(self) -> int:
        """The port of the listen address; 0 lets the system choose."""
        return addresses.split_listen_address(self.listen_address).port


class LogSettings(_Group):
    """What is written to stderr."""

    level: Annotated[LogLevel, BeforeValidator(_log_level)] = _key(
        LogLevel.INFO, "`debug`, `info`, `warning` (or `warn`) or `error`.", metavar="LEVEL"
    )
    format: Annotated[LogFormat, BeforeValidator(values.choice(LogFormat))] = _key(
        LogFormat.LOGFMT, "`logfmt` or `json`.", metavar="FORMAT"
    )


class StateSettings(_Group):
    """What outlives a restart."""

    path: _Path | None = _key(
        None, "The file that keeps the last good values over a restart.", metavar="FILE", shown="off"
    )


class ShardSettings(_Group):
    """Which part of the automations is this process's."""

    index: Annotated[int, BeforeValidator(_shard_index)] = _key(
        0, "This process's number, from 0; `pod` takes the number that ends `POD_NAME`.", metavar="NUMBER"
    )
    total: Annotated[int, BeforeValidator(values.whole_number(1, 10_000))] = _key(
        1, "The number of processes that share the automations and the request budget.", metavar="NUMBER"
    )
