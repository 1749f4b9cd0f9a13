"""The rules of Grafana's dashboard-linter, each as a function from a dashboard to what it finds."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import promql_parser

from tests.dashboards import boards
from tests.dashboards.boards import Json
from tests.dashboards.expansion import Variable, View, expand

RATE_INTERVAL_SECONDS = 4321
VALID_UNITS = {
    "none", "string", "short", "percent", "percentunit", "bytes", "decbytes", "s", "ms", "dateTimeAsIso",
    "dateTimeAsLocal", "dateTimeFromNow", "cps", "ops", "reqps", "cpm", "opm", "reqpm", "rpm", "locale", "bool",
    "bool_yes_no", "bool_on_off", "dtdurations",
}  # fmt: skip
TITLED = {"stat", "singlestat", "graph", "table", "timeseries", "gauge"}


class Finding(NamedTuple):
    """One breach of a rule: the panel's title, or empty for the whole dashboard."""

    panel: str
    message: str


Rule = Callable[[Json], Iterator[Finding]]


def _variables(board: Json) -> list[Json]:
    found: list[Json] = board["templating"]["list"]
    return found


def _variable(board: Json, name: str) -> Json | None:
    return next((variable for variable in _variables(board) if variable["name"] == name), None)


def template_datasource(board: Json) -> Iterator[Finding]:
    sources = [variable for variable in _variables(board) if variable["type"] == "datasource"]
    if len(sources) != 1:
        yield Finding("", f"{len(sources)} data source variables instead of one")
        return
    if sources[0]["name"] not in ("datasource", "prometheus_datasource"):
        yield Finding("", f"the data source variable is called {sources[0]['name']}")
    if sources[0].get("label") != "Data source":
        yield Finding("", f"the data source variable is labelled {sources[0].get('label')!r}")
    if sources[0]["query"] != "prometheus":
        yield Finding("", "the data source variable does not choose a Prometheus")


def _template_of_target(board: Json, name: str) -> Iterator[Finding]:
    variable = _variable(board, name)
    if variable is None:
        yield Finding("", f"no variable {name}")
        return
    wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
    for key, value in wanted.items():
        if variable.get(key) != value:
            yield Finding("", f"variable {name}: {key} is {variable.get(key)!r} instead of {value!r}")
    if variable.get("datasource", {}).get("uid") not in ("$datasource", "${datasource}"):
        yield Finding("", f"variable {name} does not ask the chosen data source")


def template_job(board: Json) -> Iterator[Finding]:
    yield from _template_of_target(board, "job")


def template_instance(board: Json) -> Iterator[Finding]:
    yield from _template_of_target(board, "instance")


def template_label_promql(board: Json) -> Iterator[Finding]:
    for variable in _variables(board):
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"([a-z_]+)\((.+)\)", str(variable["query"]))
        if not match or match[1] not in ("label_names", "label_values", "metrics", "query_result"):
            yield Finding("", f"variable {variable['name']}: {variable['query']!r} asks no known function")
            continue
        selector = match[2].rsplit(",", 1)[0] if match[1] == "label_values" else match[2]
        problem = _unparseable(_expanded(selector, {}))
        if problem:
            yield Finding("", f"variable {variable['name']}: {problem}")


def template_on_time_change_reload(board: Json) -> Iterator[Finding]:
    for variable in _variables(board):
        if variable["type"] == "query" and variable.get("refresh") != 2:
            yield Finding("", f"variable {variable['name']} is not asked again when the time range changes")


def panel_datasource(board: Json) -> Iterator[Finding]:
    for panel in boards.panels(board):
        if panel.get("datasource", {}).get("uid") not in ("$datasource", "${datasource}"):
            yield Finding(panel["title"], "does not ask the chosen data source")


def panel_title_description(board: Json) -> Iterator[Finding]:
    for panel in boards.panels(board):
        if panel["type"] in TITLED and not (panel.get("title") and panel.get("description")):
            yield Finding(panel.get("title", ""), "has no title or no description")


