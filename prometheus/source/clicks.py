"""Recording and alerting rules on clicks, as PromQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus.source.rules import Alert, Group, Recording

AUTOMATION = "job, automation_id"
STEP = "job, automation_id, step_id"
LINK = "job, automation_id, step_id, url, url_location"

WINDOWS = {
    "1h": 1.0, "90m": 1.5, "2h": 2.0, "3h": 3.0, "5h": 5.0,
    "8h": 8.0, "14h": 14.0, "24h": 24.0, "40h": 40.0, "72h": 72.0,
}  # fmt: skip
"""The windows that are judged at once; which of them decides depends on the clicks expected in it."""

HOURLY_VARIANCE = 0.045
"""Relative variance of one hour's clicks around the expectation: 20 % from hour to hour, and the baseline's own."""

LEVEL_VARIANCE = 0.01
"""Relative variance that no longer window takes away: weeks differ."""

SHARE_VARIANCE = 0.02
"""Relative variance of a share around what it was in the week before."""

TRIALS = 6
"""Minus the logarithm of how often chance may end a link or a step in a week, before its clicks are counted in."""

COUNTED = "job_automation:sendgrid_clicks:counted"
TOTAL = "job_automation:sendgrid_clicks:total"
RATE = "job_automation:sendgrid_clicks:expected_rate"
SUM = "job_automation:sendgrid_clicks:expected_sum"
LEVEL = "job_automation:sendgrid_clicks:level"
SCALE = "job_automation:sendgrid_clicks:scale"
STEP_HOURS = "sendgrid:click_clock:step_hours"
CLOCK = "sendgrid:click_clock:timestamp_seconds"
HELD = "job_automation:sendgrid_clicks:held"
MOVED = "job_automation:sendgrid_clicks:last_moved_timestamp_seconds"
INTERVAL = "job_automation:sendgrid_poll_interval:seconds"
FRESH = "job_automation:sendgrid_data:fresh"
SEEN = "job_automation:sendgrid_data:seen_timestamp_seconds"
STANDSTILL = "job:sendgrid_standstill:automations"
STANDSTILL_SINCE = "job:sendgrid_standstill:since_timestamp_seconds"
STATE = "job_automation:sendgrid_click_drop:state"
JUDGEABLE = "job_automation:sendgrid_click_drop:judgeable"
CALM = "job_automation:sendgrid_click_drop:calm"
OBSERVED = "job_automation_window:sendgrid_clicks:observed"
EXPECTED = "job_automation_window:sendgrid_clicks:expected"
SCORE = "job_automation_window:sendgrid_clicks:score"
LOW = "job_automation_window:sendgrid_clicks:low"
STALE = f"({SEEN} unless {FRESH})"


@dataclass(frozen=True)
class Threshold:
    """A number the user may set for all automations or for one."""

    name: str
    default: str
    why: str

    @property
    def record(self) -> str:
        """Return the series the alerts read."""
        return f"job_automation:sendgrid_click_drop:{self.name}"

    @property
    def override(self) -> str:
        """Return the series the user records."""
        return f"sendgrid:click_drop_{self.name}:override"


RATIO = Threshold("ratio", "0.5", "Alert only when clicks are below this part of what is expected. 0 mutes the totals.")
SENSITIVITY = Threshold(
    "sensitivity", "10", "Alert when the evidence reaches this. Each unit more makes false alarms about three times rarer."
)
MINIMUM = Threshold("minimum", "10", "Look only at windows in which at least this many clicks are expected.")
THRESHOLDS = (RATIO, SENSITIVITY, MINIMUM)


def groups() -> list[Group]:
    """Return the groups of the file on clicks."""
    return [
        Group(
            "sendgrid-clicks",
            [
                *_data(),
                *_season(),
                *_windows(),
                *_band(),
                *_thresholds(),
                *_standstill(),
                *_state(),
                *_silences(),
                *_alerts(),
            ],
        )
    ]


def _data() -> Iterator[Recording]:
    yield Recording(
        INTERVAL,
        f"""\
  max by ({AUTOMATION}) (sendgrid_exporter_automation_poll_interval_seconds)
or
  max by ({AUTOMATION}) (automation_total_clicks) * 0 + 300""",
        "How often an automation is really polled; 5 minutes where the exporter does not say.",
    )
    yield Recording(
        FRESH,
        f"""\
  max by ({AUTOMATION}) (automation_total_clicks) ^ 0
