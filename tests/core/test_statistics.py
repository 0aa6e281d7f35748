"""Statistics of pixels against LSST's output, against the plain twin, and by their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import GridStatistic, MatchConfig
from core.statistics import (
    Clip,
    Moments,
    clipped_moments,
    estimate,
    plain_moments,
    quantiles,
)
from tests.core import golden, twins
from tests.core.exposures import LAW

SAMPLES = st.lists(st.floats(-1e4, 1e4, width=32), max_size=40)
QUANTISED = st.lists(st.integers(-400, 400).map(lambda n: n / 16), min_size=1, max_size=40)
CLIPS = st.builds(Clip, st.integers(1, 4), st.integers(1, 5))


def pixels(values: list[float]) -> NDArray[np.float32]:
    """Return values as accepted pixels."""
    return np.array(values, dtype=np.float32)


def close(ours: float, theirs: float, relative: float = 1e-9, absolute: float = 0.0) -> bool:
    """Return whether two figures agree, NaN with NaN."""
    if math.isnan(theirs):
        return math.isnan(ours)
    return math.isclose(ours, theirs, rel_tol=relative, abs_tol=absolute)


def same_moments(ours: Moments, theirs: tuple[int, float, float]) -> bool:
    """Return whether moments agree, the variance within the rounding of its own level."""
    spread = 1e-12 * max(1.0, theirs[1] ** 2) if theirs[0] else 0.0
    return (
        ours.count == theirs[0]
        and close(ours.mean, theirs[1], absolute=1e-9)
        and close(ours.variance, theirs[2], absolute=spread)
    )


@pytest.mark.shared
def test_statistics_are_lsst_s() -> None:
    """Value and error of every statistic agree with the compiled LSST code."""
    case = golden.load("u_stats.npz")
    names = case["names"].tolist()
    start = 0
    for row, length in enumerate(case["length"].tolist()):
        part = slice(start, start + length)
        start += length
        data, mask = case["data"][part], case["mask"][part]
        clip = Clip(float(case["numSigmaClip"][row]), int(case["numIter"][row]))
        expected = dict(zip(names, case["result"][row].tolist(), strict=True))
        check_statistics(data[np.isfinite(data) & ((mask & 32) == 0)], clip, expected)


def check_statistics(
    accepted: NDArray[np.float32], clip: Clip, expected: dict[str, list[float]]
) -> None:
    """Compare all that this project computes of one set of pixels."""
    plain, clipped = plain_moments(accepted), clipped_moments(accepted, clip)
    lower, upper = quantiles(accepted, (0.25, 0.75))
    assert plain.count == expected["NPOINT"][0]
    assert close(plain.variance, expected["VARIANCE"][0])
    assert close(plain.stdev, expected["STDEV"][0])
    assert close(plain.mean_square, expected["MEANSQUARE"][0])
    assert close(clipped.variance, expected["VARIANCECLIP"][0])
    assert close(clipped.stdev, expected["STDEVCLIP"][0])
    assert close(upper - lower, expected["IQRANGE"][0])
    assert plain.count - clipped.count == expected["NCLIPPED"][0]
    for statistic in GridStatistic:
        found = estimate(accepted, statistic, clip)
        assert close(found.value, expected[statistic][0])
        assert close(found.error, expected[statistic][1])


@LAW
@given(SAMPLES)
def test_moments_agree_with_the_twin(values: list[float]) -> None:
    """Count, mean and variance are those of the plain loop."""
    sample = pixels(values)
    assert same_moments(plain_moments(sample), twins.plain_moments(sample.tolist()))


@LAW
@given(SAMPLES, st.floats(0, 1))
def test_quantiles_agree_with_the_twin_and_numpy(values: list[float], fraction: float) -> None:
    """A quantile is the sorted sample's, interpolated linearly."""
    sample = pixels(values)
    (found,) = quantiles(sample, (fraction,))
    assert close(found, twins.quantile(sample.tolist(), fraction), absolute=1e-9)
    if values:
        assert close(found, float(np.quantile(sample.astype(float), fraction)), absolute=1e-9)


@LAW
@given(QUANTISED, CLIPS)
def test_clipping_agrees_with_the_twin(values: list[float], clip: Clip) -> None:
    """Clipping leaves the same pixels and the same moments as the plain loop."""
    found = clipped_moments(pixels(values), clip)
    assert same_moments(found, twins.clipped_moments(values, clip.sigma, clip.iterations))


