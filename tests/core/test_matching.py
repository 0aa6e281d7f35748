"""Matches of planted skies: truth, the plain twin, and laws."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import (
    CoreError,
    DimensionError,
    InterpolationError,
    MaskedImage,
    Match,
    MatchConfig,
    MissingExposureError,
    ModelOverflowError,
    NoExposuresError,
    NoOverlapError,
    NoReferenceError,
    match_background,
    match_backgrounds,
    select_reference,
)
from core.grid import bin_centres, bin_count
from tests.core import golden, twins
from tests.core.exposures import LAW, PLANES, configs, flat, noisy, pairs, plane, with_bits

STATISTICS = ["MEAN", "MEDIAN", "MEANCLIP"]
SMOOTH = ["LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"]
Pair = tuple[MaskedImage, MaskedImage]


def settings(**values: object) -> MatchConfig:
    """Return settings, choices as strings."""
    return MatchConfig.from_mapping(values)


def matched(pair: Pair, config: MatchConfig) -> Match | type[CoreError]:
    """Return the match, or the kind of error that it ended in."""
    try:
        return match_background(*pair, config)
    except CoreError as error:
        return type(error)


def assert_same(ours: Match | type[CoreError], theirs: Match | type[CoreError]) -> None:
    """Require the same bits, or the same kind of error."""
    if isinstance(ours, Match) and isinstance(theirs, Match):
        assert ours.model == theirs.model
        np.testing.assert_equal(figures(ours), figures(theirs))
    else:
        assert ours == theirs


def figures(match: Match) -> list[float]:
    """Return the three figures of a match."""
    return [match.fit_rms, match.matched_mse, match.diff_im_var]


# --- planted truth


@pytest.mark.parametrize("style", ["CONSTANT", *SMOOTH])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_constant_difference_is_found_exactly(style: str, statistic: str) -> None:
    """A constant offset is the model on every pixel, and nothing is left of it."""
    sky = np.random.default_rng(1).integers(-50, 50, (120, 140)).astype(np.float32)
    config = settings(bin_size=20, interp_style=style, grid_statistic=statistic)
    match = match_background(flat(sky + 17.25), flat(sky), config)
    np.testing.assert_array_equal(match.model.image(), np.full(sky.shape, np.float32(17.25)))
    assert figures(match) == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("style", SMOOTH)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_plane_is_found_to_its_edges(style: str, statistic: str) -> None:
    """A plane is the model within float32, on bins of uneven size and in the outer half bins."""
    truth = plane(151, 173, 0.03, -0.02, 5.0)
    config = settings(bin_size=25, interp_style=style, grid_statistic=statistic)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config)
    np.testing.assert_allclose(match.model.image(), truth, atol=2e-5)


def test_fit_rms_of_a_plane_is_half_its_slope() -> None:
    """A noise-free plane a x + b y has fit_rms |a + b| / 2, as tiles sit half a pixel off."""
    truth = plane(160, 160, 0.25, 0.5)
    config = settings(bin_size=20, interp_style="LINEAR")
    match = match_background(flat(truth), flat(np.zeros_like(truth)), config)
    assert match.fit_rms == pytest.approx(0.375, rel=1e-5)


@pytest.mark.parametrize("style", SMOOTH)
def test_a_plane_is_found_across_gaps(style: str) -> None:
    """Empty bins, an empty column and an empty corner are filled on the plane."""
    truth = plane(240, 240, 0.03, -0.02, 5.0)
    holed = truth.copy()
    holed[40:80, 80:120] = holed[:, 160:200] = holed[:80, :40] = np.nan
    config = settings(bin_size=40, interp_style=style)
    match = match_background(flat(holed), flat(np.zeros_like(truth)), config)
    assert np.isnan(match.model.values).sum() == 9
    np.testing.assert_allclose(match.model.image(), truth, atol=1e-4)


@pytest.mark.parametrize("style", SMOOTH)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_wave_under_noise_and_gaps_is_found_within_its_errors(style: str, statistic: str) -> None:
    """The grid's pulls against a planted sinusoid are those of its own errors."""
    pulls = []
    config = settings(bin_size=32, interp_style=style, grid_statistic=statistic)
    for seed in range(4):
        match, truth = noisy_wave(seed, config)
        assert np.isfinite(match.model.image()).all()
        assert np.abs(match.model.image() - truth)[truth != 0].mean() < 0.5
        pulls.append(((match.model.values - cell_means(truth, 32)) / match.model.errors).ravel())
    together = np.concatenate(pulls)
    together = together[np.isfinite(together)]
    assert 0.85 < (together**2).mean() < 1.15
    assert abs(together.mean()) < 0.15


