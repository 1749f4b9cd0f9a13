"""Alerts on deliveries, and on clicks that are missing because mails are."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules.rules import Alert, read
from tools.rules.sentences import ACCOUNT_BOARD, AUTOMATION_BOARD, DELIVERED, NAME, NO_MAIL_SINCE
from tools.rules.series import AUTOMATION, DELIVERIES_SINCE, SINCE, UNSENT

HOLIDAY_HOURS = 48
"""After so many hours a drop is no holiday."""

FEWER_MAILS = {"cause": "fewer_mails"}


def alerts() -> Iterator[Alert]:
    """Return the alerts in order."""
    stopped, dropped = (f'{DELIVERIES_SINCE}{{kind="{kind}"}}' for kind in ("stopped", "dropped"))
    yield Alert(
        "SendGridAutomationStoppedSending",
        f"max without (kind) (time() - {stopped}) unless on (job) {UNSENT}",
        "critical",
        f"The automation {NAME} sends no mail.",
        f"The automation {NAME} sends hardly any mail{NO_MAIL_SINCE}.{DELIVERED} Look first whether it is live and people still enter it.",
        AUTOMATION_BOARD,
        "Mails that flow all the time have stopped. The rule of the same name in the file on clicks knows batches too, hours later.",
        labels=FEWER_MAILS,
    )
    others = f"unless on ({AUTOMATION}) {stopped} unless on ({AUTOMATION}) {read(SINCE)}"
    for severity, sign, why, advice in (
        (
            "info",
            "<=",
            "Clicks are missing because mails are. A holiday looks the same, so nobody is woken.",
            "Look first whether as many people enter it as before.",
        ),
        (
            "warning",
            ">",
            f"The same after {HOLIDAY_HOURS} hours, when it is no holiday.",
            "It has lasted longer than a holiday: look first whether as many people enter it as before.",
        ),
    ):
        yield Alert(
            "SendGridAutomationClicksDropped",
            f"max without (kind) (time() - {dropped}) {sign} {HOLIDAY_HOURS * 3600} {others}",
            severity,
            f"Clicks on the automation {NAME} have dropped: it sends fewer mails.",
            f"The automation {NAME} has had fewer clicks than usual because it sends fewer mails, noticed {{{{ $value | humanizeDuration }}}} ago."
            f"{DELIVERED} {advice}",
            AUTOMATION_BOARD,
            why,
            labels=FEWER_MAILS,
        )
    yield Alert(
        "SendGridAccountStoppedSending",
        UNSENT,
        "critical",
        "No automation of the account sends mail.",
        "{{ $value }} automations of {{ $labels.job }}, most of those that send at this time, have sent hardly any mail for an hour or longer. "
        "Look first whether SendGrid has suspended the account, then at SendGrid's status page: its statistics may stand still. "
        "The automations are not reported one by one as long as this lasts.",
        ACCOUNT_BOARD,
        "One alert instead of one for each automation.",
        hold="1h",
    )
