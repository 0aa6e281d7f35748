"""Pixels whose bytes were sorted: all their first bytes, then all their second ones, and so on.

Such a row compresses better, see FITS standard 4.0, section 10.4.2 (GZIP_2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = ["unshuffle"]


@kernel
def unshuffle(
    parts: NDArray[np.uint8], plane: NDArray[np.uint32], place: tuple[int, int], width: int
) -> None:
    """Put tiles that lie one below the other where they belong.

    Parameters
    ----------
    parts : `numpy.ndarray`
        uint8 ``[tile, byte, pixel]``, C-contiguous: of each tile the four bytes of its pixels,
        the most significant one first; its pixels row by row.
    plane : `numpy.ndarray`
        uint32 ``[y, x]``, C-contiguous; written where the tiles are.
    place : (int, int)
        Row and column of the first tile's first pixel.
    width : int
        Columns of a tile.
    """
    tiles, _, pixels = parts.shape
    y, x = place
    for tile in range(tiles):
        for first in range(0, pixels, width):
            row = plane[y, x : x + width]
            highest, higher, lower, lowest = parts[tile, :, first : first + width]
            for i in range(width):
                row[i] = (
                    (np.uint32(highest[i]) << np.uint32(24))
                    | (np.uint32(higher[i]) << np.uint32(16))
                    | (np.uint32(lower[i]) << np.uint32(8))
                    | np.uint32(lowest[i])
                )
            y += 1
