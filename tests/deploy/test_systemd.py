"""The systemd unit: accepted, confined, and in step with the exporter's own flags."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.chart import AUTOMATION, ROOT
from tests.programs import needs, program

UNIT: Final = ROOT / "deploy" / "systemd" / "sendgrid-automation-exporter.service"
TEXT: Final = UNIT.read_text()


def settings() -> dict[str, list[str]]:
    """Return the unit's keys with their values, continued lines joined."""
    found: dict[str, list[str]] = {}
    for line in TEXT.replace("\\\n", " ").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(" ".join(value.split()))
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return the unit with a program that is there in place of the exporter's."""
    program_of_unit = shlex.split(settings()["ExecStart"][0])[0]
    copy = tmp_path / UNIT.name
    copy.write_text(TEXT.replace(program_of_unit, "/bin/sh"))
    return copy


@needs("systemd-analyze")
def test_systemd_accepts_the_unit(installed: Path) -> None:
    done = subprocess.run(
        [program("systemd-analyze"), "verify", installed], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


@needs("systemd-analyze")
def test_systemd_would_refuse_a_misspelt_key(installed: Path) -> None:
    installed.write_text(installed.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", installed], capture_output=True, text=True, timeout=60, check=False
    )

    assert "NoNewPrivilege" in done.stderr


@needs("systemd-analyze")
def test_the_exposure_is_rated_at_most_2_of_10(installed: Path) -> None:
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", installed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_the_key_is_a_credential_and_the_state_has_a_folder_of_its_own() -> None:
    unit = settings()
    words = shlex.split(unit["ExecStart"][0])

    assert unit["LoadCredential"] == ["api-key:/etc/sendgrid-automation-exporter/api-key"]
    # Not %d, which systemd knows from 251 on.
    assert "--sendgrid.api-key-file=${CREDENTIALS_DIRECTORY}/api-key" in words
    assert "%d" not in unit["ExecStart"][0]
    assert f"--state.path=%S/{unit['StateDirectory'][0]}/state.sqlite" in words
    assert "Environment" not in unit


def test_the_exporter_takes_the_units_flags(tmp_path: Path) -> None:
    (tmp_path / "exporter.yaml").write_text(f"automations: [{{id: {AUTOMATION}}}]\n")
    (tmp_path / "api-key").write_text("SG.of-a-test\n")
    words = shlex.split(
        settings()["ExecStart"][0].replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)).replace("%S", str(tmp_path))
    )[1:]
    words = [word.replace("/etc/sendgrid-automation-exporter/", f"{tmp_path}/") for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *words, "--check"],
        cwd=ROOT, env={}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_memory_is_bounded_and_never_dumped() -> None:
    """A core dump would write the key to the disk."""
    unit = settings()

    assert unit["LimitCORE"] == ["0"]
    assert re.fullmatch(r"\d+M", unit["MemoryMax"][0])


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert settings()["Restart"] == ["on-failure"]
    assert re.search(r"^RestartPreventExitStatus=2$", TEXT, re.MULTILINE)


@needs("systemd-analyze")
def test_systemd_accepts_the_units_that_restart_with_a_changed_key(installed: Path) -> None:
    for suffix in ("path", "service"):
        name = f"sendgrid-automation-exporter-key.{suffix}"
        (installed.parent / name).write_text((UNIT.parent / name).read_text())
    done = subprocess.run(
        [program("systemd-analyze"), "verify", installed.parent / "sendgrid-automation-exporter-key.path"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, [line for line in done.stderr.splitlines() if "sendgrid" in line]) == (0, [])


def test_the_key_that_is_watched_is_the_one_that_is_loaded_and_the_exporter_is_what_restarts() -> None:
    loaded = settings()["LoadCredential"][0].partition(":")[2]
    watch, restart = (UNIT.parent / f"sendgrid-automation-exporter-key.{suffix}" for suffix in ("path", "service"))

    assert f"PathChanged={loaded}" in watch.read_text().splitlines()
    assert restart.read_text().splitlines()[-1].endswith(f"try-restart {UNIT.name}")
