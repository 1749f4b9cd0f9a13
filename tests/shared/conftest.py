"""Tests against published descriptions: no part of the project, so collected only where they stand beside it."""

from pathlib import Path

_DESCRIPTIONS = Path(__file__).parents[3] / "shared" / "reference"

collect_ignore_glob = [] if _DESCRIPTIONS.is_dir() else ["test_*.py"]
