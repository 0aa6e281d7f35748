"""Steps along lines of tiles: found where they are planted, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.skysteps import FAR, Steps, fit_steps, significance
from core.skytiles import SkyTiles, measure_sky
from ops.skyconstants.planes import white_noise
from tests.core.exposures import LAW
from tests.core.oracle.sky import fitted_step

RNG = np.random.default_rng
BIN = 32
CELLS = 9
SIDE = BIN * CELLS


def tiles_of(sky: NDArray[np.floating], seed: int = 0) -> SkyTiles:
    """Return the tiles of a sky with white noise of variance 1."""
    plane = white_noise(RNG(seed), *sky.shape) + sky.astype(np.float32)
    return measure_sky(plane, (CELLS, CELLS), BIN)


def along_x(tiles: SkyTiles) -> Steps:
    """Return the steps from one column of pixels to the next."""
    return fit_steps(tiles.columns, tiles.y_edges, BIN / 2)


def along_y(tiles: SkyTiles) -> Steps:
    """Return the steps from one row of pixels to the next."""
    return fit_steps(tiles.rows, tiles.x_edges, BIN / 2)


def step_at(place: int, height: float) -> NDArray[np.float64]:
    """Return a sky that is higher from a column on."""
    x = np.broadcast_to(np.arange(SIDE), (SIDE, SIDE))
    return np.where(x >= place, height, 0.0)


@LAW
@given(st.integers(0, 1000), st.integers(0, 7), st.integers(20, 100))
def test_the_fit_is_that_of_least_squares(seed: int, line: int, at: int) -> None:
    """Running sums give the step that a plain fit of level, slope and step gives."""
    rng = RNG(seed)
    plane = white_noise(rng, SIDE, SIDE)
    plane[rng.random(plane.shape) < 0.2] = np.nan
    plane[:, 60:110] *= 3
    tiles = measure_sky(plane, (CELLS, CELLS), BIN)
    steps = along_x(tiles)
    profile = tiles.columns
    expected = fitted_step(
        profile.edges, profile.means[line], profile.weights[line], int(steps.places[at]), BIN / 2
    )
    assert (steps.heights[line, at], steps.errors[line, at]) == pytest.approx(expected, rel=1e-9)


def test_heights_are_those_planted() -> None:
    """A step's height is found where it is, whatever gradient it stands on, within its errors."""
    slope = 0.02 * np.arange(SIDE)
    steps = along_x(tiles_of(step_at(140, 2.0) + slope))
    at = int(np.searchsorted(steps.places, 140))
    assert steps.places[at] == 140
    pulls = (steps.heights[:, at] - 2.0) / steps.errors[:, at]
    assert np.abs(pulls).max() < 4
    assert (steps.errors[:, at] < 0.2).all()


def test_errors_are_those_of_the_noise() -> None:
    """Over noise alone, heights scatter by their errors."""
    pulls = []
    for seed in range(10):
        steps = along_x(tiles_of(np.zeros((SIDE, SIDE)), seed))
        pulls.append(steps.heights / steps.errors)
    assert np.nanstd(pulls) == pytest.approx(1.0, abs=0.05)


def test_a_place_needs_pixels_on_both_sides() -> None:
    """Nothing is said where a quarter of the pixels is not there on one of the sides."""
    sky = np.zeros((SIDE, SIDE))
    sky[:, 100:130] = np.nan
    steps = along_x(tiles_of(sky))
    blind = np.logical_and.reduce(np.isnan(steps.heights))
    places = steps.places[blind]
    assert blind.any()
    assert ((places < 16 + BIN / 2) | (places > SIDE - 16 - BIN / 2) | (places > 80)).all()
    assert blind[np.searchsorted(steps.places, 116)]
    assert not np.isnan(steps.heights[:, np.searchsorted(steps.places, 80)]).any()


def test_noise_has_no_step() -> None:
    """In 100 images of noise the most marked step stays under the limit."""
    found = [
        max(significance(steps(tiles), tiles.kappa) for steps in (along_x, along_y))
        for tiles in (tiles_of(np.zeros((SIDE, SIDE)), seed) for seed in range(100))
    ]
    assert max(found) < FAR
    assert 2 < np.median(found) < 4


@pytest.mark.parametrize("place", [128, 135, 144, 201])
def test_a_step_is_found(place: int) -> None:
    """A step of 20 errors of a bin is found on the edge of a cell or off it, and in x alone."""
    tiles = tiles_of(step_at(place, 20 / BIN))
    assert significance(along_x(tiles), tiles.kappa) > FAR
    assert significance(along_y(tiles), tiles.kappa) < FAR
    turned = tiles_of(step_at(place, 20 / BIN).T)
    assert significance(along_y(turned), turned.kappa) > FAR


def test_half_a_step_is_found() -> None:
    """A chip's edge that ends half-way is an edge."""
    sky = step_at(140, 30 / BIN)
    sky[: SIDE // 2] = 0.0
    tiles = tiles_of(sky)
    assert significance(along_x(tiles), tiles.kappa) > FAR


@pytest.mark.parametrize("period", [3 * BIN, 6 * BIN])
def test_a_wave_is_no_step(period: float) -> None:
    """Waves a hundred times the error of a bin are smooth all the same."""
    wave = 100 / BIN * np.sin(2 * np.pi * np.arange(SIDE) / period + 0.3)
    for sky in (wave * np.ones((SIDE, 1)), wave * wave[:, np.newaxis]):
        tiles = tiles_of(sky)
        assert significance(along_x(tiles), tiles.kappa) < FAR
        assert significance(along_y(tiles), tiles.kappa) < FAR


def test_a_few_bad_lines_are_no_step() -> None:
    """One line of eight, however far off, is not an edge."""
    sky = step_at(140, 1000.0)
    sky[48:] = 0.0
    tiles = tiles_of(sky)
    assert significance(along_x(tiles), tiles.kappa) < FAR


def test_correlated_noise_counts_for_less() -> None:
    """A step is less marked by as much as errors are larger than those of white noise."""
    tiles = tiles_of(step_at(140, 10 / BIN))
    steps = along_x(tiles)
    assert significance(steps, 2.0) < significance(steps, 1.0)


def test_two_lines_are_too_few() -> None:
    """With fewer than three lines nothing is said."""
    steps = Steps(np.array([5.0]), np.full((2, 1), 100.0), np.ones((2, 1)))
    assert significance(steps, 1.0) == 0.0


def test_where_nothing_is_seen_there_is_no_step() -> None:
    """Without a single place with pixels the significance is zero."""
    nothing = np.full((4, 3), np.nan)
    assert significance(Steps(np.arange(3.0), nothing, nothing), 1.0) == 0.0


def test_lines_that_see_nothing_do_not_dilute() -> None:
    """A line without pixels at a place neither adds to the sum nor to its error."""
    heights = np.full((4, 1), 2.0)
    heights[3] = np.nan
    steps = Steps(np.array([5.0]), heights, np.ones((4, 1)))
    alone = Steps(np.array([5.0]), heights[:3], np.ones((3, 1)))
    assert significance(steps, 1.0) == significance(alone, 1.0)
