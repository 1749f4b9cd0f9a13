"""A section or value that is written without content renders as if it were left out."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from tests.deploy.chart import CHART, HELMS, Object, configured, exporter, render, workload
from tests.programs import needs

pytestmark = needs(*HELMS)

DEFAULTS: Final = yaml.safe_load((CHART / "values.yaml").read_text())
# Where null takes one default away instead: these go to Kubernetes as they are.
PASSED_ON: Final = {"podSecurityContext", "securityContext", "resources", "instanceSelector"}
EVERYTHING_ON: Final = configured(
    serviceMonitor={"enabled": True},
    podMonitoring={"enabled": True},
    prometheusRule={"enabled": True},
    grafana={"dashboards": {"enabled": True}, "operator": {"enabled": True}},
    networkPolicy={"enabled": True, "egress": {"enabled": True}},
    podDisruptionBudget={"enabled": True},
    verticalPodAutoscaler={"enabled": True},
    service={"ipDualStack": {"enabled": True}},
    startupProbe={"enabled": True},
)


def places(defaults: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every path of the default values, with its value."""
    for key, value in defaults.items():
        yield (*path, key), value
        if isinstance(value, dict) and key not in PASSED_ON:
            yield from places(value, (*path, key))


def emptied(paths: list[tuple[str, ...]], *, base: Object) -> Object:
    """Return the base with null at those of the paths that it does not give itself."""
    values: Object = yaml.safe_load(yaml.safe_dump(base))
    for path in paths:
        place = values
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place.setdefault(path[-1], None)
    return values


SECTIONS: Final = [path for path, value in places(DEFAULTS) if isinstance(value, dict | list)]
SCALARS: Final = [path for path, value in places(DEFAULTS) if not isinstance(value, dict | list)]


@pytest.mark.parametrize("depth", sorted({len(path) for path in SECTIONS}))
@pytest.mark.parametrize("version", HELMS)
def test_sections_without_content_are_as_if_left_out(version: str, depth: int) -> None:
    paths = [path for path in SECTIONS if len(path) == depth]

    assert len(SECTIONS) > 89
    assert render(version, values=emptied(paths, base=EVERYTHING_ON)) == render(version, values=EVERYTHING_ON)


@pytest.mark.parametrize("version", HELMS)
def test_whole_sections_without_content_are_as_if_left_out(version: str) -> None:
    least = configured()
    paths = [path for path in SECTIONS if len(path) == 1]

    assert render(version, values=emptied(paths, base=least)) == render(version, values=least)


@pytest.mark.parametrize("version", HELMS)
def test_values_without_content_are_as_if_left_out(version: str) -> None:
    assert render(version, values=emptied(SCALARS, base=EVERYTHING_ON)) == render(version, values=EVERYTHING_ON)


@pytest.mark.parametrize("version", HELMS)
def test_one_section_alone_may_be_without_content(version: str) -> None:
    for name in ("podAnnotations", "commonLabels", "imagePullSecrets", "livenessProbe", "resources"):
        assert render(version, values=configured(**{name: None})) == render(version, values=configured()), name


@pytest.mark.parametrize("version", HELMS)
def test_null_takes_one_default_of_the_security_context_and_of_the_resources_away(version: str) -> None:
    objects = render(
        version,
        values=configured(
            podSecurityContext={"fsGroup": None},
            securityContext={"readOnlyRootFilesystem": None},
            resources={"limits": None, "requests": {"cpu": None}},
        ),
    )

    assert "fsGroup" not in workload(objects)["spec"]["template"]["spec"]["securityContext"]
    assert "readOnlyRootFilesystem" not in exporter(objects)["securityContext"]
    assert exporter(objects)["resources"] == {"requests": {"memory": "64Mi"}}


def test_an_empty_text_takes_a_resource_away_where_helm_4_ignores_a_null() -> None:
    objects = render("helm-4", values=configured(resources={"limits": {"memory": ""}}))

    assert "limits" not in exporter(objects)["resources"]
