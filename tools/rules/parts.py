"""Rules that compare the clicks of a link or a step with its share of the automation's."""

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
"""Automations whose numbers are stale."""

LINKS, STEPS = 'part=""', 'part="step"'
"""Distinguishes the counts of links and steps. A matcher on an empty url would make Prometheus read the series of every
        url."""

NOT_REST = 'url!="__other__"'
ODDS = f"last_over_time({PART_ODDS}[2h])"

LONGEST_GAP = "8h"
"""Counting continues over a gap up to this long, such as an outage: the length of a window in which an edited link is judged."""

JUDGED_LATELY = f"last_over_time({PART_ODDS}[10h])"
"""Parts that were judged before such a gap: their odds are recorded again only half an hour after it."""

FEWEST = 6
"""Clicks that must be expected of a link or a step before it is judged."""

SHORT = 0.4
"""A part is judged below this fraction of its expected clicks."""

PROMISED_FROM = SHORT * (FEWEST - 1)
"""The same of the clicks that its share predicts, never fewer than those expected; one click less, against rounding."""

REPLACED_IN, REPLACED_FROM = ("90m", "24h"), 20
"""The windows in which a link is reported as replaced, and the clicks that must be expected of it there."""

JUDGED_MINUTES = 100
"""How long a judged part may be absent and still be judged."""

WEEK_MINUTES = 168 * 60


def counting() -> Iterator[Recording]:
    """Return the rules that count the clicks of every link and step, without downward corrections."""
    yield Recording(PART_TOTAL, f"max by ({PART}) (automation_link_clicks)", "SendGrid's total for the link.")
    gains = f"clamp_min({_gain()}, 0)"
    yield _counted(
        PART,
        gains,
        f"""The total of a link, or of a step (part="step"), without downward corrections. Its first value is no click of any window,
        so a link that leaves the overflow row does not jump. After a gap of more than {LONGEST_GAP} it restarts from SendGrid's total.""",
    )
    yield _counted(STEP, f"sum by ({STEP}) ({gains})", "The same for a step, which has no url.")
    young = f"sum by ({PLACE}) (({_gain(f'{{{NOT_REST}}}')}) > 0 unless on ({PART}) {JUDGED_LATELY})"
    gained = f"({JUDGED_LATELY} * 0 + on ({PLACE}) group_left () {young})"
    before = f"last_over_time({PART_SUCCESSORS}[{LONGEST_GAP}])"
    yield Recording(
        PART_SUCCESSORS,
        f"({before} + on ({PART}) {gained} {OR} {before} {OR} {gained}) and on ({PART}) {PART_COUNTED}{{{LINKS}}}",
        """Clicks of the link's successors: links at the same position (in the same step, if SendGrid gives no position) that are
        too new to be judged. They are added to its own, so an edited link does not look dead. Most links and all steps have
        none.""",
    )


def _gain(which: str = "") -> str:
    """Return what each link has gained since it was last seen; idelta() alone repeats the last gain of a link that has ended."""
    return f"idelta({PART_TOTAL}{which}[{LONGEST_GAP}]) and on ({PART}) {PART_TOTAL}"


