"""Paths and programs the tests on alerts need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"


def _promtools() -> list[str]:
    """Return Debian's promtool and, if EXPORTER_TEST_PROMTOOL names one, a newer one."""
    newer = os.environ.get("EXPORTER_TEST_PROMTOOL", "")
    return [tool for tool in ("promtool", newer) if tool and shutil.which(tool)]


@pytest.fixture(params=_promtools() or ["promtool"], ids=lambda tool: Path(tool).parent.name or "path")
def promtool(request: pytest.FixtureRequest) -> str:
    """Return each promtool that can be had."""
    tool = str(request.param)
    if shutil.which(tool) is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    return tool
