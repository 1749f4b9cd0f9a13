"""Every setting with its names, for the documentation, `--help` and the redacted configuration.

All of it is derived from the schema, so a new setting appears everywhere automatically.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from exporter.domain import Automation
from exporter.settings.schema import GROUPS, Settings
from exporter.settings.values import KeyPath, duration_text, without_password

COMMAND: Final = "sendgrid-automation-exporter"
PREFIX: Final = "EXPORTER_"
"""Of every environment variable."""
NO_DEFAULT: Final = "none"
API_KEY: Final[KeyPath] = ("sendgrid", "api_key")
API_KEY_FILE: Final[KeyPath] = ("sendgrid", "api_key_file")
CONFIG_FILE: Final[KeyPath] = ("config", "file")
PROXY: Final[KeyPath] = ("sendgrid", "proxy")

_HIDDEN: Final = "<hidden>"
_WIDTH: Final = 80
_INDENT: Final = " " * 6

INTRODUCTION: Final = """\
Polls the link clicks of SendGrid's automations and serves them to Prometheus.

Flags take precedence over the environment, the environment over the file, the file over the defaults, key by key. \
Flags are written --flag VALUE or --flag=VALUE. In the file, --poll.interval is the key interval of the group poll. \
Durations are numbers of seconds, or 30s, 5m, 1h30m.
"""
"""Two paragraphs: what the exporter does, and how settings are given."""

_EXAMPLES: Final = f"""\
Examples
  {COMMAND} --demo
  SENDGRID_API_KEY_FILE=/run/secrets/sendgrid \\
    {COMMAND} \\
    --automations 2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c
  {COMMAND} --config.file exporter.yaml --check
"""

EXIT_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {0: "done, or stopped by a signal", 1: "failed while running", 2: "wrong configuration or usage"}
)


@dataclass(frozen=True, slots=True)
class ModeFlag:
    """A flag that selects a mode and is not a setting."""

    flags: tuple[str, ...]
    short: str
    """What it does, in a few words."""
    meaning: str


MODES: Final = (
    ModeFlag(
        ("--check",),
        "validate the configuration",
        "Validate the configuration, print it without its secrets, and stop.",
    ),
    ModeFlag(("--once",), "poll once and print", "Poll every automation once, print the metrics on stdout, and stop."),
    ModeFlag(
        ("--doctor",),
        "diagnose the key and the account",
        "Check with at most four requests to SendGrid what the key may do and what the account has; print in a table "
        "what works, what does not, and what to do. Needs no automations. Exits with 1 if something does not work.",
    ),
    ModeFlag(
        ("--demo",),
        "poll a simulated SendGrid",
        "Start a simulated SendGrid in the process and poll it; needs neither a key nor a configuration. Combines with "
        "--check, --once and --doctor.",
    ),
    ModeFlag(("--version",), "print the version", "Print the version and stop."),
    ModeFlag(("-h", "--help"), "print the help", "Print the help and stop."),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as the documentation, the flags, the environment and the file name it."""

    path: KeyPath
    default: str
    """As the documentation writes it; NO_DEFAULT if there is none."""
    meaning: str
    metavar: str
    """Stands for the value in the help; empty for a switch."""
    is_repeatable: bool = False
    """Whether the flag may be given several times."""
    choices: tuple[str, ...] = ()
    """The accepted words; empty if other values are accepted too."""

    @property
    def key(self) -> str:
        """The path with a dot: `poll.stale_after`."""
        return ".".join(self.path)

    @property
    def flag(self) -> str | None:
        """The flag, in kebab case; None where a flag would show a secret."""
        return None if self.path == API_KEY else "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + "__".join(self.path).upper()


def _settings() -> Iterator[Setting]:
    for name, field in Settings.model_fields.items():
        if field.json_schema_extra:
            yield _setting((name,), field)
    for group, model in GROUPS.items():
        for name, field in model.model_fields.items():
            yield _setting((group, name), field)