def _counted(of: str, gained: str, why: str) -> Recording:
    """Return the rule that adds up what the parts gain: links with all labels, or steps without a url."""
    which, total = (LINKS, PART_TOTAL) if of == PART else (STEPS, f"sum by ({of}) ({PART_TOTAL})")
    held = f"last_over_time({PART_COUNTED}{{{which}}}[{LONGEST_GAP}])"
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
    """Return the rules for parts with too few clicks in a window."""
    yield Recording(
        PART_SHORT,
        by_window({window: _short(window) for window in PART_WINDOWS}),
        f"""The part's own clicks in the window, if they are below {SHORT} of what its share predicts. The rules below read only
        these few series and look up the rest: reading every link again takes seconds.""",
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
        f"""Its clicks and those of its successors in the window. Absent if negative: after a gap of more than {LONGEST_GAP},
        successors are counted from zero.""",
    )
    yield Recording(
        PART_EXPECTED,
        f'min by ({PART_WINDOW}) ({_by_share()} or on ({PART_WINDOW}, at_most) label_replace({_at_most()}, "at_most", "last week", "", ""))',
        f"""Expected clicks: those of the other parts times its odds, so that volume, season and holidays cancel out, but at most
        {MORE_THAN_LAST_WEEK} times (plus {CLICKS_MORE}) its own of the same window last week, since the others may have a
        burst.""",
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
    """Return the value of a series of all parts for the few parts and windows of another."""
    return f"({few} * 0 + on ({PART}) group_left () {of_all})"


def _whole(window: str, steps: str = f"{PART_COUNTED}{{{STEPS}}}") -> str:
    """Return the automation's clicks in the window, from steps that existed before it."""
    return f"sum by ({AUTOMATION}) ({steps} - on ({STEP}) {PART_COUNTED}{{{STEPS}}} offset {window})"


def evidence() -> Iterator[Recording]:
    """Return the rules for the evidence of a loss."""
    doubt = f"{SHARE_DOUBT} + {_looked_up(PART_EXPECTED, ODDS)}"
    uneven = (
        f"{_looked_up(PART_EXPECTED, f'last_over_time({PART_UNLIKE}[2h] offset 3d)')} {OR_WINDOW} {PART_EXPECTED} * 0"
    )
    unlike = f"{PART_UNLIKE_WEIGHT} * (exp({UNLIKE_STEEPNESS} * clamp_min({uneven}, 0)) - 1)"
    yield Recording(
        PART_CERTAINTY,
        f"1 / (1 / {PART_EXPECTED} * on ({PART_WINDOW}) ({doubt}) + on ({PART_WINDOW}) ({SHARE_VARIANCE} + {unlike}))",
        """How many independent clicks the expectation is worth: limited by chance, in its clicks and the other parts', and by
        the part's unevenness.""",
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
        """Evidence that the part has lost its clicks, on the same scale as the score of totals. There are many parts, so short
        windows require more.""",
    )


def replaced() -> str:
    """Return the links that have too few clicks by themselves, but not with their successors."""
    which = f'{{window=~"{"|".join(REPLACED_IN)}",{NOT_REST}}}'
    whole = by_window({window: _whole(window) for window in REPLACED_IN}).replace("\n", " ")
    promised = f"{SHORT} * {_looked_up(PART_OBSERVED + which, ODDS)} * on ({WINDOW}) group_left () ({whole})"
    enough = f"{PART_OBSERVED} >= on ({PART_WINDOW}) ({promised} >= {SHORT * REPLACED_FROM:g})"
    return f"max by ({PART}) ({PART_SHORT}{which} and on ({PART_WINDOW}) ({enough}))"


def shares() -> Iterator[Recording]:
    """Return the rules that need no short interval."""
    counted = f"last_over_time({PART_COUNTED}[20m])"
    steps = f"last_over_time({PART_COUNTED}{{{STEPS}}}[20m])"
    yield Recording(
        PART_SHARE,
        f"({counted} - on ({PART}) {PART_COUNTED} offset 1w) / {OF_AUTOMATION} {_whole('1w', steps)} > 0",
        "The part's share of the automation's clicks in seven days; absent if the part is newer or had none.",
    )
    lower = f"clamp_max({PART_SHARE} < on ({PART}) {PART_SHARE} offset 1w {OR} ({PART_SHARE} offset 1w and on ({PART}) {PART_SHARE}), 0.95)"
    alive = f"({counted} - on ({PART}) {PART_COUNTED} offset 1d > on ({PART}) ({SHORT} * {PART_SHARE} * {OF_AUTOMATION} {_whole('1d', steps)}))"
    yield Recording(
        PART_ODDS,
        f"{lower} / (1 - {lower}) and on ({PART}) (last_over_time({PART_ODDS}[{JUDGED_MINUTES}m]) or on ({PART}) {alive})",
        """Its clicks per click of the other parts, from the lower share of the last two weeks. It starts only while the part has
        clicks: a short-lived link, such as a newsletter's, lacks two weeks or is over by then.""",
    )
    hours = UNEVEN_HOURS
    expected = f"({PART_SHARE} * {OF_AUTOMATION} {_whole(f'{hours}h', steps)})"
    mean = f"({PART_SHARE} * {OF_AUTOMATION} {_whole('1w', steps)} / {168 // hours})"
    yield Recording(
        PART_UNLIKE,
        f"""\
{1 - 1 / UNEVEN_SAMPLES:g} * (last_over_time({PART_UNLIKE}[1d]) {OR} {PART_SHARE} * 0)
+ on ({PART}) (({expected} - on ({PART}) ({counted} - on ({PART}) {PART_COUNTED} offset {hours}h)) ^ 2 - on ({PART}) {expected}) / on ({PART}) {mean} ^ 2 / {UNEVEN_SAMPLES}""",
        f"""How uneven its clicks are: their difference from its share in {hours} hours, squared, minus what chance explains,
        divided by their squared mean; averaged over some days. 0.02 is normal, 1 a weekly mail.""",
    )
    yield Recording(
        PART_MOVED,
        f"(changes({PART_TOTAL}[35m]) > 0) * 0 + time()",
        "When the link's clicks last changed, to half an hour; recorded only then. For dashboards.",
    )
