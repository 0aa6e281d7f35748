"""Profile survey's grid: errors with a floor, empty cells filled like a thin plate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import (
    FitProfile,
    InterpolationError,
    InterpStyle,
    SplineBackground,
    UndersampleStyle,
)
from core.grid import bin_centres
from core.kernels.fill import fill
from core.survey import filled, filled_shares, floored_errors
from tests.core.exposures import LAW
from tests.core.oracle import fill as oracle
from tests.core.oracle import interpolate

Grid = NDArray[np.float64]

TENSION = 0.01


def model(values: Any, side: int = 16, **changes: Any) -> SplineBackground:
    """Return a survey spline through a grid of square bins, unless changed."""
    grid = np.array(values, dtype=np.float32)
    arguments: dict[str, Any] = {
        "values": grid,
        "errors": np.ones_like(grid),
        "counts": np.full(grid.shape, 9, dtype=np.int32),
        "width": side * grid.shape[1],
        "height": side * grid.shape[0],
        "interp_style": InterpStyle.AKIMA_SPLINE,
        "undersample_style": UndersampleStyle.REDUCE_INTERP_ORDER,
        "profile": FitProfile.SURVEY,
    }
    return SplineBackground(**(arguments | changes))


@st.composite
def grids(draw: st.DrawFn) -> tuple[Grid, Grid, tuple[int, int]]:
    """Return values with at least one empty cell and one that is not, errors, and a size."""
    ny, nx = draw(st.integers(1, 9)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    values, errors = rng.normal(0, 5, (ny, nx)), rng.uniform(0.2, 3, (ny, nx))
    values[rng.random(values.shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))] = np.nan
    values.flat[rng.choice(values.size, 2, replace=False)] = np.nan, 1.0
    return values, errors, (ny * draw(st.integers(1, 9)) + 3, nx * draw(st.integers(1, 9)) + 2)


def plane_of(shape: tuple[int, int], size: tuple[int, int]) -> Grid:
    """Return a sloping plane at the centres of bins."""
    y, x = np.meshgrid(*map(bin_centres, size, shape), indexing="ij")
    return 30.0 - 0.7 * x + 0.2 * y


@LAW
@given(grids(), st.sampled_from([0.5, 1.0, 3.0]))
def test_the_kernel_agrees_with_the_numpy_twin(
    grid: tuple[Grid, Grid, tuple[int, int]], ratio: float
) -> None:
    """The plate is the solution of the whole energy's equations."""
    values = grid[0]
    line = values.ravel()
    line.setflags(write=False)
    shape = values.shape[0], values.shape[1]
    found = fill(line, np.zeros(line.size), shape, ratio, TENSION).reshape(shape)
    expected = oracle.fill(values, ratio, TENSION)
    scale = np.nanmax(np.abs(values))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * scale)


@LAW
@given(grids())
def test_x_and_y_are_alike(grid: tuple[Grid, Grid, tuple[int, int]]) -> None:
    """The transposed grid is filled with the transposed values, to the bit."""
    values, errors, (height, width) = grid
    there = filled(values, errors, (height, width))
    back = filled(values.T.copy(), errors.T.copy(), (width, height)).T
    np.testing.assert_array_equal(there, back)
    known = ~np.isnan(values)
    np.testing.assert_array_equal(there[known], values[known])
    assert np.isfinite(there).all()


@LAW
@given(grids(), st.integers(-40, 40))
def test_powers_of_two_scale(grid: tuple[Grid, Grid, tuple[int, int]], power: int) -> None:
    """Values and errors times 2 to the k are filled with 2 to the k times as much, to the bit."""
    values, errors, size = grid
    scale = 2.0**power
    scaled = filled(values * scale, errors * scale, size)
    np.testing.assert_array_equal(scaled, filled(values, errors, size) * scale)


@LAW
@given(grids())
def test_a_plane_is_continued(grid: tuple[Grid, Grid, tuple[int, int]]) -> None:
    """A plane is reproduced wherever cells that are not on a line determine it."""
    values, errors, size = grid
    truth = plane_of((values.shape[0], values.shape[1]), size)
    known = np.argwhere(~np.isnan(values))
    if np.linalg.matrix_rank(known - known[0]) < 2:
        return
    found = filled(np.where(np.isnan(values), np.nan, truth), errors, size)
    np.testing.assert_allclose(found, truth, atol=1e-8 * np.abs(truth).max())


