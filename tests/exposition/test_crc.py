import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition import crc

pytestmark = pytest.mark.unit

WORDS = st.integers(0, 2**32 - 1)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_combined_crc_is_the_crc_of_the_whole(first, second):
    combined = crc.combine(zlib.crc32(first), zlib.crc32(second), crc.shift_by(len(second)))

    assert combined == zlib.crc32(first + second)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_shifts_multiply_as_lengths_add(parts):
    shift = crc.ONE
    for part in parts:
        shift = crc.multiply(shift, crc.shift_by(len(part)))

    assert shift == crc.shift_by(sum(map(len, parts)))


@given(WORDS, WORDS, WORDS)
def test_multiplication_is_that_of_a_field(a, b, c):
    assert crc.multiply(a, crc.ONE) == a
    assert crc.multiply(a, b) == crc.multiply(b, a)
    assert crc.multiply(crc.multiply(a, b), c) == crc.multiply(a, crc.multiply(b, c))
    assert crc.multiply(a, b ^ c) == crc.multiply(a, b) ^ crc.multiply(a, c)


def test_lengths_beyond_32_bits_are_counted():
    zeros = 2**33

    # x**(2**32 - 1) is 1 in this field, so x**n depends on n modulo that
    assert crc.shift_by(zeros) == crc.shift_by(zeros % (2**32 - 1))
