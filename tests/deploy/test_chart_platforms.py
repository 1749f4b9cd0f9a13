"""The chart as a part of others, under Argo CD and Flux, and docs/kubernetes.md as far as no cluster is needed."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.chart import (
    CASES,
    CHART,
    HELMS,
    ROOT,
    Object,
    configured,
    helm,
    one,
    pod_specs,
    render,
    workload,
)
from tests.programs import needs

pytestmark = needs(*HELMS)

PAGE: Final = (ROOT / "docs" / "kubernetes.md").read_text()
README: Final = (CHART / "README.md").read_text()
YAML: Final = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS: Final = [
    shlex.split(line, comments=True)
    for text in (PAGE, README)
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
PUBLISHED: Final = "oci://example.com/sendgrid-automation-exporter-charts/sendgrid-automation-exporter"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Return a chart that has this one as a part, under another name."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    part = {"name": chart["name"], "version": chart["version"], "alias": "clicks", "condition": "clicks.enabled"}
    about = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [part]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(about))
    done = helm("helm-4", "package", CHART, "--destination", tmp_path / "charts")
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize("version", HELMS)
def test_every_case_renders_as_a_part_of_another_chart(version: str, parent: Path) -> None:
    for name in CASES:
        values = yaml.safe_load((CHART / "ci" / name).read_text())
        shared = {"global": values.pop("global")} if "global" in values else {}

        assert workload(render(version, chart=parent, values={"clicks": values} | shared)), name


@pytest.mark.parametrize("version", HELMS)
def test_openshift_works_as_a_part_of_another_chart(version: str, parent: Path) -> None:
    values = yaml.safe_load((CHART / "ci" / "openshift-values.yaml").read_text())
    specs = list(pod_specs(render(version, chart=parent, values={"clicks": values})))

    assert len(specs) == 2
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert not spec["securityContext"].keys() & {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize("version", HELMS)
def test_a_parent_may_leave_sections_empty_switch_contexts_off_and_leave_the_chart_out(
    version: str, parent: Path
) -> None:
    off = configured(podSecurityContext={"enabled": False}, securityContext={"enabled": False}, podAnnotations=None)
    spec = workload(render(version, chart=parent, values={"clicks": off}))["spec"]["template"]["spec"]

    assert "securityContext" not in spec
    assert "securityContext" not in spec["containers"][0]
    assert render(version, chart=parent, values={"clicks": {"enabled": False}}) == []


@pytest.mark.parametrize("total", [1, 3])
def test_argo_cd_may_rewrite_the_instance_label_of_every_object(total: int) -> None:
    objects = render("helm-4", values=configured(sharding={"total": total}, serviceMonitor={"enabled": True}))
    for found in objects:
        found["metadata"]["labels"]["app.kubernetes.io/instance"] = "marketing_clicks"
    wanted = one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    services = [found for found in objects if found["kind"] == "Service"]
    pods = workload(objects)["spec"]["template"]["metadata"]["labels"]

    assert len([found for found in services if wanted.items() <= found["metadata"]["labels"].items()]) == 1
    assert all(found["spec"]["selector"].items() <= pods.items() for found in services)


def test_the_helm_tests_pod_stays_until_its_log_was_read() -> None:
    pod = one(render("helm-4", values=configured()), "Pod")

    assert pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"


def values_of(document: Object) -> Object:
    """Return the chart's values in an example: plain, or within the object of Argo CD or Flux."""
    if document.get("kind") == "Application":
        return dict(document["spec"]["source"]["helm"]["valuesObject"])
    if document.get("kind") == "HelmRelease":
        return dict(document["spec"]["values"])
    least = configured()
    given: dict[str, Any] = dict(document)
    own = "existingConfigMap" in given.get("config", {})
    config = given.pop("config", {}) | ({"automations": []} if own else {})
    return least | given | {"config": least["config"] | config}


@pytest.mark.parametrize("version", HELMS)
def test_every_example_of_the_page_renders(version: str) -> None:
    documents = [found for block in YAML for found in yaml.safe_load_all(block)]
    charts = [found for found in documents if found.get("kind") != "OCIRepository"]

    assert {"Application", "HelmRelease"} <= {found.get("kind") for found in charts}
    assert len(charts) >= 9
    for document in charts:
        assert workload(render(version, values=values_of(document)))


def test_the_published_version_of_the_examples_is_the_charts() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]

    assert re.findall(r"^ +(?:targetRevision|tag): (\S+)$", PAGE, re.MULTILINE) == [version] * 2


@pytest.mark.parametrize("version", HELMS)
def test_the_commands_of_the_page_and_the_readme_install_what_they_say(version: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(next(block for block in YAML if block.startswith("# values.yaml")))
    installs = [words for words in COMMANDS if words[:1] == ["helm"] and PUBLISHED in words]

    assert len(installs) == 4
    for words in installs:
        given = [str(tmp_path / word) if word == "values.yaml" else word for word in words[words.index("clicks") :]]
        given[given.index(PUBLISHED)] = str(CHART)
        done = helm(version, "template", *given)
        assert done.returncode == 0, done.stderr


def test_what_the_commands_of_the_page_name_is_there() -> None:
    objects = render("helm-4", release="clicks", namespace="marketing", values=configured())
    names = {f"{found['kind'].lower()}/{found['metadata']['name']}" for found in objects}
    labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
    named = [word for words in COMMANDS for word in words if word.startswith("service/")]
    selectors = [words[words.index("--selector") + 1] for words in COMMANDS if "--selector" in words]

    assert named == ["service/clicks-sendgrid-automation-exporter"]
    assert set(named) <= names
    assert len(selectors) == 2
    assert all(labels[key] == value for key, _, value in (selector.partition("=") for selector in selectors))