def noisy_wave(seed: int, config: MatchConfig) -> tuple[Match, NDArray[np.float64]]:
    """Return the match of a sinusoid under unit noise with a gap, and the sinusoid."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:320, :288]
    truth = np.sin(2 * np.pi * x / 300) * np.cos(2 * np.pi * y / 400) + 3
    noise = rng.normal(0, 5, (2, *truth.shape))
    mask = with_bits(np.zeros(truth.shape, dtype=np.int32), rng.random(truth.shape) < 0.1, 3)
    mask = with_bits(mask, (x > 96) & (x < 160) & (y < 64), 0)
    stars = np.where(mask != 0, 1e5, 0.0)
    reference = flat(truth + noise[0] + stars, mask, 25.0)
    return match_background(reference, flat(noise[1], variance=25.0), config), truth


def cell_means(image: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the means of square cells that divide the image."""
    height, width = image.shape
    cells = image.reshape(height // size, size, width // size, size)
    return np.asarray(cells.mean(axis=(1, 3)))


def test_the_figures_of_pure_noise_are_its_variance() -> None:
    """With an exact variance plane matched_mse and diff_im_var are both the planted variance."""
    match, _ = noisy_wave(9, settings(bin_size=64, grid_statistic="MEANCLIP"))
    assert match.diff_im_var == 50.0
    assert match.matched_mse == pytest.approx(50.0, rel=0.02)
    assert match.fit_rms == pytest.approx(0.0, abs=0.3)


def test_masked_pixels_do_not_matter() -> None:
    """What is under a bad plane changes no bit; under another plane it does."""
    first, second = noisy(4, 60, 60, 0.0), noisy(5, 60, 60, 0.0)
    spot = np.zeros(first.shape, dtype=bool)
    spot[20:30, 20:30] = True
    bright = np.where(spot, np.float32(1e6), first.image)
    for name, same in (("DETECTED", True), ("EDGE", False)):
        mask = with_bits(first.mask, spot, PLANES[name])
        dark = replace(first, mask=mask)
        star = replace(dark, image=bright)
        matches = [match_background(one, second, settings(bin_size=12)) for one in (dark, star)]
        assert (matches[0].model == matches[1].model) == same


# --- the plain twin


@LAW
@given(pairs(), configs())
def test_a_match_agrees_with_the_twin(pair: Pair, config: MatchConfig) -> None:
    """Grid, model and figures are those of the plain loops."""
    match = matched(pair, config)
    if not isinstance(match, Match):
        assert match == NoOverlapError
        return
    expected = twins.match(*pair, config)
    assert golden.ulps(match.model.values, np.array(expected.values, np.float32), 1e-2) <= 1
    assert golden.ulps(match.model.errors, np.array(expected.errors, np.float32), 1e-2) <= 1
    assert match.model.counts.tolist() == expected.counts
    model = np.array(expected.model)
    np.testing.assert_allclose(match.model.image(), model, atol=1e-5 * np.abs(model).max())
    theirs = [expected.fit_rms, expected.matched_mse, expected.diff_im_var]
    np.testing.assert_allclose(figures(match), theirs, rtol=1e-4, atol=1e-3)


# --- laws


@LAW
@given(pairs(), configs(), st.integers(-2000, 2000))
def test_a_constant_added_to_the_reference_is_added_to_the_model(
    pair: Pair, config: MatchConfig, constant: int
) -> None:
    """The model moves by what one exposure moves, within float32; the figures stay."""
    moved = replace(pair[0], image=pair[0].image + np.float32(constant))
    before, after = matched(pair, config), matched((moved, pair[1]), config)
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    image = before.model.image().astype(np.float64)
    level = max(1.0, np.abs(image).max(), abs(constant))
    tolerance = 200 * np.spacing(np.float32(level))
    np.testing.assert_allclose(after.model.image(), image + constant, atol=tolerance)
    np.testing.assert_allclose(figures(after), figures(before), rtol=1e-3, atol=1e-3)


@LAW
@given(pairs(), configs(), st.integers(-30, 30))
def test_a_power_of_two_scales_everything_exactly(
    pair: Pair, config: MatchConfig, power: int
) -> None:
    """Both exposures times 2^k: the model and fit_rms times 2^k, the variances 4^k, to the bit."""
    factor = np.float32(2.0**power)
    scaled = tuple(
        replace(one, image=one.image * factor, variance=one.variance * factor**2) for one in pair
    )
    before, after = matched(pair, config), matched((scaled[0], scaled[1]), config)
    if not (isinstance(before, Match) and isinstance(after, Match)):
        assert before == after
        return
    np.testing.assert_array_equal(after.model.image(), before.model.image() * factor)
    scales = [2.0**power, 4.0**power, 4.0**power]
    expected = [figure * scale for figure, scale in zip(figures(before), scales, strict=True)]
    np.testing.assert_equal(figures(after), expected)


@LAW
@given(pairs(), configs())
def test_the_roles_exchanged_negate_the_model(pair: Pair, config: MatchConfig) -> None:
    """Matching the reference to the science gives the negative, with the same figures."""
    there, back = matched(pair, config), matched((pair[1], pair[0]), config)
    if not (isinstance(there, Match) and isinstance(back, Match)):
        assert there == back
        return
    np.testing.assert_array_equal(back.model.image(), -there.model.image())
    np.testing.assert_equal(figures(back), figures(there))


@LAW
@given(pairs(), configs(), st.permutations(range(1, 31)))
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
@given(pairs(), configs(), st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999)))
def test_the_origin_has_no_influence(
    pair: Pair, config: MatchConfig, origin: tuple[int, int]
) -> None:
    """Exposures elsewhere in the tract, even at different places, give the same bits."""
    moved = (replace(pair[0], origin=origin), replace(pair[1], origin=origin[::-1]))
    assert_same(matched(moved, config), matched(pair, config))


