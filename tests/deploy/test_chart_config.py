"""The configuration that the chart writes is one that the exporter takes, and knows the exporter's keys."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

from exporter.settings import Settings
from tests.deploy.chart import (
    AUTOMATION,
    CASES,
    CHART,
    HELMS,
    NAME,
    ROOT,
    Object,
    case,
    configuration,
    configured,
    exporter,
    least,
    one,
    refusal,
    render,
    secret,
)
from tests.programs import needs

pytestmark = needs(*HELMS)

# Keys that the chart derives from other values, and the key itself, which has no place in a ConfigMap.
BY_THE_CHART = {
    "sendgrid": {"api_key", "api_key_file"},
    "web": {"listen_address", "config_file", "systemd_socket"},
    "state": {"path"},
    "shard": {"index", "total"},
}
# What stands beside the exporter's groups: the list, and where else the whole file may come from.
NOT_GROUPS = {"automations", "existingSecret", "existingConfigMap"}

MOUNTED = "/etc/sendgrid-automation-exporter/"
COMPANY_CA = "/etc/company-ca/ca.pem"
# What stands in a Secret that is not the chart's.
THEIRS = f"""
tls_server_config:
  cert_file: {MOUNTED}tls/tls.crt
  key_file: {MOUNTED}tls/tls.key
  client_ca_file: {MOUNTED}tls/tls.crt
  client_auth_type: RequireAndVerifyClientCert
