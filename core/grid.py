"""The difference on a grid: the bins that a model is made of, the tiles that judge it.

MATCHING.md section 4 (bins) and section 8 (tiles). Coordinates are local: 0-based, the centre of a
pixel is an integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.bins import bin_centres, bin_count, bin_edges, tile_edges
from core.config import MatchConfig
from core.difference import Difference
from core.statistics import Clip, Estimates, Moments, cell_moments, estimates

__all__ = [
    "Grid",
    "Tiles",
    "bin_centres",
    "bin_count",
    "bin_edges",
    "measure",
    "measure_grid",
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


def measure(difference: Difference, config: MatchConfig) -> tuple[Grid, Tiles]:
    """Return the statistics of every bin and of every tile (MATCHING.md sections 4 and 8).

    Parameters
    ----------
    difference : Difference
        What to measure.
    config : MatchConfig
        bin_size, grid_statistic, grid_stdev_epsilon and the clipping settings.

    Returns
    -------
    grid : Grid
        ceil(height / bin_size) x ceil(width / bin_size) bins.
    tiles : Tiles
        Those with at least two good pixels; the statistic of one may be NaN all the same.
    """
    height, width = difference.plane.shape
    bins = _bins(height, width, config.bin_size)
    tiles = tile_edges(height, config.bin_size), tile_edges(width, config.bin_size)
    plain = difference.moments(*bins)
    found = _estimates(difference.plane, bins, plain, config)
    grid = _grid(found, plain)
    if tiles != bins:
        plain = difference.moments(*tiles)
        found = _estimates(difference.plane, tiles, plain, config)
    return grid, _tiles(found, plain, tiles, config)


def measure_grid(
    plane: NDArray[np.float32], config: MatchConfig, bins: tuple[int, int] | None = None
) -> Grid:
    """Return the statistic of every bin (MATCHING.md section 4).

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, NaN where a pixel is not accepted.
    config : MatchConfig
        bin_size, grid_statistic and the clipping settings.
    bins : tuple of int, optional
        ``(ny, nx)``, the number of bins along either axis, in place of what follows from
        bin_size (INCREASE_NXNYSAMPLE of MATCHING.md section 7).

    Returns
    -------
    grid : Grid
        ny x nx bins.

    Raises
    ------
    ImageError
        If a bin would have no pixel.
    """
    height, width = plane.shape
    if bins is None:
        edges = _bins(height, width, config.bin_size)
    else:
        edges = bin_edges(height, bins[0]), bin_edges(width, bins[1])
    plain = cell_moments(plane, *edges)
    return _grid(_estimates(plane, edges, plain, config), plain)


_Edges = tuple[tuple[int, ...], tuple[int, ...]]
"""Of the cells along y and along x."""


def _bins(height: int, width: int, bin_size: int) -> _Edges:
    y_edges = bin_edges(height, bin_count(height, bin_size))
    return y_edges, bin_edges(width, bin_count(width, bin_size))


def _estimates(
    plane: NDArray[np.float32], edges: _Edges, plain: Moments, config: MatchConfig
) -> Estimates:
    clip = Clip(config.num_sigma_clip, config.num_iter)
    return estimates(plane, *edges, plain, (config.grid_statistic, clip))


def _grid(found: Estimates, plain: Moments) -> Grid:
    return Grid(
        values=found.values.astype(np.float32),
        errors=found.errors.astype(np.float32),
        counts=plain.counts.astype(np.int32),
    )


def _tiles(found: Estimates, plain: Moments, edges: _Edges, config: MatchConfig) -> Tiles:
    y, x = np.meshgrid(_middles(edges[0]), _middles(edges[1]), indexing="ij")
    kept = plain.counts >= _FEWEST_PIXELS_OF_A_TILE
    stdevs = np.maximum(plain.stdevs[kept], config.grid_stdev_epsilon)
    return Tiles(
        x=x[kept],
        y=y[kept],
        values=found.values[kept],
        errors=stdevs / np.sqrt(plain.counts[kept]),
    )


def _middles(edges: Sequence[int]) -> NDArray[np.float64]:
    positions = np.array(edges, dtype=np.float64)
    return (positions[:-1] + positions[1:]) / 2
