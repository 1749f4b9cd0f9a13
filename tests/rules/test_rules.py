"""The rule files: as generated, clean, tested alert by alert, and explained."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from prometheus.source import files
from tests.rules.conftest import PROMETHEUS, ROOT

RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
UNSTABLE = ("mad_over_time", "double_exponential_smoothing", "holt_winters", "first_over_time", "fill(", "limitk(")


def _rules(path: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for path in RULES for rule in _rules(path) if "alert" in rule}


def _checks() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in UNIT_TESTS]
    groups = [group for document in documents for group in document["tests"]]
    return [check for group in groups for check in group.get("alert_rule_test") or []]


def test_committed_files_are_what_the_source_generates() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in RULES}

    assert committed == dict(files.texts())


def test_promtool_finds_nothing_to_say(promtool: str) -> None:
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_unit_tests_pass(promtool: str, path: Path) -> None:
    done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    cases = [check["exp_alerts"] for check in _checks() if check["alertname"] == alert]

    assert any(cases)
    assert not all(cases)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alert_says_what_people_need(alert: str) -> None:
    rule = ALERTS[alert]

    assert alert.startswith("SendGrid")
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule["annotations"]["summary"].endswith(".")


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_runbook_has_a_section_for_the_alert(alert: str) -> None:
    address, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert address.endswith("/docs/alerts.md")
    assert anchor in [heading.lower() for heading in headings]


def test_public_address_is_the_one_of_the_project() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    homepage = package["project"]["urls"]["Homepage"]
    alerts = [rule for path in RULES for rule in _rules(path) if "alert" in rule]

    assert alerts
    for rule in alerts:
        assert str(rule["annotations"]["runbook_url"]).startswith(f"{homepage}/blob/main/docs/alerts.md#")


def test_nothing_needs_a_feature_flag_or_takes_totals_for_counters() -> None:
    text = "\n".join(str(rule["expr"]) for path in RULES for rule in _rules(path))

    assert [name for name in UNSTABLE if name in text] == []
    assert re.findall(r"\b(?:rate|increase|delta)\((?:automation_|job_)\w*", text) == []


def test_alerts_on_the_exporter_never_name_an_automation_in_a_label() -> None:
    named = [
        check
        for check in _checks()
        if check["alertname"].startswith(("SendGridExporter", "SendGridNumbers"))
        and any("automation_id" in found["exp_labels"] for found in check["exp_alerts"])
    ]

    assert named == []
