"""What pixels of quantised planes stand for, beside the standard's formulas one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.kernels.quantised import NO_BLANK, as_fluxes, halves, randoms

ZERO = -(2**31) + 2


def plainly(
    pixels: NDArray[np.int32],
    scaling: tuple[float, float],
    special: tuple[int, bool],
    start: int,
) -> NDArray[np.float32]:
    """Return the fluxes of a dithered tile, pixel by pixel."""
    (scale, zero), (blank, around_zero), numbers = scaling, special, randoms()
    at, fluxes = int(float(numbers[start]) * 500), []
    for pixel in pixels.tolist():
        flux = (pixel - float(numbers[at]) + 0.5) * scale + zero
        if around_zero and pixel == ZERO:
            flux = 0.0
        fluxes.append(np.nan if pixel == blank else flux)
        at += 1
        if at == numbers.size:
            start = (start + 1) % numbers.size
            at = int(float(numbers[start]) * 500)
    return np.array(fluxes).astype(np.float32)


def test_the_random_numbers_are_the_standards() -> None:
    """They begin as it says, and the last seed is the one by which it has them checked."""
    numbers = randoms()
    assert numbers.dtype == np.float32
    assert numbers.shape == (10_000,)
    assert numbers[0] == np.float32(16807 / (2**31 - 1))
    assert numbers[-1] == np.float32(1_043_618_065 / (2**31 - 1))
    assert not numbers.flags.writeable


@given(
    size=st.one_of(st.integers(1, 50), st.integers(9_000, 25_000)),
    start=st.sampled_from([0, 1, 4_321, 9_998, 9_999]),
    scaling=st.tuples(st.floats(1e-3, 1e3), st.floats(-1e6, 1e6)),
    around_zero=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_fluxes_are_those_of_the_formula(
    size: int, start: int, scaling: tuple[float, float], around_zero: bool, seed: int
) -> None:
    """To the bit, also where a tile comes to the end of the numbers and begins anew."""
    random = np.random.default_rng(seed)
    pixels = random.integers(-(2**31), 2**31, size).astype(np.int32)
    blank = int(pixels[0])
    pixels[random.integers(0, size, 3)] = blank
    pixels[random.integers(0, size, 3)] = ZERO
    special, fluxes = (blank, around_zero), np.empty(size, np.float32)
    as_fluxes(pixels, scaling, special, (randoms(), start), fluxes)
    expected = plainly(pixels, scaling, special, start)
    assert fluxes.tobytes() == expected.tobytes()


@pytest.mark.parametrize("value", [-(2**31), -1, 0, 1, 2**31 - 1])
def test_without_dithering_a_flux_is_scale_times_pixel_and_zero(value: int) -> None:
    """One half is taken away and added again, which changes no bit."""
    pixels, fluxes = np.full(11_000, value, np.int32), np.empty(11_000, np.float32)
    as_fluxes(pixels, (0.37, 2.5), (NO_BLANK, False), (halves(), 0), fluxes)
    assert set(fluxes.tolist()) == {float(np.float32(value * 0.37 + 2.5))}


def test_a_blank_pixel_is_no_number() -> None:
    """And only that one."""
    pixels, fluxes = np.arange(5, dtype=np.int32), np.empty(5, np.float32)
    as_fluxes(pixels, (1.0, 0.0), (3, False), (halves(), 0), fluxes)
    assert np.isnan(fluxes).tolist() == [False, False, False, True, False]
