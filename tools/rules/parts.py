"""Rules that compare a link's or a step's clicks with its share of the automation's."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.counting import AND, UNLESS
from tools.rules.evidence import score
from tools.rules.rules import Recording, by_window, read
from tools.rules.series import (
    AUTOMATION,
    CLICKS_MORE,
    CONFIGURED,
    FRESH,
    HOURS,
    MORE_THAN_LAST_WEEK,
    OF_AUTOMATION,
    PART,
    PART_ASKED,
    PART_CERTAINTY,
    PART_COUNTED,
    PART_EXPECTED,
    PART_LESS_BY_LENGTH,
    PART_MOVED,
    PART_OBSERVED,
    PART_ODDS,
    PART_SCORE,
    PART_SHARE,
    PART_SUCCEEDED,
    PART_TOTAL,
    PART_UNLIKE,
    PART_UNLIKE_WEIGHT,
    PART_WINDOW,
    PART_WINDOWS,
    SHARE_DOUBT,
    SHARE_VARIANCE,
    UNEVEN_HOURS,
    UNEVEN_SAMPLES,
    UNLIKE_STEEPNESS,
)

OR, OR_WINDOW = f"or on ({PART})", f"or on ({PART_WINDOW})"
STEP = f"{AUTOMATION}, step_id"
PLACE = f"{STEP}, url_location"
OLD = f"({read(CONFIGURED)} {UNLESS} {read(FRESH)})"
"""Automations whose numbers are old."""

LINK, STEPS = 'url!~"|__other__"', 'url=""'
ODDS = f"last_over_time({PART_ODDS}[2h])"
GAINED = f"clamp_min(idelta({PART_TOTAL}[20m]), 0)"
LINKS_GAINED = f"clamp_min(idelta({PART_TOTAL}{{{LINK}}}[20m]), 0)"

FEWEST = 6
"""Clicks that must be expected of a link or a step before it is looked at."""

SHORT = 0.4
"""A part below this much of what is expected is looked at."""

REPLACED_IN, REPLACED_FROM = ("90m", "24h"), 20
"""The windows in which a link is called replaced, and the clicks that must be expected of it there."""

JUDGED_MINUTES = 100
"""How long a part that is judged may be away and is judged on."""

WEEK_MINUTES = 168 * 60


def counting() -> Iterator[Recording]:
    """Return the rules that count the clicks of every link and step upwards only."""
    yield Recording(PART_TOTAL, f"max by ({PART}) (automation_link_clicks)", "SendGrid's total of the link.")
    yield _counted(
        PART_COUNTED,
        PART,
        GAINED,
        """The total of the link with every downward correction taken out. Its first value is no click of any window, so a link that
        comes out of the rest row does not jump; after an outage it goes on with what SendGrid says.""",
    )
    yield _counted(PART_COUNTED, STEP, f"sum by ({STEP}) ({GAINED})", "The same for a step: the part without a url.")
    young = f"sum by ({PLACE}) ({LINKS_GAINED} unless on ({PART}) {ODDS})"
    yield _counted(
        PART_SUCCEEDED,
        PART,
        f"(({GAINED} and on ({PART}) {ODDS}) + on ({PLACE}) group_left () {young} {OR} {GAINED})",
        """The same with the clicks of successors: links at its place in the mail (in its step, where SendGrid gives no place) that are
        too young to be judged. So an edited link does not look dead. A step has no successors.""",
        f"{OR} {PART_COUNTED}{{{STEPS}}}",
    )


def _counted(name: str, of: str, gained: str, why: str, rest: str = "") -> Recording:
    """Return the rule that adds up what the parts gain: links with all labels, or steps, which have no url."""
    which, total = ('url!=""', PART_TOTAL) if of == PART else (STEPS, f"sum by ({of}) ({PART_TOTAL})")
    held = f"last_over_time({name}{{{which}}}[1h])"
    return Recording(
        name,
        f"""\
{held} + on ({of}) ({gained} or on ({of}) {total} * 0)
or on ({of}) ({held} {AND} {OLD})
or on ({of}) {total}
{rest}""",
        why,
        {} if of == PART else {"url": ""},
    )


def windows() -> Iterator[Recording]:
    """Return the rules on parts that have too few clicks in a window."""
    yield Recording(
        PART_OBSERVED,
        by_window({window: _observed(window) for window in PART_WINDOWS}),
        f"Clicks of the part and its successors in the window, where they are less than {SHORT} of what its share promises.",
    )
    yield Recording(
        PART_EXPECTED,
        by_window({window: _expected(window, hours) for window, hours in PART_WINDOWS.items()}),
        f"""Clicks expected of it: by the others' clicks and its share, so that volume, season and holidays cancel; but not more than
        {MORE_THAN_LAST_WEEK} times (and {CLICKS_MORE}) what it had in the same window last week, since the others may have a burst.""",
    )


def _observed(window: str) -> str:
    observed = f"({PART_SUCCEEDED} - on ({PART}) {PART_SUCCEEDED} offset {window} >= 0)"
    return f"{observed} < on ({PART}) ({SHORT} * {ODDS} * {OF_AUTOMATION} {_whole(window)})"


def _expected(window: str, hours: float) -> str:
    observed = f'{PART_OBSERVED}{{window="{window}"}}'
    by_share = f"{ODDS} * on ({PART}) ({observed} * -1 + {OF_AUTOMATION} {_whole(window)})"
    last_week = f"{PART_COUNTED} offset 1w - on ({PART}) {PART_COUNTED} offset {WEEK_MINUTES + round(60 * hours)}m"
    most = f"{MORE_THAN_LAST_WEEK} * ({last_week}) + {CLICKS_MORE}"
    return f"{most} < on ({PART}) ({by_share}) {OR} {by_share}"


def _whole(window: str, steps: str = f"{PART_COUNTED}{{{STEPS}}}") -> str:
    """Return the clicks of the automation in the window, of the steps that are older than it."""
    return f"sum by ({AUTOMATION}) ({steps} - on ({STEP}) {PART_COUNTED}{{{STEPS}}} offset {window})"


def evidence() -> Iterator[Recording]:
    """Return the rules that weigh them."""
    unlike = f"clamp_min(last_over_time({PART_UNLIKE}[2h] offset 3d), 0)"
    yield Recording(
        PART_CERTAINTY,
        f"""\
