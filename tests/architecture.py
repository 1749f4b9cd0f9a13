"""The rules of the architecture, as functions over source text: each broken one is a sentence."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

LAYERS: Final[Mapping[str, int]] = {
    "domain": 0,
    "clock": 0,
    "web/toolkit": 0,
    "errors": 1,
    "about": 1,
    "inputs": 1,
    "logs": 1,
    "signals": 1,
    "probes": 1,
    "settings": 2,
    "labels": 1,
    "sendgrid": 2,
    "exposition": 3,
    "store": 4,
    "state": 4,
    "telemetry": 4,
    "polling": 5,
    "account": 6,
    "web": 6,
    "once": 7,
    "serving": 7,
    "app": 8,
    "doctor": 9,
    "cli": 10,
    "__main__": 11,
}
"""Unit → layer. A unit is a module or a package of `exporter/`. `web/toolkit` is one of its own, since what lies lower
may use it too."""
SIMULATOR: Final = "sendgrid_simulator"
KNOWS_THE_SIMULATOR: Final = "exporter.cli"
"""It starts the demo."""

LIBRARY_HOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "requests": ("exporter.sendgrid",),
    "urllib3": ("exporter.sendgrid",),
    "pydantic_settings": ("exporter.settings",),
    "time": ("exporter.clock", "exporter.web.toolkit.files", "sendgrid_simulator.clock"),
    "sqlite3": ("exporter.state",),
    "yaml": ("exporter.web.toolkit.strict_yaml", "exporter.settings.reference"),
}
"""Library → the only modules, or packages with all in them, that may import it."""

SELF_CONTAINED: Final = ("exporter.web.toolkit",)
"""Packages that import nothing of the exporter outside themselves, so that others can take them as they are."""
BLIND: Final[Mapping[str, tuple[str, ...]]] = {
    "exporter.web.http": ("exporter.web.handlers", "exporter.web.pages", "exporter.web.server", "exporter.web.toolkit")
}
"""Package → what it must not know though it stands on the same layer: a connection only gets a function to ask."""

LONGEST: Final = 600
"""Lines of a module: beyond them it is hard to hold in the head, and mostly two subjects."""
UNTELLING: Final = frozenset({"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"})
MUTABLE_TYPES: Final = frozenset(
    {"list", "dict", "set", "bytearray", "defaultdict", "deque", "OrderedDict", "Counter", "ChainMap", "count"}
    | {"Lock", "RLock", "Event", "Condition", "Semaphore", "Thread", "local", "Queue", "SimpleQueue", "ContextVar"}
)
READ_ONLY_TYPES: Final = ("Mapping", "Sequence", "Set", "Collection", "Iterable")
METRIC_TYPES: Final = frozenset(
    {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    | {"ProcessCollector", "PlatformCollector", "GCCollector"}
)
WALL_CLOCKS: Final = frozenset({"now", "utcnow", "today"})
EFFECTS: Final = frozenset(
    {
        "open",
        "print",
        "input",
        "exec",
        "eval",
        "getenv",
        "read_text",
        "read_bytes",
        "write_text",
        "basicConfig",
        "signal",
    }
    | {
        "start",
        "connect",
        "run",
        "Popen",
        "version",
        "makedirs",
        "mkdir",
        "socket",
        "setLevel",
        "addHandler",
        "Session",
    }
)


def broken_rules(files: Mapping[str, str]) -> list[str]:
    """Return a sentence for every broken rule; `files` maps paths such as `exporter/web/handlers.py` to their text."""
    modules = {name_of(path): ast.parse(text) for path, text in files.items()}
    packages = {name_of(path) for path in files if path.endswith("__init__.py")}
    found = [f"{path}: {problem}" for path, text in files.items() for problem in _of_file(path, text)]
    imports = {name: list(_imports(name, tree, name in packages, modules.keys())) for name, tree in modules.items()}
    for name, tree in modules.items():
        problems = [*_layers(name, imports[name]), *_rooms(name, imports[name]), *_libraries(name, imports[name])]
        problems += _hidden_imports(tree)
        problems += [*_registry(tree), *_time(name, tree), *_state(tree), *_effects(tree)]
        found += [f"{name}: {problem}" for problem in problems]
    return found + _cycles({name: [one for one in targets if one in modules] for name, targets in imports.items()})


def name_of(path: str) -> str:
    """Return the dotted name of the module at the path."""
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")


def _of_file(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > LONGEST:
        yield f"a module has at most {LONGEST} lines, this one {lines}: it may be two subjects"
    if Path(path).stem in UNTELLING:
        yield "the name says nothing of what the module is for"


def _imports(name: str, tree: ast.Module, is_package: bool, known: object) -> Iterator[str]:  # noqa: FBT001
    """Yield the dotted name of every module imported anywhere in the tree, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")[: None if is_package else -1] if node.level else []
            start = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{start}.{alias.name}"
                yield whole if whole in known or start == "exporter" else start


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _rooms(name: str, imports: Sequence[str]) -> Iterator[str]:
    for package in SELF_CONTAINED:
        for target in imports if _is_in(name, package) else ():
            if target.split(".")[0] in ("exporter", SIMULATOR) and not _is_in(target, package):
                yield f"{package} imports nothing of the exporter outside itself, but {target}"
    for package, others in BLIND.items():
        for target in imports if _is_in(name, package) else ():
            if any(_is_in(target, other) for other in others):
                yield f"{package} does not know {target}"


