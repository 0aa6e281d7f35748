"""Memory of the kernels of `core.kernels.cells`: what they work in, and where they write."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BUCKETS", "COPIED", "KEPT", "PIECE", "Found", "Room"]

PIECE: int = 1024
"""Pixels of a row that are taken at once."""

COPIED: int = 1 << 18
"""Pixels of a cell that fit into the cache."""

KEPT: int = 4096
"""Pixels of buckets that are sorted, and more in large cells."""

BUCKETS: int = 1024
"""Of a histogram at most, beside three: 0 of pixels that are not accepted, 1 of what is below the
range, and the last of what is above."""


class Room(NamedTuple):
    """Memory that the kernels work in, one cell after the other.

    `copy` holds a cell's pixels, and `seen` is the same memory to read from. `lanes` are sums
    along rows, `buckets` those of a piece of a row, `tallies` their counts before they are summed.

    The histogram: ranks from ``ends[b - 1]`` to below ``ends[b]`` are in bucket b, of the buckets
    that `scale` tells, whose last number is the last bucket. All pixels of bucket b are
    ``equal[b]`` unless that is NaN; where ``wanted[b]`` they are in `kept`, ascending, rank r at
    ``kept[r - skipped[b]]``. `bits` is the same memory as `kept`; `keys` and `places` are for
    sorting it.
    """

    copy: NDArray[np.float32]
    seen: NDArray[np.float32]
    lanes: NDArray[np.float64]
    buckets: NDArray[np.uint16]
    tallies: NDArray[np.uint32]
    ends: NDArray[np.int64]
    scale: NDArray[np.float32]
    equal: NDArray[np.float32]
    wanted: NDArray[np.uint8]
    skipped: NDArray[np.int64]
    kept: NDArray[np.float32]
    bits: NDArray[np.uint32]
    keys: NDArray[np.uint32]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, pixels: int) -> Room:
        """Return memory for cells of so many pixels at most.

        Parameters
        ----------
        pixels : int
            Pixels of the largest cell.

        Returns
        -------
        room : Room
            A megabyte or so, and a thirtieth of the cell's size.
        """
        kept = np.empty(max(KEPT, pixels // 64), np.float32)
        copy = np.empty((1, min(pixels, COPIED)), np.float32)
        seen = copy.view()
        seen.flags.writeable = False
        return cls(
            copy=copy,
            seen=seen,
            lanes=np.empty((2, PIECE), np.float64),
            buckets=np.empty(PIECE + 8, np.uint16),
            tallies=np.empty(4 * (BUCKETS + 3), np.uint32),
            ends=np.empty(BUCKETS + 3, np.int64),
            scale=np.empty(4, np.float32),
            equal=np.empty(BUCKETS + 3, np.float32),
            wanted=np.empty(BUCKETS + 3, np.uint8),
            skipped=np.empty(BUCKETS + 3, np.int64),
            kept=kept,
            bits=kept.view(np.uint32),
            keys=np.empty(kept.size, np.uint32),
            places=np.empty(257, np.int64),
        )


class Found(NamedTuple):
    """What the kernels find of every cell, ``[ny, nx]``.

    `limits` are the centre and the half width of the last clipping pass, ``[2, ny, nx]``, and
    `quantiles` as many as are asked for, ``[ny, nx, fractions]``.
    """

    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    limits: NDArray[np.float64]
    quantiles: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, int], fractions: int) -> Found:
        """Return what is known before anything is measured: counts of 0, NaN.

        Parameters
        ----------
        shape : tuple of int
            ``(ny, nx)``, number of cells along either axis.
        fractions : int
            Number of quantiles.

        Returns
        -------
        found : Found
            For the kernels to write to.
        """
        return cls(
            counts=np.zeros(shape, np.int64),
            means=np.full(shape, math.nan),
            variances=np.full(shape, math.nan),
            limits=np.full((2, *shape), math.nan),
            quantiles=np.full((*shape, fractions), math.nan),
        )
