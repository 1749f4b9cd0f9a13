"""Version and public address stand once, in pyproject.toml; everything else agrees."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from scripts import release
from tests.deploy.chart import CHART, ROOT, kinds, render
from tests.programs import needs

PARTS = (
    "pyproject.toml",
    "CHANGELOG.md",
    "helm/sendgrid-automation-exporter/Chart.yaml",
    "helm/sendgrid-automation-exporter/values.yaml",
    "docs/releasing.md",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in PARTS:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    return tmp_path


def test_package_chart_image_and_changelog_agree() -> None:
    assert release.disagreements() == []


@pytest.mark.parametrize(
    ("part", "old", "new", "sentence"),
    [
        (PARTS[0], 'version = "', 'version = "9', "Chart.yaml's version is"),
        (PARTS[1], "## [", "## [9", "CHANGELOG.md's newest release is 9"),
        (PARTS[2], "appVersion: ", "appVersion: 9", "Chart.yaml's appVersion is 9"),
        (PARTS[2], "home: https://", "home: https://other.", "Chart.yaml's home is https://other."),
        (PARTS[3], "registry: ", "registry: other.", "values.yaml's image is other."),
        (
            PARTS[4],
            "-regexp '^https://",
            "-regexp '^https://other.",
            "docs/releasing.md's signing identity is ^https://other.",
        ),
        (PARTS[4], "--certificate-identity-regexp", "--key", "docs/releasing.md's signing identity is None"),
    ],
)
def test_a_part_that_differs_is_named(copy: Path, part: str, old: str, new: str, sentence: str) -> None:
    text = (copy / part).read_text()
    assert old in text
    (copy / part).write_text(
        text.replace(old, new, 1) if part != PARTS[1] else re.sub(r"## \[(?=\d)", new, text, count=1)
    )

    assert any(found.startswith(sentence) for found in release.disagreements(copy))


def test_a_tag_must_be_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    version = release.facts()["version"]

    assert release.main(["--tag", f"v{version}"]) == 0
    assert release.main(["--tag", version]) == 1
    assert f"the tag is {version}, but pyproject.toml says v{version}" in capsys.readouterr().err


def test_only_the_projects_own_repository_releases(capsys: pytest.CaptureFixture[str]) -> None:
    home = release.facts()["homepage"]

    assert release.main(["--repository", home]) == 0
    assert release.main(["--repository", "https://github.com/somebody/fork"]) == 1
    assert (
        f"the repository is https://github.com/somebody/fork, but pyproject.toml says {home}" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("identity", "is_ours"),
    [
        ("https://github.com/us/exporter/.github/workflows/release.yml@refs/tags/v1.2.3", True),
        ("https://github.com/them/exporter/.github/workflows/release.yml@refs/tags/v1.2.3", False),
        ("https://github.com/us/exporter2/.github/workflows/release.yml@refs/tags/v1.2.3", False),
        ("https://githubXcom/us/exporter/.github/workflows/release.yml@refs/tags/v1.2.3", False),
        ("https://e.com/?https://github.com/us/exporter/.github/workflows/release.yml@refs/tags/v1.2.3", False),
        ("https://github.com/us/exporter/.github/workflows/ci.yml@refs/tags/v1.2.3", False),
        ("https://github.com/us/exporter/.github/workflows/release.yml@refs/heads/main", False),
        ("https://github.com/us/exporter/.github/workflows/release.yml@refs/tags/v1.2.3-evil", False),
    ],
)
def test_only_a_release_of_the_projects_repository_is_verified(identity: str, *, is_ours: bool) -> None:
    assert bool(re.search(release.signing_identity("https://github.com/us/exporter"), identity)) is is_ours


def test_the_pythons_are_those_of_the_classifiers() -> None:
    assert release.pythons(
        ["Programming Language :: Python :: 3.9", "Programming Language :: Python :: 3.13", "Typing :: Typed"]
    ) == [
        "3.9",
        "3.13",
    ]
    assert "3.11" in json.loads(release.facts()["pythons"])


def test_every_address_of_the_chart_begins_with_the_projects() -> None:
    home = release.facts()["homepage"]
    chart = (CHART / "Chart.yaml").read_text()
    addresses = re.findall(r"https?://[^\s\"']+", chart + (CHART / "README.md").read_text())
    foreign = {
        address
        for address in addresses
        if not address.startswith((home, "https://api.sendgrid.com", "http://localhost"))
    }

    assert yaml.safe_load(chart)["home"] == home
    assert (ROOT / yaml.safe_load(chart)["icon"].removeprefix(f"{home}/raw/main/")).is_file()
    assert not foreign


def test_the_charts_readme_installs_from_where_the_release_puts_it() -> None:
    places = set(re.findall(r"oci://\S+", (CHART / "README.md").read_text()))

    assert places == {f"{release.facts()['charts']}/{CHART.name}"}


@needs("helm-4")
def test_what_the_readme_tells_to_write_is_taken(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(# values\.yaml\n.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
    assert block
    (tmp_path / "values.yaml").write_text(block[1])

    rendered = kinds(render("helm-4", "--values", tmp_path / "values.yaml"))

    assert {"Deployment", "ServiceMonitor", "PrometheusRule"} <= set(rendered)
