"""The entry of the command and of `python -m exporter`: signals are held back before the slow imports begin."""

import sys

from exporter.signals import Signals, hold_back


def main() -> None:
    """Run the command and exit with its code."""
    hold_back()
    signals = Signals()
    signals.heed()
    from exporter.cli import run  # noqa: PLC0415  # its imports take long enough for a signal to come

    sys.exit(run(sys.argv[1:], signals))


if __name__ == "__main__":
    main()
