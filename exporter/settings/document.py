"""The configuration file: YAML, every key known, every key once, and the line of each."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.inputs import Input, Inputs
from exporter.settings.api_key import shown_path
from exporter.settings.catalogue import AUTOMATIONS, CONFIG_FILE, GROUPS, KEYS, KeyPath, keys_of
from exporter.settings.layers import Layer
from exporter.settings.problems import Problem, dotted, no_such_key, printable

_LARGEST: Final = 64 * 1024 * 1024
_LOADER: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTED: Final = re.compile(r"'[^']*'")
_OWN_WORD: Final = re.compile(r"'(<[a-z ]+>|[^A-Za-z0-9]{1,2})'")
"""What YAML quotes of its own grammar: `'<block end>'`, `']'`; anything else is the file's."""


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
        root, content = _parse(_text_of(source))
    except OSError as exc:
        return _broken(f"cannot read {name} ({exc.strerror or type(exc).__name__})", origin)
    except UnicodeDecodeError:
        return _broken(f"{name} is not UTF-8 text", origin)
    except yaml.MarkedYAMLError as exc:
        return _broken(f"{name} is not valid YAML: {_explain(exc)}", origin)
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError, RecursionError):
        return _broken(f"{name} is not valid YAML: it holds a value or a character that YAML does not allow", origin)
    document = Document(name, root)
    problems = [
        Problem(key, f"is given twice; it stands in line {first + 1} already", f"{name}:{line + 1}")
        for key, first, line in _duplicates(root)
    ]
    values: dict[KeyPath, object] = {}
    problems += _flatten(content, values, document)
    return Document(name, root, values, tuple(problems), path=path, source=source)


def _broken(text: str, origin: str) -> Document:
    return Document(problems=(Problem(CONFIG_FILE, text, origin),), readable=False)


def _text_of(source: Input) -> str:
    if len(source.content) > _LARGEST:
        raise OSError(0, f"larger than {_LARGEST // 1024 // 1024} MiB")
    return source.content.decode("utf-8-sig")


def _parse(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        return root, loader.construct_document(root) if root else None
    finally:
        loader.dispose()


def _explain(exc: yaml.MarkedYAMLError) -> str:
    """Return YAML's own words without the text that it quotes."""
    mark = exc.problem_mark or exc.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    words = " ".join(_QUOTED.sub(_own_word, exc.problem or exc.context or "it cannot be read").split())
    return place + words


def _own_word(quoted: re.Match[str]) -> str:
    return quoted.group() if _OWN_WORD.fullmatch(quoted.group()) else "…"


def _duplicates(root: yaml.Node | None) -> Iterator[tuple[list[str | int], int, int]]:
    """Yield the path, the first line and the second line of every key that a mapping holds twice."""
    seen: set[int] = set()
    rest: list[tuple[list[str | int], yaml.Node | None]] = [([], root)]
    while rest:
        path, node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += [([*path, index], item) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[Hashable, int] = {}
        for key, value in node.value:
            here = [*path, printable(key.value) or "a key"]
            rest.append((here, value))
            if key.value in lines:
                yield here, lines[key.value], key.start_mark.line
            lines.setdefault(key.value, key.start_mark.line)


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
