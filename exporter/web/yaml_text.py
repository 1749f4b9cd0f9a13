"""YAML read strictly and without guessing: every scalar stays the text it is, every key stands once."""

from collections.abc import Hashable
from typing import Any, Final

import yaml

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class YamlError(Exception):
    """The text is not what it should be; the message names the place and never what stands there."""


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
