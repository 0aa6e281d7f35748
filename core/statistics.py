"""Statistics of the pixels of cells: moments, quantiles, clipping (MATCHING.md sections 2 and 3).

A plane is a float32 array ``[y, x]`` that is NaN where a pixel is not accepted: not finite, or
flagged. A cell is a rectangle of it, and cells are told by their edges: the pixels of cell (j, i)
are ``plane[y_edges[j] : y_edges[j + 1], x_edges[i] : x_edges[i + 1]]``. All sums are doubles, taken
in a fixed order, so that the bits depend neither on BLAS nor on threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.config import GridStatistic

__all__ = [
    "Clip",
    "Clipped",
    "Estimates",
    "Moments",
    "cell_moments",
    "cell_quantiles",
    "clipped_moments",
    "estimates",
]

_BLOCK = 1 << 15
_SIGMA_PER_IQR = 0.741301109252802


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Count, mean and unbiased variance of the accepted pixels of cells.

    Parameters
    ----------
    counts : `numpy.ndarray`
        int64 ``[ny, nx]``, accepted pixels.
    means : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit; NaN without pixels.
    variances : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit squared; NaN with fewer than two pixels.
    """

    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]

    @property
    def stdevs(self) -> NDArray[np.float64]:
        """Square roots of the variances."""
        return _root(self.variances)

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of the means, NaN with fewer than two pixels."""
        with np.errstate(divide="ignore"):
            return _root(self.variances / self.counts)

    @property
    def mean_squares(self) -> NDArray[np.float64]:
        """Means of the squares, NaN with fewer than two pixels (MATCHING.md section 2)."""
        with np.errstate(divide="ignore"):
            shares = (self.counts - 1) / self.counts
        squares: NDArray[np.float64] = shares * self.variances + self.means * self.means
        return squares


@dataclass(frozen=True, slots=True)
class Clip:
    """How pixels far from the rest are left out.

    Parameters
    ----------
    sigma : float
        Limit in standard deviations.
    iterations : int
        Passes; exactly so many are made, without a test of convergence.
    """

    sigma: float
    iterations: int


@dataclass(frozen=True, eq=False, slots=True)
class Clipped:
    """Moments of the pixels within a clipping limit, and the limit of the last pass.

    Parameters
    ----------
    moments : Moments
        Of the pixels that the last pass left.
    centres, widths : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit: the last pass left the pixels with
        ``abs(x - centre) <= width``, in double; NaN where it left none because a limit was
        undefined.
    """

    moments: Moments
    centres: NDArray[np.float64]
    widths: NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Estimates:
    """A statistic of the pixels of cells, and its standard error.

    Parameters
    ----------
    values, errors : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit; NaN where undefined.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def cell_moments(
    plane: NDArray[np.float32], y_edges: Sequence[int], x_edges: Sequence[int]
) -> Moments:
    """Return the moments of the pixels of every cell, in two passes (MATCHING.md section 2).

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, NaN where a pixel is not accepted.
    y_edges, x_edges : sequence of int
        Edges of the ny and nx cells, not descending.

    Returns
    -------
    moments : Moments
        ``[ny, nx]``; the second pass is taken about the mean of the first, which keeps the
        variance exact.
    """
    return _moments([_plain(cell) for cell in _cells(plane, y_edges, x_edges)], y_edges, x_edges)


def cell_quantiles(
    plane: NDArray[np.float32],
    y_edges: Sequence[int],
    x_edges: Sequence[int],
    fractions: Sequence[float],
) -> NDArray[np.float64]:
    """Return quantiles of every cell, interpolated between its sorted pixels.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, NaN where a pixel is not accepted.
    y_edges, x_edges : sequence of int
        Edges of the ny and nx cells, not descending.
    fractions : sequence of float
        Fractions, 0 - 1.

    Returns
    -------
    quantiles : `numpy.ndarray`
        float64 ``[len(fractions), ny, nx]``, image unit, by the formula of MATCHING.md section 2;
        NaN without pixels.
    """
    found = [_quantiles(cell, tuple(fractions)) for cell in _cells(plane, y_edges, x_edges)]
    shape = (len(fractions), len(y_edges) - 1, len(x_edges) - 1)
    return np.array(found, dtype=np.float64).T.reshape(shape)


def clipped_moments(
    plane: NDArray[np.float32], y_edges: Sequence[int], x_edges: Sequence[int], clip: Clip
) -> Clipped:
    """Return the moments of every cell's pixels within a limit (MATCHING.md section 3).

    The first pass clips about the median with the interquartile range as the scale, the others
    about the last mean with the last standard deviation; each looks at all pixels again, so that
    a pixel may return.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, NaN where a pixel is not accepted.
    y_edges, x_edges : sequence of int
        Edges of the ny and nx cells, not descending.
    clip : Clip
        Limit and number of passes.

    Returns
    -------
    clipped : Clipped
        All NaN with count 0 where a limit is undefined (no pixels, or one survivor of a pass).
    """
    found = [_clipped(cell, clip) for cell in _cells(plane, y_edges, x_edges)]
    limits = np.array([limit for _, limit in found], dtype=np.float64).T
    shape = (2, len(y_edges) - 1, len(x_edges) - 1)
    centres, widths = limits.reshape(shape)
    moments = _moments([one for one, _ in found], y_edges, x_edges)
    return Clipped(moments, centres, widths)


