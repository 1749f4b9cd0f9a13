"""Paths and programs the tests on alerts need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import needs, program

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"


@pytest.fixture(params=[pytest.param(name, marks=needs(name)) for name in ("promtool", "promtool-newer")])
def promtool(request: pytest.FixtureRequest) -> str:
    """Return Debian's promtool, then the newer one: a rule must mean the same to both."""
    return program(str(request.param))
