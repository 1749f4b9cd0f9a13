"""Files and pipes that settings come from, each read once, with a bound on size and time."""

import errno
import os
import select
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.clock import Clock, SystemClock
from exporter.web.toolkit.files import read_bounded

_CHUNK: Final = 1 << 20
_UNCONNECTED_SECONDS: Final = 10.0
"""For somebody to open a named pipe at its other end."""
_WRITER_SECONDS: Final = 30.0
"""For a program at the other end, which may have to ask a key server first."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a path gave, and who may read it."""

    content: bytes = field(repr=False)
    """Cut at one byte more than was allowed: the reader of it says what is too long."""
    details: os.stat_result

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file, which can be read again."""
        return stat.S_ISREG(self.details.st_mode)


class Inputs:
    """Reads what a run is configured by, and remembers the pipes: they give their content only once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drained: set[tuple[int, int]] = set()

    def read(self, path: Path, at_most: int) -> Input:
        """Return the content; raise OSError, also for a pipe that was read before or that gives nothing in time."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            details = os.fstat(descriptor)
            if stat.S_ISDIR(details.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            piped = stat.S_ISFIFO(details.st_mode)
            if piped or os.isatty(descriptor):
                self._drain(details)
            if stat.S_ISREG(details.st_mode):
                return Input(read_bounded(descriptor, at_most), details)
            return Input(self._read(descriptor, at_most, piped=piped), details)
        finally:
            os.close(descriptor)

    def _drain(self, details: os.stat_result) -> None:
        identity = (details.st_dev, details.st_ino)
        if identity in self._drained:
            raise OSError(errno.ESPIPE, "a pipe can be read only once, at the start; a reload needs a file")
        self._drained.add(identity)

    def _read(self, descriptor: int, at_most: int, *, piped: bool) -> bytes:
        content = bytearray()
        began, patience, ended = self._clock.monotonic(), _UNCONNECTED_SECONDS, not piped
        while len(content) <= at_most:
            try:
                chunk = os.read(descriptor, min(at_most + 1 - len(content), _CHUNK))
            except BlockingIOError:  # somebody holds the other end
                patience, ended = _WRITER_SECONDS, True
            else:
                content += chunk
                if not chunk and (content or ended):
                    break
                if chunk:
                    continue
            ended = self._wait(descriptor, began + patience) or ended
        return bytes(content)

    def _wait(self, descriptor: int, until: float) -> bool:
        """Wait for more to read; return whether the other end was closed. Raise OSError when the time is over."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        events = poll.poll(max(until - self._clock.monotonic(), 0.0) * 1000)
        if not events:
            raise OSError(errno.ETIMEDOUT, "nobody wrote the whole of it to the pipe in time")
        return bool(events[0][1] & select.POLLHUP)


def read_input(path: Path, at_most: int) -> Input:
    """Return the content of a file that may be read again at any time; raise OSError."""
    return Inputs(SystemClock()).read(path, at_most)
