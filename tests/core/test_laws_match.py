"""Laws of a match, whatever the exposures and the settings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import FitProfile, GridStatistic, MaskedImage, Match, MatchConfig, match_background
from tests.core.exposures import (
    LAW,
    PLANES,
    Pair,
    any_configs,
    any_pairs,
    configs,
    each_plane,
    noisy,
    pairs,
    plane,
    polynomials,
    with_bits,
)
from tests.core.matched import assert_same, config_with, figures, matched

MODELS = st.builds(replace, configs() | polynomials(), profile=st.sampled_from(list(FitProfile)))
"""Splines and polynomials that exposures of `pairs` carry, in either profile."""

LINES = ["LINEAR", "NATURAL_SPLINE", "CUBIC_SPLINE"]
"""Styles that are linear in the grid and alike in x and y."""


# --- what is added to an exposure is added to its model


@LAW
@given(pairs(), MODELS, st.integers(-2000, 2000))
def test_a_constant_added_to_the_reference_is_added_to_the_model(
    pair: Pair, config: MatchConfig, constant: int
) -> None:
    """The model moves by what one exposure moves, within float32; the figures stay."""
    moved = replace(pair[0], image=pair[0].image + np.float32(constant))
    check_moved(matched(pair, config), matched((moved, pair[1]), config), constant)


@LAW
@given(pairs(), MODELS, st.integers(-2000, 2000))
def test_a_constant_added_to_the_science_is_taken_from_the_model(
    pair: Pair, config: MatchConfig, constant: int
) -> None:
    """The model moves against what the science exposure moves, within float32."""
    moved = replace(pair[1], image=pair[1].image + np.float32(constant))
    check_moved(matched(pair, config), matched((pair[0], moved), config), -constant)


def check_moved(before: object, after: object, constant: float) -> None:
    """Require the same model but for a constant, and the same figures."""
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    image = before.model.image().astype(np.float64)
    level = max(1.0, np.abs(image).max(), abs(constant))
    tolerance = 200 * np.spacing(np.float32(level))
    np.testing.assert_allclose(after.model.image(), image + constant, atol=tolerance)
    np.testing.assert_allclose(figures(after), figures(before), rtol=1e-3, atol=1e-3)


@LAW
@given(
    st.integers(0, 10_000),
    st.sampled_from([*LINES, "AKIMA_SPLINE"]) | st.integers(1, 4),
    st.integers(-8, 8),
    st.integers(-8, 8),
)
def test_a_plane_added_to_the_reference_is_added_to_the_model(
    seed: int, model: str | int, a: int, b: int
) -> None:
    """So is a plane, for MEAN on equal bins without masks, and polynomials without weights."""
    kind = {"interp_style": model} if isinstance(model, str) else {"order": model}
    config = config_with(
        bin_size=8, use_polynomial=isinstance(model, int), approx_weighting=False, **kind
    )
    pair = noisy(seed, 48, 56, 0.0), noisy(seed + 1, 48, 56, 0.0)
    tilt = plane(48, 56, a / 16, b / 16)
    moved = replace(pair[0], image=pair[0].image + tilt.astype(np.float32))
    before, after = match_background(*pair, config), match_background(moved, pair[1], config)
    image = before.model.image()
    tolerance = 200 * np.spacing(np.float32(np.abs(image).max() + 60))
    np.testing.assert_allclose(after.model.image(), image + tilt, atol=tolerance)
    np.testing.assert_allclose(after.matched_mse, before.matched_mse, rtol=1e-4)


# --- units, roles, names, places


@LAW
@given(pairs(), MODELS, st.integers(-18, 18))
def test_a_power_of_two_scales_everything_exactly(
    pair: Pair, config: MatchConfig, power: int
) -> None:
    """Both exposures times 2^k: the model and fit_rms times 2^k, the variances 4^k, to the bit."""
    factor = np.float32(2.0**power)
    scaled = tuple(
        replace(one, image=one.image * factor, variance=one.variance * factor**2) for one in pair
    )
    floor = replace(config, grid_stdev_epsilon=config.grid_stdev_epsilon * 2.0**power)
    before, after = matched(pair, config), matched((scaled[0], scaled[1]), floor)
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    np.testing.assert_array_equal(after.model.image(), before.model.image() * factor)
    scales = [2.0**power, 4.0**power, 4.0**power]
    expected = [figure * scale for figure, scale in zip(figures(before), scales, strict=True)]
    np.testing.assert_equal(figures(after), expected)


@LAW
@given(pairs(), MODELS)
def test_the_roles_exchanged_negate_the_model(pair: Pair, config: MatchConfig) -> None:
    """Matching the reference to the science gives the negative, with the same figures."""
    there, back = matched(pair, config), matched((pair[1], pair[0]), config)
    if not (isinstance(there, Match) and isinstance(back, Match)):
        assert there == back
        return
    np.testing.assert_array_equal(back.model.image(), -there.model.image())
    np.testing.assert_equal(figures(back), figures(there))


@LAW
@given(any_pairs(), st.data())
def test_an_exposure_matches_itself(pair: Pair, data: st.DataObject) -> None:
    """The model of an exposure and itself is zero everywhere, and nothing is left."""
    match = matched((pair[0], pair[0]), data.draw(any_configs(pair[0].shape)))
    if isinstance(match, Match):
        assert not match.model.image().any()
        assert {match.fit_rms, match.matched_mse} <= {0.0} or math.isnan(match.fit_rms)


@LAW
@given(pairs(), MODELS, st.permutations(range(1, 31)))
def test_masks_are_combined_by_name(pair: Pair, config: MatchConfig, numbers: list[int]) -> None:
    """An exposure whose dictionary numbers its planes otherwise gives the same bits."""
    other = renumbered(pair[1], dict(zip(PLANES, numbers, strict=False)))
    assert_same(matched((pair[0], other), config), matched(pair, config))


def renumbered(exposure: MaskedImage, planes: dict[str, int]) -> MaskedImage:
    """Return an exposure with the same flags under other bit numbers."""
    mask = np.zeros(exposure.shape, dtype=np.int32)
    for name, number in exposure.planes.items():
        mask = with_bits(mask, (exposure.mask >> np.int32(number)) & 1 == 1, planes[name])
    return replace(exposure, mask=mask, planes=planes)


@LAW
@given(pairs(), MODELS)
def test_a_flag_counts_in_either_exposure(pair: Pair, config: MatchConfig) -> None:
    """Flags moved from one exposure to the other give the same bits: the mask is their OR."""
    bits = pair[0].mask | pair[1].mask
    clear = np.zeros_like(bits)
    first = replace(pair[0], mask=bits), replace(pair[1], mask=clear)
    other = replace(pair[0], mask=clear), replace(pair[1], mask=bits)
    expected = matched(pair, config)
    assert_same(matched(first, config), expected)
    assert_same(matched(other, config), expected)


@LAW
@given(pairs(), MODELS, st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999)))
def test_the_origin_has_no_influence(
    pair: Pair, config: MatchConfig, origin: tuple[int, int]
) -> None:
    """Exposures elsewhere in the tract, even at different places, give the same bits."""
    moved = (replace(pair[0], origin=origin), replace(pair[1], origin=origin[::-1]))
    assert_same(matched(moved, config), matched(pair, config))


# --- what is not a number


@LAW
@given(pairs(), MODELS, st.sampled_from([math.nan, math.inf, -math.inf, 3e38]))
def test_pixels_that_are_not_finite_are_as_if_masked(
    pair: Pair, config: MatchConfig, poison: float
) -> None:
    """NaN, infinity and overflow in a pixel do what a mask bit does, and no figure shows them."""
    spots = np.random.default_rng(1).random(pair[0].shape) < 0.1
    huge = np.float32(poison)
    first = replace(pair[0], image=np.where(spots, huge, pair[0].image))
    second = replace(pair[1], image=np.where(spots, -huge, pair[1].image))
    masked = replace(pair[0], mask=with_bits(pair[0].mask, spots, PLANES["NO_DATA"]))
    poisoned, clean = matched((first, second), config), matched((masked, pair[1]), config)
    if not (isinstance(poisoned, Match) and isinstance(clean, Match)):
        assert poisoned == clean
        return
    assert poisoned.model == clean.model
    np.testing.assert_equal(figures(poisoned)[:2], figures(clean)[:2])


@settings(LAW, max_examples=200)
@given(any_pairs(), st.data())
def test_a_model_is_finite_or_an_error(pair: Pair, data: st.DataObject) -> None:
    """Whatever is matched, no pixel of a model is NaN or infinite, nor is a figure infinite."""
    match = matched(pair, data.draw(any_configs(pair[0].shape)))
    if isinstance(match, Match):
        image = match.model.image()
        assert image.dtype == np.float32
        assert image.shape == pair[0].shape
        assert np.isfinite(image).all()
        assert not np.isinf(figures(match)).any()


@LAW
@given(any_pairs(), st.data(), st.sampled_from([math.nan, math.inf, -1.0, 0.0, 1e38]))
def test_variances_reach_one_figure_alone(pair: Pair, data: st.DataObject, variance: float) -> None:
    """Whatever is in the variance planes, the model, fit_rms and matched_mse have the same bits."""
    config = data.draw(any_configs(pair[0].shape))
    other = replace(pair[0], variance=np.full(pair[0].shape, variance, dtype=np.float32))
    before, after = matched(pair, config), matched((other, pair[1]), config)
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    assert before.model == after.model
    np.testing.assert_equal(figures(before)[:2], figures(after)[:2])


# --- what is given stays as it is, however it lies in memory


@LAW
@given(any_pairs(), st.data())
def test_arguments_are_never_modified(pair: Pair, data: st.DataObject) -> None:
    """Read-only planes are enough, and no bit of them differs afterwards."""
    planes = [array for one in pair for array in (one.image, one.mask, one.variance)]
    before = [array.tobytes() for array in planes]
    for array in planes:
        array.setflags(write=False)
    matched(pair, data.draw(any_configs(pair[0].shape)))
    matched(pair, config_with(bin_size=1, undersample_style="THROW_EXCEPTION"))
    assert [array.tobytes() for array in planes] == before


@LAW
@given(pairs(), MODELS)
def test_layout_has_no_influence(pair: Pair, config: MatchConfig) -> None:
    """Columns first in memory, every second pixel of a larger array or backwards: the same bits."""
    first, second = relaid(pair[0], "F"), relaid(pair[1], "S")
    assert_same(matched((first, second), config), matched(pair, config))
    assert_same(matched((relaid(pair[0], "R"), pair[1]), config), matched(pair, config))


def relaid(exposure: MaskedImage, kind: str) -> MaskedImage:
    """Return an exposure whose planes lie as Fortran has them, with strides, or reversed."""
    return each_plane(exposure, lambda array: _relaid(array, kind))


def _relaid(array: NDArray[Any], kind: str) -> NDArray[Any]:
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "R":
        return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), 7, dtype=array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


# --- directions


@LAW
@given(
    st.integers(0, 10_000),
    st.sampled_from([*LINES, "AKIMA_SPLINE"]) | st.integers(0, 4),
    st.sampled_from([0, 1]),
)
def test_exposures_turned_over_have_the_model_turned_over(
    seed: int, model: str | int, axis: int
) -> None:
    """On equal bins without gaps no direction along an axis is preferred, within float32."""
    pair, config = noisy(seed, 48, 56, 0.0), fitted(model)
    science = noisy(seed + 1, 48, 56, 0.0)
    there = match_background(pair, science, config)
    back = match_background(turned(pair, axis), turned(science, axis), config)
    check_alike(back, there, np.flip(there.model.image(), axis))


@LAW
@given(st.integers(0, 10_000), st.sampled_from(LINES) | st.integers(0, 4))
def test_exposures_transposed_have_the_model_transposed(seed: int, model: str | int) -> None:
    """Without gaps x and y are alike for polynomials and splines linear in the grid."""
    first, second = noisy(seed, 48, 57, 0.0), noisy(seed + 1, 48, 57, 0.0)
    config = fitted(model)
    there = match_background(first, second, config)
    across = match_background(transposed(first), transposed(second), config)
    check_alike(across, there, there.model.image().T)


def fitted(model: str | int) -> MatchConfig:
    """Return settings of a spline by its style or of a polynomial by its order."""
    if isinstance(model, str):
        return config_with(bin_size=8, interp_style=model)
    return config_with(bin_size=8, use_polynomial=True, order=model)


def turned(exposure: MaskedImage, axis: int) -> MaskedImage:
    """Return an exposure in the other direction."""
    return each_plane(exposure, lambda array: np.flip(array, axis))


def transposed(exposure: MaskedImage) -> MaskedImage:
    """Return an exposure with x and y exchanged."""
    return each_plane(exposure, np.transpose)


def check_alike(found: Match, other: Match, image: NDArray[np.float32]) -> None:
    """Require an image within float32, and the figures that know no place."""
    tolerance = 100 * np.spacing(np.float32(np.abs(image).max()))
    np.testing.assert_allclose(found.model.image(), image, atol=tolerance)
    np.testing.assert_allclose(found.matched_mse, other.matched_mse, rtol=1e-5)
    np.testing.assert_allclose(found.diff_im_var, other.diff_im_var, rtol=1e-12)


# --- settings that are of no matter


@LAW
@given(pairs(), configs(), polynomials())
def test_the_other_model_s_settings_do_not_matter(
    pair: Pair, spline: MatchConfig, polynomial: MatchConfig
) -> None:
    """A spline knows no order and no weights, a polynomial no style; both choose no reference."""
    cases: tuple[tuple[MatchConfig, dict[str, Any]], ...] = (
        (spline, {"order": 99, "approx_weighting": False, "grid_stdev_epsilon": 3.0}),
        (polynomial, {"interp_style": "LINEAR"}),
        (spline, {"best_ref_weight_level": 1.0, "best_ref_min_coverage": 0.9}),
    )
    for config, other in cases:
        expected, found = matched(pair, config), matched(pair, replace(config, **other))
        if not (isinstance(expected, Match) and isinstance(found, Match)):
            assert expected == found
            continue
        np.testing.assert_array_equal(found.model.image(), expected.model.image())
        np.testing.assert_equal(figures(found), figures(expected))


@pytest.mark.parametrize("statistic", [GridStatistic.MEAN, GridStatistic.MEDIAN])
@LAW
@given(pairs(), MODELS, st.integers(1, 9), st.integers(1, 9))
def test_clipping_is_meanclip_s_and_the_variance_s_alone(
    statistic: GridStatistic, pair: Pair, config: MatchConfig, sigma: int, iterations: int
) -> None:
    """For the other statistics num_sigma_clip and num_iter change diff_im_var and nothing else."""
    plain = replace(config, grid_statistic=statistic)
    before = matched(pair, plain)
    after = matched(pair, replace(plain, num_sigma_clip=sigma, num_iter=iterations))
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    assert before.model == after.model
    np.testing.assert_equal(figures(before)[:2], figures(after)[:2])
