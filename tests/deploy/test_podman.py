"""The quadlet: podman's own generator takes it, and what it runs is confined and knows its key."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from scripts import release
from tests.deploy.chart import AUTOMATION, ROOT
from tests.programs import needs, program

QUADLET: Final = ROOT / "deploy" / "podman" / "sendgrid-automation-exporter.container"
TEXT: Final = QUADLET.read_text()


def generate(folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what podman's generator makes of the quadlets in a folder."""
    command = [program("quadlet"), "-dryrun", "-user"]
    environment = {"QUADLET_UNIT_DIRS": str(folder), "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def run(folder: Path) -> list[str]:
    """Return the words of the command that the generated service runs."""
    (folder / QUADLET.name).write_text(TEXT)
    done = generate(folder)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


@needs("quadlet")
def test_podman_makes_a_confined_service_of_it_that_only_this_machine_reaches(tmp_path: Path) -> None:
    words = run(tmp_path)

    assert {"--read-only", "--security-opt=no-new-privileges"} <= set(words)
    assert words[words.index("--cap-drop") + 1] == "all"
    assert words[words.index("--publish") + 1] == "127.0.0.1:10154:10154"
    assert f"{release.facts()['image']}:{release.facts()['version']}" in words


@needs("quadlet")
def test_podman_would_refuse_a_misspelt_key(tmp_path: Path) -> None:
    (tmp_path / QUADLET.name).write_text(TEXT.replace("ReadOnly=", "ReadOnl="))

    done = generate(tmp_path)

    assert "ReadOnl" in done.stderr
    assert "--read-only" not in done.stdout


@needs("quadlet")
def test_the_exporter_takes_its_arguments_and_finds_the_key_where_the_secret_is_mounted(tmp_path: Path) -> None:
    words = run(tmp_path)
    image = next(index for index, word in enumerate(words) if word.startswith(release.facts()["image"]))
    secret = words[words.index("--secret") + 1].split(",")
    (tmp_path / "exporter.yaml").write_text(f"automations: [{AUTOMATION}]\n")
    (tmp_path / "key").write_text("SG.of-a-test\n")
    arguments = [word.replace("/etc/exporter.yaml", f"{tmp_path}/exporter.yaml") for word in words[image + 1 :]]
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *arguments, "--check"],
        cwd=ROOT, env={"SENDGRID_API_KEY_FILE": f"{tmp_path}/key"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert words[words.index("--env") + 1] == f"SENDGRID_API_KEY_FILE=/run/secrets/{secret[0]}"
    # The image's user, as the Dockerfile names it.
    assert {"uid=65532", "gid=65532", "mode=0400"} <= set(secret)
    assert "USER 65532:65532" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("flag", [",Z", ":U"])
def test_the_volumes_are_labelled_for_selinux_and_given_to_the_containers_user(flag: str) -> None:
    volumes = [line for line in TEXT.splitlines() if line.startswith("Volume=")]

    assert len(volumes) == 2
    assert len([line for line in volumes if line.endswith(flag)]) == 1


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert {"Restart=on-failure", "RestartPreventExitStatus=2"} <= set(TEXT.splitlines())