unless
    time() - max by ({AUTOMATION}) (sendgrid_exporter_automation_last_success_timestamp_seconds)
  >
    2 * {INTERVAL} + 60""",
        "1 while the numbers are what SendGrid says now. Everything below leaves stale numbers out.",
    )
    yield Recording(
        SEEN,
        f"""\
  time() * {FRESH}
or
    (last_over_time({SEEN}[20m]) > time() - 3 * 86400)
  and on ({AUTOMATION})
    sendgrid_exporter_automation_poll_interval_seconds
or
    (last_over_time({SEEN}[20m]) > time() - 3 * 86400)
  unless on (job)
    sendgrid_exporter_automation_poll_interval_seconds""",
        """When the automation was last fresh: kept for three days while its data is stale or the exporter is down, and
        forgotten at once when it leaves the configuration.""",
    )
    fresh_total = f"(max by ({AUTOMATION}) (automation_total_clicks) and {FRESH})"
    yield Recording(
        MOVED,
        f"""\
  time() + 0 * ({fresh_total} != last_over_time({TOTAL}[12h]))
or
  (last_over_time({MOVED}[12h]) and {SEEN})
or
  time() * {FRESH}""",
        "When the total last changed.",
    )
    yield Recording(
        COUNTED,
        f"""\
  last_over_time({COUNTED}[12h])
  + clamp_min({fresh_total} - last_over_time({TOTAL}[12h]), 0)
or
  {fresh_total}""",
        """Clicks counted upwards only. SendGrid corrects totals downwards now and then; two per cent of a lifetime is many
        hours of clicks, and a plain difference of totals would show it as a drop.""",
    )
    yield Recording(TOTAL, fresh_total[1:-1], "The total at this evaluation, for the next.")
    yield Recording(
        HELD,
        f"""\
  {COUNTED}
or
  (last_over_time({HELD}[20m]) and {SEEN})""",
        "The same count, held while the data is stale.",
    )


def _season() -> Iterator[Recording]:
    week, day = "job_automation:sendgrid_clicks:rate_last_week", "job_automation:sendgrid_clicks:quarterday_last_week"
    for name, early, late, first in (
        (week, "167h30m", "168h30m", True),
        (day, "165h", "171h", False),
    ):
        base = _before(name)
        yield Recording(
            name,
            f"""\
  {COUNTED} offset {early} - {COUNTED} offset {late}
or
  ({base} offset 1w and {SEEN})""",
            """Clicks per hour at this time last week, over the hour around it. Where last week has a hole (and so at the
            backlog that ends it), what was expected then stands in."""
            if first
            else "Clicks of the six hours around this time last week.",
        )
        yield Recording(
            base,
            f"""\
  0.5 * {name} + 0.5 * ({base} offset 1w)
or
  {name}""",
            "All weeks so far, halving in weight: carries memory beyond what Prometheus keeps.",
        )
    before, day_before = f"{_before(week)} offset 1w", f"{_before(day)} offset 1w"
    apart = f"({day} - {day_before}) ^ 2 > 6 * ({day} + {day_before})"
    yield Recording(
        RATE,
        f"""\
  {week} and {day} < 0.67 * ({day_before}) and {apart}
or
  ({before}) and ({day_before}) < 0.67 * {day} and {apart}
or
  ({week} + {before}) / 2
or
  0.5 * {week}""",
        """Expected clicks per hour: last week and the weeks before it together. Where they disagree by more than a third and
        more than chance, the lower one, so that one odd week (a burst, an outage, a holiday) does not spoil the next; with
        one week of history alone, half of it.""",
    )
    yield Recording(
        STEP_HOURS,
        f"clamp_max(time() - last_over_time({CLOCK}[12h]), 900) / 3600",
        "Hours since the last evaluation; the next sum is an integral over time.",
    )
    yield Recording(CLOCK, "vector(time())")
    yield Recording(
        SUM,
        f"""\
  last_over_time({SUM}[12h]) + ({RATE} * on () group_left () {STEP_HOURS} or {SEEN} * 0)
or
  {RATE} * 0""",
        "Clicks expected so far. Differences of it are clicks expected in between.",
    )
    yield Recording(
        LEVEL,
        f"clamp(({COUNTED} - {COUNTED} offset 72h + 20) / ({SUM} - {SUM} offset 72h + 20), 0.25, 1)",
        "Clicks of three days against the season.",
    )
    yield Recording(
        SCALE,
        f"""\
  {LEVEL} offset 72h
