"""Rules that make clicks comparable and say how many are expected."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import (
    AUTOMATION,
    BURST,
    CLOCK,
    COUNTED,
    CREDITED,
    FRESH,
    GAINED,
    HELD,
    INTERVAL,
    LEVEL,
    MOVED,
    RATE,
    SCALE,
    SEEN,
    STEP_HOURS,
    SUM,
    TOTAL,
    UNALIKE,
    WEEK,
)


def data() -> Iterator[Recording]:
    """Return the rules in order."""
    yield Recording(
        INTERVAL,
        f"""\
  max by ({AUTOMATION}) (sendgrid_exporter_automation_poll_interval_seconds)
or
  max by ({AUTOMATION}) (automation_total_clicks) * 0 + 300""",
        "How often an automation is really polled; 5 minutes where the exporter does not say.",
    )
    yield Recording(
        FRESH,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) ^ 0
unless
    time() - max by ({AUTOMATION}) (sendgrid_exporter_automation_last_success_timestamp_seconds)
  >
    2 * {INTERVAL} + 60""",
        "1 while the numbers are what SendGrid says now. Everything below leaves stale numbers out.",
    )
    yield Recording(
        SEEN,
        f"""\
  time() * {FRESH}
or
    (last_over_time({SEEN}[20m]) > time() - 3 * 86400)
  and on ({AUTOMATION})
    sendgrid_exporter_automation_poll_interval_seconds
or
    (last_over_time({SEEN}[20m]) > time() - 3 * 86400)
  unless on (job)
    sendgrid_exporter_automation_poll_interval_seconds""",
        """When the automation was last fresh: kept for three days while its data is stale or the exporter is down, and
        forgotten at once when it leaves the configuration.""",
    )
    fresh_total = f"(max by ({AUTOMATION}) (automation_total_clicks) and {FRESH})"
    yield Recording(
        MOVED,
        f"""\
  time() + 0 * ({fresh_total} != last_over_time({TOTAL}[12h]))
or
  (last_over_time({MOVED}[12h]) and {SEEN})
or
  time() * {FRESH}""",
        "When the total last changed.",
    )
    yield Recording(
        GAINED,
        f"clamp_min({fresh_total} - last_over_time({TOTAL}[12h]), 0)",
        "Clicks since the evaluation before.",
    )
    yield Recording(
        COUNTED,
        f"""\
  last_over_time({COUNTED}[12h]) + {GAINED}
or
  {fresh_total}""",
        """Clicks counted upwards only. SendGrid corrects totals downwards now and then; two per cent of a lifetime is many
        hours of clicks, and a plain difference of totals would show it as a drop.""",
    )
    yield Recording(TOTAL, fresh_total[1:-1], "The total at this evaluation, for the next.")
    yield Recording(
        HELD,
        f"""\
  {COUNTED}
or
  (last_over_time({HELD}[20m]) and {SEEN})""",
        "The same count, held while the data is stale.",
    )
    yield Recording(
        WEEK,
        f"""\
  {HELD} - {HELD} offset 1w
or
  {HELD} - {HELD} offset 2d""",
        "Clicks of seven days, or of two days when the automation is younger.",
    )


def season() -> Iterator[Recording]:
    """Return the rules in order."""
    week, day = "job_automation:sendgrid_clicks:rate_last_week", "job_automation:sendgrid_clicks:quarterday_last_week"
    for name, early, late, first in (
        (week, "167h30m", "168h30m", True),
        (day, "165h", "171h", False),
    ):
        base = _before(name)
        yield Recording(
            name,
            f"""\
  {COUNTED} offset {early} - {COUNTED} offset {late}
or
  ({base} offset 1w and {SEEN})""",
            """Clicks per hour at this time last week, over the hour around it. Where last week has a hole (and so at the
            backlog that ends it), what was expected then stands in."""
            if first
            else "Clicks of the six hours around this time last week.",
        )
        yield Recording(
            base,
            f"""\
  0.5 * {name} + 0.5 * ({base} offset 1w)
or
  {name}""",
            "All weeks so far, halving in weight: carries memory beyond what Prometheus keeps.",
        )
    before, day_before = f"{_before(week)} offset 1w", f"{_before(day)} offset 1w"
    yield Recording(
        UNALIKE,
        f"{day} / ({day_before}) and ({day} - {day_before}) ^ 2 > 6 * ({day} + {day_before})",
        "Last week's part of the weeks before it, where the difference is more than chance.",
    )
    yield Recording(
        RATE,
        f"""\
  {week} and {UNALIKE} < 0.67
or
  {before} and {UNALIKE} > 1.5
or
  ({week} + {before}) / 2
or
  0.5 * {week}""",
        """Expected clicks per hour: last week and the weeks before it together. Where they disagree by more than a third and
        more than chance, the lower one, so that one odd week (a burst, an outage, a holiday) does not spoil the next; with
        one week of history alone, half of it.""",
    )
    yield Recording(
        STEP_HOURS,
        f"clamp_max(time() - last_over_time({CLOCK}[12h]), 900) / 3600",
        "Hours since the last evaluation; the next sum is an integral over time.",
    )
    yield Recording(CLOCK, "vector(time())")
    yield Recording(
        SUM,
        f"""\
  last_over_time({SUM}[12h]) + ({RATE} * on () group_left () {STEP_HOURS} or {SEEN} * 0)
or
  {RATE} * 0""",
        "Clicks expected so far. Differences of it are clicks expected in between.",
    )
    yield Recording(
        LEVEL,
        f"clamp(({COUNTED} - {COUNTED} offset 72h + 20) / ({SUM} - {SUM} offset 72h + 20), 0.25, 1)",
        "Clicks of three days against the season.",
    )
    yield Recording(
        SCALE,
        f"""\
  {LEVEL} offset 72h
or
  {SEEN} * 0 + 1""",
        "The same, as it was before the longest window: scales the expectation down where an automation fades slowly.",
    )
    yield from _credit()


def _credit() -> Iterator[Recording]:
    allowed, left = "job_automation:sendgrid_clicks:allowed", "job_automation:sendgrid_clicks:allowed_next"
    most = f"(20 + {BURST} * {RATE} * clamp_min({INTERVAL} / 1800, 1))"
    yield Recording(
        allowed,
        f"""\
  last_over_time({left}[20m]) + {BURST} * {RATE} * on () group_left () {STEP_HOURS} < {most}
or
  {most}""",
        f"""Clicks that may count now: {BURST} times the expected ones, saved up for an hour or two polls. A burst on one link must
        not look like the end of the others.""",
    )
    yield Recording(
        CREDITED,
        f"""\
  {GAINED} < {allowed}
or
  {allowed} and {GAINED}
or
  {GAINED}
or
  {SEEN} * 0""",
        "Clicks since the evaluation before that do count: all of them where nothing is known of the season yet.",
    )
    yield Recording(left, f"{allowed} - {CREDITED}")


def _before(name: str) -> str:
    return name.replace("_last_week", "_baseline")
