"""What a release of the chart does in a cluster, read from what helm renders."""

import base64
from typing import Any

import pytest
import yaml

from tests.deploy.chart import (
    AUTOMATION,
    CASES,
    CHART,
    HELMS,
    NAME,
    NAMESPACE,
    case,
    configuration,
    configured,
    exporter,
    helm,
    kinds,
    least,
    one,
    pod_specs,
    refusal,
    render,
    workload,
)
from tests.programs import needs

pytestmark = needs(*HELMS)

PAGE = f"https://mc.sendgrid.com/0b1c2d3e-2222-4222-8333-1234567890ab/automations/{AUTOMATION}/detail"
REFUSED = {
    "no key": (
        ["--set", f"config.automations[0].id={AUTOMATION}"],
        "no SendGrid key: set sendgrid.existingSecret.name",
    ),
    "two keys": (least(sendgrid__apiKey="SG.x"), "two SendGrid keys"),
    "no automations": (["--set", "sendgrid.apiKey=SG.x"], "no automations: list them under config.automations"),
    "an id twice": (
        [*least(), "--set", f"config.automations[1].id={AUTOMATION.upper()}"],
        f"the id {AUTOMATION.upper()} is listed twice",
    ),
    "an id, and the address of its page": (
        [*least(), "--set", f"config.automations[1].id={PAGE}"],
        f"the id {PAGE} is listed twice",
    ),
    "two replicas": (least(replicaCount="2"), "set sharding.total"),
    "two web configurations": (
        least(webConfig__existingSecret__name="web", webConfig__content__basic_auth_users__me="x"),
        "two web configurations",
    ),
    "TLS without a web configuration": (least(webConfig__tls="true"), "there is no web configuration"),
    "client certificates without TLS": (
        least(webConfig__existingSecret__name="web", webConfig__clientCertificates="true"),
        "client certificates need TLS",
    ),
    "one claim for all shards": (
        least(sharding__total="2", persistence__existingClaim="mine"),
        "persistence.existingClaim cannot serve several shards",
    ),
    "both monitors": (
        least(serviceMonitor__enabled="true", podMonitor__enabled="true"),
        "would scrape every pod twice",
    ),
    "probes that would need a password": (least(config__web__open_health="false"), "probes send no password"),
    "an unknown alert": (
        least(prometheusRule__enabled="true", prometheusRule__defaultRules__disabled__Nope="true"),
        "disabled.Nope: there is no alert of this name",
    ),
    "an unknown threshold": (
        least(prometheusRule__enabled="true", prometheusRule__thresholds__nope="1"),
        "no alert has a threshold nope",
    ),
}


@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_could_only_fail_later_is_refused_with_a_sentence(what: str, version: str) -> None:
    words, sentence = REFUSED[what]

    assert sentence in refusal(version, *words)


def test_the_key_is_a_mounted_file_and_nowhere_else() -> None:
    objects = case("helm-4", "inline-key-values.yaml")
    secret = one(objects, "Secret")
    key = base64.b64decode(secret["data"]["api-key"]).decode()
    rest = yaml.safe_dump([found for found in objects if found is not secret])

    assert key == "SG.not-a-real-key"
    assert key not in rest
    assert "api_key_file: /etc/sendgrid-automation-exporter/key/api-key" in configuration(objects)
    assert {"name": "key", "mountPath": "/etc/sendgrid-automation-exporter/key", "readOnly": True} in exporter(objects)[
        "volumeMounts"
    ]
    assert "env" not in exporter(objects)


def test_an_existing_secret_is_mounted_by_its_own_key_and_none_is_made() -> None:
    objects = case("helm-4", "sharded-values.yaml")
    volumes = workload(objects)["spec"]["template"]["spec"]["volumes"]

    assert "Secret" not in kinds(objects)
    assert {
        "name": "key",
        "secret": {"secretName": "sendgrid", "items": [{"key": "key", "path": "api-key"}]},
    } in volumes