or
  {SEEN} * 0 + 1""",
        "The same, as it was before the longest window: scales the expectation down where an automation fades slowly.",
    )


def _before(name: str) -> str:
    return name.replace("_last_week", "_baseline")


def _windows() -> Iterator[Recording]:
    certainty = "job_automation_window:sendgrid_clicks:certainty"
    for window, hours in WINDOWS.items():
        yield Recording("sendgrid:click_window:hours", f"vector({hours:g})", labels={"window": window})
    for window in WINDOWS:
        labels = {"window": window}
        yield Recording(OBSERVED, f"{COUNTED} - {COUNTED} offset {window}", labels=labels)
        yield Recording(EXPECTED, f"({SUM} - {SUM} offset {window}) * {SCALE}", labels=labels)
    yield Recording(
        certainty,
        f"""\
1 / (
    0.35 / ({EXPECTED} > 0)
  + on (window) group_left ()
    ({HOURLY_VARIANCE} / clamp_min(sendgrid:click_window:hours, 1) + {LEVEL_VARIANCE})
)""",
        """How many clicks the expectation is worth: what the baseline's own chance, the noise from hour to hour and the
        difference between weeks leave of it.""",
    )
    observed = f"clamp_min({OBSERVED}, 0.01)"
    yield Recording(
        SCORE,
        f"""\
    ({observed} < {EXPECTED}) * ln({observed} / {EXPECTED})
  -
    ({observed} + {certainty}) * ln(({observed} + {certainty}) / ({EXPECTED} + {certainty}))
or
  {EXPECTED} * 0""",
        """Evidence for a drop: the logarithm of how much better these clicks fit a lower rate than the expected one (negative
        binomial). Few expected clicks can never score high, whatever the window.""",
    )


def _thresholds() -> Iterator[Recording]:
    for threshold in THRESHOLDS:
        yield Recording(
            threshold.record,
            f"""\
  {SEEN} * 0 + on (automation_id) group_left ()
    max by (automation_id) ({threshold.override}{{automation_id!=""}})
or
  {SEEN} * 0 + on () group_left ()
    max({threshold.override}{{automation_id=""}})
or
  {SEEN} * 0 + {threshold.default}""",
            threshold.why,
        )


def _standstill() -> Iterator[Recording]:
    slot = f"floor(({MOVED} and {FRESH} and time() - {MOVED} > 2700) / 300) * 300"
    slots, starts = "job_slot:sendgrid_standstill:automations", "job_slot:sendgrid_standstill:started_timestamp_seconds"
    members = "\n  or\n".join(
        f'    count_values by ({AUTOMATION}) ("slot", {slot} + {late}) * 0\n    + on ({AUTOMATION}) group_left () ({slot})'
        for late in (0, 300, 600)
    )
    yield Recording(
        slots,
        f"count by (job, slot) (\n{members}\n)",
        """Automations that last moved within the same 15 minutes, three quarters of an hour ago or more: for every 5 minutes, those of these and
        of the ten minutes before.""",
    )
    yield Recording(starts, f"max by (job, slot) (\n{members}\n)", "When the last of them moved, to 5 minutes.")
    yield Recording(
        STANDSTILL_SINCE,
        f"""\
max by (job) (
  {starts} and {slots} == on (job) group_left () max by (job) ({slots})
) + 300""",
        "When the largest such group stopped.",
    )
    yield Recording(
        STANDSTILL,
        f"""\
  (max by (job) ({slots}) >= 5)
>
  0.5 * count by (job) ({MOVED} >= on (job) group_left () ({STANDSTILL_SINCE} - 3600))""",
        """SendGrid's numbers stand still: at least five automations, and over half of those with clicks in the hour before,
        stopped together. Then none of them is named.""",
    )


def _state() -> Iterator[Recording]:
    hours = f"({EXPECTED} * 0 + on (window) group_left () sendgrid:click_window:hours)"
    judging = "job_automation:sendgrid_click_drop:judging_hours"
    recovered = "job_automation:sendgrid_click_drop:recovered"
    yield Recording(
        LOW,
        f"""\
  ({SCORE} >= on ({AUTOMATION}) group_left () {SENSITIVITY.record})
