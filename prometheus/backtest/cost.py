"""Measures what one evaluation of all rules costs a real Prometheus: `python -m prometheus.backtest.cost`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RULES = Path(__file__).parents[1] / "rules"
LIMIT_SECONDS = 2.0
HOUR, WEEK = 3600, 7 * 86400
JOB = "sendgrid-automation-exporter"


def main() -> int:
    """Build history, run Prometheus on it and print the duration of every group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--automations", type=int, default=1000)
    parser.add_argument("--links", type=int, default=20, help="links of each automation")
    parser.add_argument("--minutes", type=float, default=6, help="how long Prometheus runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _blocks(Path(folder), data, arguments.automations, arguments.links)
        worst = _measure(Path(folder), data, arguments)
    for group, seconds in sorted(worst.items()):
        sys.stdout.write(f"{group}: {seconds:.2f} s at worst\n")
    total = sum(worst.values())
    size = f"{arguments.automations} automations, {arguments.automations * arguments.links} links"
    sys.stdout.write(f"all rules, {size}: {total:.2f} s (limit {LIMIT_SECONDS:.0f} s)\n")
    return 0 if worst and total < LIMIT_SECONDS else 1


def _samples(automations: int, links: int, now: float) -> Iterator[tuple[str, str, str, float]]:
    """Return metric, recorded name, labels and value of every series at a time."""
    for automation in range(automations):
        owner = f'job="{JOB}",automation_id="{automation:08d}-0000-4000-8000-000000000000"'
        total = 0.0
        for link in range(links):
            value = float(int(now / 60 * (1 + automation % 7) / (1 + link)))
            total += value
            labels = f'{owner},step_id="step-{link % 5}",url="https://shop.example/{automation}/{link}",url_location="{link}"'
            yield "automation_link_clicks", "job_link:sendgrid_clicks:now", labels, value
        yield "automation_total_clicks", "job_automation:sendgrid_clicks:counted", owner, total


def _blocks(folder: Path, data: Path, automations: int, links: int) -> None:
    now = int(time.time()) // 60 * 60
    past = [now - WEEK + step for step in range(-HOUR, HOUR, 300)]
    recent = [now - 3 * HOUR + step for step in range(0, 2 * HOUR, 300)]
    file = folder / "history.om"
    with file.open("w", encoding="utf-8") as out:
        for moment in (*past, *recent):
            for raw, recorded, labels, value in _samples(automations, links, moment):
                out.write(
                    f'{raw}{{{labels},instance="old"}} {value} {moment}\n{recorded}{{{labels}}} {value} {moment}\n'
                )
        out.write("# EOF\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(file), str(data)], check=True, capture_output=True
    )
    file.unlink()


def _measure(folder: Path, data: Path, arguments: argparse.Namespace) -> dict[str, float]:
    exporter = _Exporter(arguments.automations, arguments.links)
    config = folder / "prometheus.yml"
    config.write_text(
        f"""global: {{scrape_interval: 1m, evaluation_interval: 1m}}
rule_files: [{RULES.resolve()}/*.yml]
scrape_configs:
  - job_name: {JOB}
    static_configs: [{{targets: ["127.0.0.1:{exporter.port}"]}}]
""",
        encoding="utf-8",
    )
    port = exporter.port + 1
    command = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=10d", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        return _watch(port, time.monotonic() + arguments.minutes * 60)
    finally:
        process.terminate()
        process.wait()
        exporter.stop()


def _watch(port: int, deadline: float) -> dict[str, float]:
    """Return the longest evaluation of each group until the deadline, the first two left out."""
    worst: dict[str, float] = {}
    pause = threading.Event()
    while time.monotonic() < deadline:
        pause.wait(10)
        for labels, value in _query(port, "prometheus_rule_group_last_duration_seconds"):
            group = labels["rule_group"].rpartition(";")[2]
            worst[group] = max(worst.get(group, 0.0), value)
    return worst


def _query(port: int, name: str) -> Iterator[tuple[dict[str, str], float]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, TimeoutError):
        return
    for line in lines:
        if line.startswith(name + "{"):
            labels, _, value = line.removeprefix(name).rpartition(" ")
            pairs = (pair.partition("=") for pair in labels.strip("{}").split('",'))
            yield {key: json.loads(f'"{text.strip(chr(34))}"') for key, _, text in pairs}, float(value)


class _Exporter:
    """Serves the size asked for, each link moving as time goes."""

    def __init__(self, automations: int, links: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = "".join(f"{raw}{{{labels}}} {value}\n" for raw, _, labels, value in _live(automations, links))
                body = text.replace(f'job="{JOB}",', "").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _live(automations: int, links: int) -> Iterator[tuple[str, str, str, float]]:
    now = time.time()
    yield from _samples(automations, links, now)
    for automation in range(automations):
        owner = f'automation_id="{automation:08d}-0000-4000-8000-000000000000"'
        yield "sendgrid_exporter_automation_up", "", owner, 1
        yield "sendgrid_exporter_automation_poll_interval_seconds", "", owner, 300
        yield "sendgrid_exporter_automation_last_success_timestamp_seconds", "", owner, float(int(now))


if __name__ == "__main__":
    sys.exit(main())
