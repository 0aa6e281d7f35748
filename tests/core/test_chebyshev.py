"""Polynomial models against LSST's output, the numpy twin, and skies that were planted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import (
    BinSizeError,
    ChebyshevBackground,
    FitProfile,
    ImageError,
    ImageTypeError,
    MatchConfig,
    NoOverlapError,
    OrderError,
    SingularFitError,
    UndersampleStyle,
)
from core.chebyshev import fit_polynomial, require_polynomial
from core.grid import Grid, Tiles, bin_centres
from core.kernels import chebyshev as kernels
from core.survey import floored_errors
from tests.core import golden
from tests.core.exposures import LAW
from tests.core.oracle import chebyshev as oracle

Image = NDArray[np.float64]


def grid_of(values: Any, errors: Any = 1.0, counts: Any = 100) -> Grid:
    """Return a grid of these values, and errors and counts that broadcast with them."""
    grid = np.asarray(values, dtype=np.float32)
    errors = np.broadcast_to(np.asarray(errors, dtype=np.float32), grid.shape).copy()
    return Grid(grid, errors, np.broadcast_to(np.int32(counts), grid.shape).astype(np.int32))


def tiles_of(columns: int, rows: int, errors: float = 1.0) -> Tiles:
    """Return tiles in so many distinct columns and rows."""
    y, x = np.mgrid[:rows, :columns].astype(np.float64).reshape(2, -1)
    return Tiles(x, y, np.zeros(x.size), np.full(x.size, errors))


def fit(grid: Grid, shape: tuple[int, int], **changes: Any) -> ChebyshevBackground:
    """Return the polynomial of a grid that the tiles cover."""
    config = MatchConfig(use_polynomial=True, **{"approx_weighting": False, **changes})
    ny, nx = grid.values.shape
    plane = np.zeros(shape, dtype=np.float32)
    return fit_polynomial(plane, grid, tiles_of(max(nx, 9), max(ny, 9)), config)


def places(length: int, bins: int) -> Image:
    """Return the centres of bins on the scale from -1 to 1."""
    return (2 * bin_centres(length, bins) + 1) / length - 1


def at_centres(
    coefficients: Image, order: int, shape: tuple[int, int], bins: tuple[int, int]
) -> Image:
    """Return a polynomial at the centres of bins."""
    v, u = np.meshgrid(*map(places, shape, bins), indexing="ij")
    return oracle.values_at(coefficients, order, u.ravel(), v.ravel()).reshape(bins)


def planted(seed: int, order: int) -> Image:
    """Return the coefficients of a random polynomial."""
    return np.random.default_rng(seed).normal(0, 10, (order + 1) * (order + 2) // 2)


@pytest.mark.shared
def test_fits_to_grids_are_lsst_s() -> None:
    """Every order, weighted or not, is the compiled LSST code's image within an ulp."""
    case = golden.load("u_grid_to_cheb.npz")
    for entry in json.loads(str(case["meta"])):
        number, shape = entry["i"], (entry["h"], entry["w"])
        grid = grid_of(case[f"grid{number}"], case[f"err{number}"])
        changes = {"order": entry["order"], "approx_weighting": entry["weighting"]}
        model = fit(grid, shape, **changes)
        assert model.weighted == entry["weighting"]
        expected = case[f"img{number}"]
        assert golden.ulps(model.image(), expected, float(np.abs(expected).max())) <= 1


CASES = st.tuples(st.integers(0, 8), st.integers(0, 10_000), st.integers(9, 14), st.integers(9, 14))
"""Order, seed, and numbers of bins along y and x."""


@LAW
@given(CASES, st.sampled_from([0.0, 0.2]))
def test_the_kernels_agree_with_the_numpy_twin(
    case: tuple[int, int, int, int], missing: float
) -> None:
    """Normal equations are numpy's to 1e-12, and so is their solution, as well as it is known."""
    order, seed, ny, nx = case
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(0, 5, (ny, nx)), rng.uniform(0.5, 2, (ny, nx))
    values[rng.random(values.shape) < missing] = np.nan
    weights[rng.random(values.shape) < missing] = np.inf
    u, v = places(20 * nx, nx), places(20 * ny, ny)
    matrix, right = oracle.normal_equations(order, (u, v), values, weights)
    found = np.zeros_like(matrix), np.zeros_like(right)
    tables = tuple(_sealed(np.polynomial.chebyshev.chebvander(at, order).T) for at in (u, v))
    kernels.normal_equations(tables, _sealed(values), _sealed(weights), *found)  # type: ignore[arg-type]  # a tuple of two
    np.testing.assert_allclose(found[0], matrix, rtol=1e-12, atol=1e-12 * np.abs(matrix).max())
    np.testing.assert_allclose(found[1], right, rtol=1e-12, atol=1e-12 * np.abs(right).max())
    expected = oracle.solved(matrix, right)
    kernels.solve(*found)
    tolerance = 1e-15 * np.linalg.cond(matrix) * np.abs(expected).max()
    np.testing.assert_allclose(found[1], expected, rtol=1e-12, atol=tolerance)


