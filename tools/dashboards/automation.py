"""The dashboard of one automation: its steps and links, their positions, and which are dead."""

from typing import Final

from grafana_foundation_sdk.builders import bargauge, timeseries
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards import cells, link_tables, mails, problems, promql, why
from tools.dashboards.frame import AUTOMATION_UID, Section, assemble, automation, narrowing
from tools.dashboards.palette import Colour
from tools.dashboards.panels import (
    AnyPanel,
    Column,
    Text,
    against_last_week,
    bars,
    grid,
    lines,
    number,
    properties,
    query,
    rows,
    sized,
    thresholds,
    told_apart,
)

TOTAL: Final = promql.totals(promql.ONE)
NOW: Final = promql.clicks(TOTAL)
BEFORE: Final = promql.last_week(TOTAL)
HOUR: Final = "1h"
MORE: Final = 12
"""Steps after the first eight, in grey."""


def one_automation() -> dm.Dashboard:
    """Return the dashboard."""
    return assemble(
        AUTOMATION_UID,
        "SendGrid automation",
        "One automation: its totals, steps and links, their positions in the message, and which are dead.",
        [automation(), *narrowing()],
        [
            Section("What is wrong", [sized(_wrong(), 24, 4)]),
            Section("At a glance", _glance()),
            Section("Steps and clicks", [sized(_funnel(), 8, 9), sized(_clicks(), 16, 9)]),
            Section("Links", [sized(link_tables.died(), 24, 4), sized(link_tables.top_links(), 24, 12)]),
            Section("Why did this fire", why.panels(), collapsed=True),
            Section("Mails", mails.of_one(), collapsed=True),
            Section(
                "Position in the message and steps in detail",
                [sized(_positions(), 8, 8), sized(_steps(), 16, 8)],
                collapsed=True,
            ),
            Section("Steps over time", [sized(_steps_over_time(), 24, 9)], collapsed=True),
        ],
    )


def _wrong() -> AnyPanel:
    return problems.panel(
        "What is wrong with this automation",
        "One row per problem, as on the dashboard of all automations, regardless of the selected steps and link.",
        problems.HERE,
    )


def _glance() -> list[AnyPanel]:
    plain = thresholds(Colour.NOW)
    name = Text("Automation", "The name from the exporter's configuration, otherwise the id.", "string")
    panels = [
        (number(name, promql.names(promql.ONE), plain, name_only=True), 6),
        (number(Text("Total clicks", "SendGrid's own total over its lifetime.", "locale"), TOTAL.now(), plain), 3),
        (number(Text("Clicks", "Clicks in the selected range.", "locale"), NOW, plain), 3),
        (_against_last_week(), 3),
        (
            number(
                Text("Dead links", f"Dead links, as in the table below. {link_tables.CHOICE}", "short"),
                f"count({link_tables.dead()}) or count({link_tables.LINKS.now()}) * 0",
                thresholds(Colour.GOOD, (1, Colour.ACT)),
            ),
            3,
        ),
        (_data(), 3),
        (_data_age(), 3),
    ]
    return [sized(panel, width, 4) for panel, width in panels]


def _against_last_week() -> AnyPanel:
    text = Text(
        "Vs last week",
        "Clicks in the range compared with the same range a week earlier; empty if it was not watched then.",
        "percentunit",
    )
    colours = thresholds(Colour.ACT, (-0.5, Colour.LOOK), (-0.2, Colour.NEUTRAL))
    return number(text, promql.change(NOW, BEFORE), colours).decimals(1)


def _data() -> AnyPanel:
    text = Text("Data", "Stale if older than 3 poll intervals.", "short", "unread")
    fresh, stale = (
        dm.ValueMappingResult(text=text, color=colour)
        for text, colour in (("fresh", Colour.GOOD), ("stale", Colour.ACT))
    )
    state = number(text, f"{promql.age_in_intervals(promql.ONE)} > bool 3", thresholds(Colour.NOW))
    return state.mappings([dm.ValueMap(options={"0": fresh, "1": stale})])


