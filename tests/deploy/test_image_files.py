"""What goes into the image, read from its files; `make test-image` builds and runs it."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.chart import ROOT
from tests.programs import needs, program

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS: Final = PROJECT["dependency-groups"]
LOCKS: Final = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
    **{f"requirements-{name}.lock": GROUPS[name] for name in ("release", "audit", "helm")},
}
HOLES: Final = {
    "certifi": "2024.7.3",
    "pydantic-settings": "2.15.0",
    "PyYAML": "5.3.1",
    "requests": "2.32.5",
    "urllib3": "2.7.0",
}
"""The newest release of each that has a known hole."""


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return version and hashes of each distribution in a lock."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            match = re.fullmatch(r"([\w.-]+)==(\S+?)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
            assert match, f"{name}: {line[:80]}"
            found[canonicalize_name(match[1])] = (match[2], match[3].split())
    return found


@needs("hadolint")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [program("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_pins_every_dependency_as_the_project_allows(name: str) -> None:
    pinned = locked(name)

    for text in LOCKS[name]:
        requirement = Requirement(text)
        assert canonicalize_name(requirement.name) in pinned, f"{name} lacks {requirement.name}: run scripts/lock"
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)][0]), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_the_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text()

    assert all(hashes for _, hashes in locked(name).values())
    assert not re.search(r"://|--(index|extra|find|trusted)", text)


def test_every_lock_is_checked_here() -> None:
    assert {path.name for path in ROOT.glob("requirements*.lock")} == LOCKS.keys()


@pytest.mark.parametrize("name", HOLES)
def test_a_release_with_a_known_hole_is_not_admitted(name: str) -> None:
    (requirement,) = [each for each in map(Requirement, LOCKS["requirements.lock"]) if each.name == name]

    assert not requirement.specifier.contains(HOLES[name])


@pytest.mark.parametrize("name", ["bcrypt", "pydantic-core", "pyyaml"])
def test_compiled_dependencies_have_hashes_for_several_architectures(name: str) -> None:
    assert len(locked("requirements.lock")[name][1]) > 10


def required_by() -> dict[str, set[str]]:
    """Return who requires each pin, as the lock's comments say."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([\w.-]+)==", line):
            found[canonicalize_name(match[1])] = pinned = set()
        elif match := re.match(r"    #   (?:via )?([\w.-]+)|    # via ([\w.-]+)", line):
            pinned.add(canonicalize_name(match[1] or match[2]))
    return found


def test_the_lock_holds_nothing_that_nobody_requires() -> None:
    project = canonicalize_name(PROJECT["project"]["name"])
    wanted = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
    parents = required_by()

    assert {name for name, needed in parents.items() if project in needed} == wanted, "run scripts/lock"
    assert all(parents.values())
    assert {name for needed in parents.values() for name in needed} - {project} <= parents.keys()


def test_the_base_is_a_slim_image_of_one_patch_release_for_both_stages() -> None:
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert base
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base[1])
    assert stages == ["${BASE}", "${BASE}"]


def test_the_bases_python_is_one_that_the_project_supports() -> None:
    python = re.search(r"python:(3\.\d+)", DOCKERFILE)

    assert python
    assert f"Programming Language :: Python :: {python[1]}" in PROJECT["project"]["classifiers"]


def test_the_final_stage_copies_only_from_the_first_and_runs_as_a_number() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]

    assert re.findall(r"^COPY (\S+)", final, re.MULTILINE) == ["--from=build", "--from=build"]
    assert "USER 65532:65532" in final
    assert not re.search(r"^(RUN|ADD)\b", final, re.MULTILINE)
    assert 'ENTRYPOINT ["/opt/exporter/bin/sendgrid-automation-exporter"]' in final


def test_hashes_are_required_and_nothing_is_compiled() -> None:
    installs = re.findall(r"install (?:\\\n\s*)?(.*?)(?:\\?\n|$)", DOCKERFILE)

    assert len(installs) == 3
    assert sum("--require-hashes --only-binary :all: --no-deps" in words for words in installs) == 2
    assert sum("--no-index --no-deps" in words for words in installs) == 1


def test_the_labels_say_what_the_project_says() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', DOCKERFILE))
    project = PROJECT["project"]

    assert labels["title"] == project["name"]
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]
    assert labels["vendor"] == project["authors"][0]["name"]
    assert labels.keys() >= {
        "version",
        "revision",
        "created",
        "source",
        "url",
        "documentation",
        "base.name",
        "base.digest",
    }


def test_the_build_context_is_an_allow_list_of_what_the_dockerfile_copies() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word for words in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in words.split()
    }

    assert lines[0] == "*"
    assert allowed == copied
    assert all((ROOT / name).exists() for name in allowed)


def test_the_installed_version_is_the_projects() -> None:
    assert version(PROJECT["project"]["name"]) == PROJECT["project"]["version"]
