"""The PromQL of the dashboards, as functions.

The click metrics are cumulative gauges that may fall, so clicks are the difference of two readings, never a `rate()`.
A reading is the maximum over the instances, since an instance's name changes at every rollout.
"""

from dataclasses import dataclass
from typing import Final

from tools.rules import series as rules

JOB: Final = 'job=~"$job"'
JOB_OR_NONE: Final = 'job=~"$job|"'
"""For alerts, some of which lack the exporter's job: those on probed links, and on a missing exporter."""
ONE: Final = f'{JOB}, automation_id="$automation"'
CHOSEN: Final = f'{ONE}, step_id=~"$step", url=~"$url"'
REST: Final = "__other__"
NOT_REST: Final = f'url!="{REST}"'

TOTAL: Final = "automation_total_clicks"
LINK: Final = "automation_link_clicks"
LAST_SUCCESS: Final = "sendgrid_exporter_automation_last_success_timestamp_seconds"
POLL_INTERVAL: Final = "sendgrid_exporter_automation_poll_interval_seconds"

LINK_LABELS: Final = "automation_id, step_id, url, url_location"
LOOKBACK: Final = "1h"
"""How old a reading at the start of a window may be, as in the recording rules."""

INFO: Final = "automation_info"
STEP_INFO: Final = "automation_step_info"
PAGE_INFO: Final = "automation_page_info"
DELIVERED: Final = "sendgrid_automation_delivered"

OBSERVED: Final = rules.OBSERVED
EXPECTED: Final = rules.EXPECTED
AN_HOUR: Final = 'window="1h"'
SCORE: Final = rules.SCORE
PART_OBSERVED: Final = "job_part_window:sendgrid_clicks:observed"
PART_EXPECTED: Final = "job_part_window:sendgrid_clicks:expected"
PART_SCORE: Final = "job_part_window:sendgrid_clicks:score"

PART_ODDS: Final = "job_part:sendgrid_clicks:odds"
CONFIGURED: Final = "job_automation:sendgrid_data:configured"
SENSITIVITY: Final = "job_automation:sendgrid_click_drop:sensitivity"
LINK_MOVED: Final = "job_link:sendgrid_clicks:moved_timestamp_seconds"
ALERT_SCORE: Final = float(rules.SENSITIVITY.default)
"""The score at which a click-drop alert fires, unless the user has set another."""

EXPECTED_A_DAY: Final = 5
"""With fewer clicks a day, a link may have a day without clicks by chance (1 in 150 at 5)."""

SENDGRID_ALERTS: Final = 'alertname=~"SendGrid.+", alertstate="firing"'
CLICK_ALERTS: Final = f'ALERTS{{{JOB_OR_NONE}, {SENDGRID_ALERTS}, automation_id!="", severity!="info"}}'
EXPORTER_ALERTS: Final = f'ALERTS{{{JOB_OR_NONE}, {SENDGRID_ALERTS}, automation_id="", severity!="info"}}'


@dataclass(frozen=True, slots=True)
class Reading:
    """A cumulative click metric, read per group of labels."""

    metric: str
    by: str
    matchers: str
    owner: str = ""
    """The matchers of the automation that a link belongs to."""

    def now(self, modifier: str = "") -> str:
        """Return the reading at the evaluation time, shifted by the modifier."""
        return f"max by ({self.by}) ({self.metric}{{{self.matchers}}}{modifier})"

    def before(self, offset: str, pin: str = "") -> str:
        """Return the last reading within the lookback before the offset."""
        return f"max by ({self.by}) (last_over_time({self.metric}{{{self.matchers}}}[{LOOKBACK}]{pin} offset {offset}))"

    def first_seen(self, span: str, pin: str = "") -> str:
        """Return the lowest reading within the span, from which to count if the span starts before the data."""
        selector = f"{self.metric}{{{self.matchers}}}"
        return f"min by ({self.by}) (min_over_time({selector}[{span}:$__interval]{pin}))"


def totals(matchers: str = JOB) -> Reading:
    """Return the reading of whole automations."""
    return Reading(TOTAL, "automation_id", matchers)


def links(matchers: str = f"{CHOSEN}, {NOT_REST}") -> Reading:
    """Return the reading of single links, by default those chosen on the page without the overflow row."""
    return Reading(LINK, LINK_LABELS, matchers, owner=ONE)


