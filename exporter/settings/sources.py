"""The sources of settings: flags, environment and configuration file, each with the place of what it gives.

Flags are written as `--poll.stale-after 15m` or `--poll.stale_after=15m`; variables as `EXPORTER_GROUP__KEY`, beside
SendGrid's own two and those that others would expect to count. The file is YAML, every key known, every key once, with
the line of each.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from exporter.inputs import LARGEST_BUNDLE, Authorities, Inputs, parse_authorities
from exporter.settings.automations import AUTOMATIONS
from exporter.settings.layers import Layer, key_path
from exporter.settings.reference import (
    API_KEY,
    API_KEY_FILE,
    CONFIG_FILE,
    MODES,
    PREFIX,
    SETTINGS,
    Setting,
    names_in,
    reference,
)
from exporter.settings.schema import GROUPS, SendGridSettings
from exporter.settings.values import (
    REQUIRED,
    SWITCH_WORDS,
    KeyPath,
    Problem,
    dotted,
    is_loopback,
    nearest,
    printable,
    shown_path,
    unknown,
)
from exporter.web.toolkit.files import Input, why_unread

_MODES: Final[Mapping[str, str]] = {flag: mode.flags[-1].removeprefix("--") for mode in MODES for flag in mode.flags}
_YAML: Final = (".yaml", ".yml")
_DASHES: Final = tuple("\u2010\u2011\u2012\u2013\u2014\u2015\u2212")
_KEY_WORD: Final = re.compile(r"(^|[._])(api_?)?(key|token|secret|password)$")
_NO_KEY_FLAG: Final = (
    "is not accepted as a flag, because the key would stand in the process list; "
    "set SENDGRID_API_KEY, or --sendgrid.api-key-file"
)
_ALIASES: Final[Mapping[str, str]] = {"--web.config.file": "--web.config-file"}
"""As every exporter of Prometheus's own names it."""
_TWINS: Final = ((API_KEY, "SENDGRID_API_KEY"), (API_KEY_FILE, "SENDGRID_API_KEY_FILE"))
_SERVICE: Final = re.compile(
    r"EXPORTER_(.+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_PORT_OF_SERVICE: Final = re.compile(r"EXPORTER_(?!.*(SERVICE|TCP|UDP|SCTP)_PORT\Z)(.+_)?PORT")
_VARIABLE: Final = re.compile(r"(?i)EXPORTER_[A-Z0-9_]{1,60}")
_NEARLY_THE_KEY: Final = re.compile(r"SEND_?GRID_[A-Z_]{0,30}(KEY|TOKEN)(_?FILE)?")
_NO_VARIABLE: Final = "is not the name of a setting; remove it, or compare it with those that --help lists"
_OWN: Final = tuple(f"{PREFIX}{group.upper()}__" for group in GROUPS)
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_LARGEST: Final = 64 * 1024 * 1024
_KEYS: Final = tuple(setting.key for setting in SETTINGS)


class Mode(StrEnum):
    """What the process is asked to do."""

    SERVE = "serve"
    CHECK = "check"
    ONCE = "once"
    DOCTOR = "doctor"
    VERSION = "version"
    HELP = "help"


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
                self._problem(f"is not a flag; {_meant_by(argument)}")

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
            self.problems.append(Problem(setting.path, _NO_KEY_FLAG, flag))
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
                f"is not a flag of the exporter; {f'did you mean {close}?' if close else '--help lists all of them'}"
            )
        elif _KEY_WORD.search(bare):
            self.problems.append(Problem((bare,), _NO_KEY_FLAG, name, meant=REQUIRED))
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


def _meant_by(argument: str) -> str:
    """Return what a person may have meant by an argument that is no flag and stands behind none."""
    flag = f"--{argument.lower()}"
    if flag in _MODES:
        return f"did you mean {flag}?"
    if argument.startswith(_DASHES):
        return "it begins with a typographic dash, which word processors make of --; type two hyphens"
    hint = ", a configuration file after --config.file" if argument.endswith(_YAML) else ""
    return f"write a value after its flag{hint}"


class Environment(Layer):
    """The settings given by variables."""

    def __init__(
        self, values: Mapping[KeyPath, str], names: Mapping[KeyPath, str], problems: Sequence[Problem], warning: str
    ) -> None:
        super().__init__({path: value for path, value in values.items() if path != CONFIG_FILE}, problems)
        self.names = names
        """The variable that gives each setting, in the letters in which it was given."""
        self.config_file = values.get(CONFIG_FILE)
        """The file that a variable names, as written; None where none does."""
        self.warnings = (warning,) if warning else ()

    def origin(self, path: Sequence[str | int]) -> str:
        return self.names[key_path(path)]


