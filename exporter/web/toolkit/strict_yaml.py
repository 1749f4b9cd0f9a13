"""The one reader of configuration files: strict YAML, with every problem at its place.

YAML is one document, bounded in size, in depth and in what anchors and merge keys expand to: it lets a few hundred
bytes stand for billions of nodes (`<<: [*a, *a]`, ten levels of it). Anchors and merge keys stay allowed, since
configurations use them; what they expand to is counted before anything is built from it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor

MOST_NODES: Final = 500_000
"""Keys, values and lists of one document, with every alias expanded: some 50,000 automations with all their keys."""
DEEPEST: Final = 100
"""Levels of nesting: many times what any setting has, few enough for every recursion below."""
_LONGEST_NUMBER: Final = 100
"""Characters. YAML 1.1 reads `1:30:00` in base 60, which takes quadratic time in the length."""
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_LOADER: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COUNTED: Final = (yaml.ScalarEvent, yaml.AliasEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)
_QUOTED: Final = re.compile(r"'[^']*'")
_OWN_WORD: Final = re.compile(r"'(<[a-z ]+>|[^A-Za-z0-9]{1,2})'")
"""What YAML quotes of its own grammar: `'<block end>'`, `']'`; anything else is the file's."""
_TOO_DEEP: Final = f"nested more than {DEEPEST} levels deep"
_TAB: Final = "a tab; indent with spaces, which is all that YAML takes there"
_TAB_FOUND: Final = "found a tab character that violates indentation"
_NO_TOKEN: Final = re.compile(r"found character .*that cannot start any token")
_RESERVED: Final = "no value can begin with this character; put the value in quotes"
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mapping values are not allowed in this context": (
            "a colon that YAML does not expect: line the key up with those above it, end the line above with its "
            "colon, or put the value in quotes"
        ),
        "did not find expected key": "not lined up with the keys above it: indent all keys of a group alike",
        "did not find expected '-' indicator": "not lined up with the list above it: indent all keys of an entry alike",
        "did not find expected <document start>": (
            "this does not continue what stands above it: begin all keys of a group in one column, each with a colon "
            "and a space behind it"
        ),
        "but found another document": "a second document: remove the --- above it",
        "could not find expected ':'": "a key without its colon",
        "found unexpected end of stream": "a quote that is not closed",
        "found unknown escape character": (
            "a backslash in double quotes that YAML does not know: put the value in single quotes"
        ),
        "did not find expected ',' or ']'": (
            "a list that is not closed with ], or lacks a comma; put values that hold , [ ] { or } in quotes"
        ),
        "did not find expected ',' or '}'": (
            "a mapping that is not closed with }, or lacks a comma; put values that hold , [ ] { or } in quotes"
        ),
        "did not find expected node content": _RESERVED,
        "did not find expected alphabetic or numeric character": (
            "* and & begin the name of an anchor; put a value that begins with one of them in quotes"
        ),
        "found undefined alias": (
            "a * in front of a name that no & defines above; put a value that begins with * in quotes"
        ),
        "did not find expected comment or line break": "| and > stand alone in their line; put the value in quotes",
    }
)
"""What libyaml says where a person has slipped, and what helps."""
_AT_ITS_BEGINNING: Final = frozenset(
    {
        "could not find expected ':'",
        "found unexpected end of stream",
        "did not find expected ',' or ']'",
        "did not find expected ',' or '}'",
    }
)
"""Found missing only lines later, or at the end of the file: the place to look is where the construct begins."""
_NO_TAG: Final = "could not determine a constructor for the tag"
_TAG: Final = "a tag, which no setting takes; put a value that begins with ! in quotes"
_CONTROL: Final = "a control character; delete it, or write it as an escape in double quotes"
_NO_NUMBER: Final = "a value that has the form of a number or a date and cannot be one; put it in quotes"
_NOT_CLOSED: Final = "a list in [ ] or a mapping in { } that is not closed"
_NOT_UTF_8: Final = "bytes that are not UTF-8; save the file as UTF-8"


