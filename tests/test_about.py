import platform
from importlib import metadata

import pytest

from exporter.about import DISTRIBUTION, _installed_revision, about

pytestmark = pytest.mark.unit


def test_identity_is_that_of_the_installed_distribution():
    known = about()

    assert known.version == metadata.version(DISTRIBUTION)
    assert known.python_version == platform.python_version()
    assert known.homepage.startswith("https://")
    assert known.summary
    assert known.revision


@pytest.mark.parametrize(
    ("recorded", "revision"),
    [
        (None, ""),
        ("{}", ""),
        ('{"url": "file:///x", "dir_info": {}}', ""),
        ('{"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}', "abc"),
    ],
)
def test_revision_is_the_commit_that_the_installer_recorded(recorded, revision):
    assert _installed_revision(recorded) == revision
