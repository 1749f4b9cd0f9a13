"""Histories that the dashboards are asked over, each with the simulator that knows the truth."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sendgrid_simulator import Automation, Change, Link, Row
from tools.pictures.sample.lines import Labels, every_line, instance, line
from tools.pictures.sample.story import DAY, HOUR, JOB, STEP, Story

END = 1_790_000_100.0 // STEP * STEP
RANGE = 2 * DAY
WELCOME, CART, NEW, LEFT, COPY = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abcde")
LEFT_AT = END - 30 * HOUR
COPIED_AT = END - 10 * HOUR
STEPS = [f"{digit * 8}-1111-4111-8111-111111111111" for digit in "123"]
SHOP = "https://shop.example.com"
BORN = f"{SHOP}/born?late=1&x=(a|b)"
DEAD = f"{SHOP}/dead?utm=a+b"
FIRST_STEP = "Hello"
BEGAN = END - DAY
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
            Automation(LEFT, "Summer sale", (Link(STEPS[0], f"{SHOP}/sale", 0, 50.0),), start - 10 * DAY),
        ],
        outages=[(END - 4 * DAY, END - 4 * DAY + 2 * HOUR)],
        rollouts=[END - 30 * HOUR],
        step_names={STEPS[0]: FIRST_STEP},
        left={LEFT: LEFT_AT},
        unwatched=[Automation(COPY, "Copy", (Link(STEPS[0], f"{SHOP}/copy", 0, 600.0),), COPIED_AT)],
    )


def usual_lines(story: Story) -> Iterator[str]:
    """Yield the usual history, a rest row, and what the rules write while all is well."""
    yield from [*every_line(story)][:-1]
    for moment in story.moments[-200:]:
        rest = {"automation_id": WELCOME, "step_id": STEPS[0], "url": "__other__", "url_location": ""}
        yield line("automation_link_clicks", {**rest, **TARGET}, 1_000_000, moment)
        own = {"job": JOB, "automation_id": WELCOME}
        link = {**own, "step_id": STEPS[0], "url": f"{SHOP}/", "url_location": "0"}
        yield from _judged(own, moment, {"1h": (20, 15, 0.0), "24h": (500, 400, 0.0)})
        yield from _judged(own, moment - 7 * DAY, {"1h": (22, 15, 0.0)})
        yield line("job_link:sendgrid_clicks:moved_timestamp_seconds", link, moment, moment)
    yield "# EOF\n"


def _judged(own: Labels, moment: float, windows: Mapping[str, tuple[float, float, float]]) -> Iterator[str]:
    """Yield what the click-drop rules write of an automation: by window its clicks, those expected, and evidence."""
    yield line("job_automation:sendgrid_data:configured", own, 1, moment)
    yield line("job_automation:sendgrid_click_drop:sensitivity", own, 10, moment)
    for window, (observed, expected, score) in windows.items():
        of_window = {**own, "window": window}
        for name, value in (("observed", observed), ("expected", expected), ("score", score)):
            yield line(f"job_automation_window:sendgrid_clicks:{name}", of_window, value, moment)
        for name in ("delivered", "last_week"):
            yield line(f"job_automation_window:sendgrid_mails:{name}", of_window, 30 * observed, moment)


def eventful() -> Story:
    """Return eight days of one automation, one of whose links died a day and a half ago."""
    links = (
        Link(STEPS[0], f"{SHOP}/", 0, 200.0),
        Link(STEPS[0], DEAD, 1, 100.0, (Change(END - 36 * HOUR, 0.0),)),
    )
    welcome = Automation(WELCOME, "Welcome", links, END - 40 * DAY)
    return Story(END - 10 * DAY, END, [welcome], step_names={STEPS[0]: FIRST_STEP})


def eventful_lines(story: Story) -> Iterator[str]:
    """Yield that history with alerts that fire and what the rules say of the dead link."""
    yield from [*every_line(story)][:-1]
    own = {"job": JOB, "automation_id": WELCOME}
    dead = {**own, "step_id": STEPS[0], "url": DEAD, "url_location": "1"}
    replaced = {**dead, "url": f"{SHOP}/old"}
    part = "job_part_window:sendgrid_clicks"
    yield from _second_instance(story)
    for moment in story.moments[-288:]:
        yield from alert("SendGridLinkClicksStopped", dead, since_alert(moment), moment)
        yield from alert("SendGridLinkReplaced", replaced, BEGAN, moment, severity="info")
        yield from alert("SendGridExporterDown", {}, BEGAN, moment, severity="critical")
        yield line("job_link:sendgrid_clicks:moved_timestamp_seconds", dead, END - 36 * HOUR, moment)
        yield line("job_part:sendgrid_clicks:odds", dead, 0.5, moment)
        yield from _judged(own, moment, {"1h": (5, 6, 0.1), "24h": (200, 300, 6)})
        for window, expected in (("24h", 100), ("72h", 90)):
            for name, value in (("observed", 0), ("expected", expected), ("score", expected / 8)):
                yield line(f"{part}:{name}", {**dead, "window": window}, value, moment)
    yield "# EOF\n"


def since_alert(moment: float) -> float:
    """Return since when the alert fires, as Prometheus says at a moment: it was started again two hours ago."""
    return BEGAN if moment < END - 2 * HOUR else END - 2 * HOUR


def alert(name: str, labels: Labels, since: float, moment: float, *, severity: str = "warning") -> Iterator[str]:
    """Yield what Prometheus writes of an alert that fires."""
    own = {**labels, "alertname": name, "severity": severity}
    yield line("ALERTS", {**own, "alertstate": "firing"}, 1, moment)
    yield line("ALERTS_FOR_STATE", own, since, moment)


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


def troubled_lines() -> Iterator[str]:
    """Yield a moment at which much is wrong: alerts of which some explain others, on journeys that nobody names."""
    stopped = {"job": JOB, "automation_id": WELCOME}
    step = {"job": JOB, "automation_id": CART, "step_id": STEPS[0]}
    broken = {"automation_id": NEW, "automation": "New", "step_id": STEPS[1], "url": DEAD}
    link = {"url": f"{SHOP}/", "url_location": "0"}
    place = {"url_location": "1"}
    firing: list[tuple[str, Labels]] = [
        ("SendGridAutomationClicksStopped", stopped),
        ("SendGridStepClicksStopped", {**stopped, "step_id": STEPS[0]}),
        ("SendGridLinkClicksStopped", {**stopped, "step_id": STEPS[0], **link}),
        ("SendGridStepClicksStopped", step),
        ("SendGridLinkClicksStopped", {**step, **link}),
        ("SendGridLinkBroken", broken),
        ("SendGridLinkClicksStopped", {**broken, "job": JOB, **place}),
        ("SendGridAutomationClicksDropped", {"job": JOB, "automation_id": COPY, "cause": "fewer_mails"}),
        ("SendGridAccountClicksStopped", {"job": JOB}),
        ("SendGridExporterListUnreadable", {"job": JOB}),
    ]
    for name, labels in firing:
        yield from alert(name, labels, BEGAN, END)
    for one, expected in ((WELCOME, 60), (CART, 45)):
        own = {"job": JOB, "automation_id": one}
        yield line("automation_total_clicks", {**own, **TARGET}, 1_000, END)
        yield from _judged(own, END, {"1h": (2, 5, 1.0), "24h": (10, expected, 12.0)})
    yield "# EOF\n"


def unruled_lines() -> Iterator[str]:
    """Yield what is known of two journeys without the rules: one has lost most of its clicks, one has not."""
    for one, lost in ((WELCOME, 0.75), (CART, 0.25)):
        labels = {"automation_id": one, **TARGET}
        clicks = {END - 8 * DAY: 0.0, END - 7 * DAY: 100, END - DAY: 700, END: 700 + 100 * (1 - lost)}
        for moment, total in clicks.items():
            if one == WELCOME:
                dead = {**labels, "step_id": STEPS[0], "url": DEAD, "url_location": "1"}
                yield line("automation_link_clicks", dead, min(total, 700) * 0.7, moment)
            yield line("automation_total_clicks", labels, total, moment)
            yield line("automation_info", {**labels, "name": one[:1]}, 1, moment)
    yield "# EOF\n"


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
