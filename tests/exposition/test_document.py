import gzip

import pytest

from exporter.exposition.catalog import PER_AUTOMATION
from exporter.exposition.document import Frame
from exporter.exposition.segment import EMPTY, compress, run_of
from exporter.exposition.text import OPENMETRICS_END

pytestmark = pytest.mark.unit

OWN = run_of([compress([b"own 1\n"])])
LINES = b"".join(b'automation_link_clicks{url="%d"} 1\n' % number for number in range(30_000))


@pytest.fixture
def frame():
    return Frame()


def families_of(frame, *, openmetrics=False, names=None, segments=20):
    size = len(LINES) // segments + 1
    parts = [compress([LINES[start : start + size]]) for start in range(0, len(LINES), size)]
    return frame.families({"automation_link_clicks": run_of(parts)}, openmetrics=openmetrics, names=names)


@pytest.mark.parametrize("compressed", [False, True])
def test_large_body_comes_in_chunks_of_the_announced_length(frame, compressed):
    document = frame.document(families_of(frame), OWN, openmetrics=False)

    chunks = list(document.chunks(compressed=compressed))

    assert sum(map(len, chunks)) == document.size(compressed=compressed)
    body = gzip.decompress(b"".join(chunks)) if compressed else b"".join(chunks)
    assert LINES in body
    assert body.endswith(b"own 1\n")
    assert compressed or len(chunks) > 5
    assert all(len(chunk) < 300_000 for chunk in chunks)


def test_openmetrics_ends_with_its_mark_after_everything(frame):
    document = frame.document(families_of(frame, openmetrics=True), OWN, openmetrics=True)

    assert b"".join(document.chunks(compressed=False)).endswith(b"own 1\n" + OPENMETRICS_END)


def test_family_without_samples_still_has_its_comments(frame):
    text = b"".join(
        frame.document(frame.families({}, openmetrics=False, names=None), EMPTY, openmetrics=False).chunks(
            compressed=False
        )
    )

    assert text.count(b"# HELP ") == text.count(b"# TYPE ") == len(PER_AUTOMATION)


def test_names_leave_out_the_comments_of_the_others(frame):
    families = families_of(frame, names=frozenset({"automation_info"}))

    text = b"".join(frame.document(families, EMPTY, openmetrics=False).chunks(compressed=False))

    assert text.startswith(b"# HELP automation_info")
    assert text.count(b"# HELP ") == 1
