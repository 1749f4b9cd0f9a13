"""Give the exporter answers that are made to fill its memory; print what it took, as docs/reliability.md has it."""

import argparse
import sys

from tests.reliability.attacks import ATTACKS, attacked


def main(arguments: list[str]) -> int:
    """Try each attack; return 1 where one made the exporter take more than was allowed."""
    parser = argparse.ArgumentParser(prog="python -m scripts.attacks", description=__doc__)
    parser.add_argument("--polls", type=int, default=100, help="polls of each attack")
    parser.add_argument("--most", type=float, default=130.0, help="MB that the process may take")
    options = parser.parse_args(arguments)
    peak = 0.0
    print(f"{'attack':45} {'before':>7} {'peak':>7} {'after':>7}  MB; polls by outcome")
    for taken in attacked(ATTACKS, options.polls):
        peak = max(peak, taken.peak)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in taken.polls.items())
        print(f"{taken.name:45} {taken.before:7.1f} {taken.peak:7.1f} {taken.after:7.1f}  {outcomes}", flush=True)
    return int(peak > options.most)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
