"""The dashboard of all automations: which journeys are clicked, and which are falling."""

from typing import Final

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards import cells, promql
from tools.dashboards.frame import AUTOMATION_URL, AUTOMATIONS_UID, Section, assemble, carried
from tools.dashboards.palette import Colour
from tools.dashboards.panels import (
    AnyPanel,
    Column,
    Text,
    coloured,
    fixed,
    grid,
    lines,
    number,
    properties,
    query,
    rows,
    sized,
    thresholds,
)

RULES: Final = "Comes from the recording rules and begins after a week of history."
TO_AUTOMATION: Final = cells.leads_to(AUTOMATION_URL, "Show this automation")
TOTALS: Final = promql.totals()
NOW: Final = promql.clicks(TOTALS)
BEFORE: Final = promql.last_week(TOTALS)


def automations() -> dm.Dashboard:
    """Return the dashboard."""
    return assemble(
        AUTOMATIONS_UID,
        "SendGrid automations",
        "Which journeys are clicked, which are falling, and how fresh the numbers are.",
        carried(),
        [
            Section("At a glance", _glance()),
            Section("What is falling", [sized(_fleet(), 12, 9), sized(_falling(), 12, 9), sized(_alerts(), 24, 6)]),
            Section("Ranking", [sized(_ranking(), 24, 12)]),
            Section("Most clicked, over time", [sized(_most_clicked(), 24, 10)], collapsed=True),
            Section("Freshness", [sized(_oldest(), 24, 9)], collapsed=True),
        ],
    )


def _glance() -> list[AnyPanel]:
    plain = thresholds(Colour.NOW)
    alarm = thresholds(Colour.GOOD, (1, Colour.ACT))
    watch = thresholds(Colour.GOOD, (1, Colour.LOOK))
    falling = promql.recorded(promql.SCORE)
    pair = f"({NOW}) and on (automation_id) ({BEFORE})"
    stale = promql.unread()
    panels = [
        number(
            Text("Automations", "Automations that are configured.", "short"),
            f"count({promql.names()}) or vector(0)",
            plain,
        ),
        number(
            Text("Clicks", "Clicks on all automations in the chosen range.", "short"),
            f"sum({NOW})",
            plain,
        ),
        number(
            Text(
                "Vs last week",
                "Clicks in the range against the same range a week earlier, over the automations watched in both.",
                "percentunit",
            ),
            promql.change(f"sum({pair})", f"sum(({BEFORE}) and on (automation_id) ({NOW}))"),
            thresholds(Colour.ACT, (-0.5, Colour.LOOK), (-0.2, Colour.NEUTRAL)),
        ).decimals(1),
        number(
            Text("Falling", f"Automations with half of the evidence that raises an alert, or more. {RULES}", "short"),
            promql.counted(falling, f">= {promql.ALERT_SCORE / 2:g}"),
            watch,
        ),
        number(
            Text("Click alerts", "Alerts on automations, steps and links that are firing.", "short"),
            f"count({promql.CLICK_ALERTS}) or vector(0)",
            alarm,
        ),
        number(
            Text("Exporter", "Alerts on the exporter itself that are firing.", "suffix: alerts"),
            f"count({promql.EXPORTER_ALERTS}) or vector(0)",
            alarm,
        ).mappings([dm.ValueMap(options={"0": dm.ValueMappingResult(text="well", color=Colour.GOOD)})]),
        number(
            Text("Stale data", "Automations whose data is older than 3 poll intervals, or never came.", "short"),
            f"count({stale}) or count({promql.names()}) * 0",
            alarm,
        ),
        number(
            Text("Oldest data", "The longest time since a good poll, over all automations.", "s"),
            f"max({promql.age()})",
            plain,
        ).decimals(0),
    ]
    return [sized(panel, 3, 4) for panel in panels]


def _fleet() -> timeseries.Panel:
    text = Text(
        "Clicks per hour, all automations",
        "Clicks of the hour before each point, against the same hour last week and against what is usual. The band is "
        f"that of the click-drop rules, the automations' spreads added as independent ones. {RULES}",
        "short",
        "The recording rules have written nothing yet",
    )
    targets = [
        query(f"sum({promql.hour(promql.OBSERVED)})", "A", legend="Now"),
        query(f"sum({promql.hour(promql.OBSERVED, modifier=' offset 1w')})", "B", legend="Last week"),
        query(promql.usual("-"), "C", legend="Usual, at least"),
        query(promql.usual("+"), "D", legend="Usual, at most"),
    ]
    return banded(lines(text, targets))


def banded(panel: timeseries.Panel) -> timeseries.Panel:
    """Return the panel with its usual band filled and now, last week and the band in their colours."""
    coloured(panel, {"Now": Colour.NOW})
    dashes = {"fill": "dash", "dash": [6, 6]}
    last_week = {"color": fixed(Colour.LAST_WEEK), "custom.lineWidth": 1, "custom.lineStyle": dashes}
    panel.override_by_name("Last week", properties(last_week))
    edge = {"color": fixed(Colour.USUAL), "custom.lineWidth": 0}
    aside = {"custom.hideFrom": {"legend": True, "tooltip": False, "viz": False}}
    panel.override_by_name("Usual, at least", properties({**edge, **aside}))
    return panel.override_by_name(
        "Usual, at most", properties({**edge, "custom.fillBelowTo": "Usual, at least", "custom.fillOpacity": 18})
    ).span_nulls(False)