and
  {OBSERVED} < ({EXPECTED} * on ({AUTOMATION}) group_left () {RATIO.record})
and
  ({EXPECTED} >= on ({AUTOMATION}) group_left () {MINIMUM.record})
and
  {hours} * 3600 >= on ({AUTOMATION}) group_left () (4 * {INTERVAL})""",
        "Windows with too few clicks. A window shorter than four polls says nothing.",
    )
    yield Recording(
        judging,
        f"min by ({AUTOMATION}) (({EXPECTED} >= 30) * 0 + on (window) group_left () sendgrid:click_window:hours)",
        "The shortest window with 30 expected clicks says how it is now.",
    )
    yield Recording(
        recovered,
        f"""\
max by ({AUTOMATION}) (
  (
      {OBSERVED} >= ({EXPECTED} * on ({AUTOMATION}) group_left () ((1 + {RATIO.record}) / 2))
    and
      {hours} == on ({AUTOMATION}) group_left () {judging}
  ) ^ 0
)""",
        "Clicks are back in that window: longer ones, which still hold the drop, no longer count.",
    )
    yield Recording(
        JUDGEABLE,
        f"""\
(
    {FRESH} and (time() - {MOVED} <= {INTERVAL} + 90)
  or
    {FRESH} and (time() - {MOVED} > 3600 + 2 * {INTERVAL})
)
unless
  {MOVED} < on (job) group_left () ({STANDSTILL_SINCE} and {STANDSTILL})""",
        """SendGrid's numbers may stand still for an hour and then catch up at once. Within that hour a low count says
        nothing: judge right after a movement, or when an hour and two polls have passed without one.""",
    )
    yield Recording(
        CALM,
        f"""\
  {recovered} unless (max by ({AUTOMATION}) ({LOW} and {hours} <= on ({AUTOMATION}) group_left () {judging}))
or
  (max by ({AUTOMATION}) ({SCORE}) < {SENSITIVITY.record} / 2) ^ 0
or
  ({FRESH} unless max by ({AUTOMATION}) ({SCORE}))""",
        "Nothing speaks for a drop any more.",
    )
    holding = f"({STALE} or ({FRESH} unless {JUDGEABLE}) or ({FRESH} unless {CALM}))"
    stopped = f"{LOW} and {OBSERVED} == 0"
    dropped = f"({LOW} unless on ({AUTOMATION}) {recovered}) or ({LOW} and {hours} <= on ({AUTOMATION}) group_left () {judging})"
    for kind, sign in (("stopped", stopped), ("dropped", dropped)):
        yield Recording(
            STATE,
            f"""\
  (max by ({AUTOMATION}) ({sign}) and {JUDGEABLE}) ^ 0
or
    max without (kind) (last_over_time({STATE}{{kind="{kind}"}}[20m]))
  and
    {holding}""",
            "A drop begins when it is certain and lasts until calm; stale or standing numbers neither begin nor end it."
            if kind == "stopped"
            else "",
            labels={"kind": kind},
        )


def _silences() -> Iterator[Recording]:
    link = f'max by ({LINK}) (automation_link_clicks{{url!="__other__"}})'
    step = f"sum by ({STEP}) (max by ({LINK}) (automation_link_clicks))"
    for level, source, what in (("job_step", step, "step"), ("job_link", link, "link")):
        yield from _silence(level, source, what)


def _silence(level: str, source: str, what: str) -> Iterator[Recording]:
    now, before = f"{level}:sendgrid_clicks:now", f"{level}:sendgrid_clicks:before"
    moved, at = f"{level}:sendgrid_clicks:last_moved_timestamp_seconds", f"{level}:sendgrid_clicks:count_at_last_move"
    expected_at = f"{level}:sendgrid_clicks:expected_at_last_move"
    since = f"{level}:sendgrid_clicks:automation_since"
    week, expected = f"{level}:sendgrid_clicks:week", f"{level}:sendgrid_clicks:silence_expected"
    score = f"{level}:sendgrid_clicks:silence_score"
    join = f"on ({AUTOMATION}) group_left ()"
    base = "job_automation:sendgrid_clicks:held_week_ago"
    if level == "job_step":
        yield Recording(
            base,
            f"last_over_time({COUNTED}[12h] offset 1w) or last_over_time({COUNTED}[12h] offset 2d)",
            """What an automation had a week ago, or two days ago when it is younger.""",
        )
    yield Recording(
        now,
        f"""\
  {source} and on ({AUTOMATION}) {FRESH}
