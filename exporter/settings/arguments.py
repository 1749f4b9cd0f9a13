"""The command line: modes, and flags as `--poll.stale-after 15m` or `--poll.stale_after=15m`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.settings.catalogue import API_KEY, CONFIG_FILE, Key, KeyPath, keys_of, reference
from exporter.settings.layers import Layer, key_path
from exporter.settings.model import Mode
from exporter.settings.problems import Problem, no_such_key, printable
from exporter.settings.values import SWITCH_WORDS

_MODES: Final[Mapping[str, str]] = {
    "--check": "check",
    "--once": "once",
    "--demo": "demo",
    "--version": "version",
    "--help": "help",
    "-h": "help",
}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What the arguments say, with every problem of theirs."""

    mode: Mode
    demo: bool = False
    values: Mapping[KeyPath, object] = field(default_factory=dict, repr=False)
    problems: tuple[Problem, ...] = ()

    def layer(self) -> Layer:
        """Return the settings given by flags."""
        values = {path: value for path, value in self.values.items() if path != CONFIG_FILE}
        return Layer(values, flag_of)


def flag_of(path: Sequence[str | int]) -> str:
    """Return the flag that gives the key at the path."""
    return "--" + ".".join(key_path(path)).replace("_", "-")


def read_arguments(arguments: Sequence[str]) -> CommandLine:
    """Read the whole command line; help wins over everything, then version."""
    for mode, spellings in ((Mode.HELP, ("--help", "-h")), (Mode.VERSION, ("--version",))):
        if any(argument in spellings for argument in arguments):
            return CommandLine(mode)
    reader = _Reader(arguments)
    reader.read()
    modes = [Mode(word) for word in ("check", "once") if word in reader.modes]
    if len(modes) > 1:
        reader.problems.append(Problem(("check",), "cannot be combined with --once; choose one", "--check"))
    return CommandLine(modes[0] if modes else Mode.SERVE, "demo" in reader.modes, reader.values, tuple(reader.problems))


class _Reader:
    """Walks over the arguments once, collecting values and problems."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.modes: set[str] = set()
        self.values: dict[KeyPath, object] = {}
        self.problems: list[Problem] = []
        self._arguments = arguments
        self._next = 0
        self._flags = {key.flag or "--sendgrid.api-key": key for key in reference()}

    def read(self) -> None:
        while self._next < len(self._arguments):
            argument = self._arguments[self._next]
            self._next += 1
            if argument.startswith("-"):
                self._flag(argument)
            else:
                self._problem("is not a flag; a value stands behind its flag")

    def _flag(self, argument: str) -> None:
        name, equals, value = argument.partition("=")
        key = self._flags.get(name.replace("_", "-"))
        if name in _MODES:
            if equals:
                self.problems.append(Problem((name.lstrip("-"),), "takes no value", name))
            self.modes.add(_MODES[name])
        elif key is None:
            if not equals:
                self._take()
            self._misspelt(name)
        else:
            self._store(key, value if equals else self._value_of(key))

    def _value_of(self, key: Key) -> str | None:
        if key.metavar:
            return self._take()
        follows = self._arguments[self._next : self._next + 1]
        return self._take() if follows and follows[0].lower() in SWITCH_WORDS else "true"

    def _take(self) -> str | None:
        """Return the argument that follows, unless it is a flag."""
        if self._next == len(self._arguments) or self._arguments[self._next].startswith("--"):
            return None
        self._next += 1
        return self._arguments[self._next - 1]

    def _store(self, key: Key, value: str | None) -> None:
        flag = flag_of(key.path)
        if key.path == API_KEY:
            text = (
                "is not accepted as a flag, because the key would stand in the process list; "
                "set SENDGRID_API_KEY, or --sendgrid.api-key-file"
            )
            self.problems.append(Problem(key.path, text, flag))
        elif value is None:
            self.problems.append(Problem(key.path, "needs a value", flag))
        elif key.path in self.values:
            self.problems.append(Problem(key.path, "is given twice; give it once", flag))
        else:
            self.values[key.path] = value

    def _misspelt(self, name: str) -> None:
        bare = name.lstrip("-").replace("-", "_")
        if printable(bare) is None:
            self._problem("is no flag of the exporter; --help lists all of them")
        elif keys_of(bare):
            flags = [flag_of((bare, key)) for key in keys_of(bare)]
            self.problems.append(Problem((bare,), f"is a group; give one of {', '.join(flags)}", name))
        else:
            siblings = [flag_of((group, key)) for group, _, _ in [bare.partition(".")] for key in keys_of(group)]
            candidates = siblings or [key.flag for key in reference() if key.flag] + list(_MODES)
            self.problems.append(Problem((bare,), no_such_key(name, candidates), name))

    def _problem(self, text: str) -> None:
        self.problems.append(Problem((f"argument {self._next}",), text))
