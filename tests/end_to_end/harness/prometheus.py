"""A real Prometheus server that scrapes what a test gives it, and its HTTP API."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import yaml

from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import Process
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import program

BOTH_AGES: Final = ("prometheus", "prometheus-newer")
"""For `@pytest.mark.parametrize("binary", [pytest.param(name, marks=needs(name)) for name in BOTH_AGES])`."""


@dataclass(frozen=True)
class Series:
    """One series of an answer, with its (time, value) pairs; an instant query gives one pair."""

    labels: Mapping[str, str]
    """With `__name__` where the expression keeps it."""
    points: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.points[-1][1]

    def key(self, *without: str) -> tuple[tuple[str, str], ...]:
        """Return the labels in order, without the named ones, to compare with others."""
        return tuple(sorted((name, value) for name, value in self.labels.items() if name not in without))


class Prometheus:
    """A Prometheus server with its data in `directory`, ready to answer when the `with` is entered.

    Its first scrape comes five seconds later, whatever the interval: so long it gathers its targets.

    `scrapes` maps a job's name to its `host:port` targets. `directory` may hold blocks already, made by
    promtool.create_blocks, and a server started on the directory of a stopped one goes on with its data.

    `external_labels` tell the replicas of a pair apart, and are taken off the alerts that they send.
    """

    def __init__(
        self,
        directory: Path,
        scrapes: Mapping[str, Sequence[str]] = {},
        *,
        interval: str = "500ms",
        rules: Iterable[Path] = (),
        alertmanagers: Sequence[str] = (),
        job_options: Mapping[str, Any] = {},
        external_labels: Mapping[str, str] = {},
        flags: Sequence[str] = (),
        binary: str = "prometheus",
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._directory, self._flags, self._binary = directory, flags, program(binary)
        self._config: dict[str, Any] = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(targets)}], **job_options}
                for job, targets in scrapes.items()
            ],
        }
        self._config["global"]["external_labels"] = dict(external_labels)
        if alertmanagers:
            self._config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]}
        if external_labels:
            # As the operator sets up a pair: the label tells the replicas apart, so no alert may carry it.
            drop = {"action": "labeldrop", "regex": "|".join(external_labels)}
            self._config.setdefault("alerting", {})["alert_relabel_configs"] = [drop]

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config), encoding="utf-8")
        command = [self._binary, f"--config.file={config}", f"--storage.tsdb.path={self._directory}"]
        self.process = Process([*command, f"--web.listen-address={self.address}", "--log.level=warn", *self._flags])
        try:
            self.process.wait_while_alive(
                lambda: self._get("/-/ready").status == 200, "Prometheus is ready", seconds=60
            )
        except BaseException as error:
            self.process.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.process.__exit__(*error)  # type: ignore[arg-type]

    def query(self, expression: str, *, at: float | None = None) -> list[Series]:
        """Evaluate an instant query, now or at a Unix time; a scalar comes as one series without labels."""
        return _series(self._data("/api/v1/query", query=expression, **({} if at is None else {"time": str(at)})))

    def value(self, expression: str, *, at: float | None = None) -> float | None:
        """Return the value of a query that gives one series, or None where it gives none."""
        found = self.query(expression, at=at)
        assert len(found) <= 1, f"{expression} gives {len(found)} series: {found}"
        return found[0].value if found else None

    def query_range(self, expression: str, *, start: float, end: float, step: str) -> list[Series]:
        return _series(self._data("/api/v1/query_range", query=expression, start=str(start), end=str(end), step=step))

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of every stored series that the selector matches, those that ended included."""
        return list(self._data("/api/v1/series", **{"match[]": selector}))

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets as the API tells them: `health`, `lastError`, `lastScrape`, `labels` …"""
        return list(self._data("/api/v1/targets", state="active")["activeTargets"])

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        return list(self._data("/api/v1/alerts")["alerts"])

    def wait_for_scrape(self, *, seconds: float = 30.0) -> None:
        """Wait until what every target serves now is stored.

        A scrape that began after this call is not enough, because it is told before its samples are stored: the next
        one must have begun too.
        """
        after = time.time()
        for _ in range(2):
            begun = wait_until(partial(self._scrapes, after), "every target is scraped with success", seconds=seconds)
            after = max(begun)

    def wait_for(self, expression: str, *, seconds: float = 30.0) -> list[Series]:
        """Wait until an instant query gives something; return it."""
        return wait_until(lambda: self.query(expression), f"{expression} gives a series", seconds=seconds)

    def _scrapes(self, after: float) -> list[float]:
        """Return when the last scrape of each target began, or nothing while one of them began earlier or failed."""
        targets = self.targets()
        begun = [datetime.fromisoformat(target["lastScrape"]).timestamp() for target in targets]
        healthy = all(target["health"] == "up" for target in targets)
        return begun if begun and healthy and min(begun) > after else []

    def _data(self, path: str, **parameters: str) -> Any:
        answer = self._get(f"{path}?{urlencode(parameters)}")
        assert answer.status == 200, answer.text
        return answer.json()["data"]

    def _get(self, path: str) -> Any:
        return exchange(f"http://{self.address}{path}", timeout=30)


def _series(data: Mapping[str, Any]) -> list[Series]:
    if data["resultType"] == "scalar":
        return [Series({}, (_point(data["result"]),))]
    return [
        Series(one["metric"], tuple(_point(point) for point in one.get("values", [one.get("value")])))
        for one in data["result"]
    ]


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
