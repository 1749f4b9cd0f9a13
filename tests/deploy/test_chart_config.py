"""The configuration that the chart writes is one that the exporter takes, and knows the exporter's keys."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

from exporter.settings.model import Settings
from tests.deploy.chart import CASES, CHART, HELMS, ROOT, Object, case, configuration, exporter, least, render
from tests.programs import needs

pytestmark = needs(*HELMS)

# Keys that the chart derives from other values, and the key itself, which has no place in a ConfigMap.
BY_THE_CHART = {
    "sendgrid": {"api_key", "api_key_file"},
    "web": {"listen_address", "config_file"},
    "state": {"path"},
    "shard": {"index", "total"},
}


MOUNTED = "/etc/sendgrid-automation-exporter/"
# What stands in a Secret that is not the chart's.
THEIRS = f"""
tls_server_config:
  cert_file: {MOUNTED}tls/tls.crt
  key_file: {MOUNTED}tls/tls.key
  client_ca_file: {MOUNTED}tls/tls.crt
  client_auth_type: RequireAndVerifyClientCert
"""


def web_configuration(objects: list[Object]) -> str:
    """Return the web configuration that the chart wrote, or that it was pointed at."""
    for found in objects:
        if found["kind"] == "Secret" and "web-config.yml" in found["data"]:
            return base64.b64decode(found["data"]["web-config.yml"]).decode()
    return THEIRS


def check(objects: list[Object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the exporter's own --check on a rendered configuration, with its Secrets' files below the folder."""
    text = configuration(objects).replace(MOUNTED, f"{folder}/")
    (folder / "key").mkdir()
    (folder / "key" / "api-key").write_text("SG.of-a-test\n")
    (folder / "web").mkdir()
    (folder / "web" / "web-config.yml").write_text(web_configuration(objects).replace(MOUNTED, f"{folder}/"))
    (folder / "tls").mkdir()
    issued = trustme.CA().issue_cert("exporter.example.org")
    issued.cert_chain_pems[0].write_to_path(folder / "tls" / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls" / "tls.key")
    (folder / "exporter.yaml").write_text(text)
    words = [word for word in exporter(objects)["args"] if not word.startswith("--config.file=")]
    environment = {found["name"]: found.get("value", "pod-3") for found in exporter(objects).get("env", ())}
    command = [sys.executable, "-m", "exporter", f"--config.file={folder / 'exporter.yaml'}", "--check", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", CASES)
def test_the_exporter_accepts_every_rendered_configuration(name: str, tmp_path: Path) -> None:
    done = check(case("helm-4", name), tmp_path)

    assert done.returncode == 0, done.stderr


def test_every_setting_arrives_as_it_was_given(tmp_path: Path) -> None:
    shown = yaml.safe_load(check(case("helm-4", "inline-key-values.yaml"), tmp_path).stdout)
    given = yaml.safe_load((CHART / "ci" / "inline-key-values.yaml").read_text())["config"]

    assert shown["automations"][1]["name"] == given["automations"][1]["name"]
    for group in ("sendgrid", "labels"):
        assert {key: shown[group][key] for key in given[group]} == given[group]
    assert shown["poll"] == given["poll"]


@pytest.mark.parametrize("version", HELMS)
def test_large_numbers_stay_whole_numbers(version: str) -> None:
    text = configuration(case(version, "inline-key-values.yaml"))

    assert "max_links: 1000000\n" in text
    assert "interval: 900\n" in text


def test_the_values_and_the_settings_know_the_same_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    groups = {
        name: type(field).model_fields
        for name, field in ((name, getattr(Settings(), name)) for name in Settings.__dataclass_fields__)
        if hasattr(type(field), "model_fields")
    }
    wanted = {name: set(fields) - BY_THE_CHART.get(name, set()) for name, fields in groups.items()}

    assert schema["automations"]["items"]["properties"].keys() == {"id", "name", "step_ids", "interval"}
    assert {name: set(schema[name]["properties"]) for name in schema if name != "automations"} == {
        name: keys for name, keys in wanted.items() if keys
    }


def test_the_exporter_listens_where_the_service_leads() -> None:
    objects = render("helm-4", *least(containerPort="20154"))

    assert yaml.safe_load(configuration(objects))["web"]["listen_address"] == ":20154"
    assert exporter(objects)["ports"][0]["containerPort"] == 20154
