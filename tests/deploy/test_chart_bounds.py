"""The chart takes what the exporter takes, and refuses what would only stop the pod with exit status 2."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.deploy.chart import AUTOMATION, CHART, HELMS, ROOT, configured, refusal, render
from tests.programs import needs

SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())
BY_KEY: Final = {
    f"{group}.{key}": schema
    for group, schemas in SCHEMA["properties"]["config"]["properties"].items()
    for key, schema in schemas.get("properties", {}).items()
    if not group.startswith("existing")
}
"""The schema of each setting that the chart takes."""


Edge = tuple[Any, Any, Any, Any]
"""The least and the most that both take, then what lies just beyond on either side (None: no such side)."""


def edge_of(schema: dict[str, Any]) -> Edge | None:
    """Return the edges that the schema itself states; None for text, lists and durations."""
    if "enum" in schema:
        words = [word for word in schema["enum"] if isinstance(word, str)]
        return words[0], words[-1], "trace", None
    if "boolean" in schema["type"]:
        return False, True, "maybe", None
    if "minimum" in schema:
        step = 1 if "integer" in schema["type"] else 0.01
        return schema["minimum"], schema["maximum"], schema["minimum"] - step, schema["maximum"] + step
    return None


WRONG_HOSTS: Final = ("a:0", "a:65536", "a:", "-a", "a..b", "[x]", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher")
UNBOUNDED: Final = {"sendgrid.ca_file"}
"""Names a file in the pod, which only the exporter can look at."""
WRITTEN: Final[dict[str, Edge]] = {
    "sendgrid.base_url": ("http://a", "HTTPS://api.example.org:65535/", "ftp://a", "https://a/path"),
    "sendgrid.app_url": ("", "HTTPS://a:8443/b?c={automation_id}&d#e", "ftp://a/{automation_id}", "https://a/{id}"),
    "sendgrid.on_behalf_of": ("x", "x" * 256, " ", "x" * 257),
    "sendgrid.proxy": ("http://[::1]:1", "https://me:x%40;=y@proxy.:3128/", "socks5://a:1", "http://proxy:3128/path"),
    "discovery.exclude": (["*"], ["x" * 256] * 1000, [" "], ["a"] * 1001),
    "sd.exclude": (["a"], ["x" * 256] * 200, ["/"], ["a"] * 201),
    "labels.drop_params": (["a"], ["x" * 256] * 1000, [" "], ["a"] * 1001),
    "labels.drop_paths": (["/*"], ["/u/*"] * 100, ["/u"], ["https://a/*"]),
    "web.telemetry_path": ("/m", "/sd/links.v1", "/", "/-/healthy"),
    # False needs a way in for the kubelet, which is another test's subject.
    "web.open_health": (True, True, "maybe", None),
}
STATED: Final[dict[str, Edge]] = {
    key: edge for key, schema in BY_KEY.items() if "type" in schema and (edge := edge_of(schema)) is not None
}
EDGES: Final[dict[str, Edge]] = STATED | WRITTEN
# Durations, whose text no schema can bound: the chart's template compares them.
DURATIONS: Final[dict[str, Edge]] = {
    "sendgrid.timeout": ("100ms", "5m", "99ms", 300.5),
    "poll.interval": (10, "4w2d", "9s999ms", "30d1s"),
    "poll.stale_after": ("10s", "360d", 9, "361d"),
    "poll.idle_after": ("1s", "360d", "999ms", "360d1s"),
    "poll.idle_interval": ("1ms", "30d", 0.0001, "30d1s"),
    "discovery.interval": (10, "30d", "9s", 1_000_000_000),
    "statistics.interval": ("10s", 2592000, 9.9, "31d"),
}


def written(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as groups."""
    groups: dict[str, Any] = {}
    for path, value in values.items():
        group, _, key = path.partition(".")
        groups.setdefault(group, {})[key] = value
    return groups


def edges(index: int) -> dict[str, Any]:
    """Return the values at one edge, by key."""
    found = {key: edge[index] for key, edge in (EDGES | DURATIONS).items() if edge[index] is not None}
    # The exporter looks at the age beside the interval and at the interval beside the base URL: one mistake at a time.
    together = {0: (), 1: (), 2: ("poll.stale_after", "sendgrid.base_url"), 3: ("poll.stale_after",)}
    return {key: value for key, value in found.items() if key not in together[index]}


