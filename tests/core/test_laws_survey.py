"""Profile survey: each cure of MATCHING.md section 14, on planted skies and by its laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import FitProfile, InterpStyle, Match, MatchConfig, match_background
from core.grid import bin_count, bin_edges
from tests.core.exposures import LAW, Pair, each_plane, flat, noisy, pairs, plane, strips, with_bits
from tests.core.matched import Outcome, config_with, matched

SURVEY = FitProfile.SURVEY
LINEAR_IN_THE_GRID = ["CONSTANT", "LINEAR", "NATURAL_SPLINE", "CUBIC_SPLINE"]


def of_zero(image: NDArray[np.float64]) -> Pair:
    """Return a pair whose difference is an image."""
    return flat(image), flat(np.zeros_like(image))


def transposed(pair: Pair) -> Pair:
    """Return a pair with x and y exchanged."""
    return each_plane(pair[0], np.transpose), each_plane(pair[1], np.transpose)


def check_transposed(pair: Pair, config: MatchConfig) -> None:
    """Require the transposed model of transposed exposures, or the same kind of refusal."""
    there: Outcome = matched(pair, config)
    across: Outcome = matched(transposed(pair), config)
    if not (isinstance(there, Match) and isinstance(across, Match)):
        assert there == across
        return
    expected = there.model.image().T
    level = float(np.abs(expected).max(initial=1.0))
    np.testing.assert_allclose(across.model.image(), expected, atol=1e-5 * level)
    np.testing.assert_array_equal(across.model.values, there.model.values.T)
    assert across.diff_im_var == pytest.approx(there.diff_im_var, rel=1e-12, nan_ok=True)


@LAW
@given(pairs() | strips(), st.sampled_from(LINEAR_IN_THE_GRID), st.integers(4, 16))
def test_splines_are_alike_in_x_and_y(pair: Pair, style: str, bin_size: int) -> None:
    """With gaps or without, x and y exchanged exchange those of the model, for linear styles."""
    check_transposed(pair, config_with(bin_size=bin_size, interp_style=style, profile="survey"))


@LAW
@given(pairs(), st.integers(0, 3), st.booleans())
def test_polynomials_are_alike_in_x_and_y(pair: Pair, order: int, weighted: bool) -> None:
    """So they do for polynomials, with weights or without."""
    config = config_with(use_polynomial=True, order=order, bin_size=5, profile="survey")
    check_transposed(pair, replace(config, approx_weighting=weighted))


@LAW
@given(st.integers(0, 10_000), st.integers(3, 30), st.integers(20, 70), st.integers(20, 70))
def test_constant_is_the_pixel_s_own_cell(
    seed: int, bin_size: int, height: int, width: int
) -> None:
    """Each pixel of CONSTANT has the value of the bin that it is in, however uneven the bins."""
    config = config_with(bin_size=bin_size, interp_style="CONSTANT", profile="survey")
    match = match_background(noisy(seed, height, width, 0.0), noisy(1, height, width, 0.0), config)
    sides = [np.diff(bin_edges(one, bin_count(one, bin_size))) for one in (height, width)]
    expected = match.model.values.repeat(sides[0], axis=0).repeat(sides[1], axis=1)
    np.testing.assert_array_equal(match.model.image(), expected)


@pytest.mark.parametrize("style", [style for style in InterpStyle if style != "CONSTANT"])
@pytest.mark.parametrize("gap", ["left", "corner", "middle", "scattered", "ring"])
def test_a_plane_is_continued_into_any_gap(style: str, gap: str) -> None:
    """A plane is found on every pixel, whichever bins are empty."""
    truth = plane(120, 120, 0.3, -0.2, 50.0)
    image = np.where(np.kron(gaps(gap), np.ones((10, 10), dtype=bool)), np.nan, truth)
    config = config_with(bin_size=10, interp_style=style, profile="survey")
    match = match_background(*of_zero(image), config)
    np.testing.assert_allclose(match.model.image(), truth, atol=2e-4)


def gaps(kind: str) -> NDArray[np.bool_]:
    """Return which of 12 x 12 bins are empty."""
    empty = np.zeros((12, 12), dtype=np.bool_)
    if kind == "left":
        empty[:, :5] = True
    elif kind == "corner":
        empty[:7, 6:] = True
    elif kind == "middle":
        empty[4:9, 3:8] = True
    elif kind == "ring":
        empty[:] = True
        empty[4:8, 4:8] = False
    else:
        empty |= np.random.default_rng(1).random((12, 12)) < 0.6
    return empty


@pytest.mark.parametrize("axis", [0, 1])
def test_long_gaps_stay_in_the_order_of_the_noise(axis: int) -> None:
    """Ten empty bins of noise blow up by tens under LSST's Akima, and stay small here."""
    assert largest_beside_a_gap("lsst", axis) > 50
    assert largest_beside_a_gap("survey", axis) < 6


