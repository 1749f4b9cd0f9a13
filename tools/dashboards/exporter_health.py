"""The dashboard of the exporter itself: its polls, SendGrid's API, its series and its process."""

from typing import Final

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards import cells, problems, process, promql
from tools.dashboards.automations import oldest
from tools.dashboards.frame import EXPORTER_UID, TO_AUTOMATION, Section, assemble, carried
from tools.dashboards.palette import CODE_COLOURS, OUTCOME_COLOURS, Colour
from tools.dashboards.panels import (
    AnyPanel,
    Column,
    Text,
    coloured,
    fixed,
    grid,
    lines,
    number,
    properties,
    query,
    rows,
    sized,
    stacked,
    thresholds,
)

JOB: Final = f"{{{promql.JOB}}}"
LIMIT: Final = f'sendgrid_exporter_api_rate_limit{{{promql.JOB}, kind="limit"}}'
UNSAID: Final = "SendGrid reports no limit"
REMAINING: Final = f'sendgrid_exporter_api_rate_limit{{{promql.JOB}, kind="remaining"}}'


def exporter() -> dm.Dashboard:
    """Return the dashboard."""
    return assemble(
        EXPORTER_UID,
        "SendGrid exporter",
        "The exporter itself: polls, SendGrid's API and its rate limit, series, process and configuration.",
        carried(),
        [
            Section("What is wrong", [sized(_wrong(), 24, 4)]),
            Section("At a glance", _glance()),
            Section("Polls", [sized(_outcomes(), 24, 9)]),
            Section("Age of the data", [sized(oldest(), 24, 9)], collapsed=True),
            Section("SendGrid's API", [sized(panel, 8, 9) for panel in (_requests(), _durations(), _budget())]),
            Section(
                "Series",
                [sized(panel, 8, 8) for panel in (process.series(), process.folded(), process.corrections())],
                collapsed=True,
            ),
            Section(
                "Scrapes and process",
                [
                    sized(panel, 6, 8)
                    for panel in (process.scrape_duration(), process.samples(), process.memory(), process.processor())
                ],
                collapsed=True,
            ),
            Section(
                "Configuration and version",
                [sized(process.reloads(), 12, 8), sized(process.versions(), 12, 8)],
                collapsed=True,
            ),
            Section("Automations", [sized(_automations(), 24, 10)], collapsed=True),
        ],
    )


def _wrong() -> AnyPanel:
    return problems.panel(
        "What is wrong with the exporter",
        "One row per problem from the alerts on the exporter and its account; it links to what to do about it.",
        problems.EXPORTERS,
    )


def _glance() -> list[AnyPanel]:
    plain = thresholds(Colour.NOW)
    alarm = thresholds(Colour.GOOD, (1, Colour.ACT))
    up = f"max by (automation_id) (sendgrid_exporter_automation_up{JOB})"
    version = number(
        Text("Version", "Running version of the exporter.", "string"),
        f'label_replace(group by (version) (sendgrid_exporter_build_info{JOB}), "name", "$1", "version", "(.*)")',
        plain,
        name_only=True,
    )
    reload = number(
        Text("Last reload", "Whether the last reload of the configuration succeeded.", "short"),
        f"min(sendgrid_exporter_config_last_reload_successful{JOB})",
        plain,
    )
    panels = [
        version,
        number(
            Text(
                "Exporters up",
                "Instances that Prometheus can scrape, of the jobs that had this exporter within the range.",
                "short",
            ),
            f"sum(up{JOB} and on (job) group by (job) (last_over_time(sendgrid_exporter_build_info{JOB}[$__range])))",
            thresholds(Colour.ACT, (1, Colour.GOOD)),
        ),
        number(
            Text("Last poll", "Share of the automations whose last poll succeeded.", "percentunit"),
            f"avg({up})",
            thresholds(Colour.ACT, (0.9, Colour.LOOK), (1, Colour.GOOD)),
        ).decimals(0),
        number(
            Text(
                "Stale data", "Automations whose data is older than 3 poll intervals, or that were never read.", "short"
            ),
            f"count({promql.unread()}) or count({promql.names()}) * 0",
            alarm,
        ),
        number(
            Text(
                "Budget left",
                "Remaining requests of SendGrid's rate limit, from its headers.",
                "percentunit",
                "not reported",
            ),
            f"min({REMAINING} / ignoring (kind) ({LIMIT} > 0))",
            thresholds(Colour.ACT, (0.1, Colour.LOOK), (0.25, Colour.GOOD)),
        ).decimals(0),
        number(
            Text("Link series", "Published link series.", "locale"),
            f"sum(sendgrid_exporter_link_series{JOB})",
            plain,
        ),
        reload.mappings([_loaded()]),
        number(
            Text("Alerts", "Firing alerts on the exporter itself.", "short", "no rules"),
            f"count({promql.EXPORTER_ALERTS}) or {promql.judging()}",
            alarm,
        ),
    ]
    return [sized(panel, 3, 4) for panel in panels]


