"""Say what a release is called, and refuse one whose parts disagree: python -m scripts.release [--tag TAG].

Prints NAME=value lines, as a workflow's outputs want them. The version and the public address stand in pyproject.toml
alone; chart, changelog, tag, documentation and the repository that releases must agree with it.
"""

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent


def facts(root: Path = ROOT) -> dict[str, str]:
    """Return version, public address, the image's and the chart's places, and the supported Pythons as JSON."""
    project = _project(root)
    home = project["urls"]["Homepage"]
    address = urlsplit(home)
    image = f"{address.netloc}{address.path}"
    return {
        "version": project["version"],
        "homepage": home,
        "registry": address.netloc,
        "image": image,
        "charts": f"oci://{image}-charts",
        "identity": signing_identity(home),
        "pythons": json.dumps(pythons(project["classifiers"])),
    }


def signing_identity(home: str) -> str:
    """Return what the certificate of a signature must name, as a regular expression: this repository's release.

    Anybody's workflow gets a certificate from the same authority, so only the whole address tells whose it is.
    """
    workflow = re.escape(f"{home}/.github/workflows/release.yml").replace("\\-", "-")
    return rf"^{workflow}@refs/tags/v[0-9]+\.[0-9]+\.[0-9]+$"


def pythons(classifiers: list[str]) -> list[str]:
    """Return the Python versions that the classifiers name, oldest first."""
    found = [
        match[1] for line in classifiers if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]
    return sorted(found, key=lambda version: int(version.removeprefix("3.")))


def disagreements(root: Path = ROOT, tag: str | None = None, repository: str | None = None) -> list[str]:
    """Return a sentence for each part that does not have the package's version or address."""
    known = facts(root)
    version = known["version"]
    chart = yaml.safe_load((root / "helm/sendgrid-automation-exporter/Chart.yaml").read_text())
    image = yaml.safe_load((root / "helm/sendgrid-automation-exporter/values.yaml").read_text())["image"]
    listed = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])[0]["image"]
    changelog = re.search(r"^## \[?(\d+\.\d+\.\d+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    identity = re.search(r"--certificate-identity-regexp '([^']*)'", (root / "docs/releasing.md").read_text())
    written = (
        ("Chart.yaml's version", chart["version"], version),
        ("Chart.yaml's appVersion", chart["appVersion"], version),
        ("Chart.yaml's home", chart["home"], known["homepage"]),
        ("Chart.yaml's artifacthub.io/images", listed, f"{known['image']}:{version}"),
        ("values.yaml's image", f"{image['registry']}/{image['repository']}", known["image"]),
        ("CHANGELOG.md's newest release", changelog and changelog[1], version),
        ("docs/releasing.md's signing identity", identity and identity[1], known["identity"]),
        ("the repository", repository or known["homepage"], known["homepage"]),
        ("the tag", tag or f"v{version}", f"v{version}"),
    )
    return [
        f"{what} is {found}, but pyproject.toml says {wanted}" for what, found, wanted in written if found != wanted
    ]


def _project(root: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return project


def main(arguments: list[str]) -> int:
    """Print the facts, or the disagreements."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release")
    parser.add_argument("--tag", help="the tag that is released; it must be the version with a v before it")
    parser.add_argument("--repository", help="the address of the repository that releases; it must be the project's")
    given = parser.parse_args(arguments)
    wrong = disagreements(tag=given.tag, repository=given.repository)
    for sentence in wrong:
        sys.stderr.write(f"{sentence}\n")
    for name, value in facts().items():
        sys.stdout.write(f"{name}={value}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
