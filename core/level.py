"""Level and scatter of an exposure's sky about a plane, clipped (MATCHING.md section 14).

What profile ``survey`` chooses a reference by: neither a gradient nor stars count as noise, and the
zero level plays no part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.config import MatchConfig
from core.grid import bin_edges
from core.image import MaskedImage
from core.plane import plane_slopes
from core.statistics import Clip, clipped_moments

__all__ = ["SkyLevel", "sky_level"]

_MOST_CELLS = 16
_LEAST_PIXELS = 8
_ROWS_AT_ONCE = 16
"""Rows that stay in the processor's cache while they are worked on."""

_STRAIGHT = 1e-9
"""Share of the squared spread below which cells are taken to lie on a line."""


@dataclass(frozen=True, slots=True)
class SkyLevel:
    """Sky of one exposure.

    Parameters
    ----------
    level : float
        The plane at the exposure's centre, image unit; NaN if no pixel is left by the clipping.
    variance : float
        Of the clipped pixels about the plane, image unit squared; NaN with fewer than two.
    count : int
        Good pixels, the clipped ones among them.
    """

    level: float
    variance: float
    count: int


@dataclass(frozen=True, eq=False, slots=True)
class _Cells:
    """Cells that the clipping left pixels in, and the number of good pixels of all cells."""

    counts: NDArray[np.float64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    good: int


@dataclass(frozen=True, slots=True)
class _Plane:
    """level + x_slope x + y_slope y, x and y from the exposure's centre, pixels."""

    level: float = 0.0
    x_slope: float = 0.0
    y_slope: float = 0.0


def sky_level(exposure: MaskedImage, config: MatchConfig) -> SkyLevel:
    """Return level and clipped variance about a plane (MATCHING.md section 14).

    The exposure is cut into at most 16 x 16 cells. A plane is fitted to the cells' clipped means,
    weighted by their pixels, then the variance is that of the clipped pixels about the plane, all
    cells together. No more than a strip of cells is held in memory beside the exposure.

    Parameters
    ----------
    exposure : MaskedImage
        The exposure; its variance plane is not looked at.
    config : MatchConfig
        bad_mask_planes, num_sigma_clip, num_iter.

    Returns
    -------
    level : SkyLevel
        Its figures.
    """
    plane = _fitted(_cells(exposure, _Plane(), config))
    left = _cells(exposure, plane, config)
    total = math.fsum(left.counts)
    if not total:
        return SkyLevel(math.nan, math.nan, left.good)
    offset = math.fsum(left.counts * left.means) / total
    within = np.where(left.counts > 1, (left.counts - 1) * left.variances, 0.0)
    between = left.counts * (left.means - offset) ** 2
    squares = math.fsum(within) + math.fsum(between)
    variance = squares / (total - 1) if total > 1 else math.nan
    return SkyLevel(plane.level + offset, variance, left.good)


def _cells(exposure: MaskedImage, plane: _Plane, config: MatchConfig) -> _Cells:
    """Measure the exposure less a plane."""
    height, width = exposure.shape
    x_edges = bin_edges(width, _cell_count(width))
    y_edges = bin_edges(height, _cell_count(height))
    strips = [
        _measured(_strip(exposure, start, stop, plane, config), start, exposure, x_edges, config)
        for start, stop in pairwise(y_edges)
    ]
    table = np.concatenate(strips, axis=1)
    counts, means, variances, x, y = table[:5, ~np.isnan(table[1])]
    return _Cells(counts, means, variances, x, y, int(table[5].sum()))


def _cell_count(length: int) -> int:
    return min(max(length // _LEAST_PIXELS, 1), _MOST_CELLS)


def _strip(
    exposure: MaskedImage, start: int, stop: int, plane: _Plane, config: MatchConfig
) -> NDArray[np.float32]:
    """Return rows of the exposure less the plane, NaN where a pixel is not accepted."""
    height, width = exposure.shape
    bits = exposure.bits(config.bad_mask_planes)
    x = plane.x_slope * (np.arange(width) - (width - 1) / 2)
    y = plane.level + plane.y_slope * (np.arange(height) - (height - 1) / 2)
    strip = np.empty((stop - start, width), dtype=np.float32)
    for first in range(start, stop, _ROWS_AT_ONCE):
        rows = slice(first, min(first + _ROWS_AT_ONCE, stop))
        block = strip[first - start : rows.stop - start]
        with np.errstate(invalid="ignore", over="ignore"):
            sky = (x + y[rows, np.newaxis]).astype(np.float32)
            np.subtract(exposure.image[rows], sky, out=block)
        refused = ~np.isfinite(block)
        refused |= (exposure.mask[rows] & bits) != 0
        np.copyto(block, np.nan, where=refused)
    return strip


def _measured(
    strip: NDArray[np.float32],
    start: int,
    exposure: MaskedImage,
    x_edges: Sequence[int],
    config: MatchConfig,
) -> NDArray[np.float64]:
    """Return a column a cell: clipped count, mean, variance; x, y, count of all good pixels."""
    clip = Clip(config.num_sigma_clip, config.num_iter)
    clipped = clipped_moments(strip, (0, len(strip)), x_edges, clip).moments
    good = ~np.isnan(strip)
    by_row = np.add.reduceat(good, x_edges[:-1], axis=1, dtype=np.int64)
    counts = by_row.sum(axis=0)
    x_sums = np.add.reduceat(good.sum(axis=0) * np.arange(good.shape[1]), x_edges[:-1])
    y_sums = (by_row * np.arange(start, start + len(strip))[:, np.newaxis]).sum(axis=0)
    height, width = exposure.shape
    with np.errstate(invalid="ignore"):
        x, y = x_sums / counts - (width - 1) / 2, y_sums / counts - (height - 1) / 2
    row = (clipped.counts[0], clipped.means[0], clipped.variances[0], x, y, counts)
    return np.array(row, dtype=np.float64)


def _fitted(cells: _Cells) -> _Plane:
    """Return the least-squares plane, level where the cells do not say how it is tilted."""
    weights, total = cells.counts, math.fsum(cells.counts)
    if not total:
        return _Plane()
    centre = [math.fsum(weights * of) / total for of in (cells.x, cells.y, cells.means)]
    x, y, z = (of - at for of, at in zip((cells.x, cells.y, cells.means), centre, strict=True))
    xx, xy, yy = (math.fsum(weights * a * b) for a, b in ((x, x), (x, y), (y, y)))
    xz, yz = math.fsum(weights * x * z), math.fsum(weights * y * z)
    a, b = plane_slopes((xx, xy, yy), (xz, yz), _STRAIGHT)
    return _Plane(centre[2] - a * centre[0] - b * centre[1], a, b)