def check(folder: Path, config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the exporter's own check of a configuration file."""
    file = folder / "exporter.yaml"
    file.write_text(yaml.safe_dump({"automations": [AUTOMATION], **config}))
    command = [sys.executable, "-m", "exporter", f"--config.file={file}", "--check"]
    environment = {"SENDGRID_API_KEY": "SG.of-a-test"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_every_setting_of_the_chart_is_tried() -> None:
    durations = {key for key, schema in BY_KEY.items() if "duration" in json.dumps(schema.get("allOf", ()))}

    assert DURATIONS.keys() == durations
    assert EDGES.keys() == BY_KEY.keys() - durations - UNBOUNDED


@pytest.mark.parametrize("index", [0, 1], ids=["least", "most"])
@needs("helm-4")
def test_chart_and_exporter_take_the_same_least_and_most(index: int, tmp_path: Path) -> None:
    config = written(edges(index))
    done = check(tmp_path, config)

    assert done.returncode == 0, done.stderr
    assert render("helm-4", values=configured(config=config))


@pytest.mark.parametrize("index", [2, 3], ids=["less", "more"])
def test_chart_and_exporter_refuse_what_lies_beyond(index: int, tmp_path: Path) -> None:
    beyond = edges(index)
    done = check(tmp_path, written(beyond))
    validator = jsonschema.Draft7Validator(SCHEMA)
    refused = {
        ".".join(map(str, list(error.absolute_path)[1:3]))
        for error in validator.iter_errors({"config": written(beyond)})
    }

    assert done.returncode == 2
    assert {key for key in beyond if f" {key} (" not in done.stderr} == set()
    assert refused == beyond.keys() & EDGES.keys()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, f"https://{host}") for key in ("sendgrid.base_url", "sendgrid.proxy") for host in WRONG_HOSTS),
        ("sendgrid.proxy", "http://me:x@y@proxy"),
        *(("web.telemetry_path", path) for path in ("/-", "/sd/links", "/status.json", "/status.js")),
    ],
)
def test_chart_and_exporter_refuse_the_same_addresses_and_paths(key: str, value: str, tmp_path: Path) -> None:
    config = written({key: value})
    done = check(tmp_path, config)

    assert f" {key} (" in done.stderr
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid({"config": config})


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, edge in DURATIONS.items() for value in edge[2:]])
@needs("helm-4")
def test_a_duration_out_of_bounds_is_refused_with_the_bounds(key: str, value: object) -> None:
    group, _, name = key.partition(".")
    config = {group: {name: value}} | ({"poll": {"interval": 10, name: value}} if name == "stale_after" else {})

    message = refusal("helm-4", values=configured(config=config))

    assert f"config.{key}: {value} is out of bounds: " in message


@pytest.mark.parametrize("version", HELMS)
@needs(*HELMS)
def test_an_automations_own_interval_is_bounded_and_bounds_the_age(version: str) -> None:
    automations = [{"id": AUTOMATION, "interval": "5s"}]
    slow = [{"id": AUTOMATION, "interval": "1h"}]

    assert "config.automations[0].interval: 5s" in refusal(
        version, values=configured(config={"automations": automations})
    )
    assert "config.poll.stale_after: 30m" in refusal(
        version, values=configured(config={"automations": slow, "poll": {"stale_after": "30m"}})
    )
    assert render(version, values=configured(config={"automations": slow, "poll": {"stale_after": "1h"}}))


@pytest.mark.parametrize(
    ("entry", "taken"),
    [
        ({"name": "n" * 256}, True),
        ({"name": "n" * 257}, False),
        ({"name": " "}, False),
        ({"step_ids": ["a", "b"]}, True),
        ({"step_ids": ["a,b"]}, False),
        ({"step_ids": ["s" * 257]}, False),
        ({"step_ids": [""]}, False),
    ],
)
def test_an_automations_texts_are_bounded_alike(entry: dict[str, Any], taken: bool, tmp_path: Path) -> None:  # noqa: FBT001
    automation = {"id": AUTOMATION} | entry
    done = check(tmp_path, {"automations": [automation]})
    errors = list(jsonschema.Draft7Validator(SCHEMA).iter_errors({"config": {"automations": [automation]}}))

    assert (done.returncode == 0, not errors) == (taken, taken)
