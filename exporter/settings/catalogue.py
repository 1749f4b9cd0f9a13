"""Every key by its names: its path, its flag, its variable, its default and its meaning, read off the groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.settings import groups
from exporter.settings.values import duration_text

KeyPath = tuple[str, ...]
"""A key's place: `("poll", "interval")`, or `("automations",)`."""

COMMAND: Final = "sendgrid-automation-exporter"
NO_DEFAULT: Final = "none"
PREFIX: Final = "EXPORTER_"
AUTOMATIONS: Final[KeyPath] = ("automations",)
API_KEY: Final[KeyPath] = ("sendgrid", "api_key")
API_KEY_FILE: Final[KeyPath] = ("sendgrid", "api_key_file")
CONFIG_FILE: Final[KeyPath] = ("config", "file")

GROUPS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("sendgrid", groups.SendGridSettings),
    ("poll", groups.PollSettings),
    ("labels", groups.LabelSettings),
    ("web", groups.WebSettings),
    ("log", groups.LogSettings),
    ("state", groups.StateSettings),
    ("shard", groups.ShardSettings),
)


@dataclass(frozen=True, slots=True)
class Key:
    """One setting, as the documentation and the readers of flags, variables and files know it."""

    path: KeyPath
    default: str
    """As the documentation writes it; NO_DEFAULT where there is none."""
    meaning: str
    metavar: str
    """What stands for the value in the help; empty for a switch."""

    @property
    def key(self) -> str:
        """The path as it is written in a file's terms: `poll.stale_after`."""
        return ".".join(self.path)

    @property
    def flag(self) -> str | None:
        """The flag, in kebab case; None where a flag would show a secret."""
        return None if self.path == API_KEY else "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + "__".join(self.path).upper()


def _keys() -> Iterator[Key]:
    yield Key(
        AUTOMATIONS,
        NO_DEFAULT,
        "The automations to poll. In a file a list of `{id, name, step_ids, interval}`, where all but `id` may be left "
        "out; in a flag or a variable also ids with commas.",
        "IDS",
    )
    for group, model in GROUPS:
        for name, field in model.model_fields.items():
            yield _key(group, name, field)


def _key(group: str, name: str, field: FieldInfo) -> Key:
    extra = cast(dict[str, str | None], field.json_schema_extra)
    metavar = extra["metavar"] or ""
    default = extra["shown"] or _default_text(field.default, metavar)
    return Key((group, name), default, field.description or "", metavar)


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


KEYS: Final = tuple(_keys())
CONFIG: Final = Key(CONFIG_FILE, NO_DEFAULT, "The YAML file to read.", "FILE")


def reference() -> tuple[Key, ...]:
    """Return every key in the order of the documentation, the configuration file's own first."""
    return (CONFIG, *KEYS)


def keys_of(group: str) -> tuple[str, ...]:
    """Return the names in a group; empty when there is no such group."""
    return tuple(key.path[1] for key in KEYS if key.path[0] == group and len(key.path) > 1)
