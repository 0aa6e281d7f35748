"""Pixels out of their sorted bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.kernels.shuffle import unshuffle


@given(
    count=st.integers(1, 4),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 40)),
    place=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_tiles_are_where_they_belong(
    count: int, shape: tuple[int, int], place: tuple[int, int], seed: int
) -> None:
    """To the bit; what lies beside them is not touched."""
    (tall, wide), (y, x) = shape, place
    tiles = np.random.default_rng(seed).integers(0, 2**32, (count, tall, wide), np.uint32)
    sorted_bytes = tiles.astype(">u4").reshape(count, tall * wide).view(np.uint8)
    parts = sorted_bytes.reshape(count, tall * wide, 4).transpose(0, 2, 1).copy()
    parts.setflags(write=False)
    plane = np.full((y + count * tall + 2, x + wide + 2), 7, np.uint32)
    expected = plane.copy()
    expected[y : y + count * tall, x : x + wide] = tiles.reshape(count * tall, wide)
    unshuffle(parts, plane, place, wide)
    np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("value", [0, 1, 0x01020304, 0x80000000, 2**32 - 1])
def test_the_first_byte_weighs_most(value: int) -> None:
    """The order of bytes is the file's, whatever the processor's is."""
    parts = np.frombuffer(value.to_bytes(4, "big"), np.uint8).reshape(1, 4, 1)
    plane = np.zeros((1, 1), np.uint32)
    unshuffle(parts, plane, (0, 0), 1)
    assert plane[0, 0] == value
