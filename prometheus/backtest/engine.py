"""Runs histories through promtool's own rule engine and says when which alert began."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prometheus.backtest.histories import STEP_MINUTES, History, Numbers

FIRING = 'ALERTS{alertstate="firing",automation_id!=""}'
RAREST_EVALUATION = 15
"""Minutes between two evaluations at most: rules look 20 minutes back to the one before."""


@dataclass(frozen=True)
class Firing:
    """One alert that began."""

    minutes: int
    labels: Mapping[str, str]

    @property
    def alert(self) -> str:
        """Return the alert's name."""
        return self.labels["alertname"]


class EngineError(Exception):
    """Promtool did not run the histories."""


def run(histories: Sequence[History], rules: Sequence[Path], promtool: str = "promtool") -> list[Firing]:
    """Return every alert that began in the histories; they do not see each other.

    The rules are evaluated as often as the numbers may change, which for seldom polls is a fraction of the work.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test.yml"
        with file.open("w", encoding="utf-8") as out:
            for line in _document(histories, rules):
                out.write(line + "\n")
        done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    if "FAILED" not in done.stderr + done.stdout and done.returncode:
        raise EngineError(done.stderr[-2000:])
    return _firings(done.stdout + done.stderr)


def _document(histories: Sequence[History], rules: Sequence[Path]) -> Iterator[str]:
    yield "rule_files: [" + ", ".join(str(path.resolve()) for path in rules) + "]"
    every = min(RAREST_EVALUATION, *(history.case.poll_minutes for history in histories))
    yield f"evaluation_interval: {every}m"
    yield "tests:"
    yield f"- interval: {STEP_MINUTES}m"
    yield "  input_series:"
    for history in histories:
        for series, values in _series(history):
            yield f"  - series: '{series}'"
            yield f"    values: '{_values(values)}'"
    yield "  promql_expr_test:"
    for minutes in range(0, max(history.total.size for history in histories) * STEP_MINUTES, every):
        yield f"  - {{expr: '{FIRING} unless {FIRING} offset {every}m', eval_time: {minutes}m}}"


def _series(history: History) -> Iterator[tuple[str, Numbers]]:
    for pod, part in _pods(history):
        target = f'job="{history.case.name}",instance="{pod}",automation_id="{history.case.name}"'
        yield f"automation_total_clicks{{{target}}}", np.where(part, history.total, np.nan)
        for link, step in enumerate(history.steps):
            labels = f'{target},step_id="step-{step}",url="https://example.com/{link}",url_location="{link}"'
            yield f"automation_link_clicks{{{labels}}}", np.where(part, history.links[link], np.nan)
        interval = np.where(np.isnan(history.up), np.nan, history.interval)
        for name, values in (
            ("up", history.up),
            ("last_success_timestamp_seconds", history.success),
            ("poll_interval_seconds", interval),
        ):
            yield f"sendgrid_exporter_automation_{name}{{{target}}}", np.where(part, values, np.nan)


def _pods(history: History) -> Iterator[tuple[str, np.ndarray]]:
    steps = np.arange(history.total.size)
    if history.rollout is None:
        yield "a", steps >= 0
    else:
        yield "a", steps < history.rollout
        yield "b", steps >= history.rollout


def _values(values: Numbers) -> str:
    """Return promtool's notation, run-length encoded, stale where a series ends."""
    words = []
    edges = np.flatnonzero(
        np.append(True, ~((values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))))
    )
    lengths = np.diff(np.append(edges, values.size))
    for start, length in zip(edges.tolist(), lengths.tolist(), strict=True):
        value = values[start]
        if np.isnan(value):
            words.append("_" if start == 0 else "stale")
            words += [f"_x{length - 1}"] if length > 1 else []
        else:
            words.append(f"{value:.0f}" if length == 1 else f"{value:.0f}+0x{length - 1}")
    return " ".join(words)


_TIME = re.compile(r"expr: .*, time: (\S+?),?$")
_UNITS = {"w": 10080, "d": 1440, "h": 60, "m": 1, "s": 0}


def _firings(text: str) -> list[Firing]:
    found: list[Firing] = []
    minutes = 0
    for line in text.splitlines():
        if match := _TIME.search(line):
            minutes = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([wdhms])", match[1]))
        elif "got:" in line:
            for labels in re.findall(r"\{[^}]*alertname[^}]*\}", line):
                values = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
                found.append(Firing(minutes, values))
    return found
