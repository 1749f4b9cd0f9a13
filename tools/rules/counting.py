"""Rules that say which automations are watched, and count their clicks upwards only."""

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
        "Seconds between the polls that the exporter really makes; 300 where it does not say.",
    )
    yield Recording(
        SHARDS,
        """\
  count by (job) (count by (job, namespace, index, total) (sendgrid_exporter_shard_info))
or
  count by (job) (up == 1 and on (job) sendgrid_exporter_automation_poll_interval_seconds)""",
        "How many exporters of the job are there. A step down says that one is away, and that what it watched has not left.",
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
        """1 while the automation is watched. It ends when the automation leaves, and stays while its exporter is away: up to six
        hours beside other exporters of the job, up to one hour where it was the only one.""",
    )
    yield Recording(
        FRESH,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) ^ 0
{UNLESS}
    time() - max by ({AUTOMATION}) (sendgrid_exporter_automation_last_success_timestamp_seconds)
  > on ({AUTOMATION})
    2 * {INTERVAL} + 60""",
        "1 while the numbers are what SendGrid says now, absent while they are old: old numbers neither raise nor end an alert.",
    )
    yield Recording(
        TOTAL,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) {AND} {FRESH}
{OR}
  (last_over_time({TOTAL}[20m]) {AND} {CONFIGURED})""",
        "SendGrid's total of the automation, the last one while the numbers are old.",
    )
    yield Recording(
        MOVED,
        f"""\
  time() + 0 * (idelta({TOTAL}[3h]) > 0)
{OR}
  (last_over_time({MOVED}[3h]) {AND} {CONFIGURED})
{OR}
  time() * {FRESH}""",
        "When the automation's total last grew, as a Unix time.",
    )
    yield Recording(
        HELD,
        never_falling(HELD, TOTAL),
        "The total with every downward correction taken out: it only grows, and stands while the numbers are old.",
    )
    yield Recording(
        COUNTED, f"{HELD} {AND} {FRESH}", "The same, absent while the numbers are old. Differences of it are clicks."
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
