"""Planes in bands of rows, as the kernels take them: few enough at once to stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROWS", "frozen", "row_bands"]

ROWS: int = 128
"""Of a band at most: with a thousand columns, what stays in the cache between two passes."""

_Pixel = TypeVar("_Pixel", bound=np.generic)


def row_bands(edges: Sequence[int]) -> Iterator[slice]:
    """Yield the rows between edges, in bands of `ROWS` at most.

    Parameters
    ----------
    edges : sequence of int
        Rows at which a band must end, ascending.

    Yields
    ------
    rows : slice
        One band after the other, from the first edge to the last.
    """
    for start, stop in pairwise(edges):
        for first in range(start, stop, ROWS):
            yield slice(first, min(first + ROWS, stop))


def frozen(plane: NDArray[_Pixel]) -> NDArray[_Pixel]:
    """Return a plane, or rows of it, in the one form that kernels are compiled for.

    Parameters
    ----------
    plane : `numpy.ndarray`
        ``[y, x]``, as it may come: scattered, misaligned, read-only.

    Returns
    -------
    frozen : `numpy.ndarray`
        The same numbers C-contiguous and read-only, copied only if they are not in one piece.
    """
    seen: NDArray[_Pixel] = np.require(plane, requirements=["C", "ALIGNED"]).view()
    seen.flags.writeable = False
    return seen