def test_a_changed_configuration_and_a_changed_key_roll_the_pods() -> None:
    def checksums(**values: str) -> dict[str, str]:
        words = ["--set", "sendgrid.apiKey=SG.x", "--set", f"config.automations[0].id={AUTOMATION}"]
        words += [word for name, value in values.items() for word in ("--set", f"{name.replace('__', '.')}={value}")]
        annotations: dict[str, str] = workload(render("helm-4", *words))["spec"]["template"]["metadata"]["annotations"]
        return annotations

    before = checksums()
    other_interval = checksums(config__poll__interval="10m")
    other_key = checksums(sendgrid__apiKey="SG.y")

    assert before == checksums()
    assert before["checksum/config"] != other_interval["checksum/config"]
    assert before["checksum/secret"] != other_key["checksum/secret"]


def test_one_pod_is_a_deployment_that_never_runs_twice() -> None:
    deployment = one(case("helm-4", "default-values.yaml"), "Deployment")

    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate", "rollingUpdate": None}


def test_shards_are_a_statefulset_that_knows_its_numbers() -> None:
    objects = case("helm-4", "sharded-values.yaml")
    spec = one(objects, "StatefulSet")["spec"]
    headless = one(objects, "Service", f"{NAME}-headless")

    assert "Deployment" not in kinds(objects)
    assert (spec["replicas"], spec["podManagementPolicy"]) == (4, "Parallel")
    assert spec["serviceName"] == headless["metadata"]["name"]
    assert headless["spec"]["clusterIP"] == "None"
    assert {"--shard.index=pod", "--shard.total=4"} <= set(exporter(objects)["args"])
    assert exporter(objects)["env"] == [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    assert [claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]] == ["state"]


@pytest.mark.parametrize("version", HELMS)
def test_null_takes_a_setting_of_the_exporter_away(version: str) -> None:
    objects = render(version, *least(config__web__telemetry_path="/m", config__poll="null", config__labels__url="null"))

    assert yaml.safe_load(configuration(objects)).keys() == {"automations", "sendgrid", "state", "web"}


@pytest.mark.parametrize(
    ("name", "scheme"), [("default-values.yaml", "HTTP"), ("tls-values.yaml", "HTTPS"), ("demo-values.yaml", "HTTP")]
)
def test_probes_ask_by_path_and_scheme(name: str, scheme: str) -> None:
    container = exporter(case("helm-4", name))

    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "http", "scheme": scheme}
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "http", "scheme": scheme}


def test_probes_run_in_the_container_where_client_certificates_are_required() -> None:
    container = exporter(case("helm-4", "mtls-values.yaml"))
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    command = container["livenessProbe"]["exec"]["command"]

    assert command[0] == "/opt/exporter/bin/python"
    assert command[3:] == [
        "https://localhost:10154/-/healthy",
        "--certificates=/etc/sendgrid-automation-exporter/probe-tls",
    ]
    assert "/etc/sendgrid-automation-exporter/probe-tls" in mounted
    assert container["readinessProbe"]["exec"]["command"][3].endswith("/-/ready")
    assert container["startupProbe"]["exec"]


def test_client_certificates_are_seen_in_inline_content_and_probes_then_only_shake_hands() -> None:
    words = least(webConfig__content__tls_server_config__client_auth_type="RequireAndVerifyClientCert")
    container = exporter(render("helm-4", *words))

    assert container["livenessProbe"]["exec"]["command"][-1] == "--handshake"


def test_a_closed_health_page_is_asked_with_the_given_headers() -> None:
    container = exporter(case("helm-4", "locked-down-values.yaml"))

    assert container["livenessProbe"]["httpGet"]["httpHeaders"][0]["name"] == "Authorization"


def test_the_web_configuration_is_a_secret_at_the_path_that_the_exporter_reads() -> None:
    objects = case("helm-4", "tls-values.yaml")
    secret = one(objects, "Secret", f"{NAME}-web")
    content = yaml.safe_load(base64.b64decode(secret["data"]["web-config.yml"]))

    assert content["tls_server_config"]["min_version"] == "TLS13"
    assert yaml.safe_load(configuration(objects))["web"]["config_file"] == (
        "/etc/sendgrid-automation-exporter/web/web-config.yml"
    )
    assert {"name": "web", "secret": {"secretName": f"{NAME}-web"}} in workload(objects)["spec"]["template"]["spec"][
        "volumes"
    ]