def clicks(reading: Reading, span: str = "$__range", *, end: str = "", whole: bool = False, pin: str = "") -> str:
    """Return the clicks within the span that ends at the offset `end` before now, never below 0.

    A link is listed from its first click on, so it counts from 0 if its automation was already read at the start. If
    nothing was read at the start, counting starts at the first reading, unless the span must be `whole`.
    """
    modifier = f"{pin} offset {end}" if end else pin
    now = reading.now(modifier)
    starts = [reading.before(_later(end, span), pin)]
    if reading.owner:
        starts.append(f"{now} * 0 and on (automation_id) {totals(reading.owner).before(_later(end, span), pin)}")
    if not whole:
        starts.append(reading.first_seen(span, modifier))
    return f"clamp_min({now} - ({' or '.join(starts)}), 0)"


def daily(reading: Reading) -> str:
    """Return the clicks a day over the week before the last day."""
    return f"{clicks(reading, '1w', end='1d')} / 7"


def silent(reading: Reading) -> str:
    """Return the links that had clicks and have had none for a day, with their former clicks per day."""
    return f"({daily(reading)} >= {EXPECTED_A_DAY}) and on ({reading.by}) ({clicks(reading, '1d', whole=True)} == 0)"


def standing(reading: Reading) -> str:
    """Return the clicks within the range, for ranking series; constant over the range, cheap, and never absent."""
    pin = " @ end()"
    now = reading.now(pin)
    return f"({clicks(reading, whole=True, pin=pin)} or on ({reading.by}) {now})"


def _later(end: str, span: str) -> str:
    """Return the sum of two durations, larger unit first: `1w` and `$__range` make `1w${__range_s}s`."""
    if not end:
        return span
    if span == "$__range":
        return f"{end}${{__range_s}}s"
    return "".join(sorted((end, span), key=lambda duration: "wdhms".index(duration[-1])))


def last_week(reading: Reading, span: str = "$__range", *, pin: str = "") -> str:
    """Return the clicks within the same span one week earlier; absent if that week was not watched."""
    return clicks(reading, span, end="1w", whole=True, pin=pin)


def change(now: str, before: str) -> str:
    """Return the relative change, if there were clicks before."""
    return f"({now}) / (({before}) > 0) - 1"


def share(expression: str) -> str:
    """Return each series' share of the sum."""
    return f"({expression}) / on () group_left () (sum({expression}) > 0)"


def names(matchers: str = JOB) -> str:
    """Return one series per automation with its name; an automation without info is named by its id."""
    info = f"topk by (automation_id) (1, max by (automation_id, name) (automation_info{{{matchers}}}))"
    known = f'group by (automation_id) ({{__name__=~"{TOTAL}|{LAST_SUCCESS}", {matchers}}})'
    return f"{info} or on (automation_id) {relabelled(known, 'name', 'automation_id')}"


def names_in_range(matchers: str = JOB) -> str:
    """Return the current names, and those of automations that were watched only within the range."""
    info = f"max by (automation_id, name) (last_over_time(automation_info{{{matchers}}}[$__range]))"
    return f"{names(matchers)} or on (automation_id) topk by (automation_id) (1, {info})"


def named_or_id(expression: str) -> str:
    """Return the expression with the name as a label, or the id if the automation is no longer known."""
    return f"{named(expression)} or on (automation_id) {relabelled(expression, 'name', 'automation_id')}"


def named(expression: str, matchers: str = JOB) -> str:
    """Return the expression with the automation's name as a label."""
    return f"({expression}) * on (automation_id) group_left (name) ({names(matchers)})"


HUED: Final = 8
"""The number of series that people can distinguish by color."""


def ranked(expression: str, ranking: str, labels: str, rest: int, *, hues: int = HUED) -> tuple[list[str], str]:
    """Return a query for each of the series that rank highest at the end of the range, and one for the next ones."""

    def between(above: int, count: int) -> str:
        last = f"topk({count}, {ranking})"
        return (
            f"{expression} and on ({labels}) ({last} unless topk({above}, {ranking}))"
            if above
            else top(1, expression, ranking, labels)
        )

    return [between(place, place + 1) for place in range(hues)], between(hues, hues + rest)


