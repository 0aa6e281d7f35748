"""Planted polynomials: skies that a fit must find again, and weights worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from core import (
    ChebyshevBackground,
    MaskedImage,
    Match,
    NoOverlapError,
    OrderError,
    match_background,
)
from core.grid import bin_edges
from tests.core.exposures import flat, plane, with_bits
from tests.core.matched import config_with

Image = NDArray[np.float64]


def sky(seed: int, order: int) -> Image:
    """Return coefficients ``[j, i]`` of T_i(u) T_j(v) up to a total degree, by numpy's order."""
    rng = np.random.default_rng(seed)
    coefficients = rng.normal(0, 10, (order + 1, order + 1))
    j, i = np.mgrid[: order + 1, : order + 1]
    return np.asarray(np.where(i + j <= order, coefficients, 0.0), dtype=np.float64)


def on(coefficients: Image, y: Image, x: Image, shape: tuple[int, int]) -> Image:
    """Return a polynomial at rows y and columns x of an image of this shape."""
    v, u = ((2 * at + 1) / length - 1 for at, length in ((y, shape[0]), (x, shape[1])))
    return np.asarray(chebyshev.chebgrid2d(v, u, coefficients), dtype=np.float64)


def pixels(coefficients: Image, shape: tuple[int, int]) -> Image:
    """Return a polynomial on every pixel."""
    y, x = (np.arange(length, dtype=np.float64) for length in shape)
    return on(coefficients, y, x, shape)


def stepped(coefficients: Image, shape: tuple[int, int], bins: tuple[int, int]) -> Image:
    """Return an image that has in each bin the polynomial's value at the bin's centre."""
    edges = [np.array(bin_edges(*pair), dtype=np.int64) for pair in zip(shape, bins, strict=True)]
    centres = [(one[:-1] + one[1:] - 1) / 2 for one in edges]
    steps = on(coefficients, centres[0], centres[1], shape)
    return steps.repeat(np.diff(edges[0]), axis=0).repeat(np.diff(edges[1]), axis=1)


def polynomial(match: Match) -> ChebyshevBackground:
    """Return the model of a match, which is a polynomial."""
    assert isinstance(match.model, ChebyshevBackground)
    return match.model


def of_zero(image: Image, mask: NDArray[np.int32] | None = None) -> tuple[MaskedImage, MaskedImage]:
    """Return a pair whose difference is an image."""
    return flat(image, mask), flat(np.zeros_like(image))


def check_found(match: Match, truth: Image, ulps: float = 16) -> None:
    """Require the truth on every pixel within float32."""
    tolerance = ulps * np.spacing(np.float32(np.abs(truth).max()))
    np.testing.assert_allclose(match.model.image(), truth, atol=tolerance)


# --- noise-free skies


