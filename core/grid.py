"""The difference on a grid: the bins that a model is made of, the tiles that judge it.

MATCHING.md section 4 (bins) and section 8 (tiles). Coordinates are local: 0-based, the centre of a
pixel is an integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.config import MatchConfig
from core.errors import ImageError
from core.statistics import Clip, Estimate, estimate

__all__ = [
    "Grid",
    "Tiles",
    "bin_centres",
    "bin_count",
    "bin_edges",
    "measure_grid",
    "measure_tiles",
]

_FEWEST_PIXELS_OF_A_TILE = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Statistic of every bin.

    Parameters
    ----------
    values, errors : `numpy.ndarray`
        float32 ``[ny, nx]``, image unit: the statistic and its standard error (not squared); NaN
        where undefined.
    counts : `numpy.ndarray`
        int32 ``[ny, nx]``, accepted pixels of the bin.
    """

    values: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Statistic of every tile with at least two good pixels, in row-major order.

    Parameters
    ----------
    x, y : `numpy.ndarray`
        float64 ``[n]``, middle of the tile with exclusive upper edges: half a pixel past its
        centre.
    values, errors : `numpy.ndarray`
        float64 ``[n]``, image unit: the statistic, and max(stdev, grid_stdev_epsilon) / sqrt(n).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def bin_count(length: int, bin_size: int) -> int:
    """Return the number of bins along an axis: length / bin_size, rounded up.

    Parameters
    ----------
    length, bin_size : int
        Pixels of the axis and nominal pixels of a bin.

    Returns
    -------
    bins : int
        At least 1, at most `length`.
    """
    return -(-length // bin_size)


def bin_edges(length: int, bins: int) -> tuple[int, ...]:
    """Return the edges of the bins along an axis (MATCHING.md section 4).

    Parameters
    ----------
    length : int
        Pixels of the axis.
    bins : int
        Number of bins, 1 - `length`.

    Returns
    -------
    edges : tuple of int
        bins + 1 pixel positions; bin i holds the pixels ``edges[i] <= x < edges[i + 1]``. Bins
        differ by at most one pixel.

    Raises
    ------
    ImageError
        If a bin would have no pixel.
    """
    if not 1 <= bins <= length:
        raise ImageError("grid", f"{bins} bins on {length} pixels", "at least a pixel a bin")
    inner = (min(((i + 1) * length + bins // 2) // bins, length) for i in range(bins))
    return (0, *inner)


def bin_centres(length: int, bins: int) -> NDArray[np.float64]:
    """Return the centres of the bins along an axis (MATCHING.md section 4).

    Parameters
    ----------
    length, bins : int
        As for `bin_edges`.

    Returns
    -------
    centres : `numpy.ndarray`
        float64 ``[bins]``, ascending.
    """
    edges = np.array(bin_edges(length, bins), dtype=np.float64)
    return edges[:-1] + 0.5 * (edges[1:] - edges[:-1]) - 0.5


def measure_grid(image: NDArray[np.float32], good: NDArray[np.bool_], config: MatchConfig) -> Grid:
    """Return the statistic of every bin (MATCHING.md section 4).

    Parameters
    ----------
    image : `numpy.ndarray`
        float32 ``[y, x]``.
    good : `numpy.ndarray`
        bool ``[y, x]``, pixels that count; these are finite.
    config : MatchConfig
        bin_size, grid_statistic and the clipping settings.

    Returns
    -------
    grid : Grid
        ceil(height / bin_size) x ceil(width / bin_size) bins.
    """
    height, width = image.shape
    y_edges = bin_edges(height, bin_count(height, config.bin_size))
    x_edges = bin_edges(width, bin_count(width, config.bin_size))
    found = _estimates(image, good, y_edges, x_edges, config)
    shape = (len(y_edges) - 1, len(x_edges) - 1)
    return Grid(
        values=np.array([bin_.value for bin_ in found], dtype=np.float32).reshape(shape),
        errors=np.array([bin_.error for bin_ in found], dtype=np.float32).reshape(shape),
        counts=np.array([bin_.plain.count for bin_ in found], dtype=np.int32).reshape(shape),
    )


def measure_tiles(
    image: NDArray[np.float32], good: NDArray[np.bool_], config: MatchConfig
) -> Tiles:
    """Return the statistic of every tile of exactly bin_size pixels (MATCHING.md section 8).

    Unlike the bins, the tiles start at the first pixel and the last one of a line may be short.

    Parameters
    ----------
    image : `numpy.ndarray`
        float32 ``[y, x]``.
    good : `numpy.ndarray`
        bool ``[y, x]``, pixels that count; these are finite.
    config : MatchConfig
        bin_size, grid_statistic, grid_stdev_epsilon and the clipping settings.

    Returns
    -------
    tiles : Tiles
        Those with at least two good pixels; the statistic of one may be NaN all the same.
    """
    height, width = image.shape
    y_edges = _tile_edges(height, config.bin_size)
    x_edges = _tile_edges(width, config.bin_size)
    found = _estimates(image, good, y_edges, x_edges, config)
    y, x = np.meshgrid(_middles(y_edges), _middles(x_edges), indexing="ij")
    counts = np.array([tile.plain.count for tile in found], dtype=np.float64)
    stdevs = np.array([tile.plain.stdev for tile in found])
    kept = counts >= _FEWEST_PIXELS_OF_A_TILE
    return Tiles(
        x=x.ravel()[kept],
        y=y.ravel()[kept],
        values=np.array([tile.value for tile in found])[kept],
        errors=np.maximum(stdevs[kept], config.grid_stdev_epsilon) / np.sqrt(counts[kept]),
    )


def _tile_edges(length: int, bin_size: int) -> tuple[int, ...]:
    return (*range(0, length, bin_size), length)


def _middles(edges: tuple[int, ...]) -> NDArray[np.float64]:
    positions = np.array(edges, dtype=np.float64)
    return (positions[:-1] + positions[1:]) / 2


def _estimates(
    image: NDArray[np.float32],
    good: NDArray[np.bool_],
    y_edges: tuple[int, ...],
    x_edges: tuple[int, ...],
    config: MatchConfig,
) -> list[Estimate]:
    """Statistic of every cell between the edges, in row-major order."""
    clip = Clip(config.num_sigma_clip, config.num_iter)
    found = []
    for bottom, top in pairwise(y_edges):
        for left, right in pairwise(x_edges):
            cell = (slice(bottom, top), slice(left, right))
            found.append(estimate(image[cell][good[cell]], config.grid_statistic, clip))
    return found
