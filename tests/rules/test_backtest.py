"""A selection of the judge: what breaks is found in time, what is quiet stays quiet."""

from __future__ import annotations

import math
import os
from pathlib import Path

from prometheus.backtest import engine, histories, report, runs
from tests.programs import needs
from tests.rules.conftest import PROMETHEUS, ROOT

RULES = (PROMETHEUS / "rules" / "sendgrid-clicks.yml",)
SLACK = 2
"""A single drop may take longer than the median, but not twice as long."""


def _outcome(kind: str, drop: int | None, *begins: int) -> runs.Outcome:
    labels = {"alertname": "SendGridAutomationClicksStopped", "automation_id": "a"}
    firings = tuple(engine.Firing(minutes, labels) for minutes in begins)
    return runs.Outcome(histories.Case(kind, 300, 1), drop, (), (), firings)


@needs("promtool")
def test_selection_keeps_the_bars(tmp_path: Path) -> None:
    processes = min(2, os.cpu_count() or 1)
    outcomes = runs.run(
        runs.QUICK, RULES, tmp_path / "outcomes.jsonl", processes=processes, batch=2, promtool="promtool"
    )

    assert len(outcomes) == len(runs.QUICK)
    assert [report.false_alarms(outcome) for outcome in outcomes] == [0] * len(outcomes)
    for outcome in outcomes:
        if outcome.case.is_drop:
            bar = report.BARS[outcome.case.kind][int(outcome.case.volume)]
            assert report.delay_hours(outcome) <= SLACK * bar, outcome.case.name


def test_page_holds_the_table_of_the_committed_outcomes() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    outcomes = list(runs.read(PROMETHEUS / "backtest-results" / "outcomes.jsonl"))

    assert report.documented(page, outcomes) == page


def test_same_case_gives_the_same_history() -> None:
    case = histories.Case("api away 6 h", 300, 5, weeks=2)

    first, second = histories.make(case), histories.make(case)

    assert first.links.tobytes() == second.links.tobytes()


def test_history_has_about_the_clicks_it_promises() -> None:
    history = histories.make(histories.Case("steady", 2000, 5))

    per_day = (history.total[-1] - history.total[0]) / 35
    assert math.isclose(per_day, 2000, rel_tol=0.1)


def test_alarms_within_a_day_are_one() -> None:
    assert report.false_alarms(_outcome("steady", None, 100, 200, 5000)) == 2


def test_alarm_before_the_drop_is_false_and_after_it_is_the_delay() -> None:
    outcome = _outcome("stop", 6000, 100, 6120)

    assert report.false_alarms(outcome) == 1
    assert report.delay_hours(outcome) == 2


def test_bounds_are_those_of_the_textbook() -> None:
    assert math.isclose(report.poisson_upper(0, 1), 2.996, abs_tol=0.001)
    assert math.isclose(report.binomial_lower(10, 10), 0.741, abs_tol=0.001)
