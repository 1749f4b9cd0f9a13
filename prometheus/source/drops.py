"""Rules that say when a drop begins and ends, and when nothing can be said."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import (
    AUTOMATION,
    CALM,
    EXPECTED,
    FRESH,
    INTERVAL,
    JUDGEABLE,
    LOW,
    MINIMUM,
    MOVED,
    OF_AUTOMATION,
    RATIO,
    SCORE,
    SENSITIVITY,
    SHORT,
    SHORT_EXPECTED,
    STALE,
    STANDSTILL,
    STANDSTILL_SINCE,
    STATE,
)


def standstill() -> Iterator[Recording]:
    """Return the rules in order."""
    standing = "job_automation:sendgrid_standstill:slot_timestamp_seconds"
    slots, starts = "job_slot:sendgrid_standstill:automations", "job_slot:sendgrid_standstill:started_timestamp_seconds"
    yield Recording(
        standing,
        f"floor(({MOVED} < time() - 2700 and {FRESH}) / 300) * 300",
        "When automations last moved that have not for three quarters of an hour, to 5 minutes.",
    )
    members = "\n  or\n".join(
        f'    count_values by ({AUTOMATION}) ("slot", {standing} + {late}) * 0\n    + {OF_AUTOMATION} {standing}'
        for late in (0, 300, 600)
    )
    yield Recording(
        slots,
        f"count by (job, slot) (\n{members}\n)",
        "Those that last moved within the same 15 minutes: for every 5 minutes, those of these and of the ten before.",
    )
    yield Recording(starts, f"max by (job, slot) (\n{members}\n)", "When the last of them moved.")
    yield Recording(
        STANDSTILL_SINCE,
        f"""\
max by (job) (
  {starts} and {slots} == on (job) group_left () max by (job) ({slots})
) + 300""",
        "When the largest such group stopped.",
    )
    yield Recording(
        STANDSTILL,
        f"""\
  (max by (job) ({slots}) >= 5)
>
  0.5 * count by (job) ({MOVED} >= on (job) group_left () ({STANDSTILL_SINCE} - 3600))""",
        """SendGrid's numbers stand still: at least five automations, and over half of those with clicks in the hour before,
        stopped together. Then none of them is named.""",
    )


def state() -> Iterator[Recording]:
    """Return the rules in order."""
    judging, recovered = "job_automation:sendgrid_clicks:judging", "job_automation:sendgrid_click_drop:recovered"
    low_now = "job_automation_window:sendgrid_clicks:low_now"
    yield Recording(
        LOW,
        f"""\
  ({SHORT} and ({SCORE} >= {OF_AUTOMATION} {SENSITIVITY.record})) < {OF_AUTOMATION} {RATIO.record}
and
  {SHORT_EXPECTED} >= {OF_AUTOMATION} {MINIMUM.record}
and
  ({SHORT_EXPECTED} * 0 + on (window) group_left () sendgrid:click_window:hours) * 3600 >= {OF_AUTOMATION} (4 * {INTERVAL})""",
        "Windows with too few clicks. A window shorter than four polls says nothing.",
    )
    yield Recording(
        judging,
        f"min by ({AUTOMATION}) ({EXPECTED} >= 30)",
        "What is expected in the shortest window with 30 expected clicks: that window says how it is now.",
    )
    yield Recording(
        recovered,
        f"{judging} unless on ({AUTOMATION}) ({SHORT_EXPECTED} == {OF_AUTOMATION} {judging})",
        "Clicks are back in that window: longer ones, which still hold the drop, no longer count.",
    )
    yield Recording(
        low_now,
        f"{LOW} and ({SHORT_EXPECTED} <= {OF_AUTOMATION} {judging})",
        "Windows with too few clicks that are no longer than that one.",
    )
    yield Recording(
        JUDGEABLE,
        f"""\
(
    {FRESH} and (time() - {MOVED} <= {INTERVAL} + 90)
  or
    {FRESH} and (time() - {MOVED} > 3600 + 2 * {INTERVAL})
)
unless
  {MOVED} < on (job) group_left () ({STANDSTILL_SINCE} and {STANDSTILL})""",
        """SendGrid's numbers may stand still for an hour and then catch up at once. Within that hour a low count says
        nothing: judge right after a movement, or when an hour and two polls have passed without one.""",
    )
    yield Recording(
        CALM,
        f"""\
  ({recovered} unless max by ({AUTOMATION}) ({low_now})) ^ 0
or
  (max by ({AUTOMATION}) ({SCORE}) < {SENSITIVITY.record} / 2) ^ 0
or
  ({FRESH} unless max by ({AUTOMATION}) ({SCORE}))""",
        "Nothing speaks for a drop any more.",
    )
    holding = f"({STALE} or ({FRESH} unless {JUDGEABLE}) or ({FRESH} unless {CALM}))"
    stopped = f"{LOW} == 0"
    dropped = f"{LOW} unless on ({AUTOMATION}) {recovered} or {low_now}"
    for kind, sign in (("stopped", stopped), ("dropped", dropped)):
        yield Recording(
            STATE,
            f"""\
  (max by ({AUTOMATION}) ({sign}) and {JUDGEABLE}) ^ 0
or
    max without (kind) (last_over_time({STATE}{{kind="{kind}"}}[20m]))
  and
    {holding}""",
            "A drop begins when it is certain and lasts until calm; stale or standing numbers neither begin nor end it."
            if kind == "stopped"
            else "",
            labels={"kind": kind},
        )
