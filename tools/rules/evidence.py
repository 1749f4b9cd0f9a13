"""The evidence that clicks or mails are missing, as expressions: one formula for totals, parts and deliveries."""

from __future__ import annotations

from tools.rules.series import (
    AUTOMATION,
    HOURLY_VARIANCE,
    LEVEL_VARIANCE,
    UNLIKE_STEEPNESS,
    UNLIKE_WEIGHT,
    USUAL_VARIANCE,
    WINDOW,
)


def never_falling(counted: str, total: str) -> str:
    """Return the expression that counts an automation's total upwards only, starting from its previous result.

    idelta() returns the last gain of a series that has ended until its samples leave the range: only a total that is there gains.
    """
    gained = f"clamp_min(idelta({total}[3h]), 0) and on ({AUTOMATION}) {total}"
    return f"""\
  last_over_time({counted}[3h]) + on ({AUTOMATION}) ({gained} or on ({AUTOMATION}) {total} * 0)
or on ({AUTOMATION})
  {total}"""


def certainty(judged: str, expected: str, unlike: str, hours: str) -> str:
    """Return how much the expectation is worth: what its own chance, the noise that all have and unlike weeks leave.

    `judged` is what is expected where that is looked at.
    """
    return f"""\
1 / (
    (
        {UNLIKE_WEIGHT} * (exp({UNLIKE_STEEPNESS} * {unlike}) - 1)
      or on ({WINDOW})
        {expected} * 0
    )
  + on ({WINDOW})
    {USUAL_VARIANCE} / clamp_min({judged}, 0.01)
  + on (window) group_left ()
    ({LEVEL_VARIANCE} + {HOURLY_VARIANCE} / {hours})
)"""


def score(observed: str, judged: str, expected: str, certainty: str, *, labels: str, scale: str) -> str:
    """Return how much better the observed number fits a lower rate than the expected one (negative binomial).

    `judged` is what is expected where that is looked at, `labels` what joins the series, `scale` the divisor by window.
    """
    number, on = f"clamp_min({observed}, 0.01)", f"on ({labels})"
    return f"""\
  ({number} * {on} ln({number} / {on} ({judged}))
- {on}
  ({number} + {on} {certainty}) * {on} ln(({number} + {on} {certainty}) / {on} ({expected} + {on} {certainty})))
/ on (window) group_left () ({scale})"""
