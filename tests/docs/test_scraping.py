"""docs/scraping.md: what it says to paste is taken by the programs that can be had, and finds the exporter."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.programs import ROOT, needs, program

pytestmark = pytest.mark.contract

PAGE: Final = ROOT / "docs" / "scraping.md"
JOB: Final = "sendgrid-automation-exporter"


def _blocks(section: str) -> list[tuple[str, str]]:
    """Return the language and text of each code block of a section."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _yaml(section: str) -> Any:
    (text,) = (text for language, text in _blocks(section) if language == "yaml")
    return yaml.safe_load(text)


def _collector() -> Any:
    return _yaml("OpenTelemetry Collector")["receivers"]["prometheus"]["config"]


@needs("promtool")
@pytest.mark.parametrize("section", ["Prometheus", "OpenTelemetry Collector"])
def test_promtool_takes_the_scrape_configuration(section: str, tmp_path: Path) -> None:
    config = _collector() if section.startswith("Open") else _yaml(section)
    written = tmp_path / "prometheus.yml"
    written.write_text(yaml.safe_dump(config))

    checked = subprocess.run(
        [program("promtool"), "check", "config", written], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert [one["job_name"] for one in config["scrape_configs"]] == [JOB]


@needs("vmagent")
def test_vmagent_takes_prometheus_configuration_as_the_page_says(tmp_path: Path) -> None:
    scraping = tmp_path / "prometheus.yml"
    scraping.write_text(yaml.safe_dump(_yaml("Prometheus")))

    def status(config: Path, *flags: str) -> int:
        command = [
            program("vmagent"),
            "-dryRun",
            f"-promscrape.config={config}",
            "-remoteWrite.url=http://127.0.0.1:1/",
        ]
        return subprocess.run([*command, *flags], capture_output=True, check=False, cwd=tmp_path).returncode

    whole = ROOT / "prometheus" / "prometheus.yml"
    assert status(scraping) == 0
    assert status(whole) != 0
    assert status(whole, "-promscrape.config.strictParse=false") == 0


def test_alloy_and_datadog_find_what_the_exporter_has() -> None:
    ((_, alloy),) = _blocks("Grafana Alloy and Grafana Cloud")
    assert f'job_name        = "{JOB}"' in alloy
    # Each component that is sent to is there.
    assert set(re.findall(r"prometheus\.remote_write\.(\w+)\.receiver", alloy)) == set(
        re.findall(r'prometheus\.remote_write "(\w+)"', alloy)
    )
    assert alloy.count("{") == alloy.count("}")

    (instance,) = _yaml("Datadog")["instances"]
    golden = (ROOT / "tests" / "data" / "golden" / "scrape.txt").read_text()
    families = re.findall(r"^# TYPE (\S+)", golden, re.MULTILINE)
    for pattern in instance["metrics"]:
        assert [name for name in families if re.match(pattern, name)], pattern
