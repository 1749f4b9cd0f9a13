"""From a command line and an environment to checked settings, or to every problem at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from exporter.clock import SystemClock
from exporter.domain import Automation, DiscoveryMode
from exporter.errors import ConfigurationError
from exporter.inputs import Authorities, Inputs, read_input
from exporter.settings import values
from exporter.settings.automations import AUTOMATIONS
from exporter.settings.layers import Layer, Layers, Merged, Presets, merge
from exporter.settings.reference import API_KEY, API_KEY_FILE, CONFIG_FILE, PROXY
from exporter.settings.schema import Settings
from exporter.settings.sources import (
    ConfigFile,
    Environment,
    Flags,
    Mode,
    hints,
    misnamed,
    nearly_the_key,
    read_authorities,
    read_config_file,
    read_environment,
    read_flags,
    unreadable,
)
from exporter.settings.values import (
    KeyPath,
    Problem,
    duration_text,
    is_loopback,
    shown_path,
    without_password,
)
from exporter.web.toolkit.files import Input, exposure, why_unread

DEMO_INTERVAL: Final = 2.0
"""Seconds between two polls in a demo, short enough to watch."""
DEMO_STATISTICS_INTERVAL: Final = 10.0
"""Seconds between two readings of the list of automations in a demo."""

_LEAST: Final = 10.0
_LEAST_ON_LOOPBACK: Final = 1.0
"""Seconds between two polls of one automation."""
_BASE_URL: Final = ("sendgrid", "base_url")
_CA_FILE: Final = ("sendgrid", "ca_file")
_INTERVAL: Final = ("poll", "interval")
_STALE_AFTER: Final = ("poll", "stale_after")
_STATE: Final = ("state", "path")
_MODE: Final = ("discovery", "mode")
_DISCOVERY_INTERVAL: Final = ("discovery", "interval")
_STATISTICS_INTERVAL: Final = ("statistics", "interval")
_INDEX: Final = ("shard", "index")
_TOTAL: Final = ("shard", "total")
_DEMO: Final[Mapping[KeyPath, object]] = {
    _INTERVAL: DEMO_INTERVAL,
    _STATISTICS_INTERVAL: DEMO_STATISTICS_INTERVAL,
    _DISCOVERY_INTERVAL: DEMO_STATISTICS_INTERVAL,
    _BASE_URL: "http://127.0.0.1",
}
_NOT_IN_DEMO: Final[tuple[KeyPath, ...]] = (
    AUTOMATIONS,
    API_KEY,
    API_KEY_FILE,
    _BASE_URL,
    PROXY,
    _CA_FILE,
)
_ORDINAL: Final = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one command line, environment and file ask for."""

    mode: Mode
    demo: bool = False
    settings: Settings | None = None
    """None for help and version only."""
    config_file: Path | None = None
    warnings: tuple[str, ...] = ()
    """Sentences for the log; none of them stops the start."""


