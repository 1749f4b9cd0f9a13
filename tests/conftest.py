"""What holds for every test: a clean environment, no network but loopback, and no silent skip in CI."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.network import loopback_only
from tests.programs import skip_without, versions

ROOT = Path(__file__).parents[1]
KINDS = ("unit", "contract", "e2e")

# Tests against documents beside the checkout that are not the project's to publish: collected only where those are.
collect_ignore = [] if (ROOT.parent / "shared").is_dir() else ["shared"]

# Examples take as long as a busy machine needs; what must be fast has a measurement of its own.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    parser.addoption(
        "--skips",
        choices=("allow", "fail"),
        default="fail" if in_ci else "allow",
        help="whether a skipped test fails the run (the default where CI is set: a missing program would go unseen)",
    )
    parser.addoption("--update-golden", action="store_true", help="write tests/data/golden/ anew instead of comparing")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of another kind before they are imported, which takes longer than the unit tests do."""
    kind = str(config.getoption("-m")).removesuffix(" and not long")
    if kind not in (*KINDS, "long") or not collection_path.name.startswith("test_") or not collection_path.is_file():
        return None
    return f"pytest.mark.{kind}" not in collection_path.read_text(encoding="utf-8") or None


def pytest_report_header() -> list[str]:
    return [f"programs: {', '.join(versions())}"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        skip_without(*mark.args)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skips_that_fail(session.config) and session.exitstatus in (
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = _skips_that_fail(config)
    if skipped:
        terminalreporter.section("skipped, and nothing may be skipped here (--skips=fail)", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            terminalreporter.line(f"{report.nodeid}: {reason}")


def _skips_that_fail(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.getoption("--skips") == "allow" or reporter is None:
        return []
    return reporter.stats.get("skipped", [])


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a developer's shell would configure the exporter with, or send it through a proxy with."""
    for name in os.environ:
        if name.upper().startswith(("EXPORTER_", "SENDGRID_")) or name.upper().endswith(("_PROXY", "_CA_BUNDLE")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def blocked_network() -> Iterator[None]:
    """Refuse what leaves this machine, and fail the test that tried, even where its code caught the refusal."""
    with loopback_only() as refused:
        yield
    assert not refused, f"the test reached for the network: {', '.join(refused)}"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with tests/data/golden/NAME, or writes that file under --update-golden."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "data" / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path.relative_to(ROOT)} is missing: `make golden` writes it"
        assert text == path.read_text(encoding="utf-8"), (
            "a promise changed: if it is meant, `make golden` and a line in CHANGELOG.md"
        )

    return compare
