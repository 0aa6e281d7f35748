"""Whole numbers out of Rice's code.

Layout: FITS standard 4.0, section 10.4.1 (RICE_1): the first pixel as it is, then blocks of
differences to the pixel before. A block begins with the number of low bits that its differences
have; each is its high part as so many zeros and a one, then its low bits.

Where a pixel begins is known when the one before was read, so that a processor has little to do at
once: two tiles that have nothing to do with each other take little longer than one. All numbers
are unsigned, as a sign would be looked at for each index.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = ["Packed", "as_words", "unrice"]

_Words = NDArray[np.uint64]
_Pixels = NDArray[np.int32]
_Lane: TypeAlias = tuple[np.uint64, np.uint64]
"""At which bit a tile is read next, and its last pixel."""

_LEADING: Final = np.array([8 - number.bit_length() for number in range(256)], np.uint64)
"""How many zeros a byte begins with."""

_FAR: Final = np.uint64(8)
"""Zeros of a byte in which there is nothing else."""

_IN_FULL: Final = np.uint64(26)
"""What a block begins with whose differences are not coded; a greater number no encoder writes."""

_MOST_BITS: Final = 33
"""Of a pixel that is read where there is nothing any more."""


class Packed(NamedTuple):
    """A tile as `unrice` reads it.

    Attributes
    ----------
    words : `numpy.ndarray`
        uint64, the first byte in the highest bits; behind the tile zeros for a block and more.
    bits : int
        How many the tile has, uint64.
    """

    words: _Words
    bits: np.uint64


def as_words(packed: memoryview, block: int) -> Packed:
    """Return a tile as `unrice` reads it.

    Parameters
    ----------
    packed : memoryview
        Its bytes.
    block : int
        Pixels of a block.
    """
    bits = 8 * len(packed)
    words = np.zeros((bits + _MOST_BITS * block) // 64 + 4, ">u8")
    words.view(np.uint8)[: len(packed)] = packed
    return Packed(words.astype(np.uint64), np.uint64(bits))


@kernel
def unrice(tiles: tuple[Packed, Packed], block: int, pixels: tuple[_Pixels, _Pixels]) -> bool:
    """Read two tiles of as many 4-byte pixels, and tell whether both could be read.

    Parameters
    ----------
    tiles : tuple of Packed
    block : int
        Pixels of a block, as for `as_words`.
    pixels : tuple of `numpy.ndarray`
        int32 ``[pixel]``, C-contiguous; written. What is in them is of no use if the answer is no:
        there are too few bytes, or too many, or they say what no encoder does.
    """
    if pixels[0].size != pixels[1].size:
        return False
    lanes = _first(tiles[0]), _first(tiles[1])
    for first in range(0, pixels[0].size, block):
        parts = pixels[0][first : first + block], pixels[1][first : first + block]
        codes = _code(tiles[0], lanes[0]), _code(tiles[1], lanes[1])
        if max(codes) > _IN_FULL:
            return False
        if min(codes) > 0 and max(codes) < _IN_FULL:
            lanes = _two_coded(tiles, lanes, codes, parts)
        else:
            lanes = (
                _block(tiles[0], lanes[0], codes[0], parts[0]),
                _block(tiles[1], lanes[1], codes[1], parts[1]),
            )
        if lanes[0][0] > tiles[0].bits or lanes[1][0] > tiles[1].bits:
            return False
    left = tiles[0].bits - lanes[0][0], tiles[1].bits - lanes[1][0]
    return bool(max(left) < 8)  # noqa: PLR2004 - less than a byte


@kernel
def _first(tile: Packed) -> _Lane:
    """Read the first pixel."""
    return np.uint64(32), tile.words[0] >> np.uint64(32)


@kernel
def _code(tile: Packed, lane: _Lane) -> np.uint64:
    """Return what a block begins with."""
    return _word(tile, lane[0]) >> np.uint64(59)


@kernel
def _two_coded(
    tiles: tuple[Packed, Packed],
    lanes: tuple[_Lane, _Lane],
    codes: tuple[np.uint64, np.uint64],
    parts: tuple[_Pixels, _Pixels],
) -> tuple[_Lane, _Lane]:
    """Read two coded blocks, as `_block` does; written out, as calls take half as long again."""
    (first, one), (second, other) = lanes
    first, second = first + np.uint64(5), second + np.uint64(5)
    low, second_low = codes[0] - np.uint64(1), codes[1] - np.uint64(1)
    for i in range(parts[0].size):
        word, second_word = _word(tiles[0], first), _word(tiles[1], second)
        high, second_high = _LEADING[word >> np.uint64(56)], _LEADING[second_word >> np.uint64(56)]
        folded, second_folded = (
            _short(word, high, low),
            _short(second_word, second_high, second_low),
        )
        after, second_after = first + high + codes[0], second + second_high + codes[1]
        if high == _FAR:
            after, folded = _long(tiles[0], first, low)
        if second_high == _FAR:
            second_after, second_folded = _long(tiles[1], second, second_low)
        first, second = after, second_after
        one += _unfolded(folded)
        other += _unfolded(second_folded)
        parts[0][i], parts[1][i] = np.int32(np.uint32(one)), np.int32(np.uint32(other))
    return (first, one), (second, other)


@kernel
def _block(tile: Packed, lane: _Lane, code: np.uint64, part: _Pixels) -> _Lane:
    """Read a block of any kind."""
    bit, last = lane
    bit += np.uint64(5)
    for i in range(part.size):
        if code == _IN_FULL:
            last += _unfolded(_word(tile, bit) >> np.uint64(32))
            bit += np.uint64(32)
        elif code > 0:
            bit, difference = _difference(tile, bit, code - np.uint64(1))
            last += difference
        part[i] = np.int32(np.uint32(last))
    return bit, last


@kernel
def _difference(tile: Packed, bit: np.uint64, low: np.uint64) -> _Lane:
    """Return where the next difference begins, and this one."""
    word = _word(tile, bit)
    high = _LEADING[word >> np.uint64(56)]
    if high == _FAR:
        bit, folded = _long(tile, bit, low)
    else:
        bit, folded = bit + high + low + np.uint64(1), _short(word, high, low)
    return bit, _unfolded(folded)


@kernel
def _short(word: np.uint64, high: np.uint64, low: np.uint64) -> np.uint64:
    """Return a code whose high part is known."""
    return high << low | word << (high + np.uint64(1)) >> np.uint64(1) >> (np.uint64(63) - low)


@kernel
def _long(tile: Packed, bit: np.uint64, low: np.uint64) -> _Lane:
    """Return where the next code begins, and this one, whose high part is of any size."""
    high = np.uint64(0)
    while _word(tile, bit) >> np.uint64(56) == 0 and bit < tile.bits:
        bit, high = bit + np.uint64(8), high + np.uint64(8)
    lead = _LEADING[_word(tile, bit) >> np.uint64(56)]
    bit += lead + np.uint64(1)
    rest = _word(tile, bit) >> np.uint64(1) >> (np.uint64(63) - low)
    return bit + low, ((high + lead) << low | rest) & np.uint64(0xFFFFFFFF)


@kernel
def _unfolded(folded: np.uint64) -> np.uint64:
    """Return 0, -1, 1, -2, 2 and so on for 0, 1, 2, 3, 4."""
    return folded >> np.uint64(1) ^ (np.uint64(0) - (folded & np.uint64(1)))


@kernel
def _word(tile: Packed, bit: np.uint64) -> np.uint64:
    """Return the next 64 bits."""
    at, shift = bit >> np.uint64(6), bit & np.uint64(63)
    here: np.uint64 = tile.words[at]
    after: np.uint64 = tile.words[at + np.uint64(1)]
    return here << shift | after >> np.uint64(1) >> (np.uint64(63) - shift)
