"""The dashboard of all automations: which have clicks, and which lose them."""

from typing import Final

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards import cells, changes, mails, problems, promql
from tools.dashboards.frame import AUTOMATIONS_UID, TO_AUTOMATION, Section, assemble, carried
from tools.dashboards.palette import Colour
from tools.dashboards.panels import (
    AnyPanel,
    Column,
    Text,
    against_last_week,
    grid,
    lines,
    number,
    query,
    rows,
    sized,
    thresholds,
    told_apart,
)

RULES: Final = "Comes from the recording rules and begins after nine days of history."
NO_RULES: Final = "no rules"
TOTALS: Final = promql.totals()
NOW: Final = promql.clicks(TOTALS)
BEFORE: Final = promql.last_week(TOTALS)
MORE: Final = 12
"""Automations after the first eight, in grey."""


def automations() -> dm.Dashboard:
    """Return the dashboard."""
    return assemble(
        AUTOMATIONS_UID,
        "SendGrid automations",
        "What is wrong now, which automations are clicked, which are falling, and how fresh the numbers are.",
        carried(),
        [
            Section("What is wrong", [sized(_wrong(), 24, 5)]),
            Section("At a glance", _glance()),
            Section("Clicks and changes", [sized(_fleet(), 13, 8), sized(changes.panel(), 11, 8)]),
            Section("Single automations", [sized(_ranking(), 24, 10)]),
            Section("Mails", mails.of_all(), collapsed=True),
            Section("Most clicked, over time", [sized(_most_clicked(), 24, 10)], collapsed=True),
            Section("Age of the data", [sized(oldest(), 24, 9)], collapsed=True),
        ],
    )


def _wrong() -> AnyPanel:
    return problems.panel(
        "What is wrong now",
        "One row a problem: since when, and how many clicks are missing in the up to three days that the click-drop "
        "rules look back. A problem leads to what to do about it, an automation or a step to its own page, a link to "
        "where it leads, and Open to the automation in SendGrid. What a wider problem explains has no row of its own.",
    )


def _glance() -> list[AnyPanel]:
    plain = thresholds(Colour.NOW)
    alarm = thresholds(Colour.GOOD, (1, Colour.ACT))
    watch = thresholds(Colour.GOOD, (1, Colour.LOOK))
    pair = f"({NOW}) and on (automation_id) ({BEFORE})"
    stale = promql.unread()
    suspicion = promql.suspicion()
    suspected = f"count({suspicion} >= 0.5 < 1) or count({suspicion}) * 0"
    panels = [
        number(
            Text("Problems", "Rows of the table above that alerts raise.", "short", NO_RULES),
            f"count({problems.wrong()}) or {promql.judging()}",
            alarm,
        ),
        number(
            Text(
                "Suspected",
                f"Automations with half of the evidence that raises an alert, or more, and no alert yet. {RULES}",
                "short",
                NO_RULES,
            ),
            suspected,
            watch,
        ),
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
            Text("Exporter", "Alerts on the exporter itself that are firing.", "suffix: alerts", NO_RULES),
            f"count({promql.EXPORTER_ALERTS}) or {promql.judging()}",
            alarm,
        ).mappings([dm.ValueMap(options={"0": dm.ValueMappingResult(text="OK", color=Colour.GOOD)})]),
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
        "Clicks of the hour before each point, in the same hour last week, and what the click-drop rules expect at "
        "least: for each automation the fewest of the last two weeks, from the ninth day of history on.",
        "short",
        "No automation is watched yet",
    )
    targets = [
        query(f"sum({promql.hourly()})", "A", legend="Now"),
        query(f"sum({promql.hourly(' offset 1w')})", "B", legend="Last week"),
        query(f"sum({promql.hour(promql.EXPECTED)})", "C", legend="Expected"),
    ]
    return against_last_week(lines(text, targets, legend=()))


def _ranking() -> AnyPanel:
    text = Text(
        "Automations by clicks",
        "Clicks in the chosen range against the same range a week earlier; the total is SendGrid's own, over the "
        "automation's life. Change is empty where last week was not watched. Evidence is that of the whole automation, "
        "its steps and its links; a drop is certain where an alert says so. A row leads to the automation.",
        "short",
        "No automation is watched yet",
    )
    freshness = cells.state({"0": ("fresh", Colour.GOOD), "1": ("stale", Colour.ACT)}, ("unread", Colour.LOOK))
    known = f"group by (automation_id) ({promql.names()})"
    targets = [
        rows(promql.names(), "A"),
        rows(NOW, "B"),
        rows(promql.share(NOW), "C"),
        rows(promql.change(NOW, BEFORE), "D"),
        rows(TOTALS.now(), "E"),
        rows(promql.each(promql.suspicion(), known, "automation_id"), "F"),
        rows(promql.each(promql.evidence(), known, "automation_id"), "G"),
        rows(promql.age(), "H"),
        rows(f"{promql.age_in_intervals()} > bool 3", "I"),
    ]
    columns = [
        Column("name", "Automation", TO_AUTOMATION),
        Column("Value #B", "Clicks", cells.CLICKS),
        Column("Value #C", "Share", cells.SHARE),
        Column("Value #D", "Change", cells.CHANGE),
        Column("Value #E", "Total", cells.CLICKS),
        Column("Value #F", "Drop", cells.suspicion()),
        Column("Value #G", "Evidence", cells.evidence()),
        Column("Value #H", "Data age", cells.AGE),
        Column("Value #I", "Data", freshness),
    ]
    return grid(text, targets, columns, sort="Clicks", hidden=["automation_id", "Value #A"])


def _most_clicked() -> AnyPanel:
    text = Text(
        "Clicks per hour of the most clicked",
        "The eight automations with the most clicks in the range, each in a colour of its own, and the next twelve in "
        "grey: the hour before each point.",
        "short",
        "No automation is watched yet",
    )
    ranking = promql.standing(TOTALS)
    most, rest = promql.ranked(promql.hourly(), ranking, "automation_id", MORE)
    return told_apart(text, [promql.named(one) for one in most], promql.named(rest), "{{name}}")


def oldest() -> AnyPanel:
    """Return the lines of the automations with the oldest data."""
    text = Text(
        "Age of the data, the oldest",
        "Time since the last good poll of the eight automations whose data is the oldest; the next twelve are grey. A "
        "healthy one is a saw of one poll interval.",
        "s",
    )
    oldest, rest = promql.ranked(
        promql.age(), f"-{promql.recorded(promql.LAST_SUCCESS, modifier=' @ end()')}", "automation_id", MORE
    )
    return told_apart(text, [promql.named(one) for one in oldest], promql.named(rest), "{{name}}")
