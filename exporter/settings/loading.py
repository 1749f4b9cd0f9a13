"""From a command line and an environment to checked settings, or to every problem at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from exporter.authorities import Authorities
from exporter.clock import SystemClock
from exporter.domain import Automation
from exporter.errors import ConfigurationError
from exporter.inputs import Inputs
from exporter.settings import rules
from exporter.settings.api_key import FoundKey, find_key, shown_path, unreadable
from exporter.settings.arguments import CommandLine, read_arguments
from exporter.settings.automations import read_automations
from exporter.settings.catalogue import API_KEY, API_KEY_FILE, AUTOMATIONS, CONFIG_FILE, KeyPath
from exporter.settings.document import Document, read_document
from exporter.settings.environment import Environment, read_environment
from exporter.settings.layers import Layer, Layers
from exporter.settings.model import Invocation, Mode, Settings
from exporter.settings.problems import Problem
from exporter.settings.sources import Given, gather
from exporter.settings.surroundings import hints, read_authorities
from exporter.settings.values import path as path_of

DEMO_INTERVAL: Final = 2.0
"""Seconds between two polls in a demo, short enough to watch."""

_DEMO: Final[Mapping[str, Mapping[str, object]]] = {
    "poll": {"interval": DEMO_INTERVAL},
    "sendgrid": {"base_url": "http://127.0.0.1"},
}
_CA_FILE: Final = ("sendgrid", "ca_file")
_NOT_IN_DEMO: Final[tuple[KeyPath, ...]] = (
    AUTOMATIONS,
    API_KEY,
    API_KEY_FILE,
    ("sendgrid", "base_url"),
    ("sendgrid", "proxy"),
    _CA_FILE,
)
_INDEX: Final = ("shard", "index")
_ORDINAL: Final = re.compile(r"[0-9]{1,9}\Z")


def load(arguments: Sequence[str], environment: Mapping[str, str], inputs: Inputs | None = None) -> Invocation:
    """Return what is asked for; raise ConfigurationError with every problem, none of which shows a secret.

    Apart from the arguments, only the files that they name are read, each once, so that a second call is a reload.
    It is given the `inputs` of the first one, which know what cannot be read again.
    """
    inputs = inputs or Inputs(SystemClock())
    line = read_arguments(arguments)
    if line.mode in (Mode.HELP, Mode.VERSION):
        return Invocation(line.mode)
    variables = read_environment(environment)
    config_file, document = _document(line, variables, inputs)
    layers, unused = _layers(line, variables, document, environment.get("POD_NAME", ""))
    given, wrong, failed = gather(layers)
    entries = read_automations(given.automations if layers.given(AUTOMATIONS) else [], interval=given.poll.interval)
    failed |= {tuple(str(part) for part in problem.path) for problem in (*line.problems, *variables.problems)}
    if not document.readable:
        failed |= {AUTOMATIONS, API_KEY}
    found, unusable = (None, None) if line.demo else _found_key(given.sendgrid.api_key_file, inputs)
    case = rules.Case(given, entries, layers, failed, document, found, unusable, demo=line.demo)
    authorities, useless = _authorities(given, layers, inputs)
    problems = [*line.problems, *variables.problems, *document.problems, *wrong, *rules.problems(case), *useless]
    if problems:
        raise ConfigurationError([str(problem) for problem in problems])
    settings = _settings(given, tuple(entries.automations), found, authorities)
    warnings = (*variables.warnings, *unused, *rules.warnings(case), *hints(environment, given.sendgrid, inputs))
    return Invocation(line.mode, line.demo, settings, config_file, warnings)


def _layers(
    line: CommandLine, variables: Environment, document: Document, pod_name: str
) -> tuple[Layers, tuple[str, ...]]:
    """Return the sources, and a warning for each key that the demo puts aside."""
    layers = Layers(line.layer(), variables.layer(), document.layer(), _DEMO if line.demo else {})
    layers = layers.each(lambda layer: _with_ordinal(layer, pod_name))
    if not line.demo:
        return layers, ()
    return layers.without(_NOT_IN_DEMO), tuple(_unused_in_demo(layers))


def _document(line: CommandLine, variables: Environment, inputs: Inputs) -> tuple[Path | None, Document]:
    for values, origin in ((line.values, "--config.file"), (variables.values, variables.names.get(CONFIG_FILE, ""))):
        if CONFIG_FILE in values:
            try:
                path = path_of(values[CONFIG_FILE])
            except ValueError as exc:
                return None, Document(problems=(Problem(CONFIG_FILE, str(exc), origin),), readable=False)
            return path, read_document(path, origin, inputs)
    return None, Document()


def _with_ordinal(layer: Layer, pod_name: str) -> Layer:
    """Return the layer with the number that ends the pod's name for `pod`; without one, `pod` stays and is refused."""
    ordinal = _ORDINAL.search(pod_name)
    if layer.values.get(_INDEX) != "pod" or ordinal is None:
        return layer
    return replace(layer, values={**layer.values, _INDEX: ordinal.group()})


def _unused_in_demo(layers: Layers) -> list[str]:
    return [
        str(Problem(path, "is not used with --demo", layers.origin(path)))
        for path in _NOT_IN_DEMO
        if layers.given(path)
    ]


def _authorities(given: Given, layers: Layers, inputs: Inputs) -> tuple[Authorities | None, tuple[Problem, ...]]:
    """Return the authorities of the file, or what is wrong with it."""
    path = given.sendgrid.ca_file
    if path is None:
        return None, ()
    try:
        return read_authorities(path, inputs), ()
    except ValueError as exc:
        return None, (Problem(_CA_FILE, f"{shown_path(path)} {exc}", layers.origin(_CA_FILE)),)


def _found_key(path: Path | None, inputs: Inputs) -> tuple[FoundKey | None, str | None]:
    """Return the key that the file holds, or why it cannot be used."""
    if path is None:
        return None, None
    try:
        return find_key(path, inputs), None
    except (OSError, ValueError) as exc:
        return None, unreadable(path, exc)


def _settings(
    given: Given, automations: tuple[Automation, ...], found: FoundKey | None, authorities: Authorities | None
) -> Settings:
    return Settings(
        automations=automations,
        authorities=authorities,
        sendgrid=given.sendgrid,
        poll=given.poll,
        labels=given.labels,
        web=given.web,
        log=given.log,
        state=given.state,
        shard=given.shard,
        key_of_file=found.key if found else None,
    )
