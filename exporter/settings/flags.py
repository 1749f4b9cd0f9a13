"""The command line: modes, and flags as `--poll.stale-after 15m` or `--poll.stale_after=15m`."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from exporter.settings.layers import Layer, key_path
from exporter.settings.problems import REQUIRED, KeyPath, Problem, nearest, printable, unknown
from exporter.settings.reference import API_KEY, CONFIG_FILE, MODES, Setting, names_in, reference
from exporter.settings.values import SWITCH_WORDS


class Mode(StrEnum):
    """What the process is asked to do."""

    SERVE = "serve"
    CHECK = "check"
    ONCE = "once"
    DOCTOR = "doctor"
    VERSION = "version"
    HELP = "help"


_MODES: Final[Mapping[str, str]] = {flag: mode.flags[-1].removeprefix("--") for mode in MODES for flag in mode.flags}
_YAML: Final = (".yaml", ".yml")
_ALIASES: Final[Mapping[str, str]] = {"--web.config.file": "--web.config-file"}
"""As every exporter of Prometheus's own names it."""


class Flags(Layer):
    """What the command line says: the mode, and the settings given by flags."""

    def __init__(
        self,
        mode: Mode,
        values: Mapping[KeyPath, object] = MappingProxyType({}),
        problems: Sequence[Problem] = (),
        *,
        demo: bool = False,
        config_file: object = None,
    ) -> None:
        super().__init__(values, problems)
        self.mode = mode
        self.demo = demo
        self.config_file = config_file
        """The file that `--config.file` names, as written; None where it is not given."""

    def origin(self, path: Sequence[str | int]) -> str:
        return flag_of(path)


def flag_of(path: Sequence[str | int]) -> str:
    """Return the flag that gives the setting at the path."""
    return "--" + ".".join(key_path(path)).replace("_", "-")


def read_flags(arguments: Sequence[str]) -> Flags:
    """Read the whole command line; help wins over everything, then version."""
    for mode, names in ((Mode.HELP, ("--help", "-h")), (Mode.VERSION, ("--version",))):
        if any(argument in names for argument in arguments):
            return Flags(mode)
    reader = _Reader(arguments)
    reader.read()
    modes = [Mode(word) for word in ("check", "once", "doctor") if word in reader.modes]
    if len(modes) > 1:
        text = f"cannot be combined with --{modes[1]}; choose one"
        reader.problems.append(Problem((str(modes[0]),), text, f"--{modes[0]}"))
    config_file = reader.values.pop(CONFIG_FILE, None)
    mode = modes[0] if modes else Mode.SERVE
    return Flags(mode, reader.values, reader.problems, demo="demo" in reader.modes, config_file=config_file)


class _Reader:
    """Walks over the arguments once, collecting values and problems."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.modes: set[str] = set()
        self.values: dict[KeyPath, object] = {}
        self.problems: list[Problem] = []
        self._arguments = arguments
        self._next = 0
        self._flags = {flag_of(setting.path): setting for setting in reference()}
        self._aliases = {alias: self._flags[flag] for alias, flag in _ALIASES.items()}

    def read(self) -> None:
        while self._next < len(self._arguments):
            argument = self._arguments[self._next]
            self._next += 1
            if argument.startswith("-"):
                self._flag(argument)
            else:
                hint = ", a configuration file behind --config.file" if argument.endswith(_YAML) else ""
                self._problem(f"is not a flag; a value stands behind its flag{hint}")

    def _flag(self, argument: str) -> None:
        name, equals, value = argument.partition("=")
        setting = self._flags.get(name.replace("_", "-")) or self._aliases.get(name)
        if name in _MODES:
            if equals:
                self.problems.append(Problem((name.lstrip("-"),), "takes no value", name))
            self.modes.add(_MODES[name])
        elif setting is None:
            self._unknown(name)
            if not equals:
                self._take()
        else:
            self._store(setting, value if equals else self._value_of(setting))

    def _value_of(self, setting: Setting) -> str | None:
        if setting.metavar:
            return self._take()
        follows = self._arguments[self._next : self._next + 1]
        return self._take() if follows and follows[0].lower() in SWITCH_WORDS else "true"

    def _take(self) -> str | None:
        """Return the argument that follows, unless it is a flag."""
        if self._next == len(self._arguments) or self._arguments[self._next].startswith("--"):
            return None
        self._next += 1
        return self._arguments[self._next - 1]

    def _store(self, setting: Setting, value: str | None) -> None:
        flag = flag_of(setting.path)
        if setting.path == API_KEY:
            text = (
                "is not accepted as a flag, because the key would stand in the process list; "
                "set SENDGRID_API_KEY, or --sendgrid.api-key-file"
            )
            self.problems.append(Problem(setting.path, text, flag))
        elif value is None:
            self.problems.append(Problem(setting.path, f"needs a value: {flag} {setting.metavar}", flag))
        elif setting.is_repeatable and setting.path in self.values:
            self.values[setting.path] = f"{self.values[setting.path]},{value}"
        elif setting.path in self.values:
            self.problems.append(Problem(setting.path, "is given twice; give it once", flag))
        else:
            self.values[setting.path] = value

    def _unknown(self, name: str) -> None:
        bare = name.lstrip("-").replace("-", "_")
        paths: dict[str, KeyPath | None] = {flag: setting.path for flag, setting in self._flags.items()}
        del paths[flag_of(API_KEY)]
        if printable(bare) is None:
            # It may be a key in the wrong place, so it is not repeated.
            close = nearest(name, paths)
            self._problem(
                f"is no flag of the exporter; {f'did you mean {close}?' if close else '--help lists all of them'}"
            )
        elif names_in(bare):
            flags = [flag_of((bare, each)) for each in names_in(bare)]
            self.problems.append(Problem((bare,), f"is a group; give one of {', '.join(flags)}", name))
        else:
            group = bare.partition(".")[0]
            siblings = {flag: path for flag, path in paths.items() if path and len(path) > 1 and path[0] == group}
            self.problems.append(unknown((bare,), name, siblings or {**paths, **dict.fromkeys(_MODES)}, name))

    def _problem(self, text: str) -> None:
        """Report the argument by its number; whatever it is, it may have been meant to give what is missing."""
        self.problems.append(Problem((f"argument {self._next}",), text, meant=REQUIRED))
