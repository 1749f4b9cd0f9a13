"""Two releases, a pair of Prometheus servers, and one with the rules of each namespace: whoever is down is named."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import ExporterProcess, Process
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.rules import enforced, faster
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import ROOT, needs, program

pytestmark = pytest.mark.e2e

RULES: Final = ROOT / "prometheus" / "rules" / "sendgrid-exporter.yml"
JOBS: Final = ("crm-sendgrid-automation-exporter", "shop-sendgrid-automation-exporter")
DOWN: Final = "SendGridExporterDown"


class Running(NamedTuple):
    """The exporters by job, the pair with rules for all, the server with each namespace's own, and Alertmanager."""

    exporters: dict[str, ExporterProcess]
    pair: tuple[Prometheus, Prometheus]
    single: Prometheus
    alertmanager: str

    def received(self) -> list[dict[str, Any]]:
        """Return the alerts that Alertmanager holds."""
        answer = exchange(f"http://{self.alertmanager}/api/v2/alerts")
        return [alert for alert in answer.json() if alert["labels"]["alertname"] == DOWN]


def notifications(prometheus: Prometheus) -> int:
    """Return how many alerts the server has sent."""
    text = exchange(f"http://{prometheus.address}/metrics").text
    found = re.search(r"^prometheus_notifications_sent_total\{.*\} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    text = faster(RULES.read_text())
    (tmp_path / "all.yml").write_text(text)
    for job in JOBS:
        (tmp_path / f"{job}.yml").write_text(enforced(text, job.partition("-")[0]))
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    # As a ServiceMonitor does: the namespace of the pods becomes a label.
    namespaced = {
        "relabel_configs": [{"source_labels": ["job"], "regex": "([a-z]+)-.*", "target_label": "namespace"}],
    }
    alertmanager = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        exporters = {job: stack.enter_context(ExporterProcess("--demo")) for job in JOBS}
        command = [program("prometheus-alertmanager"), f"--config.file={tmp_path}/alertmanager.yml"]
        flags = [
            f"--storage.path={tmp_path}/alerts",
            "--cluster.listen-address=",
            f"--web.listen-address={alertmanager}",
        ]
        stack.enter_context(Process([*command, *flags]))

        def prometheus(name: str, binary: str, rules: list[Path], *, send: bool) -> Prometheus:
            return stack.enter_context(
                Prometheus(
                    tmp_path / name,
                    {job: [exporter.address] for job, exporter in exporters.items()},
                    rules=rules,
                    job_options=namespaced,
                    alertmanagers=[alertmanager] if send else [],
                    external_labels={"prometheus_replica": name},
                    binary=binary,
                )
            )

        pair = (
            prometheus("a", "prometheus", [tmp_path / "all.yml"], send=True),
            prometheus("b", "prometheus-newer", [tmp_path / "all.yml"], send=True),
        )
        single = prometheus("c", "prometheus-newer", [tmp_path / f"{job}.yml" for job in JOBS], send=False)
        yield Running(exporters, pair, single, alertmanager)


def firing(prometheus: Prometheus) -> list[dict[str, str]]:
    """Return the labels of the alerts that say that an exporter is down."""
    return [
        alert["labels"]
        for alert in prometheus.alerts()
        if alert["labels"]["alertname"] == DOWN and alert["state"] == "firing"
    ]


@needs("prometheus", "prometheus-newer", "promtool-newer", "prometheus-alertmanager")
def test_the_one_that_is_down_is_named_once_and_the_other_is_not(running: Running) -> None:
    servers = (*running.pair, running.single)
    for prometheus in servers:
        prometheus.wait_for_scrape()
    assert [firing(prometheus) for prometheus in servers] == [[], [], []]

    down, up = JOBS
    running.exporters[down].stop()
    named = [wait_until(lambda: firing(server), "the alert fires", seconds=30) for server in servers]  # noqa: B023

    assert [[labels["job"] for labels in found] for found in named] == [[down]] * 3
    assert [labels["namespace"] for labels in named[2]] == ["crm"]
    assert all(server.value(f'up{{job="{up}"}}') == 1 for server in servers)
    wait_until(lambda: all(map(notifications, running.pair)), "both of the pair have sent the alert")
    (received,) = wait_until(running.received, "Alertmanager has the alert")
    assert received["labels"]["job"] == down
    assert "prometheus_replica" not in received["labels"]
    assert down in received["annotations"]["description"]
