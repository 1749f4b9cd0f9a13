"""The set-up scripts on machines that lack something: played by small programs on an otherwise bare PATH."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

pytestmark = pytest.mark.e2e

SHELL = ("bash", "cat", "cut", "env", "grep", "sed", "realpath", "dirname")


@pytest.fixture
def machine(tmp_path):
    """Return a function that makes a program; the PATH of what `run` starts holds the shell's tools and these."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL:
        found = next(Path(place) / name for place in ("/usr/bin", "/bin") if (Path(place) / name).exists())
        (folder / name).symlink_to(found)

    def make(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)
        return program

    return make


def run(tmp_path: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / command[0]), *command[1:]],
        env={"PATH": str(tmp_path / "bin"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


REAL = f'exec {shlex.quote(sys.executable)} "$@"'
OLD = 'if [ "$1" = --version ]; then echo Python 3.9.18; else exit 1; fi'
STUB = "echo command not found >&2; exit 127"


def test_python3_is_taken_when_it_is_new_enough(machine, tmp_path):
    machine("python3", REAL)
    machine("python3.19", STUB)

    assert run(tmp_path, "find-python").stdout.strip() == sys.executable


def test_newest_python_that_runs_is_taken_when_python3_is_old(machine, tmp_path):
    machine("python3", OLD)
    machine("python3.14", STUB)
    machine("python3.12", REAL)

    assert run(tmp_path, "find-python").stdout.strip() == sys.executable


def test_named_python_is_taken_before_any_other(machine, tmp_path):
    machine("python3", STUB)

    assert run(tmp_path, "find-python", PYTHON=sys.executable).stdout.strip() == sys.executable


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        ({"python3": OLD}, "needs Python 3.11 or newer and found Python 3.9.18: install one"),
        ({}, "needs Python 3.11 or newer and found no python3: install one"),
    ],
)
def test_missing_or_old_python_is_told_in_a_sentence(machine, tmp_path, programs, told):
    for name, script in programs.items():
        machine(name, script)

    found = run(tmp_path, "find-python")

    assert (found.returncode, found.stdout) == (1, "")
    assert told in found.stderr


def test_named_python_that_is_too_old_is_told(machine, tmp_path):
    machine("python3.9", OLD)

    found = run(tmp_path, "find-python", PYTHON="python3.9")

    assert found.returncode == 1
    assert "PYTHON=python3.9 is no Python 3.11 or newer" in found.stderr


def test_packages_that_are_there_are_left_alone(machine, tmp_path):
    machine("dpkg-query", "printf installed")

    done = run(tmp_path, "install-packages", "test")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PACKAGES = " ".join(
    line.split()[0] for line in (ROOT / "scripts/packages/test.txt").read_text().splitlines() if line[0] != "#"
)
COMMAND = f"sudo apt-get update && sudo apt-get install --no-install-recommends {PACKAGES}"


@pytest.mark.parametrize("sudo", ["exit 1", None], ids=["sudo asks a password", "no sudo"])
def test_packages_that_may_not_be_installed_are_told_with_the_command_and_no_failure(machine, tmp_path, sudo):
    machine("dpkg-query", "exit 1")
    machine("apt-get", "exit 1")
    machine("id", "echo 1000")
    if sudo:
        machine("sudo", sudo)

    done = run(tmp_path, "install-packages", "test")

    assert done.returncode == 0
    assert f"to have them: {COMMAND}\n" in done.stdout


def test_packages_on_a_system_without_apt_are_told_and_no_failure(machine, tmp_path):
    machine("id", "echo 0")

    done = run(tmp_path, "install-packages", "test")

    assert done.returncode == 0
    assert f"no apt-get: {PACKAGES}" in done.stdout


def test_packages_are_installed_through_sudo_where_it_asks_nothing(machine, tmp_path):
    machine("dpkg-query", "exit 1")
    machine("apt-get", "exit 1")
    machine("id", "echo 1000")
    machine("sudo", f'printf "%s\\n" "$*" >>{tmp_path}/sudo')

    done = run(tmp_path, "install-packages", "test")

    assert done.returncode == 0
    asked = (tmp_path / "sudo").read_text().splitlines()
    assert asked == ["-n true", f"-n {ROOT}/scripts/install-packages-as-root {PACKAGES}"]


