"""Rules on which automations are watched, and on their clicks without downward corrections."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.evidence import never_falling
from tools.rules.rules import Recording
from tools.rules.series import (
    AUTOMATION,
    CONFIGURED,
    COUNTED,
    FRESH,
    HELD,
    INTERVAL,
    MOVED,
    SHARDS,
    THRESHOLDS,
    TOTAL,
)

OR = f"or on ({AUTOMATION})"
AND = f"and on ({AUTOMATION})"
UNLESS = f"unless on ({AUTOMATION})"


def counting() -> Iterator[Recording]:
    """Return the rules in order."""
    yield Recording(
        INTERVAL,
        f"""\
  max by ({AUTOMATION}) (sendgrid_exporter_automation_poll_interval_seconds)
or
  max by ({AUTOMATION}) (automation_total_clicks) * 0 + 300""",
        "Seconds between polls in effect; 300 if the exporter does not report them.",
    )
    yield Recording(
        SHARDS,
        """\
  count by (job) (count by (job, namespace, index, total) (sendgrid_exporter_shard_info))
or
  count by (job) (up == 1 and on (job) sendgrid_exporter_automation_poll_interval_seconds)""",
        "Running exporters of the job. If the number falls, one is down, and the automations it watched have not left.",
    )
    yield Recording(
        CONFIGURED,
        f"""\
  group by ({AUTOMATION}) ({{__name__=~"automation_info|automation_total_clicks|sendgrid_exporter_automation_poll_interval_seconds"}})
{OR}
  (
    last_over_time({CONFIGURED}[20m])
  and on (job)
    ({SHARDS} < on (job) max_over_time({SHARDS}[6h]) or on (job) (last_over_time({SHARDS}[1h]) unless on (job) {SHARDS}))
  )""",
        """1 while the automation is watched. It ends when the automation leaves the configuration, and continues while its
        exporter is down: up to six hours if the job has other exporters, otherwise up to one hour.""",
    )
    yield Recording(
        FRESH,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) ^ 0
{UNLESS}
    time() - max by ({AUTOMATION}) (sendgrid_exporter_automation_last_success_timestamp_seconds)
  > on ({AUTOMATION})
    2 * {INTERVAL} + 60""",
        "1 while the numbers are current, absent while they are stale: stale numbers neither start nor resolve an alert.",
    )
    yield Recording(
        TOTAL,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) {AND} {FRESH}
{OR}
  (last_over_time({TOTAL}[20m]) {AND} {CONFIGURED})""",
        "SendGrid's total for the automation; the last one while the numbers are stale.",
    )
    yield Recording(
        MOVED,
        f"""\
  time() + 0 * (idelta({TOTAL}[3h]) > 0 {AND} {TOTAL})
{OR}
  (last_over_time({MOVED}[3h]) {AND} {CONFIGURED})
{OR}
  time() * {FRESH}""",
        "When the automation's total last increased, as a Unix timestamp.",
    )
    yield Recording(
        HELD,
        never_falling(HELD, TOTAL),
        "The total without downward corrections: it only increases, and is constant while the numbers are stale.",
    )
    yield Recording(
        COUNTED, f"{HELD} {AND} {FRESH}", "The same, absent while the numbers are stale. Its differences are clicks."
    )
    for threshold in THRESHOLDS:
        yield Recording(
            threshold.record,
            f"""\
  {CONFIGURED} * 0 + on (automation_id) group_left () max by (automation_id) ({threshold.override}{{automation_id!=""}})
{OR}
  {CONFIGURED} * 0 + on () group_left () max({threshold.override}{{automation_id=""}})
{OR}
  {CONFIGURED} * 0 + {threshold.default}""",
            threshold.why,
        )
