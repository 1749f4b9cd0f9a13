"""Every query of every panel runs in a real Prometheus and answers."""

import re
from dataclasses import replace

import pytest

from tests.dashboards import boards, worlds
from tests.dashboards.boards import Target
from tests.dashboards.expansion import ALL, Variable, expand
from tests.dashboards.looking import World, look
from tests.dashboards.prometheus_server import Series
from tools.dashboards.words import NOTHING_WATCHED
from tools.pictures.sample.story import HOUR

TARGETS = boards.every_target()
MAY_BE_EMPTY = {
    "sendgrid-automations / What is wrong now / A": "nothing is wrong when all is well",
    "sendgrid-automations / What is wrong now / B": "nothing is wrong when all is well",
    "sendgrid-automation / What is wrong with this automation / A": "nothing is wrong when all is well",
    "sendgrid-automation / What is wrong with this automation / B": "nothing is wrong when all is well",
    "sendgrid-exporter / What is wrong with the exporter / A": "nothing is wrong when all is well",
    "sendgrid-exporter / What is wrong with the exporter / B": "nothing is wrong when all is well",
    "sendgrid-automation / Which links are dead / A": "no link is dead when all is well",
    "sendgrid-automation / Which links are dead / B": "no link is dead when all is well",
    "sendgrid-automation / Steps and links with evidence / A": "no link has lost its clicks when all is well",
    "sendgrid-automation / Steps and links with evidence / B": "no link has lost its clicks when all is well",
    "sendgrid-automation / Steps and links with evidence / C": "no link has lost its clicks when all is well",
}
FEWER_SERIES = re.compile(
    "sendgrid-automations / (Clicks per hour of the most clicked / [D-I]|Age of the data, the oldest / [D-I])|"
    "sendgrid-automation / Clicks per hour by step / [C-I]|sendgrid-exporter / Age of the data, the oldest / [D-I]|"
    "sendgrid-exporter / Version over time / [CD]"
)
"""Lines for series of a lower rank than this history has."""
every_target = pytest.mark.parametrize("target", TARGETS, ids=[target.where for target in TARGETS])


@every_target
def test_query_answers_when_all_is_well(usual: World, target: Target):
    answer = usual.answer(target)

    expected = target.where not in MAY_BE_EMPTY and not FEWER_SERIES.fullmatch(target.where)
    assert any(known(series) for series in answer) == expected


def known(series: Series) -> bool:
    """Tell whether a series says anything: a row of which nothing is known holds NaN."""
    points = series.get("values") or [series["value"]]
    return any(value != "NaN" for _, value in points)


@pytest.mark.parametrize("where", MAY_BE_EMPTY)
def test_query_that_may_be_empty_answers_when_something_happened(eventful: World, where: str):
    (target,) = [target for target in TARGETS if target.where == where]

    assert eventful.answer(target)


@every_target
def test_query_runs_without_any_data(empty: World, target: Target):
    answer = empty.answer(target)

    assert all(series["metric"].get("alertname", NOTHING_WATCHED) == NOTHING_WATCHED for series in answer)
    assert all(series["metric"] == {} or "alertname" in series["metric"] for series in answer), "only counts, or that"


@every_target
def test_query_runs_with_one_young_automation(eventful: World, target: Target):
    eventful._replace(view=replace(eventful.view, start=worlds.END - HOUR)).answer(target)


@every_target
def test_panel_shows_few_series_of_a_thousand_automations(crowd: World, target: Target):
    answer = crowd.answer(target)

    most = 1_000 if target.panel["type"] == "table" else 20
    assert len(answer) <= most


@pytest.mark.parametrize("uid", boards.UIDS)
def test_annotations_run_and_show_what_fires(eventful: World, uid: str):
    (note,) = boards.board(uid)["annotations"]["list"]

    found = eventful.server.over_time(
        expand(note["expr"], {}, eventful.view), eventful.view.start, eventful.view.end, 600
    )

    assert [series["metric"]["alertname"] for series in found] == [
        "SendGridExporterDown" if uid == "sendgrid-exporter" else "SendGridLinkClicksStopped"
    ]


