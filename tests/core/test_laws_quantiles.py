"""Quantiles and clipping of cells large enough for a histogram, on anything float32 can hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.statistics import Clip, cell_quantiles, clipped_moments
from tests.core import twins
from tests.core.exposures import LAW

FRACTIONS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
LEVELS = [0.0, -0.0, 1e-45, 1e-40, -17.0, 16777217.0, 1e20, 1e30, -3e36, 3.4e38]
KINDS = ["normal", "whole", "wide", "Cauchy", "most alike", "subnormal", "two ends", "one far"]


def cell(seed: int, kind: str) -> NDArray[np.float32]:
    """Return 130 - 3600 pixels, some of them not accepted."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(10, 60)), int(rng.integers(13, 60)))
    normal = rng.normal(0, 1, shape)
    made = {
        "normal": normal,
        "whole": np.round(normal),
        "wide": np.exp(15 * normal),
        "Cauchy": np.clip(1e30 * rng.standard_cauchy(shape), -3e38, 3e38),
        "most alike": np.where(rng.random(shape) < 0.6, 5.0, normal),
        "subnormal": 1e-42 * normal,
        "two ends": np.where(normal > 0, 3.4e38, -3.4e38),
        "one far": np.where(rng.random(shape) < 0.999, normal, 1e38),
    }[kind]
    made[rng.random(shape) < rng.choice([0.0, 0.3])] = np.nan
    return np.ascontiguousarray(made, dtype=np.float32)


def check(pixels: NDArray[np.float32]) -> None:
    """Require the quantiles of the sorted pixels, to the bit."""
    edges = (0, pixels.shape[0]), (0, pixels.shape[1])
    found = cell_quantiles(pixels, *edges, FRACTIONS)[:, 0, 0].tolist()
    accepted = pixels[np.isfinite(pixels)].tolist()
    np.testing.assert_equal(found, [twins.quantile(accepted, f) + 0.0 for f in FRACTIONS])


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(st.integers(0, 10_000))
def test_quantiles_are_the_sorted_pixels_to_the_bit(kind: str, seed: int) -> None:
    """Whatever the pixels, a quantile lies between two of them as they are sorted."""
    check(cell(seed, kind))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("side", [12, 20, 70])
def test_equal_pixels_are_their_own_quantiles(side: int, level: float) -> None:
    """So it is where all pixels are equal, at either end of float32."""
    check(np.full((side, side), level, dtype=np.float32))


@pytest.mark.parametrize("kind", ["normal", "most alike", "one far"])
@LAW
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 5))
def test_clipping_is_the_twin_s(kind: str, seed: int, sigma: int, iterations: int) -> None:
    """The pixels that clipping leaves are as many as the plain loop's, their moments the same."""
    pixels = cell(seed, kind)
    edges = (0, pixels.shape[0]), (0, pixels.shape[1])
    found = clipped_moments(pixels, *edges, Clip(float(sigma), iterations)).moments
    accepted = pixels[np.isfinite(pixels)].tolist()
    count, mean, variance = twins.clipped_moments(accepted, sigma, iterations)
    assert found.counts[0, 0] == count
    ours = [found.means[0, 0], found.variances[0, 0]]
    np.testing.assert_allclose(ours, [mean, variance], rtol=1e-9, atol=1e-12)