def load(arguments: Sequence[str], environment: Mapping[str, str], inputs: Inputs | None = None) -> Invocation:
    """Return what is asked for; raise ConfigurationError with every problem, none of which shows a secret.

    Apart from the arguments, only the files that they name are read, each once, so that a second call is a reload.
    It is given the `inputs` of the first one, which know what cannot be read again.
    """
    inputs = inputs or Inputs(SystemClock())
    flags = read_flags(arguments)
    if flags.mode in (Mode.HELP, Mode.VERSION):
        return Invocation(flags.mode)
    variables = read_environment(environment)
    path, file = _config_file(flags, variables, inputs)
    written = Layers(flags, variables, file, Presets(_DEMO if flags.demo else {}))
    layers = written.each(lambda layer: _with_ordinal(_with_discovery(layer), environment.get("POD_NAME", "")))
    unused = _unused_in_demo(layers) if flags.demo else []
    if flags.demo:
        layers = layers.without(_NOT_IN_DEMO)
    merged = merge(layers)
    settings = merged.settings
    found, unusable = (None, None) if flags.demo else _found_key(settings.sendgrid.api_key_file, inputs)
    authorities, useless = _authorities(settings.sendgrid.ca_file, inputs)
    failed = merged.failed | {tuple(map(str, each.path)) for each in (*flags.problems, *variables.problems)}
    failed |= {path for each in (*flags.problems, *variables.problems, *file.problems) for path in each.meant}
    # Both may stand in a file that cannot be read: reporting them as missing would mislead.
    if not file.readable:
        failed |= {AUTOMATIONS, API_KEY}
    if contradictions := list(_contradicted(written)):
        failed |= {AUTOMATIONS}
    needs_automations = not flags.demo and flags.mode is not Mode.DOCTOR
    case = _Case(
        merged,
        layers,
        failed,
        file,
        found,
        unusable,
        useless,
        flags.demo,
        needs_automations,
        nearly_the_key(environment),
    )
    problems = [*flags.problems, *variables.problems, *file.problems, *contradictions, *merged.problems]
    problems += _problems(case)
    if problems:
        raise ConfigurationError([str(problem) for problem in problems])
    read = {"authorities": authorities, "key_of_file": found.key if found else None}
    warnings = (*variables.warnings, *unused, *_warnings(case), *misnamed(environment))
    warnings += tuple(hints(environment, settings.sendgrid, inputs))
    return Invocation(flags.mode, flags.demo, settings.model_copy(update=read), path, warnings)


def read_key_file(path: Path) -> SecretStr:
    """Return the key that the file holds now; raise ConfigurationError, without the content, when it holds none."""
    try:
        return _key_in(path, read_input(path, values.LONGEST_KEY + 1)).key
    except (OSError, ValueError) as exc:
        # Raised outside of the handler: its exception must not become the context of this one.
        problem = f"sendgrid.api_key_file: {_why_unusable(path, exc)}"
    raise ConfigurationError([problem])


def _config_file(flags: Flags, variables: Environment, inputs: Inputs) -> tuple[Path | None, ConfigFile]:
    if flags.config_file is not None:
        written, origin = flags.config_file, "--config.file"
    elif variables.config_file is not None:
        written, origin = variables.config_file, variables.origin(CONFIG_FILE)
    else:
        return None, ConfigFile()
    try:
        path = values.path(written)
    except ValueError as exc:
        return None, unreadable(str(exc), origin)
    return path, read_config_file(path, origin, inputs)


def _with_ordinal(layer: Layer, pod_name: str) -> Layer:
    """Return the layer with the number that ends the pod's name for `pod`; without one, `pod` stays and is refused."""
    ordinal = _ORDINAL.search(pod_name)
    if layer.values.get(_INDEX) != "pod" or ordinal is None:
        return layer
    return layer.with_values({**layer.values, _INDEX: ordinal.group()})


def _with_discovery(layer: Layer) -> Layer:
    """Return the layer with what `automations: all` is short for; it wins over the mode of a weaker layer."""
    if not _asks_for_all(layer):
        return layer
    return layer.with_values({_MODE: DiscoveryMode.POLL.value, **layer.values, AUTOMATIONS: []})


def _asks_for_all(layer: Layer) -> bool:
    written = layer.values.get(AUTOMATIONS)
    word = written[0] if isinstance(written, list) and len(written) == 1 else written
    return isinstance(word, str) and word.strip().lower() == "all"


def _contradicted(layers: Layers) -> Iterator[Problem]:
    """Yield a problem for each source that asks for all automations, and for another mode of discovery too."""
    for layer in layers.written:
        mode = layer.values.get(_MODE, DiscoveryMode.POLL.value)
        if _asks_for_all(layer) and str(mode).strip().lower() != DiscoveryMode.POLL:
            text = "is all, which polls whatever the account has, but discovery.mode is not poll; leave one of them out"
            yield Problem(AUTOMATIONS, text, layer.origin(AUTOMATIONS))


def _unused_in_demo(layers: Layers) -> list[str]:
    return [
        str(Problem(path, "is not used with --demo", layers.origin(path)))
        for path in _NOT_IN_DEMO
        if layers.given(path)
    ]


