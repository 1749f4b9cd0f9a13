"""Rules that compare an automation's delivered mails with those of previous weeks, and find why clicks are missing."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.counting import AND, OR, UNLESS
from tools.rules.evidence import certainty, never_falling, score
from tools.rules.rules import Recording, by_window, read
from tools.rules.series import (
    ASKED,
    AUTOMATION,
    CAUSE,
    CONFIGURED,
    DELIVERIES,
    DELIVERIES_CERTAINTY,
    DELIVERIES_COUNTED,
    DELIVERIES_EXPECTED,
    DELIVERIES_FRESH,
    DELIVERIES_LAST_WEEK,
    DELIVERIES_LEVEL,
    DELIVERIES_MOVED,
    DELIVERIES_OBSERVED,
    DELIVERIES_SCORE,
    DELIVERIES_SINCE,
    DELIVERIES_USUAL,
    DELIVERY_WINDOWS,
    FALL_WINDOWS,
    HOURS,
    INTERVAL,
    LESS_BY_LENGTH,
    MISSED_SQUARED,
    MISSING,
    OBSERVED,
    OF_AUTOMATION,
    SENSITIVITY,
    STOP_WINDOWS,
    UNLIKE,
    UNSENT,
    USUAL,
    USUAL_SQUARED,
    WINDOW,
)

OR_WINDOW, AND_WINDOW, ON_WINDOW = f"or on ({WINDOW})", f"and on ({WINDOW})", f"on ({WINDOW})"

STOPPED, DROPPED = 0.1, 0.5
"""Mails have stopped, or dropped, below this fraction of those expected."""

FEWEST = 10
"""Mails that must be expected in a window before it is judged, and that must be sent before a stop has ended."""

AS_USUAL, MANY = 0.75, 50
"""Mails are as usual from this fraction of the usual ones on, in windows with at least so many."""

COUNTABLE, MEMBERS = 20, 3
"""Usual mails from which an automation counts for the account's level, and how many automations that takes."""

OLD_SECONDS = 3600
"""How old the account's list may be. Unchanged numbers are judged later than that."""

ALIKE_IN, UNLIKE_AT_MOST = ("24h", "72h"), 0.15
"""A drop is reported only for automations whose weeks differ less than this in these windows."""

LATE_HOURS = 4
"""A batch that is this late is missing."""

WEEK_SECONDS = 7 * 86400


def rules() -> Iterator[Recording]:
    """Return the rules in order."""
    yield from (*counting(), *windows(), *evidence(), *drops())


def counting() -> Iterator[Recording]:
    """Return the rules that count deliveries, without downward corrections."""
    yield Recording(
        DELIVERIES_FRESH,
        f"""\
max by ({AUTOMATION}) (
  sendgrid_automation_delivered
unless on (job, instance)
  (time() - sendgrid_exporter_list_last_success_timestamp_seconds > {OLD_SECONDS})
) ^ 0""",
        "1 while the account's list is read. Stale numbers neither start nor resolve an alert.",
    )
    yield Recording(
        DELIVERIES,
        f"""\
  max by ({AUTOMATION}) (sendgrid_automation_delivered) {AND} {DELIVERIES_FRESH}
{OR}
  ({read(DELIVERIES)} {AND} {read(CONFIGURED)})""",
        "Mails that the automation has delivered; the last number while the list is not read.",
    )
    yield Recording(
        DELIVERIES_MOVED,
        f"""\
  time() + 0 * (idelta({DELIVERIES}[3h]) > 0 {AND} {DELIVERIES})
{OR}
  (last_over_time({DELIVERIES_MOVED}[3h]) {AND} {DELIVERIES})
{OR}
  time() + 0 * {DELIVERIES}""",
        "When deliveries last increased, to five minutes, as a Unix timestamp.",
    )
    yield Recording(
        DELIVERIES_COUNTED,
        never_falling(DELIVERIES_COUNTED, DELIVERIES),
        "Delivered mails without downward corrections. Its differences are the mails delivered in between.",
    )