def largest_beside_a_gap(profile: str, axis: int) -> float:
    """Return the largest pixel of models of bins of unit noise, the first ten empty."""
    rng, config, largest = np.random.default_rng(8), config_with(bin_size=6, profile=profile), 0.0
    for _ in range(6):
        image = rng.normal(0, 1, (16, 16)).repeat(6, axis=0).repeat(6, axis=1)
        image[:60] = np.nan
        match = match_background(*of_zero(np.moveaxis(image, 0, axis)), config)
        largest = max(largest, float(np.abs(match.model.image()).max()))
    return largest


# --- weights


def noises(levels: list[float], sigmas: list[float]) -> NDArray[np.float64]:
    """Return bins of 10 x 10 in a row: a level in each, half the pixels above and half below."""
    signs = np.where(np.indices((10, 10)).sum(axis=0) % 2 == 0, 1.0, -1.0)
    halves = [level + sigma * signs for level, sigma in zip(levels, sigmas, strict=True)]
    return np.concatenate(halves, axis=1)


def constant(image: NDArray[np.float64], **changes: Any) -> float:
    """Return the model of order 0 of an image with bins of 10."""
    config = {"use_polynomial": True, "order": 0, "bin_size": 10, "profile": "survey", **changes}
    model = match_background(*of_zero(image), config_with(**config)).model.image()
    assert (model == model[0, 0]).all()
    return float(model[0, 0])


def test_weights_are_the_inverse_variances() -> None:
    """A bin with four times the error weighs a sixteenth, where LSST's weighs a quarter."""
    image = noises([0.0, 0.0, 0.0, 10.0], [1.0, 1.0, 1.0, 4.0])
    assert constant(image) == pytest.approx(10 / 16 / (3 + 1 / 16), rel=1e-6)
    assert constant(image, profile="lsst") == pytest.approx(10 / 4 / (3 + 1 / 4), rel=1e-6)
    assert constant(image, approx_weighting=False) == pytest.approx(2.5, rel=1e-6)


def test_uniform_bins_count_as_half_the_typical_noise() -> None:
    """A bin without scatter counts four times an ordinary one, where LSST's drops out."""
    image = noises([100.0, 10.0, 10.0], [0.0, 4.0, 4.0])
    assert constant(image) == pytest.approx((400 + 20) / 6, rel=1e-6)
    assert constant(image, profile="lsst") == pytest.approx(10.0, rel=1e-6)


def test_a_bin_of_one_pixel_has_the_typical_noise() -> None:
    """A bin of one pixel counts as one pixel, where LSST's drops out."""
    image = noises([100.0, 10.0, 10.0], [4.0, 4.0, 4.0])
    image[:, :10] = np.nan
    image[3, 3] = 100.0
    assert constant(image) == pytest.approx((100 + 200 * 10) / 201, rel=1e-6)
    assert constant(image, profile="lsst") == pytest.approx(10.0, rel=1e-6)


def test_a_saturated_half_of_the_sky_is_not_forgotten() -> None:
    """Uniform bins on one side and noise on the other: the level of both is found."""
    rng = np.random.default_rng(4)
    truth = plane(80, 80, 0.1, 0.0, 20.0)
    image = truth + rng.normal(0, 1, truth.shape)
    image[:, :40] = np.repeat(np.repeat(truth[5::10, 5:40:10], 10, axis=0), 10, axis=1)
    config = config_with(use_polynomial=True, order=1, bin_size=10, profile="survey")
    found = match_background(*of_zero(image), config).model.image()
    np.testing.assert_allclose(found, truth, atol=0.5)


def test_masks_do_not_tell_the_profiles_apart() -> None:
    """Both profiles have the same grid, figures of the noise and coverage."""
    mask = with_bits(np.zeros((60, 60), dtype=np.int32), np.indices((60, 60))[0] > 40, 0)
    pair = replace(noisy(1, 60, 60), mask=mask), noisy(2, 60, 60)
    ours, theirs = (
        match_background(*pair, config_with(bin_size=10, profile=profile)) for profile in FitProfile
    )
    np.testing.assert_array_equal(ours.model.values, theirs.model.values)
    np.testing.assert_array_equal(ours.model.errors, theirs.model.errors)
    assert ours.diff_im_var == theirs.diff_im_var
    assert {ours.model.profile, theirs.model.profile} == {*FitProfile}
