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
    MEMORY_HOURS,
    MOVED,
    RATE,
    SCALE,
    SEEN,
    STALE,
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
    yield Recording(
        TOTAL,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) and {FRESH}
or
  (last_over_time({TOTAL}[20m]) and {STALE})""",
        "Clicks of the automation, held while the data is stale.",
    )
    yield Recording(
        GAINED,
        f"clamp_min(idelta({TOTAL}[{MEMORY_HOURS}h]), 0) and {FRESH}",
        "Clicks since the evaluation before, and those of an outage when it ends.",
    )
    yield Recording(
        MOVED,
        f"""\
  time() + 0 * ({GAINED} > 0)
or
  (last_over_time({MOVED}[{MEMORY_HOURS}h]) and {SEEN})
or
  time() * {FRESH}""",
        "When the total last grew.",
    )
    yield Recording(
        HELD,
        f"""\
  last_over_time({HELD}[{MEMORY_HOURS}h]) + ({GAINED} or {STALE} * 0)
or
  {TOTAL}""",
        """Clicks counted upwards only. SendGrid corrects totals downwards now and then; two per cent of a lifetime is many
        hours of clicks, and a plain difference of totals would show it as a drop.""",
    )
    yield Recording(COUNTED, f"{HELD} and {FRESH}", "The same, absent while the data is stale.")
    yield Recording(
        WEEK,
        f"{HELD} - ({HELD} offset 1w or {HELD} offset 2d)",
        "Clicks of seven days, or of two days when the automation is younger.",
    )


def season() -> Iterator[Recording]:
    """Return the rules in order."""
    week, day = "job_automation:sendgrid_clicks:rate_last_week", "job_automation:sendgrid_clicks:quarterday_last_week"
    for name, early, late, what in (
        (week, "167h30m", "168h30m", "the hour"),
        (day, "165h", "171h", "the six hours"),
    ):
        before, base = _before(name), _baseline(name)
        yield Recording(
            before,
            f"{base} offset 1w and {SEEN}",
            f"Clicks of {what} in the weeks before, halving in weight: memory beyond what Prometheus keeps.",
        )
        yield Recording(
            name,
            f"""\
  clamp_min({COUNTED} offset {early} - {COUNTED} offset {late}, 0) and {SEEN}
or
  {before}""",
            f"""Clicks of {what} around this time last week. Where that week has a hole (and so at the backlog that ends it),
            the weeks before stand in.""",
        )
        yield Recording(
            base,
            f"""\
  ({name} + {before}) / 2
or
  {name}""",
            f"Clicks of {what} in all weeks so far.",
        )
    before, day_before = _before(week), _before(day)
    yield Recording(
        UNALIKE,
        f"{day} / {day_before} and ({day} - {day_before}) ^ 2 > 6 * ({day} + {day_before})",
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
        f"clamp_max(time() - (last_over_time({CLOCK}[{MEMORY_HOURS}h]) or vector(time())), 900) / 3600",
        "Hours since the last evaluation; the next sum is an integral over time.",
    )
    yield Recording(CLOCK, "vector(time())")
    yield Recording(
        SUM,
        f"""\
  (last_over_time({SUM}[{MEMORY_HOURS}h]) >= 0) + ({RATE} * scalar({STEP_HOURS}) or {SEEN} * 0)
or
  {RATE} * 0""",
        """Clicks expected so far. Differences of it are clicks expected in between. It begins anew when the count does: a window
        that reaches across says nothing. What is not a number (a clock recorded twice, say) does not stay.""",
    )
    yield Recording(
        LEVEL,
        f"clamp(({COUNTED} - {COUNTED} offset 72h + 20) / (({SUM} - {SUM} offset 72h >= 0) + 20), 0.25, 1)",
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
  last_over_time({left}[20m]) + {BURST} * {RATE} * scalar({STEP_HOURS}) < {most}
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
    return name.replace("_last_week", "_weeks_before")


def _baseline(name: str) -> str:
    return name.replace("_last_week", "_baseline")
