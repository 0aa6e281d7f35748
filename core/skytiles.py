"""What a model leaves of the sky, tile by tile (MATCHING.md section 13).

Tiles are shifted by half a cell against the cells that made the model: of exactly the pixels of a
cell the model has taken away what a tile should show. A tile is cut into strips along either axis.
Blocks, a few strips wide and as many high, tell how far its noise is correlated; the strips of a
whole line of tiles tell of steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.grid import bin_edges
from core.kernels.sky import measure_strips
from core.statistics import Clip, Clipped, clipped_moments

__all__ = [
    "WINDOW",
    "Layout",
    "Profile",
    "SkyTiles",
    "block_side",
    "measure_sky",
    "shifted_edges",
    "strips_of_a_block",
    "window_sums",
]

_CLIP: Final = Clip(3.0, 2)
_FEWEST_GOOD: Final = 0.1
_FEWEST_BLOCKS: Final = 4
_STRIPS_OF_A_BLOCK: Final = 4
WINDOW: Final = 3
"""Tiles along the side of a window."""
_FEWEST_OF_A_WINDOW: Final = 5
_THINNEST_STRIP: Final = 2

_Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Tiles along an axis and the strips that they are cut into.

    Parameters
    ----------
    tiles : tuple of int
        Edges of the n tiles, pixels, ascending; tiles may be none.
    first : `numpy.ndarray`
        int64 ``[n + 1]``, the first strip of each tile, with the number of strips at the end.
    strips : `numpy.ndarray`
        int64 ``[strips + 1]``, edges of the strips, pixels.
    """

    tiles: tuple[int, ...]
    first: NDArray[np.int64]
    strips: NDArray[np.int64]

    @classmethod
    def of(cls, tiles: Sequence[int], side: int) -> Layout:
        """Cut tiles into blocks, and these into `strips_of_a_block` strips each.

        Parameters
        ----------
        tiles : sequence of int
            Edges of tiles.
        side : int
            Pixels of a block; the last of a tile is as short as it must be.

        Returns
        -------
        layout : Layout
            Of these tiles; the strips of a block differ by a pixel at most.
        """
        strips = strips_of_a_block(side)
        cuts = [
            [start + at for at in _cuts(stop - start, side, strips)]
            for start, stop in pairwise(tiles)
        ]
        first = np.cumsum([0, *(len(cut) for cut in cuts)], dtype=np.int64)
        edges = [*(edge for cut in cuts for edge in cut), tiles[-1]]
        return cls(tuple(tiles), first, np.array(edges, dtype=np.int64))

    @property
    def owners(self) -> NDArray[np.int64]:
        """The tile of each strip, int64 ``[strips]``."""
        return np.repeat(np.arange(self.first.size - 1), np.diff(self.first))


@dataclass(frozen=True, eq=False, slots=True)
class Profile:
    """What is left along every line of tiles, in strips across the line.

    Parameters
    ----------
    edges : `numpy.ndarray`
        int64 ``[strips + 1]``, pixels along the line.
    counts : `numpy.ndarray`
        float64 ``[lines, strips]``, pixels within their tile's clip; 0 in tiles that don't count.
    means : `numpy.ndarray`
        float64 ``[lines, strips]``, image unit; 0 without pixels.
    weights : `numpy.ndarray`
        float64 ``[lines, strips]``, inverse of the square of the mean's error for uncorrelated
        noise; 0 without pixels.
    """

    edges: NDArray[np.int64]
    counts: _Doubles
    means: _Doubles
    weights: _Doubles


@dataclass(frozen=True, eq=False, slots=True)
class SkyTiles:
    """What is left in the tiles.

    Parameters
    ----------
    y_edges, x_edges : tuple of int
        Edges of the tiles, pixels.
    offsets, errors : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit: the clipped mean of a tile, and sigma / sqrt(n), as if
        noise were not correlated. NaN in a tile that doesn't count.
    kappa : float
        By how much correlated noise makes the errors exceed that; NaN where no tile has four
        blocks.
    freedom : float
        Degrees of freedom of the blocks in a tile, one fewer than blocks; NaN with `kappa`.
    columns, rows : Profile
        Lines of tiles along x, cut by strips across x; and the same with x and y exchanged.
    """

    y_edges: tuple[int, ...]
    x_edges: tuple[int, ...]
    offsets: _Doubles
    errors: _Doubles
    kappa: float
    freedom: float
    columns: Profile
    rows: Profile

    @property
    def counting(self) -> NDArray[np.bool_]:
        """Which tiles count, bool ``[ny, nx]``."""
        return np.isfinite(self.offsets)

    @property
    def count(self) -> int:
        """How many tiles count."""
        return int(np.count_nonzero(self.counting))

    @property
    def windows(self) -> NDArray[np.bool_]:
        """Which windows of `window_sums` have five tiles that count, bool ``[ny - 2, nx - 2]``."""
        if min(self.offsets.shape) < WINDOW:
            return np.zeros((0, 0), dtype=np.bool_)
        return window_sums(self.counting) >= _FEWEST_OF_A_WINDOW


