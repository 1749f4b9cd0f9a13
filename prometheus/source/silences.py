"""Rules that tell a dead link or step by its share."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import (
    AUTOMATION,
    CREDITED,
    LINK,
    OF_AUTOMATION,
    SHARE_VARIANCE,
    STALE,
    STEP,
    TRIALS,
    WEEK,
    Level,
)

REMARKABLE = 3
"""Clicks that are missing before a silence is looked at more closely."""


def silences() -> Iterator[Recording]:
    """Return the rules in order."""
    now, since = LINK.series("now"), LINK.series("others_since")
    yield Recording(
        now,
        f"""\
  max by ({LINK.labels}) (automation_link_clicks)
or
  (last_over_time({now}[20m]) and on ({AUTOMATION}) {STALE})""",
        "Clicks of a link, held while the automation's data is stale.",
    )
    yield Recording(
        since,
        f"""\
  (last_over_time({since}[20m]) and idelta({now}[20m]) == 0) + {OF_AUTOMATION} {CREDITED}
or
  {now} * 0""",
        """Clicks of the automation since the link's last one. Only this rule and the one above keep something for every link:
        that is what a minute costs.""",
    )
    yield from _silence(STEP, f"min by ({STEP.labels}) ({since})")
    yield from _silence(LINK, f'{since}{{url!="__other__"}}')


def _silence(level: Level, since: str) -> Iterator[Recording]:
    missing, silent = level.series("silence_missing"), level.series("silence")
    yield Recording(
        missing,
        f"{since} * last_over_time({level.series('week')}[2h]) > {OF_AUTOMATION} ({REMARKABLE} * {WEEK})",
        f"""Where the automation's clicks since its last one should have brought the {level.what} more than {REMARKABLE} clicks by its share of the week: what follows is worked
        out for such alone."""
        + (" A step's last click is that of its liveliest link." if level is STEP else ""),
    )
    yield from _share(level, missing, silent)
    week, others, expected = (
        level.series("silence_week"),
        level.series("silence_others"),
        level.series("silence_expected"),
    )
    yield Recording(
        expected,
        f"{silent} * ln(1 + {week} / {others}) > 6",
        f"""Clicks the {level.what} should have had since its last one, told by the others' clicks since and by its share before.
        Volume and season cancel.""",
    )
    doubt = f"(1 / {week} + 1 / {others} + {SHARE_VARIANCE})"
    yield Recording(
        level.series("silence_score"),
        f"10 * ln(1 + {expected} * {doubt}) / {doubt} / ({TRIALS} + ln({week}))",
        """Evidence that it is dead, on the scale of the totals' score: the more clicks it has, the more often chance gets to
        try, so the more is asked.""",
    )


def _share(level: Level, missing: str, silent: str) -> Iterator[Recording]:
    latest, before = level.series("silence_week_latest"), level.series("silence_week_before")
    week = level.series("silence_week")
    yield Recording(
        latest,
        f"(last_over_time({level.series('week')}[2h]) and {missing}) <= {OF_AUTOMATION} {WEEK}",
        f"Clicks of the silent {level.what} in the days that its share is taken from.",
    )
    yield Recording(
        silent, f"{missing} / {latest}", f"Clicks of the automation since the silent {level.what}'s last one."
    )
    yield Recording(
        before,
        f"""\
(last_over_time({level.series("week")}[2h] offset 1w) and {silent}) * {OF_AUTOMATION} ({WEEK} / {WEEK} offset 1w)""",
        "The same by its share of the week before.",
    )
    yield Recording(
        week,
        f"""\
  {before} < {latest}
or
  {latest}""",
        "The lower of both, so that a burst in one week does not make the next one look silent.",
    )
    yield Recording(
        level.series("silence_others"),
        f"clamp_min({week} * -1 + {OF_AUTOMATION} {WEEK} - {silent}, 1)",
        f"Clicks of all other {level.what}s in the same days, up to the silence.",
    )
