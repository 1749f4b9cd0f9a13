"""Histories that the dashboards are asked over, each with the simulator that knows the truth."""

from collections.abc import Iterator
from pathlib import Path

from sendgrid_simulator import Automation, Change, Link, Row
from tools.pictures.sample.lines import every_line, instance, line
from tools.pictures.sample.rules import recorded_lines
from tools.pictures.sample.story import DAY, HOUR, JOB, STEP, Story

END = 1_790_000_100.0 // STEP * STEP
RANGE = 2 * DAY
WELCOME, CART, NEW = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")
STEPS = [f"{digit * 8}-1111-4111-8111-111111111111" for digit in "123"]
SHOP = "https://shop.example.com"
BORN = f"{SHOP}/born?late=1&x=(a|b)"
DEAD = f"{SHOP}/dead?utm=a+b"
TARGET = {"job": JOB, "instance": instance(1)}
RULES = Path(__file__).parents[2] / "prometheus" / "rules"


def usual() -> Story:
    """Return nine and a half days with an outage and a rollout: two old automations, a new one, a new link."""
    start = END - 9.5 * DAY
    welcome = [
        Link(STEPS[0], f"{SHOP}/", 0, 300.0),
        Link(STEPS[0], f"{SHOP}/cart/{{{{cart_id}}}}", 10, 120.0),
        Link(STEPS[0], f"{SHOP}/imprint", None, 30.0),
        Link(STEPS[1], f"{SHOP}/", 2, 90.0),
        Link(STEPS[1], BORN, 3, 200.0, (Change(0, 0.0), Change(END - DAY, 1.0))),
    ]
    cart = [Link(STEPS[2], f"{SHOP}/cart", 0, 150.0), Link(STEPS[2], f'{SHOP}/quote"and\\', 1, 40.0)]
    return Story(
        start,
        END,
        [
            Automation(WELCOME, 'Welcome "series"', tuple(welcome), start - 30 * DAY),
            Automation(CART, "Abandoned cart", tuple(cart), start - 10 * DAY),
            Automation(NEW, "Brand new", (Link(STEPS[0], f"{SHOP}/new", 0, 900.0),), END - 20 * HOUR),
        ],
        outages=[(END - 4 * DAY, END - 4 * DAY + 2 * HOUR)],
        rollouts=[END - 30 * HOUR],
    )


def usual_lines(story: Story) -> Iterator[str]:
    """Yield the usual history, a rest row, and what the shipped rules would have written."""
    lines = [*every_line(story)]
    yield from lines[:-1]
    for moment in story.moments[-200:]:
        rest = {"automation_id": WELCOME, "step_id": STEPS[0], "url": "__other__", "url_location": ""}
        yield line("automation_link_clicks", {**rest, **TARGET}, 1_000_000, moment)
    rules = sorted(RULES.glob("*.yml"))
    yield from recorded_lines(story, [text for text in lines if WELCOME in text], rules, days=9.2, every=HOUR)
    yield "# EOF\n"


def eventful() -> Story:
    """Return eight days of one automation, one of whose links died a day and a half ago."""
    links = (
        Link(STEPS[0], f"{SHOP}/", 0, 200.0),
        Link(STEPS[0], DEAD, 1, 100.0, (Change(END - 36 * HOUR, 0.0),)),
    )
    return Story(END - 10 * DAY, END, [Automation(WELCOME, "Welcome", links, END - 40 * DAY)])


def eventful_lines(story: Story) -> Iterator[str]:
    """Yield that history with alerts that fire and what the rules say of the dead link."""
    yield from [*every_line(story)][:-1]
    own = {"job": JOB, "automation_id": WELCOME}
    dead = {**own, "step_id": STEPS[0], "url": DEAD, "url_location": "1"}
    window = "job_automation_window:sendgrid_clicks"
    yield from _second_instance(story)
    for moment in story.moments[-288:]:
        firing = {"alertstate": "firing", "severity": "warning"}
        yield line("ALERTS", {**firing, **dead, "alertname": "SendGridLinkDead"}, 1, moment)
        yield line("ALERTS", {**firing, "alertname": "SendGridExporterDown"}, 1, moment)
        yield line("job_link:sendgrid_clicks:moved_timestamp_seconds", dead, END - 36 * HOUR, moment)
        for name, value in (("observed", 200), ("expected", 300), ("score", 6)):
            yield line(f"{window}:{name}", {**own, "window": "24h"}, value, moment)
    yield "# EOF\n"


def _second_instance(story: Story) -> Iterator[str]:
    """Yield what an instance says that stays beside the first for its last hour: other names, numbers a poll old."""
    target = {"job": JOB, "instance": "10.9.9.9:10154"}
    own = {"automation_id": WELCOME}
    for moment in story.moments[-12:]:
        yield line("automation_info", {**own, "name": "Welcome, renamed", **target}, 1, moment)
        yield line(
            "automation_total_clicks", {**own, **target}, clicks_between(story, WELCOME, 0, moment - STEP), moment
        )
        yield line("up", target, 1, moment)


def gone_lines(story: Story) -> Iterator[str]:
    """Yield a history whose exporter is down since three hours, while an alert from before still stands."""
    for text in every_line(story):
        if text.startswith("#") or float(text.rsplit(" ", 1)[1]) < END - 3 * HOUR:
            yield text
        if text.startswith("up{"):
            moment = float(text.rsplit(" ", 1)[1])
            firing = {"alertstate": "firing", "severity": "warning", "alertname": "SendGridAutomationClicksDropped"}
            yield line("ALERTS", {**firing, "job": JOB, "automation_id": WELCOME}, 1, moment)
            if moment >= END - 3 * HOUR:
                yield line("up", {"job": JOB, "instance": instance(0)}, 0, moment)


def crowd(automations: int) -> Story:
    """Return over an hour of many automations of two links."""
    links = (Link(STEPS[0], f"{SHOP}/", 0, 400.0), Link(STEPS[1], f"{SHOP}/2", 1, 200.0))
    every = [
        Automation(f"{number:08x}-0000-4000-8000-000000000000", f"Journey {number}", links, END - 10 * DAY)
        for number in range(automations)
    ]
    return Story(END - 1.25 * HOUR, END, every)


def clicks_between(story: Story, automation_id: str, start: float, end: float) -> int:
    """Return the automation's clicks, as the simulator holds them."""
    source = story.simulator.account.source(automation_id)
    assert source
    return source.total(end) - (source.total(start) if source.known(start) else 0)


def rows_between(story: Story, automation_id: str, start: float, end: float) -> dict[Row, int]:
    """Return the clicks of each row, keyed by the row at the end."""
    source = story.simulator.account.source(automation_id)
    assert source
    before = {row[:3]: row.clicks for row in source.rows(start)}
    return {row: row.clicks - before.get(row[:3], 0) for row in source.rows(end)}
