"""Judge the alerts on click drops: `python -m prometheus.backtest --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from prometheus.backtest import report, runs

RULES = (Path(__file__).parents[1] / "rules" / "sendgrid-clicks.yml",)
STORE = Path(__file__).parents[1] / "backtest-results" / "outcomes.jsonl"
PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"


def main() -> int:
    """Run the plan, print the table and say whether every bar is kept."""
    arguments = _arguments()
    plan = runs.Plan(arguments.quiet, arguments.drops, arguments.first_seed, arguments.poll)
    arguments.store.parent.mkdir(parents=True, exist_ok=True)
    if arguments.report:
        outcomes = list(runs.read(arguments.store))
    else:
        outcomes = runs.run(
            plan.cases(),
            RULES,
            arguments.store,
            processes=arguments.processes,
            batch=arguments.batch,
            promtool=arguments.promtool,
        )
    sys.stdout.write(report.table(outcomes))
    if arguments.document:
        PAGE.write_text(report.documented(PAGE.read_text(encoding="utf-8"), outcomes), encoding="utf-8")
    return 1 if report.failures(outcomes) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m prometheus.backtest", description=__doc__)
    parser.add_argument("--quiet", type=int, default=3, help="histories of each quiet kind and volume (5 weeks each)")
    parser.add_argument("--drops", type=int, default=10, help="drops of each kind and volume")
    parser.add_argument("--first-seed", type=int, default=70_000, help="the rules were tuned on seeds below 10,000")
    parser.add_argument("--poll", type=int, default=5, choices=(5, 15, 60), help="minutes between polls")
    parser.add_argument("--store", type=Path, default=STORE, help="outcomes so far; a run adds what is missing")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=12, help="histories in one run of promtool")
    parser.add_argument("--promtool", default="promtool")
    parser.add_argument("--report", action="store_true", help="print the table of the store and run nothing")
    parser.add_argument("--document", action="store_true", help="also write the table into docs/alerts.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
