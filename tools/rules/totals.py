"""Rules that compare an automation's clicks with those of previous weeks."""

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
"""Usual clicks from which a window shows the current state: shorter ones are too noisy, longer ones still contain a drop
        that is over."""

COUNTABLE = 10
"""Usual clicks from which an automation counts for the account's level."""

MEMBERS = 3
"""Automations that an account must have for a level."""


def windows() -> Iterator[Recording]:
    """Return the rules for the clicks of each window, now and usually."""
    hours = {**WINDOWS, **PART_WINDOWS}
    yield Recording(
        HOURS,
        by_window({window: f"vector({number:g})" for window, number in hours.items()}),
        "The length of each window in hours.",
    )
    yield Recording(
        OBSERVED,
        by_window({window: f"{COUNTED} - on ({AUTOMATION}) {COUNTED} offset {window}" for window in WINDOWS}),
        "Clicks of the automation in the window.",
    )
    yield Recording(
        LAST_WEEK,
        f"min_over_time({OBSERVED}[2h] offset 167h)",
        "The fewest clicks in the same window last week, moved by up to an hour either way: clocks change, sends are late.",
    )
    yield Recording(
        USUAL,
        f"""\
  {LAST_WEEK} < on ({WINDOW}) {LAST_WEEK} offset 1w
{OR_WINDOW}
  {LAST_WEEK} offset 1w
{OR_WINDOW}
  {LAST_WEEK}""",
        "The fewest of the last two weeks, so that one unusual week (a burst, an outage, a holiday) does not distort the next.",
    )


def mails() -> Iterator[Recording]:
    """Return the rules on delivered mails; they record nothing if the exporter publishes no statistics."""
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
        f"Mails that the window's clicks come from: delivered from {MAIL_LAG_HOURS} hours before it until an hour ago; absent if SendGrid corrected them to fewer.",
    )
    yield Recording(
        MAILS_LAST_WEEK,
        f"min_over_time({MAILS}[2h] offset 167h)",
        "The fewest in the same window last week, moved by up to an hour either way.",
    )
    yield Recording(
        CLICK_RATE,
        f"{LAST_WEEK} / on ({WINDOW}) ({MAILS} offset 1w > 0)",
        "Clicks per mail in the same window last week.",
    )


def evidence() -> Iterator[Recording]:
    """Return the rules for the expected clicks and the evidence of a drop."""
    yield Recording(
        LEVEL,
        f"""\
  clamp_max(quantile by (job, window) (0.5, {OBSERVED} / on ({WINDOW}) ({USUAL} >= {COUNTABLE})), 1)
    and on (job, window) (count by (job, window) ({OBSERVED} / on ({WINDOW}) ({USUAL} >= {COUNTABLE})) >= {MEMBERS})
or on (job, window)
  group by (job, window) ({USUAL})""",
        f"""The median automation's fraction of its usual clicks, at most 1; 1 if the account has fewer than {MEMBERS} automations
        to compare. Holidays and a broken tracking domain affect all of them.""",
    )
    by_mails = f"{MAILS} * on ({WINDOW}) ({CLICK_RATE} < on ({WINDOW}) {CLICK_RATE} offset 1w {OR_WINDOW} ({CLICK_RATE} offset 1w {AND_WINDOW} {CLICK_RATE}) {OR_WINDOW} {CLICK_RATE})"
    yield Recording(
        EXPECTED,
        f"""\
  ({by_mails} < on ({WINDOW}) {USUAL} {OR_WINDOW} {USUAL}) * on (job, window) group_left () {LEVEL}
*  on ({WINDOW})
  (({USUAL} ^ 0 {AND_WINDOW} {LAST_WEEK} offset 1w) {OR_WINDOW} {USUAL} ^ 0 / 2)""",
        """Expected clicks: the usual ones, reduced if fewer mails were sent or the whole account has fewer clicks, and halved if
        only one week is known.""",
    )
    unlike = (
        f"avg_over_time({MISSED_SQUARED}[1d] offset 1d) / on ({WINDOW}) avg_over_time({USUAL_SQUARED}[1d] offset 1d)"
    )
    judged = f"{EXPECTED} > on ({WINDOW}) {OBSERVED}"
    yield Recording(
        CERTAINTY,
        certainty(judged, EXPECTED, f"clamp_min({unlike}, 0)", HOURS),
        """How many independent clicks the expectation is worth, if fewer arrived: limited by chance, by the noise common to all
        automations, and by how much this one's weeks differ.""",
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
        """Evidence of a drop: the log-likelihood ratio of a lower rate to the expected one (negative binomial). Few expected
        clicks never score high. 0 if no clicks are missing.""",
    )


