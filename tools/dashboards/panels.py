"""Panels in a common style: a builder per kind of panel, each with title, description, unit and colors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as cm
from grafana_foundation_sdk.models import dashboard as dm
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboards.palette import HUES, Colour

SOURCE: Final = cm.DataSourceRef(type_val="prometheus", uid="${datasource}")

POINTS: Final = 250
"""For panels that show a moment, at any width: the start of a count must not depend on the screen."""

Properties = Mapping[str, object]
"""Properties of a field by their id, e.g. `{"unit": "s"}`."""

AnyPanel = stat.Panel | timeseries.Panel | table.Panel | bargauge.Panel
P = TypeVar("P", bound=AnyPanel)


@dataclass(frozen=True, slots=True)
class Text:
    """The texts of a panel."""

    title: str
    description: str
    unit: str
    nothing: str = "No data"
    """Shown if there is no value."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the query's letter or a label, its heading and the style of its cells."""

    source: str
    heading: str
    properties: Properties = field(default_factory=dict)


def query(expression: str, ref_id: str = "A", *, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query over the range."""
    return prometheus.Dataquery().expr(expression).ref_id(ref_id).legend_format(legend).range().datasource(SOURCE)


def moment(expression: str, ref_id: str = "A", *, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query at the end of the range."""
    return query(expression, ref_id, legend=legend).instant()


def rows(expression: str, ref_id: str = "A") -> prometheus.Dataquery:
    """Return a query at the end of the range whose series are rows of a table."""
    return moment(expression, ref_id).format(PromQueryFormat.TABLE)


def thresholds(base: str, *steps: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Return colours by value, from the base upwards."""
    every = [dm.Threshold(value=None, color=base), *(dm.Threshold(value=at, color=colour) for at, colour in steps)]
    return dashboard.ThresholdsConfig().mode(dm.ThresholdsMode.ABSOLUTE).steps(every)


def properties(values: Properties) -> list[dm.DynamicConfigValue]:
    """Return an override's properties in the SDK's form."""
    return [dm.DynamicConfigValue(id_val=name, value=_plain(value)) for name, value in values.items()]


def fixed(colour: str) -> dict[str, str]:
    """Return the value of a colour property that is always this colour."""
    return {"mode": "fixed", "fixedColor": colour}


def number(text: Text, expression: str, colours: dashboard.ThresholdsConfig, *, name_only: bool = False) -> stat.Panel:
    """Return one big number, or one big name."""
    text_mode = cm.BigValueTextMode.NAME if name_only else cm.BigValueTextMode.VALUE
    panel = stat.Panel().with_target(moment(expression, legend="{{name}}" if name_only else "__auto"))
    return (
        _described(panel, text)
        .thresholds(colours)
        .color_scheme(dashboard.FieldColor().mode(dm.FieldColorModeId.THRESHOLDS))
        .max_data_points(POINTS)
        .graph_mode(cm.BigValueGraphMode.NONE)
        .color_mode(cm.BigValueColorMode.VALUE)
        .text_mode(text_mode)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    )


def lines(
    text: Text,
    targets: Sequence[prometheus.Dataquery],
    *,
    legend: Sequence[str] = ("lastNotNull", "max"),
    beside: bool = False,
) -> timeseries.Panel:
    """Return lines over time; the legend is a table of these figures below them, or beside."""
    panel = _described(timeseries.Panel(), text).targets(list(targets))
    return (
        panel.min(0)
        .line_width(2)
        .fill_opacity(0)
        .show_points(cm.VisibilityMode.NEVER)
        .color_scheme(dashboard.FieldColor().mode(dm.FieldColorModeId.SHADES).fixed_color(Colour.NOW))
        .legend(
            common.VizLegendOptions()
            .display_mode(cm.LegendDisplayMode.TABLE if legend else cm.LegendDisplayMode.LIST)
            .placement(cm.LegendPlacement.RIGHT if beside else cm.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(list(legend))
        )
        .tooltip(common.VizTooltipOptions().mode(cm.TooltipDisplayMode.MULTI).sort(cm.SortOrder.DESCENDING))
    )


def against_last_week(panel: timeseries.Panel) -> timeseries.Panel:
    """Return the panel with the colors for now, last week and expected."""
    coloured(panel, {"Now": Colour.NOW})
    dashes = {"fill": "dash", "dash": [6, 6]}
    last_week = {"color": fixed(Colour.LAST_WEEK), "custom.lineWidth": 1, "custom.lineStyle": dashes}
    expected = {"color": fixed(Colour.USUAL), "custom.lineWidth": 1, "custom.fillOpacity": 12}
    panel.override_by_name("Last week", properties(last_week))
    return panel.override_by_name("Expected", properties(expected)).span_nulls(False)


def told_apart(text: Text, ranked: Sequence[str], rest: str, label: str) -> timeseries.Panel:
    """Return a line in its own hue for each of these queries, and thin grey lines for the rest."""
    letters = [chr(ord("A") + place) for place in range(len(ranked) + 1)]
    targets = [query(one, letter, legend=label) for one, letter in zip((*ranked, rest), letters, strict=True)]
    panel = lines(text, targets, beside=True)
    for letter, hue in zip(letters, HUES, strict=False):
        panel.override_by_query(letter, properties({"color": fixed(hue)}))
    grey = {"color": fixed(Colour.QUIET), "custom.lineWidth": 1, "custom.lineStyle": {"fill": "dot", "dash": [1, 6]}}
    return panel.override_by_query(letters[-1], properties(grey))


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Return the same panel with stacked series."""
    return panel.stacking(common.StackingConfig().mode(cm.StackingMode.NORMAL)).fill_opacity(60).line_width(1)


def coloured(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Return the panel with a fixed color per series name, or per pattern if the name is between slashes."""
    for name, colour in colours.items():
        choose = panel.override_by_regexp if name.startswith("/") else panel.override_by_name
        choose(name, properties({"color": fixed(colour)}))
    return panel


def bars(text: Text, target: prometheus.Dataquery, *, sort: str, desc: bool) -> bargauge.Panel:
    """Return horizontal bars, one per row of the query, in the order of a field."""
    panel = _described(bargauge.Panel(), text).with_target(target)
    return (
        panel.with_transformation(_organize({"Time": None}, order=()))
        .with_transformation(
            dm.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": sort, "desc": desc}]})
        )
        .override_by_field_type("string", properties({"unit": "string"}))
        .min(0)
        .thresholds(thresholds(Colour.NOW))
        .color_scheme(dashboard.FieldColor().mode(dm.FieldColorModeId.FIXED).fixed_color(Colour.NOW))
        .max_data_points(POINTS)
        .display_mode(cm.BarGaugeDisplayMode.BASIC)
        .orientation(cm.VizOrientation.HORIZONTAL)
        .value_mode(cm.BarGaugeValueMode.TEXT)
        .name_placement(cm.BarGaugeNamePlacement.TOP)
        .show_unfilled(True)
        .sizing(cm.BarGaugeSizing.MANUAL)
        .min_viz_height(16)
        .max_viz_height(34)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True).limit(50))
    )


def grid(
    text: Text,
    targets: Sequence[prometheus.Dataquery],
    columns: Sequence[Column],
    *,
    sort: str,
    first: str = "",
    desc: bool = True,
    trends: Iterable[str] = (),
    hidden: Sequence[str] = (),
) -> table.Panel:
    """Return a table: the queries' rows joined on the labels they share, columns in the order given, largest first.

    Rows with the largest value in the column `first` come first. The queries in `trends` run over the range and become
    sparklines. Labels are text, even if they look like numbers. A link passes on a label as its column shows it, so a
    shortened label needs a hidden column with the whole one.
    """
    panel = _described(table.Panel(), text).targets(list(targets))
    if trends:
        options = {ref_id: {"stat": "lastNotNull"} for ref_id in trends}
        panel.with_transformation(dm.DataTransformerConfig(id_val="timeSeriesTable", options=options))
    if len(targets) > 1:
        panel.with_transformation(dm.DataTransformerConfig(id_val="merge", options={}))
    headings: dict[str, str | None] = {column.source: column.heading for column in columns}
    panel.with_transformation(_organize({**headings, "Time": None}, order=[*headings, *hidden]))
    panel.override_by_field_type("number", properties({"noValue": "-"}))
    panel.override_by_field_type("string", properties({"noValue": "-", "unit": "string"}))
    for column in columns:
        if column.properties:
            panel.override_by_name(column.heading, properties(column.properties))
    for name in hidden:
        panel.override_by_name(name, properties({"custom.hideFrom.viz": True, "custom.hidden": True}))
    return (
        panel.show_header(True)
        .max_data_points(POINTS)
        .cell_height(cm.TableCellHeight.SM)
        .filterable(True)
        .thresholds(thresholds(Colour.NEUTRAL))
        .sort_by([common.TableSortByFieldState().display_name(name).desc(desc) for name in (first, sort) if name])
    )


def sized(panel: P, width: int, height: int) -> P:
    """Return the panel with its size in the 24 columns of the grid."""
    panel.span(width).height(height)
    return panel


def _described(panel: P, text: Text) -> P:
    panel.title(text.title).description(text.description).unit(text.unit).no_value(text.nothing).datasource(SOURCE)
    return panel


def _organize(names: Mapping[str, str | None], order: Sequence[str]) -> dm.DataTransformerConfig:
    options = {
        "renameByName": {old: new for old, new in names.items() if new is not None},
        "excludeByName": {old: True for old, new in names.items() if new is None},
        "indexByName": {name: index for index, name in enumerate(order)},
    }
    return dm.DataTransformerConfig(id_val="organize", options=options)


def _plain(value: object) -> object:
    return value.build() if isinstance(value, dashboard.ThresholdsConfig) else value
