import gzip
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition.segment import EMPTY, compress, gzip_chunks, gzip_size, join, run_of, text_chunks

pytestmark = pytest.mark.unit

PARTS = st.lists(st.lists(st.binary(max_size=200), max_size=3), max_size=6)


def whole(run):
    return b"".join(gzip_chunks(run))


@given(PARTS)
@settings(deadline=None)
def test_segments_one_after_the_other_are_one_gzip_stream_of_their_texts(parts):
    run = run_of(compress(pieces) for pieces in parts)
    text = b"".join(piece for pieces in parts for piece in pieces)
    body = whole(run)

    one_member = zlib.decompressobj(31)
    assert one_member.decompress(body) == text
    assert (one_member.eof, one_member.unused_data) == (True, b"")
    assert gzip.decompress(body) == text
    assert b"".join(text_chunks(run)) == text
    assert (run.length, gzip_size(run)) == (len(text), len(body))


@given(st.lists(PARTS, max_size=4))
@settings(deadline=None, max_examples=50)
def test_joined_runs_are_the_run_of_all_segments(groups):
    segments = [[compress(pieces) for pieces in parts] for parts in groups]

    joined = join(run_of(group) for group in segments)

    assert joined == run_of(segment for group in segments for segment in group)


def test_empty_run_is_an_empty_gzip_stream():
    assert gzip.decompress(whole(EMPTY)) == b""
    assert join([]) is EMPTY
    assert run_of([compress([])]) is EMPTY


def test_sound_segment_is_known_from_a_damaged_one():
    segment = compress([b"some text " * 100])
    flipped = bytearray(segment.data)
    flipped[len(flipped) // 2] ^= 0x10

    assert segment.is_sound()
    assert compress([]).is_sound()
    assert not replace(segment, data=bytes(flipped)).is_sound()
    assert not replace(segment, data=segment.data[:-4]).is_sound()
    assert not replace(segment, crc=segment.crc ^ 1).is_sound()
    assert not replace(segment, length=segment.length + 1).is_sound()
    assert not replace(segment, length=segment.length - 1).is_sound()
    assert not replace(segment, length=0).is_sound()


@pytest.mark.parametrize("length", [10**15, -1])
def test_length_that_the_data_cannot_have_is_refused_before_memory_is_asked_for(length):
    assert not replace(compress([b"text"]), length=length).is_sound()


def test_most_compressible_text_is_sound():
    assert compress([bytes(5_000_000)]).is_sound()


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 131_072, 196_608, 500_000])
@pytest.mark.parametrize("byte", [b"a", None], ids=["compresses well", "compresses hardly"])
def test_text_of_any_length_comes_whole_in_bounded_pieces(length, byte):
    text = byte * length if byte else random.Random(length).randbytes(length)

    pieces = list(text_chunks(run_of([compress([text]), compress([b"end\n"])])))

    assert b"".join(pieces) == text + b"end\n"
    assert max(map(len, pieces)) <= 65_536
