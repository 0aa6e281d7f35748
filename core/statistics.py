"""Statistics of the pixels of cells: moments, quantiles, clipping (MATCHING.md sections 2 and 3).

A plane is a float32 array ``[y, x]`` that is NaN where a pixel is not accepted: not finite, or
flagged. A cell is a rectangle of it, and cells are told by their edges: the pixels of cell (j, i)
are ``plane[y_edges[j] : y_edges[j + 1], x_edges[i] : x_edges[i + 1]]``. All sums are doubles, taken
in a fixed order, so that the bits depend neither on BLAS nor on threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.bands import frozen, row_bands
from core.config import GridStatistic
from core.kernels import cells, planes
from core.kernels.memory import Found, Room

__all__ = [
    "Clip",
    "Clipped",
    "Estimates",
    "Moments",
    "cell_moments",
    "cell_quantiles",
    "clipped_moments",
    "estimates",
    "pooled_moments",
]

_QUARTILES = (0.25, 0.5, 0.75)


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
    shape = len(y_edges) - 1, len(x_edges) - 1
    found = _unknown(shape)
    for row, (bottom, top) in enumerate(pairwise(y_edges)):
        bands = list(row_bands((bottom, top)))
        columns = planes.Columns.of(len(bands), plane.shape[1])
        for index, rows in enumerate(bands):
            planes.measure(frozen(plane[rows]), columns.band(index))
        pooled = pooled_moments(columns, (0, len(bands)), x_edges)
        found.counts[row] = pooled.counts
        found.means[row] = pooled.means
        found.variances[row] = pooled.variances
    return found


def pooled_moments(
    columns: planes.Columns, bands: Sequence[int], x_edges: Sequence[int]
) -> Moments:
    """Return the moments of cells from those of their columns, combined about the common mean.

    Parameters
    ----------
    columns : core.kernels.planes.Columns
        Moments of every column of some bands of rows.
    bands, x_edges : sequence of int
        Edges of the ny cells along y, counted in bands, and of the nx along x; not descending.

    Returns
    -------
    moments : Moments
        ``[ny, nx]``.
    """
    found = _unknown((len(bands) - 1, len(x_edges) - 1))
    edges = np.array(bands, dtype=np.int64), np.array(x_edges, dtype=np.int64)
    planes.pool(columns, *edges, (found.counts, found.means, found.variances))
    return found


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
    ascending, places = np.unique(np.array(fractions, dtype=np.float64), return_inverse=True)
    if not ascending.size:
        return np.empty((0, len(y_edges) - 1, len(x_edges) - 1))
    found = _measured(plane, y_edges, x_edges, (ascending, 0.0, 0))
    return np.ascontiguousarray(np.moveaxis(found.quantiles[:, :, places], 2, 0))


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
    how = np.array(_QUARTILES), float(clip.sigma), clip.iterations
    found = _measured(plane, y_edges, x_edges, how)
    centres, widths = found.limits
    return Clipped(Moments(found.counts, found.means, found.variances), centres, widths)


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


def _measured(
    plane: NDArray[np.float32],
    y_edges: Sequence[int],
    x_edges: Sequence[int],
    how: tuple[NDArray[np.float64], float, int],
) -> Found:
    """Fractions of quantiles, limit and number of passes, as `core.kernels.cells` takes them."""
    edges = np.array(y_edges, dtype=np.int64), np.array(x_edges, dtype=np.int64)
    tallest, widest = (int(np.diff(along).max(initial=0)) for along in edges)
    found = Found.of((len(y_edges) - 1, len(x_edges) - 1), len(how[0]))
    room = Room.of(tallest * widest)
    cells.order_statistics(frozen(plane), edges, how, room, found)
    return found


def _unknown(shape: tuple[int, int]) -> Moments:
    return Moments(np.zeros(shape, np.int64), np.full(shape, math.nan), np.full(shape, math.nan))


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        root: NDArray[np.float64] = np.sqrt(values)
    return root