class YamlError(Exception):
    """The text is not YAML that is read here; the message names the place and never what stands there."""

    def __init__(self, reason: str, mark: tuple[int, int] | None = None) -> None:
        self.reason = reason
        self.place = f"line {mark[0]}, column {mark[1]}: " if mark else ""
        super().__init__(f"{self.place}{reason}")


@dataclass(frozen=True, slots=True)
class RepeatedKey:
    """A key that a mapping holds a second time."""

    path: tuple[str | int, ...]
    first_line: int
    """Lines count from 1."""
    line: int


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: what it says, its nodes, which tell the line of each part, and the keys that it repeats."""

    root: yaml.Node | None = field(default=None, repr=False)
    content: object = field(default=None, repr=False)
    repeated: tuple[RepeatedKey, ...] = ()
    """YAML's own rule would silently keep the last of them."""

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line, counted from 1, of the deepest part on the path that the document has."""
        node = self.root
        line = node.start_mark.line if node else 0
        for part in path:
            node, line = _step(node, part, line)
        return line + 1


def decoded(content: bytes) -> str:
    """Return a file's text, without a byte order mark; raise YamlError with the place of what is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise YamlError(_NOT_UTF_8, _place_in(exc.object[: exc.start].decode("utf-8", "replace"))) from None


def read_values(text: str) -> YamlDocument:
    """Return the document with plain scalars read as YAML's types (numbers, booleans, dates); raise YamlError."""
    return _read(text, None)


def read_texts(text: str) -> YamlDocument:
    """Return the document with every scalar as the text it is, and None for an empty or null one; raise YamlError."""
    return _read(text, _TEXTS)