def panel_units(board: Json) -> Iterator[Finding]:
    for panel in boards.panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] not in TITLED or defaults.get("mappings"):
            continue
        if panel["type"] == "stat" and panel["options"]["textMode"] == "name":
            continue
        unit = defaults.get("unit", "")
        if unit not in VALID_UNITS and not re.match(r"(suffix|prefix):.", unit):
            yield Finding(panel["title"], f"has no unit, or an unknown one: {unit!r}")


def panel_no_targets(board: Json) -> Iterator[Finding]:
    for panel in boards.panels(board):
        if panel["type"] in {*TITLED, "bargauge"} and not panel.get("targets"):
            yield Finding(panel["title"], "asks nothing")


def target_promql(board: Json) -> Iterator[Finding]:
    for target in boards.targets(board):
        problem = _unparseable(_expanded(target.target["expr"], target.panel))
        if problem:
            yield Finding(target.panel["title"], f"{target.target['refId']}: {problem}")


def target_rate_interval(board: Json) -> Iterator[Finding]:
    for panel, parents, node in _nodes(board):
        if not isinstance(node, promql_parser.MatrixSelector):
            continue
        ours = node.range.total_seconds() == RATE_INTERVAL_SECONDS
        function = parents[-1].func.name if parents and isinstance(parents[-1], promql_parser.Call) else None
        if function in ("rate", "irate") and not ours:
            yield Finding(panel["title"], f"{function} over another range than $__rate_interval")
        if ours and parents and function is None:
            yield Finding(panel["title"], "$__rate_interval outside of a function")


def _target_label(board: Json, name: str) -> Iterator[Finding]:
    for panel, _, node in _nodes(board):
        if isinstance(node, promql_parser.VectorSelector):
            found = [
                matcher
                for matcher in node.matchers.matchers
                if matcher.name == name and str(matcher.op) == "MatchOp.Re" and matcher.value == f"chosen {name}"
            ]
            if len(found) != 1:
                yield Finding(panel["title"], f"{node.prettify()} does not select {name}=~${name}")


def target_job(board: Json) -> Iterator[Finding]:
    yield from _target_label(board, "job")


def target_instance(board: Json) -> Iterator[Finding]:
    yield from _target_label(board, "instance")


def target_counter_agg(board: Json) -> Iterator[Finding]:
    for panel, parents, node in _nodes(board):
        if not isinstance(node, promql_parser.VectorSelector) or not (node.name or "").endswith("_total"):
            continue
        call = parents[-2] if len(parents) > 1 and isinstance(parents[-1], promql_parser.MatrixSelector) else None
        if not isinstance(call, promql_parser.Call) or call.func.name not in ("rate", "irate", "increase"):
            yield Finding(panel["title"], f"counter {node.name} without rate, irate or increase")


def uneditable(board: Json) -> Iterator[Finding]:
    if board.get("editable") is not False:
        yield Finding("", "can be edited")


RULES: dict[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable,
}


def _expanded(expression: str, panel: Json) -> str:
    chosen = {name: Variable(f"chosen {name}") for name in ("job", "instance", "automation", "step", "url")}
    marked = re.sub(r"\$(__rate_interval|\{__rate_interval\})", f"{RATE_INTERVAL_SECONDS}s", expression)
    return expand(marked, panel, View(0, 7 * 86400, chosen))


def _unparseable(expression: str) -> str | None:
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        return f"{error} in {expression}"
    return None


def _nodes(board: Json) -> Iterator[tuple[Json, list[Any], Any]]:
    for target in boards.targets(board):
        expression = _expanded(target.target["expr"], target.panel)
        if not _unparseable(expression):
            for parents, node in _walk(promql_parser.parse(expression), []):
                yield target.panel, parents, node


def _walk(node: Any, parents: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    yield parents, node
    below = [*parents, node]
    match node:
        case promql_parser.BinaryExpr():
            children = [node.lhs, node.rhs]
        case promql_parser.AggregateExpr():
            children = [node.expr, *([node.param] if node.param else [])]
        case promql_parser.Call():
            children = list(node.args)
        case promql_parser.MatrixSelector():
            children = [node.vector_selector]
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            children = [node.expr]
        case _:
            children = []
    for child in children:
        yield from _walk(child, below)
