"""What is left of the sky, tile by tile."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.grid import bin_edges
from core.kernels.sky import measure_strips
from core.skytiles import (
    Layout,
    SkyTiles,
    block_side,
    measure_sky,
    shifted_edges,
    strips_of_a_block,
)
from ops.skyconstants.planes import warped_noise, white_noise
from tests.core.exposures import LAW
from tests.core.oracle import sky as twin

RNG = np.random.default_rng


def sky_of(seed: int = 0, cells: tuple[int, int] = (5, 6), bin_size: int = 24) -> SkyTiles:
    """Return the tiles of white noise to which nothing was fitted."""
    noise = white_noise(RNG(seed), cells[0] * bin_size, cells[1] * bin_size)
    return measure_sky(noise, cells, bin_size)


@LAW
@given(st.integers(1, 400), st.integers(1, 40))
def test_tiles_are_shifted_by_half_a_cell(length: int, cells: int) -> None:
    """The edges of the tiles are the middles of the cells, rounded down, in whole pixels."""
    cells = min(cells, length)
    edges = shifted_edges(length, cells)
    middles = [(low + high) / 2 for low, high in pairwise(bin_edges(length, cells))]
    assert list(edges) == [math.floor(middle) for middle in middles]


@pytest.mark.parametrize(
    ("bin_size", "side"),
    [(4, 2), (16, 4), (24, 6), (64, 16), (100, 16), (128, 16), (256, 32), (300, 37)],
)
def test_sides_of_blocks(bin_size: int, side: int) -> None:
    """A block is a quarter of a bin but at most 16 pixels, or an eighth of it if that is more."""
    assert block_side(bin_size) == side


@pytest.mark.parametrize(("side", "strips"), [(2, 1), (3, 1), (5, 2), (7, 3), (8, 4), (37, 4)])
def test_strips_have_two_pixels_at_least(side: int, strips: int) -> None:
    """A block is cut into four strips, or into fewer of two pixels and more."""
    assert strips_of_a_block(side) == strips


@LAW
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True), st.integers(2, 19))
def test_strips_cover_the_tiles(edges: list[int], side: int) -> None:
    """Every tile and every block begins with a strip; a block's strips are nearly of one length."""
    layout = Layout.of(sorted(edges), side)
    assert list(layout.strips[layout.first]) == sorted(edges)
    strips = strips_of_a_block(side)
    for tile in range(len(edges) - 1):
        cuts = layout.strips[layout.first[tile] : layout.first[tile + 1] + 1] - sorted(edges)[tile]
        assert set(range(0, cuts[-1], side)) <= set(cuts)
        lengths = np.diff(cuts)
        assert (lengths[:-1] >= side // strips).all()
        assert (lengths[:-1] <= -(-side // strips)).all()
        assert 0 < lengths[-1] <= -(-side // strips)
        assert (layout.owners == tile).sum() == lengths.size


@LAW
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(4, 30),
    st.sampled_from([0.0, 0.3, 0.9]),
)
def test_kernel_and_twin_agree(
    seed: int, cells: tuple[int, int], bin_size: int, gaps: float
) -> None:
    """The kernel sums what numpy sums, counts to the last pixel and sums within rounding."""
    rng = RNG(seed)
    plane = white_noise(rng, cells[0] * bin_size - 1, cells[1] * bin_size + 2)
    plane[rng.random(plane.shape) < gaps] = np.nan
    side = block_side(bin_size)
    layouts = [
        Layout.of(shifted_edges(length, n), side)
        for length, n in zip(plane.shape, cells, strict=True)
    ]
    arguments = (
        plane,
        ((layouts[0].first, layouts[0].strips), (layouts[1].first, layouts[1].strips)),
        (rng.normal(0, 0.2, (cells[0] - 1, cells[1] - 1)), widths_of(rng, cells)),
        np.array([side, strips_of_a_block(side)]),
    )
    expected = twin.measure_strips(*arguments)
    good, blocks, spread, columns, rows = measure_strips(*arguments)
    np.testing.assert_array_equal(good, expected.good)
    np.testing.assert_array_equal(blocks, expected.blocks)
    np.testing.assert_array_equal(columns[0], expected.columns[0])
    np.testing.assert_array_equal(rows[0], expected.rows[0])
    for found, wanted in ((spread, expected.spread), (columns, expected.columns)):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rows, expected.rows, rtol=1e-12, atol=1e-12)


def widths_of(rng: np.random.Generator, cells: tuple[int, int]) -> np.ndarray[tuple[int, int]]:
    """Limits of two and a half sigma, some of them undefined."""
    widths = rng.uniform(2, 3, (cells[0] - 1, cells[1] - 1))
    widths[rng.random(widths.shape) < 0.2] = np.nan
    return widths


def test_white_noise_has_no_kappa() -> None:
    """Of noise that is not correlated, kappa is 1 and a tile's error is sigma / sqrt(n)."""
    kappas = [sky_of(seed).kappa for seed in range(50)]
    assert np.mean(kappas) == pytest.approx(1.0, abs=0.01)
    tiles = sky_of(0)
    np.testing.assert_allclose(tiles.errors, 1 / 24, rtol=0.15)
    assert tiles.count == tiles.offsets.size == 20
    assert tiles.freedom == 15


def test_kappa_sees_correlated_noise() -> None:
    """Of noise warped by Lanczos-3, kappa is what bin means scatter by, at most 6 % less."""
    planes = [warped_noise(RNG(seed), 6 * 64, 6 * 64) for seed in range(20)]
    tiles = [measure_sky(plane, (6, 6), 64) for plane in planes]
    ratios = np.array([found.offsets / found.errors for found in tiles])
    kappa = float(np.mean([found.kappa for found in tiles]))
    assert 0.93 < kappa / ratios.std() < 1.03
    assert kappa > 1.2


def test_outliers_are_clipped() -> None:
    """A bright star in a tile moves neither its mean nor its error by much."""
    plane = white_noise(RNG(1), 96, 96)
    clean = measure_sky(plane, (4, 4), 24)
    plane[40:43, 40:43] = 1000.0
    starry = measure_sky(plane, (4, 4), 24)
    shift = (starry.offsets - clean.offsets) / clean.errors
    assert np.abs(shift).max() < 0.5
    np.testing.assert_allclose(starry.errors, clean.errors, rtol=0.02)


def test_a_tile_needs_a_tenth_of_its_pixels() -> None:
    """A tile counts from a tenth of its pixels on, and none counts without noise."""
    plane = white_noise(RNG(2), 96, 96)
    plane[12:36, 12:36] = np.nan
    plane[12:14, 12:36] = 0.5 + white_noise(RNG(3), 2, 24)
    few = measure_sky(plane, (4, 4), 24)
    assert not few.counting[0, 0]
    assert few.count == 8
    assert np.isnan(few.errors[0, 0])
    plane[14, 12:36] = 0.5
    assert measure_sky(plane, (4, 4), 24).count == 9
    assert measure_sky(np.ones_like(plane), (4, 4), 24).count == 0


def test_tiles_that_do_not_count_are_not_in_the_lines() -> None:
    """The strips of a tile that doesn't count have no weight."""
    plane = white_noise(RNG(2), 96, 96)
    plane[12:36, 12:36] = np.nan
    plane[12, 12:36] = 5.0
    tiles = measure_sky(plane, (4, 4), 24)
    assert (tiles.columns.counts[0, :12] == 0).all()
    assert (tiles.columns.weights[0, :12] == 0).all()
    assert (tiles.columns.means[0, :12] == 0).all()
    assert (tiles.columns.counts[0, 12:] > 0).all()
    assert (tiles.rows.counts[0, :12] == 0).all()


def test_lines_hold_the_means_of_the_plane() -> None:
    """A strip's mean is that of its pixels within the clip, whatever the level of the tile."""
    plane = white_noise(RNG(5), 96, 120) + np.float32(7.0)
    tiles = measure_sky(plane, (4, 5), 24)
    edges = tiles.columns.edges
    strip = plane[12:36, edges[3] : edges[4]].astype(np.float64)
    assert tiles.columns.means[0, 3] == pytest.approx(strip[np.abs(strip - 7) < 3].mean(), abs=0.02)
    strip = plane[edges[3] : edges[4], 12:36].astype(np.float64)
    assert tiles.rows.means[0, 3] == pytest.approx(strip[np.abs(strip - 7) < 3].mean(), abs=0.02)
    assert tiles.columns.means.shape == (3, edges.size - 1)


@pytest.mark.parametrize("cells", [(1, 1), (1, 4), (4, 1)])
def test_one_cell_along_an_axis_leaves_no_tile(cells: tuple[int, int]) -> None:
    """Between the centres of one cell there is nothing."""
    tiles = sky_of(cells=cells)
    assert tiles.count == 0
    assert math.isnan(tiles.kappa)
    assert math.isnan(tiles.freedom)


def test_bins_too_small_for_blocks_have_no_kappa() -> None:
    """Of three pixels a side there are no four blocks, and kappa is not known."""
    tiles = sky_of(bin_size=3)
    assert tiles.count == 20
    assert math.isnan(tiles.kappa)