def test_failed_installation_is_told_with_the_command_and_no_failure(machine, tmp_path):
    machine("dpkg-query", "exit 1")
    machine("apt-get", "exit 1")
    machine("id", "echo 1000")
    machine("sudo", '[ "$2" = true ]')

    done = run(tmp_path, "install-packages", "test")

    assert done.returncode == 0
    assert f"to try again: {COMMAND}\n" in done.stderr


def make_venv(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/make-venv", tmp_path / "bin/python", tmp_path / "a venv"],
        cwd=ROOT,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def without_venv(machine):
    """Return what makes a Debian without python3-venv where nothing may be installed; `pip` answers for its pip."""

    def make(pip: str) -> None:
        lacking = '[ "$2" != "import ensurepip, venv" ] || exit 1'
        asked = 'case "$*" in "-m pip --version" | "-m pip --python "*)'
        machine("python", f"{lacking}; {asked} {pip} ;; esac; {REAL}")
        machine("id", "echo 1000")
        machine("dpkg-query", "exit 1")
        machine("apt-get", "exit 1")
        machine("mktemp", 'exec /usr/bin/mktemp "$@"')
        machine("awk", "exit 0")
        machine("rm", 'exec /bin/rm "$@"')

    return make


def test_virtual_environment_that_gets_no_pip_is_no_half_one_and_one_command_is_told(without_venv, tmp_path):
    without_venv(pip="exit 1")

    made = make_venv(tmp_path)

    assert made.returncode == 1
    assert re.search(
        r"pip could not be had without rights: .*to have them: sudo .* python3(\.\d+)?-venv$", made.stderr.strip()
    )
    assert not (tmp_path / "a venv").exists()


def test_pip_that_is_there_makes_the_virtual_environment_where_ensurepip_is_missing(without_venv, tmp_path):
    without_venv(pip=f'echo "$*" >>{tmp_path}/pip; exit 0')

    made = make_venv(tmp_path)

    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert f"--python {tmp_path}/a venv/bin/python install --quiet pip" in (tmp_path / "pip").read_text()
    assert (tmp_path / "a venv/bin/python").exists()


def test_interpreter_by_another_name_is_the_same_interpreter(tmp_path):
    """Else `make PYTHON=/usr/bin/python3.13` after `make` would throw away what python3 had set up."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name in ("find-python", "set-up-python"):
        shutil.copy(ROOT / "scripts" / name, scripts)
    make_venv = scripts / "make-venv"
    make_venv.write_text(
        '#!/bin/sh\necho made >>made\nmkdir -p "$2/bin"\nln -sf /bin/true "$2/bin/python"\n', encoding="utf-8"
    )
    make_venv.chmod(0o755)
    (tmp_path / "pyproject.toml").touch()
    named = [tmp_path / name for name in ("python3", "python3.13")]
    for name in named:
        name.symlink_to(sys.executable)

    for name in [*named, named[0]]:
        subprocess.run([scripts / "set-up-python", "run"], env=os.environ | {"PYTHON": str(name)}, check=True)

    assert (tmp_path / "made").read_text() == "made\n"


@pytest.mark.parametrize(
    ("user", "reason"),
    [("1000", "only root can make a fresh Debian"), ("0", "debootstrap is not installed: apt-get install debootstrap")],
)
def test_fresh_debian_that_cannot_be_made_here_is_skipped_with_its_reason(machine, tmp_path, user, reason):
    machine("id", f"echo {user}")

    done = run(tmp_path, "test-fresh", "trixie", "quick")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"test-fresh: skipped: {reason}" in done.stdout


def test_extent_that_does_not_exist_is_no_skip(machine, tmp_path):
    machine("id", "echo 1000")

    done = run(tmp_path, "test-fresh", "trixie", "some")

    assert (done.returncode, done.stderr) == (2, "test-fresh: some is neither quick nor all\n")


def test_time_is_told_and_the_status_kept():
    timed = subprocess.run(
        [ROOT / "scripts/timed", "the check", "bash", "-c", "exit 3"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )

    assert timed.returncode == 3
    assert timed.stdout == "the check: 0 s\n"
