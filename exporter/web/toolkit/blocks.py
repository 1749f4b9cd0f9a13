"""The web config file's blocks: YAML read strictly, known keys, values of the right kind, every problem reported."""

import difflib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

import yaml

_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n"})
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class Block:
    """Reads values by key; what is wrong goes to `problems`, with the key's path, and reads as absent."""

    def __init__(self, path: str, values: object, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        if values is not None and not isinstance(values, Mapping):
            self.complain("", "a block of keys and values is needed here")
        found = values if isinstance(values, Mapping) else {}
        self._values: Mapping[str, object] = {str(key or ""): value for key, value in found.items()}

    def complain(self, key: str, sentence: str) -> None:
        """Add a problem of this key, or of the block itself where the key is empty."""
        path = ".".join(part for part in (self._path, key) if part)
        self._problems.append(f"{path}: {sentence}" if path else sentence)

    def only(self, known: Iterable[str]) -> None:
        """Complain of every other key and name the nearest right one."""
        names = tuple(known)
        for key in self._values:
            if key not in names:
                self.complain(key[:60], f"there is no such key ({nearest(key, names)})")

    def block(self, key: str) -> "Block":
        """Return the block below this key, empty where there is none."""
        path = f"{self._path}.{key}" if self._path else key
        return Block(path, self._values.get(key), self._problems)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._values)

    def text(self, key: str) -> str | None:
        """Return a text, None where it is absent or empty."""
        value = self._values.get(key)
        if value is None or isinstance(value, str):
            return value or None
        self.complain(key, "a single text is needed here")
        return None

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts, None where it is absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        self.complain(key, "a list of texts is needed here")
        return None

    def flag(self, key: str) -> bool | None:
        """Return true or false, None where it is absent."""
        value = self.text(key)
        if value is None:
            return None
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        self.complain(key, "true or false is needed here")
        return None


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Return the question whether the nearest of the known names was meant, or else all of them."""
    # The matcher's time grows with the product of the lengths: a long name is near to none.
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


class YamlError(Exception):
    """The text is not what it should be; the message names the place and never quotes the text."""


class _Loader(yaml.BaseLoader):
    """Builds dicts, lists and texts; None for an empty plain scalar; refuses a repeated key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError(f"line {line}: a key must be plain text")
            if key.value in seen:
                raise YamlError(f"line {line}: the key stands here a second time; remove one of the two")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        return None if node.style is None and value in _NULLS else value


def read_yaml(text: str) -> object:
    """Return the one document of the text: nested dicts, lists, texts and None.

    Raise YamlError when it is not YAML, holds a key twice, or holds more than one document.
    """
    try:
        return _load(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # The library's own message quotes the file, which may hold a key or a password hash.
        raise YamlError(f"{place}this is not valid YAML") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise YamlError("this is not valid YAML (UTF-8 text, not nested deeply)") from None


def _load(text: str) -> object:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
