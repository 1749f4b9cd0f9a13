"""The names, types, explanations and labels of everything that is served, and the text of a whole scrape."""

import re
from collections.abc import Iterable

import pytest
from prometheus_client import disable_created_metrics
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from exporter.account.statistics import StatisticsStore
from exporter.domain import Endpoint, Outcome, Standing, Statistics
from exporter.exposition import text_chunks
from exporter.logs import LineWriter
from exporter.serving import Exposition
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.conftest import ROOT
from tests.factories import a_block as block_of
from tests.factories import a_link, a_rate_limit, an_about, an_automation, an_id, some_stats
from tests.fakes import WALL, FakeClock

pytestmark = pytest.mark.contract

DOCS = ROOT / "docs" / "metrics.md"
NOT_OURS = ("process_", "python_")


def full_exposition() -> Exposition:
    """Return the exposition of an exporter in which every series has appeared."""
    disable_created_metrics()
    clock = FakeClock()
    store = Store()
    telemetry = Telemetry(an_about(), clock=clock, link_series=store.link_series, log=LineWriter(None))
    labels = (("team", "growth"),)
    second = an_automation(2, name="Win back", steps=(("s-1", "Day 1"),), labels=labels)
    store.configure([an_automation(1), second], "https://app.example/automations/{automation_id}/detail")
    stats = some_stats(a_link(), a_link(url="https://example.com/{{name}}", url_location="", clicks=2))
    block = block_of(*stats.links, total=stats.total_clicks)
    store.publish(an_id(1), block, last_success=WALL, expires=9e9, decreased=True)
    store.failed(an_id(2))
    telemetry.polled(Outcome.SUCCESS, 0.3)
    telemetry.requested(Endpoint.LINKS, "200", 0.2, a_rate_limit(limit=600.0, remaining=599.0, reset_in=30.0))
    telemetry.sharded(0, 1)
    telemetry.list_enabled(enabled=True)
    telemetry.list_read(Outcome.SUCCESS, WALL)
    telemetry.discovered(dict.fromkeys(Standing, 1))
    statistics = StatisticsStore()
    statistics.publish({an_id(1): Statistics(*range(12)), an_id(2): Statistics(delivered=7)}, 0.0)
    statistics.publish_steps(an_id(1), {'st"ep': Statistics(*range(12))}, 0.0)
    statistics.refresh(lambda _: 0.0, lambda _: 0.0)
    return Exposition(store, telemetry, statistics.lines)


def text_of(exposition: Exposition, *, openmetrics: bool = False, names: frozenset[str] | None = None) -> str:
    return exposition.body(openmetrics=openmetrics, names=names).text().decode()


def ours(families: Iterable[Metric]) -> list[Metric]:
    return [family for family in families if not family.name.startswith(NOT_OURS)]


def described(family: Metric) -> list[str]:
    labels = sorted({(sample.name, tuple(sample.labels)) for sample in family.samples})
    lines = [f"{name}{{{','.join(keys)}}}" for name, keys in labels]
    return [f"# {family.type} {family.name}: {family.documentation}", *lines]


def test_names_types_explanations_and_labels_are_as_promised(golden):
    families = ours(text_string_to_metric_families(text_of(full_exposition())))

    golden("metrics.txt", "\n".join(line for family in families for line in described(family)) + "\n")


@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_whole_scrape_renders_to_exactly_this_text(golden, openmetrics):
    whole = text_of(full_exposition(), openmetrics=openmetrics)
    lines = [line for line in whole.splitlines() if not re.match(r"(# (HELP|TYPE) )?(process|python)_", line)]

    golden("scrape.openmetrics" if openmetrics else "scrape.txt", "\n".join(lines) + "\n")


def test_both_formats_tell_the_same():
    plain = ours(text_string_to_metric_families(text_of(full_exposition())))
    text = text_of(full_exposition(), openmetrics=True)
    strict = ours(openmetrics_parser.text_string_to_metric_families(text))

    assert text.endswith("# EOF\n")
    assert [(f.name, f.type, f.documentation) for f in plain] == [(f.name, f.type, f.documentation) for f in strict]
    assert [f.samples for f in plain] == [f.samples for f in strict]


def test_metrics_of_the_libraries_collectors_are_there():
    names = {family.name for family in text_string_to_metric_families(text_of(full_exposition()))}

    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= names


def test_every_family_can_be_asked_for_alone():
    exposition = full_exposition()
    whole = text_string_to_metric_families(text_of(exposition))
    names = {sample.name for family in ours(whole) for sample in family.samples}

    for name in names:
        (family,) = text_string_to_metric_families(text_of(exposition, names=frozenset({name})))
        assert name in {sample.name for sample in family.samples}


def test_unknown_name_gives_an_empty_scrape():
    exposition = full_exposition()

    assert text_of(exposition, names=frozenset({"other"})) == ""
    assert text_of(exposition, names=frozenset({"other"}), openmetrics=True) == "# EOF\n"


def documented() -> dict[str, tuple[str, set[str]]]:
    """Return the documented metrics: their types and labels by the name in the tables of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (gauge|counter|histogram) \| ([^|]*)\|", DOCS.read_text("utf-8"), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_documentation_lists_exactly_what_is_served():
    served = {}
    for family in ours(text_string_to_metric_families(text_of(full_exposition()))):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        served[name] = (family.type, {key for sample in family.samples for key in sample.labels} - {"le"})

    assert documented() == served


def test_documentation_names_every_outcome():
    text = DOCS.read_text("utf-8")

    assert [outcome for outcome in Outcome if f"`{outcome}`" not in text] == []


def test_labels_of_links_are_all_there_so_that_no_series_can_fall_on_another():
    text = b"".join(text_chunks(full_exposition().store.snapshot.lines["automation_link_clicks"])).decode()

    assert all(
        re.fullmatch(r'\w+\{automation_id="[^"]+",step_id="[^"]+",url="[^"]*",url_location="\d*"\} \d+', line)
        for line in text.splitlines()
    )
