"""What the pages say of metrics and settings is what the code has.

The code's side of it is tests/data/golden/metrics.txt: for each metric a line `# type name: help` and, where its
samples have labels, a line `name{label,label}`.
"""

import re
import tomllib
from pathlib import Path
from typing import Final

import promql_parser
import pytest

from scripts import generate_metrics_docs
from tests.programs import ROOT

pytestmark = pytest.mark.contract

GOLDEN: Final = ROOT / "tests/data/golden/metrics.txt"
# The library's own, which it may change.
NOT_OURS: Final = ("process_", "python_")
PROMISED: Final = frozenset(
    {"automation_link_clicks", "automation_total_clicks", "automation_info"}
    | {
        f"sendgrid_exporter_{name}"
        for name in (
            "build_info",
            "automation_up",
            "automation_last_success_timestamp_seconds",
            "automation_poll_interval_seconds",
            "polls_total",
            "poll_duration_seconds",
            "api_requests_total",
            "api_request_duration_seconds",
            "api_rate_limit",
            "api_rate_limit_reset_timestamp_seconds",
            "link_series",
            "links_folded_total",
            "clicks_decreased_total",
            "count_mismatches_total",
            "shard_info",
            "state_enabled",
            "state_failing",
            "log_lines_dropped_total",
            "config_last_reload_successful",
            "config_last_reload_success_timestamp_seconds",
        )
    }
)
"""Dashboards and alerts of others use these names: to rename or remove one is a breaking change."""
SUFFIXES: Final = ("_bucket", "_count", "_sum")
PAGES: Final = ("README.md", "docs/metrics.md")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Return {name: (type, labels)} of the tables in docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", read("docs/metrics.md"), flags=re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows}), "docs/metrics.md lists a metric twice"
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def in_code() -> dict[str, tuple[str, frozenset[str]]]:
    """Return {name: (type, labels)} of the golden file."""
    assert GOLDEN.is_file(), f"{GOLDEN.relative_to(ROOT)} is missing: `make golden` writes it from the code"
    text = GOLDEN.read_text(encoding="utf-8")
    heads = re.findall(r"^# (\w+) (\w+): ", text, flags=re.MULTILINE)
    kinds = [(f"{name.removesuffix('_total')}_total" if kind == "counter" else name, kind) for kind, name in heads]
    labels = {name: set(re.findall(r"\w+", keys)) for name, keys in re.findall(r"(?m)^(\w+)\{(.*)\}", text)}
    ours = [(name, kind) for name, kind in kinds if not name.startswith(NOT_OURS)]
    of_count = {name.removesuffix("_count"): keys for name, keys in labels.items() if name.endswith("_count")}
    return {name: (kind, frozenset((of_count | labels).get(name, set()) - {"le"})) for name, kind in ours}


def test_every_promised_metric_is_documented():
    assert PROMISED - documented().keys() == set()


def test_documented_metrics_are_those_of_the_code():
    pages, code = documented(), in_code()

    assert {name: pages.get(name) for name in code} == code, "docs/metrics.md lacks or misstates these"
    assert pages.keys() - code.keys() == set(), "docs/metrics.md describes what the code does not have"


def queries() -> list[str]:
    """Return every PromQL expression of the pages: from the `promql` blocks and from the tables of questions."""
    texts = [read(page) for page in PAGES]
    blocks = [block for text in texts for block in re.findall(r"(?ms)^```promql\n(.*?)^```", text)]
    tables = [table for text in texts for table in re.findall(r"(?m)^\| question \| query \|\n(?:\|.*\n)+", text)]
    in_blocks = [re.sub(r"(?m)^#.*\n", "", query) for block in blocks for query in block.split("\n\n")]
    return in_blocks + [query for table in tables for query in re.findall(r"(?m)\| `(.+)` \|$", table)]


@pytest.mark.parametrize("query", queries())
def test_query_in_the_pages_parses_and_names_only_documented_metrics(query):
    promql_parser.parse(query)

    words = set(re.findall(r"\b(?:automation|sendgrid_exporter|sendgrid_automation)_[a-z_]+\b", query)) - {
        "automation_id"
    }
    known = documented().keys()
    assert words, query
    assert {word for word in words if word not in known and not word.endswith(SUFFIXES)} == set()


@pytest.mark.parametrize("query", queries())
def test_query_in_the_pages_never_takes_the_rate_of_a_gauge(query):
    rated = re.findall(r"\b(?:rate|irate|increase|resets)\(\s*(\w+)", query)

    assert [name for name in rated if documented()[name][0] == "gauge"] == []


def test_generated_parts_of_the_readme_are_fresh():
    readme = read("README.md")

    assert generate_metrics_docs.filled(readme, read("docs/metrics.md")) == readme, "run `make docs`"


def test_missing_marker_in_the_readme_is_named():
    with pytest.raises(ValueError, match="metrics:begin"):
        generate_metrics_docs.filled("# A page without markers\n", "")


def test_changelog_begins_with_the_version_of_the_package():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]

    newest = re.search(r"^## \[([^]]+)\]", read("CHANGELOG.md"), flags=re.MULTILINE)

    assert newest is not None
    assert newest[1] == version


def test_links_between_the_pages_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert dead == []


def test_public_address_stands_only_in_the_package_data():
    address = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Homepage"]
    derived = {
        ROOT / "helm/sendgrid-automation-exporter/Chart.yaml",
        *(ROOT / "prometheus").glob("*/*.yml"),
        *(ROOT / "grafana").glob("dashboards/*.json"),
    }
    texts = [path for path in tracked_texts() if path.name != "pyproject.toml" and path not in derived]

    assert [
        str(path.relative_to(ROOT)) for path in texts if address in path.read_text(encoding="utf-8", errors="ignore")
    ] == []


def tracked_texts() -> list[Path]:
    """Return the project's own text files; what is set up, cached or built is not among them."""
    suffixes = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".tpl", ".txt", ""}
    outside = {
        ".git",
        ".venv",
        ".tools",
        ".cache",
        "node_modules",
        "dist",
        "build",
        ".hypothesis",
        ".mypy_cache",
        ".ruff_cache",
    }
    return [
        path
        for start in ROOT.iterdir()
        if not start.name.startswith(".") or start.name in (".ci", ".github", ".env.example")
        for path in ([start] if start.is_file() else start.rglob("*"))
        if path.suffix in suffixes and path.is_file() and not outside & set(path.relative_to(ROOT).parts)
    ]
