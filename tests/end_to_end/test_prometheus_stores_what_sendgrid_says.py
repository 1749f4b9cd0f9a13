"""The whole way: a simulated SendGrid, the installed command, a real Prometheus, and what it stored."""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sendgrid_simulator import Row, Simulator, fixed, generated_automations
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.prometheus import BOTH_AGES, Prometheus
from tests.end_to_end.harness.waiting import wait_until

pytestmark = pytest.mark.e2e

STRANGE = "00000000-0000-4000-8000-00000000abcd"
STEP = "11111111-2222-4333-8444-555555555555"
STRANGE_URLS = (
    "https://shop.example/ünïcode/日本語/😀",
    'https://shop.example/"quoted"?a="b"',
    "https://shop.example/back\\slash\\\\twice\\n",
    "https://shop.example/line\nbreak\r\nand\ttab",
    "https://shop.example/{{first_name}}?x={{#if vip}}1{{/if}}#top",
    "https://shop.example/nul\x00and\x1bescape\x7f\u2028\ufeff",
    "",
    " ",
    "__other__",
)

Expected = Mapping[tuple[str, str, str, str], float]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    automations = generated_automations(7, automations=3, links=120)
    rows = tuple(Row(STEP, url, place, 3 + place) for place, url in enumerate(STRANGE_URLS))
    repeated = (
        Row(STEP, STRANGE_URLS[0], None, 5),
        Row(STEP, STRANGE_URLS[0], None, 7),
        Row(STEP, "u", 0, 2**53 - 100),
    )
    with Simulator([*automations, fixed(STRANGE, rows + repeated)], rate_limit=0) as simulator:
        simulator.hold()
        yield simulator


def configuration(simulator: Simulator, ids: list[str]) -> dict[str, str]:
    return {
        "SENDGRID_API_KEY": simulator.api_key,
        "EXPORTER_SENDGRID__BASE_URL": simulator.base_url,
        "EXPORTER_SENDGRID__REQUESTS_PER_MINUTE": "6000",
        "EXPORTER_POLL__INTERVAL": "1s",
        "EXPORTER_AUTOMATIONS": ",".join(ids),
    }


def ids_of(simulator: Simulator) -> list[str]:
    return [automation.id for automation in simulator.automations]


def links_of(simulator: Simulator, ids: list[str]) -> Expected:
    expected: dict[tuple[str, str, str, str], float] = {}
    for id_ in ids:
        for row in simulator.links(id_)[0]:
            place = "" if row.url_location is None else str(row.url_location)
            key = (id_, row.step_id, row.url, place)
            expected[key] = expected.get(key, 0) + row.clicks
    return expected


def totals_of(simulator: Simulator, ids: list[str]) -> Mapping[str, float]:
    return {id_: simulator.links(id_)[1] for id_ in ids}


def stored_links(prometheus: Prometheus) -> Expected:
    names = ("automation_id", "step_id", "url", "url_location")
    found = prometheus.query("automation_link_clicks")
    return {tuple(series.labels.get(name, "") for name in names): series.value for series in found}  # type: ignore[misc]


def stored_totals(prometheus: Prometheus) -> Mapping[str, float]:
    return {series.labels["automation_id"]: series.value for series in prometheus.query("automation_total_clicks")}


def assert_stored(prometheus: Prometheus, simulator: Simulator, ids: list[str]) -> None:
    links, totals = links_of(simulator, ids), totals_of(simulator, ids)
    wait_until(
        lambda: stored_links(prometheus) == links and stored_totals(prometheus) == totals,
        "Prometheus stored what the simulator holds",
        seconds=30,
    )


@pytest.mark.parametrize("binary", [pytest.param(name, marks=pytest.mark.needs(name)) for name in BOTH_AGES])
def test_every_series_and_value_is_what_the_simulator_holds(simulator: Simulator, tmp_path: Path, binary: str) -> None:
    ids = ids_of(simulator)
    with (
        ExporterProcess(env=configuration(simulator, ids)) as exporter,
        Prometheus(tmp_path / "data", {"sendgrid": [exporter.address]}, binary=binary) as prometheus,
    ):
        prometheus.wait_for("automation_total_clicks", seconds=30)
        assert_stored(prometheus, simulator, ids)

        simulator.release()
        for id_ in ids[:3]:
            simulator.slow(id_, 20_000)
        wait_until(lambda: simulator.links(ids[0])[1] > stored_totals(prometheus)[ids[0]] + 100, "clicks arrive")
        simulator.hold()
        assert_stored(prometheus, simulator, ids)
        assert prometheus.value("min(up)") == 1


@pytest.mark.needs("prometheus")
def test_a_removed_automation_is_gone_and_a_restart_shows_the_rest_again(simulator: Simulator, tmp_path: Path) -> None:
    ids = ids_of(simulator)
    config = tmp_path / "exporter.yaml"
    config.write_text(f"automations: [{', '.join(ids)}]\n")
    env = configuration(simulator, ids)
    del env["EXPORTER_AUTOMATIONS"]
    flags = (f"--config.file={config}", f"--state.path={tmp_path / 'state.db'}")
    with (
        ExporterProcess(*flags, env=env) as exporter,
        Prometheus(tmp_path / "data", {"sendgrid": [exporter.address]}) as prometheus,
    ):
        prometheus.wait_for("automation_total_clicks", seconds=30)
        assert_stored(prometheus, simulator, ids)

        config.write_text(f"automations: [{', '.join(ids[1:])}]\n")
        exporter.send(signal.SIGHUP)
        assert_stored(prometheus, simulator, ids[1:])

        assert exporter.stop() == 0
        wait_until(lambda: not prometheus.query("automation_total_clicks"), "the stopped exporter's series end")
        with ExporterProcess(*flags, env=env, address=exporter.address):
            assert_stored(prometheus, simulator, ids[1:])


def test_both_formats_and_once_show_the_same(simulator: Simulator) -> None:
    ids = ids_of(simulator)
    expected = links_of(simulator, ids)
    with ExporterProcess(env=configuration(simulator, ids)) as exporter:
        wait_until(lambda: exporter.get("/-/ready").status == 200, "every automation was tried")
        for openmetrics in (False, True):
            found = {
                tuple(dict(labels)[name] for name in ("automation_id", "step_id", "url", "url_location")): value
                for (metric, labels), value in exporter.samples(openmetrics=openmetrics).items()
                if metric == "automation_link_clicks"
            }
            assert found == expected
