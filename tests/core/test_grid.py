"""Bins and tiles against LSST's output, against the plain twin, and by their laws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import ImageError, MaskedImage, MatchConfig
from core.difference import measure_difference
from core.grid import Grid, Tiles, bin_centres, bin_count, bin_edges, measure, measure_grid
from tests.core import golden, twins
from tests.core.exposures import LAW, configs, flat, pairs, plane
from tests.shared import shared_path


@pytest.mark.shared
def test_bin_centres_are_lsst_s() -> None:
    """The centres of bins on every length are those of the compiled LSST code."""
    cases = json.loads(shared_path("golden", "u_bin_centres.json").read_text())
    assert cases
    for case in cases:
        assert bin_centres(case["n"], case["nx"]).tolist() == case["xcen"]


@LAW
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_bins_cover_every_pixel_once(length: int, bins: int) -> None:
    """Bins are a partition of the axis and differ by at most one pixel."""
    bins = min(bins, length)
    edges = bin_edges(length, bins)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1], len(sizes)) == (0, length, bins)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1
    assert list(edges) == twins.edges(length, bins)


@LAW
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_there_are_just_enough_bins(length: int, bin_size: int) -> None:
    """So many bins of the nominal size hold the axis, and one fewer would not."""
    bins = bin_count(length, bin_size)
    assert (bins - 1) * bin_size < length <= bins * bin_size


@pytest.mark.parametrize(("length", "bins"), [(3, 4), (3, 0), (0, 1)])
def test_a_bin_without_a_pixel_is_refused(length: int, bins: int) -> None:
    """There are never more bins than pixels, nor none."""
    with pytest.raises(ImageError, match="grid"):
        bin_edges(length, bins)


def measured(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> tuple[NDArray[np.float32], Grid, Tiles]:
    """Return the plane of a pair's difference, its grid and its tiles."""
    scratch = np.empty(pair[0].shape, dtype=np.float32)
    difference = measure_difference(*pair, config, scratch)
    return difference.plane, *measure(difference, config)


def measured_alone(image: NDArray[np.float64], config: MatchConfig) -> tuple[Grid, Tiles]:
    """Return the grid and the tiles of an image against a sky of 0."""
    _, grid, tiles = measured((flat(image), flat(np.zeros_like(image))), config)
    return grid, tiles


@LAW
@given(pairs(), configs())
def test_the_grid_agrees_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> None:
    """Values and errors are the plain loop's within one ulp, counts exactly."""
    difference, found, _ = measured(pair, config)
    values, errors, counts = twins.grid(difference.tolist(), config)
    assert golden.ulps(found.values, np.array(values, dtype=np.float32), 1e-3) <= 1
    assert golden.ulps(found.errors, np.array(errors, dtype=np.float32), 1e-3) <= 1
    assert found.counts.tolist() == counts


@LAW
@given(pairs(), configs())
def test_tiles_agree_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> None:
    """Tiles are the plain loop's, in its order."""
    difference, _, found = measured(pair, config)
    expected = twins.tiles(difference.tolist(), config)
    ours = np.column_stack([found.x, found.y, found.values, found.errors])
    np.testing.assert_allclose(ours, np.array(expected).reshape(-1, 4), rtol=1e-9, atol=1e-9)


@LAW
@given(pairs(), configs())
def test_a_grid_of_the_plane_is_the_grid_of_the_difference(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> None:
    """Measured together with the tiles or by itself, a grid is the same within one ulp."""
    difference, found, _ = measured(pair, config)
    alone = measure_grid(difference, config)
    assert golden.ulps(found.values, alone.values, 1e-3) <= 1
    assert golden.ulps(found.errors, alone.errors, 1e-3) <= 1
    assert found.counts.tolist() == alone.counts.tolist()


def test_the_number_of_bins_can_be_given() -> None:
    """So many bins as are asked for along either axis, whatever the bin size."""
    image = plane(24, 30, 0.0, 1.0).astype(np.float32)
    found = measure_grid(image, MatchConfig(bin_size=7), (4, 3))
    assert found.values.tolist() == [[2.5] * 3, [8.5] * 3, [14.5] * 3, [20.5] * 3]
    with pytest.raises(ImageError, match="grid"):
        measure_grid(image, MatchConfig(), (25, 3))


def test_planted_levels_are_found_in_their_bins() -> None:
    """Bins that are constant have that value, no error, and their pixels as count."""
    levels = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = np.kron(levels, np.ones((10, 10), dtype=np.float32))
    found, _ = measured_alone(image.astype(np.float64), MatchConfig(bin_size=10))
    np.testing.assert_array_equal(found.values, levels)
    np.testing.assert_array_equal(found.errors, np.zeros((3, 4)))
    np.testing.assert_array_equal(found.counts, np.full((3, 4), 100))
    assert (found.values.dtype.str, found.counts.dtype.str) == ("<f4", "<i4")


def test_a_bin_without_good_pixels_is_nan() -> None:
    """An empty bin has neither value nor error, and count 0."""
    image = plane(20, 20, 1.0, 2.0)
    image[:10, 10:] = np.nan
    found, _ = measured_alone(image, MatchConfig(bin_size=10))
    assert np.isnan(found.values).tolist() == [[False, True], [False, False]]
    assert np.isnan(found.errors).tolist() == [[False, True], [False, False]]
    assert found.counts.tolist() == [[100, 0], [100, 100]]


def test_tiles_start_at_the_origin_and_bins_share_the_remainder() -> None:
    """On 25 pixels with bins of 10, tiles are 10, 10 and 5 wide, bins 8, 9 and 8."""
    grid, tiles = measured_alone(np.ones((25, 25)), MatchConfig(bin_size=10))
    assert sorted(set(tiles.x.tolist())) == [5.0, 15.0, 22.5]
    assert grid.counts[0].tolist() == [64, 72, 64]


def test_a_tile_of_one_good_pixel_is_left_out() -> None:
    """A tile counts from two good pixels on; its error has the configured floor."""
    image = np.full((10, 20), np.nan)
    image[0, 0] = image[3, 12] = image[4, 12] = 1.0
    _, tiles = measured_alone(image, MatchConfig(bin_size=10, grid_stdev_epsilon=0.5))
    assert tiles.x.tolist() == [15.0]
    np.testing.assert_allclose(tiles.errors, [0.5 / np.sqrt(2)])