def estimates(
    plane: NDArray[np.float32],
    y_edges: Sequence[int],
    x_edges: Sequence[int],
    plain: Moments,
    how: tuple[GridStatistic, Clip],
) -> Estimates:
    """Return a statistic of every cell with its standard error (MATCHING.md sections 2 and 3).

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, NaN where a pixel is not accepted.
    y_edges, x_edges : sequence of int
        Edges of the ny and nx cells, not descending.
    plain : Moments
        Moments of these cells, as `cell_moments` gives them.
    how : tuple of GridStatistic and Clip
        MEAN, MEDIAN or MEANCLIP; limit and number of passes of MEANCLIP.

    Returns
    -------
    estimates : Estimates
        The error of MEDIAN is that of the mean of normal pixels times sqrt(pi / 2).
    """
    statistic, clip = how
    if statistic == GridStatistic.MEANCLIP:
        clipped = clipped_moments(plane, y_edges, x_edges, clip).moments
        return Estimates(clipped.means, clipped.errors)
    if statistic == GridStatistic.MEDIAN:
        (medians,) = cell_quantiles(plane, y_edges, x_edges, (0.5,))
        with np.errstate(divide="ignore", invalid="ignore"):
            return Estimates(medians, _root(math.pi / 2 * plain.variances / plain.counts))
    return Estimates(plain.means, plain.errors)


_Sums = tuple[int, float, float]


def _cells(
    plane: NDArray[np.float32], y_edges: Sequence[int], x_edges: Sequence[int]
) -> Iterator[NDArray[np.float32]]:
    for bottom, top in pairwise(y_edges):
        for left, right in pairwise(x_edges):
            cell = plane[bottom:top, left:right]
            yield cell[~np.isnan(cell)]


def _moments(found: list[_Sums], y_edges: Sequence[int], x_edges: Sequence[int]) -> Moments:
    shape = (len(y_edges) - 1, len(x_edges) - 1)
    return Moments(
        counts=np.array([count for count, _, _ in found], dtype=np.int64).reshape(shape),
        means=np.array([mean for _, mean, _ in found], dtype=np.float64).reshape(shape),
        variances=np.array([variance for _, _, variance in found]).reshape(shape),
    )


def _plain(pixels: NDArray[np.float32]) -> _Sums:
    if pixels.size == 0:
        return 0, math.nan, math.nan
    total = 0.0
    for block in _blocks(pixels):
        total += float(np.add.reduce(block))
    return _moments_about(pixels, total / pixels.size, math.inf)


def _clipped(pixels: NDArray[np.float32], clip: Clip) -> tuple[_Sums, tuple[float, float]]:
    lower, centre, upper = _quantiles(pixels, (0.25, 0.5, 0.75))
    width = clip.sigma * _SIGMA_PER_IQR * (upper - lower)
    found, limit = (0, math.nan, math.nan), (math.nan, math.nan)
    for _ in range(clip.iterations):
        if math.isnan(centre) or math.isnan(width):
            return (0, math.nan, math.nan), (math.nan, math.nan)
        limit = centre, width
        found = _moments_about(pixels, centre, width)
        centre = found[1]
        if pixels.size > 1:
            variance = found[2]
            known = not math.isnan(variance)
            width = clip.sigma * math.sqrt(max(variance, 0.0)) if known else math.nan
    return found, limit


def _quantiles(pixels: NDArray[np.float32], fractions: tuple[float, ...]) -> tuple[float, ...]:
    count = pixels.size
    if count == 0:
        return (math.nan,) * len(fractions)
    places = [fraction * (count - 1) for fraction in fractions]
    lows = [math.floor(place) for place in places]
    highs = [min(low + 1, count - 1) for low in lows]
    ranked = np.partition(pixels, sorted({*lows, *highs}))
    return tuple(
        # + 0.0: among equal zeros a partition may find either sign
        (low + 1 - place) * float(ranked[low]) + (place - low) * float(ranked[high]) + 0.0
        for place, low, high in zip(places, lows, highs, strict=True)
    )


def _moments_about(pixels: NDArray[np.float32], shift: float, width: float) -> _Sums:
    count, total, squares = pixels.size, 0.0, 0.0
    for block in _blocks(pixels):
        offsets = np.subtract(block, shift, out=block)
        if math.isfinite(width):
            outside = np.abs(offsets) > width
            count -= int(np.count_nonzero(outside))
            np.copyto(offsets, 0.0, where=outside)
        total += float(np.add.reduce(offsets))
        np.multiply(offsets, offsets, out=offsets)
        squares += float(np.add.reduce(offsets))
    return _from_sums(count, shift, total, squares)


def _from_sums(count: int, shift: float, total: float, squares: float) -> _Sums:
    if count == 0:
        return 0, math.nan, math.nan
    offset = total / count
    if count == 1:
        return 1, shift + offset, math.nan
    biased = squares / count - offset * offset
    return count, shift + offset, biased * count * count / (count * count - count)


def _blocks(pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, pixels.size, _BLOCK):
        yield pixels[start : start + _BLOCK].astype(np.float64)


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        root: NDArray[np.float64] = np.sqrt(values)
    return root
