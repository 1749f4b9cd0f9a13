"""What changed in the account: new, removed and unwatched automations, and replaced links."""

from typing import Final

from tools.dashboards import cells, promql
from tools.dashboards.frame import TO_AUTOMATION
from tools.dashboards.palette import Colour
from tools.dashboards.panels import AnyPanel, Column, Text, grid, rows

KINDS: Final[dict[str, tuple[str, str]]] = {
    "new": ("New", Colour.NOW),
    "gone": ("Gone", Colour.QUIET),
    "unwatched": ("Not watched", Colour.LOOK),
    "replaced": ("Link replaced", Colour.NOW),
}
INFO: Final = f"{promql.INFO}{{{promql.JOB}}}"
WATCHED: Final = f"group by (automation_id) ({INFO})"
BEFORE: Final = f"group by (automation_id) (last_over_time({INFO}[{promql.LOOKBACK}] offset $__range))"
UNWATCHED: Final = f'sendgrid_exporter_discovered_automations{{{promql.JOB}, state="unwatched"}} > 0'
REPLACED: Final = f'ALERTS{{{promql.JOB}, alertname="SendGridLinkReplaced", alertstate="firing"}}'


def panel() -> AnyPanel:
    """Return the table."""
    text = Text(
        "What changed in the account",
        "Within the range: automations that the exporter started or stopped watching, links replaced by a newer one, "
        "and automations that send mails but are not watched (needs discovery.mode report or poll).",
        "short",
        "Nothing has changed",
    )
    sent = f"{promql.clicks(promql.Reading(promql.DELIVERED, 'automation_id', promql.JOB))} > 0"
    stray = f"({sent} unless on (automation_id) {WATCHED}) and on () ({UNWATCHED})"
    appeared = _first(f"{promql.DELIVERED}{{{promql.JOB}}}")
    began = f"{_first(INFO)} and on (automation_id) ({WATCHED} unless on (automation_id) {BEFORE})"
    of_journeys = (
        _kind("unwatched", f"({_last(INFO)} or on (automation_id) {appeared}) and on (automation_id) ({stray})"),
        _kind("gone", f"{_last(INFO)} unless on (automation_id) {WATCHED} and on () count({WATCHED})"),
        _kind("new", f"{began} and on () count({BEFORE})"),
    )
    replaced = _kind("replaced", _first(REPLACED, "automation_id, url"))
    every = f"({' or on (automation_id) '.join(of_journeys)} or {replaced})"
    names = (
        f"{promql.names_in_range()} or on (automation_id) {promql.relabelled(every, 'name', 'automation_id')} * 0 + 1"
    )
    columns = [
        Column("change", "Change", cells.state(KINDS, ("-", Colour.QUIET), 120)),
        Column("name", "Automation", {"custom.minWidth": 150, **TO_AUTOMATION}),
        Column("url", "Link", {"mappings": cells.WITHOUT_SCHEME, **cells.OPEN}),
        Column("Value", "Since", cells.MOMENT),
    ]
    named = f"{every} * 1000 * on (automation_id) group_left (name) topk by (automation_id) (1, {names})"
    return grid(text, [rows(named)], columns, sort="Since", hidden=["automation_id"])


def _kind(kind: str, expression: str) -> str:
    return f'label_replace({expression}, "change", "{kind}", "", "")'


def _first(series: str, by: str = "automation_id") -> str:
    return f"min by ({by}) (min_over_time(timestamp({series})[$__range:$__interval]))"


def _last(series: str) -> str:
    return f"max by (automation_id) (max_over_time(timestamp({series})[$__range:$__interval]))"
