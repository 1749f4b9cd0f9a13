"""README's way with a key, every block as it stands there, against a simulated SendGrid.

The blocks run in an empty root: their absolute paths lead into a temporary folder, where a small program stands in for
the download by pip. In a Debian that is thrown away afterwards (README_ROOT=/, which `make test-fresh` sets) they run
at the real paths and install for real.
"""

import os
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import COMMAND, ExporterProcess, environment
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import ROOT, needs, program

pytestmark = pytest.mark.e2e

REAL: Final = os.environ.get("README_ROOT") == "/"
SECTION: Final = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## Run it with your key\n")[2].split("\n## ")[0]
)
KEY: Final = "SG.your-key"
UNIT: Final = Path("etc/systemd/system/sendgrid-automation-exporter.service")
KEY_UNIT: Final = "sendgrid-automation-exporter-key.path"


def blocks(language: str) -> list[str]:
    """Return the section's blocks of code in a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", SECTION, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(text) for _, text in found]


INSTALL, WRITE_KEY, CONFIGURE, CHECK, SYSTEMD, VARIABLES = blocks("sh")
[PROMETHEUS] = blocks("yaml")
IDS: Final = re.findall(r"- id: (\S+)", CONFIGURE)


class Machine:
    """Runs blocks below a root of its own."""

    def __init__(self, root: Path, base_url: str) -> None:
        self.root = root
        self.stubs = root / "tmp/stubs"
        for folder in ("etc/systemd/system", "opt", "usr/local/bin", "tmp/stubs", "var/lib"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        path = f"{self.stubs}:{root}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        self.environment = {"PATH": path, "EXPORTER_SENDGRID__BASE_URL": base_url}
        # No init system runs here.
        self.stub("systemctl", f'echo "$@" >>{shlex.quote(str(self.stubs))}/systemctl.log')
        if not REAL:
            pip = f'#!/bin/sh\nln -s {shlex.quote(COMMAND[0])} "$(dirname "$0")"\n'
            (self.stubs / "pip").write_text(pip)
            self.stub("python3", f'mkdir -p "$3/bin"; install {shlex.quote(str(self.stubs))}/pip "$3/bin/pip"')

    def stub(self, name: str, script: str) -> None:
        (self.stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.stubs / name).chmod(0o755)

    def here(self, text: str) -> str:
        """Return the text with its absolute paths below this root."""
        return text if REAL else re.sub(r"(?<![\w.}/])/(opt|etc|usr/local|var/lib)/", rf"{self.root}/\1/", text)

    def run(self, block: str) -> subprocess.CompletedProcess[str]:
        """Run a block in the checkout, as a person would paste it; a command that fails fails the test."""
        done = subprocess.run(
            ["sh", "-e", "-c", self.here(block)],
            cwd=ROOT, env=environment(self.environment), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (block, done.stdout[-1000:], done.stderr)
        return done

    @property
    def unit(self) -> Path:
        return self.root / UNIT


def settings(unit: Path) -> dict[str, str]:
    """Return the unit's keys with their last values, continued lines joined."""
    lines = unit.read_text().replace("\\\n", " ").splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition("=") for line in lines) if value}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    automations = [fixed(id_, [Row("step", "https://shop.example/?utm_source=mail", 0, 7)]) for id_ in IDS]
    with Simulator(automations, rate_limit=0) as simulator:
        simulator.account.allow(KEY)
        yield simulator


@pytest.fixture(scope="module")
def machine(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Return the machine after the blocks that install and configure."""
    machine = Machine(Path("/") if REAL else tmp_path_factory.mktemp("root"), simulator.base_url)
    for block in (INSTALL, WRITE_KEY, CONFIGURE, SYSTEMD):
        machine.run(block)
    return machine


def unit_command(machine: Machine) -> list[str]:
    """Return the words by which systemd would start the exporter, with the folders that it would make."""
    unit = settings(machine.unit)
    (machine.root / "var/lib" / unit["StateDirectory"]).mkdir(exist_ok=True)
    credentials = Path(unit["LoadCredential"].partition(":")[2]).parent
    text = unit["ExecStart"].replace("%S", "/var/lib")
    for name in ("%d", "${CREDENTIALS_DIRECTORY}"):
        text = text.replace(name, str(credentials))
    return shlex.split(machine.here(text))


def totals(exposition: str) -> Sequence[str]:
    return re.findall(r'^automation_total_clicks\{automation_id="([^"]+)"\} 7', exposition, re.MULTILINE)


def test_key_is_in_a_file_that_only_its_owner_reads(machine: Machine) -> None:
    key = machine.root / "etc/sendgrid-automation-exporter/api-key"

    assert (key.read_text(), key.stat().st_mode & 0o777) == (f"{KEY}\n", 0o600)


def test_check_passes_and_one_poll_shows_every_automation(machine: Machine) -> None:
    check, once = CHECK.splitlines()

    assert KEY not in machine.run(check).stdout
    exposition = machine.run(once).stdout
    assert sorted(totals(exposition)) == sorted(IDS)
    assert 'name="Welcome series"' in exposition


def test_two_variables_are_enough(machine: Machine) -> None:
    [command] = VARIABLES.replace("…", KEY).splitlines()

    assert totals(machine.run(f"{command} --once").stdout) == IDS[:1]


@needs("systemd-analyze")
def test_systemd_accepts_the_installed_unit(machine: Machine, tmp_path: Path) -> None:
    copy = tmp_path / machine.unit.name
    copy.write_text(machine.here(machine.unit.read_text()))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, [line for line in done.stderr.splitlines() if copy.name in line]) == (0, [])
    assert (machine.stubs / "systemctl.log").read_text() == f"enable --now {UNIT.name} {KEY_UNIT}\n"


@needs("prometheus")
def test_prometheus_reads_what_the_unit_runs_with_readmes_own_job(machine: Machine, tmp_path: Path) -> None:
    program_of_unit, *flags = unit_command(machine)
    [job] = yaml.safe_load(PROMETHEUS)["scrape_configs"]
    options = {name: value for name, value in job.items() if name not in {"job_name", "static_configs"}}
    rules = (ROOT / "prometheus/rules/sendgrid-exporter.yml").read_text()
    [watched] = set(re.findall(r'up\{job=~"([^"]+)"\}', rules))

    with (
        ExporterProcess(*flags, command=[program_of_unit], env=machine.environment) as exporter,
        Prometheus(tmp_path, {job["job_name"]: [exporter.address]}, job_options=options) as prometheus,
    ):
        wait_until(lambda: len(totals(exporter.get("/metrics").text)) == len(IDS), "both automations are polled")
        prometheus.wait_for_scrape()
        assert prometheus.value("sum(automation_total_clicks)") == 14
        assert prometheus.value(f'up{{job=~"{watched}"}}') == 1
        assert exporter.stop() == 0

    assert (machine.root / "var/lib/sendgrid-automation-exporter/state.sqlite").is_file()


def test_everything_is_where_the_unit_looks_for_it(machine: Machine) -> None:
    unit = settings(machine.unit)
    words = shlex.split(unit["ExecStart"])

    assert f"--config.file={CHECK.split()[2]}" in words
    assert f"api_key_file: {unit['LoadCredential'].removeprefix('api-key:')}\n" in CONFIGURE
    assert f"ln -sf {words[0]} /usr/local/bin/" in INSTALL
    assert f"`/var/lib/{unit['StateDirectory']}`" in SECTION