@LAW
@given(pairs(), configs(), st.sampled_from([math.nan, math.inf, -math.inf, 3e38]))
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
    assert np.isfinite(poisoned.model.image()).all()
    assert not np.isinf(figures(poisoned)).any()


@LAW
@given(pairs(), configs())
def test_arguments_are_never_modified(pair: Pair, config: MatchConfig) -> None:
    """Read-only planes are enough, and no pixel of them differs afterwards."""
    copies = [(one.image.copy(), one.mask.copy(), one.variance.copy()) for one in pair]
    for one in pair:
        for array in (one.image, one.mask, one.variance):
            array.setflags(write=False)
    matched(pair, config)
    select_reference(pair, config)
    for one, (image, mask, variance) in zip(pair, copies, strict=True):
        np.testing.assert_array_equal(one.image, image)
        np.testing.assert_array_equal(one.mask, mask)
        np.testing.assert_array_equal(one.variance, variance)


@LAW
@given(pairs(), configs())
def test_layout_has_no_influence(pair: Pair, config: MatchConfig) -> None:
    """Columns first in memory, or every second pixel of a larger array, gives the same bits."""
    fortran = replace(pair[0], image=np.asfortranarray(pair[0].image))
    wide = np.zeros((pair[1].shape[0], 2 * pair[1].shape[1]), dtype=np.float32)
    wide[:, ::2] = pair[1].image
    strided = replace(pair[1], image=wide[:, ::2])
    assert_same(matched((fortran, strided), config), matched(pair, config))


@LAW
@given(st.permutations(range(4)), configs())
def test_exposures_of_a_run_have_no_order(order: list[int], config: MatchConfig) -> None:
    """Another order of the exposures gives the same results in that order."""
    exposures: list[MaskedImage | None] = [noisy(seed, 40, 40) for seed in range(3)]
    exposures.append(None)
    first = match_backgrounds(exposures, config)
    other = match_backgrounds([exposures[place] for place in order], config)
    for place, result in zip(order, other, strict=True):
        expected = first[place]
        assert result.is_reference == expected.is_reference
        assert result.model == expected.model
        assert (result.fit_rms, result.matched_mse) == (expected.fit_rms, expected.matched_mse)


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
    config = settings(bin_size=10, undersample_style=undersample)
    with pytest.raises(NoOverlapError) as caught:
        match_background(flat(left), flat(right), config)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("undersample", ["THROW_EXCEPTION", "INCREASE_NXNYSAMPLE"])
def test_too_few_bins_are_refused_unless_reducing_is_allowed(undersample: str) -> None:
    """An empty column of bins is an error where the style may not be reduced."""
    holed = plane(100, 100, 1.0, 1.0)
    holed[:, 40:50] = np.nan
    config = settings(bin_size=10, undersample_style=undersample)
    with pytest.raises(InterpolationError, match="AKIMA_SPLINE"):
        match_background(flat(holed), flat(np.zeros_like(holed)), config)


