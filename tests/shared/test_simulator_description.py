"""The simulator's answers against the API's published OpenAPI description."""

import itertools
import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from sendgrid_simulator import (
    EPOCH,
    Alteration,
    ManualClock,
    Request,
    Simulator,
    StatisticsAlteration,
    generated_automation,
)

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
PATH = "/v3/marketing/stats/automations/{id}/links"
LIST = "/v3/marketing/stats/automations"
ONE = "/v3/marketing/stats/automations/{id}"
UNKNOWN = "99999999-9999-4999-8999-999999999999"
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
}
FORMATS = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "uri": re.compile(r"[a-z]+://[^\s\"\\]+"),
}


@cache
def description():
    return json.loads((REFERENCE / "tsg_mc_stats_v3.json").read_text())


def resolved(schema):
    while "$ref" in schema:
        place = description()
        for name in schema["$ref"].removeprefix("#/").split("/"):
            place = place[name]
        schema = place
    return schema


def problems(value, schema, where="$"):
    """Return what contradicts the schema, as far as this description uses JSON Schema."""
    schema = resolved(schema)
    if value is None:
        return [] if schema.get("nullable") else [f"{where} is null"]
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or isinstance(value, bool)):
        return [f"{where} is no {kind}: {value!r}"]
    found = []
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where} is below {schema['minimum']}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where} is none of {schema['enum']}")
    if "format" in schema and not FORMATS[schema["format"]].fullmatch(value):
        found.append(f"{where} is no {schema['format']}: {value!r}")
    if isinstance(value, dict):
        found += [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        known = schema.get("properties")
        for name, part in value.items() if known else ():
            found += problems(part, known[name], f"{where}.{name}") if name in known else [f"{where}.{name} is unknown"]
    if isinstance(value, list):
        for number, part in enumerate(value):
            found += problems(part, schema["items"], f"{where}[{number}]")
    return found


def schema_of(status, path=PATH):
    answer = resolved(description()["paths"][path]["get"]["responses"][str(status)])
    return answer["content"]["application/json"]["schema"]


class Client:
    def __init__(self):
        clock = ManualClock(EPOCH + 30 * 86_400)
        self.simulator = Simulator((generated_automation(1, "Described", 130),), clock=clock, wall=clock)
        self.id = self.simulator.automations[0].id

    def get(self, automation_id=None, path=PATH, **query):
        target = f"{path.format(id=automation_id or self.id)}?{urlencode(query)}"
        headers = {"host": "api.test", "accept": "*/*", "authorization": f"Bearer {self.simulator.api_key}"}
        response = self.simulator.answer(Request("GET", target, headers))
        return response.status, json.loads(response.body)


@pytest.fixture
def client():
    return Client()


def test_every_page_is_as_described(client):
    query = {"group_by": "step_id", "page_size": 50}
    pages = 0
    for _ in itertools.repeat(None, 10):
        status, document = client.get(**query)
        assert status == 200
        found = [
            each
            for each in problems(document, schema_of(200))
            if not each.startswith("$.results") or ".url " not in each
        ]
        assert found == []
        pages += 1
        if "next" not in document["_metadata"]:
            break
        query = dict(parse_qsl(urlsplit(document["_metadata"]["next"]).query))
    assert pages == 3


def test_the_only_departure_without_group_by_is_the_step(client):
    _, document = client.get(page_size=50)
    left = [each for each in problems(document, schema_of(200)) if ".url " not in each]
    assert left
    assert all(each.endswith("step_id is no uuid: 'all'") for each in left)


@pytest.mark.parametrize(
    ("automation_id", "query", "status"),
    [
        (None, {"page_size": 51}, 400),
        (None, {"page_token": "forged"}, 400),
        (None, {"group_by": "url"}, 400),
        (None, {"step_ids": "x"}, 400),
        ("not-a-uuid", {}, 400),
        (UNKNOWN, {}, 404),
    ],
)
def test_a_refusal_is_as_described(client, automation_id, query, status):
    got, document = client.get(automation_id, **query)
    assert got == status
    assert [each for each in problems(document, schema_of(status)) if not each.endswith("help is null")] == []


def test_the_bounds_of_page_size_are_those_described(client):
    schema = next(
        resolved(each)["schema"]
        for each in description()["paths"][PATH]["get"]["parameters"]
        if resolved(each)["name"] == "page_size"
    )
    for size in (schema["minimum"], schema["maximum"]):
        assert len(client.get(page_size=size)[1]["results"]) == size
    for size in (schema["minimum"] - 1, schema["maximum"] + 1):
        assert client.get(page_size=size)[0] == 400
    assert len(client.get()[1]["results"]) == schema["default"]


def test_every_described_parameter_is_understood():
    names = {resolved(each)["name"] for each in description()["paths"][PATH]["get"]["parameters"]}
    assert names == {"group_by", "step_ids", "page_size", "page_token"}


@pytest.mark.parametrize(
    "alteration",
    [Alteration.RESULTS_NULL, Alteration.CLICKS_ZERO, Alteration.TOTAL_MISSING, Alteration.PLACE_NEGATIVE],
)
def test_an_altered_page_is_not_as_described(client, alteration):
    client.simulator.fault(alter=alteration)
    assert problems(client.get(group_by="step_id")[1], schema_of(200))


def test_the_seed_page_tells_the_same_endpoint():
    page = next(REFERENCE.glob("000_*.txt")).read_text()
    assert PATH in page
    assert '"maximum":50' in page


def answers_over_statistics(client):
    """Yield (path, status, document) of every kind of answer over the two endpoints of statistics."""
    life = {"start_date": "2020-01-01", "end_date": "2030-01-01"}
    for page_size in (1, 50):
        yield LIST, *client.get(path=LIST, page_size=page_size)
    yield LIST, *client.get(path=LIST, automation_ids=f"{client.id},{UNKNOWN}")
    yield LIST, *client.get(path=LIST, automation_ids=UNKNOWN)
    yield LIST, *client.get(path=LIST, page_size=51)
    yield LIST, *client.get(path=LIST, page_token="forged")
    yield LIST, *client.get(path=LIST, automation_ids=",".join([UNKNOWN] * 26))
    for query in ({}, life, {**life, "group_by": "step_id"}, {**life, "aggregated_by": "day", "group_by": "step_id"}):
        yield ONE, *client.get(path=ONE, **query)
    yield ONE, *client.get(path=ONE, aggregated_by="week")
    yield ONE, *client.get(path=ONE, start_date="yesterday")
    yield ONE, *client.get("not-a-uuid", path=ONE)


def test_every_answer_of_statistics_is_as_described(client):
    client.simulator.edit(client.id)
    seen = set()
    for path, status, document in answers_over_statistics(client):
        seen.add((path, status, bool(document.get("results"))))
        found = problems(document, schema_of(status, path))
        assert [each for each in found if not each.endswith("help is null")] == []
    assert seen == {(path, *rest) for path in (LIST, ONE) for rest in ((200, True), (400, False))} | {
        (LIST, 200, False)
    }


@pytest.mark.parametrize("path", [LIST, ONE])
def test_every_described_parameter_of_statistics_is_understood(client, path):
    for parameter in map(resolved, description()["paths"][path]["get"]["parameters"]):
        refused, document = client.get(path=path, **{parameter["name"]: "\N{SNOWMAN},,"})
        if parameter["name"] == "automation_ids":
            assert client.get(path=path, automation_ids=UNKNOWN)[1]["results"] == []
        assert (refused, document["errors"][0]["field"]) == (400, parameter["name"])


def test_the_default_dates_and_the_most_ids_are_those_described(client):
    by_name = {
        resolved(each)["name"]: resolved(each)["schema"]
        for path in (LIST, ONE)
        for each in description()["paths"][path]["get"]["parameters"]
    }
    dates = {name: by_name[name]["default"] for name in ("start_date", "end_date")}
    days = {"aggregated_by": "day", "group_by": "step_id"}
    moved = Simulator(
        (generated_automation(1, "Described", 12, started=EPOCH - 5 * 365 * 86_400),), clock=ManualClock(EPOCH)
    )
    client.simulator, client.id = moved, moved.automations[0].id
    rows = client.get(path=ONE, **days)[1]["results"]
    assert rows
    assert rows == client.get(path=ONE, **dates, **days)[1]["results"]
    most = by_name["automation_ids"]["maxItems"]
    assert client.get(path=LIST, automation_ids=",".join([UNKNOWN] * most))[0] == 200
    assert client.get(path=LIST, automation_ids=",".join([UNKNOWN] * (most + 1)))[0] == 400


def test_every_described_count_is_given(client):
    described = resolved(description()["components"]["schemas"]["Metrics"])["properties"]
    (row,) = client.get(path=LIST)[1]["results"]
    assert set(row["stats"]) == set(described)


@pytest.mark.parametrize("alteration", list(StatisticsAlteration))
def test_altered_statistics_are_not_as_described(client, alteration):
    harmless = {
        StatisticsAlteration.AGGREGATION_OTHER,
        StatisticsAlteration.STATS_MISSING,
        StatisticsAlteration.DELIVERED_HUGE,
        StatisticsAlteration.DELIVERED_NEGATIVE,
        StatisticsAlteration.ENDLESS_IDS,
    }
    client.simulator.fault(alter=alteration)
    assert bool(problems(client.get(path=LIST)[1], schema_of(200, LIST))) is (alteration not in harmless)
