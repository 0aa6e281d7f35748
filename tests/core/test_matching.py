"""Matches at the border of what can be matched: refused, or odd but answered."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core import (
    CoreError,
    DimensionError,
    InterpolationError,
    MatchConfig,
    ModelOverflowError,
    NoOverlapError,
    SplineBackground,
    match_background,
)
from core.grid import bin_count
from tests.core.exposures import flat, noisy, plane
from tests.core.matched import assert_same, config_with, matched

# --- refusals


def test_other_dimensions_are_refused() -> None:
    """Two exposures of different shape are a RuntimeError with both shapes."""
    with pytest.raises(DimensionError, match=r"\(20, 31\).*\(20, 30\)") as caught:
        match_background(noisy(1, 20, 30), noisy(2, 20, 31), MatchConfig())
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("undersample", ["REDUCE_INTERP_ORDER", "THROW_EXCEPTION"])
def test_exposures_that_share_no_pixel_do_not_overlap(undersample: str) -> None:
    """Without a good pixel in common there is a NoOverlapError, whatever the undersample style."""
    image = np.ones((100, 100))
    left, right = image.copy(), image.copy()
    left[:, 50:] = right[:, :50] = np.nan
    config = config_with(bin_size=10, undersample_style=undersample)
    with pytest.raises(NoOverlapError) as caught:
        match_background(flat(left), flat(right), config)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("undersample", ["THROW_EXCEPTION", "INCREASE_NXNYSAMPLE"])
def test_too_few_bins_are_refused_unless_reducing_is_allowed(undersample: str) -> None:
    """An empty column of bins is an error where the style may not be reduced."""
    holed = plane(100, 100, 1.0, 1.0)
    holed[:, 40:50] = np.nan
    config = config_with(bin_size=10, undersample_style=undersample)
    with pytest.raises(InterpolationError, match="AKIMA_SPLINE"):
        match_background(flat(holed), flat(np.zeros_like(holed)), config)


def test_levels_beyond_float32_are_refused() -> None:
    """A model that would overflow is an error, not an infinity in somebody's image."""
    sky = plane(50, 60, 0.0, 0.0)
    sky[:, :20], sky[:, 20:40], sky[:, 40:] = -3e38, 0.0, 3e38
    config = config_with(bin_size=20, interp_style="LINEAR")
    with pytest.raises(ModelOverflowError):
        match_background(flat(sky), flat(np.zeros_like(sky)), config)


# --- odd but answered


def test_a_bin_larger_than_the_image_is_one_bin() -> None:
    """As in LSST, the whole image is then one bin and the model constant."""
    match = match_background(noisy(1, 30, 40), noisy(2, 30, 40), config_with(bin_size=1000))
    assert match.model.values.shape == (1, 1)
    assert isinstance(match.model, SplineBackground)
    assert match.model.style_used == "CONSTANT"
    assert (match.model.image() == match.model.values[0, 0]).all()


def test_bins_of_one_pixel_have_values_and_no_errors() -> None:
    """The finest grid is the difference itself; no tile has two pixels, so fit_rms is NaN."""
    truth = plane(12, 9, 0.5, 0.25)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config_with(bin_size=1))
    np.testing.assert_allclose(match.model.image(), truth, atol=1e-6)
    assert np.isnan(match.model.errors).all()
    assert math.isnan(match.fit_rms)


def test_a_single_pixel_is_matched() -> None:
    """One good pixel is a model; what needs two is NaN."""
    match = match_background(flat(np.array([[5.0]])), flat(np.array([[2.0]])), MatchConfig())
    assert match.model.image().tolist() == [[3.0]]
    assert math.isnan(match.fit_rms)
    assert math.isnan(match.matched_mse)


def test_variances_that_are_not_finite_are_left_out() -> None:
    """NaN and infinite variances do not reach diff_im_var; negative ones are LSST's numbers."""
    image = np.random.default_rng(2).normal(0, 1, (40, 40))
    variance = np.full((40, 40), -2.0, dtype=np.float32)
    variance[0, :3] = np.nan, np.inf, -np.inf
    odd = replace(flat(image), variance=variance)
    assert match_background(odd, flat(image), config_with(bin_size=10)).diff_im_var == -1.0
    none = replace(odd, variance=np.full_like(variance, np.nan))
    assert math.isnan(match_background(none, flat(image), config_with(bin_size=10)).diff_im_var)


def test_a_plane_that_is_missing_in_a_file_is_absent() -> None:
    """An exposure that defines no planes has no bad pixels, whatever its mask holds."""
    first = noisy(3, 40, 40, 0.0)
    flagged = replace(first, mask=np.full(first.shape, -1, dtype=np.int32), planes={})
    config = config_with(bin_size=10)
    second = noisy(4, 40, 40, 0.0)
    assert_same(matched((flagged, second), config), matched((first, second), config))


def test_a_full_patch_takes_seconds() -> None:
    """Grid and image of a large patch agree with its truth: nothing grows with pixels but time."""
    truth = plane(1500, 1300, 1e-3, -2e-3, 4.0)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config_with(bin_size=128))
    assert match.model.values.shape == (bin_count(1500, 128), bin_count(1300, 128))
    np.testing.assert_allclose(match.model.image(), truth, atol=1e-4)


@pytest.mark.parametrize("name", ["reference", "science", "config"])
def test_an_argument_of_another_kind_is_named(name: str) -> None:
    """What is no exposure or no configuration is refused by its argument's name."""
    exposure = flat(np.zeros((8, 8)))
    arguments: dict[str, Any] = {
        "reference": exposure,
        "science": exposure,
        "config": MatchConfig(),
    }
    arguments[name] = None
    with pytest.raises(CoreError, match=f"^{name} "):
        match_background(**arguments)
