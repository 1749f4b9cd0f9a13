"""The environment: `EXPORTER_GROUP__KEY`, and SendGrid's own two variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.settings.catalogue import API_KEY, API_KEY_FILE, CONFIG_FILE, GROUPS, PREFIX, KeyPath, keys_of, reference
from exporter.settings.layers import Layer, key_path
from exporter.settings.problems import Problem, no_such_key

_TWINS: Final = ((API_KEY, "SENDGRID_API_KEY"), (API_KEY_FILE, "SENDGRID_API_KEY_FILE"))
_SERVICE: Final = re.compile(
    r"EXPORTER_(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_OWN: Final = tuple(f"{PREFIX}{group.upper()}__" for group, _ in GROUPS)


@dataclass(frozen=True, slots=True)
class Environment:
    """What the variables say, with every problem of theirs."""

    values: Mapping[KeyPath, str] = field(repr=False)
    names: Mapping[KeyPath, str]
    """The variable that gives each key, as it is spelt."""
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]

    def layer(self) -> Layer:
        """Return the settings given by variables."""
        names = dict(self.names)
        values = {path: value for path, value in self.values.items() if path != CONFIG_FILE}
        return Layer(values, lambda path: names[key_path(path)])


def read_environment(environment: Mapping[str, str]) -> Environment:
    """Read the variables of the exporter's own name, in any case of letters, and nothing else."""
    keys = {key.variable: key.path for key in reference()}
    values: dict[KeyPath, str] = {}
    names: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    passed_over: list[str] = []
    for name in sorted(environment):
        path = keys.get(name.upper())
        if path is not None and path in names:
            problems.append(Problem(path, f"is given by {names[path]} too; the case of letters does not matter", name))
        elif path is not None:
            values[path], names[path] = environment[name], name
        elif _is_service(name.upper()):
            passed_over.append(name)
        elif name.upper().startswith(PREFIX):
            problems.append(_misspelt(name, list(keys)))
    for path, twin in _TWINS:
        if path not in names and twin in environment:
            values[path], names[path] = environment[twin], twin
    return Environment(values, names, tuple(problems), _warnings(passed_over))


def _is_service(name: str) -> bool:
    """Tell whether Kubernetes injected the variable for a Service whose name begins with `exporter`."""
    return _SERVICE.fullmatch(name) is not None and not name.startswith(_OWN)


def _misspelt(name: str, candidates: list[str]) -> Problem:
    shown = name if name.isascii() and name.isprintable() else ascii(name)[1:-1]
    bare = shown[len(PREFIX) :].lower()
    path = tuple(bare.split("__"))
    if keys_of(bare):
        variables = [f"{PREFIX}{bare.upper()}__{key.upper()}" for key in keys_of(bare)]
        return Problem(path, f"is a group; set one of {', '.join(variables)}", shown)
    siblings = [candidate for candidate in candidates if candidate.startswith(f"{PREFIX}{path[0].upper()}__")]
    return Problem(path, no_such_key(shown, siblings or candidates), shown)


def _warnings(passed_over: list[str]) -> tuple[str, ...]:
    if not passed_over:
        return ()
    names = ", ".join(passed_over)
    advice = "set enableServiceLinks: false on the pod to be rid of them"
    return (f"passed over {names}: Kubernetes injects them for Services; {advice}",)
