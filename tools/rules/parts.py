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
    PART_SHORT,
    PART_SUCCESSORS,
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
    WINDOW,
)

OR, OR_WINDOW = f"or on ({PART})", f"or on ({PART_WINDOW})"
STEP = f"{AUTOMATION}, step_id"
PLACE = f"{STEP}, url_location"
OLD = f"({read(CONFIGURED)} {UNLESS} {read(FRESH)})"
"""Automations whose numbers are old."""

LINKS, STEPS = 'part=""', 'part="step"'
"""What tells the counts of links and steps apart. Prometheus finds an empty or any url by reading the series of every url."""

NOT_REST = 'url!="__other__"'
ODDS = f"last_over_time({PART_ODDS}[2h])"
GAINED = f"clamp_min(idelta({PART_TOTAL}[20m]), 0)"

FEWEST = 6
"""Clicks that must be expected of a link or a step before it is looked at."""

SHORT = 0.4
"""A part below this much of what is expected is looked at."""

PROMISED_FROM = SHORT * (FEWEST - 1)
"""What that is of the clicks promised by its share, which are never fewer than those expected; one click less, against rounding."""

REPLACED_IN, REPLACED_FROM = ("90m", "24h"), 20
"""The windows in which a link is called replaced, and the clicks that must be expected of it there."""

JUDGED_MINUTES = 100
"""How long a part that is judged may be away and is judged on."""

WEEK_MINUTES = 168 * 60


def counting() -> Iterator[Recording]:
    """Return the rules that count the clicks of every link and step upwards only."""
    yield Recording(PART_TOTAL, f"max by ({PART}) (automation_link_clicks)", "SendGrid's total of the link.")
    yield _counted(
        PART,
        GAINED,
        """The total of the link with every downward correction taken out. Its first value is no click of any window, so a link that
        comes out of the rest row does not jump; after an outage it goes on with what SendGrid says.""",
    )
    yield _counted(STEP, f"sum by ({STEP}) ({GAINED})", "The same for a step: the part without a url.")
    young = f"sum by ({PLACE}) (idelta({PART_TOTAL}{{{NOT_REST}}}[20m]) > 0 unless on ({PART}) {ODDS})"
    gained, before = f"({ODDS} * 0 + on ({PLACE}) group_left () {young})", f"last_over_time({PART_SUCCESSORS}[1h])"
    yield Recording(
        PART_SUCCESSORS,
        f"({before} + on ({PART}) {gained} {OR} {before} {OR} {gained}) and on ({PART}) {PART_COUNTED}{{{LINKS}}}",
        """Clicks of the link's successors: links at its place in the mail (in its step, where SendGrid gives no place) that are too young
        to be judged. They count as its own, so an edited link does not look dead. Most links and all steps have none.""",
    )


def _counted(of: str, gained: str, why: str) -> Recording:
    """Return the rule that adds up what the parts gain: links with all labels, or steps, which have no url."""
    which, total = (LINKS, PART_TOTAL) if of == PART else (STEPS, f"sum by ({of}) ({PART_TOTAL})")
    held = f"last_over_time({PART_COUNTED}{{{which}}}[1h])"
    return Recording(
        PART_COUNTED,
        f"""\
{held} + on ({of}) ({gained} or on ({of}) {total} * 0)
or on ({of}) ({held} {AND} {OLD})
or on ({of}) {total}""",
        why,
        {} if of == PART else {"part": "step", "url": ""},
    )


