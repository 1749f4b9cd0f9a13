"""The committed dashboards, as plain values for the tests."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "grafana"
Json = dict[str, Any]


class Target(NamedTuple):
    """One query of one panel."""

    board: str
    panel: Json
    target: Json

    @property
    def where(self) -> str:
        return f"{self.board} / {self.panel['title']} / {self.target['refId']}"


@cache
def _text(uid: str) -> str:
    return (FOLDER / "dashboards" / f"{uid}.json").read_text(encoding="utf-8")


def board(uid: str) -> Json:
    """Return a fresh copy of the dashboard."""
    loaded: Json = json.loads(_text(uid))
    return loaded


UIDS = ("sendgrid-automations", "sendgrid-automation", "sendgrid-exporter")


def rows(dashboard: Json) -> Iterator[tuple[Json, list[Json]]]:
    """Yield each row with its panels, whether they stand in it or behind it."""
    current: tuple[Json, list[Json]] | None = None
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            if current:
                yield current
            current = (panel, list(panel["panels"]))
        else:
            assert current, "a panel stands before the first row"
            current[1].append(panel)
    if current:
        yield current


def panels(dashboard: Json) -> list[Json]:
    """Return every panel but the rows themselves."""
    return [panel for _, inside in rows(dashboard) for panel in inside]


def targets(dashboard: Json) -> list[Target]:
    """Return every query of every panel."""
    return [
        Target(dashboard["uid"], panel, target) for panel in panels(dashboard) for target in panel.get("targets", [])
    ]


def every_target() -> list[Target]:
    """Return every query of every dashboard."""
    return [target for uid in UIDS for target in targets(board(uid))]
