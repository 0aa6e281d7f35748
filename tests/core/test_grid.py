"""Bins and tiles against LSST's output, against the plain twin, and by their laws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ImageError, MaskedImage, MatchConfig
from core.grid import bin_centres, bin_count, bin_edges, measure_grid, measure_tiles
from tests.core import golden, twins
from tests.core.exposures import LAW, configs, pairs, plane
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


@LAW
@given(pairs(), configs())
def test_the_grid_agrees_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> None:
    """Values and errors are the plain loop's within one ulp, counts exactly."""
    image = pair[0].image
    good = np.isfinite(image) & (pair[0].mask == 0)
    found = measure_grid(image, good, config)
    values, errors, counts = twins.grid(np.where(good, image, np.nan).tolist(), config)
    assert golden.ulps(found.values, np.array(values, dtype=np.float32), 1e-3) <= 1
    assert golden.ulps(found.errors, np.array(errors, dtype=np.float32), 1e-3) <= 1
    assert found.counts.tolist() == counts


@LAW
@given(pairs(), configs())
def test_tiles_agree_with_the_twin(
    pair: tuple[MaskedImage, MaskedImage], config: MatchConfig
) -> None:
    """Tiles are the plain loop's, in its order."""
    image = pair[0].image
    good = np.isfinite(image) & (pair[0].mask == 0)
    found = measure_tiles(image, good, config)
    expected = twins.tiles(np.where(good, image, np.nan).tolist(), config)
    ours = np.column_stack([found.x, found.y, found.values, found.errors])
    np.testing.assert_allclose(ours, np.array(expected).reshape(-1, 4), rtol=1e-9, atol=1e-9)


def test_planted_levels_are_found_in_their_bins() -> None:
    """Bins that are constant have that value, no error, and their pixels as count."""
    levels = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = np.kron(levels, np.ones((10, 10), dtype=np.float32))
    found = measure_grid(image, np.ones(image.shape, dtype=bool), MatchConfig(bin_size=10))
    np.testing.assert_array_equal(found.values, levels)
    np.testing.assert_array_equal(found.errors, np.zeros((3, 4)))
    np.testing.assert_array_equal(found.counts, np.full((3, 4), 100))
    assert (found.values.dtype.str, found.counts.dtype.str) == ("<f4", "<i4")


def test_a_bin_without_good_pixels_is_nan() -> None:
    """An empty bin has neither value nor error, and count 0."""
    image = plane(20, 20, 1.0, 2.0).astype(np.float32)
    good = np.ones(image.shape, dtype=bool)
    good[:10, 10:] = False
    found = measure_grid(image, good, MatchConfig(bin_size=10))
    assert np.isnan(found.values).tolist() == [[False, True], [False, False]]
    assert np.isnan(found.errors).tolist() == [[False, True], [False, False]]
    assert found.counts.tolist() == [[100, 0], [100, 100]]


def test_tiles_start_at_the_origin_and_bins_share_the_remainder() -> None:
    """On 25 pixels with bins of 10, tiles are 10, 10 and 5 wide, bins 8, 9 and 8."""
    image = np.ones((25, 25), dtype=np.float32)
    good = np.ones(image.shape, dtype=bool)
    tiles = measure_tiles(image, good, MatchConfig(bin_size=10))
    assert sorted(set(tiles.x.tolist())) == [5.0, 15.0, 22.5]
    assert measure_grid(image, good, MatchConfig(bin_size=10)).counts[0].tolist() == [64, 72, 64]


def test_a_tile_of_one_good_pixel_is_left_out() -> None:
    """A tile counts from two good pixels on; its error has the configured floor."""
    good = np.zeros((10, 20), dtype=bool)
    good[0, 0] = good[3, 12] = good[4, 12] = True
    config = MatchConfig(bin_size=10, grid_stdev_epsilon=0.5)
    tiles = measure_tiles(np.ones(good.shape, dtype=np.float32), good, config)
    assert tiles.x.tolist() == [15.0]
    np.testing.assert_allclose(tiles.errors, [0.5 / np.sqrt(2)])
