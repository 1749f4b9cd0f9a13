"""A history as OpenMetrics text, for `promtool tsdb create-blocks-from openmetrics`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from exporter.simulator.sources import Source

_TARGET: Final = {"job": "sendgrid-automation-exporter", "instance": "localhost:10154"}
_Moments = Sequence[float]


def history_lines(
    sources: Sequence[Source], span: tuple[float, float, float], target: Mapping[str, str]
) -> Iterator[str]:
    """Yield lines, each with its end, of every series from start to end (both in) in steps.

    Values are what the API answers at those moments; rows of one key are added up, as one series can only be one.
    """
    start, end, step = span
    if not step > 0:
        raise ValueError(f"the step must be above 0, not {step}")
    moments = [start + number * step for number in range(int((end - start) // step) + 1)]
    labels = {**_TARGET, **target}
    yield "# TYPE automation_info gauge\n"
    for source in sources:
        named = _labels({"automation_id": source.automation.id, "name": source.automation.name, **labels})
        yield from (f"automation_info{named} 1 {_timestamp(moment)}\n" for moment in moments)
    yield "# TYPE automation_link_clicks gauge\n"
    for source in sources:
        yield from _link_lines(source, moments, labels)
    yield "# TYPE automation_total_clicks gauge\n"
    for source in sources:
        named = _labels({"automation_id": source.automation.id, **labels})
        for moment in filter(source.known, moments):
            yield f"automation_total_clicks{named} {source.total(moment)} {_timestamp(moment)}\n"
    yield "# EOF\n"


def _link_lines(source: Source, moments: _Moments, target: Mapping[str, str]) -> Iterator[str]:
    series: dict[tuple[str, str, int | None], dict[float, int]] = {}
    for moment in filter(source.known, moments):
        for step_id, url, place, clicks in source.rows(moment):
            points = series.setdefault((step_id, url, place), {})
            points[moment] = points.get(moment, 0) + clicks
    for (step_id, url, place), points in series.items():
        location = "" if place is None else str(place)
        own = {"automation_id": source.automation.id, "step_id": step_id, "url": url, "url_location": location}
        named = _labels({**own, **target})
        for moment, clicks in points.items():
            yield f"automation_link_clicks{named} {clicks} {_timestamp(moment)}\n"


def _timestamp(moment: float) -> str:
    return f"{moment:.3f}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
