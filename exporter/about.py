"""What the installed package says of itself: version, revision, addresses."""

import json
import platform
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Final

DISTRIBUTION: Final = "sendgrid-automation-exporter"


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """The exporter's identity, as `sendgrid_exporter_build_info` and the landing page show it."""

    version: str
    revision: str
    """The commit it was built from; `unknown` where the installation does not say."""
    python_version: str
    summary: str
    homepage: str
    """The project's address; everything that links to its documentation derives from it."""


def about() -> ProgramInfo:
    """Read the identity from the installed distribution's metadata."""
    distribution = metadata.distribution(DISTRIBUTION)
    fields = distribution.metadata  # parsed each time that it is asked for
    urls = dict(line.split(", ", 1) for line in fields.get_all("Project-URL") or [])
    return ProgramInfo(
        version=fields["Version"],
        revision=_baked_revision() or _installed_revision(distribution.read_text("direct_url.json")) or "unknown",
        python_version=platform.python_version(),
        summary=fields["Summary"] or "",
        homepage=urls.get("Homepage", ""),
    )


def _baked_revision() -> str:
    """Return the content of `revision.txt`, which an image build writes into the package."""
    file = resources.files("exporter").joinpath("revision.txt")
    return file.read_text("utf-8").strip() if file.is_file() else ""


def _installed_revision(direct_url: str | None) -> str:
    """Return the commit that PEP 610 records when the package was installed from a repository."""
    recorded = json.loads(direct_url) if direct_url else {}
    commit = recorded.get("vcs_info", {}).get("commit_id", "")
    return str(commit)
