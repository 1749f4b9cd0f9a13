"""What the shipped rules record over a sample, run by promtool, has the labels that the dashboards use."""

import re

import pytest

from sendgrid_simulator import Automation, Link
from tests.dashboards import worlds
from tools.pictures.sample.lines import every_line
from tools.pictures.sample.rules import recorded_lines
from tools.pictures.sample.story import DAY, HOUR, JOB, Story

pytestmark = pytest.mark.needs("promtool")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def test_rules_record_what_the_simulator_holds_under_the_labels_that_dashboards_ask_for():
    link = Link(worlds.STEPS[0], f"{worlds.SHOP}/", 0, 400.0)
    story = Story(worlds.END - 1.5 * DAY, worlds.END, [Automation(worlds.WELCOME, "Welcome", (link,), 0.0)])
    rules = sorted((worlds.RULES).glob("*.yml"))

    lines = [*recorded_lines(story, every_line(story), rules, days=0, every=HOUR)]

    last = {text.partition("{")[0]: dict(LABEL.findall(text)) for text in lines}
    own = {"job": JOB, "automation_id": worlds.WELCOME}
    place = {"step_id": worlds.STEPS[0], "url": f"{worlds.SHOP}/", "url_location": "0"}
    assert last["job_automation:sendgrid_data:configured"] == own
    assert last["job_automation:sendgrid_click_drop:sensitivity"] == own
    assert last["job_link:sendgrid_clicks:moved_timestamp_seconds"] == {**own, **place}
    (day,) = {
        float(text.split(" ")[-2])
        for text in lines
        if text.startswith("job_automation_window:sendgrid_clicks:observed") and 'window="24h"' in text
    }
    pace = 900
    newest = (worlds.END - story.start) // pace * pace + story.start
    assert day == pytest.approx(worlds.clicks_between(story, worlds.WELCOME, newest - DAY, newest), abs=5)
