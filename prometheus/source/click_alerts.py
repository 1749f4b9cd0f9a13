"""Alerts on clicks and the sentences they say."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Alert
from prometheus.source.series import (
    AUTOMATION,
    BESIDE_LARGEST,
    EXPECTED,
    HELD,
    INTERVAL,
    LINK,
    MOVED,
    OBSERVED,
    OF_AUTOMATION,
    SCORE,
    SENSITIVITY,
    STANDSTILL,
    STANDSTILL_SINCE,
    STATE,
    STEP,
    Level,
)

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


def alerts() -> Iterator[Alert]:
    """Return the rules in order."""
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
    yield _silence(STEP, "SendGridStepClicksStopped", "step {{ $labels.step_id }}", _SEVERAL_LINKS)
    yield _silence(LINK, "SendGridLinkClicksStopped", "link {{ $labels.url }}")
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


def _silence(level: Level, name: str, what: str, condition: str = "") -> Alert:
    score, habit = level.series("silence_score"), level.series("silence_habit")
    labels = level.labels.split(", ")
    matchers, arguments = ",".join(f"{label}=%q" for label in labels), " ".join(f"$labels.{label}" for label in labels)
    others, own = (
        f'{{{{ with printf "{series}{{{matchers}}}" {arguments} | query }}}}{text}{{{{ end }}}}'
        for series, text in (
            (level.series("silence"), ' while the others had {{ . | first | value | printf "%.0f" }}'),
            (level.series("silence_expected"), '; about {{ . | first | value | printf "%.0f" }} were expected'),
        )
    )
    return Alert(
        name,
        f"""\
    ({score} and on ({AUTOMATION}) {HELD} offset 1w or {score} / 1.5)
  >= {OF_AUTOMATION}
    {SENSITIVITY.record}
unless
  {score} <= 2 * last_over_time({habit}[2h]){condition}""",
        "warning",
        f"Nobody clicks the {what} of the automation {NAME} any more.",
        f"The {what} of the automation {NAME} has had no click{others}{own}.\n"
        "Open it and see whether it works, or whether somebody has taken it out.",
        DASHBOARD,
        """Told by its share of the automation's clicks, so it needs no hour of waiting. A silence less than twice as
        remarkable as one in the same days of earlier weeks is a habit. In its first week an automation needs half as
        much evidence again.""",
    )


_SEVERAL_LINKS = f"""
and
  (
    {STEP.series("silence_expected")} * last_over_time({BESIDE_LARGEST}[2h]) >= 3
  or
    last_over_time({BESIDE_LARGEST}[2h]) == 0
  )"""
"""A step is dead when the links beside its largest are silent too, or when it has just that one."""
