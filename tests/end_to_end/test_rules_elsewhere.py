"""The rules in vmalert with VictoriaMetrics: what works there, and why the rules that build on one another do not."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest
import yaml

from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import ExporterProcess, Process
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.rules import faster
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import ROOT, needs, program

pytestmark = [pytest.mark.e2e, needs("prometheus", "victoria-metrics", "vmalert")]

JOBS: Final = ("crm", "shop")
RULES: Final = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
# Two rules of which the second reads the first, and one that reads its own last result, as sums over weeks do.
CHAIN: Final = """
groups:
  - name: chain
    interval: 1s
    rules:
      - {record: moment, expr: vector(time())}
      - {record: moment_read, expr: moment}
      - {record: behind, expr: moment - moment_read}
      - {record: evaluations, expr: "last_over_time(evaluations[1m]) + 1 or vector(1)"}
"""


class Engine(NamedTuple):
    """VictoriaMetrics and vmalert, by their addresses, and the exporters that are scraped."""

    storage: str
    evaluator: str
    exporters: dict[str, ExporterProcess]

    def value(self, expression: str) -> float | None:
        answer = exchange(f"http://{self.storage}/api/v1/query?{urlencode({'query': expression})}")
        found = answer.json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def down(self) -> list[dict[str, Any]]:
        """Return the labels of the alerts that say that an exporter is down."""
        alerts = exchange(f"http://{self.evaluator}/api/v1/alerts").json()["data"]["alerts"] or []
        return [
            alert["labels"]
            for alert in alerts
            if alert["name"] == "SendGridExporterDown" and alert["state"] == "firing"
        ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    tmp_path = tmp_path_factory.mktemp("engine")
    storage, evaluator = (f"127.0.0.1:{free_port()}" for _ in range(2))
    (tmp_path / "chain.yml").write_text(CHAIN)
    own = next(path for path in RULES if path.stem == "sendgrid-exporter")
    # A rule that reads its own last value finds it once the database shows it: on a busy machine that takes seconds.
    (tmp_path / "exporter.yml").write_text(faster(own.read_text(), shortest_range=30))
    with ExitStack() as stack:
        exporters = {job: stack.enter_context(ExporterProcess("--demo")) for job in JOBS}
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": [exporter.address]}]}
            for job, exporter in exporters.items()
        ]
        (tmp_path / "scrape.yml").write_text(
            yaml.safe_dump({"scrape_configs": scrapes, "global": {"scrape_interval": "1s"}})
        )
        # By default the newest half minute is not shown to queries.
        flags = [f"-promscrape.config={tmp_path}/scrape.yml", "-search.latencyOffset=0s", "-search.disableCache"]
        database = [program("victoria-metrics"), f"-storageDataPath={tmp_path}/data", f"-httpListenAddr={storage}"]
        stack.enter_context(Process([*database, *flags]))
        wait_until(lambda: exchange(f"http://{storage}/health").status == 200, "VictoriaMetrics answers")
        once = f"seen_once 500 {int(time.time() - 5) * 1000}\n".encode()
        assert exchange(f"http://{storage}/api/v1/import/prometheus", method="POST", body=once).status == 204
        written = [f"-remoteWrite.url=http://{storage}", "-remoteWrite.flushInterval=100ms"]
        asked = [
            f"-datasource.url=http://{storage}",
            "-notifier.url=http://127.0.0.1:1",
            f"-httpListenAddr={evaluator}",
        ]
        rules = [f"-rule={tmp_path}/chain.yml", f"-rule={tmp_path}/exporter.yml"]
        stack.enter_context(Process([program("vmalert"), *asked, *written, *rules]))
        wait_until(lambda: exchange(f"http://{evaluator}/api/v1/alerts").status == 200, "vmalert answers")
        yield Engine(storage, evaluator, exporters)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_vmalert_can_read_the_rules(path: Path) -> None:
    with Process([program("vmalert"), f"-rule={path}", "-dryRun"]) as process:
        assert process.wait(30) == 0, process.log


def test_the_exporters_own_alert_works_and_names_the_job(engine: Engine) -> None:
    down, up = JOBS
    wait_until(lambda: engine.value(f'sendgrid_exporter_build_info{{job="{up}"}}'), "both are stored", seconds=30)
    wait_until(lambda: engine.value(f'sendgrid_exporter_build_info{{job="{down}"}}'), "both are stored", seconds=30)
    assert engine.down() == []

    engine.exporters[down].stop()

    named = wait_until(engine.down, "the alert fires", seconds=40)
    assert [labels["job"] for labels in named] == [down]


def test_a_rule_that_reads_another_is_one_evaluation_behind_and_a_sum_loses_some(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "chain.yml").write_text(CHAIN)
    with Prometheus(tmp_path / "prometheus", rules=[tmp_path / "chain.yml"]) as prometheus:
        wait_until(lambda: (prometheus.value("evaluations") or 0) >= 4, "Prometheus evaluates", seconds=30)
        assert prometheus.value("behind") == 0
    wait_until(lambda: engine.value("behind") is not None, "vmalert evaluates", seconds=30)

    assert (engine.value("max_over_time(behind[10s])") or 0) >= 1
    assert (engine.value("evaluations") or 0) < (engine.value("count_over_time(moment[1m])") or 0)


def test_the_first_sample_is_a_difference_from_zero(engine: Engine) -> None:
    assert wait_until(lambda: engine.value("idelta(seen_once[1h])"), "the sample is found", seconds=30) == 500
