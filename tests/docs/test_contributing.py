"""What CONTRIBUTING.md names is there, and its commands run something."""

import re
import shlex
import subprocess
import sys
from typing import Final

import pytest

from tests.programs import ROOT

pytestmark = pytest.mark.contract

TEXT: Final = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TARGETS: Final = frozenset(
    re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
KINDS: Final = {"make unit": "unit", "make contract": "contract", "make e2e": "e2e"}
(EXAMPLES,) = re.findall(r"## Run one test\n\n```sh\n(.*?)```", TEXT, re.DOTALL)


def test_every_path_is_there():
    paths = re.findall(r"`((?:exporter|tests|docs|scripts|tools|prometheus|grafana|helm)/[\w./-]*)`", TEXT)

    assert len(paths) > 20
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_every_make_target_is_there():
    targets = [word for words in re.findall(r"make ([a-z -]+)", TEXT) for word in words.split()]

    assert {"test", "docs", "golden", "structure"} <= set(targets)
    assert not [target for target in re.findall(r"`make ([a-z0-9-]+)", TEXT) if target not in TARGETS]


@pytest.mark.parametrize("command", EXAMPLES.splitlines())
def test_example_runs_some_tests_and_not_all_of_them(command):
    words = shlex.split(command)
    if words[0] == "make":
        kind = KINDS[" ".join(words[:2])]
        chosen = next(word.removeprefix("PYTEST_ARGS=") for word in words if word.startswith("PYTEST_ARGS="))
        arguments = ["-m", kind, *shlex.split(chosen)]
    else:
        arguments = words[words.index("pytest") + 1 :]

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    collected = re.search(r"(\d+)(?:/\d+)? tests? collected", run.stdout)
    assert collected, run.stdout[-2000:]
    assert 0 < int(collected[1]) < 100


def test_named_fakes_and_harness_are_there():
    fakes = (ROOT / "tests" / "fakes.py").read_text(encoding="utf-8")
    harness = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/end_to_end/harness").glob("*.py"))

    assert not [name for name in ("FakeSource", "FakeClock") if f"class {name}" not in fakes]
    assert not [name for name in ("ExporterProcess", "Prometheus") if f"class {name}" not in harness]
