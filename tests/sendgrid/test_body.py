import gzip
import io
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import InvalidResponseError
from exporter.sendgrid.wire import LARGEST_BODY, read_body

pytestmark = pytest.mark.unit


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


def raw_deflate(content: bytes, level: int = 6) -> bytes:
    deflater = zlib.compressobj(level, wbits=-15)
    return deflater.compress(content) + deflater.flush()


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000])
def test_deflate_is_inflated_with_and_without_zlibs_head(level, size):
    content = b"text"[:size] * max(size // 4, 1)

    assert body_of(zlib.compress(content, level), "deflate") == content
    assert body_of(raw_deflate(content, level), "deflate") == content
    assert body_of(gzip.compress(content, level), "deflate") == content


def test_deflate_is_recognized_though_its_first_byte_comes_alone():
    class ByteByByte(Raw):
        def read(self, _=-1, **options):
            return super().read(1, **options)

    for packed in (zlib.compress(b"text"), raw_deflate(b"text")):
        assert read_body(ByteByByte(packed), "deflate", "the page") == b"text"


@pytest.mark.parametrize("encoding", ["UTF-8", "none", "identity, identity", "aws-chunked", ",", "binary,"])
def test_word_that_names_no_coding_changes_nothing(encoding):
    assert body_of(b"text", encoding) == b"text"
    assert body_of(gzip.compress(b"text"), f"{encoding}, gzip") == b"text"


def test_codings_are_undone_in_the_reverse_of_their_order():
    assert body_of(zlib.compress(gzip.compress(b"text")), "gzip, deflate") == b"text"
    assert body_of(gzip.compress(gzip.compress(b"text")), "gzip, utf-8, x-gzip") == b"text"


def test_members_of_a_gzip_stream_are_joined():
    members = [gzip.compress(bytes([65 + n]) * 50_000) for n in range(20)]

    assert body_of(b"".join(members), "gzip") == b"".join(bytes([65 + n]) * 50_000 for n in range(20))
    assert body_of(members[0] + bytes(512), "gzip") == b"A" * 50_000
    assert body_of(members[0] + bytes(7) + members[1], "gzip") == b"A" * 50_000 + b"B" * 50_000


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_072])
@pytest.mark.parametrize("padding", [0, 9])
def test_members_that_come_piece_by_piece_are_joined(size, padding):
    """The borders of a member and of what is read or inflated at once may fall together."""
    pieces = iter([gzip.compress(letter * size) + bytes(padding) for letter in (b"A", b"B", b"C")])

    class Pieces:
        def read(self, *_, **__):
            return next(pieces, b"")

    assert read_body(Pieces(), "gzip", "the page") == b"A" * size + b"B" * size + b"C" * size


def test_bytes_after_a_whole_stream_are_passed_over():
    assert body_of(gzip.compress(b"text") + b"garbage", "gzip") == b"text"
    assert body_of(zlib.compress(b"text") + b"garbage", "deflate") == b"text"


@pytest.mark.parametrize("kept", range(1, 30))
def test_stream_that_is_cut_anywhere_is_refused(kept):
    packed = gzip.compress(b"a long text " * 50)
    whole = packed + packed

    with pytest.raises(InvalidResponseError, match="cut"):
        body_of(packed[: -kept % len(packed)], "gzip")
    with pytest.raises(InvalidResponseError, match="cut"):
        body_of(whole[: len(packed) + kept], "gzip")


def test_members_without_content_cannot_keep_the_reader_busy():
    empty = gzip.compress(b"")
    raw = Raw(empty * (LARGEST_BODY // len(empty)))

    assert read_body(raw, "gzip", "the page") == b""
    assert raw.tell() < LARGEST_BODY // 10


@given(st.binary(max_size=300_000), st.integers(1, 9), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
@settings(max_examples=30, deadline=None)
def test_whatever_is_packed_comes_out_again(content, level, encoding):
    packed = gzip.compress(content, level) if "gzip" in encoding else content
    packed = zlib.compress(packed, level) if "deflate" in encoding else packed

    assert body_of(packed, encoding) == content


def test_room_is_asked_for_before_a_piece_is_kept():
    asked = []

    read_body(Raw(gzip.compress(b"x" * 200_000)), "gzip", "the page", reserve=asked.append)

    assert sum(asked) == 200_000
    assert max(asked) <= 64 * 1024


@pytest.mark.parametrize("times", [1, 2, 3])
def test_bomb_within_bombs_is_refused_by_its_first_form_that_is_too_large(times):
    bomb = b"x" * (LARGEST_BODY + 1)
    for _ in range(times):
        bomb = gzip.compress(bomb, 1)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError, match="larger than"):
            body_of(bomb, ", ".join(["gzip"] * times))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2.5 * LARGEST_BODY


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
        (gzip.compress(b"x" * (LARGEST_BODY + 1)), "gzip", "larger than"),
        (gzip.compress(b"text")[:-5], "gzip", "cut"),
        (b"", "gzip", "cut"),
        (b"no gzip", "gzip", "cannot be decompressed"),
        (b"text", "br", "encoded as br, which was not asked for"),
        (b"text", "gzip, zstd", "encoded as zstd"),
        (b"text", ", ".join(["gzip"] * 5), "more than 4 times"),
        (gzip.compress(b"text") + b"\x1fgarbage", "gzip", "cannot be decompressed"),
    ],
    ids=["bomb", "cut", "empty", "garbage", "unknown", "half unknown", "five", "damaged member"],
)
def test_what_cannot_be_inflated_within_bounds_is_refused(content, encoding, says):
    with pytest.raises(InvalidResponseError, match=says) as refused:
        body_of(content, encoding)

    assert str(refused.value).startswith("the page: ")