@LAW
@given(QUANTISED, st.sampled_from(list(GridStatistic)))
def test_an_estimate_agrees_with_the_twin(values: list[float], statistic: GridStatistic) -> None:
    """A bin's value and error are those of the plain loop, whatever the statistic."""
    found = estimate(pixels(values), statistic, Clip(3, 2))
    value, error = twins.statistic(values, MatchConfig(grid_statistic=statistic))
    assert close(found.value, value, absolute=1e-9)
    assert close(found.error, error, absolute=1e-7)


@LAW
@given(QUANTISED, st.integers(-20, 20), CLIPS)
def test_a_power_of_two_scales_every_statistic_exactly(
    values: list[float], power: int, clip: Clip
) -> None:
    """Pixels times 2^k give values and errors times 2^k to the last bit."""
    for statistic in GridStatistic:
        found = estimate(pixels(values), statistic, clip)
        scaled = estimate(pixels(values) * np.float32(2.0**power), statistic, clip)
        np.testing.assert_equal(scaled.value, found.value * 2.0**power)
        np.testing.assert_equal(scaled.error, found.error * 2.0**power)


@LAW
@given(QUANTISED, st.randoms(use_true_random=False))
def test_exact_pixels_have_no_order(values: list[float], shuffler: object) -> None:
    """Where sums are exact, the order of the pixels does not matter to the last bit."""
    shuffled = list(values)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert quantiles(pixels(shuffled), (0.5,)) == quantiles(pixels(values), (0.5,))
    assert close(
        plain_moments(pixels(shuffled)).mean, plain_moments(pixels(values)).mean, absolute=1e-12
    )


def test_many_blocks_are_one_sample() -> None:
    """Moments of a sample longer than any block are the sample's."""
    sample = np.random.default_rng(3).normal(1e4, 1.0, 300_001).astype(np.float32)
    found = plain_moments(sample)
    wide = sample.astype(np.float64)
    assert found.count == sample.size
    assert close(found.mean, float(wide.mean()), relative=1e-13)
    assert close(found.variance, float(wide.var(ddof=1)), relative=1e-12)


def test_no_pixels_have_no_figures() -> None:
    """Without pixels every figure is NaN and the count 0."""
    for statistic in GridStatistic:
        found = estimate(pixels([]), statistic, Clip(3, 2))
        assert math.isnan(found.value)
        assert math.isnan(found.error)
        assert found.plain.count == 0
    assert math.isnan(plain_moments(pixels([])).mean_square)
    assert math.isnan(plain_moments(pixels([])).stdev)


@pytest.mark.parametrize("statistic", list(GridStatistic))
def test_one_pixel_has_a_value_and_no_error(statistic: GridStatistic) -> None:
    """One pixel is its own mean, median and clipped mean; nothing says how sure it is."""
    found = estimate(pixels([7.5]), statistic, Clip(3, 2))
    assert found.value == 7.5
    assert math.isnan(found.error)


def test_one_survivor_is_none() -> None:
    """A pass that leaves one pixel has no variance, so that the next pass leaves nothing."""
    sample = pixels([0.0, 10.0, 20.0])
    assert clipped_moments(sample, Clip(0.5, 1)).mean == 10.0
    assert math.isnan(clipped_moments(sample, Clip(0.5, 2)).mean)


def test_two_pixels_under_a_narrow_limit_are_both_clipped() -> None:
    """With fewer than 1.35 sigma neither of two pixels is near their median."""
    found = clipped_moments(pixels([0.0, 10.0]), Clip(1, 2))
    assert found.count == 0
    assert math.isnan(found.mean)


def test_without_a_range_only_the_median_survives() -> None:
    """Where most pixels are equal the limit is 0: outliers are gone and the variance is 0."""
    found = clipped_moments(pixels([5.0] * 20 + [6.0, 900.0]), Clip(3, 2))
    assert found == Moments(20, 5.0, 0.0)


def test_equal_zeros_of_both_signs_have_a_positive_median() -> None:
    """The sign of zero does not depend on how a partition ordered equal pixels."""
    for values in ([0.0, -0.0, -0.0], [-0.0, -0.0, 0.0]):
        (median,) = quantiles(pixels(values), (0.5,))
        assert math.copysign(1.0, median) == 1.0


@pytest.mark.parametrize(("edge", "left"), [(4.447803, 43), (4.447810, 41)])
def test_the_first_limit_is_the_normal_sigma_of_the_quartiles(edge: float, left: int) -> None:
    """With quartiles at -1 and 1 the 3 sigma limit is 6 times 0.741301109."""
    sample = pixels([-edge, *[-1.0] * 20, 0.0, *[1.0] * 20, edge])
    assert clipped_moments(sample, Clip(3, 1)).count == left
