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
    cell_moments,
    cell_quantiles,
    clipped_moments,
    estimates,
)
from tests.core import golden, twins
from tests.core.exposures import LAW

SAMPLES = st.lists(st.floats(-1e4, 1e4, width=32), max_size=40)
QUANTISED = st.lists(st.integers(-400, 400).map(lambda n: n / 16), min_size=1, max_size=40)
CLIPS = st.builds(Clip, st.integers(1, 4), st.integers(1, 5))


def pixels(values: list[float]) -> NDArray[np.float32]:
    """Return values as a plane of one row."""
    return np.array([values], dtype=np.float32)


def whole(plane: NDArray[np.float32]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the edges of the cell that is the whole plane."""
    return (0, plane.shape[0]), (0, plane.shape[1])


def plain(plane: NDArray[np.float32]) -> Moments:
    """Return the moments of all pixels."""
    return cell_moments(plane, *whole(plane))


def clipped(plane: NDArray[np.float32], clip: Clip) -> Moments:
    """Return the moments of the pixels that clipping leaves of all."""
    return clipped_moments(plane, *whole(plane), clip).moments


def quantiles(plane: NDArray[np.float32], *fractions: float) -> list[float]:
    """Return quantiles of all pixels."""
    found: list[float] = cell_quantiles(plane, *whole(plane), fractions).ravel().tolist()
    return found


def estimate(
    plane: NDArray[np.float32], statistic: GridStatistic, clip: Clip
) -> tuple[float, float]:
    """Return the statistic of all pixels and its error."""
    found = estimates(plane, *whole(plane), plain(plane), (statistic, clip))
    return found.values.item(), found.errors.item()


def close(ours: float, theirs: float, relative: float = 1e-9, absolute: float = 0.0) -> bool:
    """Return whether two figures agree, NaN with NaN."""
    if math.isnan(theirs):
        return math.isnan(ours)
    return math.isclose(ours, theirs, rel_tol=relative, abs_tol=absolute)


def same_moments(ours: Moments, theirs: tuple[int, float, float]) -> bool:
    """Return whether moments of one cell agree, the variance within its level's rounding."""
    spread = 1e-12 * max(1.0, theirs[1] ** 2) if theirs[0] else 0.0
    return (
        ours.counts.item() == theirs[0]
        and close(ours.means.item(), theirs[1], absolute=1e-9)
        and close(ours.variances.item(), theirs[2], absolute=spread)
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
        accepted = np.where(np.isfinite(data) & ((mask & 32) == 0), data, np.float32(np.nan))
        clip = Clip(float(case["numSigmaClip"][row]), int(case["numIter"][row]))
        expected = dict(zip(names, case["result"][row].tolist(), strict=True))
        check_statistics(accepted.reshape(1, -1), clip, expected)


def check_statistics(
    plane: NDArray[np.float32], clip: Clip, expected: dict[str, list[float]]
) -> None:
    """Compare all that this project computes of one set of pixels."""
    all_, left = plain(plane), clipped(plane, clip)
    lower, upper = quantiles(plane, 0.25, 0.75)
    assert all_.counts.item() == expected["NPOINT"][0]
    assert close(all_.variances.item(), expected["VARIANCE"][0])
    assert close(all_.stdevs.item(), expected["STDEV"][0])
    assert close(all_.mean_squares.item(), expected["MEANSQUARE"][0])
    assert close(left.variances.item(), expected["VARIANCECLIP"][0])
    assert close(left.stdevs.item(), expected["STDEVCLIP"][0])
    assert close(upper - lower, expected["IQRANGE"][0])
    assert all_.counts.item() - left.counts.item() == expected["NCLIPPED"][0]
    for statistic in GridStatistic:
        value, error = estimate(plane, statistic, clip)
        assert close(value, expected[statistic][0])
        assert close(error, expected[statistic][1])


@LAW
@given(SAMPLES)
def test_moments_agree_with_the_twin(values: list[float]) -> None:
    """Count, mean and variance are those of the plain loop."""
    sample = pixels(values)
    assert same_moments(plain(sample), twins.plain_moments(sample[0].tolist()))


@LAW
@given(SAMPLES, st.floats(0, 1))
def test_quantiles_agree_with_the_twin_and_numpy(values: list[float], fraction: float) -> None:
    """A quantile is the sorted sample's, interpolated linearly."""
    sample = pixels(values)
    (found,) = quantiles(sample, fraction)
    assert close(found, twins.quantile(sample[0].tolist(), fraction), absolute=1e-9)
    if values:
        assert close(found, float(np.quantile(sample.astype(float), fraction)), absolute=1e-9)


@LAW
@given(QUANTISED, CLIPS)
def test_clipping_agrees_with_the_twin(values: list[float], clip: Clip) -> None:
    """Clipping leaves the same pixels and the same moments as the plain loop."""
    found = clipped(pixels(values), clip)
    assert same_moments(found, twins.clipped_moments(values, clip.sigma, clip.iterations))


@LAW
@given(QUANTISED, CLIPS)
def test_the_last_limit_is_told(values: list[float], clip: Clip) -> None:
    """The pixels within the last pass's limit are those that its moments are of."""
    sample = pixels(values)
    found = clipped_moments(sample, *whole(sample), clip)
    inside = np.abs(sample.astype(np.float64) - found.centres) <= found.widths
    assert np.count_nonzero(inside) == found.moments.counts.item()


@LAW
@given(QUANTISED, st.sampled_from(list(GridStatistic)))
def test_an_estimate_agrees_with_the_twin(values: list[float], statistic: GridStatistic) -> None:
    """A bin's value and error are those of the plain loop, whatever the statistic."""
    found = estimate(pixels(values), statistic, Clip(3, 2))
    value, error = twins.statistic(values, MatchConfig(grid_statistic=statistic))
    assert close(found[0], value, absolute=1e-9)
    assert close(found[1], error, absolute=1e-7)


@LAW
@given(QUANTISED, st.integers(-20, 20), CLIPS)
def test_a_power_of_two_scales_every_statistic_exactly(
    values: list[float], power: int, clip: Clip
) -> None:
    """Pixels times 2^k give values and errors times 2^k to the last bit."""
    for statistic in GridStatistic:
        found = estimate(pixels(values), statistic, clip)
        scaled = estimate(pixels(values) * np.float32(2.0**power), statistic, clip)
        np.testing.assert_equal(scaled, tuple(2.0**power * figure for figure in found))


@LAW
@given(QUANTISED, st.randoms(use_true_random=False))
def test_exact_pixels_have_no_order(values: list[float], shuffler: object) -> None:
    """Where sums are exact, the order of the pixels does not matter to the last bit."""
    shuffled = list(values)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert quantiles(pixels(shuffled), 0.5) == quantiles(pixels(values), 0.5)
    ours, theirs = plain(pixels(shuffled)), plain(pixels(values))
    assert close(ours.means.item(), theirs.means.item(), absolute=1e-12)


def test_many_blocks_are_one_sample() -> None:
    """Moments of a sample longer than any block are the sample's."""
    sample = np.random.default_rng(3).normal(1e4, 1.0, (3, 100_001)).astype(np.float32)
    found = plain(sample)
    wide = sample.astype(np.float64)
    assert found.counts.item() == sample.size
    assert close(found.means.item(), float(wide.mean()), relative=1e-13)
    assert close(found.variances.item(), float(wide.var(ddof=1)), relative=1e-12)


@pytest.mark.parametrize("values", [[], [math.nan], [math.nan] * 70])
def test_no_pixels_have_no_figures(values: list[float]) -> None:
    """Without accepted pixels every figure is NaN and the count 0."""
    for statistic in GridStatistic:
        found = estimate(pixels(values), statistic, Clip(3, 2))
        assert [math.isnan(figure) for figure in found] == [True, True]
    assert plain(pixels(values)).counts.item() == 0
    assert math.isnan(plain(pixels(values)).mean_squares.item())
    assert math.isnan(plain(pixels(values)).stdevs.item())


@pytest.mark.parametrize("statistic", list(GridStatistic))
def test_one_pixel_has_a_value_and_no_error(statistic: GridStatistic) -> None:
    """One pixel is its own mean, median and clipped mean; nothing says how sure it is."""
    value, error = estimate(pixels([math.nan, 7.5]), statistic, Clip(3, 2))
    assert value == 7.5
    assert math.isnan(error)


def test_one_survivor_is_none() -> None:
    """A pass that leaves one pixel has no variance, so that the next pass leaves nothing."""
    sample = pixels([0.0, 10.0, 20.0])
    assert clipped(sample, Clip(0.5, 1)).means.item() == 10.0
    assert math.isnan(clipped(sample, Clip(0.5, 2)).means.item())


def test_two_pixels_under_a_narrow_limit_are_both_clipped() -> None:
    """With fewer than 1.35 sigma neither of two pixels is near their median."""
    found = clipped(pixels([0.0, 10.0]), Clip(1, 2))
    assert found.counts.item() == 0
    assert math.isnan(found.means.item())


def test_without_a_range_only_the_median_survives() -> None:
    """Where most pixels are equal the limit is 0: outliers are gone and the variance is 0."""
    found = clipped(pixels([5.0] * 20 + [6.0, 900.0]), Clip(3, 2))
    assert same_moments(found, (20, 5.0, 0.0))


def test_equal_zeros_of_both_signs_have_a_positive_median() -> None:
    """The sign of zero does not depend on how a partition ordered equal pixels."""
    for values in ([0.0, -0.0, -0.0], [-0.0, -0.0, 0.0]):
        (median,) = quantiles(pixels(values), 0.5)
        assert math.copysign(1.0, median) == 1.0


@pytest.mark.parametrize(("edge", "left"), [(4.447803, 43), (4.447810, 41)])
def test_the_first_limit_is_the_normal_sigma_of_the_quartiles(edge: float, left: int) -> None:
    """With quartiles at -1 and 1 the 3 sigma limit is 6 times 0.741301109."""
    sample = pixels([-edge, *[-1.0] * 20, 0.0, *[1.0] * 20, edge])
    assert clipped(sample, Clip(3, 1)).counts.item() == left
