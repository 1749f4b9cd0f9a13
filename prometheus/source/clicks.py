"""The group of rules on clicks, in the order of their evaluation."""

from __future__ import annotations

from prometheus.source import click_alerts, drops, expected, silences, totals
from prometheus.source.rules import Alert, Group, Recording


def groups() -> list[Group]:
    """Return the groups of the file on clicks."""
    rules: list[Recording | Alert] = [
        *expected.data(),
        *expected.season(),
        *totals.windows(),
        *totals.band(),
        *totals.thresholds(),
        *drops.standstill(),
        *drops.state(),
        *silences.silences(),
        *click_alerts.alerts(),
    ]
    return [Group("sendgrid-clicks", rules)]
