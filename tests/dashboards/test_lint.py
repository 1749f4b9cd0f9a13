"""The committed dashboards keep the rules of Grafana's dashboard-linter, with exceptions named in grafana/.lint."""

from collections.abc import Callable

import pytest
import yaml

from tests.dashboards import boards
from tests.dashboards.boards import Json
from tests.dashboards.lint_rules import RULES, Finding

ALERTS = ("ALERTS{", "ALERTS_FOR_STATE{", '{__name__=~"ALERTS|')
EXCEPTIONS = yaml.safe_load((boards.FOLDER / ".lint").read_text(encoding="utf-8"))["exclusions"]


def excused(rule: str, title: str, finding: Finding) -> bool:
    if rule not in EXCEPTIONS:
        return False
    entries = EXCEPTIONS[rule].get("entries")
    return not entries or {"dashboard": title, "panel": finding.panel} in entries


@pytest.mark.parametrize("uid", boards.UIDS)
@pytest.mark.parametrize("rule", RULES)
def test_dashboard_keeps_the_rule(uid: str, rule: str):
    board = boards.board(uid)

    found = [finding for finding in RULES[rule](board) if not excused(rule, board["title"], finding)]

    assert found == []


@pytest.mark.parametrize("rule", EXCEPTIONS)
def test_every_exception_is_needed_and_has_a_reason(rule: str):
    every = [boards.board(uid) for uid in boards.UIDS]
    found = {(board["title"], finding.panel) for board in every for finding in RULES[rule](board)}

    assert EXCEPTIONS[rule]["reason"].strip()
    assert found
    for entry in EXCEPTIONS[rule].get("entries", []):
        assert (entry["dashboard"], entry["panel"]) in found


def variable(name: str, **changes: object) -> Callable[[Json], None]:
    def change(board: Json) -> None:
        next(one for one in board["templating"]["list"] if one["name"] == name).update(changes)

    return change


def panel(**changes: object) -> Callable[[Json], None]:
    return lambda board: plain(board).update(changes)


def expression(text: str) -> Callable[[Json], None]:
    return lambda board: plain(board)["targets"][0].update(expr=text)


def plain(board: Json) -> Json:
    """Return a panel that breaks no rule."""
    return next(one for one in boards.panels(board) if one["title"] == "Clicks")


def test_only_alerts_are_asked_for_without_a_job():
    found = [finding for uid in boards.UIDS for finding in RULES["target-job-rule"](boards.board(uid))]

    assert [finding for finding in found if not finding.message.startswith(ALERTS)] == []


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("template-datasource-rule", variable("datasource", label="Source")),
        ("template-datasource-rule", variable("datasource", query="loki")),
        ("template-job-rule", variable("job", allValue=".*")),
        ("template-job-rule", variable("job", multi=False)),
        ("template-label-promql-rule", variable("job", query="label_values(up{, job)")),
        ("template-label-promql-rule", variable("job", query="values(up)")),
        ("template-on-time-change-reload-rule", variable("job", refresh=1)),
        ("panel-datasource-rule", panel(datasource={"uid": "abc"})),
        ("panel-title-description-rule", panel(description="")),
        ("panel-units-rule", panel(fieldConfig={"defaults": {"unit": "parsec"}})),
        ("panel-no-targets-rule", panel(targets=[])),
        ("target-promql-rule", expression("sum(")),
        ("target-rate-interval-rule", expression("rate(x_total[5m])")),
        ("target-rate-interval-rule", expression("rate((x_total[$__rate_interval]))")),
        ("target-job-rule", expression("automation_total_clicks")),
        ("target-job-rule", expression('sum(automation_total_clicks{job="$job"})')),
        ("target-counter-agg-rule", expression("sum(x_total) / max_over_time(x_total[5m])")),
        ("target-counter-agg-rule", expression("x_total[5m]")),
        ("uneditable-dashboard", lambda board: board.update(editable=True)),
    ],
)
def test_rule_finds_what_breaks_it(rule: str, spoil: Callable[[Json], None]):
    board = boards.board("sendgrid-automations")
    before = list(RULES[rule](board))

    spoil(board)

    assert len(list(RULES[rule](board))) > len(before)
