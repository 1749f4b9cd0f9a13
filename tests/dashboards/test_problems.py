"""What is wrong now: every alert in words, one row a problem, with when it began, what it costs and where it leads."""

import re
from typing import Any

import pytest
import yaml

from tests.dashboards import boards, worlds
from tests.dashboards.looking import World
from tests.programs import ROOT
from tools.dashboards.words import FELL, NOT_JUDGED, NOTHING_WATCHED, PROBLEMS, SILENT

BY_PLACE = {target.where: target for target in boards.every_target()}
NOW = "sendgrid-automations / What is wrong now"
PROMETHEUS = ROOT / "prometheus"


def found(world: World, panel: str = NOW) -> dict[tuple[str, ...], tuple[dict[str, str], float, float]]:
    """Return the rows as Grafana joins them: labels, since when and missing clicks, by what tells them apart."""
    since, missing = (world.answer(BY_PLACE[f"{panel} / {ref_id}"]) for ref_id in "AB")
    joined = {_key(one["metric"]): float(one["value"][1]) for one in missing}
    rows = {_key(one["metric"]): (one["metric"], float(one["value"][1])) for one in since}
    assert len(rows) == len(since)
    assert set(rows) == set(joined), "a row of one query would stand beside the other's"
    return {key: (labels, value, joined[key]) for key, (labels, value) in rows.items()}


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in ("alertname", "automation_id", "step_id", "url"))


def problems(world: World, panel: str = NOW) -> set[tuple[str, ...]]:
    return set(found(world, panel))