def read_environment(environment: Mapping[str, str]) -> Environment:
    """Read the variables of the exporter's own name, in any case of letters, and nothing else."""
    paths = {setting.variable: setting.path for setting in reference()}
    values: dict[KeyPath, str] = {}
    names: dict[KeyPath, str] = {}
    problems: list[Problem] = []
    ignored: list[str] = []
    for name in sorted(environment):
        path = paths.get(name.upper())
        if path is not None and path in names:
            problems.append(Problem(path, f"is given by {names[path]} too; the case of letters does not matter", name))
        elif path is not None:
            values[path], names[path] = environment[name], name
        # A Service named exporter-… makes Kubernetes set EXPORTER_…_PORT and the like in every pod of its namespace.
        elif _is_service(name.upper(), environment[name]):
            ignored.append(name)
        elif name.upper().startswith(PREFIX):
            problems.append(_unknown(name, paths))
    for path, twin in _TWINS:
        if path not in names and twin in environment:
            values[path], names[path] = environment[twin], twin
    return Environment(values, names, problems, _service_warning(ignored))


def _is_service(name: str, value: str) -> bool:
    """Return whether Kubernetes injected the variable for a Service whose name begins with `exporter`.

    Its `…_PORT` holds an address such as `tcp://10.0.0.1:80`; one with a bare number is a person's.
    """
    if _SERVICE.fullmatch(name) is None or name.startswith(_OWN):
        return False
    return _PORT_OF_SERVICE.fullmatch(name) is None or "://" in value


def _unknown(name: str, paths: Mapping[str, KeyPath]) -> Problem:
    if _VARIABLE.fullmatch(name) is None:
        # It may be a key in the wrong place, so it is not repeated.
        return Problem(("environment",), f"a variable that begins with {PREFIX} {_NO_VARIABLE}", meant=REQUIRED)
    bare = name[len(PREFIX) :].lower()
    path = tuple(bare.split("__"))
    if f"--{bare}" in _MODES:
        return Problem(path, f"is a flag, not a variable; write --{bare}", name)
    if _PORT_OF_SERVICE.fullmatch(name.upper()):
        return Problem(path, f"no such setting; did you mean {PREFIX}WEB__LISTEN_ADDRESS, such as :10154?", name)
    if names_in(bare):
        variables = [f"{PREFIX}{bare.upper()}__{each.upper()}" for each in names_in(bare)]
        return Problem(path, f"is a group; set one of {', '.join(variables)}", name)
    siblings = {each: place for each, place in paths.items() if each.startswith(f"{PREFIX}{path[0].upper()}__")}
    return unknown(path, name, siblings or paths, name)


def _service_warning(names: Sequence[str]) -> str:
    text = "Kubernetes injects such variables for Services; set enableServiceLinks: false on the pod to be rid of them"
    return f"passed over {', '.join(names)}: {text}" if names else ""


def read_authorities(path: Path, inputs: Inputs) -> Authorities:
    """Return the certificates of the file; raise ValueError, with a phrase that follows its name, where it has none."""
    try:
        content = inputs.read(path, LARGEST_BUNDLE).content
    except OSError as exc:
        raise ValueError(f"cannot be read {why_unread(path, exc)}") from None
    return parse_authorities(content)


