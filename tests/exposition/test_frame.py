import gzip

import pytest

from exporter.exposition import (
    EMPTY,
    OPENMETRICS_END,
    PER_AUTOMATION,
    Frame,
    compress,
    gzip_chunks,
    gzip_size,
    join,
    text_chunks,
)

pytestmark = pytest.mark.unit

OWN = compress([b"own 1\n"])
LINES = b"".join(b'automation_link_clicks{url="%d"} 1\n' % number for number in range(30_000))


@pytest.fixture
def frame():
    return Frame()


def families_of(frame, *, openmetrics=False, names=None, chunks=20):
    size = len(LINES) // chunks + 1
    parts = [compress([LINES[start : start + size]]) for start in range(0, len(LINES), size)]
    return frame.families({"automation_link_clicks": join(parts)}, openmetrics=openmetrics, names=names)


@pytest.mark.parametrize("compressed", [False, True])
def test_large_body_comes_in_chunks_of_the_announced_length(frame, compressed):
    body = frame.body(families_of(frame), OWN, openmetrics=False)

    chunks = list(gzip_chunks(body) if compressed else text_chunks(body))

    assert sum(map(len, chunks)) == (gzip_size(body) if compressed else body.length)
    text = gzip.decompress(b"".join(chunks)) if compressed else b"".join(chunks)
    assert LINES in text
    assert text.endswith(b"own 1\n")
    assert compressed or len(chunks) > 5
    assert all(len(chunk) < 300_000 for chunk in chunks)


def test_openmetrics_ends_with_its_mark_after_everything(frame):
    body = frame.body(families_of(frame, openmetrics=True), OWN, openmetrics=True)

    assert b"".join(text_chunks(body)).endswith(b"own 1\n" + OPENMETRICS_END)


def test_family_without_samples_still_has_its_comments(frame):
    body = frame.body(frame.families({}, openmetrics=False, names=None), EMPTY, openmetrics=False)

    text = b"".join(text_chunks(body))

    assert text.count(b"# HELP ") == text.count(b"# TYPE ") == len(PER_AUTOMATION)


def test_names_leave_out_the_comments_of_the_others(frame):
    families = families_of(frame, names=frozenset({"automation_info"}))

    text = b"".join(text_chunks(frame.body(families, EMPTY, openmetrics=False)))

    assert text.startswith(b"# HELP automation_info")
    assert text.count(b"# HELP ") == 1
