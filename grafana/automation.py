"""The dashboard of one automation: its steps, its links, where they stand and which have died."""

from typing import Final

from grafana_foundation_sdk.builders import bargauge, timeseries
from grafana_foundation_sdk.models import dashboard as dm

from grafana import cells, promql
from grafana.automations import banded
from grafana.frame import AUTOMATION_UID, Section, assemble, automation, narrowing
from grafana.palette import Colour
from grafana.panels import (
    AnyPanel,
    Column,
    Text,
    bars,
    grid,
    lines,
    number,
    properties,
    query,
    rows,
    sized,
    thresholds,
)

TOTAL: Final = promql.totals(promql.ONE)
NOW: Final = promql.clicks(TOTAL)
BEFORE: Final = promql.last_week(TOTAL)
LINKS: Final = promql.links()
EVERY_ROW: Final = promql.links(promql.CHOSEN)
LINK_CLICKS: Final = promql.clicks(LINKS)
HOUR: Final = "1h"
DAY: Final = "1d"
EXPECTED_A_DAY: Final = 5
"""A link that had fewer clicks a day may be silent for a day by chance (1 in 150 at 5)."""

STEP_URL: Final = (
    f"/d/{AUTOMATION_UID}?${{datasource:queryparam}}&${{job:queryparam}}&${{automation:queryparam}}"
    "&${__url_time_range}&var-step=${__data.fields.step_id:percentencode}"
)
NARROW_STEP: Final = cells.leads_to(STEP_URL, "Narrow the page to this step")
LINK_URL: Final = f"{STEP_URL}&var-url=${{__data.fields.url:percentencode}}"
NARROW: Final = cells.leads_to(LINK_URL, "Narrow the page to this link")
CHOICE: Final = "Follows the choice of steps and link."


def one_automation() -> dm.Dashboard:
    """Return the dashboard."""
    return assemble(
        AUTOMATION_UID,
        "SendGrid automation",
        "One automation: its totals, steps and links, where the links stand in the message and which have died.",
        [automation(), *narrowing()],
        [
            Section("At a glance", _glance()),
            Section("Steps and clicks", [sized(_funnel(), 8, 9), sized(_clicks(), 16, 9)]),
            Section("Links", [sized(_links(), 24, 11), sized(_died(), 24, 6)]),
            Section(
                "Position in the message and steps in detail",
                [sized(_positions(), 8, 9), sized(_steps(), 16, 9), sized(_steps_over_time(), 24, 8)],
                collapsed=True,
            ),
        ],
    )


def _glance() -> list[AnyPanel]:
    plain = thresholds(Colour.NOW)
    name = Text("Automation", "The name from the exporter's configuration, else the id.", "string")
    panels = [
        (number(name, promql.names(promql.ONE), plain, name_only=True), 6),
        (number(Text("Total clicks", "SendGrid's own total over its life.", "locale"), TOTAL.now(), plain), 3),
        (number(Text("Clicks", "Clicks in the chosen range.", "locale"), NOW, plain), 3),
        (_against_last_week(), 3),
        (
            number(
                Text("Links clicked", f"Links with at least one click in the range. {CHOICE}", "short"),
                promql.counted(LINK_CLICKS, "> 0"),
                plain,
            ),
            3,
        ),
        (
            number(
                Text("Dead links", f"Links that died, as in the table below. {CHOICE}", "short"),
                f"count({_dead()}) or count({LINKS.now()}) * 0",
                thresholds(Colour.GOOD, (1, Colour.ACT)),
            ),
            3,
        ),
        (_data_age(), 3),
    ]
    return [sized(panel, width, 4) for panel, width in panels]


def _against_last_week() -> AnyPanel:
    text = Text(
        "Vs last week", "Clicks in the range against the same range a week earlier; empty if unwatched.", "percentunit"
    )
    colours = thresholds(Colour.ACT, (-0.5, Colour.LOOK), (-0.2, Colour.NEUTRAL))
    return number(text, promql.change(NOW, BEFORE), colours).decimals(1)


def _data_age() -> AnyPanel:
    text = Text("Data age", "Poll intervals since the last good poll; beyond 3 the data is stale.", "suffix: intervals")
    colours = thresholds(Colour.GOOD, (2, Colour.LOOK), (3, Colour.ACT))
    return number(text, promql.age_in_intervals(promql.ONE), colours).decimals(1)


def _funnel() -> bargauge.Panel:
    text = Text(
        "Clicks per step",
        f"Clicks in the range, the most clicked step first: how far people follow the journey. {CHOICE}",
        "locale",
    )
    per_step = promql.short_step(f"sum by (step_id) ({promql.clicks(EVERY_ROW)})")
    return bars(text, rows(f"sum by (step) ({per_step})"), sort="Value", desc=True)


def _clicks() -> timeseries.Panel:
    text = Text(
        "Clicks per hour",
        "Clicks of the hour before each point of the whole automation, against the same hour last week and the band of "
        "what is usual. The band comes from the recording rules and begins after a week of history.",
        "short",
    )
    targets = [
        query(promql.clicks(TOTAL, HOUR, whole=True), "A", legend="Now"),
        query(promql.last_week(TOTAL, HOUR), "B", legend="Last week"),
        query(promql.recorded(promql.LOW, promql.ONE), "C", legend="Usual, at least"),
        query(promql.recorded(promql.HIGH, promql.ONE), "D", legend="Usual, at most"),
    ]
    return banded(lines(text, targets))