def _setting(path: KeyPath, field: FieldInfo) -> Setting:
    declared = field.json_schema_extra
    if not isinstance(declared, dict):
        raise TypeError(f"{'.'.join(path)} is not declared as a setting")
    metavar, shown = str(declared["metavar"]), declared["shown"]
    default = str(shown) if shown else _default_text(field.default, metavar)
    kind = field.annotation
    choices = tuple(str(each) for each in kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else ()
    repeatable = bool(declared["repeatable"])
    return Setting(path, default, field.description or "", metavar, is_repeatable=repeatable, choices=choices)


def _default_text(default: object, metavar: str) -> str:
    match default:
        case None:
            return NO_DEFAULT
        case bool():
            return str(default).lower()
        case StrEnum():
            return default.value
        case int() | float() if metavar == "DURATION":
            return duration_text(default)
        case int() | float():
            return f"{default:g}"
    return str(default)


SETTINGS: Final = tuple(_settings())
CONFIG: Final = Setting(CONFIG_FILE, NO_DEFAULT, "The YAML file to read.", "FILE")


def reference() -> tuple[Setting, ...]:
    """Return every setting in the order of the documentation, the configuration file's own first."""
    return (CONFIG, *SETTINGS)


def names_in(group: str) -> tuple[str, ...]:
    """Return the names of the settings in a group; empty when there is no such group."""
    return tuple(GROUPS[group].model_fields) if group in GROUPS else ()


def help_text() -> str:
    """Return the help, ready to be printed on a terminal of 80 columns."""
    what, how = INTRODUCTION.strip().split("\n\n")
    modes = [f"  {', '.join(mode.flags)}\n{_wrapped(mode.meaning)}" for mode in MODES]
    return "\n".join(
        [
            f"usage: {COMMAND} [MODE] [FLAG ...]\n\n{textwrap.fill(what, _WIDTH)}\n",
            "\n".join(["Modes (without one: poll and serve until stopped)", _entry(CONFIG), *modes]) + "\n",
            f"Settings\n{textwrap.fill(how, _WIDTH, initial_indent='  ', subsequent_indent='  ')}\n",
            *_blocks(),
            _EXAMPLES,
            "\n".join(["Exit codes", *(f"  {code}  {meaning}" for code, meaning in EXIT_CODES.items())]) + "\n",
        ]
    )


def _blocks() -> Iterator[str]:
    for group in dict.fromkeys(setting.path[0] for setting in SETTINGS):
        entries = [_entry(setting) for setting in SETTINGS if setting.path[0] == group]
        yield "\n".join([group, *entries]) + "\n"


def _entry(setting: Setting) -> str:
    head = f"  {setting.flag} {setting.metavar}".rstrip() if setting.flag else "  (no flag)"
    meaning = setting.meaning.replace("`", "")
    default = "" if setting.default == NO_DEFAULT else f"default {setting.default}; "
    return "\n".join([head, _wrapped(meaning), _wrapped(f"({default}environment {setting.variable})")])


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def redacted(settings: Settings, *, with_automations: bool = True) -> str:
    """Return the settings as YAML, in the form of the configuration file."""
    import yaml  # noqa: PLC0415  # 1 MB and 11 ms, for --check and the status page

    groups: dict[str, dict[str, object]] = {}
    for setting, value in _values(settings):
        groups.setdefault(setting.path[0], {})[setting.path[1]] = value
    automations = {"automations": [_automation(each, settings) for each in settings.automations]}
    tree = {**automations, **groups} if with_automations else groups
    dumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(tree, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120))


def redacted_line(settings: Settings) -> str:
    """Return the settings as one line for the log, with the number of automations instead of their list."""
    words = [f"automations={len(settings.automations)}"]
    words += [f"{setting.key}={_word(value)}" for setting, value in _values(settings) if value is not None]
    return " ".join(words)


def _values(settings: Settings) -> Iterator[tuple[Setting, object]]:
    for setting in SETTINGS:
        if len(setting.path) > 1:
            group, name = setting.path
            yield setting, _shown(setting, getattr(getattr(settings, group), name))


def _shown(setting: Setting, value: object) -> object:
    match value:
        case SecretStr():
            return _HIDDEN
        case StrEnum() | Path():
            return str(value)
        case tuple():
            return list(value)
        case str() if setting.path == PROXY:
            return without_password(value)
        case float():
            return duration_text(value) if setting.metavar == "DURATION" else _short(value)
    return value


def _short(value: float) -> float:
    return int(value) if value.is_integer() else value


def _automation(automation: Automation, settings: Settings) -> Mapping[str, object]:
    shown: dict[str, object] = {"id": str(automation.id)}
    if automation.name != automation.id:
        shown["name"] = automation.name
    if automation.step_ids:
        shown["step_ids"] = list(automation.step_ids)
    if automation.interval != settings.poll.interval:
        shown["interval"] = duration_text(automation.interval)
    if automation.steps:
        shown["steps"] = dict(automation.steps)
    if automation.labels:
        shown["labels"] = dict(automation.labels)
    return shown


def _word(value: object) -> str:
    written = ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        return written.lower()
    return written if written and not any(mark in written for mark in ' "=\\') else json.dumps(written)
