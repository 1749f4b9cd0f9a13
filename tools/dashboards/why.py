"""Why did this fire: the few series behind an alert on one automation, its steps and its links."""

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from tools.dashboards import cells, promql
from tools.dashboards.palette import Colour
from tools.dashboards.panels import AnyPanel, Column, Text, coloured, fixed, grid, lines, properties, query, rows, sized

ONE: Final = f"{{{promql.ONE}}}"
WINDOW: Final = f"topk(1, max by (window) (max_over_time({promql.SCORE}{ONE}[$__range] @ end())))"
"""The window with the highest score in the range, which the alert's message is about."""
MAILS: Final = "job_automation_window:sendgrid_mails:delivered"
MAILS_LAST_WEEK: Final = "job_automation_window:sendgrid_mails:last_week"
PART: Final = "step_id, url, url_location"
NO_RULES: Final = "The recording rules have no data yet"


def panels() -> list[AnyPanel]:
    """Return the panels: clicks beside the expected ones, the evidence, the mails, and the steps and links."""
    return [sized(_clicks(), 8, 9), sized(_evidence(), 8, 9), sized(_mails(), 8, 9), sized(_parts(), 24, 5)]


def _of_the_window(series: str) -> str:
    return f"max by (window) ({series}{ONE}) and on (window) {WINDOW}"


def _clicks() -> timeseries.Panel:
    text = Text(
        "Clicks in the window, and what was expected",
        "Clicks of the automation in the window (its hours before each point) with the most evidence in the range, and "
        "the clicks that the click-drop rules expected: the fewest of two weeks, fewer if fewer mails were sent.",
        "short",
        NO_RULES,
    )
    targets = [
        query(_of_the_window(promql.OBSERVED), "A", legend="Clicks in {{window}}"),
        query(_of_the_window(promql.EXPECTED), "B", legend="Expected in {{window}}"),
    ]
    return coloured(lines(text, targets), {"/^Clicks in/": Colour.NOW, "/^Expected in/": Colour.USUAL})


def _evidence() -> timeseries.Panel:
    text = Text(
        "Evidence, and what raises an alert",
        "The highest evidence of any window that the automation, or one of its steps and links, has lost clicks. An "
        "alert starts when a line crosses the sensitivity, and stays until clicks return.",
        "short",
        NO_RULES,
    )
    both = " or ".join(
        f'label_replace(max({series}{ONE}), "what", "{what}", "", "")'
        for series, what in ((promql.SCORE, "The automation"), (promql.PART_SCORE, "Steps and links"))
    )
    targets = [
        query(both, "A", legend="{{what}}"),
        query(f"max({promql.SENSITIVITY}{ONE})", "B", legend="Sensitivity"),
    ]
    panel = coloured(lines(text, targets), {"The automation": Colour.NOW, "Steps and links": Colour.LAST_WEEK})
    dashes = {"color": fixed(Colour.QUIET), "custom.lineStyle": {"fill": "dash", "dash": [6, 6]}}
    return panel.override_by_name("Sensitivity", properties(dashes))


def _mails() -> timeseries.Panel:
    text = Text(
        "Mails behind the clicks",
        "Mails whose clicks fall into that window, and the fewest of last week: if clicks and mails fell together, "
        "fewer mails were sent.",
        "short",
        "The exporter publishes no statistics (statistics.enabled), or the rules have no data yet",
    )
    targets = [
        query(_of_the_window(MAILS), "A", legend="Mails for {{window}}"),
        query(_of_the_window(MAILS_LAST_WEEK), "B", legend="Last week for {{window}}"),
    ]
    return coloured(lines(text, targets), {"/^Mails for/": Colour.NOW, "/^Last week for/": Colour.LAST_WEEK})


def _parts() -> AnyPanel:
    text = Text(
        "Steps and links with evidence",
        "The 20 steps and links with the most evidence now: their clicks in the window that lacks most, and those that "
        "their share of the automation's clicks predicts. A step has no link.",
        "short",
        "No step or link has evidence, or the recording rules have no data yet",
    )
    score, observed, expected = (
        f"max by ({PART}, window) ({series}{ONE})"
        for series in (promql.PART_SCORE, promql.PART_OBSERVED, promql.PART_EXPECTED)
    )
    worst = f"topk(20, topk by ({PART}) (1, {score} > 0))"
    named = f"{worst} * on (step_id) group_left (step) max by (step_id, step) ({promql.step_names(_steps())})"
    labels = f"{PART}, window"
    targets = [
        rows(named, "A"),
        rows(promql.each(observed, worst, labels), "B"),
        rows(promql.each(expected, worst, labels), "C"),
    ]
    columns = [
        Column("step", "Step", {"custom.width": 150}),
        Column("url", "Link", {"custom.minWidth": 260, **cells.OPEN}),
        Column("url_location", "Position", {"custom.width": 110}),
        Column("window", "Window", {"custom.width": 100}),
        Column("Value #B", "Clicks", cells.CLICKS),
        Column("Value #C", "Expected", cells.CLICKS),
        Column("Value #A", "Evidence", cells.evidence()),
    ]
    return grid(text, targets, columns, sort="Evidence", hidden=["step_id"])


def _steps() -> str:
    return f"group by (automation_id, step_id) ({promql.PART_SCORE}{ONE})"
