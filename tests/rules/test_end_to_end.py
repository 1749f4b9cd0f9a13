"""A dead link becomes a sentence in somebody's inbox: real Prometheus, real Alertmanager, rules thirty times faster."""

from __future__ import annotations

import json
import queue
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.programs import needs
from tests.rules.conftest import PROMETHEUS

SPEED = 30
WEEK = 7 * 86400 // SPEED
DEADLINE = 120
JOB = "sendgrid-automation-exporter"
AUTOMATION = "0a1b2c3d-0000-4000-8000-000000000000"
URLS = ("https://shop.example/offer", "https://shop.example/help", "https://shop.example/terms")
RATES = (8, 6, 4)
"""Clicks a second."""

SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}


def faster(rules: str) -> str:
    """Return the rules with every duration divided by the speed."""

    def divide(match: re.Match[str]) -> str:
        parts = re.findall(r"(\d+)([wdhms])", match[2])
        return f"{match[1]}{max(sum(int(n) * SECONDS[unit] for n, unit in parts) // SPEED, 2)}s"

    text = re.sub(r"(offset |\[|interval: |for: )((?:\d+[wdhms])+)", divide, rules)
    return re.sub(r"\b(3600|604800|86400)\b", lambda match: str(int(match[1]) // SPEED), text)


def clicks(moment: float, born: float, died: float, rate: int) -> int:
    """Return the total of a link that was clicked evenly until it died."""
    return int((min(moment, died) - born) * rate)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def born() -> float:
    """Return when the automation began: before the oldest moment the rules look at."""
    return time.time() // 2 * 2 - 1.3 * WEEK


@pytest.fixture
def exporter_port(born: float) -> Iterator[int]:
    """Serve an automation whose first link has just died; the one seam to put another exporter in."""
    died = time.time()

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now, owner = time.time(), f'automation_id="{AUTOMATION}"'
            counts = [clicks(now, born, died if rate == RATES[0] else now, rate) for rate in RATES]
            lines = [
                f'automation_link_clicks{{{owner},step_id="s{n}",url="{url}",url_location="1"}} {count}'
                for n, (url, count) in enumerate(zip(URLS, counts, strict=True))
            ]
            lines += [
                f'automation_total_clicks{{automation_id="{AUTOMATION}"}} {sum(counts)}',
                f'automation_info{{automation_id="{AUTOMATION}",name="Welcome series"}} 1',
                f'sendgrid_exporter_automation_last_success_timestamp_seconds{{automation_id="{AUTOMATION}"}} {now}',
                f'sendgrid_exporter_automation_poll_interval_seconds{{automation_id="{AUTOMATION}"}} {300 // SPEED}',
            ]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(("\n".join(lines) + "\n").encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving(Exporter) as port:
        yield port


@pytest.fixture
def inbox() -> Iterator[tuple[int, queue.Queue[dict[str, Any]]]]:
    """Serve a webhook and keep what arrives."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in body["alerts"]:
                messages.put(alert)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Webhook) as port:
        yield port, messages


def history(folder: Path, born: float) -> Path:
    """Write what the rules would have recorded so far as blocks."""
    now, lines = time.time(), []
    moment = born
    while moment < now:
        counts = [clicks(moment, born, moment, rate) for rate in RATES]
        owner = f'job="{JOB}",automation_id="{AUTOMATION}"'
        for number, (url, count) in enumerate(zip(URLS, counts, strict=True)):
            labels = f'{owner},step_id="s{number}",url="{url}",url_location="1"'
            lines.append(f"job_link:sendgrid_clicks:now{{{labels}}} {count} {moment:.0f}")
        for name in ("counted", "held", "total"):
            lines.append(f"job_automation:sendgrid_clicks:{name}{{{owner}}} {sum(counts)} {moment:.0f}")  # noqa: PERF401
        moment += 10
    file, data = folder / "history.om", folder / "data"
    file.write_text("\n".join([*lines, "# EOF"]) + "\n", encoding="utf-8")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(file), str(data)], check=True, capture_output=True
    )
    return data


@needs("prometheus", "promtool", "prometheus-alertmanager")
def test_dead_link_reaches_the_webhook_as_a_sentence(
    tmp_path: Path, born: float, exporter_port: int, inbox: tuple[int, queue.Queue[dict[str, Any]]]
) -> None:
    data = history(tmp_path, born)
    rules = (PROMETHEUS / "rules" / "sendgrid-clicks.yml").read_text(encoding="utf-8")
    (tmp_path / "rules.yml").write_text(faster(rules), encoding="utf-8")
    alertmanager, prometheus = free_port(), free_port()
    (tmp_path / "alertmanager.yml").write_text(
        "route: {receiver: inbox, group_wait: 1s, group_interval: 1s}\n"
        f"receivers: [{{name: inbox, webhook_configs: [{{url: 'http://127.0.0.1:{inbox[0]}/'}}]}}]\n",
        encoding="utf-8",
    )
    (tmp_path / "prometheus.yml").write_text(
        f"""global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: {JOB}, static_configs: [{{targets: ["127.0.0.1:{exporter_port}"]}}]}}]
""",
        encoding="utf-8",
    )

    with (
        running(
            "prometheus-alertmanager", f"--config.file={tmp_path}/alertmanager.yml", "--cluster.listen-address=",
            f"--storage.path={tmp_path}/alertmanager", f"--web.listen-address=127.0.0.1:{alertmanager}",
        ),
        running(
            "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ),
    ):  # fmt: skip
        message = _message(inbox[1], "SendGridLinkClicksStopped")

    assert message["labels"]["url"] == URLS[0]
    assert message["labels"]["automation_id"] == AUTOMATION
    assert re.fullmatch(
        r"The link https://shop\.example/offer of the automation Welcome series has had no click "
        r"while the others had \d+; about \d+ were expected\. "
        r"Open it and see whether it works, or whether somebody has taken it out\.",
        message["annotations"]["description"],
    )


def _message(messages: queue.Queue[dict[str, Any]], alert: str) -> dict[str, Any]:
    """Return the first message of the alert, or fail at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = messages.get(timeout=left)
        except queue.Empty:
            break
        if message["labels"]["alertname"] == alert:
            return message
    pytest.fail(f"no message of {alert} within {DEADLINE} s")
