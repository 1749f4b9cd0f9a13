"""Write prometheus/rules and the tables of docs/metrics-recorded.md from the source: `python -m tools.rules`."""

from __future__ import annotations

from pathlib import Path

from tools.rules import files

ROOT = Path(__file__).parents[2]
RULES, PAGE = ROOT / "prometheus" / "rules", ROOT / "docs" / "metrics-recorded.md"

if __name__ == "__main__":
    for name, text in files.texts().items():
        (RULES / name).write_text(text, encoding="utf-8")
    PAGE.write_text(files.documented(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
