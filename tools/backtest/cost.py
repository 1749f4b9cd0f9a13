"""Measures what one evaluation of all rules costs a real Prometheus: `python -m tools.backtest.cost`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tools.rules import parts
from tools.rules.series import (
    CLICK_RATE,
    CONFIGURED,
    COUNTED,
    DELIVERIES,
    DELIVERIES_COUNTED,
    DELIVERIES_LAST_WEEK,
    DELIVERIES_MOVED,
    DELIVERIES_OBSERVED,
    DELIVERY_WINDOWS,
    HELD,
    LAST_WEEK,
    MAIL_LAG_HOURS,
    MAILS,
    MAILS_LAST_WEEK,
    MISSED_SQUARED,
    MOVED,
    OBSERVED,
    PART_COUNTED,
    PART_ODDS,
    PART_SHARE,
    PART_TOTAL,
    PART_UNLIKE,
    PART_WINDOWS,
    TOTAL,
    UNEVEN_HOURS,
    USUAL_SQUARED,
    WINDOWS,
)

RULES = Path(__file__).parents[2] / "prometheus" / "rules"
LIMIT_SECONDS, GROUP_LIMIT_SECONDS = 1.5, 1.0
"""The limit for all groups per minute, and for one group per evaluation."""

SHOWN = 12
"""The number of costliest rules that are listed."""

_INTERVAL = re.compile(r"interval: (\d+)m")
HOUR, POLL, PACE, STEPS = 3600, 300, 240, 5
WEEK = 168
JOB = "sendgrid-automation-exporter"
STARTED = time.time()

_OF_AUTOMATIONS = (
    *((hours, COUNTED) for hours in WINDOWS.values()),
    *((hours, DELIVERIES_COUNTED) for hours in DELIVERY_WINDOWS.values()),
    *((hours + MAIL_LAG_HOURS, "sendgrid_automation_delivered") for hours in (1 - MAIL_LAG_HOURS, *WINDOWS.values())),
)
"""The series of automations that the rules read, and how many hours back."""

_OF_WINDOWS = (
    *((hours, name) for hours in (WEEK - 1, WEEK, WEEK + 1) for name in (OBSERVED, MAILS)),
    *((hours, DELIVERIES_OBSERVED) for hours in range(WEEK - 3, WEEK + 4)),
    *((WEEK, name) for name in (LAST_WEEK, MAILS_LAST_WEEK, CLICK_RATE, DELIVERIES_LAST_WEEK)),
    *((hours, name) for hours in range(24, 49) for name in (MISSED_SQUARED, USUAL_SQUARED)),
)
"""The same for series of their windows."""

_OF_PARTS = (
    *((hours, name) for hours in PART_WINDOWS.values() for name in (PART_COUNTED,)),
    *((hours, PART_COUNTED) for hours in (UNEVEN_HOURS, WEEK)),
    *((hours, PART_UNLIKE) for hours in (72, 73)),
    *((WEEK + hours, PART_COUNTED) for hours in PART_WINDOWS.values()),
    (WEEK, PART_SHARE),
)
"""The same for series of links and steps."""

DEAD_LINK, DEAD_IN, DEAD_HOURS = 3, 10, 80
"""Which link has lost its clicks, in every how many automations, and since how many hours."""

_RECENT = (TOTAL, HELD, MOVED, CONFIGURED, DELIVERIES, DELIVERIES_COUNTED, DELIVERIES_MOVED)
"""Series of which they read the last three hours."""

_RECENT_OF_PARTS = (
    (POLL, 8 * HOUR, (PART_COUNTED, PART_TOTAL)),
    (HOUR // 2, 24 * HOUR, (PART_ODDS, PART_UNLIKE)),
)
"""Series of which they read the last hours or day, and how often those are recorded."""


def main() -> int:
    """Build history, run Prometheus on it and print the duration of every group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--automations", type=int, default=1000)
    parser.add_argument("--links", type=int, default=20, help="links of each automation")
    parser.add_argument("--minutes", type=float, default=8, help="how long Prometheus runs")
    parser.add_argument("--prometheus", default="prometheus", help="the Prometheus that runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _blocks(Path(folder), data, arguments)
        _rules(Path(folder))
        groups, costs = _measure(Path(folder), data, arguments)
    if not groups or not all(group.seconds for group in groups.values()):
        sys.stderr.write("too short to say: a group was evaluated twice or less, so give it more --minutes\n")
        return 1
    for name, group in sorted(groups.items()):
        sys.stdout.write(
            f"{name}, every {group.every / 60:g}m: {_said(group.usual, max(group.seconds))}, {len(group.seconds)} evaluations\n"
        )
    for name, seconds in sorted(costs.items(), key=lambda cost: cost[1], reverse=True)[:SHOWN]:
        sys.stdout.write(f"  {name}: {seconds:.2f} s\n")
    minute, slowest = sum(group.a_minute for group in groups.values()), max(group.usual for group in groups.values())
    size = f"{arguments.automations} automations, {arguments.automations * arguments.links} links"
    sys.stdout.write(
        f"all rules, {size}: {minute:.2f} s a minute (limit {LIMIT_SECONDS:g} s), the slowest group {slowest:.2f} s (limit {GROUP_LIMIT_SECONDS:g} s)\n"
    )
    return 0 if minute < LIMIT_SECONDS and slowest < GROUP_LIMIT_SECONDS else 1


def _said(usual: float, worst: float) -> str:
    return f"{usual:.2f} s in the median, {worst:.2f} s at worst"


def _owner(automation: int) -> str:
    return f'job="{JOB}",automation_id="{automation:08d}-0000-4000-8000-000000000000"'


@dataclass(frozen=True)
class _Row:
    """An automation, a step or a link at a time, and its share of the automation's clicks."""

    labels: str
    clicks: float
    share: float = 0.01
    counted: str = ""
    """The label that the counts of a step have besides."""

    def sample(self, name: str) -> str:
        """Return its sample in the series of this name."""
        shares = {CLICK_RATE: self.share, PART_SHARE: self.share, PART_ODDS: self.share / (1 - self.share)}
        value = {**shares, PART_UNLIKE: 0.02}.get(name, self.clicks)
        return f"{name}{{{self.labels}{self.counted if name == PART_COUNTED else ''}}} {value}"


def _links(automations: int, links: int, now: float) -> Iterator[_Row]:
    """Return the clicks of every link at a time; each automation is polled at its own second of the five minutes."""
    whole = sum(1 / (1 + link) for link in range(links))
    for automation in range(automations):
        polled = (now + automation % POLL) // POLL * POLL
        for link in range(links):
            dead = link == DEAD_LINK and automation % DEAD_IN == 0
            moved = min(polled, STARTED - DEAD_HOURS * HOUR) if dead else polled
            value = float(int(moved / 60 * (1 + automation % 7) / (1 + link)))
            url = f"https://shop.example/{automation}/{link}"
            labels = f'{_owner(automation)},step_id="step-{link % STEPS}",url="{url}",url_location="{link}"'
            yield _Row(labels, value, 1 / (1 + link) / whole)


def _totals(automations: int, links: int, now: float) -> Iterator[_Row]:
    clicks = _links(automations, links, now)
    for automation in range(automations):
        yield _Row(_owner(automation), sum(next(clicks).clicks for _ in range(links)))


def _parts(automations: int, links: int, now: float) -> Iterator[_Row]:
    """Return every link and every step."""
    rows = _links(automations, links, now)
    for automation in range(automations):
        own = [next(rows) for _ in range(links)]
        yield from own
        for step in range(min(STEPS, links)):
            of_step = own[step::STEPS]
            labels = f'{_owner(automation)},step_id="step-{step}"'
            yield _Row(labels, sum(row.clicks for row in of_step), sum(row.share for row in of_step), f",{parts.STEPS}")


def _history(now: int, minutes: float, automations: int, links: int) -> Iterator[str]:
    """Yield what the rules would have recorded at every moment that they read."""
    for looks, recent, labelled in (
        (_OF_AUTOMATIONS, ((60, 3 * HOUR, _RECENT),), partial(_totals, automations, links)),
        (_OF_WINDOWS, (), partial(_windows, automations)),
        (_OF_PARTS, _RECENT_OF_PARTS, partial(_parts, automations, links)),
    ):
        for moment, names in _moments(now, looks, recent, minutes):
            for row in labelled(moment):
                yield from (f"{row.sample(name)} {moment}" for name in names)


def _windows(automations: int, _now: float) -> Iterator[_Row]:
    for automation in range(automations):
        yield from (_Row(f'{_owner(automation)},window="{window}"', 100.0) for window in WINDOWS)


def _moments(
    now: int, looks: Sequence[tuple[float, str]], recent: Sequence[tuple[int, int, Sequence[str]]], minutes: float
) -> list[tuple[int, list[str]]]:
    """Return the moments that the rules may read in the next minutes, in order, with the series that they read."""
    found: dict[int, set[str]] = {}
    for hours, name in looks:
        begin, end = now - hours * HOUR - HOUR / 4, now - hours * HOUR + minutes * 60 + HOUR / 4
        for moment in range(int(begin), int(end), PACE):
            if moment < now - HOUR / 4:
                found.setdefault(moment // PACE * PACE, set()).add(name)
    for every, seconds, names in recent:
        for moment in range(now - seconds, now - HOUR // 4, every):
            found.setdefault(moment, set()).update(names)
    return [(moment, sorted(names)) for moment, names in sorted(found.items())]


def _blocks(folder: Path, data: Path, arguments: argparse.Namespace) -> None:
    file = folder / "history.om"
    with file.open("w", encoding="utf-8") as out:
        for line in _history(int(time.time()), arguments.minutes, arguments.automations, arguments.links):
            out.write(line + "\n")
        out.write("# EOF\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h", str(file), str(data)],
        check=True,
        capture_output=True,
    )
    file.unlink()


def _rules(folder: Path) -> None:
    """Copy the rules, with infrequent groups every minute, so that they are measured often enough."""
    for path in RULES.glob("*.yml"):
        text = _INTERVAL.sub("interval: 1m", path.read_text(encoding="utf-8"))
        (folder / path.name).write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Group:
    """The durations of a group's evaluations, and its interval as shipped, in seconds."""

    every: float
    seconds: list[float]

    @property
    def usual(self) -> float:
        return median(self.seconds)

    @property
    def a_minute(self) -> float:
        return self.usual * 60 / self.every


def _measure(folder: Path, data: Path, arguments: argparse.Namespace) -> tuple[dict[str, _Group], dict[str, float]]:
    exporter = _Exporter(arguments.automations, arguments.links)
    config = folder / "prometheus.yml"
    config.write_text(
        f"""global: {{scrape_interval: 1m, evaluation_interval: 1m}}
rule_files: [sendgrid-*.yml]
scrape_configs:
  - job_name: {JOB}
    static_configs: [{{targets: ["127.0.0.1:{exporter.port}"]}}]
""",
        encoding="utf-8",
    )
    port = exporter.port + 1
    command = [
        arguments.prometheus, f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=10d", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        return _watch(port, time.monotonic() + arguments.minutes * 60)
    finally:
        process.terminate()
        process.wait()
        exporter.stop()


def _watch(port: int, deadline: float) -> tuple[dict[str, _Group], dict[str, float]]:
    """Return the groups' evaluations until the deadline without their first two, and the time of each rule in the last."""
    found: dict[str, dict[str, float]] = {}
    costs: dict[str, float] = {}
    pause = threading.Event()
    while time.monotonic() < deadline:
        pause.wait(5)
        for group in _groups(port):
            found.setdefault(group["name"], {})[group["lastEvaluation"]] = group["evaluationTime"]
            costs |= {
                f"{rule['name']}{'' if rule['type'] == 'recording' else ' (alert)'}": rule["evaluationTime"]
                for rule in group["rules"]
            }
    every = {
        group["name"]: 60.0 * int(group["interval"].removesuffix("m"))
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    }
    return {name: _Group(every[name], [*evaluations.values()][2:]) for name, evaluations in found.items()}, costs


def _groups(port: int) -> list[Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=30) as answer:
            found: list[Any] = json.load(answer)["data"]["groups"]
    except (urllib.error.URLError, TimeoutError):
        return []
    return [group for group in found if not group["lastEvaluation"].startswith("0001")]


class _Exporter:
    """Serves the requested size, with links whose clicks increase over time."""

    def __init__(self, automations: int, links: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = "".join(f"{line}\n" for line in _live(automations, links))
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


def _live(automations: int, links: int) -> Iterator[str]:
    now = time.time()
    for row in _links(automations, links, now):
        yield f"automation_link_clicks{{{row.labels}}} {row.clicks}"
    for row in _totals(automations, links, now):
        labels, value = row.labels, row.clicks
        yield f"automation_total_clicks{{{labels}}} {value}"
        yield f"sendgrid_exporter_automation_up{{{labels}}} 1"
        yield f"sendgrid_automation_delivered{{{labels}}} {10 * value}"
        yield f"sendgrid_exporter_automation_poll_interval_seconds{{{labels}}} {POLL}"
        yield f"sendgrid_exporter_automation_last_success_timestamp_seconds{{{labels}}} {int(now)}"


if __name__ == "__main__":
    sys.exit(main())
