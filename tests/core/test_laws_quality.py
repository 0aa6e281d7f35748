"""The quality of a match: its slow plain twin, and its laws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core import GridStatistic, Match, MatchConfig, Quality, match_background
from core.grid import bin_count
from core.skyconstants import sky_constants
from core.skytiles import measure_sky
from tests.core import twins_quality
from tests.core.exposures import LAW, Pair, configs, flat, noisy, pairs, polynomials
from tests.core.matched import figures, matched

FIGURES = ("sky_chi2", "worst_block", "sky_offset", "sky_rms", "kappa")


@dataclass
class Case:
    """A pair and settings."""

    pair: Pair
    config: MatchConfig


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Pairs of 50 - 90 pixels a side with bins of 8 - 24, noise white or smoothed, with gaps."""
    seed, bin_size = draw(st.integers(0, 10_000)), draw(st.integers(8, 24))
    shape = draw(st.sampled_from([50, 64, 77, 90])), draw(st.sampled_from([50, 71, 80]))
    smoothed, gaps = draw(st.booleans()), draw(st.sampled_from([0.0, 0.2, 0.6, 0.95]))
    rng = np.random.default_rng(seed)
    first, second = (sky(rng, shape, smoothed=smoothed) for _ in range(2))
    first[rng.random(shape) < 0.01] += 500.0
    first[gap(rng, shape, gaps)] = np.nan
    config = MatchConfig(
        bin_size=bin_size, grid_statistic=draw(st.sampled_from(list(GridStatistic)))
    )
    return Case((flat(first), flat(second)), config)


def sky(rng: np.random.Generator, shape: tuple[int, int], *, smoothed: bool) -> NDArray[np.float64]:
    """Return a wave under noise that is white, or correlated over two pixels."""
    noise = rng.normal(0, 5, shape)
    if smoothed:
        noise = (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1)) / math.sqrt(3)
    y, x = np.indices(shape)
    return np.asarray(noise + rng.normal(0, 2) * np.sin(x / 7 + y / 11), dtype=np.float64)


