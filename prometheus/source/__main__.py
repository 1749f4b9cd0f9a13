"""Write prometheus/rules from the source: `python -m prometheus.source`."""

from __future__ import annotations

from pathlib import Path

from prometheus.source import files

RULES = Path(__file__).parents[1] / "rules"

if __name__ == "__main__":
    for name, text in files.texts().items():
        (RULES / name).write_text(text, encoding="utf-8")
