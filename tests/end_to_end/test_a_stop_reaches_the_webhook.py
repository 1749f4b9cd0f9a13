"""An automation whose clicks stop becomes a message and its end another: real Prometheus, real Alertmanager."""

import json
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import Process
from tests.end_to_end.harness.serving import serving
from tests.programs import ROOT, needs, program
from tools.pictures.sample.server import made_blocks
from tools.rules import series

pytestmark = pytest.mark.e2e

HOUR: Final = 3600
DAY: Final = 24 * HOUR
STEP: Final = 300
AN_HOUR: Final = 100
SILENT: Final = 2.5 * HOUR
OWN: Final = 'job="shop",automation_id="welcome"'


class Account:
    """One automation of even clicks that stopped some hours ago, as its exporter publishes it."""

    def __init__(self) -> None:
        self.now = time.time() // STEP * STEP
        self.died = self.now - SILENT
        self.born = self.now - 16 * DAY
        self.caught_up = 0

    def clicks(self, moment: float) -> int:
        return int((min(moment, self.died) - self.born) / HOUR * AN_HOUR)

    def exposition(self) -> str:
        total = self.clicks(time.time()) + self.caught_up
        own = 'automation_id="welcome"'
        return (
            f"automation_total_clicks{{{own}}} {total}\n"
            f'automation_info{{{own},name="Welcome series"}} 1\n'
            f"sendgrid_exporter_automation_last_success_timestamp_seconds{{{own}}} {time.time()}\n"
            f"sendgrid_exporter_automation_poll_interval_seconds{{{own}}} {STEP}\n"
        )

    def recorded(self) -> Iterator[str]:
        """Yield what the rules have recorded of it so far, name by name."""
        moments = [self.born + number * STEP for number in range(int((self.now - self.born) // STEP) + 1)]
        for name in (series.TOTAL, series.HELD, series.COUNTED):
            yield from (f"{name}{{{OWN}}} {self.clicks(at)} {at:.0f}\n" for at in moments)
        yield from (f"{series.MOVED}{{{OWN}}} {min(at, self.died):.0f} {at:.0f}\n" for at in moments)
        for window, hours in series.WINDOWS.items():
            reach, labels = hours * HOUR, f'{{{OWN},window="{window}"}}'
            for at in moments:
                if at - reach >= self.born:
                    yield f"{series.OBSERVED}{labels} {self.clicks(at) - self.clicks(at - reach)} {at:.0f}\n"
        for window, hours in series.WINDOWS.items():
            labels = f'{{{OWN},window="{window}"}}'
            week = [at for at in moments if at - 7 * DAY - HOUR - hours * HOUR >= self.born]
            yield from (f"{series.LAST_WEEK}{labels} {int(hours * AN_HOUR)} {at:.0f}\n" for at in week)
        yield "# EOF\n"


@contextmanager
def _exporter(account: Account) -> Iterator[int]:
    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(account.exposition().encode())

        def log_message(self, *_: object) -> None: ...

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Exporter)) as port:
        yield port


@contextmanager
def _inbox() -> Iterator[tuple[int, "queue.Queue[dict[str, Any]]"]]:
    alerts: queue.Queue[dict[str, Any]] = queue.Queue()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
                alerts.put(alert)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Webhook)) as port:
        yield port, alerts


def _next(alerts: "queue.Queue[dict[str, Any]]", status: str) -> dict[str, Any]:
    """Return the next message with the status, passing over repetitions of the former one."""
    deadline = time.monotonic() + 120
    while (left := deadline - time.monotonic()) > 0:
        alert = alerts.get(timeout=left)
        if alert["status"] == status:
            return alert
    raise AssertionError(f"no message that is {status}")


@needs("prometheus", "promtool", "prometheus-alertmanager")
def test_a_stop_and_its_end_reach_the_webhook_as_sentences(tmp_path: Path) -> None:
    account = Account()
    data = made_blocks(account.recorded(), tmp_path)
    rules = (ROOT / "prometheus" / "rules" / "sendgrid-clicks.yml").read_text(encoding="utf-8")
    (tmp_path / "rules.yml").write_text(rules.replace("interval: 2m", "interval: 1s"), encoding="utf-8")
    alertmanager, prometheus = free_port(), free_port()
    with _exporter(account) as exporter, _inbox() as (inbox, alerts):
        (tmp_path / "alertmanager.yml").write_text(
            "route: {receiver: inbox, group_wait: 0s, group_interval: 1s}\n"
            f"receivers: [{{name: inbox, webhook_configs: [{{url: 'http://127.0.0.1:{inbox}/'}}]}}]\n",
            encoding="utf-8",
        )
        (tmp_path / "prometheus.yml").write_text(
            f"""global: {{scrape_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}]
""",
            encoding="utf-8",
        )
        with (
            Process([
                program("prometheus-alertmanager"), f"--config.file={tmp_path}/alertmanager.yml",
                "--cluster.listen-address=", f"--storage.path={tmp_path}/alertmanager",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
            ]) as manager,
            Process([
                program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=30d", f"--web.listen-address=127.0.0.1:{prometheus}",
            ]),
        ):  # fmt: skip
            manager.wait_while_alive(
                lambda: exchange(f"http://127.0.0.1:{alertmanager}/-/ready").status == 200, "Alertmanager is ready"
            )
            stopped = _next(alerts, "firing")
            account.caught_up = AN_HOUR * 9 // 10
            resolved = _next(alerts, "resolved")

    assert stopped["labels"]["alertname"] == "SendGridAutomationClicksStopped"
    assert stopped["labels"]["severity"] == "critical"
    assert stopped["annotations"]["summary"] == "Clicks on the automation Welcome series have stopped."
    assert stopped["annotations"]["description"].startswith("The automation Welcome series has had no clicks for 2h 3")
    assert "it had 0 clicks; about " in stopped["annotations"]["description"]
    assert resolved["labels"] == stopped["labels"]
