"""The command line: arguments and signals in, output and exit codes out."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from exporter.about import DISTRIBUTION, about
from exporter.app import App
from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationId
from exporter.errors import ConfigurationError, StartError
from exporter.settings import Invocation, Mode, Settings, help_text, load, redacted
from exporter.web.watch import validate

_DONE: Final = 0
_FAILED: Final = 1
_MISUSED: Final = 2


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments and the environment ask for; return the exit code."""
    try:
        invocation = load(arguments, os.environ)
        with _settings_source(arguments, invocation) as settings:
            return _run(invocation, settings)
    except ConfigurationError as exc:
        for problem in exc.problems:
            _complain(problem)
        _complain("nothing was started; --help lists every setting")
        return _MISUSED
    except StartError as exc:
        _complain(str(exc))
        return _FAILED


def _run(invocation: Invocation, settings: Callable[[], Settings]) -> int:
    match invocation.mode:
        case Mode.HELP:
            sys.stdout.write(help_text())
        case Mode.VERSION:
            known = about()
            sys.stdout.write(
                f"{DISTRIBUTION} {known.version} (revision {known.revision}, Python {known.python_version})\n"
            )
        case Mode.CHECK:
            _warn(invocation)
            return _check(settings())
        case Mode.ONCE:
            _warn(invocation)
            return _once(App(settings, clock=SystemClock()))
        case Mode.SERVE:
            _warn(invocation)
            return _serve(App(settings, clock=SystemClock()))
    return _DONE


def _check(settings: Settings) -> int:
    for warning in validate(settings.web.config_file) if settings.web.config_file else ():
        _complain(f"warning: {warning}")
    sys.stdout.write(redacted(settings))
    return _DONE


def _once(app: App) -> int:
    with _signals({signal.SIGTERM: app.stop.set, signal.SIGINT: app.stop.set}):
        text, failed = app.once()
    sys.stdout.write(text)
    sys.stdout.flush()
    for automation, outcome in failed:
        _complain(f"automation {automation.id} failed: {outcome}")
    return _FAILED if failed and not app.stop.is_set() else _DONE


def _serve(app: App) -> int:
    handlers = {signal.SIGTERM: app.stop.set, signal.SIGINT: app.stop.set, signal.SIGHUP: app.reload_asked.set}
    with _signals(handlers):
        reason = app.serve()
    if reason is not None:
        _complain(reason)
    return _DONE if reason is None else _FAILED


@contextmanager
def _settings_source(arguments: Sequence[str], invocation: Invocation) -> Iterator[Callable[[], Settings]]:
    """Give what reads the settings, now and at each reload; a demo has its simulated SendGrid meanwhile."""
    if not invocation.demo or invocation.mode in {Mode.HELP, Mode.VERSION}:
        yield lambda: _loaded(arguments)
        return
    from exporter.simulator import Simulator, demo_automations, recent_start  # noqa: PLC0415  # only a demo needs it

    with Simulator(demo_automations(started=recent_start(SystemClock().time())), rate_limit=0) as simulator:

        def demo() -> Settings:
            settings = _loaded(arguments)
            automations = [
                Automation(AutomationId(each.id), each.name, settings.poll.interval) for each in simulator.automations
            ]
            return settings.with_demo(base_url=simulator.base_url, api_key=simulator.api_key, automations=automations)

        yield demo


def _loaded(arguments: Sequence[str]) -> Settings:
    settings = load(arguments, os.environ).settings
    if settings is None:
        raise ConfigurationError(["the arguments ask for help, not for a run"])
    return settings


@contextmanager
def _signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Let the signals do this meanwhile; Python as process 1 would otherwise ignore SIGTERM."""

    def handler(number: int, _: FrameType | None) -> None:
        handlers[signal.Signals(number)]()

    former = {number: signal.signal(number, handler) for number in handlers}
    try:
        yield
    finally:
        for number, action in former.items():
            signal.signal(number, action)


def _warn(invocation: Invocation) -> None:
    for warning in invocation.warnings:
        _complain(f"warning: {warning}")


def _complain(text: str) -> None:
    sys.stderr.write(f"{DISTRIBUTION}: {text}\n")
