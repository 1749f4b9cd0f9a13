"""Rules that compare an automation's clicks with those of the weeks before."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.counting import AND, OR, UNLESS
from tools.rules.evidence import certainty, score
from tools.rules.rules import Recording, by_window, read
from tools.rules.series import (
    ASKED,
    AUTOMATION,
    CAUSE,
    CERTAINTY,
    CLICK_RATE,
    CONFIGURED,
    COUNTED,
    EXPECTED,
    FRESH,
    HOURS,
    INTERVAL,
    JUDGEABLE,
    LAST_WEEK,
    LESS_BY_LENGTH,
    LEVEL,
    LOW,
    MAIL_LAG_HOURS,
    MAILS,
    MAILS_LAST_WEEK,
    MINIMUM,
    MISSED_SQUARED,
    MISSING,
    MOVED,
    OBSERVED,
    OF_AUTOMATION,
    PART_WINDOWS,
    RATIO,
    SCORE,
    SENSITIVITY,
    SINCE,
    USUAL,
    USUAL_SQUARED,
    WINDOW,
    WINDOWS,
)

OR_WINDOW, AND_WINDOW = f"or on ({WINDOW})", f"and on ({WINDOW})"
TELLING = 15
"""Usual clicks of a window that says how it is now: shorter ones say little, longer ones still hold what is over."""

COUNTABLE = 10
"""Usual clicks from which an automation has a say in how the account is doing."""

MEMBERS = 3
"""Automations that an account must have to have a say."""


def windows() -> Iterator[Recording]:
    """Return the rules that say what came and what usually comes."""
    hours = {**WINDOWS, **PART_WINDOWS}
    yield Recording(
        HOURS,
        by_window({window: f"vector({number:g})" for window, number in hours.items()}),
        "The hours of each window, for the rules below.",
    )
    yield Recording(
        OBSERVED,
        by_window({window: f"{COUNTED} - on ({AUTOMATION}) {COUNTED} offset {window}" for window in WINDOWS}),
        "Clicks of the automation in the window.",
    )
    yield Recording(
        LAST_WEEK,
        f"min_over_time({OBSERVED}[2h] offset 167h)",
        "The fewest that the same window had last week, an hour earlier to an hour later: clocks change, sends are late.",
    )
    yield Recording(
        USUAL,
        f"""\
  {LAST_WEEK} < on ({WINDOW}) {LAST_WEEK} offset 1w
{OR_WINDOW}
  {LAST_WEEK} offset 1w
{OR_WINDOW}
  {LAST_WEEK}""",
        "The fewest in the last two weeks, so that one odd week (a burst, an outage, a holiday) does not spoil the next.",
    )


def mails() -> Iterator[Recording]:
    """Return the rules on what was delivered; they yield nothing where the exporter publishes no statistics."""
    delivered = f"max by ({AUTOMATION}) (sendgrid_automation_delivered"
    reach = {window: f"{hours + MAIL_LAG_HOURS:g}h" for window, hours in WINDOWS.items()}
    yield Recording(
        MAILS,
        by_window(
            {
                window: f"{delivered} offset 1h) - on ({AUTOMATION}) {delivered} offset {hours}) >= 0"
                for window, hours in reach.items()
            }
        ),
        f"""Mails whose clicks fall into the window: from {MAIL_LAG_HOURS} hours before it up to an hour ago. Absent, not none,
        where they are fewer than at its beginning, since SendGrid has corrected them.""",
    )
    yield Recording(
        MAILS_LAST_WEEK,
        f"min_over_time({MAILS}[2h] offset 167h)",
        "The fewest in the same window last week, an hour earlier to an hour later.",
    )
    yield Recording(
        CLICK_RATE,
        f"{LAST_WEEK} / on ({WINDOW}) ({MAILS} offset 1w > 0)",
        "Clicks by mail in the same window last week.",
    )


def evidence() -> Iterator[Recording]:
    """Return the rules that say what is expected and how far it is missed."""
    yield Recording(
        LEVEL,
        f"""\
  clamp_max(quantile by (job, window) (0.5, {OBSERVED} / on ({WINDOW}) ({USUAL} >= {COUNTABLE})), 1)
    and on (job, window) (count by (job, window) ({OBSERVED} / on ({WINDOW}) ({USUAL} >= {COUNTABLE})) >= {MEMBERS})
or on (job, window)
  group by (job, window) ({USUAL})""",
        f"""How the account is doing: the part of its usual clicks that the middle one of its automations has, 1 at most and where
        fewer than {MEMBERS} can tell. A holiday and a broken tracking domain fall on all of them.""",
    )
    by_mails = f"{MAILS} * on ({WINDOW}) ({CLICK_RATE} < on ({WINDOW}) {CLICK_RATE} offset 1w {OR_WINDOW} ({CLICK_RATE} offset 1w {AND_WINDOW} {CLICK_RATE}) {OR_WINDOW} {CLICK_RATE})"
    yield Recording(
        EXPECTED,
        f"""\
  ({by_mails} < on ({WINDOW}) {USUAL} {OR_WINDOW} {USUAL}) * on (job, window) group_left () {LEVEL}
