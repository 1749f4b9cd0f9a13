"""Alerts on clicks and the sentences they say."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules import parts
from tools.rules.rules import Alert
from tools.rules.series import (
    AUTOMATION,
    CONFIGURED,
    EXPECTED,
    MAILS,
    MAILS_LAST_WEEK,
    MISSED_SQUARED,
    MOVED,
    OBSERVED,
    OF_AUTOMATION,
    PART,
    PART_COUNTED,
    PART_EXPECTED,
    PART_OBSERVED,
    PART_SCORE,
    SCORE,
    SENSITIVITY,
    SILENT,
    SINCE,
    USUAL_SQUARED,
    WINDOW,
)

DAY = 86400
NO_MAILS, UNLIKE_AT_MOST, MAILS_AT_LEAST, MAILS_HOLD_MINUTES = 0.1, 0.15, 50, 45
"""Mails have stopped below this part of the usual ones, where weeks are alike and at least as many are usual."""

NAME = """\
{{ with printf "automation_info{job=%q,automation_id=%q}" $labels.job $labels.automation_id | query }}{{ . | first | label "name" }}\
{{ else }}{{ $labels.automation_id }}{{ end }}"""
STEP_NAME = """\
{{ with printf "automation_step_info{job=%q,automation_id=%q,step_id=%q}" $labels.job $labels.automation_id $labels.step_id | query }}\
{{ . | first | label "name" }}{{ else }}{{ $labels.step_id }}{{ end }}"""
PLACE = "{{ with $labels.url_location }} (place {{ . }}){{ end }}"
DASHBOARD = "/d/sendgrid-automation?var-automation={{ $labels.automation_id }}"


def _numbers(score: str, observed: str, expected: str, labels: str) -> str:
    """Return the template of a sentence with the numbers of the window that tells most."""
    names = labels.split(", ")
    matchers, arguments = ",".join(f"{name}=%q" for name in names), " ".join(f"$labels.{name}" for name in names)
    one = f"{matchers},window=%q}}"
    return (
        f'{{{{ with printf "topk(1, {score}{{{matchers}}})" {arguments} | query }}}}{{{{ $window := . | first | label "window" }}}}'
        f'{{{{ with printf "{observed}{{{one}" {arguments} $window | query }}}} In the last {{{{ $window }}}} it had '
        '{{ $clicks := . | first | value }}{{ $clicks | printf "%.0f" }} click{{ if ne $clicks 1.0 }}s{{ end }}'
        f'{{{{ with printf "{expected}{{{one}" {arguments} $window | query }}}}; about '
        '{{ . | first | value | printf "%.0f" }} were expected{{ end }}.{{ end }}{{ end }}'
    )


NUMBERS = _numbers(SCORE, OBSERVED, EXPECTED, AUTOMATION)
SINCE_THEN = f"""\
{{{{ with printf "{MOVED}{{job=%q,automation_id=%q}}" $labels.job $labels.automation_id | query }}}} (since \
{{{{ . | first | value | humanizeTimestamp }}}}){{{{ end }}}}"""


def of_automations() -> Iterator[Alert]:
    """Return the alerts on automations and accounts."""
    silence, since = f"(time() - {MOVED})", f'{SINCE}{{kind="stopped"}}'
    yield Alert(
        "SendGridAutomationClicksStopped",
        f"{silence} and on ({AUTOMATION}) ({since} > time() - {DAY})",
        "critical",
        f"Clicks on the automation {NAME} have stopped.",
        f"Nobody has clicked in the automation {NAME} for {{{{ $value | humanizeDuration }}}}{SINCE_THEN}.{NUMBERS} "
        "Look first whether it still sends mail, then whether its links were edited or removed.",
        DASHBOARD,
        "Nobody clicks any more.",
    )
    yield Alert(
        "SendGridAutomationClicksStopped",
        f"{silence} and on ({AUTOMATION}) ({since} <= time() - {DAY})",
        "warning",
        f"Clicks on the automation {NAME} stopped more than a day ago.",
        f"Nobody has clicked in the automation {NAME} for {{{{ $value | humanizeDuration }}}}{SINCE_THEN}. If it is paused on purpose, "
        "silence automation_id={{ $labels.automation_id }} or take it out of the exporter's configuration; otherwise the alert ends a week after the stop.",
        DASHBOARD,
        "The same after a day: who knows of it by now has paused it, or needs no page at night.",
    )
    yield Alert(
        "SendGridAutomationClicksDropped",
        f'max without (kind) (time() - {SINCE}{{kind="dropped"}}) unless on ({AUTOMATION}) {since}',
        "warning",
        f"Clicks on the automation {NAME} have dropped.",
        f"The automation {NAME} has had far fewer clicks than usual, noticed {{{{ $value | humanizeDuration }}}} ago.{NUMBERS} "
        "Look first whether it sends as much mail as before, then which step or link fell.",
        DASHBOARD,
        "Far fewer clicks than in the last two weeks.",
    )
    both = f"({MAILS_LAST_WEEK} < on ({WINDOW}) {MAILS_LAST_WEEK} offset 1w or on ({WINDOW}) ({MAILS_LAST_WEEK} offset 1w and on ({WINDOW}) {MAILS_LAST_WEEK}))"
    yield Alert(
        "SendGridAutomationMailsStopped",
        f"""\