@LAW
@given(grids())
def test_the_plane_weighs_by_the_inverse_variance(
    grid: tuple[Grid, Grid, tuple[int, int]],
) -> None:
    """What is continued like a plate is what a plane by weighted least squares leaves."""
    values, errors, size = grid
    known = ~np.isnan(values)
    places = np.argwhere(known)
    if np.linalg.matrix_rank(places - places[0]) < 2:
        return
    y, x = np.meshgrid(*map(bin_centres, size, values.shape), indexing="ij")
    terms = np.array([np.ones_like(x), x, y])
    found = np.linalg.lstsq((terms[:, known] / errors[known]).T, values[known] / errors[known])[0]
    plane = np.tensordot(found, terms, 1)
    ratio = (size[0] / values.shape[0]) / (size[1] / values.shape[1])
    expected = plane + oracle.fill(values - plane, ratio, TENSION)
    scale = np.abs(values[known]).max() + np.abs(plane).max()
    np.testing.assert_allclose(filled(values, errors, size), expected, atol=1e-7 * scale)


def test_cells_on_a_line_have_no_slope_across() -> None:
    """A single row of cells is continued along itself, and stays as it is across."""
    values = np.full((5, 6), np.nan)
    values[2, 1:4] = [3.0, 4.0, 5.0]
    found = filled(values, np.ones_like(values), (50, 60))
    expected = np.broadcast_to(np.arange(2.0, 8.0), (5, 6))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    values[2] = [np.nan, np.nan, 7.0, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(filled(values, np.ones_like(values), (50, 60)), 7.0)


def test_a_constant_stays_one() -> None:
    """Holes in a constant are filled with it, exactly."""
    values = np.where(np.random.default_rng(3).random((7, 8)) < 0.4, np.nan, 0.1)
    np.testing.assert_array_equal(filled(values, np.ones_like(values), (70, 90)), 0.1)


def test_nothing_is_made_of_nothing() -> None:
    """Without any value the grid stays empty, and without an empty cell it stays as it is."""
    empty = np.full((3, 4), np.nan)
    assert np.isnan(filled(empty, np.ones_like(empty), (30, 40))).all()
    whole = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(filled(whole, np.ones_like(whole), (30, 40)), whole)
    assert np.isnan(model(empty).image()).all()


def test_an_infinite_value_spoils_no_arithmetic() -> None:
    """An infinite cell stays one, and the known cells keep their values."""
    values = np.ones((6, 6))
    values[1, 1], values[4, 4] = np.inf, np.nan
    found = filled(values, np.ones_like(values), (60, 60))
    known = ~np.isnan(values)
    np.testing.assert_array_equal(found[known], values[known])


def test_large_grids_are_filled_in_blocks() -> None:
    """A grid of many cells keeps a plane exactly, and a wave within what its blocks can tell."""
    shape = size = 300, 280
    y, x = np.mgrid[: shape[0], : shape[1]]
    hole = np.hypot(y - 120, x - 90) < 30
    plane = plane_of(shape, size)
    errors = np.ones(shape)
    found = filled(np.where(hole, np.nan, plane), errors, size)
    np.testing.assert_allclose(found, plane, atol=1e-6)
    wave = plane + np.sin(x / 50) * np.cos(y / 60)
    found = filled(np.where(hole, np.nan, wave), errors, size)
    assert np.abs(found - wave).max() < 0.15


# --- against profile lsst


def rms_in_holes(profile: FitProfile, hole: NDArray[np.bool_], amplitude: float) -> float:
    """Return the rms error at the centres of empty bins, of 40 curved skies with unit noise."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:17, :17] / 8.0 - 1.0
    centres = bin_centres(272, 17)
    squares = []
    for _ in range(40):
        a, b, c, d = rng.normal(size=4)
        sky = amplitude * (a * x + b * y + (c * (2 * x * x - 1) + d * (2 * y * y - 1)) / 2)
        values = np.where(hole, np.nan, sky + rng.normal(size=sky.shape))
        found = model(values, profile=profile).at(centres, centres[:, np.newaxis])
        squares.append((found - sky)[hole] ** 2)
    return float(np.sqrt(np.mean(squares)))


HOLES = {
    "one cell": (slice(8, 9), slice(8, 9)),
    "3 x 3": (slice(7, 10), slice(6, 9)),
    "two columns": (slice(0, 17), slice(8, 10)),
    "two rows": (slice(8, 10), slice(0, 17)),
    "ten rows at the edge": (slice(7, 17), slice(0, 17)),
}


@pytest.mark.parametrize("amplitude", [0.0, 3.0, 30.0])
@pytest.mark.parametrize("name", HOLES)
def test_holes_are_filled_better_than_lsst_s(name: str, amplitude: float) -> None:
    """Noise and curvature together err less than in profile lsst, or within the cells' noise."""
    hole = np.zeros((17, 17), dtype=bool)
    hole[HOLES[name]] = True
    found = {profile: rms_in_holes(profile, hole, amplitude) for profile in FitProfile}
    assert found[FitProfile.SURVEY] < max(found[FitProfile.LSST], 1.0)


def test_ten_empty_bins_stay_in_the_order_of_the_data() -> None:
    """Ten empty bins beyond unit noise give a few sigma, where LSST's Akima gives a hundred."""
    rng = np.random.default_rng(5)
    largest = dict.fromkeys(FitProfile, 0.0)
    for _ in range(20):
        values = rng.normal(size=(17, 17))
        values[-10:] = np.nan
        for profile in FitProfile:
            image = model(values, profile=profile).image()
            largest[profile] = max(largest[profile], float(np.abs(image).max()))
    assert largest[FitProfile.LSST] > 100
    assert largest[FitProfile.SURVEY] < 10


@pytest.mark.parametrize("style", InterpStyle)
@LAW
@given(grids())
def test_images_are_the_numpy_twin_s_of_the_filled_grid(
    style: InterpStyle, grid: tuple[Grid, Grid, tuple[int, int]]
) -> None:
    """A survey model draws the filled grid by the rules of survey, to the bit."""
    values, _, (height, width) = grid
    sides: dict[str, Any] = {"width": width, "height": height, "interp_style": style}
    made = model(values, **sides)
    whole = filled(
        made.values.astype(np.float64), floored_errors(made.errors, made.counts), (height, width)
    )
    reduce = UndersampleStyle.REDUCE_INTERP_ORDER
    expected = interpolate.image(
        whole,  # type: ignore[arg-type]  # the twin rounds nothing: float64 will do
        (height, width),
        made.style_used,
        reduce,
        survey=True,
    )
    np.testing.assert_array_equal(made.image(), expected)


@pytest.mark.parametrize("style", ["LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"])
def test_beyond_the_outermost_cell_it_is_linear(style: str) -> None:
    """On the outer half bins, and outside the image, no line of bins bends."""
    values = np.random.default_rng(2).normal(0, 5, (7, 7))
    made = model(values, interp_style=style)
    for outside in (np.arange(-30, 8), np.arange(105, 140)):
        for line in (made.at(outside, 55.5), made.at(55.5, outside)):
            assert np.abs(np.diff(line.astype(np.float64), 2)).max() < 1e-4


@pytest.mark.parametrize("turned", [False, True])
def test_an_exception_asked_for_is_thrown_for_rows_and_columns_alike(turned: bool) -> None:
    """THROW_EXCEPTION refuses a row with too few cells as it refuses a column."""
    values = np.ones((6, 6))
    values[2, :2] = np.nan
    throw: dict[str, Any] = {"undersample_style": "THROW_EXCEPTION"}
    with pytest.raises(InterpolationError, match="4"):
        model(values.T if turned else values, **throw)
    model(np.ones((6, 6)), **throw)


def test_the_floor_of_the_errors() -> None:
    """Half the typical sigma is the least of a cell; one pixel alone has the typical sigma."""
    errors = np.array([[1.0, 0.5, 0.1, 0.0, np.nan, 1.0]], dtype=np.float32)
    counts = np.array([[4, 16, 100, 25, 1, 0]], dtype=np.int32)
    # sigmas: 2, 2, 1, 0, unknown, 1: the median of those known and not 0 is 1.5
    expected = [[1.0, 0.5, 0.1, 0.15, 1.5, 1.0]]
    np.testing.assert_allclose(floored_errors(errors, counts), expected, rtol=1e-6)
    nothing = np.zeros((1, 6), dtype=np.float32)
    roots = np.sqrt(np.maximum(counts, 1))
    np.testing.assert_allclose(floored_errors(nothing, counts), 0.5 / roots)


# -- shares ----------------------------------------------------------------------------------------


@LAW
@given(grids(), st.integers(0, 1000))
def test_shares_are_the_transpose_of_filling(
    grid: tuple[Grid, Grid, tuple[int, int]], seed: int
) -> None:
    """A figure of the filled grid is that of the values, counted by their shares."""
    values, errors, size = grid
    known = ~np.isnan(values)
    shares = np.random.default_rng(seed).normal(size=values.shape)
    expected = np.sum(shares * filled(values, errors, size))
    found = np.sum(filled_shares(shares, known, errors, size)[known] * values[known])
    scale = np.abs(shares).sum() * np.abs(values[known]).max()
    assert found == pytest.approx(expected, abs=1e-9 * scale)


def test_of_a_full_grid_shares_stay() -> None:
    """Where no cell is empty, each counts as it did."""
    shares = np.random.default_rng(1).normal(size=(4, 6))
    found = filled_shares(shares, np.ones((4, 6), np.bool_), np.ones((4, 6)), (40, 60))
    np.testing.assert_array_equal(found, shares)


def test_shares_add_up_in_large_grids_too() -> None:
    """Over 128 cells a side the plane alone tells, and a constant is still one."""
    known = np.random.default_rng(2).random((130, 7)) < 0.5
    shares = np.full(known.shape, 1 / known.size)
    found = filled_shares(shares, known, np.ones(known.shape), (1300, 70))
    assert found.sum() == pytest.approx(1.0)
    assert (found[~known] == 0).all()