def alerts() -> dict[str, str]:
    """Return every alert that we ship and that is no mere information, with the page of its runbook."""
    rules: list[dict[str, Any]] = [
        rule
        for path in (*(PROMETHEUS / "rules").glob("*.yml"), PROMETHEUS / "blackbox" / "sendgrid-links.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule and rule["labels"]["severity"] != "info"
    ]
    return {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}


def test_every_alert_is_a_problem_in_words_that_leads_to_its_runbook():
    shipped = alerts()

    told = {name: f"{PROBLEMS[name].page}{PROBLEMS[name].anchor(name)}" for name in shipped}

    assert told == {name: re.sub(r"\{\{.*?\}\}", "", url).rsplit("/", 1)[1] for name, url in shipped.items()}


def test_problems_are_words_and_no_two_are_the_same():
    every = [one.words for one in PROBLEMS.values()]

    assert [words for words in every if re.search(r"[a-z][A-Z]", words)] == []
    assert len(set(every)) == len(every)


def test_every_problem_leads_to_a_heading():
    own = {name: one for name, one in PROBLEMS.items() if not name.startswith("SendGrid")}
    for name, one in {**own, **{name: PROBLEMS[name] for name in alerts()}}.items():
        page = (ROOT / "docs" / one.page).read_text(encoding="utf-8")
        anchors = {"#" + title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
        assert one.anchor(name) in anchors


def test_nothing_is_wrong_when_all_is_well(usual: World):
    assert problems(usual) == set()


def test_dead_link_says_whose_it_is_since_when_what_is_lost_and_where_to_go(eventful: World):
    rows = found(eventful)
    dead = ("SendGridLinkClicksStopped", worlds.WELCOME, worlds.STEPS[0], worlds.DEAD)

    labels, since, missing = rows[dead]

    assert set(rows) == {dead, ("SendGridExporterDown", "", "", "")}
    assert since == worlds.BEGAN * 1_000, "Prometheus was started again since"
    assert missing == 100
    assert (labels["name"], labels["step"]) == ("Welcome", worlds.FIRST_STEP)
    assert labels["page"] == f"https://mc.sendgrid.com/automations/{worlds.WELCOME}/detail"
    assert labels["to"] == f"sendgrid-automation?var-automation={worlds.WELCOME}"
    assert (labels["to_step"], labels["to_url"]) == (worlds.STEPS[0], worlds.DEAD)


def test_what_a_wider_problem_explains_has_no_row(troubled: World):
    assert problems(troubled) == {
        ("SendGridAutomationClicksStopped", worlds.WELCOME, "", ""),
        ("SendGridStepClicksStopped", worlds.CART, worlds.STEPS[0], ""),
        ("SendGridLinkBroken", worlds.NEW, worlds.STEPS[1], worlds.DEAD),
        ("SendGridAutomationClicksDropped", worlds.COPY, "", ""),
        ("SendGridAccountClicksStopped", "", "", ""),
        ("SendGridExporterListUnreadable", "", "", ""),
    }


def test_number_of_problems_is_that_of_the_rows(troubled: World):
    (count,) = troubled.answer(BY_PLACE["sendgrid-automations / Problems / A"])

    assert float(count["value"][1]) == len(problems(troubled))


def test_whole_journey_misses_what_its_worst_window_misses_and_the_account_all_of_it(troubled: World):
    rows = found(troubled)

    missing = {key[0]: value for key, (_, _, value) in rows.items()}

    assert missing["SendGridAutomationClicksStopped"] == 50
    assert missing["SendGridAccountClicksStopped"] == 50 + 35
    assert str(missing["SendGridExporterListUnreadable"]) == "nan"


def test_problems_without_a_journey_lead_to_the_page_that_is_about_them(troubled: World):
    boards_of = {key[0]: labels["to"].split("?")[0] for key, (labels, _, _) in found(troubled).items()}

    assert boards_of["SendGridAccountClicksStopped"] == "sendgrid-automations"
    assert boards_of["SendGridExporterListUnreadable"] == "sendgrid-exporter"
    assert boards_of["SendGridAutomationClicksStopped"] == "sendgrid-automation"


def test_whole_journey_is_shown_with_all_its_steps_and_links_under_its_id_where_nobody_names_it(troubled: World):
    rows = found(troubled)
    labels, since, _ = rows[("SendGridAutomationClicksStopped", worlds.WELCOME, "", "")]

    assert (labels["name"], labels["to_step"], labels["to_url"]) == (worlds.WELCOME, "All", "All")
    assert "page" not in labels
    assert since == worlds.BEGAN * 1_000


def test_links_find_all_their_fields_in_every_row(troubled: World, eventful: World, empty: World):
    panel = BY_PLACE[f"{NOW} / A"].panel
    links = [prop for one in panel["fieldConfig"]["overrides"] for prop in one["properties"] if prop["id"] == "links"]
    fields = set(re.findall(r"__data\.fields\.(\w+)", str(links)))

    assert fields == {"to", "to_step", "to_url", "runbook"}
    for world in (troubled, eventful, empty):
        assert all(fields <= set(labels) for labels, _, _ in found(world).values())


def test_cause_stands_beside_a_drop_where_the_alert_has_one(troubled: World):
    causes = {key[:2]: labels.get("cause") for key, (labels, _, _) in found(troubled).items()}

    assert causes[("SendGridAutomationClicksDropped", worlds.COPY)] == "fewer_mails"
    assert causes[("SendGridAutomationClicksStopped", worlds.WELCOME)] is None


def test_page_of_one_journey_and_that_of_the_exporter_have_their_own_part(troubled: World):
    assert problems(troubled, "sendgrid-automation / What is wrong with this automation") == {
        ("SendGridAutomationClicksStopped", worlds.WELCOME, "", "")
    }
    assert problems(troubled, "sendgrid-exporter / What is wrong with the exporter") == {
        ("SendGridAccountClicksStopped", "", "", ""),
        ("SendGridExporterListUnreadable", "", "", ""),
    }


def test_without_the_rules_the_table_says_so_and_shows_which_journeys_have_fallen(unruled: World):
    rows = found(unruled)

    assert set(rows) == {(NOT_JUDGED, "", "", ""), (FELL, worlds.WELCOME, "", "")}
    assert rows[(FELL, worlds.WELCOME, "", "")][2] == 75


def test_without_the_rules_the_page_of_an_automation_shows_its_links_without_clicks(unruled: World):
    rows = found(unruled, "sendgrid-automation / What is wrong with this automation")

    assert set(rows) == {
        (NOT_JUDGED, "", "", ""),
        (FELL, worlds.WELCOME, "", ""),
        (SILENT, worlds.WELCOME, worlds.STEPS[0], worlds.DEAD),
    }
    assert rows[(SILENT, worlds.WELCOME, worlds.STEPS[0], worlds.DEAD)][2] == 70


@pytest.mark.parametrize(
    "where",
    [
        "sendgrid-automations / Problems / A",
        "sendgrid-automations / Suspected / A",
        "sendgrid-automations / Exporter / A",
        "sendgrid-exporter / Alerts / A",
    ],
)
def test_without_the_rules_no_number_says_that_nothing_is_wrong(unruled: World, where: str):
    assert not unruled.answer(BY_PLACE[where])


def test_nothing_watched_is_not_nothing_wrong(empty: World):
    assert problems(empty) == {(NOTHING_WATCHED, "", "", "")}


def test_drop_is_certain_wherever_an_alert_says_so_and_suspected_only_elsewhere(troubled: World, eventful: World):
    place = "sendgrid-automations / Automations by clicks / F"
    certain, dead_link = (
        {one["metric"]["automation_id"]: float(one["value"][1]) for one in world.answer(BY_PLACE[place])}
        for world in (troubled, eventful)
    )

    assert certain[worlds.WELCOME] >= 1
    assert len(troubled.answer(BY_PLACE["sendgrid-automations / Automations by clicks / G"])) == len(certain)
    assert dead_link == {worlds.WELCOME: 1.25}
    for world in (troubled, eventful):
        (suspected,) = world.answer(BY_PLACE["sendgrid-automations / Suspected / A"])
        assert float(suspected["value"][1]) == 0
