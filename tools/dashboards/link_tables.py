"""The tables of one automation's links, and what other panels share with them."""

from typing import Final

from tools.dashboards import cells, promql
from tools.dashboards.frame import AUTOMATION_UID
from tools.dashboards.palette import Colour
from tools.dashboards.panels import AnyPanel, Column, Text, grid, query, rows

LINKS: Final = promql.links()
EVERY_ROW: Final = promql.links(promql.CHOSEN)
LINK_CLICKS: Final = promql.clicks(LINKS)
DAY: Final = "1d"
_OF_LINKS: Final = 'alertname=~"SendGridLink(ClicksStopped|Broken)"'

STEP_URL: Final = (
    f"/d/{AUTOMATION_UID}?${{datasource:queryparam}}&${{job:queryparam}}&${{automation:queryparam}}"
    "&${__url_time_range}&var-step=${__data.fields.step_id:percentencode}"
)
NARROW_STEP: Final = cells.leads_to(STEP_URL, "Narrow the page to this step")
LINK_URL: Final = f"{STEP_URL}&var-url=${{__data.fields.url:percentencode}}"
NARROW: Final = cells.leads_to(LINK_URL, "Narrow the page to this link")
CHOICE: Final = "Filtered by steps and link."


def top_links() -> AnyPanel:
    """Return the table of the most clicked links."""
    text = Text(
        "Top links",
        "The 50 most clicked links of the range. The link opens in a new tab; a click elsewhere in its row filters "
        f"the dashboard by it. Last click comes from the recording rules. {CHOICE}",
        "short",
        "No link has clicks yet",
    )
    ranking = promql.clicks(LINKS, pin=" @ end()")
    trend = promql.top(50, promql.clicks(LINKS, DAY, whole=True), ranking, promql.LINK_LABELS)
    best = f"topk(50, {LINK_CLICKS})"
    before = promql.last_week(LINKS)

    def of_each(expression: str) -> str:
        return promql.each(expression, best, promql.LINK_LABELS)

    on_link = f"on ({promql.LINK_LABELS})"
    targets = [
        query(trend, "A"),
        rows(promql.stepped(best), "B"),
        rows(of_each(f"({LINK_CLICKS}) / on () group_left () (sum({promql.clicks(EVERY_ROW)}) > 0)"), "C"),
        rows(of_each(promql.change(LINK_CLICKS, before)), "D"),
        rows(of_each(LINKS.now()), "E"),
        rows(of_each(_last_click()), "F"),
        rows(f"({dead()} * 0 + 1) and {on_link} {best} or {on_link} {best} * 0", "G"),
    ]
    columns = [
        Column(
            "Value #G",
            "State",
            cells.state({"0": ("alive", Colour.QUIET), "1": ("dead", Colour.ACT)}, ("-", Colour.QUIET), 85),
        ),
        Column("url", "Link", cells.OPEN),
        Column("step", "Step", {"custom.width": 120, **NARROW}),
        Column("url_location", "Position", {"custom.width": 110, **NARROW}),
        Column("Trend #A", "Clicks a day", cells.TREND),
        Column("Value #B", "Clicks", {**cells.CLICKS, **NARROW}),
        Column("Value #C", "Share", {**cells.SHARE, **NARROW}),
        Column("Value #D", "Change", {**cells.CHANGE, **NARROW}),
        Column("Value #E", "Total", {**cells.CLICKS, **NARROW}),
        Column("Value #F", "Last click", {**cells.MOMENT, **NARROW}),
    ]
    hidden = ["automation_id", "step_id"]
    return grid(text, targets, columns, first="State", sort="Clicks", trends="A", hidden=hidden)


def _last_click() -> str:
    return promql.last_click(promql.CHOSEN, promql.LINK_LABELS)


def dead() -> str:
    """Return the dead links, with the clicks per day that they had.

    If the rules judge the automation's links, their alerts decide, so that panels do not contradict each other;
    otherwise a day without clicks does.
    """
    alerted = f'ALERTS{{job=~"$job|", {promql.SENDGRID_ALERTS}, {_OF_LINKS}, automation_id="$automation"}}'
    judged = f"last_over_time({promql.PART_ODDS}{{{promql.ONE}}}[2h])"
    known = f"({promql.daily(LINKS)}) and on (automation_id, step_id, url) {alerted}"
    return f"({known} or ({promql.silent(LINKS)}) unless on (automation_id) {judged})"


def died() -> AnyPanel:
    """Return the table of links that no longer have clicks."""
    text = Text(
        "Which links are dead",
        "Links that the click-drop rules or a probe report. Without the rules, and in their first weeks: links with "
        f"at least {promql.EXPECTED_A_DAY} clicks a day in the week before and none in the last 24 hours. {CHOICE}",
        "short",
        "No link is dead",
    )
    targets = [
        rows(promql.stepped(dead()), "A"),
        rows(promql.each(_last_click(), dead(), promql.LINK_LABELS), "B"),
    ]
    columns = [
        Column("url", "Link", cells.OPEN),
        Column("step", "Step", {"custom.width": 140, **NARROW}),
        Column("url_location", "Position", {"custom.width": 110, **NARROW}),
        Column("Value #A", "Clicks a day before", {"unit": "short", "decimals": 1, "custom.width": 195, **NARROW}),
        Column("Value #B", "Last click", {**cells.MOMENT, **NARROW}),
    ]
    return grid(text, targets, columns, sort="Clicks a day before", hidden=["automation_id", "step_id"])
