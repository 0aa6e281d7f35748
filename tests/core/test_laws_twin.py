"""`lsst` and its slow plain twin agree on anything, refusals included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core import (
    ChebyshevBackground,
    CoreError,
    GridStatistic,
    Match,
    MatchConfig,
    SplineBackground,
    UndersampleStyle,
    match_background,
)
from tests.core import twins_match
from tests.core.exposures import LAW, Pair, any_configs, any_pairs, noisy, strips

SINGULAR = 1e8
"""Condition of a fit's matrix beyond which rounding decides what comes out."""

UNCLIPPED = [GridStatistic.MEAN, GridStatistic.MEDIAN]

F32 = float(np.finfo(np.float32).eps)
SMALLEST = 3e-45
"""Twice the least number of float32, below which its rounding is no longer relative."""


@st.composite
def matches(draw: st.DrawFn) -> tuple[Pair, MatchConfig]:
    """Anything, and settings for its shape.

    Among few levels a pixel may lie on a clipping limit to the last bit, and rounding decides.
    """
    pair = draw(any_pairs())
    config = draw(any_configs(pair[0].shape))
    with np.errstate(all="ignore"):
        levels = np.unique(pair[0].image - pair[1].image).size
    if levels < max(60, pair[0].image.size // 4):
        return pair, replace(config, grid_statistic=draw(st.sampled_from(UNCLIPPED)))
    return pair, config


@settings(LAW, max_examples=300)
@given(matches())
def test_a_match_is_the_twin_s(match: tuple[Pair, MatchConfig]) -> None:
    """Grid, model, order and figures are the plain loops', and so is the kind of a refusal."""
    check(*match)


@settings(LAW, max_examples=150)
@given(strips(), st.integers(1, 5), st.integers(4, 12), st.sampled_from(list(UndersampleStyle)))
def test_polynomials_of_little_coverage_are_the_twin_s(
    pair: Pair, order: int, bin_size: int, undersample: UndersampleStyle
) -> None:
    """So they are where the coverage reduces the order, increases the samples, or refuses."""
    check(
        pair,
        MatchConfig(
            use_polynomial=True, order=order, bin_size=bin_size, undersample_style=undersample
        ),
    )


@settings(LAW, max_examples=30)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(64, 130), (97, 128), (150, 80), (131, 70)]),
    st.sampled_from([64, 65, 70]),
    st.sampled_from(list(GridStatistic)),
)
def test_matches_of_large_bins_are_the_twin_s(
    seed: int, shape: tuple[int, int], bin_size: int, statistic: GridStatistic
) -> None:
    """So they are where bins and tiles are measured in one pass, and do not end together."""
    pair = noisy(seed, *shape), noisy(seed + 1, *shape)
    check(pair, MatchConfig(bin_size=bin_size, grid_statistic=statistic))


def check(pair: Pair, config: MatchConfig) -> None:
    """Compare a match with the twin's."""
    expected, found = twin_of(pair, config), ours(pair, config)
    if is_singular(expected, config):
        assert not isinstance(found, Match) or np.isfinite(found.model.image()).all()
    elif isinstance(expected, Exception):
        assert isinstance(found, kind_of(expected)), (found, expected)
    else:
        assert isinstance(found, Match), found
        check_grid(found, expected)
        check_model(found, expected)
        check_figures(found, expected)


def twin_of(pair: Pair, config: MatchConfig) -> Any:
    """Return the twin's match or refusal."""
    try:
        return twins_match.match(*pair, config)
    except (ValueError, RuntimeError) as error:
        return error


def ours(pair: Pair, config: MatchConfig) -> Match | CoreError:
    """Return our match or refusal; anything else is raised."""
    try:
        return match_background(*pair, config)
    except CoreError as error:
        return error


def kind_of(error: Exception) -> type[Exception]:
    """Return the built-in kind of a twin's refusal."""
    return ValueError if isinstance(error, ValueError) else RuntimeError


def is_singular(expected: Any, config: MatchConfig) -> bool:
    """Return whether the bins do not fix the polynomial."""
    if isinstance(expected, Exception):
        return config.use_polynomial and isinstance(expected, twins_match.NotFiniteError)
    matrix = expected.model.matrix
    return matrix is not None and bool(np.linalg.cond(np.array(matrix)) > SINGULAR)


def close(found: Any, expected: Any, within: float) -> None:
    """Require the same NaN and infinities, and the rest within so much."""
    ours, theirs = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    np.testing.assert_allclose(ours, theirs, rtol=2 * F32, atol=within + SMALLEST)


def level_of(expected: twins_match.TwinMatch) -> float:
    """Return the largest level of grid and model, by which float32's rounding is to be judged."""
    values = np.array([*expected.model.values, *expected.model.errors], dtype=np.float64)
    grid = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return float(max(grid, np.abs(np.array(expected.model.image)).max()))


def check_grid(found: Match, expected: twins_match.TwinMatch) -> None:
    """Values and errors within a part in 1e3 of float32's rounding, counts exactly."""
    level = level_of(expected)
    close(found.model.values, expected.model.values, 1e-3 * F32 * level)
    close(found.model.errors, expected.model.errors, 1e-3 * F32 * level)
    assert found.model.counts.tolist() == expected.model.counts


def check_model(found: Match, expected: twins_match.TwinMatch) -> None:
    """Compare the image within float32's rounding, and a polynomial's order and weighting."""
    model, twin = found.model, expected.model
    if isinstance(model, ChebyshevBackground):
        assert (model.order_used, model.weighted) == (twin.order, twin.weighted)
    else:
        assert isinstance(model, SplineBackground)
        assert twin.order is None
    close(model.image(), twin.image, 2 * F32 * level_of(expected))


def check_figures(found: Match, expected: twins_match.TwinMatch) -> None:
    """Compare what is left within the model's rounding, and the variance, which has none."""
    level = level_of(expected)
    close(found.fit_rms, expected.fit_rms, 4 * F32 * level + 1e-5 * abs(expected.fit_rms))
    blur = 8 * F32 * level
    left = np.sqrt(max(expected.matched_mse, 0.0)) if expected.matched_mse >= 0 else 0.0
    close(found.matched_mse, expected.matched_mse, blur * (left + blur))
    np.testing.assert_allclose(found.diff_im_var, expected.diff_im_var, rtol=1e-9, atol=1e-9)
