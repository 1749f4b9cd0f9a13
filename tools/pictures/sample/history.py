"""The exporter's click metrics over a simulated history, as OpenMetrics text for promtool."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sendgrid_simulator import Simulator, Source

_TARGET: Final[Mapping[str, str]] = {"job": "sendgrid-automation-exporter", "instance": "localhost:10154"}
_Series = dict[tuple[str, str, str], dict[float, int]]


def history_lines(
    simulator: Simulator, start: float, end: float, step: float, target: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield what a Prometheus would have stored, had it scraped an exporter every `step` from start to end (both in).

    Values are what the API answers at those moments; rows with one key are added up, since they are one series.
    """
    if not step > 0:
        raise ValueError(f"the step must be above 0, not {step}")
    moments = [start + number * step for number in range(int((end - start) // step) + 1)]
    labels = {**_TARGET, **(target or {})}
    found = [simulator.account.source(automation.id) for automation in simulator.automations]
    sources = [source for source in found if source is not None]
    yield "# TYPE automation_info gauge\n"
    for source in sources:
        named = _labels({"automation_id": source.automation.id, "name": source.automation.name, **labels})
        yield from (f"automation_info{named} 1 {_timestamp(moment)}\n" for moment in moments)
    yield "# TYPE automation_link_clicks gauge\n"
    totals: list[dict[float, int]] = []
    for source in sources:
        series, total = _series(source, moments)
        totals.append(total)
        yield from _link_lines(source.automation.id, series, labels)
    yield "# TYPE automation_total_clicks gauge\n"
    for source, total in zip(sources, totals, strict=True):
        named = _labels({"automation_id": source.automation.id, **labels})
        yield from (f"automation_total_clicks{named} {clicks} {_timestamp(at)}\n" for at, clicks in total.items())
    yield "# EOF\n"


def _series(source: Source, moments: Sequence[float]) -> tuple[_Series, dict[float, int]]:
    """Return every link's clicks and the total, at each moment at which the API knows them."""
    series: _Series = {}
    totals: dict[float, int] = {}
    for moment in filter(source.known, moments):
        for step_id, url, place, clicks in source.rows(moment):
            points = series.setdefault((step_id, url, "" if place is None else str(place)), {})
            points[moment] = points.get(moment, 0) + clicks
        totals[moment] = source.total(moment)
    return series, totals


def _link_lines(automation_id: str, series: _Series, target: Mapping[str, str]) -> Iterator[str]:
    for (step_id, url, place), points in series.items():
        own = {"automation_id": automation_id, "step_id": step_id, "url": url, "url_location": place}
        named = _labels({**own, **target})
        yield from (f"automation_link_clicks{named} {clicks} {_timestamp(at)}\n" for at, clicks in points.items())


def _timestamp(moment: float) -> str:
    return f"{moment:.3f}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
