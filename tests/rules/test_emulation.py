"""The emulation agrees with promtool to the evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.programs import needs
from tests.rules.conftest import PROMETHEUS
from tools.backtest import emulation, engine, link_traffic, traffic

RULES = (PROMETHEUS / "rules" / "sendgrid-clicks.yml",)
PACE = emulation.Pace(minutes=15, poll_minutes=15, slow_minutes=15)
LENGTH = 18 * 96
CLICKS = ("SendGridAutomationClicksStopped", "SendGridAutomationClicksDropped")


def _begins(state: emulation.Mask) -> list[int]:
    return (np.flatnonzero(state[1:] & ~state[:-1]) + 1).tolist()


def _cut(values: emulation.Numbers) -> emulation.Numbers:
    return values[..., : 3 * LENGTH]


@pytest.mark.long
@needs("promtool")
def test_emulation_and_promtool_say_the_same() -> None:
    """Totals with and without mails, a silence of sending, dead links and replaced ones; each in a job of its own."""
    totals = {
        "stop": traffic.make("plain", 2000, 81_000, weeks=3, fall="stop"),
        "fall": traffic.make("office hours", 300, 81_001, weeks=3, fall="-70 %"),
        "irregular": traffic.make("batch irregular", 2000, 81_002, weeks=3),
        "missed": traffic.missed_send("batch daily", 300, 81_003, weeks=3),
    }
    parts = {
        "dead": link_traffic.make("dead step", 2000, 81_004, weeks=3),
        "edited": link_traffic.make("edited", 2000, 81_008, weeks=3),
        "all edited": link_traffic.make("all edited", 2000, 81_006, weeks=3),
        "raised": link_traffic.make("max_links raised", 2000, 81_009, weeks=3),
    }
    with_mails = {"irregular", "missed"}
    series: dict[str, emulation.Numbers] = {}
    totals = {
        name: traffic.History(_cut(history.clicks), _cut(history.mails), history.drop)
        for name, history in totals.items()
    }
    for name, history in totals.items():
        series |= engine.of_automation(name, history, PACE, mails=name in with_mails)
    for name, links in parts.items():
        links.clicks = _cut(links.clicks)
        series |= engine.of_links(name, links, PACE)

    firings = engine.run(series, RULES, PACE)

    found = 0
    for name, history in totals.items():
        seen = PACE.polled(np.cumsum(history.clicks)[None, ::3])
        mails = np.cumsum(history.mails)[None, ::3] if name in with_mails else None
        clicks = emulation.automations(seen, PACE, mails)[0]
        fired = {f.step for f in firings if f.labels["job"] == name and f.alert in CLICKS}
        found += len(fired)
        assert set(_begins(clicks)) <= fired, name
        assert all(clicks[step] for step in fired), name
        silent = emulation.mails(mails, seen, PACE)[0] if mails is not None else np.zeros(LENGTH, dtype=bool)
        sent = [f.step for f in firings if f.labels["job"] == name and f.alert == "SendGridAutomationMailsStopped"]
        found += len(sent)
        assert _begins(silent) == sent, name
    for name, links in parts.items():
        clicks = np.diff(np.cumsum(links.clicks, axis=1)[:, ::3], prepend=0)
        expected = emulation.links(replace(links, clicks=clicks), PACE)
        for row, state in enumerate(expected.dead):
            own = [
                f.step for f in firings if f.labels["job"] == name and _row(f, links) == row and "Stopped" in f.alert
            ]
            found += len(own)
            assert _begins(state) == own, (name, row)
        for row, state in enumerate(expected.replaced):
            own = [
                f.step for f in firings if f.labels["job"] == name and _row(f, links) == row and "Replaced" in f.alert
            ]
            found += len(own)
            assert _begins(state) == own, (name, row)
    assert found >= 5


def _row(firing: engine.Firing, links: link_traffic.Links) -> int | None:
    if "step_id" not in firing.labels:
        return None
    if "url" in firing.labels:
        return int(firing.labels["url"].rsplit("/", 1)[1])
    return len(links.steps) + [str(step) for step in np.unique(links.steps)].index(firing.labels["step_id"])