def windows() -> Iterator[Recording]:
    """Return the rules for the mails of each window, now and usually."""
    differences = {
        window: f"{DELIVERIES_COUNTED} - on ({AUTOMATION}) {DELIVERIES_COUNTED} offset {window}"
        for window in DELIVERY_WINDOWS
    }
    yield Recording(DELIVERIES_OBSERVED, by_window(differences), "Mails delivered in the window.")
    yield Recording(
        DELIVERIES_LAST_WEEK,
        f"""\
  min_over_time({DELIVERIES_OBSERVED}{{window!="3h"}}[2h] offset 167h)
or
  min_over_time({DELIVERIES_OBSERVED}{{window="3h"}}[6h] offset 165h)""",
        """The fewest in the same window last week, moved by up to an hour either way; by three hours for the 3h window. So in
        the two short windows only continuous sending counts as usual, not batches.""",
    )
    yield Recording(
        DELIVERIES_USUAL,
        f"""\
  {DELIVERIES_LAST_WEEK} < {ON_WINDOW} {DELIVERIES_LAST_WEEK} offset 1w
{OR_WINDOW}
  ({DELIVERIES_LAST_WEEK} offset 1w {AND_WINDOW} {DELIVERIES_LAST_WEEK})
{OR_WINDOW}
  {DELIVERIES_LAST_WEEK} / 2""",
        "The fewest of the last two weeks; halved if only one week is known.",
    )
    part = f"{DELIVERIES_OBSERVED} / {ON_WINDOW} ({DELIVERIES_USUAL} >= {COUNTABLE})"
    yield Recording(
        DELIVERIES_LEVEL,
        f"clamp_max(quantile by (job, window) (0.5, {part}), 1) and on (job, window) (count by (job, window) ({part}) >= {MEMBERS})",
        f"""The median automation's fraction of its usual mails, at most 1; absent if the account has fewer than {MEMBERS}
        automations to compare. Holidays and a suspended account affect all of them.""",
    )
    yield Recording(
        DELIVERIES_EXPECTED,
        f"""\
  {DELIVERIES_USUAL} * on (job, window) group_left () {DELIVERIES_LEVEL}
{OR_WINDOW}
  {DELIVERIES_USUAL}""",
        "Expected mails: the usual ones, reduced if the whole account sends fewer.",
    )


def evidence() -> Iterator[Recording]:
    """Return the rules for the evidence that mails are missing, as for clicks."""
    unlike = f"avg_over_time({MISSED_SQUARED}[1d] offset 1d) / {ON_WINDOW} avg_over_time({USUAL_SQUARED}[1d] offset 1d)"
    yield Recording(
        UNLIKE,
        f"clamp_min({unlike}, 0)",
        "How much the automation's weeks differ, in clicks: 0.03 (a sixth of the usual ones, squared) is little, 0.15 is much.",
    )
    yield Recording(
        DELIVERIES_CERTAINTY,
        certainty(DELIVERIES_EXPECTED, DELIVERIES_EXPECTED, UNLIKE, read(HOURS)),
        """How many independent mails the expectation is worth: limited by chance, by the noise common to all automations, and by
        how much the automation's weeks differ (in clicks).""",
    )
    yield Recording(
        DELIVERIES_SCORE,
        score(
            DELIVERIES_OBSERVED,
            f"({DELIVERIES_EXPECTED} >= {FEWEST}) > {ON_WINDOW} {DELIVERIES_OBSERVED}",
            DELIVERIES_EXPECTED,
            DELIVERIES_CERTAINTY,
            labels=WINDOW,
            scale=f"{ASKED} - {LESS_BY_LENGTH} * ln({read(HOURS)})",
        ),
        "Evidence that mails are missing, on the same scale as the score of clicks; absent if none are missing or too few are expected.",
    )