max by ({AUTOMATION}) (
  {MAILS}{{window=~"1h|24h"}} < on ({WINDOW}) ({NO_MAILS} * ({both} >= {MAILS_AT_LEAST}))
and on ({WINDOW})
  avg_over_time({MISSED_SQUARED}[1d] offset 1d) / on ({WINDOW}) avg_over_time({USUAL_SQUARED}[1d] offset 1d) < {UNLIKE_AT_MOST}
)
and on ({AUTOMATION})
  {CONFIGURED}""",
        "critical",
        f"The automation {NAME} sends no mail.",
        f'The automation {NAME} delivered {{{{ $value | printf "%.0f" }}}} mail{{{{ if ne $value 1.0 }}}}s{{{{ end }}}} in seven hours or longer'
        f'{{{{ with printf "{MAILS_LAST_WEEK}{{job=%q,automation_id=%q,window=%q}}" $labels.job $labels.automation_id "1h" | query }}}}; '
        'about {{ . | first | value | printf "%.0f" }} in seven hours were usual at this time last week{{ end }}. '
        "Look first whether it is live and people still enter it.",
        DASHBOARD,
        "Neither this week's mails nor anything like those of the last two weeks went out; only where those were alike.",
        hold=f"{MAILS_HOLD_MINUTES}m",
    )
    yield Alert(
        "SendGridAccountClicksStopped",
        SILENT,
        "critical",
        "No automation of the account has clicks.",
        "{{ $value }} automations of {{ $labels.job }}, most of those that have clicks at this time, have had none for two hours or longer"
        f'{{{{ with printf "quantile by (job) (0.5, {MOVED}{{job=%q}})" $labels.job | query }}}} (since about {{{{ . | first | value | humanizeTimestamp }}}}){{{{ end }}}}. '
        "Look first at SendGrid's status page (its statistics may stand still), then at your tracking domain: links that do not open count no click. "
        "The automations are not reported one by one as long as this lasts.",
        "/d/sendgrid-automations",
        "One alert instead of one for each automation.",
        hold="30m",
    )


def of_parts() -> Iterator[Alert]:
    """Return the alerts on links and steps."""
    sensitivity = f"last_over_time({SENSITIVITY.record}[20m])"
    dead = f"max by ({PART}) (max_over_time({PART_SCORE}{{which}}[2h])) >= {OF_AUTOMATION} {sensitivity} and on ({PART}) {PART_COUNTED}"
    numbers = _numbers(PART_SCORE, PART_OBSERVED, PART_EXPECTED, PART)
    yield Alert(
        "SendGridStepClicksStopped",
        dead.replace("which", parts.STEPS),
        "warning",
        f"The step {STEP_NAME} of the automation {NAME} has lost its clicks.",
        f"The step {STEP_NAME} of the automation {NAME} gets hardly any clicks while the others go on.{numbers} "
        "Look first whether it still sends; if it was switched off on purpose, silence step_id={{ $labels.step_id }}.",
        DASHBOARD,
        "A step that has lost its share of the automation's clicks.",
    )
    yield Alert(
        "SendGridLinkClicksStopped",
        dead.replace("which", parts.LINK),
        "warning",
        f"The link {{{{ $labels.url }}}} of the automation {NAME} has lost its clicks.",
        f"The link {{{{ $labels.url }}}}{PLACE} in the step {STEP_NAME} of the automation {NAME} gets hardly any clicks while the others go on.{numbers} "
        "Look first whether the mail still has it: a link that was edited, removed or hidden loses its clicks, one whose page is broken does not.",
        DASHBOARD,
        "A link that has lost its share of the automation's clicks, and no younger one at its place has them.",
    )
    yield Alert(
        "SendGridLinkReplaced",
        parts.replaced(),
        "info",
        f"The link {{{{ $labels.url }}}} of the automation {NAME} was replaced.",
        f"The link {{{{ $labels.url }}}}{PLACE} in the step {STEP_NAME} of the automation {NAME} gets hardly any clicks any more, a younger link at its place has them. Nothing to do if you edited it.",
        DASHBOARD,
        "It lost its clicks, and a younger link at its place has them.",
    )