@pytest.mark.parametrize(
    ("words", "volume"),
    [
        ({}, {"name": "state", "emptyDir": {}}),
        ({"persistence__size": "64Mi"}, {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}}),
        ({"persistence__type": "pvc"}, {"name": "state", "persistentVolumeClaim": {"claimName": NAME}}),
        (
            {"persistence__type": "pvc", "persistence__existingClaim": "mine"},
            {"name": "state", "persistentVolumeClaim": {"claimName": "mine"}},
        ),
    ],
)
def test_the_state_lies_on_the_volume_that_was_asked_for(words: dict[str, str], volume: dict[str, Any]) -> None:
    objects = render("helm-4", *least(**words))
    path = yaml.safe_load(configuration(objects))["state"]["path"]
    mount = next(found for found in exporter(objects)["volumeMounts"] if found["name"] == "state")

    assert volume in workload(objects)["spec"]["template"]["spec"]["volumes"]
    assert path.startswith(mount["mountPath"])
    assert ("PersistentVolumeClaim" in kinds(objects)) == (words == {"persistence__type": "pvc"})


def test_without_persistence_there_is_no_state() -> None:
    objects = case("helm-4", "openshift-values.yaml")

    assert "state" not in yaml.safe_load(configuration(objects))
    assert "state" not in {found["name"] for found in exporter(objects)["volumeMounts"]}


def test_the_mirror_registry_and_the_digest_reach_every_image() -> None:
    wanted = "mirror.example.org/sendgrid-automation-exporter@sha256:" + "0" * 63 + "1"
    specs = list(pod_specs(case("helm-4", "locked-down-values.yaml")))
    images = {
        found["image"] for spec in specs for key in ("containers", "initContainers") for found in spec.get(key, ())
    }

    assert images == {wanted}
    assert all(spec["imagePullSecrets"] == [{"name": "mirror"}, {"name": "second"}] for spec in specs)


def test_names_labels_and_annotations_are_the_users() -> None:
    objects = case("helm-4", "locked-down-values.yaml")
    own = [found for found in objects if found["metadata"]["name"].startswith("marketing-clicks")]
    template = workload(objects)["spec"]["template"]["metadata"]

    assert len(own) >= 6
    for found in own:
        assert found["metadata"]["namespace"] == "marketing"
        assert found["metadata"]["labels"]["team"] == "marketing"
        assert found["metadata"]["annotations"]["example.org/owner"] == "marketing"
    assert {"team", "tier"} <= template["labels"].keys()
    assert template["annotations"]["example.org/pod"] == "yes"


def test_a_network_policy_without_ports_opens_none_but_those_of_dns() -> None:
    closed = {"enabled": True, "egress": {"enabled": True, "ports": [], "to": [{"podSelector": {}}]}}
    spec = one(render("helm-4", values=configured(networkPolicy=closed)), "NetworkPolicy")["spec"]

    assert [{port["port"] for port in rule["ports"]} for rule in spec["egress"]] == [{53, 5353}]


@pytest.mark.parametrize("name", CASES)
def test_selectors_find_the_pods_and_hold_nothing_that_a_release_changes(name: str) -> None:
    objects = case("helm-4", name)
    labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
    selectors = [workload(objects)["spec"]["selector"]["matchLabels"]]
    selectors += [found["spec"]["selector"] for found in objects if found["kind"] == "Service"]
    selectors += [
        found["spec"][key]["matchLabels"]
        for found in objects
        for key in ("selector", "podSelector")
        if found["kind"] in {"PodMonitor", "PodDisruptionBudget", "NetworkPolicy"} and key in found["spec"]
    ]

    for selector in selectors:
        assert selector.items() <= labels.items()
        assert selector.keys() == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


