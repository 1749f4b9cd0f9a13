"""What the three dashboards share: identity, variables, links between them, annotations and the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import dashboard, prometheus
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards import cells, promql
from tools.dashboards.palette import Colour
from tools.dashboards.panels import SOURCE, AnyPanel

AUTOMATIONS_UID: Final = "sendgrid-automations"
AUTOMATION_UID: Final = "sendgrid-automation"
EXPORTER_UID: Final = "sendgrid-exporter"
TAGS: Final = ["sendgrid", "sendgrid-automation-exporter"]
COLUMNS: Final = 24

AUTOMATION_URL: Final = (
    f"/d/{AUTOMATION_UID}?var-automation=${{__data.fields.automation_id:percentencode}}"
    "&${datasource:queryparam}&${job:queryparam}&${__url_time_range}"
)
"""Links a row or a series with an automation's id to its dashboard."""
TO_AUTOMATION: Final = cells.leads_to(AUTOMATION_URL, "Show this automation")


@dataclass(frozen=True, slots=True)
class Section:
    """A row of the dashboard; rows below the first screen are collapsed and load when opened."""

    title: str
    panels: Sequence[AnyPanel]
    collapsed: bool = False


def assemble(
    uid: str, title: str, description: str, variables: Sequence[dashboard.QueryVariable], sections: Sequence[Section]
) -> dm.Dashboard:
    """Return the finished dashboard, with links, annotations, panel ids and positions."""
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(TAGS)
        .readonly()
        .timezone("browser")
        .time("now-7d", "now")
        .refresh("5m")
        .tooltip(dm.DashboardCursorSync.CROSSHAIR)
        .variables([_datasource(), _job(), *variables])
        .annotations([_alerts(uid)])
        .links([_link()])
    )
    for row in _placed(sections):
        board.with_row(row)
    built = board.build()
    _flatten(built)
    return built


def automation(*, hidden: bool = False) -> dashboard.QueryVariable:
    """Return the variable for one automation: its text is the name, its value the id."""
    variable = (
        _variable("automation", "Automation", f"query_result({promql.names_in_range()})", hidden=hidden)
        .regex('/automation_id="(?<value>[^"]*)",name="(?<text>.*)"}/')
        .description("The automation that the page is about.")
    )
    return variable.sort(dm.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)


def narrowing(*, hidden: bool = False) -> list[dashboard.QueryVariable]:
    """Return the variables that filter the page by step and by link."""
    links = f"{promql.LINK}{{{promql.ONE}}}"
    listed = f"group by (automation_id, step_id) (last_over_time({links}[$__range]))"
    step = _variable("step", "Step", f"query_result({promql.step_names(listed)})", hidden=hidden).multi(True)
    step.regex('/step="(?<text>.*)",step_id="(?<value>[^"]*)"}/')
    url = _variable("url", "Link", f"label_values({links}, url)", hidden=hidden)
    return [
        variable.include_all(True).all_value(".*").current(everything).description(description)
        for variable, everything, description in (
            (step, _all(), "The steps that the page is narrowed to."),
            (url, _one_all(), "The link that the page is narrowed to; a click on a row of a table chooses it."),
        )
    ]


def carried() -> list[dashboard.QueryVariable]:
    """Return hidden variables that this dashboard only passes on, so that they survive the way back."""
    return [automation(hidden=True), *narrowing(hidden=True)]


def _datasource() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _job() -> dashboard.QueryVariable:
    variable = _variable("job", "Job", "label_values(sendgrid_exporter_build_info, job)")
    return variable.multi(True).include_all(True).all_value(".+").current(_all()).description("Scrape jobs.")


def _variable(name: str, label: str, query: str, *, hidden: bool = False) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    if hidden:
        variable.hide(dm.VariableHide.HIDE_VARIABLE)
    return variable.refresh(dm.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dm.VariableSort.ALPHABETICAL_ASC)


def _all() -> dm.VariableOption:
    return dm.VariableOption(selected=True, text=["All"], value=["$__all"])


def _one_all() -> dm.VariableOption:
    return dm.VariableOption(selected=True, text="All", value="$__all")


def _link() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("SendGrid").type(dm.DashboardLinkType.DASHBOARDS).tags(TAGS[1:])
    return link.include_vars(True).keep_time(True).as_dropdown(False).tooltip("The other SendGrid dashboards")


def _alerts(uid: str) -> dashboard.AnnotationQuery:
    expression = {
        AUTOMATIONS_UID: promql.CLICK_ALERTS,
        AUTOMATION_UID: promql.CLICK_ALERTS.replace('automation_id!=""', 'automation_id="$automation"'),
        EXPORTER_UID: promql.EXPORTER_ALERTS,
    }[uid]
    query = prometheus.Dataquery().expr(expression).ref_id("Anno").range().datasource(SOURCE)
    note = dashboard.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color(Colour.ACT)
    return (
        note.expr(expression).title_format("{{alertname}}").text_format("{{automation_id}}").step("60s").target(query)
    )


def _placed(sections: Sequence[Section]) -> list[dashboard.Row]:
    y = 0
    number = 1
    rows = []
    for section in sections:
        row = dashboard.Row(section.title).id(number).grid_pos(dm.GridPos(x=0, y=y, w=COLUMNS, h=1))
        number += 1
        x, below, bottom = 0, y + 1, y + 1
        for panel in section.panels:
            built = panel.id(number).build()
            number += 1
            size = built.grid_pos or dm.GridPos()
            width, height = size.w, size.h
            if x + width > COLUMNS:
                x, below = 0, bottom
            built.grid_pos = dm.GridPos(x=x, y=below, w=width, h=height)
            x, bottom = x + width, max(bottom, below + height)
            row.with_panel(panel)
        rows.append(row.collapsed(section.collapsed))
        y = y + 1 if section.collapsed else bottom
    return rows


def _flatten(board: dm.Dashboard) -> None:
    """Move the panels of open rows beside them: Grafana expects them inside a row only if it is collapsed."""
    flat: list[dm.Panel | dm.RowPanel] = []
    for row in board.panels or []:
        flat.append(row)
        if isinstance(row, dm.RowPanel) and not row.collapsed:
            flat.extend(row.panels)
            row.panels = []
    board.panels = flat
