"""Programs under measurement: started, asked, accounted for and ended."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks import accounting

_ROOT: Final = Path(__file__).resolve().parent.parent


class ProgramError(Exception):
    """A program did not start, ended early or did not answer; the message ends with what it wrote to stderr."""


class MissingToolError(Exception):
    """A peer needs something that this machine has not; the message says how to get it."""


class Program:
    """A process in a session of its own; a `with` block ends it and all its children."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = 0
        self.told: Mapping[str, Any] = {}
        """What the program said when it was ready."""
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_line(self, seconds: float = 300.0) -> dict[str, Any]:
        """Return the next line of JSON that the program prints."""
        output = _pipe(self._process.stdout)
        readable, _, _ = select.select([output], [], [], seconds)
        line = output.readline() if readable else b""
        if not line:
            how = "ended without an answer" if readable else f"did not answer within {seconds:.0f} s"
            raise ProgramError(f"{self.name} {how}: {self._complaint()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ready(self, seconds: float = 600.0) -> Self:
        """Wait until the program has told its port; return the program, or end it and raise ProgramError."""
        with self._ended_on_failure():
            self.told = self.wait_for_line(seconds)
            self.port = int(self.told["port"])
        return self

    def ready_on(self, port: int, seconds: float = 30.0) -> Self:
        """Wait until the program accepts connections on the port; return the program, or end it and raise."""
        deadline = time.monotonic() + seconds
        with self._ended_on_failure():
            while not _listens(port):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ProgramError(f"{self.name} does not listen on port {port}: {self._complaint()}")
                time.sleep(0.01)
        self.port = port
        return self

    def ask(self, **command: object) -> dict[str, Any]:
        """Send the program a line of JSON and return the line that it answers with."""
        pipe = _pipe(self._process.stdin)
        pipe.write(json.dumps(command).encode() + b"\n")
        pipe.flush()
        return self.wait_for_line()

    def cpu(self) -> int:
        """Return the CPU time of the program and its workers so far, in nanoseconds."""
        return accounting.cpu_of_all(accounting.family(self.pid))

    def settled_cpu(self, *, quiet: float = 0.05, limit: float = 3.0) -> int:
        """Return the CPU time once what the last scrape left behind (a collection, a closing thread) is done."""
        deadline = time.monotonic() + limit
        before = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(quiet)
            after = self.cpu()
            if after - before < quiet * 1e9 / 50:
                return after
            before = after
        return before

    def resident(self) -> int:
        """Return the memory of the program and its workers now, in bytes."""
        return sum(map(accounting.resident_bytes, accounting.family(self.pid)))

    def peak(self) -> int:
        """Return the peak memory of the program's main process, in bytes."""
        return accounting.peak_bytes(self.pid)

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        accounting.forget_peak(self.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the program and all its children; ending twice is harmless."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was written last was never read
                _pipe(pipe).close()

    @contextlib.contextmanager
    def _ended_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.end()
            raise

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _complaint(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip() or "it wrote nothing to stderr"


def python(name: str, module: str, *arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> Program:
    """Start one of our own Python programs with this interpreter."""
    variables = {"PYTHONPATH": str(_ROOT), **(environment or {})}
    return Program(name, [sys.executable, "-m", module, *arguments], log, environment=variables)


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ProgramError("the program was started without pipes")
    return pipe
