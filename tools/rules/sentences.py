"""Parts of the alerts' messages: names instead of ids where known, numbers beside the expected ones, addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tools.rules.rules import Alert
from tools.rules.series import (
    AUTOMATION,
    CLICK_RATE,
    CONFIGURED,
    DELIVERIES_MOVED,
    DELIVERIES_OBSERVED,
    DELIVERIES_SCORE,
    DELIVERIES_USUAL,
    EXPECTED,
    MAILS,
    OBSERVED,
    PART,
    PART_COUNTED,
    PART_EXPECTED,
    PART_MOVED,
    PART_OBSERVED,
    PART_SCORE,
    SCORE,
    TEAM,
)

NAME: Final = """\
{{ with printf "automation_info{job=%q,automation_id=%q}" $labels.job $labels.automation_id | query }}{{ . | first | label "name" }}\
{{ else }}{{ $labels.automation_id }}{{ end }}"""
STEP_NAME: Final = """\
{{ with printf "automation_step_info{job=%q,automation_id=%q,step_id=%q}" $labels.job $labels.automation_id $labels.step_id | query }}\
{{ . | first | label "name" }}{{ else }}{{ $labels.step_id }}{{ end }}"""
PLACE: Final = "{{ with $labels.url_location }} (position {{ . }}){{ end }}"

AUTOMATION_BOARD: Final = "/d/sendgrid-automation?var-automation={{ $labels.automation_id }}"
STEP_BOARD: Final = f"{AUTOMATION_BOARD}&var-step={{{{ $labels.step_id | urlquery }}}}"
LINK_BOARD: Final = f"{STEP_BOARD}&var-url={{{{ $labels.url | urlquery }}}}"
ACCOUNT_BOARD: Final = "/d/sendgrid-automations"

PAGE: Final = """\
{{ with printf "automation_page_info{automation_id=%q}" $labels.automation_id | query }}{{ . | first | label "url" }}{{ end }}"""
"""The automation's page in SendGrid, if the exporter publishes its address."""

OWNER: Final = f"* on ({AUTOMATION}) group_left (team) ({TEAM} or on ({AUTOMATION}) last_over_time({CONFIGURED}[20m]))"
"""Adds the label team from the automation's configuration, so that its alerts can be routed; no label if it has no team."""


def owned(alerts: Iterable[Alert]) -> Iterator[Alert]:
    """Yield the alerts; those on an automation, a step or a link get its page in SendGrid and its team."""
    for alert in alerts:
        if alert.dashboard.startswith(AUTOMATION_BOARD):
            yield replace(alert, page=PAGE, expression=f"({alert.expression.strip()}) {OWNER}")
        else:
            yield alert


def _arguments(labels: str) -> tuple[str, str]:
    """Return the matchers of a query for printf, and printf's arguments."""
    names = labels.split(", ")
    return ",".join(f"{name}=%q" for name in names), " ".join(f"$labels.{name}" for name in names)


def numbers(score: str, observed: str, expected: str, labels: str, noun: str = "click") -> str:
    """Return the sentence with the numbers of the window that has the highest score."""
    matchers, arguments = _arguments(labels)
    one = f"{matchers},window=%q}}"
    return (
        f'{{{{ with printf "topk(1, {score}{{{matchers}}})" {arguments} | query }}}}{{{{ $window := . | first | label "window" }}}}'
        f'{{{{ with printf "{observed}{{{one}" {arguments} $window | query }}}} In the last {{{{ $window }}}} it had '
        f'{{{{ $count := . | first | value }}}}{{{{ $count | printf "%.0f" }}}} {noun}{{{{ if ne $count 1.0 }}}}s{{{{ end }}}}'
        f'{{{{ with printf "{expected}{{{one}" {arguments} $window | query }}}}; about '
        '{{ . | first | value | printf "%.0f" }} were expected{{ end }}.{{ end }}{{ end }}'
    )


CLICKS: Final = numbers(SCORE, OBSERVED, EXPECTED, AUTOMATION)
PART_CLICKS: Final = numbers(PART_SCORE, PART_OBSERVED, PART_EXPECTED, PART)
DELIVERED: Final = (
    numbers(DELIVERIES_SCORE, DELIVERIES_OBSERVED, DELIVERIES_USUAL, AUTOMATION, "mail")
    .replace("it had", "it delivered")
    .replace("were expected", "are usual")
)


def since(moved: str) -> str:
    """Return when a number last changed, in parentheses."""
    matchers, arguments = _arguments(AUTOMATION)
    return f"""\
{{{{ with printf "{moved}{{{matchers}}}" {arguments} | query }}}} (since {{{{ . | first | value | humanizeTimestamp }}}}){{{{ end }}}}"""


NO_MAIL_SINCE: Final = since(DELIVERIES_MOVED)


def _fewer_clicks() -> str:
    """Return the sentence about clicks per mail: last week's rate of a day, reduced by as much as in the decisive window.

    The clicks of a window come from the mails of a longer one, so their quotient is not a rate; compared with last
    week's quotient it shows by how much the rate fell.
    """
    matchers, arguments = _arguments(AUTOMATION)
    day = f'{matchers},window="24h"}}'.replace('"', r"\"")
    one, on = f"{matchers},window=%q}}", f"on ({AUTOMATION})"
    rate = f"{OBSERVED}{{{day} offset 1w / {on} ({DELIVERIES_OBSERVED}{{{day} offset 1w > 0)"
    left = f"{OBSERVED}{{{one} / {on} ({MAILS}{{{one} > 0) / {on} ({CLICK_RATE}{{{one} > 0)"
    windowed = f"{arguments} $window"
    return (
        f'{{{{ with printf "{DELIVERIES_OBSERVED}{{{day}" {arguments} | query }}}} In 24h {{{{ . | first | value | printf "%.0f" }}}} mails were '
        f'delivered, as usual{{{{ with printf "topk(1, {SCORE}{{{matchers}}})" {arguments} | query }}}}{{{{ $window := . | first | label "window" }}}}'
        f'{{{{ with printf "{rate}" {arguments} {arguments} | query }}}}; clicks per mail fell from {{{{ . | first | value | humanizePercentage }}}}'
        f'{{{{ with printf "({rate}) * {on} ({left})" {arguments} {arguments} {windowed} {windowed} {windowed} | query }}}}'
        " to {{ . | first | value | humanizePercentage }}{{ end }}{{ end }}{{ end }}.{{ end }}"
    )


WHY: Final = (
    f'{{{{ if eq $labels.cause "fewer_clicks" }}}}{_fewer_clicks()}'
    f'{{{{ else if eq $labels.cause "fewer_mails" }}}} Fewer mails were sent.{DELIVERED}{{{{ end }}}}'
)
"""The sentence about the cause, if the alert has one."""


def last_clicks() -> str:
    """Return the sentences about a link's last click and its clicks per day a week ago."""
    matchers, arguments = _arguments(PART)
    moved = f"last_over_time({PART_MOVED}{{{matchers}}}[7d])"
    day = f"{PART_COUNTED}{{{matchers}}} offset 1w - {PART_COUNTED}{{{matchers}}} offset 8d"
    return (
        f'{{{{ with printf "{moved}" {arguments} | query }}}} It was last clicked about {{{{ . | first | value | humanizeTimestamp }}}}.{{{{ end }}}}'
        f'{{{{ with printf "{day}" {arguments} {arguments} | query }}}} A week ago it had {{{{ $count := . | first | value }}}}'
        '{{ $count | printf "%.0f" }} click{{ if ne $count 1.0 }}s{{ end }} a day.{{ end }}'
    )