def _loaded() -> dm.ValueMap:
    good = dm.ValueMappingResult(text="OK", color=Colour.GOOD)
    bad = dm.ValueMappingResult(text="failed", color=Colour.ACT)
    return dm.ValueMap(options={"0": bad, "1": good})


def _outcomes() -> timeseries.Panel:
    text = Text(
        "Polls a minute, by outcome",
        "Green is good, yellow is temporary, orange needs action.",
        "short",
    )
    polls = f"sum by (outcome) (rate(sendgrid_exporter_polls_total{JOB}[$__rate_interval])) * 60 > 0"
    return coloured(
        stacked(lines(text, [query(polls, legend="{{outcome}}")], legend=("max",), beside=True)), OUTCOME_COLOURS
    )


def _requests() -> timeseries.Panel:
    text = Text("Requests a minute, by status", "Requests to SendGrid; `none` means no answer.", "short")
    requests = f"sum by (code) (rate(sendgrid_exporter_api_requests_total{JOB}[$__rate_interval])) * 60 > 0"
    return coloured(stacked(lines(text, [query(requests, legend="{{code}}")], legend=("max",))), CODE_COLOURS)


def _durations() -> timeseries.Panel:
    def quantile(part: float, metric: str) -> str:
        buckets = f"sum by (le) (rate(sendgrid_exporter_{metric}_duration_seconds_bucket{JOB}[$__rate_interval]))"
        return f"histogram_quantile({part}, {buckets})"

    text = Text("How long requests and polls take", "Half took less than the median, 99 of 100 less than p99.", "s")
    targets = [
        query(quantile(0.5, "api_request"), "A", legend="Request, median"),
        query(quantile(0.99, "api_request"), "B", legend="Request, p99"),
        query(quantile(0.5, "poll"), "C", legend="Poll, median"),
        query(quantile(0.99, "poll"), "D", legend="Poll, p99"),
    ]
    colours = {
        "Request, median": "light-blue",
        "Request, p99": "dark-blue",
        "Poll, median": "#d8d9da",
        "Poll, p99": Colour.QUIET,
    }
    return coloured(lines(text, targets, legend=()), colours)


def _budget() -> timeseries.Panel:
    text = Text(
        "Rate-limit budget",
        "The limit for each endpoint and the remaining requests, from SendGrid's headers.",
        "short",
        UNSAID,
    )
    targets = [
        query(f"min by (endpoint) ({LIMIT})", "A", legend="Limit, {{endpoint}}"),
        query(f"min by (endpoint) ({REMAINING})", "B", legend="Remaining, {{endpoint}}"),
    ]
    panel = coloured(lines(text, targets, legend=("lastNotNull", "min")), {"Remaining, links": Colour.NOW})
    return panel.override_by_regexp("/^Limit/", properties({"color": fixed(Colour.QUIET), "custom.lineWidth": 1}))


def _automations() -> AnyPanel:
    text = Text(
        "Automations, the oldest data first",
        "Each automation's last successful poll, the interval in effect, and whether the last poll succeeded.",
        "short",
        "No automation is watched yet",
    )
    word = cells.state({"0": ("failed", Colour.ACT), "1": ("good", Colour.GOOD)}, ("not tried", Colour.QUIET), 110)
    targets = [
        rows(promql.names(), "A"),
        rows(f"max by (automation_id) (sendgrid_exporter_automation_up{JOB})", "B"),
        rows(promql.age(), "C"),
        rows(promql.recorded(promql.POLL_INTERVAL), "D"),
        rows(f"count by (automation_id) (automation_link_clicks{JOB})", "E"),
    ]
    columns = [
        Column("name", "Automation", TO_AUTOMATION),
        Column("automation_id", "Id", {"custom.width": 320}),
        Column("Value #B", "Last poll", word),
        Column("Value #C", "Data age", cells.AGE),
        Column("Value #D", "Interval", cells.AGE),
        Column("Value #E", "Links", cells.CLICKS),
    ]
    return grid(text, targets, columns, sort="Data age", hidden=["Value #A"])
