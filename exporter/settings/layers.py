"""What each source of settings gives, one layer over the other, brought together by pydantic-settings."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from exporter.domain import Automation
from exporter.settings.automations import AUTOMATIONS, Entries, WrongAutomationsError
from exporter.settings.schema import Settings
from exporter.settings.values import KeyPath, Problem


def key_path(path: Sequence[str | int]) -> KeyPath:
    """Return the setting that the path, which may lead into an automation, belongs to."""
    return AUTOMATIONS if tuple(path[:1]) == AUTOMATIONS else tuple(str(part) for part in path[:2])


class Layer(PydanticBaseSettingsSource):
    """The settings that one source gives, as they were written there."""

    def __init__(self, values: Mapping[KeyPath, object], problems: Sequence[Problem] = ()) -> None:
        super().__init__(Settings)
        self.values = values
        self.problems = tuple(problems)
        """What is wrong with the form of the source itself, such as an unknown name."""

    @abstractmethod
    def origin(self, path: Sequence[str | int]) -> str:
        """Return where the value at the path, which may lead into an automation, was written."""

    def with_values(self, values: Mapping[KeyPath, object]) -> Self:
        """Return the same source with other values."""
        changed = copy.copy(self)
        changed.values = values
        return changed

    def without(self, paths: Collection[KeyPath]) -> Self:
        """Return the same source without these settings."""
        return self.with_values({path: value for path, value in self.values.items() if path not in paths})

    def __call__(self) -> dict[str, Any]:
        """Return the values as groups of settings."""
        tree = _Quiet()
        for path, value in self.values.items():
            node: dict[str, Any] = tree
            for group in path[:-1]:
                node = node.setdefault(group, {})
            node[path[-1]] = value
        return tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # its port
        """Return what the source gives for a field of `Settings`; nothing is left to be decoded."""
        return self().get(field_name), field_name, False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join('.'.join(path) for path in self.values)})"


class _Quiet(dict[str, Any]):
    """Values whose repr shows none of them: with PYDANTIC_SETTINGS_DEBUG set, pydantic-settings logs every source."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


class Presets(Layer):
    """Defaults that a mode changes."""

    def origin(self, path: Sequence[str | int]) -> str:  # noqa: ARG002  # nobody wrote them anywhere
        return ""


@dataclass(frozen=True, slots=True)
class Layers:
    """The sources; the first that gives a setting wins."""

    flags: Layer
    environment: Layer
    file: Layer
    presets: Presets

    @property
    def written(self) -> tuple[Layer, ...]:
        """What somebody wrote, in the order of precedence."""
        return self.flags, self.environment, self.file

    def given(self, path: KeyPath) -> bool:
        """Return whether a source, other than the mode, gives the setting."""
        return any(path in layer.values for layer in self.written)

    def origin(self, path: Sequence[str | int]) -> str:
        """Return where the value in effect at the path was written; empty where it was not."""
        return next((layer.origin(path) for layer in self.written if key_path(path) in layer.values), "")

    def without(self, paths: Collection[KeyPath]) -> "Layers":
        """Return the layers without these settings."""
        return self.each(lambda layer: layer.without(paths))

    def each(self, change: Callable[[Layer], Layer]) -> "Layers":
        """Return the layers, each of the three sources changed."""
        return Layers(change(self.flags), change(self.environment), change(self.file), self.presets)


@dataclass(frozen=True, slots=True)
class Merged:
    """What the layers come to; each setting that failed has its default."""

    settings: Settings
    entries: Entries
    """The automations with their positions, those beside faulty ones too."""
    problems: tuple[Problem, ...] = ()
    failed: frozenset[KeyPath] = frozenset()


def merge(layers: Layers) -> Merged:
    """Return the settings and every problem of their values."""
    sources = (*layers.written, layers.presets)
    try:
        settings = Settings.from_sources(sources)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
    else:
        return Merged(settings, _entries(settings.automations))
    problems: list[Problem] = []
    failed: set[KeyPath] = set()
    entries: Entries | None = None
    for error in errors:
        path = key_path([str(part) for part in error["loc"]])
        failed.add(path)
        cause = error.get("ctx", {}).get("error")
        # A validator may raise one error only; this one carries those of the whole list.
        if isinstance(cause, WrongAutomationsError):
            entries = cause.entries
            problems += [Problem(place, text, layers.origin(place)) for place, text in entries.faults]
        else:
            problems.append(Problem(path, error["msg"].removeprefix("Value error, "), layers.origin(path)))
    # Once more without what failed: the rules between settings still need the others, to report all problems at once.
    settings = Settings.from_sources([*(layer.without(failed) for layer in layers.written), layers.presets])
    return Merged(settings, entries or _entries(settings.automations), tuple(problems), frozenset(failed))


def _entries(automations: Sequence[Automation]) -> Entries:
    return Entries(list(automations), list(range(len(automations))))