or
  (last_over_time({now}[20m]) and on ({AUTOMATION}) {STALE})""",
        f"Clicks of a {what}, held while the data is stale.",
    )
    yield Recording(
        moved,
        f"""\
  time() + 0 * ({now} != last_over_time({before}[20m]))
or
  (last_over_time({moved}[20m]) and {now})
or
  time() + 0 * {now}""",
        f"When the clicks of the {what} last changed.",
    )
    yield Recording(
        at,
        f"""\
  ({moved} == time()) * 0 + {join} {HELD}
or
  (last_over_time({at}[20m]) and {now})""",
        "The automation's count at that moment.",
    )
    yield Recording(
        expected_at,
        f"""\
  ({moved} == time()) * 0 + {join} {SUM}
or
  (last_over_time({expected_at}[20m]) and {now})""",
        "What was expected of it so far at that moment.",
    )
    yield Recording(before, now, "For the next evaluation.")
    yield Recording(
        week,
        f"""\
  {now} - ({now} offset 1w or {now} * 0 and on ({AUTOMATION}) {COUNTED} offset 1w)
or
  {now} - ({now} offset 2d or {now} * 0 and on ({AUTOMATION}) {COUNTED} offset 2d)""",
        f"Clicks of the {what} in seven days; from its birth on if it is younger, in two days if the automation is.",
    )
    others = f"{level}:sendgrid_clicks:others_before"
    yield Recording(
        others,
        f"clamp_min({at} - {join} {base} - {week}, 1)",
        f"Clicks of all other {what}s in the same days, up to that moment.",
    )
    real = f"({at} * -1 + {join} {HELD})"
    likely = f"1.6 * ({expected_at} * -1 + {join} {SUM})"
    yield Recording(
        since,
        f"""\
  {likely} < {real}
or
  {real}""",
        f"""Clicks of the automation since the {what}'s last one, but hardly more than expected: a burst on another {what} must
        not look like the end of this one.""",
    )
    yield Recording(
        expected,
        f"""\
  (({since} > 3) * ln(1 + {week} / {others})) > 6
