"""Quantiles and clipping of cells against the numpy twin, on pixels that are hard to sort."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bands import frozen
from core.kernels import cells
from core.kernels.memory import COPIED, KEPT, Found, Room
from core.statistics import Clip
from tests.core.exposures import LAW
from tests.core.oracle import cells as oracle

QUARTILES = (0.25, 0.5, 0.75)
SEEDS = st.integers(0, 10_000)
KINDS = ["noise", "whole", "outliers", "flat", "two", "tiny", "huge", "powers", "zeros", "sorted"]
HEAVY = 1e30


def pixels_of(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return pixels of a kind, all accepted."""
    noise = rng.normal(50, 10, shape)
    with np.errstate(over="ignore"):
        made = {
            "noise": noise,
            "whole": np.rint(noise),
            "outliers": np.where(rng.random(shape) < 0.1, HEAVY * (noise - 50), noise),
            "flat": np.full(shape, rng.normal(0, 1e3)),
            "two": np.where(
                rng.random(shape) < 0.5, 1.0, np.nextafter(np.float32(1), np.float32(2))
            ),
            "tiny": (noise - 50) * 1e-44,
            "huge": np.clip((noise - 50) * 3e37, -3.4e38, 3.4e38),
            "powers": np.ldexp(1.0, rng.integers(-140, 120, shape)) * rng.choice([-1, 1], shape),
            "zeros": rng.choice([0.0, -0.0, 1e-45, -1e-45], shape),
            "sorted": np.sort(noise, axis=None).reshape(shape),
        }[kind]
    return np.asarray(made, dtype=np.float32)


def holed(plane: NDArray[np.float32], rng: np.random.Generator, bad: float) -> NDArray[np.float32]:
    """Return a plane of which a share of the pixels is not accepted."""
    return np.where(rng.random(plane.shape) < bad, np.float32(np.nan), plane)


def found_in(
    plane: NDArray[np.float32],
    edges: tuple[list[int], list[int]],
    fractions: tuple[float, ...],
    clip: Clip | None = None,
) -> Found:
    """Return what the kernel finds."""
    found = Found.of((len(edges[0]) - 1, len(edges[1]) - 1), len(fractions))
    room = Room.of(int(np.diff(edges[0]).max() * np.diff(edges[1]).max()))
    how = np.array(fractions), clip.sigma if clip else 0.0, clip.iterations if clip else 0
    as_kernels_take = np.array(edges[0]), np.array(edges[1])
    cells.order_statistics(frozen(plane), as_kernels_take, how, room, found)
    return found


def check(
    plane: NDArray[np.float32],
    edges: tuple[list[int], list[int]],
    fractions: tuple[float, ...] = QUARTILES,
) -> None:
    """Require the quantiles of every cell to the bit."""
    found = found_in(plane, edges, fractions).quantiles
    for j, (bottom, top) in enumerate(pairwise(edges[0])):
        for i, (left, right) in enumerate(pairwise(edges[1])):
            cell = plane[bottom:top, left:right]
            expected = oracle.quantiles(cell[~np.isnan(cell)], fractions)
            np.testing.assert_array_equal(found[j, i], expected)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(seed=SEEDS, bad=st.sampled_from([0.0, 0.2, 0.95]), side=st.integers(1, 90))
def test_quantiles_are_the_twins_to_the_bit(kind: str, seed: int, bad: float, side: int) -> None:
    """Between sorted pixels, whatever they are, in every cell of a plane."""
    rng = np.random.default_rng(seed)
    shape = (side + 7, 2 * side + 3)
    plane = holed(pixels_of(rng, kind, shape), rng, bad)
    check(plane, ([0, 1, 7, shape[0]], [0, 2, 2 + side, shape[1]]))
    check(plane, ([0, shape[0]], [0, shape[1]]), (0.0, 0.001, 0.37, 1.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [0.0, 0.9])
def test_large_cells_are_read_where_they_are(kind: str, bad: float) -> None:
    """Cells that are not copied, with more pixels in a bucket than a small cell may keep."""
    rng = np.random.default_rng(11)
    plane = holed(pixels_of(rng, kind, (700, 1100)), rng, bad)
    assert plane[:, :800].size > COPIED
    check(plane, ([0, 700], [0, 800, 1100]))
    check(plane, ([0, 700], [0, 1100]), (0.5,))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_many_equal_pixels_are_not_kept(share: float) -> None:
    """More equal pixels than are ever sorted, at the rank, below and above it."""
    rng = np.random.default_rng(5)
    for level in (-3.0, 0.0, 2.5):
        plane = rng.normal(0, 1, (300, 300)).astype(np.float32)
        plane[rng.random(plane.shape) < share] = level
        assert share * plane.size > KEPT
        check(plane, ([0, 300], [0, 150, 300]))


def test_columns_that_differ_do_not_mislead_the_sample() -> None:
    """A cell as wide as the step of the sample, whose columns have levels of their own."""
    plane = np.add.outer(np.zeros(256), np.arange(300) * 100.0).astype(np.float32)
    check(plane, ([0, 256], [0, 256, 300]))
    plane = np.where(np.arange(300) % 256 < 2, plane, np.float32(np.nan))
    check(plane.astype(np.float32), ([0, 256], [0, 256, 300]))


@pytest.mark.parametrize("kind", ["noise", "whole", "outliers", "flat", "zeros"])
@LAW
@given(seed=SEEDS, bad=st.sampled_from([0.0, 0.3, 0.95]), passes=st.integers(1, 4))
def test_clipping_is_the_twins(kind: str, seed: int, bad: float, passes: int) -> None:
    """The same pixels are left, their moments agree to 1e-12, and so do the last limits."""
    rng = np.random.default_rng(seed)
    plane = holed(pixels_of(rng, kind, (41, 60)), rng, bad)
    edges, clip = ([0, 1, 11, 41], [0, 3, 25, 60]), Clip(3.0, passes)
    found = found_in(plane, edges, QUARTILES, clip)
    for j, (bottom, top) in enumerate(pairwise(edges[0])):
        for i, (left, right) in enumerate(pairwise(edges[1])):
            cell = plane[bottom:top, left:right]
            sums, limit = oracle.clipped(cell[~np.isnan(cell)], clip)
            assert found.counts[j, i] == sums[0]
            np.testing.assert_allclose(found.means[j, i], sums[1], rtol=1e-12, atol=1e-50)
            np.testing.assert_allclose(found.variances[j, i], sums[2], rtol=1e-9, atol=1e-90)
            np.testing.assert_allclose(found.limits[:, j, i], limit, rtol=1e-9, atol=1e-50)


def test_heavy_outliers_leave_the_clipped_mean() -> None:
    """A tenth of pixels at 1e30 and beyond moves a clipped mean by its own error at most."""
    rng = np.random.default_rng(8)
    plane = pixels_of(rng, "outliers", (200, 200))
    found = found_in(plane, ([0, 200], [0, 200]), QUARTILES, Clip(3.0, 3))
    assert found.means.item() == pytest.approx(50.0, abs=0.3)
    assert found.variances.item() == pytest.approx(100.0, rel=0.05)


def test_cells_without_pixels_are_left_alone() -> None:
    """Empty cells and those of no pixels at all have NaN, and 0 as count."""
    plane = np.full((4, 6), np.nan, dtype=np.float32)
    found = found_in(plane, ([0, 0, 4], [0, 3, 3, 6]), QUARTILES, Clip(3.0, 2))
    assert not found.counts.any()
    for array in (found.means, found.variances, found.limits, found.quantiles):
        assert np.isnan(array).all()
