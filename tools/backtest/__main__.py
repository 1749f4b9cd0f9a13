"""Judge the alerts on clicks: `python -m tools.backtest --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.backtest import judge

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"


def main() -> int:
    """Run what is missing, print the table, and return whether every target is met."""
    parser = argparse.ArgumentParser(prog="python -m tools.backtest", description=__doc__)
    parser.add_argument("--histories", type=int, default=20, help="histories of each kind and volume (5 weeks each)")
    parser.add_argument("--store", type=Path, default=judge.STORE, help="outcomes so far; a run adds what is missing")
    parser.add_argument("--report", action="store_true", help="print the table of the store and run nothing")
    parser.add_argument("--document", action="store_true", help="also write the table into docs/alerts.md")
    arguments = parser.parse_args()
    outcomes = (
        judge.read(arguments.store)
        if arguments.report
        else judge.run(arguments.store, arguments.histories, sys.stderr.write)
    )
    table = judge.table(outcomes)
    sys.stdout.write(table)
    if arguments.document:
        PAGE.write_text(judge.documented(PAGE.read_text(encoding="utf-8"), outcomes), encoding="utf-8")
    return 1 if "**missed**" in table else 0


if __name__ == "__main__":
    sys.exit(main())