def _data_age() -> AnyPanel:
    text = Text("Data age", "Time since the last successful poll.", "s")
    return number(text, promql.age(promql.ONE), thresholds(Colour.NOW)).decimals(0)


def _funnel() -> bargauge.Panel:
    text = Text(
        "Clicks per step",
        f"Clicks in the range, most clicked step first: how far people get in the automation. {link_tables.CHOICE}",
        "locale",
    )
    per_step = promql.stepped(f"sum by (automation_id, step_id) ({promql.clicks(link_tables.EVERY_ROW)})")
    return bars(text, rows(f"sum by (step) ({per_step})"), sort="Value", desc=True)


def _clicks() -> timeseries.Panel:
    text = Text(
        "Clicks per hour",
        "Clicks of the whole automation in the hour before each point, in the same hour last week, and the minimum "
        "that the click-drop rules expect: the fewest of the last two weeks, from the ninth day on.",
        "short",
    )
    targets = [
        query(promql.clicks(TOTAL, HOUR, whole=True), "A", legend="Now"),
        query(promql.last_week(TOTAL, HOUR), "B", legend="Last week"),
        query(promql.hour(promql.EXPECTED, promql.ONE), "C", legend="Expected"),
    ]
    return against_last_week(lines(text, targets))


def _positions() -> bargauge.Panel:
    text = Text(
        "Clicks by position in the message",
        f"Clicks in the range by the link's position in the message; 0 is the topmost. {link_tables.CHOICE}",
        "locale",
    )
    known = promql.links(f'{promql.CHOSEN}, {promql.NOT_REST}, url_location!=""')
    padded = f'label_replace({promql.clicks(known)}, "position", "0$1", "url_location", "(.)")'
    named = f'label_replace({padded}, "position", "$1", "url_location", "(..+)")'
    target = rows(f"sum by (position) ({named})")
    unpadded = {"mappings": [{"type": "regex", "options": {"pattern": "/^0(\\d)$/", "result": {"text": "$1"}}}]}
    return bars(text, target, sort="position", desc=False).override_by_name("position", properties(unpadded))


def _steps() -> AnyPanel:
    text = Text(
        "Steps",
        "Clicks of each step in the range, its share, and compared with the step with the most clicks. "
        f"{link_tables.CHOICE}",
        "short",
        "No step has clicks yet",
    )
    step = "automation_id, step_id"
    per_step = f"sum by ({step}) ({promql.clicks(link_tables.EVERY_ROW)})"
    before = f"sum by ({step}) ({promql.last_week(link_tables.EVERY_ROW)})"
    last_click = promql.last_click(f'{promql.ONE}, step_id=~"$step"', step)
    targets = [
        rows(promql.stepped(per_step), "A"),
        rows(promql.share(per_step), "B"),
        rows(f"{per_step} / on () group_left () (max({per_step}) > 0)", "C"),
        rows(promql.each(promql.change(per_step, before), per_step, step), "D"),
        rows(promql.each(last_click, per_step, step), "E"),
    ]
    columns = [
        Column("step", "Step", link_tables.NARROW_STEP),
        Column("Value #A", "Clicks", cells.CLICKS),
        Column("Value #B", "Share", cells.SHARE),
        Column("Value #C", "Of the largest", {**cells.SHARE, "custom.width": 130}),
        Column("Value #D", "Change", cells.CHANGE),
        Column("Value #E", "Last click", cells.MOMENT),
    ]
    return grid(text, targets, columns, sort="Clicks", hidden=["automation_id", "step_id"])


def _steps_over_time() -> timeseries.Panel:
    text = Text(
        "Clicks per hour by step",
        "Clicks in the hour before each point; the eight steps with the most clicks of all time, others in grey. "
        f"{link_tables.CHOICE}",
        "short",
    )
    step = "automation_id, step_id"
    per_step = f"sum by ({step}) ({promql.clicks(link_tables.EVERY_ROW, HOUR, whole=True)})"
    ranking = f"sum by ({step}) ({link_tables.EVERY_ROW.now(' @ end()')})"
    most, rest = promql.ranked(per_step, ranking, step, MORE)
    return told_apart(text, [promql.stepped(one) for one in most], promql.stepped(rest), "{{step}}")
