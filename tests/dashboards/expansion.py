"""Variables in queries, replaced as Grafana's Prometheus data source replaces them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALL = "$__all"
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]")
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")


@dataclass(frozen=True)
class Variable:
    """A chosen value, and what the choice of everything stands for."""

    value: str | Sequence[str]
    all_value: str | None = None
    multi: bool = False
    options: Sequence[str] = ()


@dataclass(frozen=True)
class View:
    """What a reader looks at: the range, the width and the choices."""

    start: float
    end: float
    variables: Mapping[str, Variable] = field(default_factory=dict)
    max_data_points: int = 800
    scrape_interval: int = 15

    def interval(self, panel: Mapping[str, object]) -> int:
        """Return the step of the panel in seconds, rounded as Grafana rounds it."""
        points = panel.get("maxDataPoints") or self.max_data_points
        least = duration_seconds(str(panel.get("interval") or f"{self.scrape_interval}s"))
        return max(_rounded((self.end - self.start) / float(str(points))), least)


def expand(expression: str, panel: Mapping[str, object], view: View) -> str:
    """Return the query that reaches Prometheus."""
    step = view.interval(panel)
    span = round(view.end - view.start)
    builtin = {
        "__interval": f"{step}s",
        "__interval_ms": str(step * 1000),
        "__rate_interval": f"{max(step + view.scrape_interval, 4 * view.scrape_interval)}s",
        "__range": f"{span}s",
        "__range_s": str(span),
        "__range_ms": str(span * 1000),
    }

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[4]
        if name in builtin:
            return builtin[name]
        if name not in view.variables:
            return match[0]
        return _formatted(view.variables[name], match[3] or match[5])

    return _VARIABLE.sub(replace, expression)


def duration_seconds(text: str) -> int:
    """Return the seconds of a duration of one unit."""
    number, unit = re.fullmatch(r">?(\d+)([smhdw])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]


def _formatted(variable: Variable, wanted: str | None) -> str:
    values = [variable.value] if isinstance(variable.value, str) else list(variable.value)
    if values == [ALL]:
        if variable.all_value:
            return variable.all_value
        values = list(variable.options)
    match wanted:
        case "raw":
            return ",".join(values)
        case "pipe":
            return "|".join(values)
        case "regex":
            return "|".join(re.escape(value) for value in values)
    if variable.multi or variable.all_value is not None:
        escaped = [_SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    return values[0].replace("\\", "\\\\").replace('"', '\\"')


def _rounded(seconds: float) -> int:
    """Round a step up or down to one of Grafana's own."""
    limits = (
        (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300),
        (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800),
        (32400, 21600), (86400, 43200), (604800, 86400),
    )  # fmt: skip
    return next((step for limit, step in limits if seconds < limit), 604800)