def test_levels_beyond_float32_are_refused() -> None:
    """A model that would overflow is an error, not an infinity in somebody's image."""
    sky = plane(50, 60, 0.0, 0.0)
    sky[:, :20], sky[:, 20:40], sky[:, 40:] = -3e38, 0.0, 3e38
    config = settings(bin_size=20, interp_style="LINEAR")
    with pytest.raises(ModelOverflowError):
        match_background(flat(sky), flat(np.zeros_like(sky)), config)


# --- odd but answered


def test_a_bin_larger_than_the_image_is_one_bin() -> None:
    """As in LSST, the whole image is then one bin and the model constant."""
    match = match_background(noisy(1, 30, 40), noisy(2, 30, 40), settings(bin_size=1000))
    assert match.model.values.shape == (1, 1)
    assert match.model.style_used == "CONSTANT"
    assert (match.model.image() == match.model.values[0, 0]).all()


def test_bins_of_one_pixel_have_values_and_no_errors() -> None:
    """The finest grid is the difference itself; no tile has two pixels, so fit_rms is NaN."""
    truth = plane(12, 9, 0.5, 0.25)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), settings(bin_size=1))
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
    assert match_background(odd, flat(image), settings(bin_size=10)).diff_im_var == -1.0
    none = replace(odd, variance=np.full_like(variance, np.nan))
    assert math.isnan(match_background(none, flat(image), settings(bin_size=10)).diff_im_var)


def test_a_plane_that_is_missing_in_a_file_is_absent() -> None:
    """An exposure that defines no planes has no bad pixels, whatever its mask holds."""
    first = noisy(3, 40, 40, 0.0)
    flagged = replace(first, mask=np.full(first.shape, -1, dtype=np.int32), planes={})
    config = settings(bin_size=10)
    second = noisy(4, 40, 40, 0.0)
    assert_same(matched((flagged, second), config), matched((first, second), config))


# --- runs


def test_a_run_matches_all_to_the_chosen_reference() -> None:
    """Each result is that of its pair; the reference's is empty; the choice is told."""
    exposures = [noisy(seed, 50, 40, 0.1) for seed in range(4)]
    config = settings(bin_size=10)
    results = match_backgrounds(exposures, config)
    chosen = select_reference(exposures, config)
    assert results.choice == chosen
    assert len(results) == len(exposures)
    for place, (exposure, result) in enumerate(zip(exposures, results, strict=True)):
        assert result.is_reference == (place == chosen.index)
        if result.is_reference:
            assert (result.model, result.fit_rms, result.error) == (None, None, None)
            continue
        match = match_background(exposures[chosen.index], exposure, config)
        assert result.model == match.model
        assert [result.fit_rms, result.matched_mse, result.diff_im_var] == figures(match)


def test_one_failure_never_stops_the_others() -> None:
    """A missing, a foreign and an empty exposure fail alone, each with its reason."""
    good = [noisy(seed, 50, 40, 0.1) for seed in range(2)]
    exposures = [good[0], None, noisy(3, 9, 9), flat(np.full((50, 40), np.nan)), good[1]]
    results = match_backgrounds(exposures, settings(bin_size=10), reference=0)
    kinds = [type(result.error) for result in results]
    nothing = type(None)
    assert kinds == [nothing, MissingExposureError, DimensionError, NoOverlapError, nothing]
    assert [result.model is None for result in results] == [True, True, True, True, False]
    assert results.choice is None
    assert results[0].is_reference
    assert [result.error for result in results[1:2]] == [results[1].error]


def test_a_given_reference_must_exist() -> None:
    """A reference beyond the exposures, or missing, is refused; so is a run of nothing."""
    exposures = [noisy(1, 20, 20), None]
    for index in (2, -1, 1):
        with pytest.raises(NoReferenceError, match=str(index)):
            match_backgrounds(exposures, MatchConfig(), reference=index)
    with pytest.raises(NoExposuresError):
        match_backgrounds([], MatchConfig())


def test_a_full_patch_takes_seconds() -> None:
    """Grid and image of a large patch agree with its truth: nothing grows with pixels but time."""
    truth = plane(1500, 1300, 1e-3, -2e-3, 4.0)
    match = match_background(flat(truth), flat(np.zeros_like(truth)), settings(bin_size=128))
    assert match.model.values.shape == (bin_count(1500, 128), bin_count(1300, 128))
    assert bin_centres(1500, bin_count(1500, 128)).size == 12
    np.testing.assert_allclose(match.model.image(), truth, atol=1e-4)
