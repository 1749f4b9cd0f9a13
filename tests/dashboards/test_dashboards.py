"""What the dashboards promise as files: committed as generated, linked, small on the first view, valid everywhere."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.dashboards import boards
from tests.dashboards.boards import Json
from tests.dashboards.worlds import RULES
from tools.dashboards.palette import CODE_COLOURS, OUTCOME_COLOURS, Colour
from tools.pictures.sample.telemetry import OUTCOMES
from tools.rules.files import runbook

RUNBOOKS = runbook().rpartition("/")[0]
each_board = pytest.mark.parametrize("uid", boards.UIDS)
METRICS = Path(__file__).with_name("metrics.txt").read_text(encoding="utf-8").split()


@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2")
def test_committed_json_is_what_the_generator_writes():
    from tools.dashboards.files import FOLDER, rendered  # noqa: PLC0415 - the SDK warns when it is imported

    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}

    assert committed == rendered(), "run make dashboards and commit what it writes"


@each_board
def test_board_is_classic_json_of_a_stable_identity(uid: str):
    board = boards.board(uid)

    assert (board["uid"], board["schemaVersion"], board["id"], board["editable"]) == (uid, 42, None, False)
    assert not {"__inputs", "__requires", "version", "iteration"} & set(board)
    assert board["time"] == {"from": "now-7d", "to": "now"}
    assert "sendgrid-automation-exporter" in board["tags"]


@each_board
def test_boards_link_each_other_keeping_time_and_choices(uid: str):
    board = boards.board(uid)
    names = {variable["name"] for variable in board["templating"]["list"]}

    (link,) = board["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["sendgrid-automation-exporter"])
    assert link["includeVars"]
    assert link["keepTime"]
    assert "placement" not in link, "a link in the controls menu is not seen"
    assert names == {"datasource", "job", "automation", "step", "url"}


@each_board
def test_every_panel_says_what_it_shows(uid: str):
    for panel in boards.panels(boards.board(uid)):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["noValue"]


@each_board
def test_titles_and_ids_are_unique(uid: str):
    board = boards.board(uid)
    every = [*boards.panels(board), *(row for row, _ in boards.rows(board))]

    assert max(Counter(panel["title"] for panel in every).values()) == 1
    assert max(Counter(panel["id"] for panel in every).values()) == 1


@each_board
def test_first_view_loads_less_than_ten_queries_per_row(uid: str):
    for row, inside in boards.rows(boards.board(uid)):
        assert 0 < sum(len(panel["targets"]) for panel in inside) < 10, row["title"]


@each_board
def test_what_begins_below_the_first_screen_is_collapsed(uid: str):
    first_screen = 24

    for row, _ in boards.rows(boards.board(uid)):
        assert row["collapsed"] or row["gridPos"]["y"] < first_screen, row["title"]


@each_board
def test_panels_lie_within_the_grid_and_not_on_each_other(uid: str):
    for row, inside in boards.rows(boards.board(uid)):
        boxes = [panel["gridPos"] for panel in inside]
        assert all(box["x"] + box["w"] <= 24 for box in boxes)
        assert min(box["y"] for box in boxes) == row["gridPos"]["y"] + 1
        for one, other in combinations(boxes, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below


@each_board
def test_queries_ask_only_what_the_exporter_prometheus_or_the_rules_write(uid: str):
    recorded = {
        rule["record"]
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for target in boards.targets(boards.board(uid)):
        for name in names_in(target.target["expr"]):
            assert name in METRICS or name in recorded, f"{target.where}: nobody writes {name}"


@each_board
def test_recorded_series_that_are_asked_for_are_promised(uid: str):
    page = (boards.FOLDER.parent / "docs" / "metrics-recorded.md").read_text(encoding="utf-8")
    promise = page.partition("Dashboards may rely on")[2].partition("\n\n")[0]

    asked = {name for target in boards.targets(boards.board(uid)) for name in names_in(target.target["expr"])}
    assert [name for name in sorted(asked) if ":" in name and f"`{name}`" not in promise] == []


def names_in(expression: str) -> Iterator[str]:
    """Yield the metric names of an expression."""
    yield from re.findall(r"([a-zA-Z_:][\w:]*)\{", expression)
    for several in re.findall(r'__name__=~"([^"]*)"', expression):
        yield from several.split("|")


@each_board
def test_numbers_of_a_moment_do_not_depend_on_the_width_of_the_screen(uid: str):
    points = {panel.get("maxDataPoints") for panel in boards.panels(boards.board(uid)) if panel["type"] != "timeseries"}

    assert len(points) == 1
    assert points != {None}


@each_board
def test_clicks_are_never_taken_by_rate(uid: str):
    for target in boards.targets(boards.board(uid)):
        assert not re.search(r"(rate|irate|increase|delta)\(\s*(automation_|job_)", target.target["expr"])


@each_board
def test_links_out_open_in_a_new_tab_and_links_within_keep_range_and_source(uid: str):
    for link in links(boards.board(uid)):
        if link["url"].startswith("/d/"):
            assert not link["targetBlank"]
            assert "${__url_time_range}" in link["url"]
            assert "${datasource:queryparam}" in link["url"]
            page = link["url"].split("?")[0].removeprefix("/d/")
            assert page in boards.UIDS or link["url"].startswith("/d/${__data.fields.to:raw}&")
        else:
            assert link["url"] in ("${__value.raw:raw}", "${__data.fields.runbook:raw}")
            assert link["targetBlank"]


def links(board: Json) -> Iterator[Json]:
    for panel in boards.panels(board):
        for override in panel["fieldConfig"]["overrides"]:
            for prop in override["properties"]:
                if prop["id"] == "links":
                    yield from prop["value"]


def test_link_tables_open_the_url_and_narrow_the_page_elsewhere():
    panels = {panel["title"]: panel for panel in boards.panels(boards.board("sendgrid-automation"))}

    for title in ("Top links", "Which links are dead"):
        overrides = panels[title]["fieldConfig"]["overrides"]
        found = {
            one["matcher"]["options"]: prop["value"]
            for one in overrides
            for prop in one["properties"]
            if prop["id"] == "links"
        }
        assert found["Link"][0]["targetBlank"]
        for heading in ("Step", "Position", "Last click"):
            assert "var-url=${__data.fields.url:percentencode}" in found[heading][0]["url"]
            assert "var-step=${__data.fields.step_id:percentencode}" in found[heading][0]["url"]


@each_board
def test_links_pass_on_labels_that_are_shown_as_they_are(uid: str):
    for panel in boards.panels(boards.board(uid)):
        overrides = panel["fieldConfig"]["overrides"]
        passed = set(re.findall(r"__data\.fields\.(\w+)", json.dumps(overrides)))
        renamed = next(
            (one["options"]["renameByName"] for one in panel.get("transformations", []) if one["id"] == "organize"), {}
        )
        for name in passed:
            shown = {name, renamed.get(name, name)}
            looks = [
                prop["id"] for one in overrides if one["matcher"]["options"] in shown for prop in one["properties"]
            ]
            assert "mappings" not in looks or name == "runbook"
            assert any(name in target["expr"] for target in panel["targets"])
            assert {"id": "unit", "value": "string"} in [
                prop
                for one in overrides
                if one["matcher"] == {"id": "byType", "options": "string"}
                for prop in one["properties"]
            ]


def test_every_outcome_has_a_colour_of_its_own():
    assert set(OUTCOME_COLOURS) == set(OUTCOMES)
    assert len(set(OUTCOME_COLOURS.values())) == len(OUTCOMES)
    assert len(set(CODE_COLOURS.values())) == len(CODE_COLOURS)


def test_one_series_name_has_one_colour_on_all_boards():
    seen: dict[str, set[str]] = {}
    for uid in boards.UIDS:
        for panel in boards.panels(boards.board(uid)):
            for override in panel["fieldConfig"]["overrides"]:
                for prop in override["properties"]:
                    named = override["matcher"]["id"] != "byFrameRefID"
                    if named and prop["id"] == "color" and "fixedColor" in prop["value"]:
                        seen.setdefault(override["matcher"]["options"], set()).add(prop["value"]["fixedColor"])

    assert {name: colours for name, colours in seen.items() if len(colours) > 1} == {}


@each_board
def test_what_only_tells_series_apart_is_never_in_a_colour_that_means_something(uid: str):
    meant = {Colour.GOOD, Colour.LOOK, Colour.ACT}
    for panel in boards.panels(boards.board(uid)):
        if panel["type"] == "timeseries":
            assert "palette" not in panel["fieldConfig"]["defaults"]["color"]["mode"]
            by_rank = [
                prop["value"]["fixedColor"]
                for one in panel["fieldConfig"]["overrides"]
                if one["matcher"]["id"] == "byFrameRefID"
                for prop in one["properties"]
                if prop["id"] == "color"
            ]
            assert not meant & set(by_rank)
            assert len(set(by_rank)) == len(by_rank)


@each_board
def test_no_series_is_red(uid: str):
    for panel in boards.panels(boards.board(uid)):
        if panel["type"] == "timeseries":
            assert "red" not in json.dumps(panel["fieldConfig"])


@each_board
def test_words_are_those_of_a_reader(uid: str):
    board = boards.board(uid)
    said = json.dumps(
        [board["description"], [[one["title"], one["description"], one["fieldConfig"]] for one in boards.panels(board)]]
    )

    assert re.findall(r"\bwell\b|c/m|\bcpm\b|\breqpm\b|at most", said) == []


def test_provisioning_names_the_folder_and_stays_out_of_the_browser():
    text = (boards.FOLDER / "provisioning" / "dashboards" / "sendgrid.yaml").read_text(encoding="utf-8")

    (provider,) = yaml.safe_load(text)["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)


@each_board
def test_file_is_small_enough_for_the_annotation_that_kubectl_and_argo_cd_make_of_a_config_map(uid: str):
    text = (boards.FOLDER / "dashboards" / f"{uid}.json").read_text(encoding="utf-8")

    assert len(json.dumps(text)) < 256 * 1024 - 8_000


def test_drawing_tool_names_no_registry():
    lock = (boards.FOLDER.parent / "tools" / "pictures" / "drawing" / "package-lock.json").read_text(encoding="utf-8")

    assert '"resolved"' not in lock
