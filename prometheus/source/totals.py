"""Rules that compare windows of clicks with what is expected in them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Recording
from prometheus.source.series import (
    ASKED_OF_AN_HOUR,
    COUNTED,
    EXPECTED,
    HOURLY_VARIANCE,
    LESS_BY_LENGTH,
    LEVEL_VARIANCE,
    OBSERVED,
    OF_AUTOMATION,
    RATIO,
    SCALE,
    SCORE,
    SEEN,
    SHORT,
    SHORT_EXPECTED,
    SUM,
    THRESHOLDS,
    WINDOWS,
)


def windows() -> Iterator[Recording]:
    """Return the rules in order."""
    for window, hours in WINDOWS.items():
        yield Recording("sendgrid:click_window:hours", f"vector({hours:g})", labels={"window": window})
    for window in WINDOWS:
        labels = {"window": window}
        yield Recording(OBSERVED, f"{COUNTED} - {COUNTED} offset {window}", labels=labels)
        yield Recording(EXPECTED, f"({SUM} - {SUM} offset {window}) * {SCALE}", labels=labels)


def evidence() -> Iterator[Recording]:
    """Return the rules in order."""
    certainty = "job_automation_window:sendgrid_clicks:certainty"
    yield Recording(
        SHORT,
        f"{OBSERVED} / ({EXPECTED} > 2) < {OF_AUTOMATION} ((1 + {RATIO.record}) / 2)",
        """The part of the expected clicks that came, for windows that are short of them; halfway between the ratio and all of
        them a drop is over. What follows is worked out for these windows alone.""",
    )
    yield Recording(SHORT_EXPECTED, f"{EXPECTED} and {SHORT}", "What was expected in these.")
    yield Recording(
        certainty,
        f"""\
1 / (
    0.35 / ({SHORT_EXPECTED} or {EXPECTED}{{window="1h"}} > 0)
  + on (window) group_left ()
    ({HOURLY_VARIANCE} / clamp_min(sendgrid:click_window:hours, 1) + {LEVEL_VARIANCE})
)""",
        """How many clicks the expectation is worth: what the baseline's own chance, the noise from hour to hour and the
        difference between weeks leave of it. For an hour always, since dashboards draw what is usual.""",
    )
    observed = f"clamp_min({SHORT} * {SHORT_EXPECTED}, 0.01)"
    yield Recording(
        SCORE,
        f"""\
  (
      {observed} * ln({observed} / {SHORT_EXPECTED})
    -
      ({observed} + {certainty}) * ln(({observed} + {certainty}) / ({SHORT_EXPECTED} + {certainty}))
  )
/
  on (window) group_left () ({ASKED_OF_AN_HOUR} - {LESS_BY_LENGTH} * ln(clamp_min(sendgrid:click_window:hours, 1)))
or
  {EXPECTED}{{window="1h"}} * 0""",
        """Evidence for a drop: the logarithm of how much better these clicks fit a lower rate than the expected one (negative
        binomial). Few expected clicks can never score high, whatever the window. A longer window has fewer chances to err and may
        ask for less. 0 in the window of an hour where none is short.""",
    )


def thresholds() -> Iterator[Recording]:
    """Return the rules in order."""
    for threshold in THRESHOLDS:
        yield Recording(
            threshold.record,
            f"""\
  {SEEN} * 0 + on (automation_id) group_left ()
    max by (automation_id) ({threshold.override}{{automation_id!=""}})
or
  {SEEN} * 0 + scalar(max({threshold.override}{{automation_id=""}}) or vector({threshold.default}))""",
            threshold.why,
        )
