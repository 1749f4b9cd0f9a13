"""Rules on every link and step that need no minute: they run twice an hour, beside the others."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import AUTOMATION, BESIDE_LARGEST, HELD, LINK, STEP


def shares() -> Iterator[Recording]:
    """Return the rules in order."""
    series, week, moved = LINK.series("now"), LINK.series("week"), LINK.series("moved_timestamp_seconds")
    now = f"last_over_time({series}[20m])"  # whichever group is evaluated first
    young = f"({HELD} offset 2d unless {HELD} offset 1w)"
    yield Recording(
        week,
        f"""\
  {now} - (({series} offset 2d and on ({AUTOMATION}) {young}) or {series} offset 1w)
or
  ({now} and on ({AUTOMATION}) {HELD} offset 2d)""",
        "Clicks of the link in seven days; from its birth on if it is younger, in two days if the automation is.",
    )
    yield Recording(STEP.series("week"), f"sum by ({STEP.labels}) ({week})", "The same for a step.")
    yield Recording(
        BESIDE_LARGEST,
        f"1 - max by ({STEP.labels}) ({week}) / {STEP.series('week')}",
        "The part of them that the step's most clicked link did not have.",
    )
    yield Recording(
        moved,
        f"(changes({series}[35m]) > 0) * 0 + time()",
        "When clicks of the link changed, to half an hour; recorded only then. For dashboards.",
    )
    for level in (STEP, LINK):
        last_week, habit = level.series("silence_last_week"), level.series("silence_habit")
        yield Recording(
            last_week,
            f"max_over_time({level.series('silence_score')}[3d] offset 132h) > 2",
            f"How silent the {level.what} was around the same time last week, where it was.",
        )
        yield Recording(
            habit,
            f"""\
  0.9 * last_over_time({habit}[2h] offset 1w) > {last_week}
or
  {last_week}
or
  0.9 * last_over_time({habit}[2h] offset 1w) > 2""",
            "And in the weeks before: as much again is a habit.",
        )
