"""How Prometheus finds a release: one job for each, whichever object leads it there, and shared rules only once."""

from typing import Any, Final

import pytest
import yaml

from tests.deploy.chart import (
    CHART,
    HELMS,
    NAME,
    NAMESPACE,
    Object,
    case,
    configured,
    exporter,
    helm,
    kinds,
    one,
    refusal,
    render,
    workload,
)
from tests.programs import needs

pytestmark = needs(*HELMS)

MONITORS: Final = ("serviceMonitor", "podMonitor")


def job(release: str, monitor: str, **values: Any) -> str:
    """Return the job under which Prometheus stores a release, by the operator's rules."""
    given = configured(**{monitor: {"enabled": True} | values})
    objects = render("helm-4", release=release, values=given)
    if monitor == "scrapeConfig":
        return str(one(objects, "ScrapeConfig")["spec"]["jobName"])
    if monitor == "podMonitoring":
        return str(one(objects, "PodMonitoring")["metadata"]["name"])
    kind = monitor[0].upper() + monitor[1:]
    spec = one(objects, kind)["spec"]
    labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
    if kind == "ServiceMonitor":
        wanted = spec["selector"]["matchLabels"].items()
        services = [found["metadata"] for found in objects if found["kind"] == "Service"]
        (service,) = [found for found in services if wanted <= found["labels"].items()]
        labels = service["labels"]
        named = service["name"]
    else:
        named = f"{NAMESPACE}/{NAME}"
    named = labels.get(spec.get("jobLabel", ""), named)
    endpoint = (spec.get("endpoints") or spec["podMetricsEndpoints"])[0]
    for relabeling in endpoint.get("relabelings", ()):
        if relabeling.get("targetLabel") == "job":
            named = relabeling["replacement"]
    return str(named)


@pytest.mark.parametrize("monitor", [*MONITORS, "scrapeConfig", "podMonitoring"])
def test_each_release_is_a_job_of_its_own_named_after_its_service(monitor: str) -> None:
    jobs = [job(release, monitor) for release in ("marketing", "shop")]

    assert jobs == ["marketing-sendgrid-automation-exporter", "shop-sendgrid-automation-exporter"]


@pytest.mark.parametrize("monitor", MONITORS)
def test_a_job_label_of_the_user_wins_and_an_empty_one_is_left_out(monitor: str) -> None:
    assert job("shop", monitor, jobLabel="app.kubernetes.io/instance") == "shop"
    assert job("shop", monitor, jobLabel="") == "shop-sendgrid-automation-exporter"


def test_the_service_monitor_follows_the_configuration() -> None:
    objects = case("helm-4", "inline-key-values.yaml")
    monitor = one(objects, "ServiceMonitor")
    service = one(objects, "Service")
    endpoint = monitor["spec"]["endpoints"][0]

    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (endpoint["path"], endpoint["scheme"], endpoint["interval"]) == ("/scrape/metrics", "http", "30s")
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_pod_monitor_selects_the_pods_over_tls() -> None:
    objects = case("helm-4", "mtls-values.yaml")
    endpoint = one(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]

    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"]["keySecret"] == {"name": "scrape-tls", "key": "tls.key"}
    assert endpoint["port"] in {port["name"] for port in exporter(objects)["ports"]}


@pytest.mark.parametrize("version", HELMS)
def test_monitors_need_no_capabilities_of_a_cluster(version: str) -> None:
    objects = render(version, values=configured(serviceMonitor={"enabled": True}, prometheusRule={"enabled": True}))

    assert {"ServiceMonitor", "PrometheusRule"} <= set(kinds(objects))


def test_shards_are_scraped_once_although_two_services_select_them() -> None:
    objects = render("helm-4", values=configured(sharding={"total": 3}, serviceMonitor={"enabled": True}))
    wanted = one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    selected = [
        found["metadata"]["name"]
        for found in objects
        if found["kind"] == "Service" and wanted.items() <= found["metadata"]["labels"].items()
    ]

    assert selected == [NAME]


def test_a_scrape_config_reaches_one_service_or_every_shard() -> None:
    def spec(total: int) -> Object:
        values = configured(sharding={"total": total}, scrapeConfig={"enabled": True})
        return dict(one(render("helm-4", values=values), "ScrapeConfig")["spec"])

    headless = {"names": [f"{NAME}-headless.{NAMESPACE}.svc"], "type": "A", "port": 10154}
    assert spec(1)["staticConfigs"] == [{"targets": [f"{NAME}.{NAMESPACE}.svc:10154"]}]
    assert spec(3)["dnsSDConfigs"] == [headless]
    assert spec(1)["relabelings"] == [{"targetLabel": "namespace", "replacement": NAMESPACE}]


