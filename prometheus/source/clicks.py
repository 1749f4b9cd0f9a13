"""The groups of rules on clicks, in the order of their evaluation."""

from __future__ import annotations

from prometheus.source import click_alerts, drops, expected, shares, silences, totals
from prometheus.source.rules import Alert, Group, Recording


def groups() -> list[Group]:
    """Return the groups of the file on clicks."""
    rules: list[Recording | Alert] = [
        *expected.data(),
        *expected.season(),
        *totals.thresholds(),
        *totals.windows(),
        *totals.evidence(),
        *drops.standstill(),
        *drops.state(),
        *silences.silences(),
        *click_alerts.alerts(),
    ]
    return [Group("sendgrid-clicks", rules), Group("sendgrid-click-shares", [*shares.shares()], interval="30m")]
