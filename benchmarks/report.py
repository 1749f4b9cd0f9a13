"""What a run found: one row a figure, as a table for people and as JSON for whoever compares runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

_HEADINGS: Final = ("figure", "target", "measured", "met", "n")


@dataclass(frozen=True)
class Row:
    """One figure."""

    id: str
    """Stable, for `--rows` and for whoever reads the JSON."""
    figure: str
    target: str = ""
    """The bar in words; empty where the figure only informs."""
    value: float | None = None
    """None where it was not measured; the note says why."""
    unit: str = ""
    met: bool | None = None
    n: int = 0
    """How many single measurements (scrapes, pages, changes) stand behind the value."""
    note: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """Medians and rounds that the value was worked out from."""

    @classmethod
    def at_least(cls, id_: str, figure: str, value: float, bar: float, **more: Any) -> Self:
        """Make a row that is met from the bar up."""
        unit = more.get("unit", "x")
        return cls(id_, figure, f">= {_number(bar)}{_spaced(unit)}", value, met=value >= bar, **{"unit": unit, **more})

    @classmethod
    def at_most(cls, id_: str, figure: str, value: float, bar: float, **more: Any) -> Self:
        """Make a row that is met up to the bar."""
        unit = more.get("unit", "x")
        return cls(id_, figure, f"<= {_number(bar)}{_spaced(unit)}", value, met=value <= bar, **{"unit": unit, **more})

    @classmethod
    def missing(cls, id_: str, figure: str, why: str) -> Self:
        """Make a row that says why there is no value."""
        return cls(id_, figure, note=why)

    @property
    def measured(self) -> str:
        """Return the value as a person reads it."""
        return "not measured" if self.value is None else f"{_number(self.value)}{_spaced(self.unit)}"

    @property
    def verdict(self) -> str:
        """Return whether the target is met, in a word."""
        if self.met is None:
            return "" if self.value is not None else "?"
        return "yes" if self.met else "NO"


@dataclass(frozen=True)
class Report:
    """One run."""

    machine: Mapping[str, str]
    rows: tuple[Row, ...]
    seconds: float

    def to_json(self) -> str:
        """Return the report as JSON, which `from_json` reads."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the report that the JSON holds."""
        document = json.loads(text)
        return cls(document["machine"], tuple(Row(**row) for row in document["rows"]), document["seconds"])

    def updated(self, later: Self) -> Self:
        """Return the report with the rows of a later run in place of its own."""
        found = {row.id: row for row in later.rows}
        known = {row.id for row in self.rows}
        rows = (*(found.get(row.id, row) for row in self.rows), *(row for row in later.rows if row.id not in known))
        return type(self)(later.machine, rows, self.seconds + later.seconds)

    def to_text(self) -> str:
        """Return the table with the machine above it and the notes below."""
        cells = [_HEADINGS, *((r.figure, r.target, r.measured, r.verdict, str(r.n or "")) for r in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        head = [f"{name}: {value}" for name, value in self.machine.items()]
        notes = [f"* {row.figure}: {row.note}" for row in self.rows if row.note]
        return "\n".join([*head, f"seconds: {self.seconds:.0f}", "", *lines, *([""] if notes else []), *notes]) + "\n"

    def to_markdown(self) -> str:
        """Return the table as it stands in the documentation."""
        rows = [f"| {r.figure} | {r.target} | {r.measured} | {r.verdict} | {r.n or ''} |" for r in self.rows]
        return "\n".join([f"| {' | '.join(_HEADINGS)} |", "|---|---|---|---|---|", *rows])

    @property
    def missed(self) -> Sequence[Row]:
        """Return the rows whose target was not met."""
        return [row for row in self.rows if row.met is False]


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _spaced(unit: str) -> str:
    return f" {unit}" if unit else ""