def test_automations_are_chosen_by_name_and_passed_on_by_id(usual: World):
    (variable,) = [
        one for one in boards.board("sendgrid-automation")["templating"]["list"] if one["name"] == "automation"
    ]
    inside = re.fullmatch(r"query_result\((.*)\)", variable["query"])
    pattern = re.compile(variable["regex"][1:-1].replace("(?<", "(?P<"))

    assert inside
    found = usual.server.instant(expand(inside[1], {}, usual.view), worlds.END)
    texts = ["{" + ",".join(f'{name}="{value}"' for name, value in one["metric"].items()) + "} 1 1" for one in found]
    choices = {match["value"]: match["text"] for match in map(pattern.search, texts) if match}

    assert choices == {automation.id: automation.name for automation in usual.story.automations}


def test_steps_are_chosen_by_name_where_they_have_one(usual: World):
    (variable,) = [one for one in boards.board("sendgrid-automation")["templating"]["list"] if one["name"] == "step"]
    pattern = re.compile(variable["regex"][1:-1].replace("(?<", "(?P<"))

    found = usual.server.instant(expand(variable["query"][len("query_result(") : -1], {}, usual.view), worlds.END)
    texts = ["{" + ",".join(f'{name}="{value}"' for name, value in one["metric"].items()) + "} 1 1" for one in found]
    choices = {match["value"]: match["text"] for match in map(pattern.search, texts) if match}

    assert choices == {worlds.STEPS[0]: worlds.FIRST_STEP, worlds.STEPS[1]: "22222222"}


def test_automation_can_still_be_chosen_when_the_exporter_is_down(gone: World):
    (variable,) = [
        one for one in boards.board("sendgrid-automation")["templating"]["list"] if one["name"] == "automation"
    ]

    (found,) = gone.server.instant(expand(variable["query"][len("query_result(") : -1], {}, gone.view), worlds.END)

    assert found["metric"] == {"automation_id": worlds.WELCOME, "name": "Welcome"}


@every_target
def test_query_runs_when_the_exporter_is_down(gone: World, target: Target):
    gone.answer(target)


@pytest.mark.parametrize("name", ["job", "url"])
def test_choice_offers_what_is_there(usual: World, name: str):
    (variable,) = [one for one in boards.board("sendgrid-automation")["templating"]["list"] if one["name"] == name]
    inside = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])

    assert inside
    found = usual.server.series(expand(inside[1], {}, usual.view), usual.view.start, worlds.END)

    assert {labels[inside[2]] for labels in found} == {
        "job": {worlds.JOB},
        "url": {row.url for row in worlds.rows_between(usual.story, worlds.WELCOME, 0, worlds.END)} | {"__other__"},
    }[name]


@pytest.mark.parametrize("url", [worlds.BORN, f"{worlds.SHOP}/cart/{{{{cart_id}}}}"])
def test_page_is_narrowed_to_a_link_whatever_stands_in_its_url(usual: World, url: str):
    narrowed = usual._replace(view=look(worlds.RANGE, url=Variable(url, all_value=".*")))
    (target,) = [one for one in TARGETS if one.where == "sendgrid-automation / Top links / B"]

    assert {series["metric"]["url"] for series in narrowed.answer(target)} == {url}


def test_page_is_narrowed_to_several_steps(usual: World):
    (target,) = [one for one in TARGETS if one.where == "sendgrid-automation / Steps / A"]
    chosen = [
        look(worlds.RANGE, step=Variable(steps, all_value=".*", multi=True))
        for steps in (worlds.STEPS[:2], [worlds.STEPS[1]], [ALL])
    ]

    assert [len(usual._replace(view=view).answer(target)) for view in chosen] == [2, 1, 2]