def _sealed(array: NDArray[np.floating[Any]]) -> Image:
    copy = np.array(array, dtype=np.float64, order="C")
    copy.setflags(write=False)
    return copy


@LAW
@given(st.integers(0, 12), st.integers(0, 10_000), st.integers(1, 90), st.integers(1, 1100))
def test_pixels_are_the_numpy_twin_s(order: int, seed: int, height: int, width: int) -> None:
    """Any coefficients, on any image, are drawn as numpy has them, rounded to float32."""
    coefficients = planted(seed, order)
    grid = grid_of(np.zeros((1, 1)))
    parts = order, order, UndersampleStyle.REDUCE_INTERP_ORDER, False, coefficients
    model = ChebyshevBackground(grid.values, grid.errors, grid.counts, width, height, *parts)
    expected = oracle.image(coefficients, order, width, height)
    scale = np.spacing(np.float32(np.abs(coefficients).sum()))
    np.testing.assert_allclose(model.image(), expected, rtol=0, atol=scale)


@pytest.mark.parametrize("profile", FitProfile)
@pytest.mark.parametrize("weighted", [False, True])
@LAW
@given(CASES)
def test_a_planted_polynomial_is_found(
    profile: FitProfile, weighted: bool, case: tuple[int, int, int, int]
) -> None:
    """A polynomial of the order asked for is found, weighted or not, with bins missing."""
    order, seed, ny, nx = case
    shape = 20 * ny - 3, 17 * nx + 5
    truth = planted(seed, order)
    rng = np.random.default_rng(seed)
    values = at_centres(truth, order, shape, (ny, nx))
    values[rng.random(values.shape) < 0.1] = np.nan
    grid = grid_of(values, rng.uniform(0.5, 2, values.shape))
    model = fit(grid, shape, order=order, profile=profile, approx_weighting=weighted)
    assert (model.order, model.order_used, model.weighted) == (order, order, weighted)
    atol = 4e-5 * np.abs(truth).max()
    np.testing.assert_allclose(model.coefficients, truth, atol=atol)


# --- coverage


@pytest.mark.parametrize(
    ("shape", "bin_size", "order", "kind"),
    [
        ((256, 400), 300, 0, BinSizeError),
        ((400, 256), 257, 0, BinSizeError),
        ((256, 400), 100, 3, OrderError),
        ((256, 400), 256, 1, OrderError),
        ((256, 400), 100, 2, None),
        ((256, 400), 256, 0, None),
    ],
)
def test_small_exposures_are_refused(
    shape: tuple[int, int], bin_size: int, order: int, kind: type[Exception] | None
) -> None:
    """The shorter side must have a bin, and more bins than the order; errors are LSST's kind."""
    config = MatchConfig(use_polynomial=True, bin_size=bin_size, order=order)
    if kind is None:
        require_polynomial(shape, config)
        return
    with pytest.raises(kind) as caught:
        require_polynomial(shape, config)
    assert isinstance(caught.value, ValueError)


def covered(columns: int, rows: int, **changes: Any) -> ChebyshevBackground:
    """Return the fit to a plane where tiles cover so many columns and rows."""
    settings: dict[str, Any] = {"use_polynomial": True, "bin_size": 20, "order": 4}
    config = MatchConfig(**(settings | changes))
    plane = np.add.outer(np.arange(180.0), np.arange(200.0)).astype(np.float32)
    grid = grid_of(np.add.outer(np.arange(9.0), np.arange(10.0)) * 20 + 19)
    return fit_polynomial(plane, grid, tiles_of(columns, rows), config)


@pytest.mark.parametrize(("columns", "rows", "order"), [(4, 9, 3), (9, 2, 1), (1, 9, 0), (5, 5, 4)])
def test_the_order_is_reduced_to_the_coverage(columns: int, rows: int, order: int) -> None:
    """REDUCE_INTERP_ORDER takes one less than the tiles' distinct columns or rows, if need be."""
    model = covered(columns, rows)
    assert (model.order, model.order_used) == (4, order)
    assert model.coefficients.size == (order + 1) * (order + 2) // 2


def test_too_little_coverage_is_refused_unless_reducing_is_allowed() -> None:
    """THROW_EXCEPTION refuses coverage of no more columns than the order."""
    with pytest.raises(OrderError, match="4") as caught:
        covered(4, 9, undersample_style="THROW_EXCEPTION")
    assert caught.value.points == 4
    assert covered(5, 9, undersample_style="THROW_EXCEPTION").order_used == 4


def test_increase_takes_the_new_bin_size_for_the_number_of_bins() -> None:
    """INCREASE_NXNYSAMPLE keeps the order and measures covered * bin_size / (order + 1) bins."""
    model = covered(3, 9, undersample_style="INCREASE_NXNYSAMPLE")
    assert model.order_used == 4
    assert model.values.shape == (12, 12)
    y, x = np.mgrid[:180, :200]
    np.testing.assert_allclose(model.image(), y + x, atol=1e-3)
    with pytest.raises(OrderError):
        covered(1, 1, bin_size=3, undersample_style="INCREASE_NXNYSAMPLE")