@pytest.mark.parametrize("shape", [(110, 110), (121, 158), (163, 107)])
@pytest.mark.parametrize("order", range(9))
def test_a_sky_of_the_order_is_found(order: int, shape: tuple[int, int]) -> None:
    """A polynomial of each order is found on every pixel, whatever the shape and its bins."""
    coefficients = sky(order, order)
    bins = tuple(-(-length // 11) for length in shape)
    image = stepped(coefficients, shape, (bins[0], bins[1]))
    config = config_with(use_polynomial=True, order=order, bin_size=11, approx_weighting=False)
    check_found(match_background(*of_zero(image), config), pixels(coefficients, shape))


def test_coefficients_are_in_their_order() -> None:
    """They go by total degree, the power of x falling: 1; x, y; xx, xy, yy."""
    terms = {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 3.0, (0, 2): 4.0, (1, 1): 5.0, (2, 0): 6.0}
    coefficients = np.zeros((3, 3))
    for place, value in terms.items():
        coefficients[place] = value
    image = stepped(coefficients, (60, 80), (6, 8))
    match = match_background(
        *of_zero(image), config_with(use_polynomial=True, order=2, bin_size=10)
    )
    np.testing.assert_allclose(polynomial(match).coefficients, list(terms.values()), rtol=1e-5)


@pytest.mark.parametrize("order", [1, 4, 8])
def test_an_order_too_many_does_no_harm(order: int) -> None:
    """A plane is found by each order, its higher terms nothing."""
    truth = plane(120, 132, 0.3, -0.2, 40.0)
    config = config_with(use_polynomial=True, order=order, bin_size=12)
    match = match_background(*of_zero(truth), config)
    check_found(match, truth)
    assert np.abs(polynomial(match).coefficients[3:]).max(initial=0.0) < 1e-5


def test_a_term_of_a_higher_order_is_not_followed() -> None:
    """What the order does not have stays in the difference: T_3 is not in a fit of order 2."""
    coefficients = np.zeros((4, 4))
    coefficients[0, 3] = 5.0
    image = pixels(coefficients, (160, 160))
    config = config_with(use_polynomial=True, order=2, bin_size=10)
    match = match_background(*of_zero(image), config)
    assert match.matched_mse > 0.5 * float((image**2).mean())


def test_gaps_are_crossed() -> None:
    """A polynomial of order 3 is found where half the bins are empty."""
    shape, coefficients = (120, 120), sky(3, 3)
    image = stepped(coefficients, shape, (10, 10))
    empty = np.random.default_rng(3).random((10, 10)) < 0.5
    image[np.kron(empty, np.ones((12, 12), dtype=bool))] = np.nan
    config = config_with(use_polynomial=True, order=3, bin_size=12)
    match = match_background(*of_zero(image), config)
    assert np.isnan(match.model.values).sum() == empty.sum()
    check_found(match, pixels(coefficients, shape), 64)


# --- coverage


def strip(truth: Image, first: int, last: int, *, rows: bool) -> Image:
    """Return an image of which only some rows or columns are there."""
    image = np.full_like(truth, np.nan)
    there = (slice(first, last),) if rows else (slice(None), slice(first, last))
    image[there] = truth[there]
    return image


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("covered", [1, 2, 3])
def test_the_order_is_reduced_to_the_coverage(covered: int, *, rows: bool) -> None:
    """So many rows or columns of bins carry one order less than they are."""
    truth = plane(96, 96, 0.0, 0.0, 7.0)
    image = strip(truth, 24, 24 + 12 * covered, rows=rows)
    config = config_with(use_polynomial=True, order=5, bin_size=12)
    match = match_background(*of_zero(image), config)
    model = polynomial(match)
    assert (model.order, model.order_used) == (5, covered - 1)
    assert model.coefficients.size == covered * (covered + 1) // 2
    check_found(match, truth)


def test_an_order_of_nothing_is_the_mean_of_the_bins() -> None:
    """Reduced to order 0 without weights, the model is the mean of the bins that have values."""
    truth = plane(96, 96, 0.25, 0.5)
    image = strip(truth, 12, 24, rows=False)
    config = config_with(use_polynomial=True, order=4, bin_size=12, approx_weighting=False)
    model = match_background(*of_zero(image), config).model.image()
    np.testing.assert_allclose(model, np.full_like(truth, np.nanmean(image)), rtol=1e-6)


def test_coverage_that_just_suffices_is_not_reduced() -> None:
    """One more row and column of bins than the order is enough, whatever the undersample style."""
    truth = plane(96, 96, 0.25, 0.5)
    truth[:, 36:] = truth[36:, :] = np.nan
    for undersample in ("THROW_EXCEPTION", "REDUCE_INTERP_ORDER", "INCREASE_NXNYSAMPLE"):
        config = config_with(
            use_polynomial=True, order=2, bin_size=12, undersample_style=undersample
        )
        model = polynomial(match_background(*of_zero(truth), config))
        assert (model.order_used, model.values.shape) == (2, (8, 8))


def test_too_little_coverage_is_refused_where_asked() -> None:
    """THROW_EXCEPTION refuses what REDUCE_INTERP_ORDER would reduce, with both numbers."""
    image = strip(plane(96, 96, 0.25, 0.5), 12, 36, rows=True)
    config = config_with(
        use_polynomial=True, order=2, bin_size=12, undersample_style="THROW_EXCEPTION"
    )
    with pytest.raises(OrderError, match=r"2.*2") as caught:
        match_background(*of_zero(image), config)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("rows", [True, False])
def test_samples_are_increased_where_asked(*, rows: bool) -> None:
    """A strip of one bin becomes one of several samples, which carry a plane."""
    truth = plane(96, 96, 0.25, -0.5, 3.0)
    image = strip(truth, 24, 48, rows=rows)
    config = config_with(
        use_polynomial=True, order=1, bin_size=24, undersample_style="INCREASE_NXNYSAMPLE"
    )
    match = match_background(*of_zero(image), config)
    model = polynomial(match)
    assert (model.order_used, model.values.shape) == (1, (12, 12))
    assert np.isfinite(model.values).sum() == 36
    check_found(match, truth, 64)


def test_samples_that_would_be_none_are_refused() -> None:
    """Bins so small that the increased number is 0 are an error of the order, not of the grid."""
    image = np.full((12, 12), np.nan)
    image[4:6, 4:6] = 1.0
    config = config_with(
        use_polynomial=True, order=4, bin_size=2, undersample_style="INCREASE_NXNYSAMPLE"
    )
    with pytest.raises(OrderError):
        match_background(*of_zero(image), config)


def test_tiles_of_one_pixel_are_no_coverage() -> None:
    """A polynomial needs a tile of two good pixels, where a spline takes a bin of one."""
    image = np.full((40, 40), np.nan)
    image[5::10, 5::10] = 3.0
    spline = match_background(*of_zero(image), config_with(bin_size=10))
    assert (spline.model.image() == 3.0).all()
    with pytest.raises(NoOverlapError):
        match_background(*of_zero(image), config_with(bin_size=10, use_polynomial=True, order=1))


# --- weights


def two_noises(levels: tuple[float, float], sigmas: tuple[float, float]) -> Image:
    """Return two bins of 10 x 10: a level in each, half the pixels above and half below."""
    signs = np.where(np.indices((10, 10)).sum(axis=0) % 2 == 0, 1.0, -1.0)
    halves = [level + sigma * signs for level, sigma in zip(levels, sigmas, strict=True)]
    return np.concatenate(halves, axis=1)


def constant(image: Image, **changes: object) -> float:
    """Return the model of order 0 of an image with bins of 10."""
    config = config_with(**{"use_polynomial": True, "order": 0, "bin_size": 10, **changes})
    model = match_background(*of_zero(image), config).model.image()
    assert (model == model[0, 0]).all()
    return float(model[0, 0])


def test_weights_are_the_inverse_errors() -> None:
    """A bin with a quarter of the error weighs four times as much, not sixteen (LSST's way)."""
    image = two_noises((0.0, 10.0), (1.0, 4.0))
    assert constant(image) == pytest.approx(2.0, rel=1e-6)
    assert constant(image, approx_weighting=False) == pytest.approx(5.0, rel=1e-6)


def test_an_epsilon_over_every_error_takes_the_weights_away() -> None:
    """Weights are used if stdev / sqrt(n) of any tile exceeds grid_stdev_epsilon."""
    image = two_noises((0.0, 10.0), (1.0, 4.0))
    largest = 4.0 / math.sqrt(99)
    assert constant(image, grid_stdev_epsilon=largest * 0.99) == pytest.approx(2.0, rel=1e-6)
    assert constant(image, grid_stdev_epsilon=largest * 1.01) == pytest.approx(5.0, rel=1e-6)


def test_uniform_bins_are_left_out_beside_others() -> None:
    """A bin without an error has no weight as soon as another one has (LSST's way)."""
    image = two_noises((100.0, 10.0), (0.0, 4.0))
    assert constant(image) == pytest.approx(10.0, rel=1e-6)
    assert constant(image, approx_weighting=False) == pytest.approx(55.0, rel=1e-6)
    assert constant(two_noises((100.0, 10.0), (0.0, 0.0))) == pytest.approx(55.0, rel=1e-6)


def test_a_bin_of_one_pixel_counts_without_weights_alone() -> None:
    """Its error is unknown, so a weighted fit leaves it out."""
    image = two_noises((100.0, 10.0), (0.0, 4.0))
    image[:, :10] = np.nan
    image[3, 3] = 100.0
    assert constant(image) == pytest.approx(10.0, rel=1e-6)
    assert constant(image, approx_weighting=False) == pytest.approx(55.0, rel=1e-6)


# --- noise


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("order", [0, 2, 5])
@pytest.mark.parametrize("statistic", ["MEAN", "MEDIAN", "MEANCLIP"])
def test_a_sky_under_noise_is_found_within_its_errors(
    statistic: str, order: int, *, weighted: bool
) -> None:
    """At the bins the squared error is that of a fit: coefficients over bins, in bin errors."""
    shares = [squared_error(seed, statistic, order, weighted=weighted) for seed in range(12)]
    terms = (order + 1) * (order + 2) // 2
    scatter = math.sqrt(2 / (terms * len(shares)))
    assert abs(np.mean(shares) - 1) < 3.5 * scatter + 0.1


def squared_error(seed: int, statistic: str, order: int, *, weighted: bool) -> float:
    """Return the mean squared error of a model at the bins over what is to be expected."""
    shape, rng = (120, 120), np.random.default_rng(seed)
    coefficients = sky(seed, order)
    noise = rng.normal(0, 8, (2, *shape))
    mask = with_bits(np.zeros(shape, dtype=np.int32), rng.random(shape) < 0.1, 3)
    config = config_with(
        use_polynomial=True,
        order=order,
        bin_size=12,
        grid_statistic=statistic,
        approx_weighting=weighted,
    )
    sky_ = stepped(coefficients, shape, (10, 10))
    match = match_background(
        flat(sky_ + noise[0] + 1e5 * (mask != 0), mask), flat(noise[1]), config
    )
    errors = match.model.errors.astype(np.float64)
    centres = slice(6, None, 12)
    left = (match.model.image() - pixels(coefficients, shape))[centres, centres]
    terms = (order + 1) * (order + 2) // 2
    return float((left**2).mean() / ((errors**2).mean() * terms / 100))
