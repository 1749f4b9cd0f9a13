"""One source's settings, keyed by path, with where each of them was written."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.settings.catalogue import AUTOMATIONS, KeyPath

Origin = Callable[[Sequence[str | int]], str]


def key_path(path: Sequence[str | int]) -> KeyPath:
    """Return the key that the path, which may lead into an automation, belongs to."""
    return AUTOMATIONS if tuple(path[:1]) == AUTOMATIONS else tuple(str(part) for part in path[:2])


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source gives; a layer before another wins, key by key."""

    values: Mapping[KeyPath, object] = field(repr=False)
    origin: Origin

    def nested(self) -> dict[str, Any]:
        """Return the values as groups of keys."""
        tree: dict[str, Any] = {}
        for path, value in self.values.items():
            node = tree
            for group in path[:-1]:
                node = node.setdefault(group, {})
            node[path[-1]] = value
        return tree

    def without(self, paths: Collection[KeyPath]) -> "Layer":
        """Return the layer without these keys."""
        return replace(self, values={path: value for path, value in self.values.items() if path not in paths})


@dataclass(frozen=True, slots=True)
class Layers:
    """The sources, in the order of precedence."""

    flags: Layer
    environment: Layer
    file: Layer
    fallback: Mapping[str, Any]
    """Defaults that a mode changes."""

    def given(self, path: KeyPath) -> bool:
        """Tell whether a source, other than the mode, gives the key."""
        return any(path in layer.values for layer in (self.flags, self.environment, self.file))

    def origin(self, path: Sequence[str | int]) -> str:
        """Return where the value at the path, which may lead into an automation, was written."""
        key = key_path(path)
        for layer in (self.flags, self.environment, self.file):
            if key in layer.values:
                return layer.origin(path)
        return ""

    def without(self, paths: Collection[KeyPath]) -> "Layers":
        """Return the layers without these keys."""
        return self.each(lambda layer: layer.without(paths))

    def each(self, change: Callable[[Layer], Layer]) -> "Layers":
        """Return the layers, each of the three sources changed."""
        return Layers(change(self.flags), change(self.environment), change(self.file), self.fallback)