def test_no_tile_is_no_overlap() -> None:
    """Without a single tile there is nothing to fit."""
    with pytest.raises(NoOverlapError):
        covered(0, 0)


# --- weights


def test_weights_are_lsst_s() -> None:
    """LSST weighs by 1 / error in float32, and drops bins without an error or without noise."""
    values = np.array([[1.0, 2.0, 5.0], [9.0, 9.0, 9.0]])
    errors = np.array([[0.5, 0.25, 0.1], [0.0, np.nan, np.inf]])
    model = fit(grid_of(values, errors), (20, 30), order=0, approx_weighting=True)
    weights = (np.float32(1) / errors[0].astype(np.float32)).astype(np.float64)
    assert model.weighted
    np.testing.assert_allclose(model.coefficients, (weights * values[0]).sum() / weights.sum())


@pytest.mark.parametrize(("epsilon", "weighted"), [(0.5, True), (1.0, False), (2.0, False)])
def test_noise_below_epsilon_switches_weights_off(epsilon: float, weighted: bool) -> None:
    """Weights are used if any tile's error is above grid_stdev_epsilon."""
    model = covered(9, 9, grid_stdev_epsilon=epsilon)
    assert model.weighted == weighted


def test_survey_weighs_by_inverse_variance_with_a_floor() -> None:
    """Profile survey weighs by 1 / error^2; uniform bins and bins of one pixel count."""
    values = np.array([[1.0, 2.0, 5.0], [9.0, -3.0, np.nan]])
    errors = np.array([[0.1, 0.2, 0.1], [0.0, np.nan, np.nan]])
    counts = np.array([[100, 100, 100], [100, 1, 0]])
    expected = np.array([[0.1, 0.2, 0.1], [0.05, 1.0, 1.0]])
    grid = grid_of(values, errors, counts)
    floored = floored_errors(grid.errors, grid.counts)
    np.testing.assert_allclose(floored, expected, rtol=1e-6)
    changes = {"order": 0, "approx_weighting": True, "profile": "survey"}
    weights = expected.ravel()[:5] ** -2
    mean = (weights * values.ravel()[:5]).sum() / weights.sum()
    np.testing.assert_allclose(fit(grid, (20, 30), **changes).coefficients, mean, rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_uniform_half_counts_in_survey(weighted: bool) -> None:
    """A half without any noise is dropped by LSST's weights, and not by those of survey."""
    values = np.where(np.arange(10) < 5, 0.0, 10.0) * np.ones((10, 1))
    grid = grid_of(values, np.where(values == 0.0, 0.1, 0.0))
    changes = {"order": 1, "approx_weighting": weighted}
    found = fit(grid, (100, 100), profile="survey", **changes).image()
    assert found[50, 95] > 8
    if weighted:
        assert np.abs(fit(grid, (100, 100), **changes).image()).max() < 1e-6


# --- what cannot be fitted


def test_a_singular_fit_is_refused_in_survey() -> None:
    """Bins on a line determine no plane, and profile survey does not invent one."""
    values = np.full((9, 9), np.nan)
    values[4] = 3.0
    with pytest.raises(SingularFitError, match="order 1"):
        fit(grid_of(values), (90, 90), order=1, profile="survey")
    diagonal = np.where(np.eye(9) > 0, 3.0, np.nan)
    with pytest.raises(SingularFitError):
        fit(grid_of(diagonal), (90, 90), order=2, profile="survey")


def test_a_fit_without_finite_numbers_is_refused() -> None:
    """Where elimination divides by zero there is no model in either profile."""
    values = np.full((9, 9), np.nan)
    values[4, 4] = 3.0
    for profile in FitProfile:
        with pytest.raises(SingularFitError) as caught:
            fit(grid_of(values), (90, 90), order=1, profile=profile)
        assert isinstance(caught.value, RuntimeError)


def test_bins_without_weights_are_no_points() -> None:
    """Where no bin has a weight there is nothing to fit, an error of LSST's kind."""
    grid = grid_of(np.ones((3, 3)), 0.0)
    with pytest.raises(SingularFitError, match="no bin"):
        fit(grid, (90, 90), order=1, approx_weighting=True)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("order", -1, ImageError),
        ("order", True, ImageError),
        ("order_used", 1.0, ImageError),
        ("order_used", 2, ImageError),
        ("coefficients", [1.0, 2.0, 3.0], ImageTypeError),
        ("coefficients", np.ones(3, dtype=np.float32), ImageTypeError),
        ("coefficients", np.ones(4), ImageError),
        ("coefficients", np.array([1.0, np.nan, 0.0]), ImageError),
        ("undersample_style", "GUESS", ValueError),
        ("profile", "best", ValueError),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    name: str, value: Any, kind: type[Exception]
) -> None:
    """A polynomial of impossible orders or coefficients cannot be made."""
    model = fit(grid_of(np.ones((3, 3))), (30, 30), order=1)
    with pytest.raises(kind):
        replace(model, **{name: value})