@dataclass(frozen=True, slots=True)
class _FoundKey:
    """A key, and the file that it was read from."""

    key: SecretStr
    source: Input


def _found_key(path: Path | None, inputs: Inputs) -> tuple[_FoundKey | None, str | None]:
    """Return the key that the file or pipe holds, or why it cannot be used, without the content."""
    if path is None:
        return None, None
    try:
        return _key_in(path, inputs.read(path, values.LONGEST_KEY + 1)), None
    except (OSError, ValueError) as exc:
        return None, _why_unusable(path, exc)


def _key_in(path: Path, source: Input) -> _FoundKey:
    try:
        return _FoundKey(values.api_key(source.content.decode("utf-8-sig")), source)
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text; write the key alone into it"
    except ValueError as exc:
        problem = str(exc)
    raise ValueError(f"{shown_path(path)} is not a key file: {problem}")


def _why_unusable(path: Path, exc: OSError | ValueError) -> str:
    if isinstance(exc, OSError):
        return f"cannot read {shown_path(path)} {why_unread(path, exc)}"
    return str(exc)


def _authorities(path: Path | None, inputs: Inputs) -> tuple[Authorities | None, str | None]:
    """Return the authorities of the file, or what is wrong with it."""
    try:
        return read_authorities(path, inputs) if path else None, None
    except ValueError as exc:
        return None, f"{shown_path(path)} {exc}" if path else None


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules between settings look at; a rule is passed over when a value that it needs has failed already."""

    merged: Merged
    layers: Layers
    failed: frozenset[KeyPath]
    file: ConfigFile
    found: _FoundKey | None
    """The key that `sendgrid.api_key_file` holds."""
    unusable: str | None
    """Why there is none."""
    useless: str | None
    """What is wrong with `sendgrid.ca_file`."""
    demo: bool
    needs_automations: bool
    nearly_the_key: str | None
    """A variable that is not read, and whose name resembles the key's."""

    @property
    def settings(self) -> Settings:
        """The settings, with defaults for those that failed."""
        return self.merged.settings

    @property
    def automations(self) -> Iterator[tuple[int, Automation]]:
        """The automations that can be read, each with its place in what was written."""
        return zip(self.merged.entries.positions, self.merged.entries.automations, strict=True)

    def sound(self, *paths: KeyPath) -> bool:
        """Return whether none of the settings has failed."""
        return self.failed.isdisjoint(paths)

    def problem(self, path: tuple[str | int, ...], text: str) -> Problem:
        """Return the problem with the place where the value was written."""
        return Problem(path, text, self.layers.origin(path))


def _problems(case: _Case) -> Iterator[Problem]:
    """Yield everything that is wrong between the settings."""
    yield from _some_automation(case)
    yield from _key_or_file(case)
    yield from _intervals(case)
    yield from _stale_after(case)
    yield from _state_path(case)
    if case.sound(_INDEX, _TOTAL) and case.settings.shard.index >= case.settings.shard.total:
        yield case.problem(_INDEX, f"must be below shard.total, which is {case.settings.shard.total}; the first is 0")
    if case.useless is not None:
        yield case.problem(_CA_FILE, case.useless)


def _warnings(case: _Case) -> Iterator[str]:
    """Yield what works, but hardly as it was meant."""
    url = case.settings.sendgrid.base_url
    if url.startswith("http://") and not is_loopback(url):
        yield str(case.problem(_BASE_URL, "sends the key unencrypted; use https:// outside of tests"))
    proxy = case.settings.sendgrid.proxy
    if PROXY in case.layers.flags.values and proxy and proxy != without_password(proxy):
        yield str(case.problem(PROXY, "shows its password in the process list; use EXPORTER_SENDGRID__PROXY"))
    if not case.demo:
        yield from _odd_key(case)
        yield from _exposed(case)


