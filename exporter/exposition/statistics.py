"""The statistics of automations and of their steps as text: families of twelve gauges, rendered when they change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from exporter.domain import Statistics
from exporter.exposition.compression import THOROUGH, Compressed, compress
from exporter.exposition.families import Family, MetricType
from exporter.exposition.text import escape

_MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "requests": "Mails that were requested to be sent",
        "delivered": "Mails that were delivered",
        "opens": "Opens",
        "unique_opens": "Recipients who opened",
        "clicks": "Clicks, as SendGrid's statistics count them apart from automation_total_clicks",
        "unique_clicks": "Recipients who clicked",
        "bounces": "Mails that bounced",
        "bounce_drops": "Mails that were dropped, since the address had bounced before",
        "invalid_emails": "Mails that were dropped, since the address is invalid",
        "spam_reports": "Reports of spam",
        "spam_report_drops": "Mails that were dropped, since the recipient had reported spam before",
        "unsubscribes": "Recipients who unsubscribed",
    }
)


def _families(prefix: str, of_what: str) -> tuple[Family, ...]:
    end = "over its life so far: read every statistics interval and cached."
    return tuple(
        Family(f"{prefix}_{name}", MetricType.GAUGE, f"{_MEANINGS[name]}, {of_what} {end}")
        for name in Statistics._fields
    )


AUTOMATION_STATISTICS: Final = _families("sendgrid_automation", "of the automation")
STEP_STATISTICS: Final = _families("sendgrid_automation_step", "of one step of the automation")
STATISTICS: Final = (*AUTOMATION_STATISTICS, *STEP_STATISTICS)
"""In the order of the exposition."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The statistics of some subjects, each named by its labels, and the text of each family."""

    labels: tuple[str, ...] = ()
    """Of each subject, as they stand between the braces."""
    columns: tuple[tuple[int | None, ...], ...] = ((),) * len(Statistics._fields)
    """Of each count, its values in the order of the subjects."""
    lines: Mapping[str, Compressed] = field(default_factory=lambda: MappingProxyType({}))
    """By the family's name; without a family that has no value."""


def labels_of(automation_id: str, step_id: str | None = None) -> str:
    """Return what names an automation, or one of its steps, in a sample."""
    step = "" if step_id is None else f',step_id="{escape(step_id)}"'
    return f'automation_id="{escape(automation_id)}"{step}'


def render_rows(families: Sequence[Family], statistics: Mapping[str, Statistics], before: Rows) -> Rows:
    """Return the rows of the statistics, by labels; a family whose values are as `before` is not rendered again."""
    labels = tuple(statistics)
    columns = tuple(zip(*statistics.values(), strict=True)) if statistics else Rows().columns
    lines: dict[str, Compressed] = {}
    for family, column, former in zip(families, columns, before.columns, strict=True):
        if column == former and labels == before.labels:
            known = before.lines.get(family.name)
        else:
            text = "".join(
                f"{family.name}{{{subject}}} {value}\n"
                for subject, value in zip(labels, column, strict=True)
                if value is not None
            )
            known = compress([text.encode("utf-8", "replace")], THOROUGH) if text else None
        if known is not None:
            lines[family.name] = known
    return Rows(labels, columns, MappingProxyType(lines))
