"""The command line: arguments and signals in, output and exit codes out."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from exporter.about import DISTRIBUTION, about
from exporter.app import App
from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationId
from exporter.errors import ConfigurationError, StartError
from exporter.settings import Invocation, Mode, Settings, help_text, load, redacted
from exporter.signals import Signals
from exporter.web.watch import validate

_DONE: Final = 0
_FAILED: Final = 1
_MISUSED: Final = 2


def run(arguments: Sequence[str], signals: Signals) -> int:
    """Do what the arguments and the environment ask for; return the exit code."""
    try:
        invocation = load(arguments, os.environ)
        with _settings_source(arguments, invocation) as settings:
            return _run(invocation, settings, signals)
    except ConfigurationError as exc:
        for problem in exc.problems:
            _complain(problem)
        _complain("nothing was started; --help lists every setting")
        return _MISUSED
    except StartError as exc:
        _complain(str(exc))
        return _FAILED


def _run(invocation: Invocation, settings: Callable[[], Settings], signals: Signals) -> int:
    match invocation.mode:
        case Mode.HELP:
            return _DONE if _print(help_text()) else _FAILED
        case Mode.VERSION:
            known = about()
            text = f"{DISTRIBUTION} {known.version} (revision {known.revision}, Python {known.python_version})\n"
            return _DONE if _print(text) else _FAILED
        case Mode.CHECK:
            _warn(invocation)
            return _check(settings())
        case Mode.ONCE:
            _warn(invocation)
            return _once(App(settings, clock=SystemClock(), signals=signals))
        case Mode.SERVE:
            _warn(invocation)
            return _serve(App(settings, clock=SystemClock(), signals=signals))


def _check(settings: Settings) -> int:
    for warning in validate(settings.web.config_file) if settings.web.config_file else ():
        _complain(f"warning: {warning}")
    return _DONE if _print(redacted(settings)) else _FAILED


def _once(app: App) -> int:
    text, failed = app.once()
    printed = _print(text)
    for automation, outcome in failed:
        _complain(f"automation {automation.id} failed: {outcome}")
    return _FAILED if failed or not printed else _DONE


def _serve(app: App) -> int:
    reason = app.serve()
    if reason is not None:
        _complain(reason)
    return _DONE if reason is None else _FAILED


def _print(text: str) -> bool:
    """Write to stdout in UTF-8, whatever the locale; return whether it was taken. Who stopped reading has enough."""
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError) as exc:
        _complain(f"the output cannot be written ({exc})")
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


@contextmanager
def _settings_source(arguments: Sequence[str], invocation: Invocation) -> Iterator[Callable[[], Settings]]:
    """Give what reads the settings, now and at each reload; a demo has its simulated SendGrid meanwhile."""
    if not invocation.demo or invocation.mode in {Mode.HELP, Mode.VERSION}:
        yield lambda: _loaded(arguments)
        return
    from sendgrid_simulator import Simulator, demo_automations  # noqa: PLC0415  # only a demo needs it

    with Simulator(demo_automations(), rate_limit=0) as simulator:

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


def _warn(invocation: Invocation) -> None:
    for warning in invocation.warnings:
        _complain(f"warning: {warning}")


def _complain(text: str) -> None:
    sys.stderr.write(f"{DISTRIBUTION}: {text}\n")
