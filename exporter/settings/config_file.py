"""The configuration file: YAML, every key known, every key once, and the line of each."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from exporter.inputs import Inputs
from exporter.settings.automations import AUTOMATIONS
from exporter.settings.layers import Layer
from exporter.settings.problems import REQUIRED, KeyPath, Problem, dotted, printable, shown_path, unknown, why_unread
from exporter.settings.reference import CONFIG_FILE, SETTINGS, names_in
from exporter.settings.schema import GROUPS
from exporter.web.toolkit.files import Input
from exporter.web.toolkit.strict_yaml import YamlError, read_values

_LARGEST: Final = 64 * 1024 * 1024


class ConfigFile(Layer):
    """The settings given by the file; without a path, none."""

    def __init__(
        self,
        values: Mapping[KeyPath, object] = MappingProxyType({}),
        problems: Sequence[Problem] = (),
        *,
        path: Path | None = None,
        source: Input | None = None,
        lines: "Lines | None" = None,
        readable: bool = True,
    ) -> None:
        super().__init__(values, problems)
        self.path = path
        self.source = source
        self.readable = readable
        """False when nothing is known of the content."""
        self._lines = lines

    def origin(self, path: Sequence[str | int]) -> str:
        return self._lines.of(path) if self._lines else ""


class Lines:
    """Where each part of the file stands."""

    def __init__(self, name: str, root: yaml.Node | None) -> None:
        self._name = name
        self._root = root

    def of(self, path: Sequence[str | int]) -> str:
        """Return file:line of the deepest node on the path."""
        node = self._root
        line = node.start_mark.line if node else 0
        for part in path:
            node, line = _step(node, part, line)
        return f"{self._name}:{line + 1}"


def read_config_file(path: Path, origin: str, inputs: Inputs) -> ConfigFile:
    """Read and take apart the file, which `origin` names; what is wrong with it goes to its problems."""
    name = shown_path(path)
    try:
        source = inputs.read(path, _LARGEST)
        read = read_values(_text_of(source))
    except OSError as exc:
        return unreadable(f"cannot read {name} {why_unread(exc)}", origin)
    except UnicodeDecodeError:
        return unreadable(f"{name} is not UTF-8 text", origin)
    except YamlError as exc:
        return unreadable(f"{name} is not valid YAML: {exc}", origin)
    lines = Lines(name, read.root)
    problems = [
        Problem(
            [*each.path[:-1], printable(each.path[-1]) or "a key"],
            f"is given twice; it stands in line {each.first_line} already",
            f"{name}:{each.line}",
        )
        for each in read.repeated
    ]
    values: dict[KeyPath, object] = {}
    problems += _flatten(read.content, values, lines)
    return ConfigFile(values, problems, path=path, source=source, lines=lines)


def unreadable(text: str, origin: str) -> ConfigFile:
    """Return a file of which nothing is known but why."""
    return ConfigFile(problems=[Problem(CONFIG_FILE, text, origin)], readable=False)


def _text_of(source: Input) -> str:
    if len(source.content) > _LARGEST:
        raise OSError(0, f"larger than {_LARGEST // 1024 // 1024} MiB")
    return source.content.decode("utf-8-sig")


def _flatten(content: object, values: dict[KeyPath, object], lines: Lines) -> Iterator[Problem]:
    """Yield what is wrong with the file's keys, and fill in the values of the right ones; null means not given."""
    if content is None:
        return
    if not isinstance(content, dict):
        text = "must be a mapping of groups, such as poll: {interval: 5m}"
        yield Problem(CONFIG_FILE, text, lines.of(()), meant=REQUIRED)
        return
    names = [AUTOMATIONS[0], *GROUPS]
    for name, value in content.items():
        if name == AUTOMATIONS[0]:
            if value is not None:
                values[AUTOMATIONS] = value
        elif not names_in(str(name)):
            yield _unknown((), name, [*names, *(setting.key for setting in SETTINGS)], lines)
        elif isinstance(value, dict):
            yield from _flatten_group(str(name), value, values, lines)
        elif value is not None:
            example = f"{name}: {{{names_in(str(name))[0]}: …}}"
            text = f"must be a mapping of keys, such as {example}"
            meant = frozenset(path for path in REQUIRED if path[0] == name)
            yield Problem((str(name),), text, lines.of((name,)), meant)


def _flatten_group(
    group: str, content: Mapping[object, object], values: dict[KeyPath, object], lines: Lines
) -> Iterator[Problem]:
    for name, value in content.items():
        if name not in names_in(group):
            yield _unknown((group,), name, [dotted((group, key)) for key in names_in(group)], lines)
        elif value is not None:
            values[(group, str(name))] = value


def _unknown(group: KeyPath, name: object, candidates: list[str], lines: Lines) -> Problem:
    shown = printable(name)
    if shown is None:
        text = "holds a key that is not the name of a setting"
        return Problem(group or CONFIG_FILE, text, lines.of((*group, str(name))), meant=REQUIRED)
    path = (*group, shown)
    return unknown(path, dotted(path), {each: tuple(each.split(".")) for each in candidates}, lines.of(path))


def _step(node: yaml.Node | None, part: str | int, line: int) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line
    return None, line
