"""The rule files: as generated, clean, tested alert by alert, and explained."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import needs
from tests.rules.conftest import PROMETHEUS, ROOT
from tools.rules import files

RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
UNSTABLE = ("mad_over_time", "double_exponential_smoothing", "holt_winters", "first_over_time", "fill(", "limitk(")


def _rules(path: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


EVERY_ALERT = [rule for path in RULES for rule in _rules(path) if "alert" in rule]
ALERTS = {rule["alert"]: rule for rule in EVERY_ALERT}
CLICKS = [path for path in UNIT_TESTS if path.stem.startswith("clicks")]
"""Weeks of clicks, for which Debian's promtool alone takes up to a minute."""
SHORT = ("clicks-batch", "clicks-outage")
"""Of these, what takes seconds: one quiet history, and the shortest."""


def _checks() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in UNIT_TESTS]
    groups = [group for document in documents for group in document["tests"]]
    return [check for group in groups for check in group.get("alert_rule_test") or []]


def test_committed_files_are_what_the_source_generates() -> None:
    texts = files.texts()
    committed = {path.name: path.read_text(encoding="utf-8") for path in RULES if path.name in texts}

    assert committed == dict(texts)


def test_page_of_recorded_series_says_what_the_rules_say() -> None:
    page = (ROOT / "docs" / "metrics-recorded.md").read_text(encoding="utf-8")

    assert files.documented(page) == page
    assert re.findall(r"^\| `.*\{.*|^\| `.*[^.] \|$", page, re.MULTILINE) == []


def test_promtool_finds_nothing_to_say(promtool: str) -> None:
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def _unit_test(promtool: str, path: Path) -> None:
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(set(UNIT_TESTS) - set(CLICKS)), ids=lambda path: path.stem)
def test_unit_tests_pass(promtool: str, path: Path) -> None:
    _unit_test(promtool, path)


@needs("promtool")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem in SHORT else pytest.mark.long, id=path.stem) for path in CLICKS],
)
def test_unit_tests_of_weeks_pass_with_one_promtool(path: Path) -> None:
    """Both ages of promtool check the rules and run the short tests; one is enough for what takes a minute."""
    _unit_test("promtool", path)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    cases = [check["exp_alerts"] for check in _checks() if check["alertname"] == alert]

    assert any(cases)
    assert not all(cases)


@pytest.mark.parametrize("rule", EVERY_ALERT, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_alert_says_what_people_need(rule: dict[str, Any]) -> None:
    assert rule["alert"].startswith("SendGrid")
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    of_automation = "$labels.automation_id" in rule["annotations"]["dashboard_url"]
    assert set(rule["annotations"]) - {"sendgrid_url"} == {"summary", "description", "runbook_url", "dashboard_url"}
    assert ("sendgrid_url" in rule["annotations"]) == ("group_left (team)" in rule["expr"]) == of_automation
    assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_runbook_has_a_section_for_the_alert(alert: str) -> None:
    address, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert address.endswith("/docs/alerts.md{{ end }}")
    assert anchor in [heading.lower() for heading in headings]


def test_public_address_is_the_one_of_the_project() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    homepage = package["project"]["urls"]["Homepage"]

    for rule in EVERY_ALERT:
        runbook = f"{{{{ . }}}}{{{{ else }}}}{homepage}/blob/main/docs/alerts.md{{{{ end }}}}#"
        assert str(rule["annotations"]["runbook_url"]).startswith(
            f"{{{{ with $externalLabels.sendgrid_runbook_url }}}}{runbook}"
        )


@pytest.mark.parametrize("rule", EVERY_ALERT, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_grafana_has_one_address_and_a_path_stays_without_it(rule: dict[str, Any]) -> None:
    grafana = "{{ with $externalLabels.sendgrid_grafana_url }}{{ . }}{{ end }}/d/sendgrid-"

    assert rule["annotations"]["dashboard_url"].startswith(grafana)


def test_nothing_needs_a_feature_flag_or_takes_totals_for_counters() -> None:
    text = "\n".join(str(rule["expr"]) for path in RULES for rule in _rules(path))

    assert [name for name in UNSTABLE if name in text] == []
    assert re.findall(r"\b(?:rate|increase|delta)\((?:automation_|job_)\w*", text) == []


def test_alerts_on_the_exporter_never_name_an_automation_in_a_label() -> None:
    named = [
        check
        for check in _checks()
        if check["alertname"].startswith(("SendGridExporter", "SendGridAccount"))
        and any("automation_id" in found["exp_labels"] for found in check["exp_alerts"])
    ]

    assert named == []


@pytest.mark.parametrize("name", ["sendgrid-clicks.yml", "sendgrid-deliveries.yml"])
def test_rules_can_be_read_at_night(name: str) -> None:
    path = PROMETHEUS / "rules" / name
    recorded = {rule["record"] for rule in _rules(path) if "record" in rule}
    page = (ROOT / "docs" / "metrics-recorded.md").read_text(encoding="utf-8")

    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert len(recorded) <= 40
    assert [name for name in sorted(recorded) if f"`{name}`" not in page] == []


@pytest.mark.long
def test_alerts_are_the_same_where_a_ruler_adds_a_label_to_what_it_records(tmp_path: Path) -> None:
    """An enforced label, or a ruler's external ones, stand on recorded series and not on scraped ones."""
    text = (PROMETHEUS / "rules" / "sendgrid-clicks.yml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    for group in document["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                rule["labels"] = {**rule.get("labels", {}), "tenant": "shop"}
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "sendgrid-clicks.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (tmp_path / "tests").mkdir()
    case = (PROMETHEUS / "tests" / "clicks-tracking.yml").read_text(encoding="utf-8")
    (tmp_path / "tests" / "case.yml").write_text(case, encoding="utf-8")
    command = ["promtool", "test", "rules", str(tmp_path / "tests" / "case.yml")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