def drops() -> Iterator[Recording]:
    """Return the rules for when sending stopped or dropped, and for the cause of missing clicks."""
    short = f"{DELIVERIES_SCORE}{{windows}} >= {OF_AUTOMATION} {read(SENSITIVITY.record)}"
    judgeable = f"""\
({DELIVERIES_FRESH} {AND} (
    time() - {DELIVERIES_MOVED} <= on ({AUTOMATION}) {read(INTERVAL)} + 90
  {OR}
    (time() - {DELIVERIES_MOVED} > on ({AUTOMATION}) 3600 + 2 * {read(INTERVAL)})
))"""

    def fewer(part: float, which: tuple[str, ...]) -> str:
        chosen = short.replace("windows", f'window=~"{"|".join(which)}"')
        return f"({chosen} {AND_WINDOW} ({DELIVERIES_OBSERVED} < {ON_WINDOW} ({part} * {DELIVERIES_EXPECTED})))"

    three = '{window="3h"}'
    again = f"({DELIVERIES_OBSERVED}{three} >= {FEWEST} {AND} ({DELIVERIES_OBSERVED}{three} >= on ({AUTOMATION}) {DROPPED} * {DELIVERIES_USUAL}{three}))"
    yield Recording(
        DELIVERIES_SINCE,
        f"""\
  max by ({AUTOMATION}) (last_over_time({DELIVERIES_SINCE}{{kind="stopped"}}[20m])) > time() - {WEEK_SECONDS} {AND} {read(CONFIGURED)} {UNLESS} {again}
{OR}
  time() * ({judgeable} {AND} {fewer(STOPPED, STOP_WINDOWS)})""",
        f"""When a problem was detected, by kind: stopped (below {STOPPED} of the expected mails) lasts until mails are sent
        again, fewer (below {DROPPED}) while it is true, dropped (fewer for {LATE_HOURS} hours) while mails and clicks are
        missing. Stale or unchanged numbers start no drop.""",
        {"kind": "stopped"},
    )
    day = '{window="24h"}'
    yield Recording(
        DELIVERIES_SINCE,
        f"""\
  max by ({AUTOMATION}) (last_over_time({DELIVERIES_SINCE}{{kind="fewer"}}[20m])) {AND} {fewer(DROPPED, FALL_WINDOWS)}
{OR}
  time() + 0 * max by ({AUTOMATION}) {fewer(DROPPED, FALL_WINDOWS)}""",
        "",
        {"kind": "fewer"},
    )
    scarce = f"({DELIVERIES_OBSERVED}{day} < on ({AUTOMATION}) ({AS_USUAL} * {DELIVERIES_USUAL}{day}))"
    clicks = f"({read(OBSERVED + day)} < on ({AUTOMATION}) {AS_USUAL} * {read(USUAL + day)})"
    alike = f'(max by ({AUTOMATION}) ({UNLIKE}{{window=~"{"|".join(ALIKE_IN)}"}}) < {UNLIKE_AT_MOST})'
    long = f'({DELIVERIES_SINCE}{{kind="fewer"}} <= time() - {LATE_HOURS * 3600})'
    yield Recording(
        DELIVERIES_SINCE,
        f"""\
  max by ({AUTOMATION}) (last_over_time({DELIVERIES_SINCE}{{kind="dropped"}}[20m])) {AND} {scarce} {AND} ({read(MISSING)} {OR} {clicks})
{OR}
  time() * ({judgeable} {AND} {long} {AND} {read(MISSING)} {AND} {scarce} {AND} {alike})""",
        "",
        {"kind": "dropped"},
    )
    low = f"""\
max by ({AUTOMATION}) ({DELIVERIES_SINCE}{{kind=~"stopped|dropped"}} or {long} or on ({AUTOMATION}) {fewer(DROPPED, STOP_WINDOWS)})"""
    usual = (
        f"(min by ({AUTOMATION}) ({DELIVERIES_OBSERVED} / {ON_WINDOW} ({DELIVERIES_USUAL} >= {MANY})) >= {AS_USUAL})"
    )
    yield Recording(
        CAUSE,
        f"""\
  label_replace(time() + 0 * {low}, "cause", "fewer_mails", "", "")
{OR}
  label_replace(time() + 0 * ({usual} {AND} {DELIVERIES_FRESH}), "cause", "fewer_clicks", "", "")
{OR}
  time() + 0 * {DELIVERIES}""",
        f"""The cause that a drop of clicks would have now, as a label: fewer_mails if mails stopped or dropped, fewer_clicks if
        every window with at least {MANY} usual mails has {AS_USUAL} of them or more, none if neither is certain. A drop keeps
        the cause of the moment when it is detected.""",
    )
    hour = '{window="1h"}'
    unsent = f"{DELIVERIES_OBSERVED}{hour} < {ON_WINDOW} ({STOPPED} * ({DELIVERIES_USUAL}{hour} >= {COUNTABLE}))"
    hourly = f"(sum by (job) ({DELIVERIES_OBSERVED}{hour}) < on (job) {STOPPED} / 24 * sum by (job) ({DELIVERIES_USUAL}{day}))"
    yield Recording(
        UNSENT,
        f"""\
  (count by (job) ({unsent}) and on (job) ({DELIVERIES_LEVEL}{hour} < {STOPPED}))
or on (job)
  ({read(UNSENT)} and on (job) {hourly})""",
        """Automations that sent no mail in an hour in which most of the account's sent none. The number stays until the account
        sends a tenth of its hourly mean again.""",
    )