def misnamed(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that gives a setting another prefix than the exporter's.

    Other programs may have use of it, so it stops nothing.
    """
    for name in _without_twins(environment):
        prefix, _, key = name.partition("_")
        ours = f"{PREFIX}SENDGRID__{key}"
        if prefix == "SENDGRID" and key.lower() in names_in("sendgrid") and ours not in environment:
            yield f"{name}: set, but not read here; set {ours}"


def nearly_the_key(environment: Mapping[str, str]) -> str | None:
    """Return the variable that somebody may have meant to give the key by, if there is one."""
    return next(filter(_NEARLY_THE_KEY.fullmatch, _without_twins(environment)), None)


def _without_twins(environment: Mapping[str, str]) -> Sequence[str]:
    """Return the variables' names, except those that are read although they have another prefix."""
    return sorted(environment.keys() - {twin for _, twin in _TWINS})


def hints(environment: Mapping[str, str], sendgrid: SendGridSettings, inputs: Inputs) -> Iterator[str]:
    """Yield a sentence for each variable that names no usable authority, or that is set and not read.

    OpenSSL passes over a wrong `SSL_CERT_FILE` without a word, and the variables of curl and requests would send the
    key through whatever the shell happens to name, so they are not read.
    """
    if is_loopback(sendgrid.base_url):
        return
    if sendgrid.ca_file is None and _is_encrypted(sendgrid):
        yield from _useless(environment, inputs)
        yield from _unread(environment, _BUNDLES, "sendgrid.ca_file to trust the authorities of a file")
    if sendgrid.proxy is None and not _bypassed(environment, sendgrid.base_url):
        yield from _unread(environment, _PROXIES, "sendgrid.proxy to go through a proxy")


def _is_encrypted(sendgrid: SendGridSettings) -> bool:
    return any(address.startswith("https:") for address in (sendgrid.base_url, sendgrid.proxy or ""))


def _useless(environment: Mapping[str, str], inputs: Inputs) -> Iterator[str]:
    if file := environment.get("SSL_CERT_FILE"):
        try:
            read_authorities(Path(file), inputs)
        except ValueError as exc:
            yield f"SSL_CERT_FILE: {shown_path(Path(file))} {exc}; or set sendgrid.ca_file"
    if folders := environment.get("SSL_CERT_DIR"):
        missing = [folder for folder in folders.split(os.pathsep) if not Path(folder).is_dir()]
        if missing:
            names = ", ".join(shown_path(Path(folder)) for folder in missing)
            yield f"SSL_CERT_DIR: {names} is not a directory; correct it, or set sendgrid.ca_file"


def _unread(environment: Mapping[str, str], names: tuple[str, ...], advice: str) -> Iterator[str]:
    found = [name for name in names if environment.get(name)]
    if found:
        yield f"{', '.join(found)}: set, but not read here; set {advice}"


def _bypassed(environment: Mapping[str, str], url: str) -> bool:
    """Return whether the variables themselves leave the host out: by its name, by a domain above it, or by `*`."""
    exceptions = next((environment[name] for name in _EXCEPTIONS if environment.get(name)), "")
    names = {name.strip().lstrip(".").lower() for name in exceptions.split(",")} - {""}
    host = urlsplit(url).hostname or ""
    return "*" in names or any(f".{host}".endswith(f".{name}") for name in names)


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


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each part of the file stands."""

    name: str
    line_of: Callable[[Sequence[str | int]], int]

    def of(self, path: Sequence[str | int]) -> str:
        """Return file:line of the deepest node on the path."""
        return f"{self.name}:{self.line_of(path)}"


def read_config_file(path: Path, origin: str, inputs: Inputs) -> ConfigFile:
    """Read and take apart the file, which `origin` names; what is wrong with it goes to its problems."""
    from exporter.web.toolkit.strict_yaml import YamlError, decoded, read_values  # noqa: PLC0415  # 1 MB, for a file

    name = shown_path(path)
    try:
        source = inputs.read(path, _LARGEST)
        if len(source.content) > _LARGEST:
            return unreadable(f"{name} is larger than {_LARGEST // 1024 // 1024} MiB", origin)
        read = read_values(decoded(source.content))
    except OSError as exc:
        return unreadable(f"cannot read {name} {why_unread(path, exc)}", origin)
    except YamlError as exc:
        return unreadable(f"{name} is not valid YAML: {exc}", origin)
    lines = Lines(name, read.line_of)
    problems = [
        Problem(
            [*each.path[:-1], printable(each.path[-1]) or "a key"],
            f"is given twice, first in line {each.first_line}",
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
            yield _unknown_keys((), name, [*names, *_KEYS], lines)
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
            yield _unknown_keys((group,), name, [dotted((group, key)) for key in names_in(group)], lines)
        elif value is not None:
            values[(group, str(name))] = value


def _unknown_keys(group: KeyPath, name: object, candidates: list[str], lines: Lines) -> Problem:
    shown = printable(name)
    if shown is None:
        text = "holds a key that is not the name of a setting; --help lists all of them"
        return Problem(group or CONFIG_FILE, text, lines.of((*group, str(name))), meant=REQUIRED)
    path = (*group, shown)
    if not group and shown in _KEYS:
        outer, _, inner = shown.partition(".")
        text = f"the group and the key are two levels of the file: write {outer}: {{{inner}: …}}"
        meant = {API_KEY, API_KEY_FILE} if (outer, inner) in (API_KEY, API_KEY_FILE) else {(outer, inner)}
        return Problem(path, text, lines.of(path), frozenset(meant))
    return unknown(path, dotted(path), {each: tuple(each.split(".")) for each in candidates}, lines.of(path))
