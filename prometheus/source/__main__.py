"""Write prometheus/rules from the source: `python -m prometheus.source`."""

from __future__ import annotations

from pathlib import Path

from prometheus.source import clicks
from prometheus.source.rules import render

RULES = Path(__file__).parents[1] / "rules"
RUNBOOK = "https://example.com/sendgrid-automation-exporter/blob/main/docs/alerts.md"

if __name__ == "__main__":
    (RULES / "sendgrid-clicks.yml").write_text(render("x", clicks.groups(), RUNBOOK), encoding="utf-8")
