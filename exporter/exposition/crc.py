"""Combining the CRC-32 of parts into the CRC-32 of the whole, as zlib's `crc32_combine` does.

A CRC is a polynomial over GF(2) modulo P, its bits in reflected order: bit 31 stands for x**0. Appending n bytes
multiplies the CRC of what stands before by x**(8 n) modulo P; that factor, the part's *shift*, is what a part carries.
"""

import zlib
from functools import cache
from typing import Final

ONE: Final = 1 << 31
"""x**0: the shift of an empty part."""

_MASK: Final = 0xFFFFFFFF
_LOW_BITS: Final = int.from_bytes(b"\x01" * 32, "big")
_PARITY: Final = b"01" * 128
"""Translates a byte to the digit of its lowest bit."""


def multiply(a: int, b: int) -> int:
    """Return the product of two polynomials modulo P.

    Each bit gets a byte of its own, so that one product of integers adds them up without carries from bit to bit; the
    lowest bit of each byte is the product's. zlib then reduces its upper half: it is a CRC of zeros. In Python this
    takes a quarter of the time of a loop over the bits.
    """
    spread_a = int.from_bytes(f"{a:b}".encode(), "big") & _LOW_BITS
    spread_b = int.from_bytes(f"{b:b}".encode(), "big") & _LOW_BITS
    product = int((spread_a * spread_b).to_bytes(63, "big").translate(_PARITY), 2)
    return (product >> 31) ^ _MASK ^ zlib.crc32(bytes(4), ((product & 0x7FFFFFFF) << 1) ^ _MASK)


def shift_by(length: int) -> int:
    """Return x**(8 * length) modulo P."""
    shift, power = ONE, 0
    while length:
        if length & 1:
            shift = multiply(shift, _square_power(power))
        length >>= 1
        power += 1
    return shift


def combine(first: int, second: int, second_shift: int) -> int:
    """Return the CRC of two parts one after the other."""
    return multiply(second_shift, first) ^ second


@cache
def _square_power(power: int) -> int:
    """Return x**(8 * 2**power) modulo P."""
    if power == 0:
        return ONE >> 8
    return multiply(_square_power(power - 1), _square_power(power - 1))
