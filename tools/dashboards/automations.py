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

RULES: Final = "From the recording rules, after nine days of history."
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
        "Current problems, which automations have clicks or lose them, and how old the numbers are.",
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
        "One row per problem: since when, and how many clicks are missing in the up to three days that the click-drop "
        "rules look back. A problem links to what to do about it, an automation or a step to its dashboard, a link to "
        "its page, and Open to the automation in SendGrid. Problems explained by a wider one are omitted.",
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
            Text("Problems", "Rows of the table above that come from alerts.", "short", NO_RULES),
            f"count({problems.wrong()}) or {promql.judging()}",
            alarm,
        ),
        number(
            Text(
                "Suspected",
                f"Automations with at least half of the evidence for an alert, and no alert yet. {RULES}",
                "short",
                NO_RULES,
            ),
            suspected,
            watch,
        ),
        number(
            Text("Automations", "Configured automations.", "short"),
            f"count({promql.names()}) or vector(0)",
            plain,
        ),
        number(
            Text("Clicks", "Clicks on all automations in the selected range.", "short"),
            f"sum({NOW})",
            plain,
        ),
        number(
            Text(
                "Vs last week",
                "Clicks in the range compared with the same range a week earlier, for automations watched in both.",
                "percentunit",
            ),
            promql.change(f"sum({pair})", f"sum(({BEFORE}) and on (automation_id) ({NOW}))"),
            thresholds(Colour.ACT, (-0.5, Colour.LOOK), (-0.2, Colour.NEUTRAL)),
        ).decimals(1),
        number(
            Text("Exporter", "Firing alerts on the exporter itself.", "suffix: alerts", NO_RULES),
            f"count({promql.EXPORTER_ALERTS}) or {promql.judging()}",
            alarm,
        ).mappings([dm.ValueMap(options={"0": dm.ValueMappingResult(text="OK", color=Colour.GOOD)})]),
        number(
            Text(
                "Stale data", "Automations whose data is older than 3 poll intervals, or that were never read.", "short"
            ),
            f"count({stale}) or count({promql.names()}) * 0",
            alarm,
        ),
        number(
            Text("Oldest data", "The longest time since a successful poll, over all automations.", "s"),
            f"max({promql.age()})",
            plain,
        ).decimals(0),
    ]
    return [sized(panel, 3, 4) for panel in panels]


def _fleet() -> timeseries.Panel:
    text = Text(
        "Clicks per hour, all automations",
        "Clicks in the hour before each point, in the same hour last week, and the minimum that the click-drop rules "
        "expect: for each automation the fewest of the last two weeks, from the ninth day on.",
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
        "Clicks in the selected range compared with the same range a week earlier; the total is SendGrid's own, over "
        "the automation's lifetime. Change is empty if last week was not watched. Evidence covers the automation, its "
        "steps and its links; a drop is certain while an alert is firing. A row links to the automation.",
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
        "Clicks in the hour before each point: the eight automations with the most clicks in the range, each in its "
        "own color, and the next twelve in grey.",
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
        "Time since the last successful poll of the eight automations with the oldest data; the next twelve are grey. "
        "A healthy one is a sawtooth of one poll interval.",
        "s",
    )
    oldest, rest = promql.ranked(
        promql.age(), f"-{promql.recorded(promql.LAST_SUCCESS, modifier=' @ end()')}", "automation_id", MORE
    )
    return told_apart(text, [promql.named(one) for one in oldest], promql.named(rest), "{{name}}")
