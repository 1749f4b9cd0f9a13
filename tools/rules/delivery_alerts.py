"""Alerts on deliveries, and on clicks that are missing because mails are."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.rules import Alert, read
from tools.rules.sentences import ACCOUNT_BOARD, AUTOMATION_BOARD, DELIVERED, NAME, NO_MAIL_SINCE
from tools.rules.series import AUTOMATION, DELIVERIES_SINCE, SINCE, UNSENT

HOLIDAY_HOURS = 48
"""A drop that lasts this many hours is not a holiday."""

FEWER_MAILS = {"cause": "fewer_mails"}


def alerts() -> Iterator[Alert]:
    """Return the alerts in order."""
    stopped, dropped = (f'{DELIVERIES_SINCE}{{kind="{kind}"}}' for kind in ("stopped", "dropped"))
    yield Alert(
        "SendGridAutomationStoppedSending",
        f"max without (kind) (time() - {stopped}) unless on (job) {UNSENT}",
        "critical",
        f"The automation {NAME} sends no mail.",
        f"The automation {NAME} sends hardly any mail{NO_MAIL_SINCE}.{DELIVERED} First check whether it is live and people still enter it.",
        AUTOMATION_BOARD,
        "Continuous sending has stopped. The rule of the same name in the file on clicks also covers batches, hours later.",
        labels=FEWER_MAILS,
    )
    others = f"unless on ({AUTOMATION}) {stopped} unless on ({AUTOMATION}) {read(SINCE)}"
    for severity, sign, why, advice in (
        (
            "info",
            "<=",
            "Clicks are missing because mails are. A holiday looks the same, so nobody is paged.",
            "First check whether as many people enter it as before.",
        ),
        (
            "warning",
            ">",
            f"The same after {HOLIDAY_HOURS} hours, when it is no holiday.",
            "This has lasted longer than a holiday: check whether as many people enter it as before.",
        ),
    ):
        yield Alert(
            "SendGridAutomationClicksDropped",
            f"max without (kind) (time() - {dropped}) {sign} {HOLIDAY_HOURS * 3600} {others}",
            severity,
            f"Clicks on the automation {NAME} have dropped: it sends fewer mails.",
            f"The automation {NAME} has had fewer clicks than usual because it sends fewer mails; detected {{{{ $value | humanizeDuration }}}} ago."
            f"{DELIVERED} {advice}",
            AUTOMATION_BOARD,
            why,
            labels=FEWER_MAILS,
        )
    yield Alert(
        "SendGridAccountStoppedSending",
        UNSENT,
        "critical",
        "Most automations of the account send no mail.",
        "{{ $value }} automation{{ if ne $value 1.0 }}s{{ end }} of {{ $labels.job }}, most of those that usually send at this time, {{ if eq $value 1.0 }}has{{ else }}have{{ end }} sent hardly any mail for an hour or more. "
        "First check whether SendGrid has suspended the account, then SendGrid's status page: its statistics may be delayed. "
        "The automations are not reported individually while this lasts.",
        ACCOUNT_BOARD,
        "One alert instead of one per automation.",
        hold="1h",
    )
