"""A misspelt or mistyped value is refused, and the message names its path."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from scripts import chart as generator
from tests.deploy.chart import CASES, CHART, HELMS, refusal
from tests.programs import needs

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def places(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Return every described place of the values, with its schema."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*path, name))


CLOSED = [path for path, schema in places(SCHEMA) if schema.get("additionalProperties") is False]
TYPED = [(path, schema["type"]) for path, schema in places(SCHEMA) if "type" in schema and not schema.get("properties")]


def planted(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(name), dict)
            whole[name] = merged([whole[name], value]) if both else value
    return whole


def named(message: str, path: tuple[str, ...]) -> bool:
    """Tell whether helm 3 (a.b) or helm 4 ('/a/b') names the path."""
    dotted, slashed = re.escape(".".join(path)), re.escape("/".join(("", *path)))
    return bool(re.search(rf"^- {dotted or re.escape('(root)')}: |at '{slashed}': ", message, re.MULTILINE))


@needs(*HELMS)
@pytest.mark.parametrize("version", HELMS)
def test_a_misspelt_key_is_refused_everywhere_with_its_path(version: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(json.dumps(merged([planted((*path, "misspelt"), 1) for path in CLOSED])))
    message = refusal(version, "--values", tmp_path / "values.yaml")

    assert len(CLOSED) > 20
    assert not [path for path in CLOSED if not named(message, path)]


@needs(*HELMS)
@pytest.mark.parametrize("version", HELMS)
def test_a_wrong_type_is_refused_everywhere_with_its_path(version: str, tmp_path: Path) -> None:
    wrong = [(path, ["a", "list"] if "string" in kinds else "a word") for path, kinds in TYPED]
    (tmp_path / "values.yaml").write_text(json.dumps(merged([planted(*each) for each in wrong])))
    message = refusal(version, "--values", tmp_path / "values.yaml")

    assert len(wrong) > 120
    assert not [path for path, _ in wrong if not named(message, path)]


@needs(*HELMS)
@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("config.automations[0].id=not-a-uuid", ("config", "automations", "0", "id")),
        ("config.automations[0].steps=x", ("config", "automations", "0")),
        ("config.poll.interval=5 minutes", ("config", "poll", "interval")),
        ("config.poll.interval=", ("config", "poll", "interval")),
        ("config.sendgrid.api_key=SG.x", ("config", "sendgrid")),
        ("config.sendgrid.page_size=51", ("config", "sendgrid", "page_size")),
        ("config.labels.url=none", ("config", "labels", "url")),
        ("sharding.total=0", ("sharding", "total")),
        ("image.digest=sha256:abc", ("image", "digest")),
        ("serviceMonitor.interval=60", ("serviceMonitor", "interval")),
        ("webConfig.content.tls_config.cert_file=x", ("webConfig", "content")),
        ("persistence.type=disk", ("persistence", "type")),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_path(value: str, path: tuple[str, ...], version: str) -> None:
    assert named(refusal(version, "--set", value), path)


@pytest.mark.parametrize("duration", [30, 0.5, "30", "30s", "5m", "1h30m", "1d12h", "500ms", None])
def test_durations_are_those_of_the_exporter(duration: object) -> None:
    jsonschema.validate({"config": {"poll": {"interval": duration}}}, SCHEMA)


def test_the_chart_may_be_a_part_of_another() -> None:
    jsonschema.validate({"global": {"imageRegistry": "", "other": {"of": "the parent"}}, "enabled": True}, SCHEMA)


@pytest.mark.parametrize("name", CASES)
def test_the_schema_is_draft_7_and_takes_defaults_and_cases(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft7Validator(SCHEMA)

    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert not list(validator.iter_errors(VALUES))
    assert not list(validator.iter_errors(yaml.safe_load((CHART / "ci" / name).read_text())))


def test_schema_and_readme_match_the_values() -> None:
    for path, text in generator.derived().items():
        assert path.read_text() == text, f"{path.name}: run python -m scripts.chart"


def test_a_value_without_a_description_is_an_error() -> None:
    with pytest.raises(generator.ValuesError, match=r"group\.key: needs a description"):
        generator.read("group:\n  key: 1\n")


def test_an_empty_default_without_a_schema_is_an_error() -> None:
    with pytest.raises(generator.ValuesError, match=r"group\.key: an empty default needs an @schema comment"):
        generator.read("group:\n  # -- Meaning\n  key: {}\n")


def test_comments_become_schema_and_rows() -> None:
    schema, rows = generator.read(
        '# -- First | and\n# -- second\n# @schema {minimum: 1}\nkey: 2\n# -- Other\nopen: ""\n'
    )

    assert schema["properties"]["key"] == {"description": "First | and second", "type": "integer", "minimum": 1}
    assert generator.table(rows).splitlines()[2:] == [
        r"| `key` | `2` | First \| and second |",
        '| `open` | `""` | Other |',
    ]


def test_check_writes_nothing_and_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "values.yaml").write_text("# -- Meaning\nkey: 1\n")
    (tmp_path / "README.md").write_text(f"before\n{generator.BEGIN}\n{generator.END}\nafter\n")

    assert generator.main(["--check"], tmp_path) == 1
    assert not (tmp_path / "values.schema.json").exists()
    assert "values.schema.json does not match values.yaml" in capsys.readouterr().err
    assert generator.main([], tmp_path) == 0
    assert generator.main(["--check"], tmp_path) == 0
    assert "before\n" in (tmp_path / "README.md").read_text()
    assert "| `key` | `1` | Meaning |" in (tmp_path / "README.md").read_text()
