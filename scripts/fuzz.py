"""Try the properties of any input from outside for as long as is asked; print how many inputs each one met."""

import argparse
import sys
import time

from hypothesis import HealthCheck, settings

from tests.reliability.fuzz import PROPERTIES

_ROUND = 2_000


def main(arguments: list[str]) -> int:
    """Share the seconds among the properties; a counterexample ends it with an error that shows it."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    share = parser.parse_args(arguments).seconds / len(PROPERTIES)
    for name, holds in PROPERTIES.items():
        tried = settings(max_examples=_ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))(
            holds
        )
        rounds, until = 0, time.monotonic() + share
        while time.monotonic() < until:
            tried()
            rounds += 1
        print(f"{name:25} {rounds * _ROUND} inputs, no counterexample")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
