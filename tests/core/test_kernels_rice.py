"""Tiles in Rice's code, beside a reader that goes bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.kernels import rice
from core.kernels.compile import Kernel
from core.kernels.rice import as_words, unrice
from tests.core.twins_rice import IN_FULL, plainly_read, written

ANY = st.integers(-(2**31), 2**31 - 1)
_MOST_ZEROS = 200


def read(one: bytes, other: bytes, block: int, count: int) -> tuple[bool, NDArray[np.int32]]:
    """Read two tiles, and return whether that was possible, and the pixels of both."""
    pixels = np.full((2, count), 7, np.int32)
    tiles = as_words(memoryview(one), block), as_words(memoryview(other), block)
    return unrice(tiles, block, (pixels[0], pixels[1])), pixels


@st.composite
def tile(draw: st.DrawFn, block: int, count: int) -> tuple[list[int], bytes]:
    """Return pixels and their code, each block with any number of low bits that makes sense."""
    pixels, lows = [draw(ANY)], list[int]()
    for first in range(0, count, block):
        size = min(block, count - first) - (first == 0)
        low = draw(st.integers(-1, IN_FULL))
        reach = 0 if low < 0 else min(2**31 - 1, _MOST_ZEROS << low)
        steps = ANY if low == IN_FULL else st.integers(-reach // 2, reach // 2)
        for step in draw(st.lists(steps, min_size=size, max_size=size)):
            pixels.append((pixels[-1] + step + 2**31) % 2**32 - 2**31)
        lows.append(low)
    return pixels, written(pixels, block, lows)


@given(data=st.data(), block=st.sampled_from([1, 3, 16, 32]), count=st.integers(1, 80))
@settings(max_examples=150, deadline=None)
def test_what_was_coded_is_read(data: st.DataObject, block: int, count: int) -> None:
    """Whatever blocks two tiles are made of, and whatever their pixels are."""
    (one, packed), (other, packed_too) = (
        data.draw(tile(block, count)),
        data.draw(tile(block, count)),
    )
    could, found = read(packed, packed_too, block, count)
    assert could
    assert found.tolist() == [one, other]


def _as_long_as_a_tile(packed: bytes, block: int, count: int) -> bytes:
    """Return the first bytes, as many as make a tile; all if none do."""
    starts = (packed[:size] for size in range(len(packed)))
    return next((one for one in starts if plainly_read(one, block, count) is not None), packed)


@given(
    packed=st.tuples(st.binary(max_size=60), st.binary(max_size=60)),
    block=st.sampled_from([1, 5, 32]),
    count=st.integers(1, 70),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused_as_bit_by_bit(
    packed: tuple[bytes, bytes], block: int, count: int
) -> None:
    """Two tiles are read if each can be; what the bytes say is what the plain reader says."""
    tiles = packed[0], _as_long_as_a_tile(packed[0], block, count), *packed
    for one, other in pairwise((*tiles, _as_long_as_a_tile(packed[1], block, count), tiles[1])):
        plain = [plainly_read(tile, block, count) for tile in (one, other)]
        could, found = read(one, other, block, count)
        assert could == all(pixels is not None for pixels in plain)
        if could:
            np.testing.assert_array_equal(found, np.array(plain))


@given(data=st.data(), cut=st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_a_tile_that_was_cut_off_is_not_read(data: st.DataObject, cut: int) -> None:
    """Without its last bytes it has too few pixels, beside whatever other."""
    _, packed = data.draw(tile(32, 50))
    assert read(packed, packed, 32, 50)[0]
    short = packed[:-cut]
    assert not read(packed, short, 32, 50)[0]
    assert not read(short, packed, 32, 50)[0]


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Python run the kernels, in which an index that is none raises: machine code reads on."""
    for name, value in vars(rice).items():
        if isinstance(value, Kernel):
            monkeypatch.setattr(rice, name, value.py_func)
    with np.errstate(over="ignore"):
        yield


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("count", [1, 31, 32, 33, 70])
@pytest.mark.parametrize("block", [1, 32, 32767])
@pytest.mark.parametrize("fill", [0, 0x08, 0x55, 0xC0, 0xD0, 0xFF])
def test_nothing_is_read_behind_a_tile(count: int, block: int, fill: int) -> None:
    """However a tile ends, its reader stays within what there is."""
    for size in range(14):
        packed = bytes(size) if fill == 0 else bytes([0, 0, 0, 1, *[fill] * size])
        tile, pixels = rice.as_words(memoryview(packed), block), np.zeros(count, np.int32)
        could = rice.unrice((tile, tile), block, (pixels, pixels.copy()))
        assert could == (plainly_read(packed, block, count) is not None)


@pytest.mark.usefixtures("interpreted")
@given(packed=st.binary(max_size=40), block=st.sampled_from([1, 7, 32]), count=st.integers(1, 40))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_nothing_is_read_behind_any_bytes(packed: bytes, block: int, count: int) -> None:
    """The same of whatever a stranger sends, beside a tile of zeros."""
    tiles = tuple(rice.as_words(memoryview(one), block) for one in (packed, bytes(9)))
    pixels = np.zeros((2, count), np.int32)
    could = rice.unrice((tiles[0], tiles[1]), block, (pixels[0], pixels[1]))
    plain = [plainly_read(one, block, count) for one in (packed, bytes(9))]
    assert could == all(one is not None for one in plain)


def test_bytes_behind_a_tile_are_refused() -> None:
    """It is damage, or a tile that somebody else has to read."""
    packed = written([1, 2, 3], 32, [4])
    assert read(packed, packed, 32, 3)[0]
    assert not read(packed, packed + bytes(1), 32, 3)[0]
    assert not read(packed + bytes(1), packed, 32, 3)[0]


def test_tiles_of_two_sizes_are_refused() -> None:
    """They are read in step, and one would end within the other."""
    packed = written([1, 2, 3], 32, [4])
    tile_of = as_words(memoryview(packed), 32)
    pixels = np.zeros(3, np.int32), np.zeros(2, np.int32)
    assert not unrice((tile_of, tile_of), 32, pixels)


@pytest.mark.parametrize("low", [26, 27, 30])
def test_more_low_bits_than_any_encoder_writes_are_refused(low: int) -> None:
    """It is damage."""
    packed = bytearray(written([5, 5], 32, [-1]) + bytes(40))
    packed[4] = (low + 1) << 3
    assert plainly_read(bytes(packed), 32, 2) is None
    assert not read(bytes(packed), bytes(packed), 32, 2)[0]