def _some_automation(case: _Case) -> Iterator[Problem]:
    if any(case.automations) or not case.needs_automations or not case.sound(AUTOMATIONS):
        return
    if case.sound(_TOTAL) and case.settings.shard.total > 1:
        return
    if not case.sound(_MODE) or case.settings.discovery.mode is not DiscoveryMode.OFF:
        return
    text = (
        "none to poll; list their ids in the configuration file, or in EXPORTER_AUTOMATIONS with commas, or say all; "
        "--doctor shows which the account has"
    )
    yield case.problem(AUTOMATIONS, text)


def _key_or_file(case: _Case) -> Iterator[Problem]:
    if case.demo:
        return
    if case.layers.given(API_KEY) and case.layers.given(API_KEY_FILE):
        yield case.problem(API_KEY, f"is given together with {case.layers.origin(API_KEY_FILE)}; keep one of them")
    elif not case.layers.given(API_KEY) and not case.layers.given(API_KEY_FILE) and case.sound(API_KEY):
        text = "no key; set SENDGRID_API_KEY, or SENDGRID_API_KEY_FILE to the file that holds it"
        yield Problem(API_KEY, text + (f"; {case.nearly_the_key} is not read" if case.nearly_the_key else ""))
    if case.unusable is not None:
        yield case.problem(API_KEY_FILE, case.unusable)


def _state_path(case: _Case) -> Iterator[Problem]:
    """Names are compared, not files: the state file's disk may hang. What stands in the file is looked at later."""
    others = (
        (case.file.path, "the configuration file"),
        (case.settings.sendgrid.api_key_file, "the key file"),
        (case.settings.web.config_file, "the web config file"),
    )
    state = case.settings.state.path
    same = [what for path, what in others if path and state and Path.cwd() / path == Path.cwd() / state]
    for what in same:
        yield case.problem(_STATE, f"is {what}, which would be overwritten; name another file")


def _odd_key(case: _Case) -> Iterator[str]:
    path, key = (API_KEY_FILE, case.found.key) if case.found else (API_KEY, case.settings.sendgrid.api_key)
    odd = values.key_oddity(key) if key is not None else None
    if odd is not None:
        yield str(case.problem(path, f"the key {odd}; SendGrid answers 401 when it is wrong"))


def _exposed(case: _Case) -> Iterator[str]:
    """Yield a warning for each file with a secret that others of this machine may read."""
    file, found = case.settings.sendgrid.api_key_file, case.found
    if file and found and (text := exposure(file, found.source.details, group=True)):
        yield str(case.problem(API_KEY_FILE, text))
    path, source = case.file.path, case.file.source
    proxy = str(case.file.values.get(PROXY))
    secret = API_KEY if API_KEY in case.file.values else PROXY if "@" in proxy else None
    if path and source and secret and (text := exposure(path, source.details)):
        yield str(case.problem(secret, f"is in the file, and {text}"))


def _intervals(case: _Case) -> Iterator[Problem]:
    near = not case.sound(_BASE_URL) or is_loopback(case.settings.sendgrid.base_url)
    least = _LEAST_ON_LOOPBACK if near else _LEAST
    text = f"must be at least {duration_text(least)}"
    if not near:
        text += f" ({duration_text(_LEAST_ON_LOOPBACK)} only where sendgrid.base_url is a loopback address)"
    for path in (_INTERVAL, _DISCOVERY_INTERVAL, _STATISTICS_INTERVAL):
        if getattr(getattr(case.settings, path[0]), path[1]) < least:
            yield case.problem(path, text)
    for index, automation in case.automations:
        if automation.interval < least and automation.interval != case.settings.poll.interval:
            yield case.problem((*AUTOMATIONS, index, "interval"), text)


def _stale_after(case: _Case) -> Iterator[Problem]:
    stale_after = case.settings.poll.stale_after
    if stale_after is None or not case.sound(_INTERVAL):
        return
    longest = case.settings.poll.interval if not any(case.automations) else 0.0
    name = "poll.interval"
    for index, automation in case.automations:
        if automation.interval > longest:
            longest = automation.interval
            own = automation.interval != case.settings.poll.interval
            name = f"automations[{index}].interval" if own else "poll.interval"
    if stale_after < longest:
        yield case.problem(_STALE_AFTER, f"must be at least {name}, which is {duration_text(longest)}")
