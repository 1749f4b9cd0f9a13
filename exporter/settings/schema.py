"""Every setting, once: its type, bounds, default and meaning, in the group that it has in the file.

A new setting is one field here, and a new group one class and one field of `Settings`. Flags, variables, the file, the
help, the documentation and the redacted configuration are all derived from these classes.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.domain import Automation, DiscoveryMode
from exporter.inputs import Authorities
from exporter.labels import UrlMode
from exporter.probes import ALWAYS_EXCLUDED
from exporter.settings import values
from exporter.settings.automations import read_automations
from exporter.settings.values import LONGEST_INTERVAL


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


def _setting(
    default: Any,
    meaning: str,
    *,
    metavar: str,
    shown: str | None = None,
    repeatable: bool = False,
    **options: Any,
) -> Any:
    """Declare a setting.

    `metavar` stands for its value in the help, empty for a switch; `shown` is the default as the documentation writes
    it, where the value itself is unclear; the flag of a `repeatable` one may be given several times.
    """
    extra: dict[str, Any] = {"metavar": metavar, "shown": shown, "repeatable": repeatable}
    return Field(default, description=meaning, json_schema_extra=extra, **options)


def _log_level(value: object) -> LogLevel:
    word = value.strip().lower() if isinstance(value, str) else value
    return values.choice(LogLevel)("warning" if word == "warn" else word)


def _header_text(value: object) -> str:
    written = values.text(value, at_most=256)
    if any(ord(character) > values.LAST_OF_LATIN_1 for character in written):
        raise ValueError("holds characters that no HTTP header can carry")
    return written


def _shard_index(value: object) -> int:
    if value == "pod":
        raise ValueError("is pod, but the variable POD_NAME does not end in a number such as the 0 of exporter-0")
    return values.whole_number(0, 9_999)(value)


_INTERVAL: Final = values.duration(0.0, LONGEST_INTERVAL)
"""How long one must be at least depends on the base URL: the rules between settings say it, in `load`."""
_Path = Annotated[Path, BeforeValidator(values.path)]
_Bool = Annotated[bool, BeforeValidator(values.boolean)]


class Group(BaseModel):
    """A frozen group; its errors never show what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SendGridSettings(Group):
    """How the API is reached."""

    api_key: Annotated[SecretStr, BeforeValidator(values.api_key)] | None = _setting(
        None, "The key; also `SENDGRID_API_KEY`. There is no flag: flags show up in the process list.", metavar="KEY"
    )
    api_key_file: _Path | None = _setting(
        None,
        "The file that holds the key, read again when it changes; also `SENDGRID_API_KEY_FILE`. "
        "Give the key or its file, not both.",
        metavar="FILE",
    )
    base_url: Annotated[str, BeforeValidator(values.base_url)] = _setting(
        "https://api.sendgrid.com", "The API's scheme, host and port; the key is sent nowhere else.", metavar="URL"
    )
    app_url: Annotated[str, BeforeValidator(values.app_url)] = _setting(
        "https://mc.sendgrid.com/automations/{automation_id}/detail",
        "The address of an automation's page in SendGrid, which the status page and `automation_page_info` link to. "
        "SendGrid does not document it; the default is a guess from third parties. Empty for no links.",
        metavar="URL",
    )
    on_behalf_of: Annotated[str, BeforeValidator(_header_text)] | None = _setting(
        None, "The subuser, or `account-id <id>`, whose automations are read.", metavar="NAME"
    )
    timeout: Annotated[float, BeforeValidator(values.duration(0.1, 300.0))] = _setting(
        30.0, "Time limit of one request, from the first byte to the last.", metavar="DURATION"
    )
    page_size: Annotated[int, BeforeValidator(values.whole_number(1, 50))] = _setting(
        50, "Rows per request, 1 to 50.", metavar="NUMBER"
    )
    requests_per_minute: Annotated[float, BeforeValidator(values.number(0.1, 100_000))] = _setting(
        300.0, "Maximum requests per minute, over all automations; SendGrid's own limits reduce it.", metavar="NUMBER"
    )
    proxy: Annotated[str, BeforeValidator(values.proxy)] | None = _setting(
        None,
        "The HTTP proxy for all requests; the system's proxy variables are not read.",
        metavar="URL",
        repr=False,
    )
    ca_file: _Path | None = _setting(
        None,
        "A PEM bundle of the authorities to trust instead of the system's, for example a TLS-intercepting proxy's.",
        metavar="FILE",
    )


