"""Whatever a release or a namespace is called: Kubernetes gets text within its limits, and no two share a name."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.deploy.chart import HELMS, NAMESPACE, Object, configured, one, render, workload
from tests.programs import needs

pytestmark = needs(*HELMS)

# Words that YAML reads as numbers, booleans or nothing, and others that no Service may be called by.
ODD: Final = ("123456", "1e3", "0x1f", "0o17", "1.5", "true", "null", "yes", "on", "2024-clicks", "a.b", "x" * 53)
# RFC 1035 for Services before Kubernetes 1.36, RFC 1123 for all else, and the form of label values and keys.
SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY: Final = re.compile(rf"({SUBDOMAIN.pattern}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
# Keys whose values are text wherever they stand in these objects.
TEXT: Final = {
    *("name", "namespace", "image", "key", "value", "path", "scheme", "replacement"),
    *("serviceAccountName", "serviceName", "secretName", "claimName", "storageClassName", "sizeLimit", "storage"),
    *("priorityClassName", "runtimeClassName", "loadBalancerClass"),
    *("interval", "scrapeInterval", "scrapeTimeout", "timeout", "jobName", "jobLabel", "proxyUrl", "scrapeClass"),
    "resyncPeriod",
}


def everything(**given: Any) -> Object:
    """Return values with every object that has a name, all names odd ones."""
    values = configured(
        demo=False,
        sendgrid={"existingSecret": {"name": "12345", "key": "1e3"}},
        config={"sendgrid": {"proxy": "http://1:2@3:4"}},
        webConfig={"existingSecret": {"name": "0x1f", "key": "1"}, "certificatesSecret": "1"},
        persistence={"type": "pvc", "size": "1", "storageClass": "1", "annotations": {"a/b": "1"}},
        serviceAccount={"name": "12345", "annotations": {"a": "1"}},
        serviceMonitor={"enabled": True, "interval": "0", "scrapeTimeout": "0", "jobLabel": "1", "scrapeClass": "1"},
        podMonitoring={"enabled": True, "labels": {"a": "1"}},
        httpRoute={"enabled": True, "parentRefs": [{"name": "1"}]},
        prometheusRule={"enabled": True, "namespace": "1", "labels": {"a": "1"}},
        grafana={
            "dashboards": {"enabled": True, "namespace": "1", "folder": "1", "labels": {"a": "true"}},
            "operator": {"enabled": True, "resyncPeriod": "1"},
        },
        networkPolicy={"enabled": True},
        podDisruptionBudget={"enabled": True},
        verticalPodAutoscaler={"enabled": True},
        commonLabels={"b": "1"},
        commonAnnotations={"c": "1"},
        podLabels={"d": "1"},
        podAnnotations={"e": "1"},
        annotations={"f": "1"},
        priorityClassName="1",
        runtimeClassName="1",
        extraEnv=[{"name": "A", "value": "1"}],
        image={"tag": "1"},
        imagePullSecrets=["1"],
    )
    return values | given


def maps(found: Any) -> Iterator[Object]:
    """Yield every map within the object."""
    if isinstance(found, dict):
        yield found
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from maps(inner)


def check(objects: list[Object]) -> None:
    """Fail on the first name, label or text that Kubernetes would refuse."""
    for found in objects:
        metadata = found["metadata"]
        where = f"{found['kind']} {metadata['name']}"
        assert (SERVICE if found["kind"] == "Service" else SUBDOMAIN).fullmatch(metadata["name"]), where
        for inner in maps({key: value for key, value in found.items() if key != "data"}):
            for key in TEXT & inner.keys():
                assert isinstance(inner[key], str | dict), f"{where}: {key} is {inner[key]!r}"
            for key in {"labels", "matchLabels", "annotations", "nodeSelector"} & inner.keys():
                assert all(isinstance(value, str) for value in inner[key].values()), f"{where}: {key} {inner[key]}"
            for key in {"labels", "matchLabels"} & inner.keys() if found["kind"] != "PrometheusRule" else ():
                assert all(LABEL_KEY.fullmatch(name) for name in inner[key]), f"{where}: {key} {inner[key]}"
                assert all(LABEL_VALUE.fullmatch(value) for value in inner[key].values()), f"{where}: {key}"


@pytest.mark.parametrize(
    ("version", "release"),
    [*(("helm-4", release) for release in ODD), *(("helm-3", release) for release in ("123456", "true", "a.b"))],
)
def test_odd_names_are_text_within_the_limits(version: str, release: str) -> None:
    objects = render(version, release=release, namespace=release.replace(".", "-"), values=everything())

    check(objects)
    assert len(objects) > 15


@pytest.mark.parametrize("release", ["123456", "x" * 53])
def test_ten_thousand_shards_have_names_within_the_limits(release: str) -> None:
    objects = render("helm-4", release=release, values=everything(sharding={"total": 10_000}))

    check(objects)
    # A pod's name is the StatefulSet's with its number; a revision's label is the name with a hash of ten characters.
    assert len(one(objects, "StatefulSet")["metadata"]["name"]) <= 63 - len("-1234567890")


@pytest.mark.parametrize(
    ("key", "override"),
    [
        *(("fullnameOverride", name) for name in ("77", "1e3", "true", "Clicks_of.Shop", "-a-", "...", "é", "x" * 300)),
        *(("nameOverride", name) for name in ("77", "Of.Shop", "x" * 300)),
    ],
)
def test_odd_overrides_are_text_within_the_limits(key: str, override: str) -> None:
    check(render("helm-4", values=everything(**{key: override})))


def test_the_check_sees_a_number_and_an_illegal_name() -> None:
    service = {"kind": "Service", "metadata": {"name": "a", "namespace": "b", "labels": {"c": "d"}}}

    check([service])
    for metadata in ({"name": "2024"}, {"namespace": 1}, {"labels": {"c": 1}}, {"labels": {"c": "d" * 64}}):
        with pytest.raises(AssertionError):
            check([service | {"metadata": service["metadata"] | metadata}])


def fullname(release: str, **values: Any) -> str:
    return str(workload(render("helm-4", release=release, values=configured(**values)))["metadata"]["name"])


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.b", "a-b"), ("x" * 52 + "y", "x" * 52 + "z"), ("1", "x-1"), ("a.b.c", "a.b-c"), ("a" * 31, "a" * 32)],
)
def test_two_releases_never_share_a_name(first: str, second: str) -> None:
    assert fullname(first) != fullname(second)


def test_two_overrides_never_share_a_name() -> None:
    names = [fullname("r", fullnameOverride=name) for name in ("a_b", "a.b", "a-b", "A-b")]

    assert len(set(names)) == len(names)


def test_a_usual_release_has_a_usual_name() -> None:
    assert fullname("clicks") == "clicks-sendgrid-automation-exporter"
    assert fullname("clicks", nameOverride="exporter") == "clicks-exporter"
    assert fullname("clicks", fullnameOverride="shop") == "shop"
    assert fullname("my-sendgrid-automation-exporter") == "my-sendgrid-automation-exporter"


SHARED: Final = {
    "serviceMonitor": {"enabled": True, "namespace": "monitoring"},
    "prometheusRule": {"enabled": True, "namespace": "monitoring"},
    "grafana": {"dashboards": {"enabled": True, "namespace": "grafana"}, "operator": {"enabled": True}},
}


def test_a_release_of_the_same_name_in_another_namespace_collides_nowhere() -> None:
    first, second = (
        {
            (found["kind"], found["metadata"]["namespace"], found["metadata"]["name"])
            for found in render("helm-4", release="clicks", namespace=namespace, values=configured(**SHARED))
        }
        for namespace in ("shop", "crm")
    )

    assert first.isdisjoint(second)
    assert {kind for kind, namespace, _ in first if namespace != "shop"} == {
        "ServiceMonitor",
        "PrometheusRule",
        "ConfigMap",
        "GrafanaDashboard",
    }


def test_a_name_and_a_namespace_are_not_confused_by_their_dashes() -> None:
    names = [
        one(render("helm-4", release=release, namespace=namespace, values=configured(**SHARED)), "ServiceMonitor")
        for release, namespace in (
            ("a", "b-sendgrid-automation-exporter"),
            ("a-sendgrid-automation-exporter-b", "sendgrid-automation-exporter"),
        )
    ]

    assert names[0]["metadata"]["name"] != names[1]["metadata"]["name"]


def test_what_stays_in_the_releases_namespace_keeps_its_short_name() -> None:
    own = configured(serviceMonitor={"enabled": True, "namespace": NAMESPACE}, prometheusRule={"enabled": True})
    objects = render("helm-4", values=own)

    assert {one(objects, kind)["metadata"]["name"] for kind in ("ServiceMonitor", "PrometheusRule", "Service")} == {
        "r-sendgrid-automation-exporter"
    }
