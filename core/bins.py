"""Where the bins of a model and the tiles that judge it lie (MATCHING.md sections 4 and 8).

Coordinates are local: 0-based, the centre of a pixel is an integer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError

__all__ = ["bin_centres", "bin_count", "bin_edges", "tile_edges"]


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


def tile_edges(length: int, bin_size: int) -> tuple[int, ...]:
    """Return the edges of the tiles along an axis (MATCHING.md section 8).

    Unlike the bins, tiles are exactly bin_size from the first pixel on, and the last may be short.

    Parameters
    ----------
    length, bin_size : int
        Pixels of the axis and of a tile.

    Returns
    -------
    edges : tuple of int
        `bin_count` + 1 pixel positions; tile i holds the pixels ``edges[i] <= x < edges[i + 1]``.
    """
    return (*range(0, length, bin_size), length)
