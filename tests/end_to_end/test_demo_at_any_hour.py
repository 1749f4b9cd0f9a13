"""The demo moves at any hour: the installed command with its wall clock set by libfaketime, polls and all."""

import subprocess

import pytest

from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until

pytestmark = pytest.mark.e2e

MOMENTS = {
    "03:00 on a Sunday": "2026-11-29 03:00:00",
    "29 February": "2028-02-29 12:00:00",
    "clocks go forward": "2027-03-28 01:59:57",
    "clocks go back": "2027-10-31 02:59:57",
}


def set_to(moment: str) -> dict[str, str]:
    """Return the environment that `faketime` gives a program; the wrapper itself would not pass signals on."""
    command = ("faketime", "--exclude-monotonic", "-f", f"@{moment}", "env", "--null")
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    values = dict(line.partition("=")[::2] for line in printed.split("\0") if line)
    return {name: values[name] for name in ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC")}


def clicks(exporter: ExporterProcess) -> float:
    """Return the clicks of all three automations, 0 until each was polled."""
    totals = [value for (name, _), value in exporter.samples().items() if name == "automation_total_clicks"]
    return sum(totals) if len(totals) == 3 else 0


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_demo_moves_whatever_the_wall_clock_shows(moment: str) -> None:
    env = {"TZ": "Europe/Berlin", **set_to(moment)}
    with ExporterProcess("--demo", "--poll.interval=1s", env=env) as exporter:
        first = wait_until(lambda: clicks(exporter), "the demo's clicks")
        assert f"ts={moment[:4]}" in exporter.log
        wait_until(lambda: clicks(exporter) >= first + 5, "the demo's clicks rise", seconds=20)