class PollSettings(Group):
    """When the automations are polled."""

    interval: Annotated[float, BeforeValidator(_INTERVAL)] = _setting(
        300.0,
        "Time between two polls of an automation, at least 10s (1s if the base URL is a loopback address).",
        metavar="DURATION",
    )
    concurrency: Annotated[int, BeforeValidator(values.whole_number(1, 256))] = _setting(
        4, "Automations polled at the same time, 1 to 256.", metavar="NUMBER"
    )
    stale_after: Annotated[float, BeforeValidator(values.duration(0.0, 12 * LONGEST_INTERVAL))] | None = _setting(
        None,
        "Age at which values that could not be refreshed disappear; at least the interval.",
        metavar="DURATION",
        shown="3 intervals",
    )
    idle_after: Annotated[float, BeforeValidator(values.duration(1.0, 12 * LONGEST_INTERVAL))] = _setting(
        604800.0,
        "An automation is idle when its statistics have not changed for this long, until a list shows a change; needs "
        "`statistics` or `discovery`.",
        metavar="DURATION",
    )
    idle_interval: Annotated[float, BeforeValidator(values.duration(0.001, LONGEST_INTERVAL))] = _setting(
        3600.0,
        "Time between two polls of an idle automation; longer if all idle automations would need more than 3 requests "
        "per minute.",
        metavar="DURATION",
    )


class DiscoverySettings(Group):
    """Which of the account's automations are found without being listed."""

    mode: Annotated[DiscoveryMode, BeforeValidator(values.choice(DiscoveryMode))] = _setting(
        DiscoveryMode.OFF,
        "`report` reports the account's automations that are not polled; `poll` polls them too, as `automations: all` "
        "does.",
        metavar="MODE",
    )
    interval: Annotated[float, BeforeValidator(_INTERVAL)] = _setting(
        600.0, "Maximum time between two reads of the account's list of automations.", metavar="DURATION"
    )
    exclude: Annotated[tuple[str, ...], BeforeValidator(values.texts)] = _setting(
        (),
        "Ids that discovery excludes, as comma-separated patterns: `2d4f8a5c-*`; entries of `automations` are polled "
        "nevertheless.",
        metavar="PATTERNS",
        shown="none",
    )
    forget_after: Annotated[int, BeforeValidator(values.whole_number(1, 1000))] = _setting(
        3, "An automation is dropped after this many complete lists in a row without it.", metavar="NUMBER"
    )
    max_automations: Annotated[int, BeforeValidator(values.whole_number(1, 100_000))] = _setting(
        1000,
        "Maximum number of automations polled; beyond it none is added, and the rest is counted.",
        metavar="NUMBER",
    )


class StatisticsSettings(Group):
    """What SendGrid counts beside clicks: deliveries, opens, bounces, unsubscribes."""

    enabled: _Bool = _setting(
        default=True, meaning="Read the automations' statistics: one request for 25 to 50 automations.", metavar=""
    )
    steps: _Bool = _setting(
        default=False, meaning="Read the statistics by step too: one request per automation.", metavar=""
    )
    interval: Annotated[float, BeforeValidator(_INTERVAL)] = _setting(
        300.0,
        "Time between two reads of the statistics; the minimum is that of `poll.interval`.",
        metavar="DURATION",
    )


