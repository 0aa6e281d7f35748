"""Planes combined, measured by columns and pooled, against the numpy twin."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bands import frozen
from core.kernels import planes
from tests.core.exposures import LAW
from tests.core.oracle import planes as oracle

ODD = [math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-45, 0.0, -0.0]
SEEDS = st.integers(0, 10_000)
WIDTHS = st.sampled_from([1, 3, 17, 40, 1023, 1024, 1025, 2100])


def odd_plane(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return noise with some pixels that are hard to add."""
    plane = rng.normal(3, 10, shape).astype(np.float32)
    where = rng.random(shape) < 0.2
    plane[where] = rng.choice(np.array(ODD, dtype=np.float32), where.sum())
    return plane


def gappy(seed: int, height: int, width: int, bad: float = 0.3) -> NDArray[np.float32]:
    """Return noise on a slope, with gaps."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(rng.normal(0, 1e4), 1, (height, width)) + np.arange(width) * 0.01
    plane[rng.random(plane.shape) < bad] = np.nan
    return plane.astype(np.float32)


def columns_of(plane: NDArray[np.float32], edges: list[int]) -> planes.Columns:
    """Return the columns of the bands between edges."""
    columns = planes.Columns.of(len(edges) - 1, plane.shape[1])
    for index in range(len(edges) - 1):
        planes.measure(frozen(plane[edges[index] : edges[index + 1]]), columns.band(index))
    return columns


def pooled(
    columns: planes.Columns, bands: list[int], x_edges: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return count, mean and variance of the cells between edges."""
    shape = len(bands) - 1, len(x_edges) - 1
    found = np.zeros(shape, np.int64), np.full(shape, math.nan), np.full(shape, math.nan)
    planes.pool(columns, np.array(bands), np.array(x_edges), found)
    return found


@pytest.mark.parametrize("sign", [1.0, -1.0])
@LAW
@given(seed=SEEDS, width=WIDTHS)
def test_combining_is_numpys_to_the_bit(sign: float, seed: int, width: int) -> None:
    """A float32 sum or difference, NaN where it is not finite or a chosen bit is set, 31 too."""
    rng = np.random.default_rng(seed)
    first, second = odd_plane(rng, (3, width)), odd_plane(rng, (3, width))
    masks = [(1 << rng.integers(0, 32, (3, width))).astype(np.uint32).view(np.int32) for _ in "ab"]
    bits = np.int32(-(2**31) + 9), np.int32(6)
    into = np.empty((3, width), np.float32)
    pair = planes.Pair(frozen(first), frozen(second), frozen(masks[0]), frozen(masks[1]))
    planes.combine(pair, bits, sign, into)
    with np.errstate(invalid="ignore", over="ignore"):
        made = first + second if sign > 0 else first - second
    flagged = ((masks[0] & bits[0]) | (masks[1] & bits[1])) != 0
    expected = np.where(flagged | ~np.isfinite(made), np.float32(np.nan), made)
    np.testing.assert_array_equal(into, expected)
    again, columns = np.empty_like(into), planes.Columns.of(1, width)
    planes.combine_and_measure(pair, bits, sign, again, columns.band(0))
    assert again.tobytes() == into.tobytes()
    for ours, theirs in zip(columns, columns_of(into, [0, 3]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@LAW
@given(seed=SEEDS, width=WIDTHS)
def test_one_exposure_is_accepted_as_two_are(seed: int, width: int) -> None:
    """Accepted pixels of one exposure are its finite ones without a chosen bit."""
    rng = np.random.default_rng(seed)
    image, mask = odd_plane(rng, (4, width)), rng.integers(0, 4, (4, width)).astype(np.int32)
    into, columns = np.empty_like(image), planes.Columns.of(1, width)
    planes.accept_and_measure(image, mask, np.int32(2), into, columns.band(0))
    kept = np.isfinite(image) & (mask & 2 == 0)
    np.testing.assert_array_equal(into, np.where(kept, image, np.float32(np.nan)))
    np.testing.assert_array_equal(columns.counts[0], kept.sum(axis=0))


@LAW
@given(SEEDS, WIDTHS, st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_pooled_columns_are_cells(seed: int, width: int, bad: float) -> None:
    """Count, mean and variance of cells of bands and columns are those of their pixels."""
    plane = gappy(seed, 30, width, bad)
    bands, x_edges = [0, 1, 4, 4], sorted({0, width // 3, width // 2, width})
    y_edges = [0, 2, 9, 17, 30]
    found = pooled(columns_of(plane, y_edges), bands, x_edges)
    for j, (first, last) in enumerate(pairwise(bands)):
        for i, (left, right) in enumerate(pairwise(x_edges)):
            cell = (y_edges[first], y_edges[last], left, right)
            count, mean, variance = oracle.accepted(plane, cell)
            assert found[0][j, i] == count
            np.testing.assert_allclose(found[1][j, i], mean, rtol=1e-15)
            np.testing.assert_allclose(found[2][j, i], variance, rtol=1e-12)


@LAW
@given(st.floats(-(2.0**127), 2.0**127, width=32), SEEDS)
def test_flat_is_exact(level: float, seed: int) -> None:
    """Pixels that are all equal have that mean and no variance, to the last bit."""
    plane = np.where(np.isnan(gappy(seed, 20, 30)), np.nan, level).astype(np.float32)
    _, means, variances = pooled(columns_of(plane, [0, 3, 11, 20]), [0, 1, 3], [0, 11, 30])
    assert means.tolist() == [[level] * 2] * 2
    assert variances.tolist() == [[0.0] * 2] * 2


def test_an_outlier_far_away_leaves_the_variance_exact() -> None:
    """A pixel of 1e8 among units, at the first place of its cell or at any other."""
    plane = gappy(4, 40, 40, 0.0)
    plane -= np.float32(plane.mean())
    for place in ((0, 0), (17, 5), (39, 39)):
        planted = plane.copy()
        planted[place] = 1e8
        _, _, variances = pooled(columns_of(planted, [0, 7, 40]), [0, 2], [0, 40])
        wide = planted.astype(np.longdouble)
        np.testing.assert_allclose(variances[0, 0], float(wide.var(ddof=1)), rtol=1e-14)


def test_counts_go_beyond_32_bits() -> None:
    """Bands of the most pixels that their own counts hold are counted together."""
    full = np.iinfo(np.int32).max
    columns = planes.Columns.of(3, 2)
    columns.counts[:] = full
    columns.means[:] = 2.0
    counts, means, variances = pooled(columns, [0, 3], [0, 2])
    assert counts.item() == 6 * full > sys.maxsize // 2**32
    assert (means.item(), variances.item()) == (2.0, 0.0)


@LAW
@given(seed=SEEDS, width=WIDTHS)
def test_what_a_model_leaves_is_numpys_to_the_bit(seed: int, width: int) -> None:
    """Rows minus model in float32, in place; squares to 1e-12, counts exactly."""
    rng = np.random.default_rng(seed)
    rows, model = gappy(seed, 5, width), odd_plane(rng, (5, width))
    model[np.abs(model) > 1e37] = 7.0
    model[rng.random(model.shape) < 0.05] = np.nan
    expected, *figures = oracle.rest(rows, model)
    count, total, overflows = planes.subtract(rows, frozen(model), np.empty(width))
    np.testing.assert_array_equal(rows, expected)
    assert [count, overflows] == [figures[0], figures[2]]
    assert total == pytest.approx(figures[1], rel=1e-12)
