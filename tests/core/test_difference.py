"""The difference of two exposures and its figures, against the numpy twin, however planes come."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import GridStatistic, MaskedImage, MatchConfig
from core.bins import bin_count, bin_edges, tile_edges
from core.difference import (
    Difference,
    Residue,
    diff_im_var,
    exposure_moments,
    measure_difference,
    subtract,
)
from core.grid import measure
from core.statistics import Clip, cell_moments
from tests.core.exposures import LAW, flat, noisy, pairs
from tests.core.oracle import cells, planes

SIZES = st.sampled_from([3, 16, 63, 64, 70, 100, 129, 300])


def large_pair(seed: int, height: int, width: int) -> tuple[MaskedImage, MaskedImage]:
    """Return two exposures with masked and missing pixels."""
    return noisy(seed, height, width), noisy(seed + 1, height, width)


def measured(pair: tuple[MaskedImage, MaskedImage], config: MatchConfig) -> Difference:
    """Return the difference of a pair in memory of its own."""
    return measure_difference(*pair, config, np.empty(pair[0].shape, dtype=np.float32))


def variance(pair: tuple[MaskedImage, MaskedImage], config: MatchConfig) -> float:
    """Return the clipped variance of a pair's difference."""
    return diff_im_var(*pair, config, np.empty(pair[0].shape, dtype=np.float32))


