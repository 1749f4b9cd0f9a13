"""The emulation agrees with promtool to the evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.programs import needs
from tests.rules.conftest import PROMETHEUS
from tools.backtest import emulation, engine, link_traffic, sending, traffic
from tools.rules.delivery_alerts import HOLIDAY_HOURS

RULES = tuple(PROMETHEUS / "rules" / f"sendgrid-{name}.yml" for name in ("deliveries", "clicks"))
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
    """Totals with and without mails, stops and drops of sending, dead and replaced links; each in a job of its own."""
    totals = {
        "stop": traffic.make("plain", 2000, 81_000, weeks=3, fall="stop"),
        "fall": traffic.make("office hours", 300, 81_001, weeks=3, fall="-70 %"),
        "irregular": traffic.make("batch irregular", 2000, 81_002, weeks=3),
        "missed": traffic.missed_send("batch daily", 300, 81_003, weeks=3),
        "unclicked": traffic.make("plain", 2000, 81_010, weeks=3, fall="-70 %"),
        "unsent": traffic.make("plain", 300, 81_011, weeks=3, fall="mails stop"),
        "sent less": traffic.make("US + EU", 2000, 81_012, weeks=3, fall="mails -70 %"),
    }
    parts = {
        "dead": link_traffic.make("dead step", 2000, 81_004, weeks=3),
        "edited": link_traffic.make("edited", 2000, 81_008, weeks=3),
        "all edited": link_traffic.make("all edited", 2000, 81_006, weeks=3),
        "raised": link_traffic.make("max_links raised", 2000, 81_009, weeks=3),
    }
    with_mails = {"irregular", "missed", "unclicked", "unsent", "sent less"}
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
        clicks = emulation.automations(seen, PACE, mails)
        own = [f for f in firings if f.labels["job"] == name]
        fired = {f.step: f for f in own if f.alert in CLICKS and not (_of_mails(f) and not clicks.dropped[0, f.step])}
        unsent = [f.step for f in own if f.alert == "SendGridAutomationStoppedSending"]
        fewer = [f for f in own if f.alert in CLICKS and _of_mails(f) and not clicks.dropped[0, f.step]]
        found += len(fired) + len(unsent) + len(fewer)
        assert set(_begins(clicks.dropped[0])) <= set(fired), name
        assert all(clicks.dropped[0, step] for step in fired), name
        if mails is None:
            assert not unsent + fewer, name
            assert not any("cause" in f.labels for f in own), name
            continue
        said = sending.sending(mails, clicks, PACE)
        silent = (emulation.mails(mails, clicks, PACE) | said.stopped)[0]
        assert set(_begins(silent)) <= set(unsent), name
        assert all(silent[step] for step in unsent), name
        alone = said.dropped & ~said.stopped & ~clicks.dropped
        assert _begins(alone[0]) == [f.step for f in fewer if f.labels["severity"] == "info"], name
        long = emulation.held(said.dropped, PACE.steps(HOLIDAY_HOURS) + 1)
        assert all((long & alone)[0, f.step] for f in fewer if f.labels["severity"] == "warning"), name
        for step in _begins(clicks.dropped[0]):
            cause = {1: "fewer_clicks", -1: "fewer_mails", 0: None}[int(said.cause[0, step])]
            assert fired[step].labels.get("cause") == cause, (name, step)
    for name, links in parts.items():
        came = np.diff(np.cumsum(links.clicks, axis=1)[:, ::3], prepend=0)
        expected = emulation.links(replace(links, clicks=came), PACE)
        for row, state in enumerate(expected.dead):
            steps = [
                f.step for f in firings if f.labels["job"] == name and _row(f, links) == row and "Stopped" in f.alert
            ]
            found += len(steps)
            assert _begins(state) == steps, (name, row)
        for row, state in enumerate(expected.replaced):
            steps = [
                f.step for f in firings if f.labels["job"] == name and _row(f, links) == row and "Replaced" in f.alert
            ]
            found += len(steps)
            assert _begins(state) == steps, (name, row)
    assert found >= 5


def _of_mails(firing: engine.Firing) -> bool:
    """Return whether it says that clicks are missing because mails are."""
    return firing.labels.get("cause") == "fewer_mails"


def _row(firing: engine.Firing, links: link_traffic.Links) -> int | None:
    if "step_id" not in firing.labels:
        return None
    if "url" in firing.labels:
        return int(firing.labels["url"].rsplit("/", 1)[1])
    return len(links.steps) + [str(step) for step in np.unique(links.steps)].index(firing.labels["step_id"])
