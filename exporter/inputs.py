"""What a run is configured by, each file and pipe of it read once."""

import errno
import os
from pathlib import Path

from exporter.clock import Clock, SystemClock
from exporter.web.toolkit.files import Input, read_bounded


class Inputs:
    """Reads what a run is configured by, and remembers the pipes: they give their content only once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drained: set[tuple[int, int]] = set()

    def read(self, path: Path, at_most: int) -> Input:
        """Return the content; raise OSError, also for a pipe that was read before or that gives nothing in time."""
        return read_bounded(path, at_most, monotonic=self._clock.monotonic, accept=self._accept)

    def _accept(self, details: os.stat_result, once: bool) -> None:  # noqa: FBT001  # the reader's callback
        identity = (details.st_dev, details.st_ino)
        if once and identity in self._drained:
            raise OSError(errno.ESPIPE, "a pipe can be read only once, at the start; a reload needs a file")
        if once:
            self._drained.add(identity)


def read_input(path: Path, at_most: int) -> Input:
    """Return the content of a file that may be read again at any time; raise OSError."""
    return Inputs(SystemClock()).read(path, at_most)