and
  {week} * (time() - {moved}) / clamp_min(604800 - (time() - {moved}), 3600) >= 6""",
        f"""Clicks the {what} should have had since its last one, told by the others' clicks since and by its share before.
        Volume and season cancel. Its own pace over the week must agree.""",
    )
    doubt = f"(1 / {week} + 1 / {others} + {SHARE_VARIANCE})"
    yield Recording(
        score,
        f"10 * ln(1 + {expected} * {doubt}) / {doubt} / ({TRIALS} + ln({week}))",
        """Evidence that it is dead, on the scale of the totals' score: the more clicks it has, the more often chance gets to
        try, so the more is asked.""",
    )


def _band() -> Iterator[Recording]:
    rate = "job_automation:sendgrid_clicks:rate1h"
    usual = f"{rate}_expected"
    width = f"3 * sqrt({usual} + {HOURLY_VARIANCE + LEVEL_VARIANCE:g} * {usual} ^ 2)"
    yield Recording(rate, f'sum without (window) ({OBSERVED}{{window="1h"}})', "For dashboards: an hour's clicks.")
    yield Recording(usual, f'sum without (window) ({EXPECTED}{{window="1h"}})')
    yield Recording(f"{usual}_low", f"clamp_min({usual} - {width}, 0)")
    yield Recording(f"{usual}_high", f"{usual} + {width}")


NAME = """\
{{ with printf "automation_info{automation_id=%q}" $labels.automation_id | query }}{{ . | first | label "name" }}\
{{ else }}{{ $labels.automation_id }}{{ end }}"""

DASHBOARD = "/d/sendgrid-automation?var-automation={{ $labels.automation_id }}"

NUMBERS = f"""\
{{{{- with printf "topk(1, {SCORE}{{job=%q,automation_id=%q}})" $labels.job $labels.automation_id | query }}}}
{{{{- $window := . | first | label "window" }}}}
{{{{- with printf "{OBSERVED}{{job=%q,automation_id=%q,window=%q}}" $labels.job $labels.automation_id $window | query }}}}
In the last {{{{ $window }}}} it had {{{{ . | first | value | printf "%.0f" }}}} clicks;
{{{{- end }}}}
{{{{- with printf "{EXPECTED}{{job=%q,automation_id=%q,window=%q}}" $labels.job $labels.automation_id $window | query }}}}
about {{{{ . | first | value | printf "%.0f" }}}} were expected.
{{{{- end }}}}{{{{ end }}}}"""


def _alerts() -> Iterator[Alert]:
    yield Alert(
        "SendGridAutomationClicksStopped",
        f'(time() - {MOVED}) and on ({AUTOMATION}) {STATE}{{kind="stopped"}}',
        "critical",
        f"Clicks on the automation {NAME} have stopped.",
        f"The automation {NAME} has had no click for {{{{ $value | humanizeDuration }}}}.\n{NUMBERS}\n"
        "See whether it still sends mail and whether its links open.",
        DASHBOARD,
        "Nobody clicks any more.",
    )
    yield Alert(
        "SendGridAutomationClicksDropped",
        f'max without (kind) ({STATE}{{kind="dropped"}}) unless on ({AUTOMATION}) {STATE}{{kind="stopped"}}',
        "warning",
        f"Clicks on the automation {NAME} have dropped.",
        f"The automation {NAME} gets far fewer clicks than usual.\n{NUMBERS}\n"
        "See whether it still sends as much mail as before and whether its links open.",
        DASHBOARD,
        "Far fewer clicks than the season and the weeks before promise.",
    )
    for level, name, what, condition in (
        ("job_step", "SendGridStepClicksStopped", "step {{ $labels.step_id }}", _SEVERAL_LINKS),
        ("job_link", "SendGridLinkClicksStopped", "link {{ $labels.url }}", ""),
    ):
        score, expected = f"{level}:sendgrid_clicks:silence_score", f"{level}:sendgrid_clicks:silence_expected"
        moved = f"{level}:sendgrid_clicks:last_moved_timestamp_seconds"
        labels = STEP.split(", ") if level == "job_step" else LINK.split(", ")
        matchers, arguments = ",".join(f"{label}=%q" for label in labels), " ".join(f"$labels.{x}" for x in labels)
        since = (
            f'{{{{ with printf "time() - {moved}{{{matchers}}}" {arguments} | query }}}}'
            " for {{ . | first | value | humanizeDuration }}{{ end }}"
        )
        promised = (
            f'{{{{ with printf "{expected}{{{matchers}}}" {arguments} | query }}}}'
            "about {{ . | first | value | printf \"%.0f\" }} were expected{{ end }}"
        )
        yield Alert(
            name,
            f"""\
    ({score} and on ({AUTOMATION}) {HELD} offset 1w or {score} / 1.5)
  >= on ({AUTOMATION}) group_left ()
    {SENSITIVITY.record}
unless
  {score} <= 1.5 * max_over_time({score}[3d] offset 132h){condition}""",
            "warning",
            f"Nobody clicks the {what} of the automation {NAME} any more.",
            f"The {what} of the automation {NAME} has had no click{since}, while the others go on: now 0, {promised}.\n"
            "Open it and see whether it works, or whether somebody has taken it out.",
            DASHBOARD,
            """Told by its share of the automation's clicks, so it needs no hour of waiting. A silence hardly longer than that of
            the same days last week is a habit. In its first week an automation needs half as much evidence again.""",
        )
    yield Alert(
        "SendGridNumbersStandStill",
        f"{STANDSTILL} and on (job) time() - {STANDSTILL_SINCE} > 3600 + 2 * max by (job) ({INTERVAL})",
        "warning",
        "SendGrid's click numbers stand still.",
        "{{ $value }} automations stopped moving within the same 15 minutes, over an hour ago. That is SendGrid, not the\n"
        "automations: none of them is reported as long as this lasts. Their clicks will arrive at once.",
        "/d/sendgrid-automations",
        "One alert instead of one for each automation.",
    )


_SEVERAL_LINKS = f"""
and
  (
        job_step:sendgrid_clicks:silence_expected
      * (1 - max by ({STEP}) (job_link:sendgrid_clicks:week) / job_step:sendgrid_clicks:week)
    >=
      3
  or
    count by ({STEP}) (job_link:sendgrid_clicks:week > 0) == 1
  )"""
"""A step is dead when the links beside its largest are silent too, or when it has just that one."""
