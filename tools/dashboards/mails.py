"""The panels on mails: deliveries, click-through and unsubscribe rates."""

from typing import Final

from grafana_foundation_sdk.builders import prometheus, timeseries

from tools.dashboards import cells, promql
from tools.dashboards.frame import TO_AUTOMATION
from tools.dashboards.palette import Colour
from tools.dashboards.panels import (
    AnyPanel,
    Column,
    Text,
    against_last_week,
    fixed,
    grid,
    lines,
    properties,
    query,
    rows,
    sized,
)

OFF: Final = "The exporter publishes no statistics (statistics.enabled)"
OFF_STEPS: Final = "The exporter publishes no statistics by step (statistics.steps)"
STEP: Final = "automation_id, step_id"
DAY: Final = "1d"
RATES: Final = (
    "Click-through and unsubscribed are the recipients who clicked and who unsubscribed, divided by the mails "
    "delivered in the range."
)


def of_all() -> list[AnyPanel]:
    """Return the panels on the mails of all automations."""
    return [sized(_per_hour(promql.JOB, "Mails per hour, all automations"), 9, 11), sized(_automations(), 15, 11)]


def of_one() -> list[AnyPanel]:
    """Return the panels on the mails of one automation."""
    return [
        sized(_per_hour(promql.ONE, "Mails per hour"), 12, 8),
        sized(_rates_over_time(), 12, 8),
        sized(_steps(), 24, 7),
    ]


def _counts(stat: str, matchers: str) -> promql.Reading:
    return promql.Reading(f"sendgrid_automation_{stat}", "automation_id", matchers)


def _of_steps(stat: str) -> promql.Reading:
    return promql.Reading(f"sendgrid_automation_step_{stat}", STEP, f'{promql.ONE}, step_id=~"$step"')


def _by(part: str, whole: str) -> str:
    return f"({part}) / (({whole}) > 0)"


def _per_hour(matchers: str, title: str) -> timeseries.Panel:
    text = Text(title, "Mails delivered in the hour before each point, and in the same hour last week.", "short", OFF)
    reading = _counts("delivered", matchers)
    targets = [
        query(f"sum({promql.clicks(reading, '1h', whole=True)})", "A", legend="Now"),
        query(f"sum({promql.last_week(reading, '1h')})", "B", legend="Last week"),
    ]
    return against_last_week(lines(text, targets))


def _rates_over_time() -> timeseries.Panel:
    text = Text(
        "Click-through and unsubscribed, a day at a time",
        "Recipients who clicked and recipients who unsubscribed, divided by the mails delivered "
        "in the 24 hours before each point.",
        "percentunit",
        OFF,
    )
    delivered, clicked, left = (
        promql.clicks(_counts(stat, promql.ONE), DAY, whole=True)
        for stat in ("delivered", "unique_clicks", "unsubscribes")
    )
    targets = [
        query(_by(clicked, delivered), "A", legend="Click-through"),
        query(_by(left, delivered), "B", legend="Unsubscribed"),
    ]
    panel = lines(text, targets)
    panel.override_by_name("Click-through", properties({"color": fixed(Colour.NOW)}))
    return panel.override_by_name("Unsubscribed", properties({"color": fixed(Colour.QUIET)}))


def _automations() -> AnyPanel:
    text = Text(
        "Mails by automation", f"{RATES} Change is that of the mails. A row links to the automation.", "short", OFF
    )
    delivered, clicked, left = (_counts(stat, promql.JOB) for stat in ("delivered", "unique_clicks", "unsubscribes"))
    targets = _rates(delivered, clicked, left, "automation_id")
    targets[0] = rows(promql.named_or_id(promql.clicks(delivered)), "A")
    return grid(
        text,
        targets,
        [Column("name", "Automation", {"custom.minWidth": 150, **TO_AUTOMATION}), *_columns()],
        sort="Mails",
        hidden=["automation_id"],
    )


def _steps() -> AnyPanel:
    text = Text("Mails by step", f"{RATES} Change is that of the mails.", "short", OFF_STEPS)
    delivered, clicked, left = (_of_steps(stat) for stat in ("delivered", "unique_clicks", "unsubscribes"))
    targets = _rates(delivered, clicked, left, STEP)
    listed = f"group by ({STEP}) ({delivered.metric}{{{delivered.matchers}}})"
    names = f"* on ({STEP}) group_left (step) ({promql.step_names(listed)})"
    targets[0] = rows(f"{promql.clicks(delivered)} {names}", "A")
    hidden = ["automation_id", "step_id"]
    return grid(text, targets, [Column("step", "Step"), *_columns()], sort="Mails", hidden=hidden)


def _rates(
    delivered: promql.Reading, clicked: promql.Reading, left: promql.Reading, labels: str
) -> list[prometheus.Dataquery]:
    sent, before = promql.clicks(delivered), promql.last_week(delivered)
    asked = [
        sent,
        promql.change(sent, before),
        _by(promql.clicks(clicked), sent),
        _by(promql.last_week(clicked), before),
        _by(promql.clicks(left), sent),
    ]
    return [rows(promql.each(one, sent, labels), chr(ord("A") + place)) for place, one in enumerate(asked)]


def _columns() -> list[Column]:
    rate = {**cells.SHARE, "custom.width": 130}
    return [
        Column("Value #A", "Mails", cells.CLICKS),
        Column("Value #B", "Change", cells.CHANGE),
        Column("Value #C", "Click-through", rate),
        Column("Value #D", "Last week's", {**rate, "custom.width": 115}),
        Column("Value #E", "Unsubscribed", {**rate, "decimals": 2}),
    ]
