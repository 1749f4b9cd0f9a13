"""The programs of others that tests run: where they are, and how to get them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
TOOLS: Final = ROOT / ".tools"

needs = pytest.mark.needs
"""`@needs("prometheus")`: the test is skipped, with the command that provides the program, where it is missing."""

# Where a name is not simply looked up on the PATH.
_PLACES: Final = {
    "prometheus-newer": TOOLS / "debian-sid/usr/bin/prometheus",
    "promtool-newer": TOOLS / "debian-sid/usr/bin/promtool",
    "alertmanager-newer": TOOLS / "debian-sid/usr/bin/prometheus-alertmanager",
    "amtool-newer": TOOLS / "debian-sid/usr/bin/amtool",
    "vmalert": TOOLS / "debian-bookworm/usr/bin/vmalert",
    "vmagent": TOOLS / "debian-bookworm/usr/bin/vmagent",
    "victoria-metrics": TOOLS / "debian-bookworm/usr/bin/victoria-metrics",
    "quadlet": TOOLS / "podman/usr/libexec/podman/quadlet",
    "docker-compose": TOOLS / "debian-trixie/usr/libexec/docker/cli-plugins/docker-compose",
    "actionlint": TOOLS / "actionlint/actionlint",
    "helm-3": TOOLS / "helm-3/helm",
    "helm-4": TOOLS / "helm-4/helm",
    "kubectl": TOOLS / "helm-4/kubectl",
}
# Debian's package where it is not called as the program.
_PACKAGES: Final = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "openssl": "openssl",
    "go": "golang-go",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
}


def find_program(name: str) -> Path | None:
    """Return the path of the program, or None where it is not installed.

    Programs that pip installs stand beside the interpreter, which need not be on the PATH.
    """
    if name in _PLACES:
        return _PLACES[name] if _PLACES[name].is_file() else None
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    return Path(found) if found else None


def program(name: str) -> str:
    """Return the path of a program that the test's `needs` mark asked for."""
    found = find_program(name)
    assert found is not None, f"{name} is not installed, and the test has no @needs({name!r})"
    return str(found)


def skip_without(*names: str) -> None:
    """Skip the test, with the command that provides it, where one of the programs is missing; for fixtures."""
    for name in names:
        if find_program(name) is None:
            pytest.skip(f"{name} is not installed: {how_to_get(name)}")


def how_to_get(name: str) -> str:
    """Return the command that provides the program."""
    if name in _PLACES:
        return "`make setup` brings it into .tools"
    return f"`sudo apt-get install {_PACKAGES.get(name, name)}`, or `make setup` as root"


def versions() -> list[str]:
    """Return the programs at hand with their versions, for the head of a test report."""
    asked = ("prometheus", "prometheus-newer", "prometheus-alertmanager")
    return [f"{name} {_version(path) if path else 'missing'}" for name in asked for path in [find_program(name)]]


def _version(path: Path) -> str:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    words = (answer.stdout or answer.stderr).split()
    return words[2] if len(words) > 2 and words[1] == "version" else "of an unknown version"
