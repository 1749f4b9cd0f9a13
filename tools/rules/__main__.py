"""Write prometheus/rules from the source: `python -m tools.rules`."""

from __future__ import annotations

from pathlib import Path

from tools.rules import files

RULES = Path(__file__).parents[2] / "prometheus" / "rules"

if __name__ == "__main__":
    for name, text in files.texts().items():
        (RULES / name).write_text(text, encoding="utf-8")
