"""The chart as the real helm renders it."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.programs import program

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "sendgrid-automation-exporter"
CASES: Final = tuple(sorted(path.name for path in (CHART / "ci").glob("*-values.yaml")))
HELMS: Final = ("helm-3", "helm-4")
RELEASE: Final = "r"
NAMESPACE: Final = "clicks"
NAME: Final = "r-sendgrid-automation-exporter"
AUTOMATION: Final = "a1b2c3d4-1111-4222-8333-1234567890ab"

Object = dict[str, Any]


def helm(version: str, *words: str | Path, values: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm without the user's own plugins, caches and cluster; `values` is what `--values -` reads."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"}
    command = [program(version), *map(str, words)]
    return subprocess.run(
        command, input=values, capture_output=True, text=True, env=environment, timeout=60, check=False
    )


def render(
    version: str,
    *words: str | Path,
    chart: Path = CHART,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    values: Object | None = None,
) -> list[Object]:
    """Return the objects that helm makes of the chart with these further words; fail with helm's own message."""
    given = json.dumps(values or {})
    return list(map(dict, _render(version, chart, release, namespace, given, *map(str, words))))


@cache
def _render(version: str, chart: Path, release: str, namespace: str, values: str, *words: str) -> tuple[Object, ...]:
    done = helm(version, "template", release, chart, "--namespace", namespace, "--values", "-", *words, values=values)
    assert done.returncode == 0, done.stderr
    return tuple(found for found in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if found)


def case(version: str, name: str, *words: str) -> list[Object]:
    """Return the objects of one of the chart's ci files."""
    return render(version, "--values", CHART / "ci" / name, *words)


def refusal(version: str, *words: str | Path, values: Object | None = None) -> str:
    """Return what helm says when it refuses these words."""
    done = helm(version, "template", RELEASE, CHART, "--values", "-", *words, values=json.dumps(values or {}))
    assert done.returncode != 0, "helm rendered it"
    return done.stderr


def least(**values: str) -> list[str]:
    """Return the words for the least that renders, with further values in helm's notation (dots as two underscores)."""
    known = {"sendgrid.existingSecret.name": "sendgrid", "config.automations[0].id": AUTOMATION}
    known |= {name.replace("__", "."): value for name, value in values.items()}
    return [word for name, value in known.items() for word in ("--set", f"{name}={value}")]


def kinds(objects: list[Object]) -> list[str]:
    """Return the kinds of the objects, sorted."""
    return sorted(found["kind"] for found in objects)


def one(objects: list[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind, or that with the name."""
    found = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def workload(objects: list[Object]) -> Object:
    """Return the Deployment or StatefulSet."""
    found = [each for each in objects if each["kind"] in {"Deployment", "StatefulSet"}]
    assert len(found) == 1
    return found[0]


def configured(**values: Any) -> Object:
    """Return values for the least that renders, with these groups beside or, where they are maps, within it."""
    config = {"automations": [{"id": AUTOMATION}]} | values.pop("config", {})
    return {"sendgrid": {"existingSecret": {"name": "sendgrid"}}, "config": config} | values


def pod_specs(objects: list[Object]) -> Iterator[Object]:
    """Return the specs of all pods, the helm test's among them."""
    for found in objects:
        if found["kind"] == "Pod":
            yield found["spec"]
        elif found["kind"] in {"Deployment", "StatefulSet"}:
            yield found["spec"]["template"]["spec"]


def exporter(objects: list[Object]) -> Object:
    """Return the exporter's container."""
    containers = workload(objects)["spec"]["template"]["spec"]["containers"]
    return next(found for found in containers if found["name"] == "exporter")


def configuration(objects: list[Object]) -> str:
    """Return the text of the exporter's configuration file that the chart wrote."""
    config = next(each for each in objects if each["kind"] == "ConfigMap" and "exporter.yaml" in each["data"])
    text: str = config["data"]["exporter.yaml"]
    return text


def secret(objects: list[Object], name: str, key: str) -> str:
    """Return the text under a key of a Secret that the chart made."""
    return base64.b64decode(one(objects, "Secret", name)["data"][key]).decode()