def _unit(module: str) -> str:
    if _is_in(module, "exporter.web.toolkit"):
        return "web/toolkit"
    return module.split(".")[1]


def _layers(name: str, imports: Sequence[str]) -> Iterator[str]:
    own = [target for target in imports if target.split(".")[0] == "exporter"]
    if name.split(".", maxsplit=1)[0] == SIMULATOR:
        yield from (f"the simulator knows nothing of the exporter, but imports {target}" for target in own)
        return
    if name != KNOWS_THE_SIMULATOR:
        known = [target for target in imports if target.split(".")[0] == SIMULATOR]
        yield from (f"only cli knows the simulator, but this imports {target}" for target in known)
    if name == "exporter":
        yield from (f"the package itself imports nothing of its own, but {target}" for target in own)
        return
    unit = _unit(name)
    if unit not in LAYERS:
        yield f"{unit} has no layer: give it one in tests/architecture.py and docs/architecture.md"
        return
    for target in own:
        if target == "exporter":
            yield "imports the package exporter, which holds nothing: name the module"
        elif _unit(target) != unit and LAYERS.get(_unit(target), -1) >= LAYERS[unit]:
            yield (
                f"imports only point to a lower layer, but {unit} ({LAYERS[unit]}) imports {target} "
                f"({LAYERS[_unit(target)]})"
            )


def _libraries(name: str, imports: Sequence[str]) -> Iterator[str]:
    for target in imports:
        homes = LIBRARY_HOMES.get(target.split(".")[0])
        if homes and not any(name == home or name.startswith(f"{home}.") for home in homes):
            yield f"{target.split('.')[0]} is only imported in {' and '.join(homes)}"


def _hidden_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            yield f"line {node.lineno}: {_called(node)}() hides an import from these rules: write an import"


def _registry(tree: ast.Module) -> Iterator[str]:
    metrics = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "prometheus_client"
        for alias in node.names
    }
    if "REGISTRY" in metrics:
        yield "prometheus_client's global REGISTRY is not used: make a CollectorRegistry and hand it over"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "REGISTRY":
            yield f"line {node.lineno}: prometheus_client's global REGISTRY is not used"
        elif isinstance(node, ast.Call) and _called(node) in METRIC_TYPES:
            through = isinstance(node.func, ast.Attribute) and _name(node.func.value) == "prometheus_client"
            given = {keyword.arg for keyword in node.keywords} | (
                {"registry"} if _is_collector(node) and node.args else set()
            )
            if (through or _called(node) in metrics) and "registry" not in given:
                yield f"line {node.lineno}: {_called(node)}() without registry= goes to the global registry"


def _is_collector(node: ast.Call) -> bool:
    return _called(node) in {"PlatformCollector", "GCCollector"}


def _time(name: str, tree: ast.Module) -> Iterator[str]:
    calls = [
        node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    for call in calls if name not in LIBRARY_HOMES["time"] else ():
        if call.attr in WALL_CLOCKS and _name(call.value) in {"datetime", "date"}:
            yield f"line {call.lineno}: time is read in the clock module only, not by {_name(call.value)}.{call.attr}()"


def _state(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: `global {', '.join(node.names)}` changes the module's state"
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_mutable(node.value):
            names = [_name(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]
            annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            annotated = any(word in annotation for word in READ_ONLY_TYPES)
            if names != ["__all__"] and not annotated:
                yield (
                    f"line {node.lineno}: {names[0]} is mutable state of the module: make it a tuple, a frozenset, a "
                    "MappingProxyType, or Final[Mapping[…]] or Final[Sequence[…]], which mypy lets nobody change"
                )


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and _called(value) in MUTABLE_TYPES


def _effects(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.For | ast.While | ast.With | ast.Delete | ast.AugAssign):
            yield f"line {node.lineno}: a module only defines, but this runs at import"
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield f"line {node.lineno}: `{ast.unparse(node)}` runs at import"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and _called(call) in EFFECTS]
            yield from (f"line {call.lineno}: `{ast.unparse(call)}` reaches outside at import" for call in calls)
            if any(isinstance(part, ast.Attribute) and part.attr == "environ" for part in ast.walk(node)):
                yield f"line {node.lineno}: the environment is read at import"


def _called(node: ast.Call) -> str:
    return _name(node.func)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _cycles(imports: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each circle of imports, begun at the name that sorts first."""
    found: set[tuple[str, ...]] = set()

    def follow(path: tuple[str, ...]) -> None:
        for target in imports.get(path[-1], ()):
            if target in path and target != path[-1]:
                circle = path[path.index(target) :]
                first = circle.index(min(circle))
                found.add((*circle[first:], *circle[:first]))
            elif target not in done and target not in path:
                follow((*path, target))
        done.add(path[-1])

    done: set[str] = set()
    for name in imports:
        if name not in done:
            follow((name,))
    return [f"{' → '.join((*circle, circle[0]))}: imports in a circle" for circle in sorted(found)]
