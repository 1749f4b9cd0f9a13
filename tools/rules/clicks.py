"""The groups of rules on clicks, in the order of their evaluation."""

from __future__ import annotations

from tools.rules import click_alerts, counting, parts, totals
from tools.rules.rules import Group
from tools.rules.sentences import owned


def groups() -> list[Group]:
    """Return the groups of the file on clicks."""
    return [
        Group(
            "sendgrid-clicks",
            [
                *counting.counting(),
                *totals.windows(),
                *totals.mails(),
                *totals.evidence(),
                *totals.drops(),
                *owned(click_alerts.of_automations()),
            ],
            interval="2m",
        ),
        Group(
            "sendgrid-click-parts",
            [*parts.counting(), *parts.windows(), *parts.evidence(), *owned(click_alerts.of_parts())],
            interval="5m",
        ),
        Group("sendgrid-click-weeks", [*totals.unlikeness(), *parts.shares()], interval="30m"),
    ]