1 / (
  1 / {PART_EXPECTED} * on ({PART}) group_left () ({SHARE_DOUBT} + {ODDS})
  + on ({PART}) group_left () ({SHARE_VARIANCE} + {PART_UNLIKE_WEIGHT} * (exp({UNLIKE_STEEPNESS} * {unlike}) - 1) {OR} {ODDS} * 0 + {SHARE_VARIANCE})
)""",
        """How many clicks the expectation is worth: what its own chance, that of the others, and the part's own unevenness leave of it.""",
    )
    on = f"on ({PART_WINDOW})"
    lost = score(
        PART_OBSERVED,
        f"{PART_EXPECTED} >= {FEWEST}",
        PART_EXPECTED,
        PART_CERTAINTY,
        labels=PART_WINDOW,
        scale=f"{PART_ASKED} - {PART_LESS_BY_LENGTH} * ln({read(HOURS)})",
    )
    yield Recording(
        PART_SCORE,
        f"""\
{lost}
and {on} ({PART_OBSERVED} < {on} ({SHORT} * {PART_EXPECTED}))""",
        """Evidence that the part has lost its clicks, on the scale of the totals' score. There are many parts, so more is asked of
        short windows.""",
    )


def replaced() -> str:
    """Return the expression of links that are short of clicks by themselves, and not with their successors."""
    return f"\n{OR}\n".join(_replaced(window) for window in REPLACED_IN)


def _replaced(window: str) -> str:
    promised = f"({SHORT} * {ODDS} * {OF_AUTOMATION} {_whole(window)} >= {SHORT * REPLACED_FROM:g})"
    own, both = (f"{name}{{{LINK}}} - on ({PART}) {name} offset {window}" for name in (PART_COUNTED, PART_SUCCEEDED))
    return f"""\
  {own} < on ({PART}) {promised}
and on ({PART})
  ({both} >= on ({PART}) {promised})"""


def shares() -> Iterator[Recording]:
    """Return the rules that need no minute."""
    counted = f"last_over_time({PART_COUNTED}[20m])"
    steps = f"last_over_time({PART_COUNTED}{{{STEPS}}}[20m])"
    yield Recording(
        PART_SHARE,
        f"({counted} - on ({PART}) {PART_COUNTED} offset 1w) / {OF_AUTOMATION} {_whole('1w', steps)} > 0",
        "The part's share of the automation's clicks in seven days; absent for a part that is younger or had none.",
    )
    lower = f"clamp_max({PART_SHARE} < on ({PART}) {PART_SHARE} offset 1w {OR} ({PART_SHARE} offset 1w and on ({PART}) {PART_SHARE}), 0.95)"
    alive = f"({counted} - on ({PART}) {PART_COUNTED} offset 1d > on ({PART}) ({SHORT} * {PART_SHARE} * {OF_AUTOMATION} {_whole('1d', steps)}))"
    yield Recording(
        PART_ODDS,
        f"{lower} / (1 - {lower}) and on ({PART}) (last_over_time({PART_ODDS}[{JUDGED_MINUTES}m]) or on ({PART}) {alive})",
        """Its clicks by a click of the others, by the lower of its last two weeks. It begins while the part has clicks: a link whose
        life is short, as a newsletter's, has no two weeks, or is over by then.""",
    )
    hours = UNEVEN_HOURS
    expected = f"({PART_SHARE} * {OF_AUTOMATION} {_whole(f'{hours}h', steps)})"
    mean = f"({PART_SHARE} * {OF_AUTOMATION} {_whole('1w', steps)} / {168 // hours})"
    yield Recording(
        PART_UNLIKE,
        f"""\
{1 - 1 / UNEVEN_SAMPLES:g} * (last_over_time({PART_UNLIKE}[1d]) {OR} {PART_SHARE} * 0)
+ on ({PART}) (({expected} - on ({PART}) ({counted} - on ({PART}) {PART_COUNTED} offset {hours}h)) ^ 2 - on ({PART}) {expected}) / on ({PART}) {mean} ^ 2 / {UNEVEN_SAMPLES}""",
        f"""How far its clicks in {hours} hours are off its share, squared and less by what chance alone brings, by the square of their mean;
        the mean of the last days. 0.02 is usual, 1 a mail that goes out once a week.""",
    )
    yield Recording(
        PART_MOVED,
        f"(changes({PART_TOTAL}[35m]) > 0) * 0 + time()",
        "When clicks of the link changed, to half an hour; recorded only then. For dashboards.",
    )
