"""Programs as their users run them: processes with flags and an environment, always stopped and reaped."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.end_to_end.harness.exchange import NO_HEADERS, Answer, exchange, free_port
from tests.end_to_end.harness.waiting import wait_until

COMMAND: Final = (str(Path(sys.executable).with_name("sendgrid-automation-exporter")),)
"""The installed command."""
MODULE: Final = (sys.executable, "-m", "exporter")
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"


def environment(extra: Mapping[str, str] = NO_HEADERS) -> dict[str, str]:
    """Return the shell's environment without what configures the exporter or names a proxy, and with `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("EXPORTER_", "SENDGRID_")) and not name.upper().endswith("_PROXY")
    }
    return {**kept, **extra}


class Process:
    """A running program whose output goes to files; leaving the `with` stops it, and prints its log after a failure."""

    def __init__(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] = NO_HEADERS, cwd: Path | None = None
    ) -> None:
        self._output = tempfile.TemporaryDirectory(prefix="process-")
        self._stdout, self._stderr = (Path(self._output.name) / name for name in ("stdout", "stderr"))
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.popen = subprocess.Popen(
                [str(word) for word in command],
                env=environment(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            if error is not None:
                print(f"--- log of {self.popen.args!r}\n{self.log}", file=sys.stderr)
            self._output.cleanup()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def stdout(self) -> str:
        return self._stdout.read_text(errors="replace")

    @property
    def log(self) -> str:
        """What the program has written on stderr."""
        return self._stderr.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = 15.0) -> int:
        """Wait until the program ends by itself; return its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.popen.args!r} did not end within {seconds:g} s:\n{self.log}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 15.0) -> int:
        """Ask the program to end, unless it has; return its exit status."""
        if self.popen.poll() is None:
            self.send(number)
        return self.wait(seconds)

    def kill(self) -> None:
        """End the program as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def wait_for_log(self, text: str, *, seconds: float = 15.0) -> str:
        """Return the first log line with the text, as soon as there is one."""
        return wait_until(
            lambda: next((line for line in self.log.splitlines() if text in line), None),
            f"{text!r} is logged",
            seconds=seconds,
        )

    def wait_while_alive(self, condition: Callable[[], object], what: str, *, seconds: float = 15.0) -> None:
        """Wait for the condition, and fail at once with the log when the program ends before."""

        def met() -> object:
            try:
                found = condition()
            except OSError:
                found = None
            assert found or self.popen.poll() is None, (
                f"{self.popen.args!r} ended, {self.popen.returncode}:\n{self.log}"
            )
            return found

        wait_until(met, what, seconds=seconds)


class ExporterProcess(Process):
    """The exporter on a free port of 127.0.0.1, ready to answer when the `with` is entered.

    `command` may be MODULE, or another program that takes `--web.listen-address`.
    """

    def __init__(
        self,
        *flags: str,
        env: Mapping[str, str] = NO_HEADERS,
        command: Sequence[str | Path] = COMMAND,
        cwd: Path | None = None,
        path: str = "/-/healthy",
        seconds: float = 15.0,
        address: str | None = None,
    ) -> None:
        self.address = address or f"127.0.0.1:{free_port()}"
        self._answers, self._seconds = path, seconds
        super().__init__([*command, f"--web.listen-address={self.address}", *flags], env=env, cwd=cwd)

    def __enter__(self) -> Self:
        try:
            self.wait_while_alive(lambda: self.get(self._answers), f"{self._answers} answers", seconds=self._seconds)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] = NO_HEADERS) -> Answer:
        """Ask the exporter; return its answer whatever the status."""
        return exchange(f"http://{self.address}{path}", method=method, headers=headers)

    def samples(self, *, openmetrics: bool = False) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return what /metrics serves as {(name, ((label, value), …)): value}, by prometheus_client's own parser."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
            for family in self.families(openmetrics=openmetrics)
            for sample in family.samples
        }

    def families(self, *, openmetrics: bool = False) -> list[Metric]:
        """Return the metric families of /metrics in either format."""
        answer = self.get("/metrics", headers={"Accept": OPENMETRICS} if openmetrics else NO_HEADERS)
        assert answer.status == 200, answer
        return list(parse_openmetrics(answer.text) if openmetrics else parse_text(answer.text))


def run_exporter(
    *flags: str,
    env: Mapping[str, str] = NO_HEADERS,
    command: Sequence[str | Path] = COMMAND,
    cwd: Path | None = None,
    seconds: float = 30.0,
) -> subprocess.CompletedProcess[str]:
    """Run the exporter to its end (`--check`, `--once`, `--help`, wrong usage); return its output and exit status."""
    return subprocess.run(
        [*command, *flags],
        env=environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
