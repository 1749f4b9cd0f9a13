import gzip
import io
import zlib

import pytest

from exporter.errors import InvalidResponseError
from exporter.sendgrid.body import LARGEST_BODY, read_body


class Raw(io.BytesIO):
    def read(self, amt=-1, *, decode_content=False):
        assert not decode_content
        return super().read(amt)


def body_of(content: bytes, encoding: str = "") -> bytes:
    return read_body(Raw(content), encoding, "the page")


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_plain_body_is_returned_as_it_is(encoding):
    assert body_of(b"x" * 200_000, encoding) == b"x" * 200_000


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_inflated(encoding):
    assert body_of(gzip.compress(b"text"), encoding) == b"text"


def test_deflate_is_inflated():
    assert body_of(zlib.compress(b"text"), "deflate") == b"text"


def test_largest_body_is_still_taken():
    assert len(body_of(b"x" * LARGEST_BODY)) == LARGEST_BODY
    assert len(body_of(gzip.compress(b"x" * LARGEST_BODY), "gzip")) == LARGEST_BODY


def test_endless_body_is_refused_without_being_held():
    class Endless:
        given = 0

        def read(self, amt, **_):
            self.given += amt
            return b"x" * amt

    raw = Endless()

    with pytest.raises(InvalidResponseError, match="the page: the answer is larger than"):
        read_body(raw, "", "the page")

    assert raw.given <= LARGEST_BODY + 2 * 64 * 1024


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        (gzip.compress(b"x" * (LARGEST_BODY + 1)), "gzip", "cut, or larger"),
        (gzip.compress(b"text")[:-5], "gzip", "cut"),
        (b"", "gzip", "cut"),
        (b"no gzip", "gzip", "cannot be decompressed"),
        (b"text", "br", "not asked for"),
        (gzip.compress(gzip.compress(b"text")), "gzip, gzip", "not asked for"),
    ],
    ids=["bomb", "cut", "empty", "garbage", "unknown", "two"],
)
def test_what_cannot_be_inflated_within_bounds_is_refused(content, encoding, says):
    with pytest.raises(InvalidResponseError, match=says) as refused:
        body_of(content, encoding)

    assert str(refused.value).startswith("the page: ")
