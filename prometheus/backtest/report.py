"""The table of figures, each with its number of trials and its 95 % bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from prometheus.backtest.histories import DROPS, QUIET, VOLUMES
from prometheus.backtest.runs import Outcome

WEEK_MINUTES = 7 * 24 * 60
RARE = 0.05
"""What a 95 % bound leaves."""

FALSE_ALARMS = 0.005
"""False alarms per automation and week that must not be passed."""

FOUND_FROM = 300
"""Clicks a day from which nearly everything must be found within a day."""

EPISODE_MINUTES = 24 * 60
"""Alerts of one automation that begin within a day of one another are one alarm."""

BARS = {
    "stop": {300: 3.0, 2000: 1.5, 20000: 1.25},
    "-70 %": {300: 12.0, 2000: 4.0, 20000: 1.5},
    "dead link": {300: 7.0, 2000: 1.5, 20000: 1 / 3},
    "dead step": {300: 7.0, 2000: 1.5, 20000: 1 / 3},
}
"""Median delays in hours that must be kept."""


def false_alarms(outcome: Outcome) -> int:
    """Return how many alarms began while nothing was wrong."""
    begins = sorted(
        firing.minutes for firing in outcome.firings if outcome.drop is None or firing.minutes < outcome.drop
    )
    alarms, last = 0, -math.inf
    for minutes in begins:
        if minutes - last > EPISODE_MINUTES:
            alarms += 1
        last = minutes
    return alarms


def quiet_weeks(outcome: Outcome) -> float:
    """Return how many weeks nothing was wrong."""
    if outcome.drop is None:
        return outcome.case.weeks
    return outcome.drop / WEEK_MINUTES


def delay_hours(outcome: Outcome) -> float:
    """Return the hours from the drop to the first alert that names what broke; infinite if none does."""
    names = _NAMES[outcome.case.kind]
    found = (
        f.minutes for f in outcome.firings if f.minutes >= (outcome.drop or 0) and names(outcome, f.alert, f.labels)
    )
    return (min(found, default=math.inf) - (outcome.drop or 0)) / 60


def poisson_upper(events: int, trials: float) -> float:
    """Return the 95 % upper bound of a rate per trial."""
    if trials == 0:
        return math.inf
    low, high = 0.0, events + 10.0 * math.sqrt(events + 1) + 10
    for _ in range(100):
        middle = (low + high) / 2
        tail = sum(math.exp(-middle + k * math.log(middle) - math.lgamma(k + 1)) for k in range(events + 1))
        low, high = (middle, high) if tail > RARE else (low, middle)
    return high / trials


def binomial_lower(hits: int, trials: int) -> float:
    """Return the 95 % lower bound of a share."""
    if trials == 0 or hits == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = sum(math.comb(trials, k) * middle**k * (1 - middle) ** (trials - k) for k in range(hits, trials + 1))
        low, high = (middle, high) if tail < RARE else (low, middle)
    return low


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table of all figures as Markdown."""
    quiet = [outcome for outcome in outcomes if not outcome.case.is_drop]
    drops = [outcome for outcome in outcomes if outcome.case.is_drop]
    lines = ["| figure | must | measured | n | 95 % bound |", "|---|---|---|---|---|"]
    lines += [_false_row("false alarms per automation and week, all quiet weeks", "<= 0.005", quiet)]
    lines += [_false_row(f"… {kind}", "", [o for o in quiet if o.case.kind == kind]) for kind in QUIET]
    lines += [_false_row("… weeks before a drop", "", drops)]
    big, small = [o for o in drops if o.case.volume >= FOUND_FROM], [o for o in drops if o.case.volume < FOUND_FROM]
    lines += [_found_row("found within 24 h, 300 a day and more", ">= 98 %", big, 24)]
    lines += [_found_row("found within 24 h, 50 a day", ">= 60 %", small, 24)]
    lines += [_found_row("found within 72 h, 50 a day", ">= 95 %", small, 72)]
    lines += [_found_row(f"… {kind}", "", [o for o in small if o.case.kind == kind], 72) for kind in DROPS]
    for kind in DROPS:
        for volume in VOLUMES:
            lines += [_delay_row(kind, volume, [o for o in drops if (o.case.kind, o.case.volume) == (kind, volume)])]
    return "\n".join(line for line in lines if line) + "\n"


def documented(page: str, outcomes: Sequence[Outcome]) -> str:
    """Return the page with the table of these outcomes between its markers."""
    before, begin, rest = page.partition("<!-- backtest:begin -->\n")
    _, end, after = rest.partition("<!-- backtest:end -->")
    if not begin or not end:
        raise ValueError("the page has no markers for the table")
    return f"{before}{begin}{table(outcomes)}{end}{after}"


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the figures that miss their bar, as sentences."""
    return [line for line in table(outcomes).splitlines() if "**missed**" in line]


def _false_row(name: str, bar: str, outcomes: Sequence[Outcome]) -> str:
    weeks, alarms = sum(map(quiet_weeks, outcomes)), sum(map(false_alarms, outcomes))
    if not weeks:
        return ""
    missed = " **missed**" if bar and alarms / weeks > FALSE_ALARMS else ""
    bound = f"<= {poisson_upper(alarms, weeks):.4f}"
    return f"| {name} | {bar} | {alarms / weeks:.4f} ({alarms} alarms){missed} | {weeks:.0f} weeks | {bound} |"


def _found_row(name: str, bar: str, outcomes: Sequence[Outcome], hours: int) -> str:
    if not outcomes:
        return ""
    hits = sum(delay_hours(outcome) <= hours for outcome in outcomes)
    share = hits / len(outcomes)
    missed = " **missed**" if bar and share < float(bar.strip(">= %")) / 100 else ""
    bound = f">= {binomial_lower(hits, len(outcomes)):.0%}"
    return f"| {name} | {bar} | {share:.0%}{missed} | {len(outcomes)} drops | {bound} |"


def _delay_row(kind: str, volume: int, outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return ""
    delays = sorted(map(delay_hours, outcomes))
    bar = BARS[kind].get(volume)
    missed = " **missed**" if bar is not None and median(delays) > bar + 1e-9 else ""
    worst = _upper_median(delays)
    must = "" if bar is None else f"<= {_hours(bar)}"
    name = f"median delay, {kind}, {volume:,} a day"
    return f"| {name} | {must} | {_hours(median(delays))}{missed} | {len(delays)} drops | <= {_hours(worst)} |"


def _upper_median(delays: Sequence[float]) -> float:
    """Return the 95 % upper bound of the median: the order statistic that lies above it with that chance."""
    size = len(delays)
    below = 0.0
    for rank in range(size):
        below += math.comb(size, rank) / 2**size
        if below >= 1 - RARE:
            return delays[rank]
    return math.inf


def _hours(hours: float) -> str:
    if math.isinf(hours):
        return "never"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.2f} h"


def _total(_outcome: Outcome, alert: str, _labels: Mapping[str, str]) -> bool:
    return alert.startswith("SendGridAutomationClicks")


def _link(outcome: Outcome, alert: str, labels: Mapping[str, str]) -> bool:
    return alert == "SendGridLinkClicksStopped" and labels["url"] in outcome.dead_urls


def _step(outcome: Outcome, alert: str, labels: Mapping[str, str]) -> bool:
    named = alert in ("SendGridStepClicksStopped", "SendGridLinkClicksStopped")
    return named and labels["step_id"] in outcome.dead_steps


_NAMES: dict[str, Callable[[Outcome, str, Mapping[str, str]], bool]] = {
    "stop": _total,
    "-70 %": _total,
    "dead link": _link,
    "dead step": _step,
}
