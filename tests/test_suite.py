"""What the test suite promises about itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import KINDS, ROOT

pytestmark = pytest.mark.contract


def run_pytest(directory: Path, test: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_sample.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        directory,
        *options,
    ]
    return subprocess.run(
        [*command, directory],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


WITH_TARGETS_OF_THEIR_OWN = {"benchmarks", "dashboards", "deploy", "matrix", "reliability", "rules", "shared"}


def test_every_file_of_tests_has_one_kind():
    files = (ROOT / "tests").rglob("test_*.py")
    wrong = {
        str(path.relative_to(ROOT)): kinds
        for path in files
        if not WITH_TARGETS_OF_THEIR_OWN & set(path.relative_to(ROOT / "tests").parts)
        and len(kinds := [kind for kind in KINDS if f"pytest.mark.{kind}" in path.read_text(encoding="utf-8")]) != 1
    }

    assert not wrong, "give each a `pytestmark = pytest.mark.…` of one kind"


@pytest.mark.parametrize("kind", KINDS)
def test_kind_runs_its_files_and_imports_no_others(tmp_path, kind):
    for each in KINDS:
        text = f"import pytest\npytestmark = pytest.mark.{each}\ndef test_a(): assert {each!r} == {kind!r}\n"
        (tmp_path / f"test_{each}.py").write_text(text if each == kind else text + "raise SystemExit\n")

    run = run_pytest(tmp_path, "", "-m", kind)

    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert "1 passed" in run.stdout


SKIPPED = "import pytest\ndef test_a(): pass\n@pytest.mark.needs('no-such-program')\ndef test_b(): pass\n"


def test_missing_program_is_skipped_with_its_command_where_skips_are_allowed(tmp_path):
    run = run_pytest(tmp_path, SKIPPED, "-rs")

    assert run.returncode == pytest.ExitCode.OK, run.stdout
    assert "no-such-program is not installed: `sudo apt-get install no-such-program`" in run.stdout


@pytest.mark.parametrize("options", [["-n0"], ["-n1"]], ids=["alone", "in a worker"])
def test_skip_fails_the_run_in_ci_with_its_reason(tmp_path, options):
    run = run_pytest(tmp_path, SKIPPED, *options, CI="true")

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "test_b: Skipped: no-such-program is not installed" in run.stdout


def test_module_skipped_at_collection_fails_the_run_in_ci(tmp_path):
    run = run_pytest(tmp_path, "import pytest\npytest.importorskip('no_such_module')\n", CI="true")

    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    assert "no_such_module" in run.stdout


def test_run_without_a_skip_passes_in_ci(tmp_path):
    assert run_pytest(tmp_path, "def test_a(): pass\n", CI="true").returncode == pytest.ExitCode.OK


def test_network_use_fails_the_test_even_where_its_code_caught_the_refusal(tmp_path):
    caught = """
import contextlib, socket
def test_a():
    with contextlib.suppress(OSError):
        socket.create_connection(('192.0.2.1', 9), 1)
"""

    run = run_pytest(tmp_path, caught)

    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the test reached for the network: 192.0.2.1" in run.stdout


def test_variables_of_a_developers_shell_do_not_reach_a_test(tmp_path):
    looks = """
import os
def test_a():
    assert not [name for name in os.environ if {"EXPORTER", "SENDGRID", "PROXY"} & set(name.upper().split("_"))]
"""

    run = run_pytest(
        tmp_path,
        looks,
        EXPORTER_POLL__INTERVAL="1s",
        SENDGRID_API_KEY="x",
        https_proxy="http://192.0.2.1",
        HTTP_PROXY="x",
    )

    assert run.returncode == pytest.ExitCode.OK, run.stdout