class SdSettings(Group):
    """Which links are listed for a prober."""

    links: _Bool = _setting(
        default=False,
        meaning="Serve `/sd/links`: the links that people click now, for Prometheus's HTTP service discovery.",
        metavar="",
    )
    exclude: Annotated[tuple[str, ...], BeforeValidator(values.probe_patterns)] = _setting(
        ALWAYS_EXCLUDED,
        "Links to exclude, as words or patterns with `*` that match anywhere in the address, in any spelling; in "
        "addition to the built-in words for unsubscribing, preferences, confirming and opting out.",
        metavar="PATTERNS",
        shown="the built-in words",
    )
    max_links: Annotated[int, BeforeValidator(values.whole_number(1, 10_000))] = _setting(
        500, "Maximum number of links listed, those with the most clicks first.", metavar="NUMBER"
    )
    private_addresses: _Bool = _setting(
        default=False,
        meaning="Include links to private, loopback and link-local addresses and to names of local networks.",
        metavar="",
    )


class LabelSettings(Group):
    """What may stand in a label."""

    url: Annotated[UrlMode, BeforeValidator(values.choice(UrlMode))] = _setting(
        UrlMode.FULL,
        "`full` publishes a URL exactly as SendGrid gives it; `strip_fragment` and `strip_query` cut it, "
        "and links that become equal are added up.",
        metavar="FORM",
    )
    drop_params: Annotated[tuple[str, ...], BeforeValidator(values.texts)] = _setting(
        (),
        "Parameters to remove from URLs, as comma-separated patterns: `utm_*,token`.",
        metavar="PATTERNS",
        shown="none",
    )
    drop_paths: Annotated[tuple[str, ...], BeforeValidator(values.path_patterns)] = _setting(
        (),
        "Parts of paths to remove, each written as `*`: `/unsubscribe/*`; a `*` at the end matches all that follows.",
        metavar="PATTERNS",
        shown="none",
    )
    max_links: Annotated[int, BeforeValidator(values.whole_number(1, 1_000_000))] = _setting(
        1000, "Maximum number of links per automation; the rest is summed in one row, `__other__`.", metavar="NUMBER"
    )
    max_url_length: Annotated[int, BeforeValidator(values.whole_number(64, 1_000_000))] = _setting(
        2048,
        "Maximum length of a URL in a label, at least 64; a longer one is cut and ends in a hash.",
        metavar="NUMBER",
    )


class WebSettings(Group):
    """What the exporter serves."""

    listen_address: Annotated[tuple[str, ...], BeforeValidator(values.listen_addresses)] = _setting(
        (":10154",),
        "Where to listen: `:10154`, `127.0.0.1:10154`, `[::1]:10154`. Several are a list or comma-separated; the flag "
        "may be repeated.",
        metavar="ADDRESS",
        shown=":10154",
        repeatable=True,
    )
    systemd_socket: _Bool = _setting(
        default=False,
        meaning="Use sockets opened by systemd (a `.socket` unit) instead of `web.listen_address`.",
        metavar="",
    )
    config_file: _Path | None = _setting(
        None, "TLS and passwords, in the format of Prometheus's exporter-toolkit.", metavar="FILE"
    )
    telemetry_path: Annotated[str, BeforeValidator(values.telemetry_path)] = _setting(
        "/metrics", "The path of the metrics.", metavar="PATH"
    )
    enable_lifecycle: _Bool = _setting(
        default=False, meaning="Enable `POST /-/reload`, which reloads the configuration.", metavar=""
    )
    open_health: _Bool = _setting(
        default=True, meaning="Answer `/-/healthy` and `/-/ready` without a password.", metavar=""
    )

    @property
    def listen(self) -> tuple[values.ListenAddress, ...]:
        """The hosts and ports of the listen addresses."""
        return tuple(values.split_listen_address(each) for each in self.listen_address)