def windows() -> Iterator[Recording]:
    """Return the rules on parts that have too few clicks in a window."""
    yield Recording(
        PART_SHORT,
        by_window({window: _short(window) for window in PART_WINDOWS}),
        f"""The part's own clicks in the window, where they are less than {SHORT} of what its share promises. All rules below read only
        these few, and look up what else they need of them: what reads every link again costs seconds.""",
    )
    successors = by_window(
        {
            window: f"{PART_SUCCESSORS} - on ({PART}) {PART_SUCCESSORS} offset {window} {OR} {PART_SUCCESSORS}"
            for window in PART_WINDOWS
        }
    )
    yield Recording(
        PART_OBSERVED,
        f"{PART_SHORT} + on ({PART_WINDOW}) ({successors}) >= 0 {OR_WINDOW} ({PART_SHORT} unless on ({PART}) {PART_SUCCESSORS}) >= 0",
        """Its clicks and those of its successors in the window. Absent where they are below zero: after an outage, successors count from
        zero again.""",
    )
    yield Recording(
        PART_EXPECTED,
        f'min by ({PART_WINDOW}) ({_by_share()} or on ({PART_WINDOW}, at_most) label_replace({_at_most()}, "at_most", "last week", "", ""))',
        f"""Clicks expected of it: by the others' clicks and its share, so that volume, season and holidays cancel; but not more than
        {MORE_THAN_LAST_WEEK} times (and {CLICKS_MORE}) what it had in the same window last week, since the others may have a burst.""",
    )


def _short(window: str) -> str:
    promised = f"{ODDS} * {OF_AUTOMATION} ({SHORT} * {_whole(window)}) > {PROMISED_FROM:g}"
    return f"{PART_COUNTED} - on ({PART}) {PART_COUNTED} offset {window} < on ({PART}) ({promised})"


def _by_share() -> str:
    whole = by_window({window: _whole(window) for window in PART_WINDOWS})
    others = f"({PART_OBSERVED} * -1 + on ({WINDOW}) group_left () ({whole}))"
    return f"{others} * on ({PART}) group_left () {ODDS}"


def _at_most() -> str:
    end = _looked_up(PART_OBSERVED, f"{PART_COUNTED} offset 1w")
    begins = f" {OR_WINDOW} ".join(
        _looked_up(
            f'{PART_OBSERVED}{{window="{window}"}}', f"{PART_COUNTED} offset {WEEK_MINUTES + round(60 * hours)}m"
        )
        for window, hours in PART_WINDOWS.items()
    )
    return f"{MORE_THAN_LAST_WEEK} * ({end} - on ({PART_WINDOW}) ({begins})) + {CLICKS_MORE}"


def _looked_up(few: str, of_all: str) -> str:
    """Return what a series of all parts says of the few parts and windows that another has."""
    return f"({few} * 0 + on ({PART}) group_left () {of_all})"


def _whole(window: str, steps: str = f"{PART_COUNTED}{{{STEPS}}}") -> str:
    """Return the clicks of the automation in the window, of the steps that are older than it."""
    return f"sum by ({AUTOMATION}) ({steps} - on ({STEP}) {PART_COUNTED}{{{STEPS}}} offset {window})"


def evidence() -> Iterator[Recording]:
    """Return the rules that weigh them."""
    doubt = f"{SHARE_DOUBT} + {_looked_up(PART_EXPECTED, ODDS)}"
    uneven = (
        f"{_looked_up(PART_EXPECTED, f'last_over_time({PART_UNLIKE}[2h] offset 3d)')} {OR_WINDOW} {PART_EXPECTED} * 0"
    )
    unlike = f"{PART_UNLIKE_WEIGHT} * (exp({UNLIKE_STEEPNESS} * clamp_min({uneven}, 0)) - 1)"
    yield Recording(
        PART_CERTAINTY,
        f"1 / (1 / {PART_EXPECTED} * on ({PART_WINDOW}) ({doubt}) + on ({PART_WINDOW}) ({SHARE_VARIANCE} + {unlike}))",
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
    which = f'{{window=~"{"|".join(REPLACED_IN)}",{NOT_REST}}}'
    whole = by_window({window: _whole(window) for window in REPLACED_IN}).replace("\n", " ")
    promised = f"{SHORT} * {_looked_up(PART_OBSERVED + which, ODDS)} * on ({WINDOW}) group_left () ({whole})"
    enough = f"{PART_OBSERVED} >= on ({PART_WINDOW}) ({promised} >= {SHORT * REPLACED_FROM:g})"
    return f"max by ({PART}) ({PART_SHORT}{which} and on ({PART_WINDOW}) ({enough}))"


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
