"""Rules that tell a dead link or step by its share."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import (
    AUTOMATION,
    COUNTED,
    FRESH,
    HELD,
    LINK,
    SHARE_VARIANCE,
    STALE,
    STEP,
    SUM,
    TRIALS,
)


def silences() -> Iterator[Recording]:
    """Return the rules in order."""
    link = f'max by ({LINK}) (automation_link_clicks{{url!="__other__"}})'
    step = f"sum by ({STEP}) (max by ({LINK}) (automation_link_clicks))"
    for level, source, what in (("job_step", step, "step"), ("job_link", link, "link")):
        yield from _silence(level, source, what)


def _silence(level: str, source: str, what: str) -> Iterator[Recording]:
    now, before = f"{level}:sendgrid_clicks:now", f"{level}:sendgrid_clicks:before"
    moved, at = f"{level}:sendgrid_clicks:last_moved_timestamp_seconds", f"{level}:sendgrid_clicks:count_at_last_move"
    expected_at = f"{level}:sendgrid_clicks:expected_at_last_move"
    silent, since = f"{level}:sendgrid_clicks:others_since", f"{level}:sendgrid_clicks:others_since_at_most"
    week, expected = f"{level}:sendgrid_clicks:week", f"{level}:sendgrid_clicks:silence_expected"
    score = f"{level}:sendgrid_clicks:silence_score"
    join = f"on ({AUTOMATION}) group_left ()"
    base = "job_automation:sendgrid_clicks:held_week_ago"
    if level == "job_step":
        yield Recording(
            base,
            f"last_over_time({COUNTED}[12h] offset 1w) or last_over_time({COUNTED}[12h] offset 2d)",
            """What an automation had a week ago, or two days ago when it is younger.""",
        )
    yield Recording(
        now,
        f"""\
  {source} and on ({AUTOMATION}) {FRESH}
or
  (last_over_time({now}[20m]) and on ({AUTOMATION}) {STALE})""",
        f"Clicks of a {what}, held while the data is stale.",
    )
    yield Recording(
        moved,
        f"""\
  time() + 0 * ({now} != last_over_time({before}[20m]))
or
  (last_over_time({moved}[20m]) and {now})
or
  time() + 0 * {now}""",
        f"When the clicks of the {what} last changed.",
    )
    yield Recording(
        at,
        f"""\
  ({moved} == time()) * 0 + {join} {HELD}
or
  (last_over_time({at}[20m]) and {now})""",
        "The automation's count at that moment.",
    )
    yield Recording(
        expected_at,
        f"""\
  ({moved} == time()) * 0 + {join} {SUM}
or
  (last_over_time({expected_at}[20m]) and {now})""",
        "What was expected of it so far at that moment.",
    )
    yield Recording(before, now, "For the next evaluation.")
    yield Recording(
        silent,
        f"({at} * -1 + {join} {HELD}) > 3",
        f"Clicks of the automation since the {what}'s last one. What follows is worked out for silent ones alone.",
    )
    yield Recording(
        since,
        f"""\
  1.6 * (({silent} * 0 + {expected_at}) * -1 + {join} {SUM}) < {silent}
or
  {silent}""",
        f"The same, but hardly more than expected: a burst on another {what} must not look like the end of this one.",
    )
    current = f"({silent} * 0 + {now})"
    yield Recording(
        week,
        f"""\
  {current} - ({silent} * 0 + {now} offset 1w or {silent} * 0 and on ({AUTOMATION}) {COUNTED} offset 1w)
or
  {current} - ({silent} * 0 + {now} offset 2d or {silent} * 0 and on ({AUTOMATION}) {COUNTED} offset 2d)""",
        f"Clicks of the {what} in seven days; from its birth on if it is younger, in two days if the automation is.",
    )
    others = f"{level}:sendgrid_clicks:others_before"
    yield Recording(
        others,
        f"clamp_min(({silent} * 0 + {at}) - {join} {base} - {week}, 1)",
        f"Clicks of all other {what}s in the same days, up to that moment.",
    )
    yield Recording(
        expected,
        f"""\
  (({since} > 3) * ln(1 + {week} / {others})) > 6
and
  {week} * (time() - {moved}) / clamp_min(604800 - (time() - {moved}), 3600) >= 6""",
        f"""Clicks the {what} should have had since its last one, told by the others' clicks since and by its share before.
        Volume and season cancel. Its own pace over the week must agree.""",
    )
    doubt = f"(1 / {week} + 1 / {others} + {SHARE_VARIANCE})"
    yield Recording(
        score,
        f"10 * ln(1 + {expected} * {doubt}) / {doubt} / ({TRIALS} + ln({week}))",
        """Evidence that it is dead, on the scale of the totals' score: the more clicks it has, the more often chance gets to
        try, so the more is asked.""",
    )
