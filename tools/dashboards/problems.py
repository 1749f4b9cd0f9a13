"""Current problems: one row each, in words, with automation, step and link, since when, and the missing clicks."""

import re
from pathlib import Path
from typing import Final

import yaml

from tools.dashboards import cells, promql
from tools.dashboards.frame import AUTOMATION_UID, AUTOMATIONS_UID, EXPORTER_UID
from tools.dashboards.palette import Colour
from tools.dashboards.panels import AnyPanel, Column, Text, grid, properties, rows
from tools.dashboards.words import ACCOUNTS, CAUSES, FELL, NOT_JUDGED, NOTHING_WATCHED, PROBLEMS, SILENT, TOO_YOUNG
from tools.rules.files import runbook

KEY: Final = "job, alertname, automation_id, step_id, url, url_location"
"""The labels that identify a problem."""

RUNBOOKS: Final = runbook().rpartition("/")[0]
"""The address of docs/. Each row has its page's whole address, so that the chart can replace it as in the alerts."""

PAUSE: Final = "6h"
"""An alert that returns within this time is the same problem."""
LONGEST: Final = "14d"
"""How far back the start of a problem is searched; beyond, it is what Prometheus has had since its last start."""

_ALERTMANAGER: Final = Path(__file__).parents[2] / "prometheus" / "alertmanager" / "alertmanager.yml"
_MATCHER: Final = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"?([^"]*?)"?\s*')


_OURS: Final = f'{promql.JOB_OR_NONE}, alertname=~"SendGrid.+", severity!="info"'
_FIRING: Final = 'alertstate="firing"'
_ENOUGH: Final = 20
"""Clicks of a day, half of which are missing by chance once in 30,000."""

_RUNBOOK: Final = "${__data.fields.runbook:raw}"
_DETAIL: Final = (
    "/d/${__data.fields.to:raw}&var-step=${__data.fields.to_step:percentencode}&var-url=${__data.fields.to_url:percentencode}"
    "&${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
)
_NEUTRAL: Final = "refresh=5m"
"""A parameter without effect, if there is no automation: a URL with a field that no row has is broken."""
EVERYWHERE: Final = ""
HERE: Final = 'automation_id="$automation"'
EXPORTERS: Final = 'automation_id=""'


def wrong(where: str = EVERYWHERE) -> str:
    """Return the problems that alerts report, without those explained by a wider one."""
    explained = [
        f"{_alerts(where, *targets)} and on ({', '.join(equal)}) {_alerts('', *sources)}"
        for sources, targets, equal in _inhibitions()
    ]
    return f"max by ({KEY}) ({_alerts(where)}) unless on ({KEY}) ({' or '.join(explained)})"


def panel(title: str, description: str, where: str = EVERYWHERE) -> AnyPanel:
    """Return the table of current problems."""
    text = Text(title, description, "short", "Nothing is wrong")
    found, unjudged = f"({wrong(where)})", _unjudged(where)
    cause = f"topk by ({KEY}) (1, max by ({KEY}, cause) ({_alerts(where)}))"
    since = f"({promql.each(_since(where), found, KEY)}) * on ({KEY}) group_left (cause) {cause}"
    targets = [
        rows(_told(f"({since} or NaN * ({unjudged}))", where), "A"),
        rows(f"{promql.each(_missing(), found, KEY)} or {unjudged}", "B"),
    ]
    words = cells.state({name: (one.words, one.colour) for name, one in PROBLEMS.items()}, ("-", Colour.QUIET), 160)
    columns = [
        Column("alertname", "Problem", {**words, **cells.leads_to(_RUNBOOK, "What to do", new_tab=True)}),
        Column("name", "Automation", {"custom.width": 190, **cells.leads_to(_DETAIL, "Show this automation")}),
        Column("step", "Step", {"custom.width": 130, **cells.leads_to(_DETAIL, "Show this step")}),
        Column("url", "Link", {"custom.minWidth": 200, "mappings": cells.WITHOUT_SCHEME, **cells.OPEN}),
        Column("cause", "Cause", {"custom.width": 115, "mappings": cells.words(CAUSES)}),
        Column("Value #A", "Since", cells.MOMENT),
        Column("Value #B", "Missing clicks", {**cells.CLICKS, "custom.width": 155, "mappings": cells.DASH}),
        Column("page", "SendGrid", {"custom.width": 100, "mappings": cells.OPEN_PAGE, **cells.OPEN}),
    ]
    hidden = ["job", "automation_id", "step_id", "url_location", "to", "to_step", "to_url", "runbook"]
    pages = cells.words({name: f"{RUNBOOKS}/{one.page}{one.anchor(name)}" for name, one in PROBLEMS.items()})
    table = grid(text, targets, columns, sort="Missing clicks", hidden=hidden)
    return table.override_by_name("runbook", properties({"mappings": pages}))


def _alerts(where: str, *matchers: str) -> str:
    return f"ALERTS{{{_all(_OURS, _FIRING, where, *matchers)}}}"


def _all(*matchers: str) -> str:
    return ", ".join(filter(None, matchers))


def _inhibitions() -> list[tuple[list[str], list[str], list[str]]]:
    """Return which alerts inhibit which others in Alertmanager: together they would be one problem in two rows."""
    rules = yaml.safe_load(_ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]
    return [(_matchers(rule["source_matchers"]), _matchers(rule["target_matchers"]), rule["equal"]) for rule in rules]