"""

# A whole configuration file that is not the chart's either.
OWN = f"automations: [{AUTOMATION}]\npoll: {{interval: 10m}}\nweb: {{telemetry_path: /another}}\n"


def web_configuration(objects: list[Object]) -> str:
    """Return the web configuration that the chart wrote, or that it was pointed at."""
    for found in objects:
        if found["kind"] == "Secret" and "web-config.yml" in found["data"]:
            return secret(objects, found["metadata"]["name"], "web-config.yml")
    return THEIRS


def value_of(objects: list[Object], variable: Object) -> str:
    """Return what the container sees in the variable, were it pod number 2."""
    if "valueFrom" not in variable:
        return str(variable["value"])
    reference = variable["valueFrom"].get("secretKeyRef")
    return secret(objects, reference["name"], reference["key"]) if reference else "pod-2"


def check(objects: list[Object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the exporter's own --check on a rendered configuration, with its Secrets' files below the folder."""
    maps = [found for found in objects if found["kind"] == "ConfigMap" and "exporter.yaml" in found.get("data", ())]
    text = (configuration(objects) if maps else OWN).replace(MOUNTED, f"{folder}/")
    (folder / "key").mkdir()
    (folder / "key" / "api-key").write_text("SG.of-a-test\n")
    (folder / "web").mkdir()
    (folder / "web" / "web-config.yml").write_text(web_configuration(objects).replace(MOUNTED, f"{folder}/"))
    (folder / "tls").mkdir()
    issued = trustme.CA().issue_cert("exporter.example.org")
    issued.cert_chain_pems[0].write_to_path(folder / "tls" / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls" / "tls.key")
    trustme.CA().cert_pem.write_to_path(folder / "ca.pem")
    (folder / "exporter.yaml").write_text(text.replace(COMPANY_CA, f"{folder}/ca.pem"))
    words = [word.replace(MOUNTED, f"{folder}/") for word in exporter(objects)["args"]]
    words.remove(f"--config.file={folder}/config/exporter.yaml")
    environment = {found["name"]: value_of(objects, found) for found in exporter(objects).get("env", ())}
    command = [sys.executable, "-m", "exporter", f"--config.file={folder / 'exporter.yaml'}", "--check", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", CASES)
def test_the_exporter_accepts_every_rendered_configuration(name: str, tmp_path: Path) -> None:
    done = check(case("helm-4", name), tmp_path)

    assert done.returncode == 0, done.stderr


def test_every_setting_arrives_as_it_was_given(tmp_path: Path) -> None:
    shown = yaml.safe_load(check(case("helm-4", "inline-key-values.yaml"), tmp_path).stdout)
    given = yaml.safe_load((CHART / "ci" / "inline-key-values.yaml").read_text())["config"]

    assert shown["automations"][0] == given["automations"][0]
    assert shown["automations"][1]["name"] == given["automations"][1]["name"]
    assert shown["sd"]["exclude"][-1:] == given["sd"].pop("exclude")
    given["sendgrid"]["ca_file"] = str(tmp_path / "ca.pem")
    for group in given.keys() - NOT_GROUPS:
        assert {key: shown[group][key] for key in given[group]} == given[group]


def test_the_file_of_every_setting_has_every_setting() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    given = yaml.safe_load((CHART / "ci" / "inline-key-values.yaml").read_text())["config"]

    assert {name: given[name].keys() for name in schema.keys() - NOT_GROUPS} == {
        name: schema[name]["properties"].keys() for name in schema.keys() - NOT_GROUPS
    }
    assert given["automations"][0].keys() == schema["automations"]["items"]["properties"].keys()


@pytest.mark.parametrize("version", HELMS)
def test_an_account_whose_automations_are_found_needs_no_list(version: str, tmp_path: Path) -> None:
    done = check(
        render(version, values=configured(config={"automations": [], "discovery": {"mode": "poll"}})), tmp_path
    )

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["discovery"]["mode"] == "poll"


@pytest.mark.parametrize("version", HELMS)
def test_large_numbers_stay_whole_numbers(version: str) -> None:
    text = configuration(case(version, "inline-key-values.yaml"))

    assert "max_links: 1000000\n" in text
    assert "interval: 900\n" in text


def test_the_values_and_the_settings_know_the_same_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    groups = {
        name: type(field).model_fields
        for name, field in ((name, getattr(Settings(), name)) for name in Settings.model_fields)
        if hasattr(type(field), "model_fields")
    }
    wanted = {name: set(fields) - BY_THE_CHART.get(name, set()) for name, fields in groups.items()}

    assert schema["automations"]["items"]["properties"].keys() == {
        "id",
        "name",
        "step_ids",
        "interval",
        "steps",
        "labels",
    }
    assert {name: set(schema[name]["properties"]) for name in schema.keys() - NOT_GROUPS} == {
        name: keys for name, keys in wanted.items() if keys
    }


def test_the_exporter_listens_where_the_service_leads() -> None:
    objects = render("helm-4", *least(containerPort="20154"))

    assert yaml.safe_load(configuration(objects))["web"]["listen_address"] == ":20154"
    assert exporter(objects)["ports"][0]["containerPort"] == 20154


def test_a_proxy_with_a_password_is_kept_in_a_secret() -> None:
    objects = case("helm-4", "google-values.yaml")
    reference = exporter(objects)["env"][0]["valueFrom"]["secretKeyRef"]

    assert "of-a-test" not in json.dumps([found for found in objects if found["kind"] != "Secret"])
    assert secret(objects, reference["name"], reference["key"]) == "http://exporter:of-a-test@proxy.example.org:3128"


def test_a_changed_proxy_password_makes_new_pods() -> None:
    def checksum(password: str) -> str:
        proxy = {"sendgrid": {"proxy": f"http://me:{password}@proxy:3128"}}
        objects = render("helm-4", values=configured(config=proxy))
        return str(one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/secret"])

    assert checksum("a") == checksum("a") != checksum("b")


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        ({"config": {"sendgrid": {"proxy": "http://proxy.example.org:3128"}}}, [443, 3128]),
        ({"config": {"sendgrid": {"proxy": "http://me:s3cret@proxy.example.org:3128/"}}}, [443, 3128]),
        ({"config": {"sendgrid": {"proxy": "http://[fd00::1]"}}}, [443, 80]),
        ({"config": {"sendgrid": {"base_url": "http://gateway.example.org:8080"}}}, [443, 8080]),
        ({"config": {"sendgrid": {"base_url": "https://api.eu.sendgrid.com"}}}, [443]),
        ({"extraEnv": [{"name": "EXPORTER_SENDGRID__PROXY", "value": "https://proxy:8443"}]}, [443, 8443]),
        ({"extraArgs": ["--sendgrid.proxy=http://proxy:3128"]}, [443, 3128]),
        ({"extraArgs": ["--sendgrid.base_url", "https://gateway:8443"]}, [443, 8443]),
    ],
)
def test_a_closed_network_opens_the_port_of_the_proxy_or_gateway(values: Object, ports: list[int]) -> None:
    closed = {"networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    policy = one(render("helm-4", values=configured(**values, **closed)), "NetworkPolicy")

    assert [port["port"] for port in policy["spec"]["egress"][1]["ports"]] == ports


@pytest.mark.parametrize("kind", ["existingSecret", "existingConfigMap"])
@pytest.mark.parametrize("version", HELMS)
def test_the_whole_file_may_come_from_an_object_of_ones_own(version: str, kind: str) -> None:
    values = configured(config={"automations": [], kind: {"name": "ours", "key": "exporter.yml"}})
    objects = render(version, values=values)
    volume = next(
        found
        for found in one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
        if found["name"] == "config"
    )
    source = {"existingSecret": "secret", "existingConfigMap": "configMap"}[kind]

    assert "exporter.yaml" not in one(objects, "ConfigMap", NAME)["data"]
    assert volume["projected"]["sources"] == [
        {"configMap": {"name": NAME}},
        {source: {"name": "ours", "items": [{"key": "exporter.yml", "path": "exporter.yaml"}]}},
    ]


def test_a_configuration_in_a_secret_may_hold_the_key_and_then_none_is_mounted() -> None:
    objects = render("helm-4", values={"config": {"existingSecret": {"name": "ours"}}})
    words = exporter(objects)["args"]

    assert not [word for word in words if word.startswith("--sendgrid.api-key-file")]
    assert "key" not in {mount["name"] for mount in exporter(objects)["volumeMounts"]}
    assert "no SendGrid key" in refusal("helm-4", values={"config": {"existingConfigMap": {"name": "ours"}}})


def test_what_the_chart_decides_wins_over_a_file_of_ones_own(tmp_path: Path) -> None:
    shown = yaml.safe_load(check(case("helm-4", "own-configuration-values.yaml"), tmp_path).stdout)

    assert shown["web"]["telemetry_path"] == "/scrape"
    assert shown["web"]["listen_address"] == [":10154"]
    assert shown["web"]["enable_lifecycle"] is True
    assert shown["shard"] == {"index": 2, "total": 3}
    assert shown["poll"]["interval"] == "10m"


@pytest.mark.parametrize("version", HELMS)
def test_a_list_that_no_config_map_holds_is_refused_in_words(version: str) -> None:
    ids = [{"id": f"{number:08x}-1111-4222-8333-1234567890ab", "name": "n" * 60} for number in range(10_000)]

    message = refusal(version, values=configured(config={"automations": ids}))

    assert "10000 automations make a configuration of" in message
    assert "config.existingConfigMap" in message


def test_a_list_beyond_kubectls_annotation_asks_argo_cd_for_a_server_side_apply() -> None:
    def annotations(count: int) -> Object:
        ids = [{"id": f"{number:08x}-1111-4222-8333-1234567890ab"} for number in range(count)]
        found = one(render("helm-4", values=configured(config={"automations": ids})), "ConfigMap", NAME)
        return dict(found["metadata"].get("annotations", {}))

    assert annotations(1000) == {}
    assert annotations(6000) == {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}


def test_the_file_of_a_rollout_that_failed_does_not_change_the_running_shards() -> None:
    two, four = (configuration(render("helm-4", values=configured(sharding={"total": total}))) for total in (2, 4))

    assert two == four


@pytest.mark.parametrize("name", ["POD_NAME", "EXPORTER_SENDGRID__PROXY"])
def test_a_variable_of_the_chart_cannot_be_given_twice(name: str) -> None:
    values = configured(
        sharding={"total": 2},
        extraEnv=[{"name": name, "value": "mine"}],
        config={"sendgrid": {"proxy": "http://me:secret@proxy:3128"}},
    )

    assert f"extraEnv: the chart itself sets {name}" in refusal("helm-4", values=values)