def window_sums(values: NDArray[Any]) -> NDArray[np.float64]:
    """Sum over windows of 3 x 3 tiles.

    Parameters
    ----------
    values : `numpy.ndarray`
        ``[..., ny, nx]``, at least 3 x 3 tiles.

    Returns
    -------
    sums : `numpy.ndarray`
        float64 ``[..., ny - 2, nx - 2]``, of full windows alone.
    """
    tiles = values.astype(np.float64)
    lines = tiles[..., :-2, :] + tiles[..., 1:-1, :] + tiles[..., 2:, :]
    sums: NDArray[np.float64] = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]
    return sums


def shifted_edges(length: int, cells: int) -> tuple[int, ...]:
    """Return the edges of the tiles, half-way between those of the cells.

    Parameters
    ----------
    length : int
        Pixels of the axis.
    cells : int
        Cells along it.

    Returns
    -------
    edges : tuple of int
        As many as cells: one tile fewer.
    """
    return tuple((low + high) // 2 for low, high in pairwise(bin_edges(length, cells)))


def block_side(bin_size: int) -> int:
    """Return the side of the blocks that show how noise is correlated.

    Parameters
    ----------
    bin_size : int
        Side of a cell, pixels.

    Returns
    -------
    side : int
        Pixels: a quarter of the cell, at most 16, or an eighth; at least 2.
    """
    return max(min(16, bin_size // 4), bin_size // 8, _THINNEST_STRIP)


def strips_of_a_block(side: int) -> int:
    """Return how many strips a block is cut into.

    Parameters
    ----------
    side : int
        Pixels of the block.

    Returns
    -------
    strips : int
        Four, if each has two pixels then; at least one.
    """
    return max(1, min(_STRIPS_OF_A_BLOCK, side // _THINNEST_STRIP))


def measure_sky(residual: NDArray[np.float32], cells: tuple[int, int], bin_size: int) -> SkyTiles:
    """Return what is left in the tiles between the cells of a grid (MATCHING.md section 13).

    Parameters
    ----------
    residual : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, image unit: difference minus model, NaN where a pixel is
        not accepted.
    cells : tuple of int
        ``(ny, nx)`` of the grid that made the model.
    bin_size : int
        Nominal side of its cells, pixels.

    Returns
    -------
    tiles : SkyTiles
        One fewer than cells along either axis.
    """
    height, width = residual.shape
    side = block_side(bin_size)
    y = Layout.of(shifted_edges(height, cells[0]), side)
    x = Layout.of(shifted_edges(width, cells[1]), side)
    clipped = clipped_moments(residual, y.tiles, x.tiles, _CLIP)
    good, blocks, spread, columns, rows = measure_strips(
        residual,
        ((y.first, y.strips), (x.first, x.strips)),
        (clipped.centres, clipped.widths),
        np.array([side, strips_of_a_block(side)]),
    )
    variances = _counting(clipped, good, y, x)
    kappa, freedom = _correlation(blocks, spread / variances)
    centres = np.nan_to_num(clipped.centres)
    return SkyTiles(
        y_edges=y.tiles,
        x_edges=x.tiles,
        offsets=np.where(variances < math.inf, clipped.moments.means, np.nan),
        errors=_errors(variances, clipped.moments.counts),
        kappa=kappa,
        freedom=freedom,
        columns=_profile(x, columns, centres, variances),
        rows=_profile(y, rows, centres.T, variances.T),
    )


def _cuts(length: int, side: int, strips: int) -> Iterator[int]:
    """Yield where the strips of a tile begin."""
    for block in range(0, length, side):
        for strip in range(strips):
            start = block + strip * side // strips
            if start < length:
                yield start


def _counting(clipped: Clipped, good: NDArray[np.int64], y: Layout, x: Layout) -> _Doubles:
    """Return the clipped variances of the tiles that count, infinite in the others."""
    areas = np.outer(np.diff(y.tiles), np.diff(x.tiles))
    variances = clipped.moments.variances
    counting = (good >= _FEWEST_GOOD * areas) & np.isfinite(variances) & (variances > 0.0)
    return np.where(counting, variances, np.inf)


def _errors(variances: _Doubles, counts: NDArray[np.int64]) -> _Doubles:
    finite = np.isfinite(variances)
    errors = np.full(variances.shape, np.nan)
    errors[finite] = np.sqrt(variances[finite] / counts[finite])
    return errors


def _correlation(blocks: NDArray[np.int64], spread: _Doubles) -> tuple[float, float]:
    """Return kappa, from spread over that of white noise in the median of the tiles."""
    usable = (blocks >= _FEWEST_BLOCKS) & (spread > 0.0)
    if not usable.any():
        return math.nan, math.nan
    freedom = blocks[usable] - 1.0
    medians = freedom * (1.0 - 2.0 / (9.0 * freedom)) ** 3
    return math.sqrt(float(np.median(spread[usable] / medians))), float(np.median(freedom))


def _profile(layout: Layout, sums: _Doubles, centres: _Doubles, variances: _Doubles) -> Profile:
    owners = layout.owners
    weights = sums[0] / variances[:, owners]
    counts = np.where(weights > 0.0, sums[0], 0.0)
    means = np.divide(sums[1], counts, out=np.zeros_like(counts), where=counts > 0.0)
    means += np.where(counts > 0.0, centres[:, owners], 0.0)
    return Profile(layout.strips, counts, means, weights)