def _matchers(written: list[str]) -> list[str]:
    found = [_MATCHER.fullmatch(one) for one in written]
    return [f'{one[1]}{one[2]}"{one[3]}"' for one in found if one]


def _unjudged(where: str) -> str:
    """Return rows that prevent an empty table from saying 'nothing is wrong' while nothing is judged.

    Without the rules they also show the automations with less than half of last week's clicks in the last day, and on
    the page of one automation its links without clicks, with the clicks missing in a day.
    """
    rules = f"count(last_over_time({promql.CONFIGURED}{{{promql.JOB}}}[1d]))"
    judged = f"count(last_over_time({promql.EXPECTED}{{{promql.JOB}}}[1d]))"
    watched = f"count({promql.totals().now()})"
    states = [
        (NOT_JUDGED, f"NaN * ({watched} unless on () {rules})"),
        (TOO_YOUNG, f"NaN * ({watched} and on () {rules} unless on () {judged})"),
        (NOTHING_WATCHED, f"NaN * (vector(1) unless on () ({watched} or {rules}))"),
    ]
    if where != EXPORTERS:
        reading = promql.totals(_all(promql.JOB, where))
        before, now = promql.last_week(reading, "1d"), promql.clicks(reading, "1d", whole=True)
        states.append((FELL, f"({before} >= {_ENOUGH}) - {now} > 0.5 * {before} unless on () {rules}"))
    if where == HERE:
        states.append(
            (SILENT, f"{promql.silent(promql.links(f'{promql.ONE}, {promql.NOT_REST}'))} unless on () {rules}")
        )
    return " or ".join(f'label_replace({state}, "alertname", "{name}", "", "")' for name, state in states)


def _since(where: str) -> str:
    """Return when each problem started, in milliseconds.

    `ALERTS_FOR_STATE` has it, but loses it when Prometheus restarts or the alert pauses for a while. So the start is
    the latest moment that was preceded by hours without the alert.
    """
    series = f"ALERTS_FOR_STATE{{{_all(_OURS, where)}}}"
    now, before = f"min by ({KEY}) ({series})", f"last_over_time({series}[{PAUSE}] offset 15m)"
    began = f"max by ({KEY}) (max_over_time(({now} unless on ({KEY}) {before})[{LONGEST}:15m]))"
    return f"({began} or on ({KEY}) {now}) * 1000"


def _missing() -> str:
    """Return the clicks that each problem costs: those expected that did not arrive, in the window that lacks most."""
    part = "job, automation_id, step_id, url, url_location"
    of_parts, of_totals = (
        f"max by ({by}) ({expected}{{{promql.JOB}}} - on ({by}, window) {observed}{{{promql.JOB}}})"
        for by, expected, observed in (
            (part, promql.PART_EXPECTED, promql.PART_OBSERVED),
            ("job, automation_id", promql.EXPECTED, promql.OBSERVED),
        )
    )
    of_automations = _alerts(EVERYWHERE, 'automation_id!=""')
    of_account = _alerts(EVERYWHERE, f'alertname=~"{ACCOUNTS}"')
    return (
        f"(max by ({KEY}) ({of_automations}) * on ({part}) group_left () ({of_totals} or {of_parts})"
        f" or max by ({KEY}) ({of_account}) * on (job) group_left () sum by (job) (clamp_min({of_totals}, 0)))"
    )


def _told(expression: str, where: str) -> str:
    """Return the expression with readable names and link targets as labels."""
    series = f"ALERTS|{promql.TOTAL}|{promql.LINK}" if where == HERE else f"ALERTS|{promql.TOTAL}"
    seen = f'{{__name__=~"{series}", {_all(promql.JOB_OR_NONE, where)}}}'
    steps = f"(group by (automation_id, step_id) ({seen}) or vector(1))"
    automations = f"group by (automation_id) ({steps})"
    names = f"{promql.names_in_range()} or on (automation_id) {promql.relabelled(automations, 'name', 'automation_id')}"
    page = promql.relabelled(f"max by (automation_id, url) ({promql.PAGE_INFO}{{{promql.JOB}}})", "page", "url")
    pages = f"topk by (automation_id) (1, {page}) or on (automation_id) {automations}"
    told = (
        f"{expression} * on (automation_id) group_left (name) ({names})"
        f" * on (automation_id, step_id) group_left (step) ({promql.step_names(steps)})"
        f" * on (automation_id) group_left (page) ({pages})"
    )
    for label, source in (("to_step", "step_id"), ("to_url", "url")):
        told = f'label_replace({promql.relabelled(told, label, source)}, "{label}", "All", "{source}", "")'
    for to, source, value in (
        (f"{EXPORTER_UID}?{_NEUTRAL}", "alertname", ".*"),
        (f"{AUTOMATION_UID}?var-automation=$1", "automation_id", "(.+)"),
        (f"{AUTOMATIONS_UID}?{_NEUTRAL}", "alertname", ACCOUNTS),
    ):
        told = f'label_replace({told}, "to", "{to}", "{source}", "{value}")'
    told = f'label_replace({told}, "name", "-", "name", "")'
    return promql.relabelled(told, "runbook", "alertname")