def each(expression: str, base: str, labels: str) -> str:
    """Return a value for every series of the base: Grafana does not join a table with an empty one."""
    return f"({expression}) and on ({labels}) {base} or on ({labels}) {base} * NaN"


def top(count: int, expression: str, ranking: str, labels: str) -> str:
    """Return the expression for those series that rank highest at the end of the range."""
    return f"{expression} and on ({labels}) topk({count}, {ranking})"


def step_names(known: str) -> str:
    """Return one series per step with its name as `step`: from the configuration, otherwise its shortened id."""
    info = f"topk by (automation_id, step_id) (1, max by (automation_id, step_id, name) ({STEP_INFO}{{{JOB}}}))"
    return f"{relabelled(info, 'step', 'name')} or on (automation_id, step_id) {short_step(known)}"


def stepped(expression: str, matchers: str = ONE) -> str:
    """Return the expression with the step's name as a label `step`, for links and steps that are listed now."""
    known = f"group by (automation_id, step_id) ({LINK}{{{matchers}}})"
    return f"({expression}) * on (automation_id, step_id) group_left (step) ({step_names(known)})"


def relabelled(expression: str, label: str, source: str) -> str:
    """Return the expression with a copy of a label under another name."""
    return f'label_replace({expression}, "{label}", "$1", "{source}", "(.*)")'


def short_step(expression: str) -> str:
    """Return the expression with a readable label `step`: a UUID's first eight characters, or the whole step_id."""
    whole = relabelled(expression, "step", "step_id")
    return f'label_replace({whole}, "step", "$1", "step_id", "([0-9a-fA-F]{{8}})-[0-9a-fA-F-]{{27}}")'


def age(matchers: str = JOB) -> str:
    """Return the seconds since the last successful poll, per automation."""
    return f"time() - max by (automation_id) ({LAST_SUCCESS}{{{matchers}}})"


def age_in_intervals(matchers: str = JOB) -> str:
    """Return the age of the data in poll intervals, per automation; data of more than 3 is stale."""
    return f"({age(matchers)}) / max by (automation_id) ({POLL_INTERVAL}{{{matchers}}})"


def recorded(series: str, matchers: str = JOB, by: str = "automation_id", modifier: str = "") -> str:
    """Return a recorded series, the largest over the jobs."""
    return f"max by ({by}) ({series}{{{matchers}}}{modifier})"


def last_click(matchers: str, by: str) -> str:
    """Return when links were last clicked, in milliseconds, to half an hour, in the last 30 days."""
    return f"max by ({by}) (last_over_time({LINK_MOVED}{{{matchers}}}[30d])) * 1000"


def evidence() -> str:
    """Return the evidence that an automation, or one of its steps or links, has lost clicks."""
    return f'max by (automation_id) ({{__name__=~"{SCORE}|{PART_SCORE}", {JOB}}})'


def suspicion() -> str:
    """Return the evidence as a fraction of the alert threshold, and at least 1 while an alert is firing."""
    part = f"{evidence()} / on (automation_id) max by (automation_id) ({SENSITIVITY}{{{JOB}}})"
    alerted = f"group by (automation_id) ({CLICK_ALERTS})"
    return f"({part} >= 1 or on (automation_id) {alerted} or on (automation_id) {part})"


def judging() -> str:
    """Return 0 for automations on which the rules recorded something within a day; the others are not judged."""
    return f"count(last_over_time({CONFIGURED}{{{JOB}}}[1d])) * 0"


def unread(matchers: str = JOB) -> str:
    """Return the automations whose data is stale or was never read."""
    return f"({names(matchers)}) unless on (automation_id) ({age_in_intervals(matchers)} <= 3)"


def hourly(modifier: str = "") -> str:
    """Return the clicks of the last hour by automation: as the rules count them, or from raw totals without rules."""
    now, before = totals().now(modifier), totals().now(f"{modifier}1h" if modifier else " offset 1h")
    return f"({hour(OBSERVED, modifier=modifier)} or on (automation_id) clamp_min({now} - {before}, 0))"


def hour(series: str, matchers: str = JOB, modifier: str = "") -> str:
    """Return a series recorded by window, for the window of one hour."""
    return recorded(series, f"{matchers}, {AN_HOUR}", modifier=modifier)
