"""Write prometheus/rules from the source: `python -m prometheus.source`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from prometheus.source import clicks
from prometheus.source.rules import render

RULES = Path(__file__).parents[1] / "rules"
PACKAGE = Path(__file__).parents[2] / "pyproject.toml"

if __name__ == "__main__":
    homepage = tomllib.loads(PACKAGE.read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
    runbook = f"{homepage}/blob/main/docs/alerts.md"
    (RULES / "sendgrid-clicks.yml").write_text(render("x", clicks.groups(), runbook), encoding="utf-8")