def gap(rng: np.random.Generator, shape: tuple[int, int], share: float) -> NDArray[np.bool_]:
    """Return which blocks of 10 x 10 pixels are missing."""
    blocks = rng.random((shape[0] // 10 + 1, shape[1] // 10 + 1)) < share
    missing = np.kron(blocks, np.ones((10, 10), dtype=np.bool_))[: shape[0], : shape[1]]
    return np.asarray(missing, dtype=np.bool_)


def judged(pair: Pair, config: MatchConfig) -> tuple[Match, Quality]:
    """Return a match that was judged."""
    match = match_background(*pair, config, quality=True)
    assert match.quality is not None
    return match, match.quality


@LAW
@given(cases())
def test_quality_is_the_twin_s(case: Case) -> None:
    """Tiles, kappa and every figure of the sky that is left are the plain loops'."""
    if not isinstance(matched(case.pair, case.config), Match):
        return
    match, found = judged(case.pair, case.config)
    left = case.pair[0].image - case.pair[1].image - match.model.image()
    cells = match.model.values.shape
    tiles = twins_quality.measure_tiles(left.tolist(), cells, case.config.bin_size)
    measured = measure_sky(left, cells, case.config.bin_size)
    constants = sky_constants(match.model, case.config.grid_statistic, measured)
    expected = twins_quality.judge_sky(
        tiles, twins_quality.Constants(constants.tile, constants.window)
    )
    assert found.tiles == expected.tiles
    for name in FIGURES:
        assert getattr(found, name) == pytest.approx(
            getattr(expected, name), rel=1e-6, abs=1e-6, nan_ok=True
        ), name
    assert found.coverage == pytest.approx(np.isfinite(left).mean())
    check_place(found, expected, left.shape, cells)


def check_place(
    found: Quality, expected: twins_quality.Sky, shape: tuple[int, ...], cells: tuple[int, ...]
) -> None:
    """Require the centre of the worst window, from the twin's column and row."""
    places = ((found.worst_x, expected.worst_x, 1), (found.worst_y, expected.worst_y, 0))
    for place, first, axis in places:
        if math.isnan(first):
            assert math.isnan(place)
            continue
        edges = twins_quality.shifted(shape[axis], cells[axis])
        assert place == (edges[int(first)] + edges[int(first) + 3] - 1) / 2


@LAW
@given(pairs(), configs() | polynomials())
def test_judging_changes_no_other_figure(pair: Pair, config: MatchConfig) -> None:
    """With and without quality, the model and LSST's figures have the same bits."""
    plain = matched(pair, config)
    if not isinstance(plain, Match):
        return
    match, quality = judged(pair, config)
    assert plain.quality is None
    assert match.model == plain.model
    np.testing.assert_equal(figures(match), figures(plain))
    assert quality.coverage == match.model.counts.sum() / pair[0].image.size
    assert 0.0 <= quality.extrapolated_fraction <= 1.0


@LAW
@given(st.integers(0, 10_000), st.sampled_from([8, 12]), st.integers(-18, 18))
def test_quality_does_not_know_the_unit(seed: int, bin_size: int, power: int) -> None:
    """Both exposures times 2^k: what is in units of errors stays, what is in fluxes scales."""
    config = MatchConfig(bin_size=bin_size, grid_stdev_epsilon=0.0)
    pair = noisy(seed, 60, 64), noisy(seed + 1, 60, 64)
    factor = np.float32(2.0**power)
    scaled = [flat(one.image * factor, one.mask, planes=one.planes) for one in pair]
    _, before = judged(
        (flat(pair[0].image, pair[0].mask), flat(pair[1].image, pair[1].mask)), config
    )
    _, after = judged((scaled[0], scaled[1]), config)
    for name in ("tiles", "kappa", "sky_chi2", "worst_block", "worst_x", "coverage", "flags"):
        np.testing.assert_equal(getattr(after, name), getattr(before, name))
    for name in ("sky_offset", "sky_rms", "sky_error"):
        expected = getattr(before, name) * float(factor)
        np.testing.assert_allclose(getattr(after, name), expected, rtol=1e-12)


@LAW
@given(st.integers(0, 10_000), st.integers(-500, 500))
def test_quality_does_not_know_the_level(seed: int, constant: int) -> None:
    """A constant added to an exposure goes into the model, and what is left stays."""
    config = MatchConfig(bin_size=12)
    pair = noisy(seed, 60, 64), noisy(seed + 1, 60, 64)
    moved = flat(pair[0].image + np.float32(constant), pair[0].mask)
    first = flat(pair[0].image, pair[0].mask)
    _, before = judged((first, pair[1]), config)
    _, after = judged((moved, pair[1]), config)
    assert (after.tiles, after.coverage, after.flags) == (
        before.tiles,
        before.coverage,
        before.flags,
    )
    for name in ("kappa", "sky_chi2", "worst_block", "sky_rms"):
        np.testing.assert_allclose(
            getattr(after, name), getattr(before, name), rtol=1e-2, atol=1e-3
        )


@LAW
@given(pairs(), configs() | polynomials())
def test_quality_is_asked_of_anything(pair: Pair, config: MatchConfig) -> None:
    """Every match can be judged: a figure is finite or NaN, and counts are counts."""
    if not isinstance(matched(pair, config), Match):
        return
    match, quality = judged(pair, config)
    for name in (*FIGURES, "sky_error", "worst_x", "worst_y"):
        assert not math.isinf(getattr(quality, name)), name
    tiles = (match.model.values.shape[0] - 1) * (match.model.values.shape[1] - 1)
    assert 0 <= quality.tiles <= tiles
    assert match.model.values.shape[1] == bin_count(match.model.width, config.bin_size)
