"""Runs histories through promtool's rule engine and returns when each alert started."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from tools.backtest.emulation import Numbers, Pace
from tools.backtest.link_traffic import NO_PLACE, Links
from tools.backtest.traffic import History

STEP_MINUTES = 5
FIRING = 'ALERTS{alertstate="firing"}'


@dataclass(frozen=True)
class Firing:
    """An alert that started; its time is in evaluations from the start."""

    step: int
    labels: Mapping[str, str]

    @property
    def alert(self) -> str:
        """Return the alert's name."""
        return self.labels["alertname"]


class EngineError(Exception):
    """Promtool did not run the histories."""


def of_automation(name: str, history: History, pace: Pace, *, mails: bool) -> dict[str, Numbers]:
    """Return the samples that Prometheus would scrape for a history."""
    found = _watched(name, np.cumsum(history.clicks)[:: pace.minutes // STEP_MINUTES], pace)
    if mails:
        delivered = np.cumsum(history.mails)[:: pace.minutes // STEP_MINUTES]
        found[f"sendgrid_automation_delivered{{{_labels(name)}}}"] = delivered
    return found


def of_links(name: str, links: Links, pace: Pace) -> dict[str, Numbers]:
    """Return the samples that Prometheus would scrape for a history of links."""
    seen = np.cumsum(links.clicks, axis=1)[:, :: pace.minutes // STEP_MINUTES]
    found = _watched(name, seen.sum(axis=0), pace)
    for link, (step, place) in enumerate(zip(links.steps, links.places, strict=True)):
        url = "__other__" if link in links.rest else f"https://example.com/{link}"
        location = "" if place == NO_PLACE else place
        labels = f'{_labels(name)},step_id="{step}",url="{url}",url_location="{location}"'
        found[f"automation_link_clicks{{{labels}}}"] = np.where(seen[link] > 0, seen[link], np.nan)
    return found


def _labels(name: str) -> str:
    return f'job="{name}",instance="a",automation_id="{name}"'


def _watched(name: str, total: Numbers, pace: Pace) -> dict[str, Numbers]:
    seen = pace.polled(total)
    polled = np.arange(total.size) // (pace.poll_minutes // pace.minutes) * pace.poll_minutes * 60.0
    exporter = "sendgrid_exporter_automation"
    return {
        f"automation_total_clicks{{{_labels(name)}}}": seen,
        f"{exporter}_last_success_timestamp_seconds{{{_labels(name)}}}": polled,
        f"{exporter}_poll_interval_seconds{{{_labels(name)}}}": np.full(total.size, pace.poll_minutes * 60.0),
    }


def run(series: Mapping[str, Numbers], rules: Sequence[Path], pace: Pace, promtool: str = "promtool") -> list[Firing]:
    """Return every alert that started, with the rules evaluated at the interval of the series."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test.yml"
        file.write_text("\n".join(_document(series, rules, pace)) + "\n", encoding="utf-8")
        done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode and "got:" not in text:
        raise EngineError(text[-2000:])
    return list(_firings(text, pace))


def _document(series: Mapping[str, Numbers], rules: Sequence[Path], pace: Pace) -> Iterator[str]:
    yield f"rule_files: [{', '.join(str(path.resolve()) for path in rules)}]"
    yield f"evaluation_interval: {pace.minutes}m"
    yield f"group_eval_order: [{', '.join(name for path in rules for name in _groups(path))}]"
    yield f"tests:\n- interval: {pace.minutes}m\n  input_series:"
    for name, values in series.items():
        yield f"  - {{series: '{name}', values: '{_values(values)}'}}"
    yield "  promql_expr_test:"
    for step in range(1, max(values.size for values in series.values())):
        expression = f"{FIRING} unless {FIRING} offset {pace.minutes}m"
        yield f"  - {{expr: '{expression}', eval_time: {step * pace.minutes}m}}"


def _groups(path: Path) -> list[str]:
    return [group["name"] for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]


def _values(values: Numbers) -> str:
    """Return promtool's notation, run-length encoded."""
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    edges = np.flatnonzero(np.append(True, ~same))
    lengths = np.diff(np.append(edges, values.size))
    return " ".join(
        f"_x{length}" if np.isnan(values[edge]) else f"{values[edge]:.0f}+0x{length - 1}"
        for edge, length in zip(edges.tolist(), lengths.tolist(), strict=True)
    )


_TIME = re.compile(r"expr: .*, time: (\S+?),?$")
_UNITS = {"w": 10080, "d": 1440, "h": 60, "m": 1, "s": 0}


def _firings(text: str, pace: Pace) -> Iterator[Firing]:
    minutes = 0
    for line in text.splitlines():
        if match := _TIME.search(line):
            minutes = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", match[1]))
        elif "got:" in line:
            for labels in re.findall(r"\{[^}]*alertname[^}]*\}", line):
                yield Firing(minutes // pace.minutes, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))