*  on ({WINDOW})
  (({USUAL} ^ 0 {AND_WINDOW} {LAST_WEEK} offset 1w) {OR_WINDOW} {USUAL} ^ 0 / 2)""",
        """Clicks expected: the usual ones, fewer where fewer mails went out and where the whole account has fewer, half of them
        where only one week is known.""",
    )
    unlike = (
        f"avg_over_time({MISSED_SQUARED}[1d] offset 1d) / on ({WINDOW}) avg_over_time({USUAL_SQUARED}[1d] offset 1d)"
    )
    judged = f"{EXPECTED} > on ({WINDOW}) {OBSERVED}"
    yield Recording(
        CERTAINTY,
        certainty(judged, EXPECTED, f"clamp_min({unlike}, 0)", HOURS),
        """How many clicks the expectation is worth, where fewer came: what its own chance, the noise that all have, and this
        automation's weeks, where they were unlike, leave of it.""",
    )
    evidence = score(
        OBSERVED,
        judged,
        EXPECTED,
        CERTAINTY,
        labels=WINDOW,
        scale=f"{ASKED} - {LESS_BY_LENGTH} * ln({HOURS})",
    )
    yield Recording(
        SCORE,
        f"""\
{evidence}
{OR_WINDOW}
{EXPECTED} * 0""",
        """Evidence for a drop: the logarithm of how much better these clicks fit a lower rate than the expected one (negative
        binomial). Few expected clicks never score high. 0 where nothing is missing.""",
    )


def drops() -> Iterator[Recording]:
    """Return the rules that say when a drop begins and ends."""
    telling = f"min by ({AUTOMATION}) ({USUAL} >= {TELLING} {AND_WINDOW} {OBSERVED})"
    yield Recording(
        MISSING,
        f"""\
max by ({AUTOMATION}) (
  ({USUAL} {AND_WINDOW} ({OBSERVED} < on ({WINDOW}) ({USUAL} * {OF_AUTOMATION} ((1 + {RATIO.record}) / 2)))) == {OF_AUTOMATION} {telling}
)""",
        f"""The usual clicks of the shortest window in which {TELLING} are usual, while less than three quarters of them came: shorter
        windows say little, longer ones still hold what is over.""",
    )
    yield Recording(
        LOW,
        f"""\
  {SCORE} >= {OF_AUTOMATION} {SENSITIVITY.record}
{AND_WINDOW}
  ({OBSERVED} < on ({WINDOW}) ({EXPECTED} * {OF_AUTOMATION} {RATIO.record}))
{AND_WINDOW}
  ({EXPECTED} >= {OF_AUTOMATION} {MINIMUM.record})
unless on ({WINDOW})
  ({OBSERVED} ^ 0 * on (window) group_left () {HOURS} * 3600 < {OF_AUTOMATION} (4 * {INTERVAL}))""",
        "The evidence of the windows that have too few clicks. A window shorter than four polls says nothing.",
    )
    yield Recording(
        JUDGEABLE,
        f"""\
  {FRESH} {AND} (time() - {MOVED} <= on ({AUTOMATION}) {INTERVAL} + 90)
{OR}
  {FRESH} {AND} (time() - {MOVED} > on ({AUTOMATION}) 3600 + 2 * {INTERVAL})""",
        """1 when a low count says something. SendGrid's numbers may stand still for an hour and then catch up at once: judge right
        after a movement, or when an hour and two polls have passed without one.""",
    )
    for kind, sign in (("stopped", f"({LOW} {AND_WINDOW} ({OBSERVED} == 0))"), ("dropped", LOW)):
        yield Recording(
            SINCE,
            f"""\
  max by ({AUTOMATION}, cause) (last_over_time({SINCE}{{kind="{kind}"}}[20m])) {AND} {CONFIGURED} {AND} ({MISSING} {OR} ({CONFIGURED} {UNLESS} {JUDGEABLE}))
{OR}
  {_caused(f"{JUDGEABLE} {AND} {MISSING} {AND} {sign}")}""",
            """When a drop was noticed, as long as clicks are missing. Old or standing numbers neither begin nor end it. The label cause is
            decided when the drop is noticed and stays until it ends, so that it never makes a second alert."""
            if kind == "stopped"
            else "",
            {"kind": kind},
        )


def _caused(begins: str) -> str:
    """Return what begins, with its cause as a label where the rules on deliveries have one."""
    cause = f"topk by ({AUTOMATION}) (1, {read(CAUSE)})"
    return f"(time() + 0 * {cause} {AND} ({begins})) {OR} time() * ({begins})"


def silent_account() -> str:
    """Return the automations without a click where most of the account's have none in two hours or longer that usually bring some."""
    silent = f"max by ({AUTOMATION}) ({OBSERVED} == 0 {AND_WINDOW} ({USUAL} >= {COUNTABLE}))"
    return f"""\
  count by (job) ({silent})
and on (job)
  (max by (job) ({LEVEL} < 0.1 and on (window) {HOURS} >= 2))"""


def unlikeness() -> Iterator[Recording]:
    """Return the rules that say how unlike an automation's weeks are; they need no minute."""
    usual, observed = read(USUAL), read(OBSERVED)
    missed = f"clamp_min({usual} - on ({WINDOW}) {observed}, 0)"
    for name, expression, why in (
        (
            MISSED_SQUARED,
            f"({missed}) ^ 2 + on ({WINDOW}) ({missed}) - on ({WINDOW}) {usual}",
            """How far clicks were below the usual ones, squared and less by what chance alone brings, a tenth of it new each day.
            Its part of the next series is how unlike the automation's weeks are.""",
        ),
        (USUAL_SQUARED, f"({usual} {AND_WINDOW} {observed}) ^ 2", "The usual clicks, squared, likewise."),
    ):
        before = f"max by ({WINDOW}) ({name} offset 1d)"
        yield Recording(
            name,
            f"""\
  0.9 * {before} + on ({WINDOW}) 0.1 * ({expression})
{OR_WINDOW}
  {expression}
{OR_WINDOW}
  {before} {AND} {CONFIGURED}""",
            why,
        )