def drops() -> Iterator[Recording]:
    """Return the rules for the start and end of a drop."""
    telling = f"min by ({AUTOMATION}) ({USUAL} >= {TELLING} {AND_WINDOW} {OBSERVED})"
    yield Recording(
        MISSING,
        f"""\
max by ({AUTOMATION}) (
  ({USUAL} {AND_WINDOW} ({OBSERVED} < on ({WINDOW}) ({USUAL} * {OF_AUTOMATION} ((1 + {RATIO.record}) / 2)))) == {OF_AUTOMATION} {telling}
)""",
        f"""The usual clicks of the shortest window with at least {TELLING} of them, while fewer than three quarters arrived.
        Shorter windows are too noisy, longer ones still contain a drop that is over.""",
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
        "The score of the windows that have too few clicks. Windows shorter than four polls are ignored.",
    )
    yield Recording(
        JUDGEABLE,
        f"""\
  {FRESH} {AND} (time() - {MOVED} <= on ({AUTOMATION}) {INTERVAL} + 90)
{OR}
  {FRESH} {AND} (time() - {MOVED} > on ({AUTOMATION}) 3600 + 2 * {INTERVAL})""",
        """1 if a low count is meaningful. SendGrid's numbers may pause for an hour and then catch up, so they are judged only
        right after a change, or after an hour and two polls without one.""",
    )
    for kind, sign in (("stopped", f"({LOW} {AND_WINDOW} ({OBSERVED} == 0))"), ("dropped", LOW)):
        yield Recording(
            SINCE,
            f"""\
  max by ({AUTOMATION}, cause) (last_over_time({SINCE}{{kind="{kind}"}}[20m])) {AND} {CONFIGURED} {AND} ({MISSING} {OR} ({CONFIGURED} {UNLESS} {JUDGEABLE}))
{OR}
  {_caused(f"{JUDGEABLE} {AND} {MISSING} {AND} {sign}")}""",
            """When a drop was detected; it lasts while clicks are missing. Stale or unchanged numbers neither start nor end it. The label
            cause is determined at that moment and kept until the end, so that it never causes a second alert."""
            if kind == "stopped"
            else "",
            {"kind": kind},
        )


def _caused(begins: str) -> str:
    """Return what begins, with its cause as a label where the rules on deliveries have one."""
    cause = f"topk by ({AUTOMATION}) (1, {read(CAUSE)})"
    return f"(time() + 0 * {cause} {AND} ({begins})) {OR} time() * ({begins})"


def silent_account() -> str:
    """Return how many automations have no clicks, in accounts where most have none although they usually do at this time."""
    silent = f"max by ({AUTOMATION}) ({OBSERVED} == 0 {AND_WINDOW} ({USUAL} >= {COUNTABLE}))"
    return f"""\
  count by (job) ({silent})
and on (job)
  (max by (job) ({LEVEL} < 0.1 and on (window) {HOURS} >= 2))"""


def unlikeness() -> Iterator[Recording]:
    """Return the rules for how much an automation's weeks differ; they need no short interval."""
    usual, observed = read(USUAL), read(OBSERVED)
    missed = f"clamp_min({usual} - on ({WINDOW}) {observed}, 0)"
    for name, expression, why in (
        (
            MISSED_SQUARED,
            f"({missed}) ^ 2 + on ({WINDOW}) ({missed}) - on ({WINDOW}) {usual}",
            """The shortfall from the usual clicks, squared, minus what chance explains; each day replaces a tenth of it. Divided by
        the next series, it says how much the automation's weeks differ.""",
        ),
        (
            USUAL_SQUARED,
            f"({usual} {AND_WINDOW} {observed}) ^ 2",
            "The usual clicks squared, averaged in the same way.",
        ),
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
