"""Rules and dashboards come out of the chart as they went in: what tests/rules asks of the files holds for them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.chart import CHART, HELMS, NAME, ROOT, Object, case, least, one, refusal, render
from tests.programs import needs, program

pytestmark = needs(*HELMS, "promtool")

RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))


def groups(*words: str) -> list[dict[str, Any]]:
    found = render("helm-4", *least(prometheusRule__enabled="true"), *words)
    return list(one(found, "PrometheusRule")["spec"]["groups"])


def rules(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in found for rule in group["rules"]]


def alerts(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules(found) if "alert" in rule}


@pytest.mark.parametrize("version", HELMS)
def test_the_rules_come_out_as_they_went_in_with_their_braces(version: str) -> None:
    found = one(render(version, *least(prometheusRule__enabled="true")), "PrometheusRule")
    source = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]

    assert source
    assert found["spec"]["groups"] == source
    assert "{{ $labels." in yaml.safe_dump(found)


@pytest.mark.parametrize("name", ["demo-values.yaml", "operators-values.yaml"])
def test_rendered_rules_pass_promtool(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(one(case("helm-4", name), "PrometheusRule")["spec"]))
    done = subprocess.run(
        [program("promtool"), "check", "rules", path], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_disabled_alert_is_left_out_and_no_other() -> None:
    before = alerts(groups())
    chosen = min(before)
    after = alerts(groups("--set", f"prometheusRule.defaultRules.disabled.{chosen}=true"))

    assert before.keys() - after.keys() == {chosen}
    assert all(before[name] == after[name] for name in after)


def test_addresses_and_labels_of_the_company_replace_the_projects() -> None:
    found = one(case("helm-4", "operators-values.yaml"), "PrometheusRule")
    own = {name: rule for name, rule in alerts(found["spec"]["groups"]).items() if name in alerts(groups())}

    assert own
    for name, rule in own.items():
        before = alerts(groups())[name]
        assert rule["labels"] == before["labels"] | {"team": "marketing"}
        anchor = before["annotations"]["runbook_url"].partition("#")[2]
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.org/sendgrid#{anchor}"
        assert rule["annotations"]["dashboard_url"].startswith("https://grafana.example.org/d/")
        assert (rule["expr"], rule["annotations"]["summary"]) == (before["expr"], before["annotations"]["summary"])


@pytest.mark.parametrize("address", ["https://wiki.example.org/sendgrid", 'https://wiki.example.org/?page="a"&b=\\c'])
def test_dashboards_lead_to_the_same_runbook_as_the_alerts(address: str) -> None:
    values = {
        "prometheusRule": {"enabled": True, "defaultRules": {"runbookUrl": address}},
        "grafana": {"dashboards": {"enabled": True}},
    }
    found = render("helm-4", *least(), "--set-json", json.dumps(values))
    shown = [json.loads(each["data"][path.name]) for path, each in zip(DASHBOARDS, dashboards(found), strict=True)]
    told = {
        rule["annotations"]["runbook_url"] for rule in alerts(one(found, "PrometheusRule")["spec"]["groups"]).values()
    }

    for board in shown:
        pages = runbooks(board)
        ours = {page for name, page in pages.items() if name.startswith("SendGrid")}
        assert {page.partition("#")[0] for page in ours} == {address}
        assert {page for page in told if "sendgridlinkreplaced" not in page} <= ours
        assert all("/docs/dashboards.md#" in page for name, page in pages.items() if not name.startswith("SendGrid"))


def test_thresholds_are_recorded_under_the_names_that_the_rules_read() -> None:
    found = one(case("helm-4", "operators-values.yaml"), "PrometheusRule")["spec"]["groups"]
    expressions = " ".join(rule["expr"] for rule in rules(groups()))
    recorded = next(group for group in found if group["name"] == "sendgrid-thresholds")["rules"]

    assert [(rule["expr"], rule.get("labels", {}).get("automation_id", "")[:8]) for rule in recorded] == [
        ("vector(20)", ""),
        ("vector(0.4)", ""),
        ("vector(0.3)", "a1b2c3d4"),
    ]
    assert all(rule["record"] in expressions for rule in recorded)


@pytest.mark.parametrize("version", HELMS)
def test_thresholds_on_the_command_line_are_numbers_by_set_json(version: str) -> None:
    words = least(prometheusRule__enabled="true")
    found = one(render(version, *words, "--set-json", "prometheusRule.thresholds.ratio=0.4"), "PrometheusRule")

    assert any(rule["expr"] == "vector(0.4)" for rule in rules(found["spec"]["groups"]))
    assert "ratio" in refusal(version, *words, "--set", "prometheusRule.thresholds.ratio=0.4")


def test_further_rules_and_groups_are_added_untouched() -> None:
    found = one(case("helm-4", "operators-values.yaml"), "PrometheusRule")["spec"]["groups"]
    given = yaml.safe_load((CHART / "ci" / "operators-values.yaml").read_text())["prometheusRule"]

    assert found[-2] == {"name": "sendgrid-additional", "rules": given["additionalRules"]}
    assert found[-1] == given["additionalGroups"][0]


def test_group_names_are_unique() -> None:
    names = [
        group["name"] for group in one(case("helm-4", "operators-values.yaml"), "PrometheusRule")["spec"]["groups"]
    ]

    assert len(set(names)) == len(names)


def runbooks(board: dict[str, Any]) -> dict[str, str]:
    """Return where each problem of the dashboard's first table leads."""
    table = next(panel for panel in board["panels"] if panel["type"] == "table")
    overrides = [one for one in table["fieldConfig"]["overrides"] if one["matcher"]["options"] == "runbook"]
    properties = [each for override in overrides for each in override["properties"] if each["id"] == "mappings"]
    return {
        name: page["text"] for each in properties for found in each["value"] for name, page in found["options"].items()
    }


def dashboards(objects: list[Object]) -> list[Object]:
    return [found for found in objects if found["kind"] == "ConfigMap" and found["metadata"]["name"] != NAME]


@pytest.mark.parametrize("version", HELMS)
def test_each_dashboard_is_a_config_map_that_the_sidecar_finds(version: str) -> None:
    found = dashboards(case(version, "demo-values.yaml"))

    assert len(found) == len(DASHBOARDS) > 0
    for path, each in zip(DASHBOARDS, found, strict=True):
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"]["grafana_folder"] == "SendGrid"
        assert json.loads(each["data"][path.name]) == json.loads(path.read_text())
        assert len(each["data"][path.name].encode()) < 1_000_000


def test_the_grafana_operator_is_pointed_at_config_maps_that_no_sidecar_takes() -> None:
    objects = case("helm-4", "operators-values.yaml")
    references = [found["spec"]["configMapRef"] for found in objects if found["kind"] == "GrafanaDashboard"]
    maps = {found["metadata"]["name"]: found for found in dashboards(objects)}

    assert len(references) == len(DASHBOARDS)
    for reference in references:
        assert reference["key"] in maps[reference["name"]]["data"]
        assert maps[reference["name"]]["metadata"]["namespace"] == "grafana"
        assert "grafana_dashboard" not in maps[reference["name"]]["metadata"]["labels"]
