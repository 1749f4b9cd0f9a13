"""Rules that compare a link's or a step's clicks with its share of the automation's."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.counting import AND, UNLESS
from tools.rules.rules import Recording
from tools.rules.series import (
    AUTOMATION,
    CONFIGURED,
    FRESH,
    HOURS,
    OF_AUTOMATION,
    PART,
    PART_ASKED,
    PART_COUNTED,
    PART_EXPECTED,
    PART_LESS_BY_LENGTH,
    PART_MOVED,
    PART_OBSERVED,
    PART_ODDS,
    PART_SCORE,
    PART_SHARE,
    PART_TOTAL,
    PART_WINDOW,
    PART_WINDOWS,
    SHARE_DOUBT,
    SHARE_VARIANCE,
    YOUNG,
)

OR, OR_WINDOW, AND_WINDOW = f"or on ({PART})", f"or on ({PART_WINDOW})", f"and on ({PART_WINDOW})"
STEP = f"{AUTOMATION}, step_id"
OLD = f"(last_over_time({CONFIGURED}[20m]) {UNLESS} last_over_time({FRESH}[20m]))"
"""Automations whose numbers are old. Rules of other groups are read as they were last recorded, in whatever order groups run."""

FEWEST = 6
"""Clicks that must be expected of a link or a step before it is looked at."""

SHORT = 0.4
"""A part below this much of its share is looked at more closely."""


def counting() -> Iterator[Recording]:
    """Return the rules that count the clicks of every link and step upwards only."""
    held = f'last_over_time({PART_COUNTED}{{url!=""}}[1h])'
    yield Recording(
        PART_TOTAL,
        f"max by ({PART}) (automation_link_clicks)",
        "SendGrid's total of the link.",
    )
    gained = f"clamp_min(idelta({PART_TOTAL}[20m]), 0)"
    yield Recording(
        PART_COUNTED,
        f"""\
  {held} + on ({PART}) {gained}
{OR}
  ({held} {AND} {OLD})
{OR}
  {PART_TOTAL} * 0""",
        """Clicks of the link since it was first seen, counted upwards only: a link that comes out of the rest row, or that SendGrid
        corrects, does not jump.""",
    )
    yield Recording(
        PART_COUNTED,
        f"""\
  last_over_time({PART_COUNTED}{{url=""}}[1h]) + on ({STEP}) sum by ({STEP}) ({gained})
or on ({STEP})
  (last_over_time({PART_COUNTED}{{url=""}}[1h]) {AND} {OLD})
or on ({STEP})
  sum by ({STEP}) ({PART_TOTAL}) * 0""",
        "The same for a step: the part without a url.",
        {"url": ""},
    )
    young = f'({PART_COUNTED}{{url!~"|__other__"}} unless on ({PART}) last_over_time({PART_SHARE}[2h]))'
    yield Recording(
        YOUNG,
        f"""\
  sum by ({STEP}) ({young})
or on ({STEP}, url_location)
  sum by ({STEP}, url_location) ({young})""",
        "Clicks so far of links that had none a week ago, by their place in the mail; without a place, those of the whole step.",
    )


def windows() -> Iterator[Recording]:
    """Return the rules on parts that have too few clicks in a window."""
    for window in PART_WINDOWS:
        first = window == next(iter(PART_WINDOWS))
        steps = f'{PART_COUNTED}{{url=""}}'
        whole = f"(sum by ({AUTOMATION}) ({steps}) - sum by ({AUTOMATION}) ({steps} offset {window}))"
        odds = f"last_over_time({PART_ODDS}[2h])"
        by_share = f'({odds} * on ({PART}) ({PART_OBSERVED}{{window="{window}"}} * -1 + {OF_AUTOMATION} {whole}))'
        last_week = f"({PART_COUNTED} offset 1w - on ({PART}) {PART_COUNTED} offset {_after_a_week(window)})"
        yield Recording(
            PART_OBSERVED,
            f"{PART_COUNTED} - on ({PART}) {PART_COUNTED} offset {window} < on ({PART}) ({SHORT} * {odds} * {OF_AUTOMATION} {whole})",
            f"Clicks of the part in the window, where they are less than {SHORT} of what its share promises."
            if first
            else "",
            {"window": window},
        )
        yield Recording(
            PART_EXPECTED,
            f"{last_week} + 1 < on ({PART}) {by_share} {OR} {by_share}",
            """Clicks expected of it: by the others' clicks and its share, so that volume, season and holidays cancel; but no more
            than it had in the same window last week, since a part may have days of its own."""
            if first
            else "",
            {"window": window},
        )


def _after_a_week(window: str) -> str:
    """Return the sum of a week and the window as Prometheus writes it."""
    return f"{168 * 60 + round(60 * PART_WINDOWS[window])}m"


def evidence() -> Iterator[Recording]:
    """Return the rule that weighs them."""
    certainty = f"(1 / ({SHARE_VARIANCE} + {SHARE_DOUBT} / {PART_EXPECTED}))"
    clicks = f"clamp_min({PART_OBSERVED}, 0.01)"
    yield Recording(
        PART_SCORE,
        f"""\
(
    {clicks} * on ({PART_WINDOW}) ln({clicks} / on ({PART_WINDOW}) ({PART_EXPECTED} > on ({PART_WINDOW}) {PART_OBSERVED} >= {FEWEST}))
  - on ({PART_WINDOW})
    ({clicks} + on ({PART_WINDOW}) {certainty}) * on ({PART_WINDOW}) ln(({clicks} + on ({PART_WINDOW}) {certainty}) / on ({PART_WINDOW}) ({PART_EXPECTED} + {certainty}))
)
/ on (window) group_left ()
({PART_ASKED} - {PART_LESS_BY_LENGTH} * ln(last_over_time({HOURS}[20m])))""",
        """Evidence that the part has lost its clicks, on the scale of the totals' score. There are many parts, so more is asked of
        short windows.""",
    )


def shares() -> Iterator[Recording]:
    """Return the rules that need no minute."""
    week = f"(last_over_time({PART_COUNTED}[20m]) - on ({PART}) {PART_COUNTED} offset 1w)"
    yield Recording(
        PART_SHARE,
        f'{week} / {OF_AUTOMATION} sum by ({AUTOMATION}) (last_over_time({PART_COUNTED}{{url=""}}[20m]) - on ({STEP}) {PART_COUNTED}{{url=""}} offset 1w) > 0',
        "The part's share of the automation's clicks in seven days; absent for a part that is younger or had none.",
    )
    lower = f"clamp_max({PART_SHARE} < on ({PART}) {PART_SHARE} offset 1w {OR} ({PART_SHARE} offset 1w and on ({PART}) {PART_SHARE}), 0.95)"
    yield Recording(
        PART_ODDS,
        f"{lower} / (1 - {lower})",
        """Its clicks by a click of the others, by the lower of its last two weeks: a link whose life is short, as a newsletter's, has
        no two weeks.""",
    )
    yield Recording(
        PART_MOVED,
        f"(changes({PART_TOTAL}[35m]) > 0) * 0 + time()",
        "When clicks of the link changed, to half an hour; recorded only then. For dashboards.",
    )
