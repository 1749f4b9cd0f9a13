"""The effective configuration in words, without its secrets."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml
from pydantic import SecretStr

from exporter.domain import Automation
from exporter.settings.addresses import without_password
from exporter.settings.catalogue import KEYS, Key
from exporter.settings.model import Settings
from exporter.settings.values import duration_text

HIDDEN: Final = "<hidden>"

_DUMPER: Final[type[yaml.SafeDumper]] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def redacted(settings: Settings) -> str:
    """Return the settings as YAML, in the form of the configuration file."""
    groups: dict[str, dict[str, object]] = {}
    for key, value in _values(settings):
        groups.setdefault(key.path[0], {})[key.path[1]] = value
    tree = {"automations": [_automation(each, settings) for each in settings.automations], **groups}
    return str(yaml.dump(tree, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120))


def redacted_line(settings: Settings) -> str:
    """Return the settings as one line for the log, with the number of automations instead of their list."""
    words = [f"automations={len(settings.automations)}"]
    words += [f"{key.key}={_word(value)}" for key, value in _values(settings) if value is not None]
    return " ".join(words)


def _values(settings: Settings) -> Iterator[tuple[Key, object]]:
    for key in KEYS:
        if len(key.path) > 1:
            group, name = key.path
            yield key, _shown(key, getattr(getattr(settings, group), name))


def _shown(key: Key, value: object) -> object:
    match value:
        case SecretStr():
            return HIDDEN
        case StrEnum() | Path():
            return str(value)
        case tuple():
            return list(value)
        case str() if key.path == ("sendgrid", "proxy"):
            return without_password(value)
        case float():
            return duration_text(value) if key.metavar == "DURATION" else _short(value)
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
    return shown


def _word(value: object) -> str:
    written = ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        return written.lower()
    return written if written and not any(mark in written for mark in ' "=\\') else json.dumps(written)
