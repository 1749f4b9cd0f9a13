"""What an exporter does not load as long as nothing asks for it: memory and time that every start would pay for."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.factories import an_id

pytestmark = pytest.mark.e2e

ON_DEMAND = {
    "bcrypt": "a web config file with users",
    "charset_normalizer.api": "nothing: requests would guess the charset of a text that nobody reads",
    "exporter.doctor": "--doctor",
    "sendgrid_simulator": "--demo",
    "sqlite3": "state.path",
    "yaml": "a configuration file, or the status page",
}
"""What is not imported by an exporter that polls and is scraped, and what imports it."""


def imported(process: ExporterProcess) -> set[str]:
    """Return what the process has imported: Python itself writes a line for each module."""
    return set(re.findall(r"^import time:[^|]*\|[^|]*\| +(\S+)$", process.log, re.MULTILINE))


def polling(*flags: str, env: Mapping[str, str] | None = None) -> ExporterProcess:
    variables = {"PYTHONPROFILEIMPORTTIME": "1", "SENDGRID_API_KEY": "SG.no-simulator-asks", **(env or {})}
    return ExporterProcess(*flags, env=variables, path="/metrics")


AFTER_THE_IMPORTS = """
import gc, json, sys
from exporter.__main__ import main
sys.argv = ["exporter", "--version"]
try:
    main()
except SystemExit:
    pass
told = {"collects": gc.isenabled(), "left out": gc.get_freeze_count() > 30_000, "switches": sys.getswitchinterval()}
print(json.dumps({**told, "marks": [name for name, module in sys.modules.items() if module is None]}))
"""


@pytest.fixture
def simulator():
    with Simulator((fixed(an_id(1), (Row("step", "https://example.com/", 0, 5),)),), rate_limit=0) as running:
        yield running


def test_an_exporter_that_polls_and_is_scraped_has_imported_nothing_that_it_does_not_use(simulator):
    flags = (f"--automations={an_id(1)}", f"--sendgrid.base-url={simulator.base_url}")

    with polling(*flags, env={"SENDGRID_API_KEY": simulator.api_key}) as exporter:
        exporter.wait_while_alive(lambda: exporter.get("/-/ready").status == 200, "the first poll")
        assert "automation_total_clicks" in exporter.get("/metrics").text
        modules = imported(exporter)

    assert {"exporter.app", "requests", "pydantic"} <= modules, "the log names no imports"
    assert {name: why for name, why in ON_DEMAND.items() if name in modules} == {}


def with_state(folder: Path) -> Sequence[str]:
    return (f"--automations={an_id(1)}", "--sendgrid.base-url=http://127.0.0.1:9", f"--state.path={folder / 'state'}")


def with_file(folder: Path) -> Sequence[str]:
    file = folder / "exporter.yaml"
    file.write_text(f"automations: [{an_id(1)}]\nsendgrid: {{base_url: 'http://127.0.0.1:9'}}\n", encoding="utf-8")
    return (f"--config.file={file}",)


def with_demo(_: Path) -> Sequence[str]:
    return ("--demo",)


@pytest.mark.parametrize(
    ("module", "flags"), [("sqlite3", with_state), ("yaml", with_file), ("sendgrid_simulator", with_demo)]
)
def test_what_a_feature_needs_is_imported_where_it_is_on(module, flags, tmp_path):
    with polling(*flags(tmp_path)) as exporter:
        assert module in imported(exporter)


def test_the_imports_leave_the_interpreter_as_a_long_run_needs_it():
    command = [sys.executable, "-W", "error", "-c", AFTER_THE_IMPORTS]

    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert run.stderr == ""
    told = json.loads(run.stdout.splitlines()[-1])
    assert told == {"collects": True, "left out": True, "switches": 0.001, "marks": []}
