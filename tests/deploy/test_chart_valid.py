"""Every ci file renders by helm 3 and helm 4, and what comes out is valid by its schemas."""

import re
import tarfile
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from cloudcoil.models.prometheus_operator import v1alpha1 as operator_alpha

from tests.deploy.chart import CASES, CHART, HELMS, ROOT, case, helm, kinds, refusal, render
from tests.programs import needs

pytestmark = needs(*HELMS)

OLDEST = re.search(r">=(\d+\.\d+)", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])[1]
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
# Kinds that Kubernetes does not know: the first four are checked here, the others in their own tests.
CUSTOM = {
    "ServiceMonitor",
    "PodMonitor",
    "PrometheusRule",
    "ScrapeConfig",
    "GrafanaDashboard",
    "VerticalPodAutoscaler",
    "PodMonitoring",
    "HTTPRoute",
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("version", HELMS)
def test_lint_is_strict_and_clean(version: str, name: str) -> None:
    done = helm(version, "lint", "--strict", CHART, "--values", CHART / "ci" / name)

    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout)


@pytest.mark.parametrize("version", HELMS)
def test_lint_of_the_bare_chart_is_clean_too(version: str) -> None:
    assert helm(version, "lint", "--strict", CHART).returncode == 0


@pytest.mark.parametrize("name", CASES)
def test_both_helms_render_the_same_objects(name: str) -> None:
    by_name = [
        {(found["kind"], found["metadata"]["name"]): found for found in case(version, name)} for version in HELMS
    ]

    assert by_name[0] == by_name[1]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_every_object_is_valid_for_kubernetes(kubernetes: str, name: str) -> None:
    for found in case("helm-4", name, "--kube-version", f"{kubernetes}.0"):
        if found["kind"] not in CUSTOM:
            kubernetes_validate.validate(found, kubernetes, strict=True)


def test_the_validation_refuses_a_misspelt_key() -> None:
    service = next(found for found in case("helm-4", "default-values.yaml") if found["kind"] == "Service")
    misspelt = service | {"spec": service["spec"] | {"selectors": {}}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, OLDEST, strict=True)


def unknown_keys(given: Any, kept: Any, path: str = "") -> list[str]:
    """Return the paths that stand in what was given and not in what the model kept of it."""
    if isinstance(given, dict):
        lost = [f"{path}.{key}" for key in given if key not in kept]
        return lost + [
            name for key in given if key in kept for name in unknown_keys(given[key], kept[key], f"{path}.{key}")
        ]
    if isinstance(given, list):
        return [
            name
            for index, pair in enumerate(zip(given, kept, strict=True))
            for name in unknown_keys(*pair, f"{path}[{index}]")
        ]
    return []


def check_operator_object(found: dict[str, Any]) -> None:
    module = operator_alpha if found["apiVersion"].endswith("v1alpha1") else operator
    model = getattr(module, found["kind"]).model_validate(found)
    kept = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert not unknown_keys(found["spec"], kept["spec"]), f"{found['kind']} knows no such keys"


@pytest.mark.parametrize("name", CASES)
def test_every_object_of_the_prometheus_operator_is_valid(name: str) -> None:
    for found in case("helm-4", name):
        if found["apiVersion"].startswith("monitoring.coreos.com/"):
            check_operator_object(found)


def test_the_check_of_operator_objects_refuses_a_misspelt_key_and_a_wrong_type() -> None:
    monitor = next(found for found in case("helm-4", "tls-values.yaml") if found["kind"] == "ServiceMonitor")
    endpoint = monitor["spec"]["endpoints"][0]

    with pytest.raises(AssertionError, match="intervall"):
        check_operator_object(monitor | {"spec": monitor["spec"] | {"endpoints": [endpoint | {"intervall": "1m"}]}})
    with pytest.raises(ValueError, match="sampleLimit"):
        check_operator_object(monitor | {"spec": monitor["spec"] | {"sampleLimit": "many"}})


def test_the_cases_hold_every_custom_kind() -> None:
    seen = {kind for name in CASES for kind in kinds(case("helm-4", name))}

    assert seen >= CUSTOM
    assert len(CASES) >= 6


@pytest.mark.parametrize("version", HELMS)
def test_the_oldest_kubernetes_is_accepted_and_an_older_one_refused(version: str) -> None:
    words = ("--values", CHART / "ci" / "default-values.yaml")
    before = f"{OLDEST.split('.')[0]}.{int(OLDEST.split('.')[1]) - 1}.0"

    assert render(version, *words, "--kube-version", f"{OLDEST}.0")
    assert "kubeVersion" in refusal(version, *words, "--kube-version", before)


@pytest.mark.parametrize("version", HELMS)
def test_a_package_holds_rules_and_dashboards_as_real_files_and_renders_alike(version: str, tmp_path: Path) -> None:
    done = helm(version, "package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    package = next(tmp_path.glob("*.tgz"))
    with tarfile.open(package) as archive:
        members = {member.name.split("/", 1)[1]: member for member in archive.getmembers()}
    wanted = {
        f"files/{folder}/{path.name}": path
        for folder, source in (("rules", "prometheus/rules"), ("dashboards", "grafana/dashboards"))
        for path in (ROOT / source).iterdir()
        if path.suffix in {".yml", ".json"}
    }

    assert wanted
    assert all(members[name].isfile() and members[name].size == path.stat().st_size for name, path in wanted.items())
    assert not [name for name in members if name.startswith("ci/")]
    words = ("--values", CHART / "ci" / "operators-values.yaml")
    assert render(version, *words, chart=package) == render(version, *words)


def test_the_chart_keeps_no_second_copy() -> None:
    links = {path.name: path.readlink() for path in (CHART / "files").iterdir() if path.is_symlink()}

    assert links == {
        "rules": Path("../../../prometheus/rules"),
        "dashboards": Path("../../../grafana/dashboards"),
        "defaults.yaml": Path("../values.yaml"),
    }
