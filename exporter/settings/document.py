"""The configuration file: YAML, every key known, every key once, and the line of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from exporter.inputs import Inputs
from exporter.settings.api_key import shown_path
from exporter.settings.catalogue import AUTOMATIONS, CONFIG_FILE, GROUPS, KEYS, KeyPath, keys_of
from exporter.settings.layers import Layer
from exporter.settings.problems import Problem, dotted, no_such_key, printable
from exporter.web.toolkit.files import Input
from exporter.web.toolkit.strict_yaml import YamlError, read_values

_LARGEST: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """What the file says, with every problem of its form."""

    name: str = ""
    root: yaml.Node | None = field(default=None, repr=False)
    values: Mapping[KeyPath, object] = field(default_factory=dict, repr=False)
    problems: tuple[Problem, ...] = ()
    readable: bool = True
    """False when nothing is known of the content."""
    path: Path | None = None
    source: Input | None = None

    def layer(self) -> Layer:
        """Return the settings given by the file."""
        return Layer(self.values, self.place)

    def place(self, path: Sequence[str | int]) -> str:
        """Return file:line of the deepest node on the path."""
        node = self.root
        line = node.start_mark.line if node else 0
        for part in path:
            node, line = _step(node, part, line)
        return f"{self.name}:{line + 1}"


def read_document(path: Path, origin: str, inputs: Inputs) -> Document:
    """Read and take apart the file; what is wrong with it is told in the document's problems."""
    name = shown_path(path)
    try:
        source = inputs.read(path, _LARGEST)
        read = read_values(_text_of(source))
    except OSError as exc:
        return _broken(f"cannot read {name} ({exc.strerror or type(exc).__name__})", origin)
    except UnicodeDecodeError:
        return _broken(f"{name} is not UTF-8 text", origin)
    except YamlError as exc:
        return _broken(f"{name} is not valid YAML: {exc}", origin)
    document = Document(name, read.root)
    problems = [
        Problem(
            [*each.path[:-1], printable(each.path[-1]) or "a key"],
            f"is given twice; it stands in line {each.first_line} already",
            f"{name}:{each.line}",
        )
        for each in read.repeated
    ]
    values: dict[KeyPath, object] = {}
    problems += _flatten(read.content, values, document)
    return Document(name, read.root, values, tuple(problems), path=path, source=source)


def _broken(text: str, origin: str) -> Document:
    return Document(problems=(Problem(CONFIG_FILE, text, origin),), readable=False)


def _text_of(source: Input) -> str:
    if len(source.content) > _LARGEST:
        raise OSError(0, f"larger than {_LARGEST // 1024 // 1024} MiB")
    return source.content.decode("utf-8-sig")


def _flatten(content: object, values: dict[KeyPath, object], document: Document) -> Iterator[Problem]:
    """Yield what is wrong with the file's keys, and fill in the values of the right ones; null means not given."""
    if content is None:
        return
    if not isinstance(content, dict):
        yield Problem(CONFIG_FILE, "must be a mapping of groups, such as poll: {interval: 5m}", document.place(()))
        return
    names = [AUTOMATIONS[0], *(group for group, _ in GROUPS)]
    for name, value in content.items():
        if name == AUTOMATIONS[0]:
            if value is not None:
                values[AUTOMATIONS] = value
        elif not keys_of(str(name)):
            yield _misspelt((), name, [*names, *(key.key for key in KEYS)], document)
        elif isinstance(value, dict):
            yield from _flatten_group(str(name), value, values, document)
        elif value is not None:
            example = f"{name}: {{{keys_of(str(name))[0]}: …}}"
            yield Problem((str(name),), f"must be a mapping of keys, such as {example}", document.place((name,)))


def _flatten_group(
    group: str, content: Mapping[object, object], values: dict[KeyPath, object], document: Document
) -> Iterator[Problem]:
    for name, value in content.items():
        if name not in keys_of(group):
            yield _misspelt((group,), name, [dotted((group, key)) for key in keys_of(group)], document)
        elif value is not None:
            values[(group, str(name))] = value


def _misspelt(group: KeyPath, name: object, candidates: list[str], document: Document) -> Problem:
    shown = printable(name)
    if shown is None:
        text = "holds a key that is not the name of a setting"
        return Problem(group or CONFIG_FILE, text, document.place((*group, str(name))))
    return Problem((*group, shown), no_such_key(dotted((*group, shown)), candidates), document.place((*group, shown)))


def _step(node: yaml.Node | None, part: str | int, line: int) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line
    return None, line
