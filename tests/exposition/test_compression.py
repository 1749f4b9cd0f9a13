import gzip
import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zlib_ng import zlib_ng

from exporter.exposition import EMPTY, compress, gzip_chunks, gzip_size, join, text_chunks

pytestmark = pytest.mark.unit

PARTS = st.lists(st.lists(st.binary(max_size=200), max_size=3), max_size=6)


def whole(body):
    return b"".join(gzip_chunks(body))


@given(PARTS)
@settings(deadline=None)
def test_chunks_one_after_the_other_are_one_gzip_stream_of_their_texts(parts):
    joined = join(compress(pieces) for pieces in parts)
    text = b"".join(piece for pieces in parts for piece in pieces)
    body = whole(joined)

    one_member = zlib.decompressobj(31)
    assert one_member.decompress(body) == text
    assert (one_member.eof, one_member.unused_data) == (True, b"")
    assert gzip.decompress(body) == text
    assert b"".join(text_chunks(joined)) == text
    assert (joined.length, gzip_size(joined)) == (len(text), len(body))


@given(st.lists(PARTS, max_size=4))
@settings(deadline=None, max_examples=50)
def test_joining_in_groups_is_joining_all(groups):
    compressed = [[compress(pieces) for pieces in parts] for parts in groups]

    joined = join(join(group) for group in compressed)

    assert joined == join(part for group in compressed for part in group)


def test_texts_of_more_than_4_gigabytes_are_combined_rightly():
    """x**(2**32 - 1) is 1 in the field of the CRC, so that zeros count modulo that many bytes' bits."""
    whole = zlib_ng.crc32_combine(zlib.crc32(b"text"), 0, 2**33)

    assert whole == zlib_ng.crc32_combine(zlib.crc32(b"text"), 0, 2**33 % (2**32 - 1))
    assert whole != zlib_ng.crc32_combine(zlib.crc32(b"text"), 0, 0)


def test_empty_text_is_an_empty_gzip_stream():
    assert gzip.decompress(whole(EMPTY)) == b""
    assert join([]) is EMPTY
    assert join([compress([])]) is EMPTY


def test_sound_data_is_known_from_a_damaged_one():
    whole_text = compress([b"some text " * 100])
    flipped = bytearray(whole_text.chunks[0])
    flipped[len(flipped) // 2] ^= 0x10

    assert whole_text.is_sound()
    assert compress([]).is_sound()
    assert not replace(whole_text, chunks=(bytes(flipped),)).is_sound()
    assert not replace(whole_text, chunks=(whole_text.chunks[0][:-4],)).is_sound()
    assert not replace(whole_text, crc=whole_text.crc ^ 1).is_sound()
    assert not replace(whole_text, length=whole_text.length + 1).is_sound()
    assert not replace(whole_text, length=whole_text.length - 1).is_sound()
    assert not replace(whole_text, length=0).is_sound()


@pytest.mark.parametrize("length", [10**15, -1])
def test_length_that_the_data_cannot_have_is_refused_before_memory_is_asked_for(length):
    assert not replace(compress([b"text"]), length=length).is_sound()


def test_most_compressible_text_is_sound():
    assert compress([bytes(5_000_000)]).is_sound()


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 131_072, 196_608, 500_000])
@pytest.mark.parametrize("byte", [b"a", None], ids=["compresses well", "compresses hardly"])
def test_text_of_any_length_comes_whole_in_bounded_pieces(length, byte):
    text = byte * length if byte else random.Random(length).randbytes(length)

    pieces = list(text_chunks(join([compress([text]), compress([b"end\n"])])))

    assert b"".join(pieces) == text + b"end\n"
    assert max(map(len, pieces)) <= 65_536