def _read(text: str, constructors: Mapping[str | None, Callable[..., Any]] | None) -> YamlDocument:
    try:
        _check_size(text)
        loader = _LOADER(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return YamlDocument()
            _check_expanded(root)
            repeated = tuple(_repeated_keys(root))  # first: building folds merge keys into the nodes
            if constructors is not None:
                loader.yaml_constructors = dict(constructors)  # type: ignore[misc]  # of this one loader
            content = _built(loader, root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        raise YamlError(_explain(exc, text), _end_at_most(text, _mark(exc))) from None
    except yaml.reader.ReaderError:
        bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
        raise YamlError(_CONTROL, _place_in(text[: bad.start()]) if bad else None) from None
    except UnicodeEncodeError as exc:
        raise YamlError(_CONTROL, _place_in(text[: exc.start])) from None
    return YamlDocument(root, content, repeated)


def _built(loader: yaml.SafeLoader, root: yaml.Node) -> object:
    """Return the document's content; raise YamlError where a plain value has the form of a type that it is not."""
    try:
        return loader.construct_document(root)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        mark = next((node.start_mark for node in _scalars(root) if not _is_buildable(loader, node)), None)
        raise YamlError(_NO_NUMBER, _place(mark) if mark else None) from None


def _is_buildable(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    try:
        loader.construct_object(node)
    except (yaml.YAMLError, ValueError, TypeError, ArithmeticError):
        return False
    return True


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Yield the scalars in the order of the text, each once."""
    seen: set[int] = set()
    rest = [root]
    while rest:
        node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        rest += reversed(_children(node))


def _check_size(text: str) -> None:
    """Count nodes and levels as they are written, before a tree of them takes memory.

    libyaml makes the tree by recursion in C: before PyYAML 6.0.3 deep nesting ended the process instead of raising.
    """
    nodes = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        nodes += isinstance(event, _COUNTED)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise YamlError(_TOO_DEEP, _place(event.start_mark))
        if nodes > MOST_NODES:
            raise YamlError(f"more than {MOST_NODES} keys and values", _place(event.start_mark))


def _check_expanded(root: yaml.Node) -> None:
    """Refuse a tree that is too large or too deep with every alias expanded, or that contains itself.

    An aliased node is one object that stands in several places; each is measured once, so this is linear in the text.
    """
    sizes: dict[int, int] = {}
    depths: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, measured = stack.pop()
        children = _children(node)
        if measured:
            open_nodes.discard(id(node))
            sizes[id(node)] = size = 1 + sum(sizes[id(child)] for child in children)
            depths[id(node)] = depth = 1 + max((depths[id(child)] for child in children), default=0)
            if size > MOST_NODES:
                raise YamlError(
                    f"its aliases expand to more than {MOST_NODES} keys and values", _place(node.start_mark)
                )
            if depth > DEEPEST:
                raise YamlError(_TOO_DEEP, _place(node.start_mark))
        elif id(node) in open_nodes:
            raise YamlError("an anchor that contains itself", _place(node.start_mark))
        elif id(node) not in sizes:
            _check_scalars(node)
            open_nodes.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in children]


def _check_scalars(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
        raise YamlError(_NO_NUMBER, _place(node.start_mark))
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError("a key must be plain text", _place(key.start_mark))


def _children(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _repeated_keys(root: yaml.Node) -> Iterator[RepeatedKey]:
    seen: set[int] = set()
    rest: list[tuple[tuple[str | int, ...], yaml.Node]] = [((), root)]
    while rest:
        path, node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += [((*path, index), item) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = key.value, key.start_mark.line + 1
            here = (*path, name)
            rest.append((here, value))
            if name in lines:
                yield RepeatedKey(here, lines[name], line)
            lines.setdefault(name, line)


def _step(node: yaml.Node | None, part: str | int, line: int) -> tuple[yaml.Node | None, int]:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line
    return None, line


def _place_in(before: str) -> tuple[int, int]:
    """Return the line and column of what follows this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _mark(exc: yaml.MarkedYAMLError) -> Any:
    if exc.problem in _AT_ITS_BEGINNING and exc.context_mark is not None:
        return exc.context_mark
    return exc.problem_mark or exc.context_mark


def _end_at_most(text: str, mark: Any) -> tuple[int, int] | None:
    """Return the line and column of a mark; libyaml puts what is missing at the end on a line after the last."""
    if mark is None:
        return None
    lines = text.splitlines() or [""]
    return _place(mark) if mark.line < len(lines) else (len(lines), len(lines[-1]) + 1)


def _explain(exc: yaml.MarkedYAMLError, text: str) -> str:
    """Say what is wrong in words that help, or else in YAML's own without the text that it quotes.

    That text may be a key or a password hash.
    """
    problem, mark = exc.problem or exc.context or "it cannot be read", exc.problem_mark
    if problem in _WORDS:
        at_end = mark is not None and mark.index >= len(text.rstrip())
        return _NOT_CLOSED if at_end and _WORDS[problem] is _RESERVED else _WORDS[problem]
    if problem.startswith(_NO_TAG):
        return _TAG
    if mark is not None and (problem == _TAB_FOUND or _NO_TOKEN.fullmatch(problem)):
        lines = text.splitlines()
        rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
        return _TAB if rest.startswith("\t") or problem == _TAB_FOUND else _RESERVED
    return " ".join(_QUOTED.sub(_own_word, problem).split())


def _own_word(quoted: re.Match[str]) -> str:
    return quoted.group() if _OWN_WORD.fullmatch(quoted.group()) else "…"


def _as_text(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    """Read a scalar as it is written, whatever its tag; a list or a mapping with a tag of its own is one without."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    value = str(loader.construct_scalar(node))  # type: ignore[arg-type]  # neither a mapping nor a sequence
    return None if not getattr(node, "style", None) and value in _NULLS else value


_TEXTS: Final[Mapping[str | None, Callable[..., Any]]] = MappingProxyType(
    {
        "tag:yaml.org,2002:map": SafeConstructor.construct_yaml_map,
        "tag:yaml.org,2002:seq": SafeConstructor.construct_yaml_seq,
        None: _as_text,
    }
)
