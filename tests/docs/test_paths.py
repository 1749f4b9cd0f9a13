"""Files that the documents name are there."""

import re
from pathlib import Path

import pytest

from tests.programs import ROOT

pytestmark = pytest.mark.contract

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "helm").glob("*/README.md")])
_NAMED = re.compile(
    r"`((?:exporter|sendgrid_simulator|tests|docs|scripts|tools|prometheus|grafana|helm|deploy|benchmarks)/[\w./-]*\w/?)`"
)
_BESIDE = re.compile(r"`(test_\w+\.py)`")
_LINKED = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_names_and_links_only_what_is_there(page: Path):
    text = page.read_text(encoding="utf-8")
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}

    missing = [name for name in _NAMED.findall(text) if not (ROOT / name).exists()]
    missing += [name for name in _BESIDE.findall(text) if name not in tests]
    missing += [link for link in _LINKED.findall(text) if not (page.parent / link).exists()]

    assert not missing