def test_googles_collector_and_the_route_lead_to_the_metrics() -> None:
    objects = case("helm-4", "google-values.yaml")
    monitoring = one(objects, "PodMonitoring")["spec"]
    route = one(objects, "HTTPRoute")["spec"]
    service = one(objects, "Service")

    assert monitoring["selector"]["matchLabels"] == service["spec"]["selector"]
    assert monitoring["endpoints"] == [
        {"port": "http", "path": "/metrics", "scheme": "http", "interval": "60s", "timeout": "30s"}
    ]
    assert route["parentRefs"] == [{"name": "internal", "namespace": "gateways"}]
    assert route["rules"] == [
        {
            "matches": [{"path": {"type": "Exact", "value": "/metrics"}}],
            "backendRefs": [{"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}],
        }
    ]


def test_a_route_without_a_gateway_is_refused() -> None:
    assert "httpRoute.parentRefs" in refusal("helm-4", values=configured(httpRoute={"enabled": True}))


@pytest.mark.parametrize("second", ["podMonitor", "scrapeConfig"])
def test_two_monitors_are_refused(second: str) -> None:
    values = configured(serviceMonitor={"enabled": True}, **{second: {"enabled": True}})

    assert f"serviceMonitor and {second} would scrape every pod twice" in refusal("helm-4", values=values)


# One value for every key of a monitor that has no default.
GIVEN: Final[dict[str, Any]] = {
    "oauth2": {"tokenUrl": "https://example.org", "clientId": {"secret": {"name": "a", "key": "b"}}},
    "params": {"name[]": ["automation_link_clicks"]},
    "honorTimestamps": False,
    "trackTimestampsStaleness": True,
    "enableHttp2": False,
    "followRedirects": False,
    "filterRunning": False,
    "proxyUrl": "http://proxy:3128",
    "noProxy": "a,b",
    "proxyFromEnvironment": False,
    "proxyConnectHeader": {"a": [{"name": "b", "key": "c"}]},
    "attachMetadata": {"node": True},
    "selectorMechanism": "RoleSelector",
    "scrapeClassicHistograms": False,
    "scrapeNativeHistograms": False,
    "convertClassicHistogramsToNHCB": True,
    "nativeHistogramBucketLimit": 160,
    "nativeHistogramMinBucketFactor": "1.1",
    "bodySizeLimit": "50MB",
    "targetLimit": 5,
    "labelNameLengthLimit": 64,
    "keepDroppedTargets": 3,
    "scrapeClass": "mine",
    "fallbackScrapeProtocol": "PrometheusText0.0.4",
}


@pytest.mark.parametrize("monitor", MONITORS)
def test_every_key_of_a_monitor_arrives_as_it_was_given(monitor: str) -> None:
    spec = one(
        render("helm-4", values=configured(**{monitor: GIVEN | {"enabled": True}})), monitor[0].upper() + monitor[1:]
    )["spec"]
    arrived = spec | (spec.get("endpoints") or spec["podMetricsEndpoints"])[0]

    assert {key: arrived.get(key) for key in GIVEN} == GIVEN


def test_labels_that_are_templates_stay_text() -> None:
    labels = {"release": "{{ .Release.Name }}", "number": "1{{ .Release.Name }}", "{{ .Release.Name }}": "yes"}
    values = configured(
        serviceMonitor={"enabled": True, "labels": labels, "annotations": {"a": "0x{{ .Release.Name }}"}}
    )
    metadata = one(render("helm-4", release="123", values=values), "ServiceMonitor")["metadata"]

    assert {"release": "123", "number": "1123", "123": "yes"}.items() <= metadata["labels"].items()
    assert metadata["annotations"] == {"a": "0x123"}


def test_the_release_label_marks_what_the_operator_selects() -> None:
    objects = render(
        "helm-4",
        release="kps",
        values=configured(releaseLabel=True, serviceMonitor={"enabled": True}, prometheusRule={"enabled": True}),
    )

    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert one(objects, kind)["metadata"]["labels"]["release"] == "kps"


ALL_SHARED: Final = {
    "prometheusRule": {"enabled": True},
    "grafana": {"dashboards": {"enabled": True}, "operator": {"enabled": True}},
}


@pytest.mark.parametrize("named", ["first", f"{NAMESPACE}/first"])
def test_one_of_several_releases_brings_the_rules_and_dashboards(named: str) -> None:
    values = configured(sharedResources={"release": named}, **ALL_SHARED)
    first, second = (kinds(render("helm-4", release=release, values=values)) for release in ("first", "second"))

    assert {"PrometheusRule", "GrafanaDashboard"} <= set(first)
    assert not {"PrometheusRule", "GrafanaDashboard"} & set(second)
    assert second.count("ConfigMap") == 1


def notes(release: str, values: Object) -> str:
    words = ("install", release, CHART, "--dry-run=client", "--namespace", NAMESPACE, "--values", "-")
    done = helm("helm-4", *words, values=yaml.safe_dump(values))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_the_notes_say_which_release_brings_them() -> None:
    values = configured(sharedResources={"release": "first"}, **ALL_SHARED)

    assert "This release installs the rules and dashboards for all" in notes("first", values)
    assert "Rules and dashboards are installed by the release first" in notes("second", values)
    assert "sharedResources.release" in notes("alone", configured(**ALL_SHARED))
