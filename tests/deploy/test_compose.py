"""The demo stack: valid, complete, and reachable from this machine only."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.chart import ROOT
from tests.programs import needs, program

COMPOSE: Final = yaml.safe_load((ROOT / "compose.yaml").read_text())
VARIABLES: Final = {
    "EXPORTER_AUTOMATIONS": "a1b2c3d4-1111-4222-8333-1234567890ab",
    "SENDGRID_API_KEY_FILE": "./LICENSE",
}


def compose(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [program("docker-compose"), *words]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def configured(*files: str, **variables: str) -> dict[str, Any]:
    words = [word for name in files for word in ("-f", name)]
    done = compose(*words, "config", "--format", "json", **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs("docker-compose")
def test_the_demo_is_valid_and_needs_nothing() -> None:
    services = configured("compose.yaml")["services"]

    assert services.keys() == {"exporter", "prometheus", "alertmanager", "grafana"}
    assert services["exporter"]["command"] == ["--demo"]


@needs("docker-compose")
def test_every_mounted_path_exists_and_is_mounted_for_reading_only() -> None:
    services = configured("compose.yaml", "compose.real.yaml", **VARIABLES)["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ()) if mount["type"] == "bind"]

    assert len(mounts) >= 5
    for mount in mounts:
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount["read_only"], mount["source"]


@needs("docker-compose")
def test_the_real_key_is_a_file_and_replaces_the_demo() -> None:
    found = configured("compose.yaml", "compose.real.yaml", **VARIABLES)
    exporter = found["services"]["exporter"]

    assert "--demo" not in exporter["command"]
    assert exporter["environment"]["SENDGRID_API_KEY_FILE"] == "/run/secrets/sendgrid-api-key"
    assert found["secrets"]["sendgrid-api-key"]["file"] == str(ROOT / "LICENSE")
    assert "SENDGRID_API_KEY" not in exporter["environment"]


@needs("docker-compose")
@pytest.mark.parametrize("missing", VARIABLES)
def test_a_missing_variable_is_asked_for_in_a_sentence(missing: str) -> None:
    given = {name: value for name, value in VARIABLES.items() if name != missing}
    done = compose("-f", "compose.yaml", "-f", "compose.real.yaml", "config", **given)

    assert done.returncode != 0
    assert re.search(rf"{missing}.*: name the", done.stderr)


def test_the_exporter_is_confined_and_no_port_leaves_this_machine() -> None:
    exporter = COMPOSE["services"]["exporter"]
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]

    assert exporter["read_only"] is True
    assert exporter["cap_drop"] == ["ALL"]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_foreign_image_is_of_one_release() -> None:
    images = {name: service["image"] for name, service in COMPOSE["services"].items() if "build" not in service}

    assert len(images) == 3
    assert all(re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", image) for image in images.values())


@needs("promtool")
def test_prometheus_takes_its_configuration_and_finds_the_services(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "compose" / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules", str(ROOT / "prometheus" / "rules")))
    command = [program("promtool"), "check", "config", tmp_path / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    targets = {match for match in re.findall(r'targets: \["([\w-]+):(\d+)"\]', text) if match[0] != "localhost"}

    assert done.returncode == 0, done.stdout + done.stderr
    assert "rule" in done.stdout
    assert targets == {("exporter", "10154"), ("alertmanager", "9093")}
    assert {name for name, _ in targets} <= COMPOSE["services"].keys()


@needs("amtool")
def test_alertmanager_takes_its_configuration() -> None:
    command = [program("amtool"), "check-config", ROOT / "deploy" / "compose" / "alertmanager.yml"]

    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    folder = ROOT / "grafana" / "provisioning"
    sources = [
        each for path in folder.glob("datasources/*.y*ml") for each in yaml.safe_load(path.read_text())["datasources"]
    ]
    providers = [
        each for path in folder.glob("dashboards/*.y*ml") for each in yaml.safe_load(path.read_text())["providers"]
    ]
    mounts = {words.split(":")[1]: words.split(":")[0] for words in COMPOSE["services"]["grafana"]["volumes"]}

    assert [(each["type"], each["url"]) for each in sources] == [("prometheus", "http://prometheus:9090")]
    assert [mounts.get(each["options"]["path"]) for each in providers] == ["./grafana/dashboards"]