def _links() -> AnyPanel:
    text = Text(
        "Top links",
        "The 50 most clicked links of the range. The link opens in a new tab; a click elsewhere on its row narrows "
        f"the page to it. Last click comes from the recording rules. {CHOICE}",
        "short",
        "No link was clicked yet",
    )
    ranking = promql.clicks(LINKS, pin=" @ end()")
    trend = promql.top(50, promql.clicks(LINKS, DAY, whole=True), ranking, promql.LINK_LABELS)
    best = f"topk(50, {LINK_CLICKS})"
    before = promql.last_week(LINKS)

    def of_each(expression: str) -> str:
        """Return a value for every row: Grafana joins no table with one that has no rows at all."""
        on = f"on ({promql.LINK_LABELS})"
        return f"({expression}) and {on} {best} or {on} {best} * NaN"

    targets = [
        query(trend, "A"),
        rows(promql.short_step(best), "B"),
        rows(of_each(f"({LINK_CLICKS}) / on () group_left () (sum({promql.clicks(EVERY_ROW)}) > 0)"), "C"),
        rows(of_each(promql.change(LINK_CLICKS, before)), "D"),
        rows(of_each(LINKS.now()), "E"),
        rows(of_each(_last_click()), "F"),
    ]
    columns = [
        Column("url", "Link", cells.OPEN),
        Column("step", "Step", {"custom.width": 105, **NARROW}),
        Column("url_location", "Position", {"custom.width": 110, **NARROW}),
        Column("Trend #A", "Clicks a day", cells.TREND),
        Column("Value #B", "Clicks", {**cells.CLICKS, **NARROW}),
        Column("Value #C", "Share", {**cells.SHARE, **NARROW}),
        Column("Value #D", "Change", {**cells.CHANGE, **NARROW}),
        Column("Value #E", "Total", {**cells.CLICKS, **NARROW}),
        Column("Value #F", "Last click", {**cells.MOMENT, **NARROW}),
    ]
    return grid(text, targets, columns, sort="Clicks", trends="A", hidden=["automation_id", "step_id"])


def _last_click() -> str:
    return f"{promql.recorded(promql.LINK_MOVED, promql.CHOSEN, promql.LINK_LABELS)} * 1000"


def _daily() -> str:
    """Return the clicks a day of each link over the week before the last day."""
    return f"{promql.clicks(LINKS, '1w', end=DAY)} / 7"


def _dead() -> str:
    return (
        f"({_daily()} >= {EXPECTED_A_DAY}) and on ({promql.LINK_LABELS}) ({promql.clicks(LINKS, DAY, whole=True)} == 0)"
    )


def _died() -> AnyPanel:
    text = Text(
        "Links that died",
        f"Links that had {EXPECTED_A_DAY} clicks a day or more in the week before and none in the last 24 hours of the "
        f"range. {CHOICE}",
        "short",
        "No link has died",
    )
    targets = [
        rows(promql.short_step(_dead()), "A"),
        rows(f"{_last_click()} and on ({promql.LINK_LABELS}) {_dead()}", "B"),
    ]
    columns = [
        Column("url", "Link", cells.OPEN),
        Column("step", "Step", {"custom.width": 105, **NARROW}),
        Column("url_location", "Position", {"custom.width": 110, **NARROW}),
        Column("Value #A", "Clicks a day before", {"unit": "short", "decimals": 1, "custom.width": 195, **NARROW}),
        Column("Value #B", "Last click", {**cells.MOMENT, **NARROW}),
    ]
    return grid(text, targets, columns, sort="Clicks a day before", hidden=["automation_id", "step_id"])


def _positions() -> bargauge.Panel:
    text = Text(
        "Clicks by position in the message",
        f"Clicks in the range by the link's place in the message, 0 the topmost. {CHOICE}",
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
        f"Clicks of each step in the range, its share, and against the step with the most clicks. {CHOICE}",
        "short",
        "No step was clicked yet",
    )
    per_step = f"sum by (step_id) ({promql.clicks(EVERY_ROW)})"
    before = f"sum by (step_id) ({promql.last_week(EVERY_ROW)})"
    moved = promql.recorded(promql.STEP_MOVED, f'{promql.ONE}, step_id=~"$step"', "step_id")
    targets = [
        rows(promql.short_step(per_step), "A"),
        rows(promql.share(per_step), "B"),
        rows(f"{per_step} / on () group_left () (max({per_step}) > 0)", "C"),
        rows(promql.change(per_step, before), "D"),
        rows(f"{moved} * 1000", "E"),
    ]
    columns = [
        Column("step", "Step", NARROW_STEP),
        Column("Value #A", "Clicks", cells.CLICKS),
        Column("Value #B", "Share", cells.SHARE),
        Column("Value #C", "Of the largest", {**cells.SHARE, "custom.width": 130}),
        Column("Value #D", "Change", cells.CHANGE),
        Column("Value #E", "Last click", cells.MOMENT),
    ]
    return grid(text, targets, columns, sort="Clicks", hidden=["step_id"])


def _steps_over_time() -> timeseries.Panel:
    text = Text("Clicks per hour by step", f"Clicks of the hour before each point, ten steps. {CHOICE}", "short")
    per_step = f"sum by (step_id) ({promql.clicks(EVERY_ROW, HOUR, whole=True)})"
    ranking = f"sum by (step_id) ({promql.clicks(EVERY_ROW, pin=' @ end()')})"
    most = promql.short_step(promql.top(10, per_step, ranking, "step_id"))
    return lines(text, [query(most, legend="{{step}}")], many=True)
