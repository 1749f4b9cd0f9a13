"""The entry of the command and of `python -m exporter`: signals are held back before the slow imports begin."""

import os
import sys
from typing import Final

from exporter.signals import Signals, hold_back

_STDERR: Final = 2


def main() -> None:
    """Run the command and exit with its code."""
    _occupy_standard_streams()
    hold_back()
    signals = Signals()
    signals.heed()
    from exporter.cli import run  # noqa: PLC0415  # its imports take long enough for a signal to come

    sys.exit(run(sys.argv[1:], signals))


def _occupy_standard_streams() -> None:
    """Open what was closed as nothing, or the next file or socket gets that number and what is meant for stderr."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        continue
    os.close(descriptor)


if __name__ == "__main__":
    main()