class LogSettings(Group):
    """What is written to stderr."""

    level: Annotated[LogLevel, BeforeValidator(_log_level)] = _setting(
        LogLevel.INFO, "`debug`, `info`, `warning` (or `warn`) or `error`.", metavar="LEVEL"
    )
    format: Annotated[LogFormat, BeforeValidator(values.choice(LogFormat))] = _setting(
        LogFormat.LOGFMT, "`logfmt` or `json`.", metavar="FORMAT"
    )


class StateSettings(Group):
    """What outlives a restart."""

    path: _Path | None = _setting(
        None, "The file that keeps the last good values across restarts.", metavar="FILE", shown="off"
    )


class ShardSettings(Group):
    """Which share of the automations this process polls."""

    index: Annotated[int, BeforeValidator(_shard_index)] = _setting(
        0, "This process's number, from 0; `pod` takes the number at the end of `POD_NAME`.", metavar="NUMBER"
    )
    total: Annotated[int, BeforeValidator(values.whole_number(1, 10_000))] = _setting(
        1, "The number of processes that share the automations and the request budget.", metavar="NUMBER"
    )


def _automations(value: object, info: ValidationInfo) -> tuple[Automation, ...]:
    """Return the automations; those without their own interval take that of `poll`, which has been read before."""
    if isinstance(value, tuple):
        return value
    poll = info.data.get("poll", PollSettings())
    return read_automations(value, interval=poll.interval)


class Settings(BaseSettings):
    """Every setting, checked and frozen; printing it shows no secret.

    Only arguments count: `sources`, the first of which wins, or else the fields themselves. The process's environment
    is never read implicitly.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sendgrid: SendGridSettings = SendGridSettings()
    poll: PollSettings = PollSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    statistics: StatisticsSettings = StatisticsSettings()
    sd: SdSettings = SdSettings()
    labels: LabelSettings = LabelSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    state: StateSettings = StateSettings()
    shard: ShardSettings = ShardSettings()
    # Behind poll: pydantic reads the fields in this order, and the automations need its interval.
    automations: Annotated[tuple[Automation, ...], PlainValidator(_automations)] = _setting(
        (),
        "The automations to poll. In a file, a list of `{id, name, step_ids, interval, steps, labels}`, where only "
        "`id` is required; in a flag or a variable, that list as JSON, or comma-separated ids. An id may also be the "
        "address of the automation's page. `all` polls every automation of the account.",
        metavar="IDS",
        shown="none",
    )
    authorities: Authorities | None = Field(default=None, repr=False)
    """The content of `sendgrid.ca_file`; the file is read once, so what was checked is what is trusted."""
    key_of_file: SecretStr | None = None
    """The content of `sendgrid.api_key_file` when it was checked, so that a pipe need not be read again."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic-settings calls with all of these
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources that were passed, instead of pydantic-settings' own."""
        if isinstance(init_settings, InitSettingsSource) and "sources" in init_settings.init_kwargs:
            return tuple(init_settings.init_kwargs["sources"])
        return (init_settings,)

    @classmethod
    def from_sources(cls, sources: Sequence[PydanticBaseSettingsSource]) -> "Settings":
        """Return the settings that the sources give, setting by setting; raise ValidationError."""
        arguments: dict[str, Any] = {"sources": sources}
        return cls(**arguments)

    def with_sendgrid(self, **changes: Any) -> "Settings":
        """Return these settings with changes in the group `sendgrid`, which are not validated."""
        return self.model_copy(update={"sendgrid": self.sendgrid.model_copy(update=changes)})

    def with_demo(self, *, base_url: str, api_key: str, automations: Sequence[Automation]) -> "Settings":
        """Return these settings pointed at the simulator: its address, key and automations."""
        simulated = self.with_sendgrid(base_url=base_url, api_key=SecretStr(api_key))
        return simulated.model_copy(update={"automations": tuple(automations)})


def _groups() -> Mapping[str, type[Group]]:
    fields = {name: field.annotation for name, field in Settings.model_fields.items()}
    return MappingProxyType(
        {name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, Group)}
    )


GROUPS: Final = _groups()
"""Name → class, in the order of the documentation."""
