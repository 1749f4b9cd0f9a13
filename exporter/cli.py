"""The command line: arguments and signals in, output and exit codes out."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from traceback import format_exc
from typing import Final

from exporter.about import DISTRIBUTION, about
from exporter.account.discovery import asked
from exporter.app import App, state_file_warning
from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationId
from exporter.errors import ConfigurationError, StartError, StoppedError, counted
from exporter.inputs import Inputs
from exporter.logs import LineWriter, log_uncaught, write_all
from exporter.once import Progress, failures
from exporter.settings import Invocation, Mode, Settings, help_text, load, redacted
from exporter.signals import Signals
from exporter.web.server import check_web_config

_log = logging.getLogger(__name__)

_DONE: Final = 0
_FAILED: Final = 1
_MISUSED: Final = 2
_STDOUT: Final = 1
_STDERR: Final = 2


def run(arguments: Sequence[str], signals: Signals) -> int:
    """Run the command for these arguments and this environment; return the exit code, whatever the streams are."""
    with LineWriter(None if sys.stderr is None else _STDERR) as lines:
        log_uncaught()
        return _Command(arguments, signals, lines).run()


class _Command:
    """One run of the command."""

    def __init__(self, arguments: Sequence[str], signals: Signals, lines: LineWriter) -> None:
        self._arguments = arguments
        self._signals = signals
        self._lines = lines
        self._inputs = Inputs(SystemClock())

    def run(self) -> int:
        try:
            invocation = load(self._arguments, os.environ, self._inputs)
            with self._settings_source(invocation) as settings:
                return self._run(invocation, settings)
        except ConfigurationError as exc:
            for problem in exc.problems:
                self._complain(problem)
            self._complain("nothing was started; --help lists every setting")
            return _MISUSED
        except StartError as exc:
            self._complain(str(exc))
            return _FAILED
        except Exception:  # noqa: BLE001  # Python itself would wait for stderr's reader before it ends
            self._complain(f"a defect of the exporter ended it:\n{format_exc()}")
            return _FAILED

    def _run(self, invocation: Invocation, settings: Callable[[], Settings]) -> int:
        match invocation.mode:
            case Mode.HELP:
                return _DONE if self._print(help_text()) else _FAILED
            case Mode.VERSION:
                known = about()
                text = f"{DISTRIBUTION} {known.version} (revision {known.revision}, Python {known.python_version})\n"
                return _DONE if self._print(text) else _FAILED
            case Mode.CHECK:
                self._warn(invocation)
                return self._check(settings(), invocation.warnings)
            case Mode.ONCE:
                self._warn(invocation)
                self._signals.cut_short_status = _FAILED
                return self._once(self._app(settings))
            case Mode.DOCTOR:
                self._warn(invocation)
                self._signals.cut_short_status = _FAILED
                return self._examine(settings())
            case Mode.SERVE:
                self._warn(invocation)
                return self._serve(self._app(settings), is_demo=invocation.demo)

    def _app(self, settings: Callable[[], Settings]) -> App:
        return App(settings, clock=SystemClock(), signals=self._signals, lines=self._lines)

    def _check(self, settings: Settings, found: Sequence[str]) -> int:
        warnings = [*filter(None, [state_file_warning(settings)])]
        warnings += check_web_config(settings.web.config_file) if settings.web.config_file else ()
        for warning in warnings:
            self._complain(f"warning: {warning}")
        count = len(found) + len(warnings)
        verdict = "OK" if count == 0 else f"OK, with {counted(count, 'warning')}"
        sentences = [f"{verdict}. SendGrid would be asked for:", *asked(settings)]
        comment = "".join(f"# {_on_one_line(each)}\n" for each in sentences)
        return _DONE if self._print(f"{redacted(settings)}{comment}") else _FAILED

    def _once(self, app: App) -> int:
        progress = Progress(self._lines, self._complain, SystemClock())
        ended = app.once(progress.show)
        progress.end()
        printed = self._print(ended.text)
        for sentence in failures(ended):
            self._complain(sentence)
        if ended.missing:
            self._complain(f"stopped with {ended.missing} of the automations not polled: the output is incomplete")
        return _DONE if ended.is_whole and printed else _FAILED

    def _examine(self, settings: Settings) -> int:
        from exporter.doctor import Verdict, examine_account, table  # noqa: PLC0415  # no other start waits for it

        try:
            findings = examine_account(settings, SystemClock(), self._signals)
        except StoppedError:
            self._complain("stopped before everything was looked at")
            return _FAILED
        printed = self._print(table(findings))
        works = all(finding.verdict is not Verdict.WRONG for finding in findings)
        return _DONE if works and printed else _FAILED

    def _serve(self, app: App, *, is_demo: bool) -> int:
        reason = app.serve(self._show_around if is_demo else lambda *_: None)
        if reason is not None:
            self._complain(reason)
        return _DONE if reason is None else _FAILED

    def _show_around(self, page: str, metrics: str) -> None:
        self._complain(
            f"a demo: open {page} to see its automations, and {metrics} for what Prometheus scrapes: load it again, "
            "and the clicks have grown. All of it is simulated. Ctrl-C stops it."
        )

    def _print(self, text: str) -> bool:
        """Write to stdout in UTF-8, whatever the locale; return whether it was taken. Who stopped reading has enough.

        It is written past Python's buffer, which would be tried again at the end and change the exit code.
        """
        if sys.stdout is None:
            self._complain("the output cannot be written: stdout is closed")
            return False
        try:
            write_all(_STDOUT, text.encode())
        except BrokenPipeError:
            return True
        except OSError as exc:
            self._complain(f"the output cannot be written ({exc.strerror})")
            return False
        return True

    def _warn(self, invocation: Invocation) -> None:
        for warning in invocation.warnings:
            self._complain(f"warning: {warning}")

    def _complain(self, text: str) -> None:
        self._lines.put(f"{DISTRIBUTION}: {text}")

    @contextmanager
    def _settings_source(self, invocation: Invocation) -> Iterator[Callable[[], Settings]]:
        """Give what returns the settings: at first those that were checked, later those that a reload reads.

        A demo has its simulated SendGrid meanwhile.
        """
        checked: list[Invocation] = [invocation]

        def settings() -> Settings:
            return _settings_of(checked.pop() if checked else self._reloaded())

        if not invocation.demo or invocation.mode in {Mode.HELP, Mode.VERSION}:
            yield settings
            return
        from sendgrid_simulator import Simulator, demo_automations  # noqa: PLC0415  # only a demo needs it

        with Simulator(demo_automations(), rate_limit=0) as simulator:

            def demo() -> Settings:
                read = settings()
                automations = [
                    Automation(AutomationId(each.id), each.name, read.poll.interval) for each in simulator.automations
                ]
                return read.with_demo(base_url=simulator.base_url, api_key=simulator.api_key, automations=automations)

            yield demo

    def _reloaded(self) -> Invocation:
        invocation = load(self._arguments, os.environ, self._inputs)
        for warning in invocation.warnings:
            _log.warning("%s", warning)
        return invocation


def _on_one_line(name: str) -> str:
    """Return the name without what would end a comment of YAML."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _settings_of(invocation: Invocation) -> Settings:
    if invocation.settings is None:
        raise ConfigurationError(["the arguments ask for help, not for a run"])
    return invocation.settings
