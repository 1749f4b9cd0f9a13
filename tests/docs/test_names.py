"""The documents name only settings, flags and metrics that there are, and explain every way a poll can fail."""

import re
from pathlib import Path
from typing import Final

import pytest

from exporter.domain import Outcome
from exporter.settings.reference import reference
from tests.programs import ROOT

pytestmark = pytest.mark.contract

PAGES: Final = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "helm").glob("*/README.md")]
# What other releases had, or what only an example has.
HISTORY: Final = {"CHANGELOG.md", "upgrading.md"}
# Named where it is said what came in their place.
GONE_ALERTS: Final = {"SendGridNumbersStandStill"}
SETTINGS: Final = {".".join(setting.path) for setting in reference()}
# `config.` is the chart's word for the file as well.
GROUPS: Final = {name.partition(".")[0] for name in SETTINGS if "." in name} - {"config"}
_FILES: Final = {"yaml", "yml", "service", "path", "socket", "conf", "md", "py", "tmpl", "container", "json"}
FAMILIES: Final = set(
    re.findall(r"^# TYPE (\S+)", (ROOT / "tests" / "data" / "golden" / "scrape.txt").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize(
    "page", [page for page in sorted(PAGES) if page.name not in HISTORY], ids=lambda page: page.stem
)
def test_page_names_settings_and_metrics_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    keys = re.findall(rf"`((?:{'|'.join(sorted(GROUPS))})\.([a-z_]+))(?::[^`]*)?`", text)
    unknown = [key for key, last in keys if key not in SETTINGS and last not in _FILES]
    metrics = set(re.findall(r"\bsendgrid_exporter_[a-z_]+\b", text))
    unknown += [
        name for name in metrics if not {name, f"{name}_total", re.sub("_(bucket|sum|count)$", "", name)} & FAMILIES
    ]

    assert not unknown


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.stem)
def test_page_names_alerts_that_there_are(page: Path) -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "prometheus").glob("*/*.yml"))
    alerts = set(re.findall(r"- alert: (\w+)", rules))
    assert len(alerts) > 20

    assert set(re.findall(r"`(SendGrid[A-Z]\w+)`", page.read_text(encoding="utf-8"))) - alerts <= GONE_ALERTS


def test_the_series_behind_an_alert_are_recorded() -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "prometheus" / "rules").glob("*.yml"))
    page = (ROOT / "docs" / "alerts.md").read_text()

    named = set(re.findall(r"\bjob(?:_[a-z]+)*:sendgrid_[a-z_]+:[a-z_]+", page))
    assert named
    assert named <= set(re.findall(r"- record: (\S+)", rules))


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.SUCCESS])
def test_troubleshooting_has_a_next_step_for_each_failure(outcome: Outcome) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()

    assert re.search(rf"^\| `{outcome}`[^|]*\|[^|]+\|[^|]+\|$", page, re.MULTILINE)