def test_a_label_of_the_user_cannot_break_the_selector() -> None:
    stolen = r"commonLabels.app\.kubernetes\.io/name=mine,podLabels.app\.kubernetes\.io/name=mine"
    spec = workload(render("helm-4", *least(), "--set", stolen))["spec"]

    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_network_policy_lets_in_the_named_peers_and_the_test_and_out_only_what_is_needed() -> None:
    objects = case("helm-4", "locked-down-values.yaml")
    spec = one(objects, "NetworkPolicy")["spec"]
    peers = spec["ingress"][0]["from"]
    test_pod = one(objects, "Pod")["metadata"]["labels"]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0]["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert peers[0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert peers[1]["podSelector"]["matchLabels"].items() <= test_pod.items()
    assert [[(port["port"], port["protocol"]) for port in rule["ports"]] for rule in spec["egress"]] == [
        [(53, "UDP"), (53, "TCP"), (5353, "UDP"), (5353, "TCP")],
        [(443, "TCP")],
    ]


def test_a_network_policy_alone_does_not_cut_the_exporter_off_from_sendgrid() -> None:
    spec = one(render("helm-4", *least(networkPolicy__enabled="true")), "NetworkPolicy")["spec"]

    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec


def test_a_disruption_budget_does_not_block_a_drain_by_default() -> None:
    budget = one(case("helm-4", "sharded-values.yaml"), "PodDisruptionBudget")["spec"]

    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_the_autoscaler_names_the_workload_and_the_container() -> None:
    objects = case("helm-4", "sharded-values.yaml")
    scaler = one(objects, "VerticalPodAutoscaler")["spec"]

    assert scaler["targetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": NAME}
    assert scaler["resourcePolicy"]["containerPolicies"][0]["containerName"] == exporter(objects)["name"]


def test_spread_constraints_get_the_pods_own_labels() -> None:
    spec = workload(case("helm-4", "sharded-values.yaml"))["spec"]
    constraint = spec["template"]["spec"]["topologySpreadConstraints"][0]

    assert constraint["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]


def test_extra_manifests_are_templates_as_maps_and_as_text() -> None:
    names = {found["metadata"]["name"] for found in case("helm-4", "locked-down-values.yaml")}

    assert {"r-map", "r-text"} <= names


def test_templates_within_the_users_objects_stay_text_and_numbers_stay_numbers() -> None:
    side = {
        "name": "side-{{ .Release.Name }}",
        "image": "side",
        "env": [
            {"name": "RELEASE", "value": "{{ .Release.Name }}"},
            {"name": "NUMBER", "value": "1{{ .Release.Name }}"},
        ],
        "ports": [{"containerPort": 8080}],
    }
    extra = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "1{{ .Release.Name }}"}, "immutable": True}
    values = configured(extraContainers=[side], extraInitContainers=[side], extraManifests=[extra])
    objects = render("helm-4", release="23", values=values)
    pod = workload(objects)["spec"]["template"]["spec"]

    for container in (pod["containers"][1], pod["initContainers"][0]):
        assert [variable["value"] for variable in container["env"]] == ["23", "123"]
        assert (container["name"], container["ports"]) == ("side-23", [{"containerPort": 8080}])
    assert one(objects, "Secret")["metadata"]["name"] == "123"
    assert one(objects, "Secret")["immutable"] is True


def test_the_helm_test_scrapes_the_service_and_is_not_scraped_itself() -> None:
    objects = case("helm-4", "inline-key-values.yaml")
    pod = one(objects, "Pod")
    service = one(objects, "Service")
    url = pod["spec"]["containers"][0]["command"][3]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert url == f"http://{NAME}.{NAMESPACE}.svc:{service['spec']['ports'][0]['port']}/scrape/metrics"
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_the_notes_tell_what_is_on_and_how_to_see_it() -> None:
    # helm 3 asks a cluster for its version even here.
    words = ("install", "r", CHART, "--dry-run=client", "--namespace", NAMESPACE)
    demo = helm("helm-4", *words, "--set", "demo=true")
    sharded = helm("helm-4", *words, "--values", CHART / "ci" / "sharded-values.yaml")

    assert "data from its simulator" in demo.stdout
    assert f"kubectl --namespace {NAMESPACE} port-forward service/{NAME}" in demo.stdout
    assert "serviceMonitor.enabled=true" in demo.stdout
    assert "divided among 4 pods" in sharded.stdout
    assert "serviceMonitor.enabled=true" not in sharded.stdout
    assert f'job="{NAME}", namespace="{NAMESPACE}"' in sharded.stdout


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("default-values.yaml", "curl http://localhost:10154/metrics"),
        ("tls-values.yaml", "curl --insecure --user prometheus https://localhost:10154/metrics"),
        ("mtls-values.yaml", "curl --insecure --cert tls.crt --key tls.key --user <user"),
        ("own-configuration-values.yaml", "curl http://localhost:10154/scrape"),
    ],
)
def test_the_notes_command_asks_as_the_web_configuration_wants_it(name: str, command: str) -> None:
    words = ("install", "r", CHART, "--dry-run=client", "--namespace", NAMESPACE, "--values", CHART / "ci" / name)

    assert command in helm("helm-4", *words).stdout
