"""The committed JSON of the dashboards: its content and its place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as dm

from tools.dashboards.automation import one_automation
from tools.dashboards.automations import automations
from tools.dashboards.exporter_health import exporter

FOLDER: Final = Path(__file__).parents[2] / "grafana" / "dashboards"
_INTERVAL_VARIABLE_DEFAULTS: Final = ("auto", "auto_count", "auto_min")
"""A key that the SDK writes for every variable, but that only other types have."""


def rendered() -> Mapping[str, str]:
    """Return the text of each file by its name."""
    return {f"{board.uid}.json": _text(board) for board in (automations(), one_automation(), exporter())}


def write() -> list[Path]:
    """Write every file and return the paths."""
    FOLDER.mkdir(exist_ok=True)
    paths = []
    for name, text in rendered().items():
        path = FOLDER / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _text(board: dm.Dashboard) -> str:
    """Return the JSON without harmful defaults of the SDK: a placement would hide links in a menu."""
    payload: dict[str, Any] = json.loads(JSONEncoder().encode(board))
    payload["id"] = None
    for variable in payload["templating"]["list"]:
        for name in _INTERVAL_VARIABLE_DEFAULTS:
            variable.pop(name, None)
    for shown in (*payload["links"], *payload["annotations"]["list"]):
        shown.pop("placement", None)
    return json.dumps(payload, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
