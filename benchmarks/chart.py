"""Line charts with logarithmic axes, as SVG text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by readers who do not see all colours alike (Okabe and Ito's set)."""
_WIDTH: Final = 760
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 40, 55
_MARK: Final = 3.5


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis over whole decades."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> "Axis":
        """Return the axis that holds all the values, which are above 0."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(low, max(high, low + 1), start, end)

    def at(self, value: float) -> float:
        """Return where the value stands on the page."""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> Sequence[float]:
        return [10.0**decade for decade in range(self.low, self.high + 1)]


def line_chart(title: str, x_label: str, y_label: str, series: Mapping[str, Points]) -> str:
    """Return the chart of the series, named at its right in the order in which their lines end."""
    points = [point for line in series.values() for point in line]
    x_axis = Axis.over([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    y_axis = Axis.over([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    names = sorted(series, key=lambda name: series[name][-1][1], reverse=True)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(series)}
    view = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15" font-weight="bold" fill="#222222">{escape(title)}</text>',
        *_grid(x_axis, y_axis, x_label, y_label),
    ]
    for number, name in enumerate(names):
        parts += _line([(x_axis.at(x), y_axis.at(y)) for x, y in series[name]], colours[name])
        parts += _entry(name, colours[name], _TOP + 14 + 20 * number)
    return "\n".join([*parts, "</svg>", ""])


def _grid(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> Sequence[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#dddddd"/>')
        parts.append(_text(x, bottom + 18, _short(tick), "middle"))
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#dddddd"/>')
        parts.append(_text(_LEFT - 8, y + 4, _short(tick), "end"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 14, x_label, "middle"))
    middle = (_TOP + bottom) / 2
    parts.append(f'<g transform="rotate(-90 18 {middle:.1f})">{_text(18, middle, y_label, "middle")}</g>')
    return parts


def _line(points: Points, colour: str) -> Sequence[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    marks = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_MARK}" fill="{colour}"/>' for x, y in points]
    return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *marks]


def _entry(name: str, colour: str, y: float) -> Sequence[str]:
    x = _WIDTH - _RIGHT + 16
    mark = f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="2"/>'
    return [mark, _text(x + 24, y, name, "start")]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333333">{escape(text)}</text>'


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