def _falling() -> AnyPanel:
    window = f'{promql.JOB}, window="24h"'
    text = Text(
        "What is falling first",
        "The 20 automations with the most evidence of a drop, and their clicks of the last 24 hours against what was "
        f"expected. The gauge is full when an alert is raised. {RULES}",
        "short",
        "Nothing falls, or the recording rules have written nothing yet",
    )
    score = promql.recorded(promql.SCORE)
    worst = f"topk(20, {score} > 0)"
    targets = [
        rows(promql.named(worst), "A"),
        rows(f"{promql.recorded(promql.OBSERVED, window)} and on (automation_id) {worst}", "B"),
        rows(f"{promql.recorded(promql.EXPECTED, window)} and on (automation_id) {worst}", "C"),
    ]
    columns = [
        Column("name", "Automation", TO_AUTOMATION),
        Column("Value #B", "Last 24 h", cells.CLICKS),
        Column("Value #C", "Expected", cells.CLICKS),
        Column("Value #A", "Evidence", cells.evidence()),
    ]
    return grid(text, targets, columns, sort="Evidence", hidden=["automation_id"])


def _alerts() -> AnyPanel:
    text = Text(
        "Firing click alerts",
        "Alerts on automations, steps and links. A row leads to the automation; the runbook says what to look at.",
        "short",
        "No alert is firing",
    )
    labels = "automation_id, alertname, severity, step_id, url"
    firing = promql.short_step(promql.named_or_id(f"max by ({labels}) ({promql.CLICK_ALERTS})"))
    severity = cells.state(
        {"critical": ("critical", Colour.ACT), "warning": ("warning", Colour.LOOK)}, ("-", Colour.QUIET), 115
    )
    columns = [
        Column("severity", "Severity", severity),
        Column("alertname", "Alert", {"custom.width": 260}),
        Column("name", "Automation", TO_AUTOMATION),
        Column("step", "Step", {"custom.width": 105}),
        Column("url", "Link", cells.OPEN),
    ]
    return grid(
        text, [rows(firing)], columns, sort="Severity", desc=False, hidden=["automation_id", "step_id", "Value"]
    )


def _ranking() -> AnyPanel:
    text = Text(
        "Automations by clicks",
        "Clicks in the chosen range against the same range a week earlier; the total is SendGrid's own, over the "
        "automation's life. Change is empty where last week was not watched. A row leads to the automation.",
        "short",
        "No automation is watched yet",
    )
    freshness = cells.state({"0": ("fresh", Colour.GOOD), "1": ("stale", Colour.ACT)}, ("unread", Colour.LOOK))
    targets = [
        rows(promql.names(), "A"),
        rows(NOW, "B"),
        rows(promql.share(NOW), "C"),
        rows(BEFORE, "D"),
        rows(promql.change(NOW, BEFORE), "E"),
        rows(TOTALS.now(), "F"),
        rows(promql.recorded(promql.SCORE), "G"),
        rows(promql.age(), "H"),
        rows(f"{promql.age_in_intervals()} > bool 3", "I"),
    ]
    columns = [
        Column("name", "Automation", TO_AUTOMATION),
        Column("Value #B", "Clicks", cells.CLICKS),
        Column("Value #C", "Share", cells.SHARE),
        Column("Value #D", "Last week", cells.CLICKS),
        Column("Value #E", "Change", cells.CHANGE),
        Column("Value #F", "Total", cells.CLICKS),
        Column("Value #G", "Evidence of a drop", cells.evidence()),
        Column("Value #H", "Data age", cells.AGE),
        Column("Value #I", "Data", freshness),
    ]
    return grid(text, targets, columns, sort="Clicks", hidden=["automation_id", "Value #A"])


def _most_clicked() -> AnyPanel:
    text = Text(
        "Clicks per hour of the ten most clicked",
        f"The ten automations with the most clicks in the range, the hour before each point. {RULES}",
        "short",
        "The recording rules have written nothing yet",
    )
    ranking = promql.clicks(TOTALS, pin=" @ end()")
    most = promql.top(10, promql.hour(promql.OBSERVED), ranking, "automation_id")
    return lines(text, [query(promql.named(most), legend="{{name}}")], many=True)


def _oldest() -> AnyPanel:
    text = Text(
        "Age of the data, the ten oldest",
        "Seconds since the last good poll of each automation; a healthy one is a saw of one poll interval.",
        "s",
    )
    last = promql.recorded(promql.LAST_SUCCESS, modifier=" @ end()")
    oldest = f"{promql.age()} and on (automation_id) bottomk(10, {last})"
    return lines(text, [query(promql.named(oldest), legend="{{name}}")], many=True)