def both_edges(length: int, bin_size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the edges of the bins and of the tiles."""
    return bin_edges(length, bin_count(length, bin_size)), tile_edges(length, bin_size)


@LAW
@given(pairs(), SIZES)
def test_the_difference_is_numpys_to_the_bit(
    pair: tuple[MaskedImage, MaskedImage], bin_size: int
) -> None:
    """Reference - science in float32, NaN where either is flagged or the difference not finite."""
    config = MatchConfig(bin_size=bin_size)
    expected = planes.combined(*pair, config, "image")
    np.testing.assert_array_equal(measured(pair, config).plane, expected)


@LAW
@given(st.integers(0, 1000), SIZES)
def test_one_pass_feeds_both_tilings(seed: int, bin_size: int) -> None:
    """Moments of bins and of tiles from the joint pass are those of each cell by itself."""
    pair = large_pair(seed, 275, 301)
    difference = measured(pair, MatchConfig(bin_size=bin_size))
    for y_edges, x_edges in zip(both_edges(275, bin_size), both_edges(301, bin_size), strict=True):
        found = difference.moments(y_edges, x_edges)
        alone = cell_moments(difference.plane, y_edges, x_edges)
        np.testing.assert_array_equal(found.counts, alone.counts)
        np.testing.assert_allclose(found.means, alone.means, rtol=1e-14, atol=1e-13)
        np.testing.assert_allclose(found.variances, alone.variances, rtol=1e-12)
        for j, (bottom, top) in enumerate(pairwise(y_edges)):
            count, mean, spread = planes.accepted(
                difference.plane, (bottom, top, x_edges[0], x_edges[1])
            )
            assert found.counts[j, 0] == count
            np.testing.assert_allclose(found.means[j, 0], mean, rtol=1e-14, atol=1e-13)
            np.testing.assert_allclose(found.variances[j, 0], spread, rtol=1e-12)


def test_cells_that_are_not_of_the_bands_are_measured_anew() -> None:
    """Any edges can be asked for, whatever the bin size that the difference was made with."""
    difference = measured(large_pair(5, 200, 150), MatchConfig(bin_size=100))
    y_edges, x_edges = (0, 33, 171, 200), (7, 50, 150)
    found = difference.moments(y_edges, x_edges)
    alone = cell_moments(difference.plane, y_edges, x_edges)
    assert found.means.tobytes() == alone.means.tobytes()
    assert found.variances.tobytes() == alone.variances.tobytes()


@pytest.mark.parametrize("bin_size", [8, 70])
def test_flat_bins_are_exact(bin_size: int) -> None:
    """Bins and tiles of equal pixels have that value, and exactly no variance."""
    levels = flat(np.full((150, 150), 0.1)), flat(np.full((150, 150), 1e5))
    difference = measured(levels, MatchConfig(bin_size=bin_size))
    for edges in both_edges(150, bin_size):
        found = difference.moments(edges, edges)
        assert set(found.means.ravel().tolist()) == {float(np.float32(0.1) - np.float32(1e5))}
        assert set(found.variances.ravel().tolist()) == {0.0}


@LAW
@given(pairs(), st.integers(1, 4), st.integers(1, 4))
def test_the_variance_agrees_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage], sigma: int, passes: int
) -> None:
    """The clipped mean of the sum of variances, NaN in an image or not."""
    config = MatchConfig(num_sigma_clip=sigma, num_iter=passes)
    pixels = planes.combined(*pair, config, "variance")
    (_, expected, _), _ = cells.clipped(pixels[~np.isnan(pixels)], Clip(sigma, passes))
    np.testing.assert_allclose(variance(pair, config), expected, rtol=1e-12)


@LAW
@given(pairs())
def test_moments_of_an_exposure_agree_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage],
) -> None:
    """Count, mean and variance of the accepted pixels; the variance plane is no matter."""
    config = MatchConfig()
    found = exposure_moments(pair[0], config)
    image = planes.plane_of(pair[0], config)
    count, mean, spread = planes.accepted(image, (0, image.shape[0], 0, image.shape[1]))
    assert found.counts.tolist() == [[count]]
    np.testing.assert_allclose(found.means.item(), mean, rtol=1e-14)
    np.testing.assert_allclose(found.variances.item(), spread, rtol=1e-12)


def test_an_exposure_of_many_bands_is_one_sample() -> None:
    """Bands of rows do not show in the moments of an exposure higher than any."""
    exposure = noisy(3, 700, 33)
    found = exposure_moments(exposure, MatchConfig())
    count, mean, spread = planes.accepted(planes.plane_of(exposure, MatchConfig()), (0, 700, 0, 33))
    assert found.counts.item() == count
    assert found.means.item() == pytest.approx(mean, rel=1e-14)
    assert found.variances.item() == pytest.approx(spread, rel=1e-12)


# --- planes as they come


def strided(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the same plane with other pixels between its own."""
    wide = np.zeros((plane.shape[0] * 2, plane.shape[1] * 3), plane.dtype)
    wide[::2, ::3] = plane
    return wide[::2, ::3]


def turned(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the same plane, column after column in memory."""
    return np.asfortranarray(plane)


def locked(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the same plane, which may not be written to."""
    copy = plane.copy()
    copy.flags.writeable = False
    return copy


def skewed(plane: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the same plane at an odd address."""
    memory = np.zeros(plane.nbytes + 1, np.uint8)
    odd = memory[1:].view(plane.dtype).reshape(plane.shape)
    odd[...] = plane
    assert not odd.flags.aligned
    return odd


def figures_of(pair: tuple[MaskedImage, MaskedImage], config: MatchConfig) -> list[bytes]:
    """Return everything that is measured of a pair, as bytes."""
    difference = measured(pair, config)
    grid, tiles = measure(difference, config)
    moments = exposure_moments(pair[0], config)
    figures = [difference.plane, grid.values, grid.errors, grid.counts, tiles.values, tiles.errors]
    figures += [moments.means, moments.variances, np.array(variance(pair, config))]
    return [np.ascontiguousarray(figure).tobytes() for figure in figures]


@pytest.mark.parametrize("made", [strided, turned, locked, skewed])
@pytest.mark.parametrize("statistic", list(GridStatistic))
def test_only_the_values_of_planes_matter(made: object, statistic: GridStatistic) -> None:
    """Planes that are scattered, turned, read-only or misaligned give the same bits."""
    pair = large_pair(2, 170, 140)
    config = MatchConfig(bin_size=64, grid_statistic=statistic)
    other = tuple(
        replace(one, **{name: made(getattr(one, name)) for name in ("image", "mask", "variance")})  # type: ignore[operator]  # one of the four
        for one in pair
    )
    assert figures_of((other[0], other[1]), config) == figures_of(pair, config)


def test_planes_on_disk_are_read_only(tmp_path: Path) -> None:
    """A memory map that must not be written to gives the same bits."""
    pair = large_pair(6, 150, 140)
    config = MatchConfig(bin_size=70)
    np.save(tmp_path / "image.npy", pair[0].image)
    mapped = replace(pair[0], image=np.load(tmp_path / "image.npy", mmap_mode="r"))
    assert figures_of((mapped, pair[1]), config) == figures_of(pair, config)


def test_each_exposure_has_bits_of_its_own() -> None:
    """Planes are combined by name: bit 31 of one mask may be bit 0 of the other."""
    image = np.zeros((4, 5))
    masks = np.zeros((2, 4, 5), dtype=np.int32)
    masks[0, 1, 2], masks[1, 3, 4] = -(2**31), 1
    first = flat(image, masks[0], planes={"CR": 31, "EDGE": 0})
    second = flat(image, masks[1], planes={"CR": 0, "EDGE": 31})
    found = measured((first, second), MatchConfig(bin_size=2)).plane
    assert np.argwhere(np.isnan(found)).tolist() == [[1, 2], [3, 4]]


# --- what a model leaves


def test_residues_add_up() -> None:
    """Rows taken one after the other leave what all rows leave at once."""
    rng = np.random.default_rng(9)
    plane = rng.normal(0, 3, (20, 30)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.3] = np.nan
    model = rng.normal(0, 1, plane.shape).astype(np.float32)
    model[2, 3] = np.inf
    whole, parts = plane.copy(), plane.copy()
    expected = subtract(whole, model)
    found = sum((subtract(parts[i : i + 7], model[i : i + 7]) for i in range(0, 20, 7)), Residue())
    np.testing.assert_array_equal(parts, whole)
    assert (found.count, found.overflows) == (expected.count, expected.overflows)
    assert found.overflows == 1
    assert found.mean_square == pytest.approx(expected.mean_square, rel=1e-14)


@LAW
@given(st.integers(0, 1000))
def test_the_mean_square_is_that_of_the_moments(seed: int) -> None:
    """(n - 1) / n times the variance plus the mean squared (MATCHING.md section 2)."""
    plane = np.random.default_rng(seed).normal(3, 1, (6, 50)).astype(np.float32)
    residue = subtract(plane.copy(), np.zeros_like(plane))
    moments = cell_moments(plane, (0, 6), (0, 50))
    assert residue.mean_square == pytest.approx(moments.mean_squares.item(), rel=1e-13)


def test_too_few_pixels_have_no_mean_square() -> None:
    """One pixel has no variance and so, as LSST computes it, no mean square."""
    assert math.isnan(Residue(1, 4.0, 0).mean_square)
    assert math.isnan(Residue().mean_square)
    assert Residue(2, 8.0, 0).mean_square == 4.0


def test_what_overflows_is_not_accepted() -> None:
    """Differences and residuals beyond float32 are NaN in the plane and in no sum."""
    big = np.full((1, 3), 3e38, dtype=np.float32)
    big[0, 1] = 1.0
    pair = flat(big), flat(-big)
    assert np.isnan(measured(pair, MatchConfig(bin_size=1)).plane).tolist() == [[True, False, True]]
    residue = subtract(big, np.full((1, 3), -3e38, dtype=np.float32))
    assert np.isnan(big).tolist() == [[True, False, True]]
    assert (residue.count, residue.overflows) == (1, 0)
