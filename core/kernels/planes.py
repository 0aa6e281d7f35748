"""What is done to every pixel of two exposures: their difference, and what a model leaves of it.

Rows of planes are C-contiguous. What is not accepted (flagged, or not finite) is NaN in a plane
that these kernels write. Sums are kept for every column, in one double each, which is what lets the
compiler take several pixels at a time without changing the order of a sum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = [
    "Columns",
    "Pair",
    "accept_and_measure",
    "combine",
    "combine_and_measure",
    "measure",
    "pool",
    "subtract",
]

_PIECE = 1024  # columns that stay in the cache with the rows of a band

_Rows = NDArray[np.float32]
_Masks = NDArray[np.int32]
_PairOfRows = tuple[_Rows, _Rows, _Masks, _Masks]
_Cell = tuple[int, int, int, int]


class Pair(NamedTuple):
    """Rows of two exposures: a plane of each, float32 ``[n, x]``, and their masks, int32."""

    first: _Rows
    second: _Rows
    first_mask: NDArray[np.int32]
    second_mask: NDArray[np.int32]


class Columns(NamedTuple):
    """Moments of every column of some bands of rows.

    `counts` int32 ``[bands, x]`` accepted pixels, `means` float64 their mean (0 without any),
    `squares` float64 the sum of their squared offsets from it.
    """

    counts: NDArray[np.int32]
    means: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, bands: int, width: int) -> Columns:
        """Return where the kernels write.

        Parameters
        ----------
        bands, width : int
            Number of bands and of columns.

        Returns
        -------
        columns : Columns
            All 0.
        """
        shape = (bands, width)
        return cls(np.zeros(shape, np.int32), np.zeros(shape), np.zeros(shape))

    def band(self, index: int) -> Columns:
        """Return the columns of one band.

        Parameters
        ----------
        index : int
            Which, from 0.

        Returns
        -------
        columns : Columns
            Views ``[x]``.
        """
        return Columns(self.counts[index], self.means[index], self.squares[index])


@kernel
def combine(pair: Pair, bits: tuple[np.int32, np.int32], sign: float, into: _Rows) -> None:
    """Add or subtract planes in float32.

    Parameters
    ----------
    pair : Pair
        Rows of both exposures.
    bits : tuple of int
        Mask bits of either exposure; a pixel with one of them in its mask is not accepted.
    sign : float
        1 or -1, of the second plane.
    into : `numpy.ndarray`
        float32 ``[n, x]``, becomes first + sign * second, NaN where that is not finite or the
        pixel is flagged.
    """
    for y in range(into.shape[0]):
        rows = (pair.first[y], pair.second[y], pair.first_mask[y], pair.second_mask[y])
        _combine(rows, bits, sign, into[y])


@kernel
def combine_and_measure(
    pair: Pair, bits: tuple[np.int32, np.int32], sign: float, into: _Rows, columns: Columns
) -> None:
    """Add or subtract planes in float32, and measure the columns of the result.

    Parameters
    ----------
    pair, bits, sign, into
        As for `combine`.
    columns : Columns
        Of one band, 0 so far; takes the moments of these rows.
    """
    for start in range(0, into.shape[1], _PIECE):
        part = slice(start, min(start + _PIECE, into.shape[1]))
        for y in range(into.shape[0]):
            rows = (
                pair.first[y, part],
                pair.second[y, part],
                pair.first_mask[y, part],
                pair.second_mask[y, part],
            )
            _combine(rows, bits, sign, into[y, part])
        _measure(into, part, columns)


@kernel
def measure(rows: _Rows, columns: Columns) -> None:
    """Measure the columns of rows of a plane.

    Parameters
    ----------
    rows : `numpy.ndarray`
        float32 ``[n, x]``, NaN where a pixel is not accepted.
    columns : Columns
        Of one band, 0 so far; takes the moments of these rows.
    """
    for start in range(0, rows.shape[1], _PIECE):
        _measure(rows, slice(start, min(start + _PIECE, rows.shape[1])), columns)


@kernel
def accept_and_measure(
    image: _Rows, mask: NDArray[np.int32], bits: np.int32, into: _Rows, columns: Columns
) -> None:
    """Measure the columns of the accepted pixels of one exposure.

    Parameters
    ----------
    image, mask : `numpy.ndarray`
        float32 and int32 ``[n, x]``, rows of the exposure.
    bits : int
        Mask bits; a pixel with one of them in its mask is not accepted.
    into : `numpy.ndarray`
        float32 ``[n, x]``, becomes the image, NaN where a pixel is flagged or not finite.
    columns : Columns
        Of one band, 0 so far; takes the moments of these rows.
    """
    for start in range(0, into.shape[1], _PIECE):
        part = slice(start, min(start + _PIECE, into.shape[1]))
        for y in range(into.shape[0]):
            _accept(image[y, part], mask[y, part], bits, into[y, part])
        _measure(into, part, columns)


@kernel
def _combine(rows: _PairOfRows, bits: tuple[np.int32, np.int32], sign: float, into: _Rows) -> None:
    first, second, first_mask, second_mask = rows
    first_bits, second_bits = np.int32(bits[0]), np.int32(bits[1])
    factor, limit, none = np.float32(sign), np.float32(math.inf), np.float32(math.nan)
    for i in range(into.size):
        value = first[i] + factor * second[i]
        flags = (first_mask[i] & first_bits) | (second_mask[i] & second_bits)
        into[i] = value if (flags == 0) & (abs(value) < limit) else none


@kernel
def _accept(image: _Rows, mask: NDArray[np.int32], bits: np.int32, into: _Rows) -> None:
    limit, none, bad = np.float32(math.inf), np.float32(math.nan), np.int32(bits)
    for i in range(into.size):
        into[i] = image[i] if (mask[i] & bad == 0) & (abs(image[i]) < limit) else none


@kernel
def _measure(rows: _Rows, part: slice, columns: Columns) -> None:
    """Take the moments of some columns, in two passes: the second about the mean of the first."""
    counts, means, squares = columns.counts[part], columns.means[part], columns.squares[part]
    for y in range(rows.shape[0]):
        _add(rows[y, part], counts, means)
    for i in range(means.size):
        means[i] = means[i] / counts[i] if counts[i] > 0 else 0.0
    offsets = np.zeros(means.size)
    for y in range(rows.shape[0]):
        _add_offsets(rows[y, part], means, offsets, squares)
    for i in range(means.size):
        if counts[i] > 0:
            offset = offsets[i] / counts[i]
            means[i] += offset
            squares[i] = max(squares[i] - offsets[i] * offset, 0.0)


@kernel
def _add(row: _Rows, counts: NDArray[np.int32], sums: NDArray[np.float64]) -> None:
    for i in range(row.size):
        accepted = abs(row[i]) < math.inf
        counts[i] += np.int32(accepted)
        sums[i] += np.float64(row[i]) if accepted else 0.0


@kernel
def _add_offsets(
    row: _Rows,
    centres: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    for i in range(row.size):
        offset = np.float64(row[i]) - centres[i]
        offset = offset if abs(row[i]) < math.inf else 0.0
        sums[i] += offset
        squares[i] += offset * offset


@kernel
def pool(
    columns: Columns,
    bands: NDArray[np.int64],
    x_edges: NDArray[np.int64],
    found: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Combine moments of columns to those of cells: the mean of means, and squares about it.

    Parameters
    ----------
    columns : Columns
        Of all bands.
    bands : `numpy.ndarray`
        int64, edges of the ny cells along y, counted in bands, not descending.
    x_edges : `numpy.ndarray`
        int64, edges of the nx cells along x, not descending.
    found : tuple of `numpy.ndarray`
        int64 and float64 ``[ny, nx]``: takes counts, means and unbiased variances, where defined.
    """
    for j in range(bands.size - 1):
        for i in range(x_edges.size - 1):
            cell = (bands[j], bands[j + 1], x_edges[i], x_edges[i + 1])
            count, mean = _pooled_mean(columns, cell)
            if count > 0:
                found[0][j, i], found[1][j, i] = count, mean
            if count > 1:
                found[2][j, i] = _pooled_squares(columns, cell, mean) / (count - 1)


@kernel
def _pooled_mean(columns: Columns, cell: _Cell) -> tuple[int, float]:
    """Count and mean; exact where all columns have one mean, which sums of it would not be."""
    first, last, left, right = cell
    count, total, shift = 0, 0.0, 0.0
    for band in range(first, last):
        for x in range(left, right):
            n = int(columns.counts[band, x])
            if count == 0:
                shift = columns.means[band, x]
            count += n
            total += n * (columns.means[band, x] - shift)
    return count, shift + total / max(count, 1)


@kernel
def _pooled_squares(columns: Columns, cell: _Cell, mean: float) -> float:
    first, last, left, right = cell
    total = 0.0
    for band in range(first, last):
        for x in range(left, right):
            offset = columns.means[band, x] - mean
            total += columns.squares[band, x] + columns.counts[band, x] * (offset * offset)
    return total


@kernel
def subtract(rows: _Rows, model: _Rows, squares: NDArray[np.float64]) -> tuple[int, float, int]:
    """Take a model from rows of a difference in place, in float32.

    Parameters
    ----------
    rows : `numpy.ndarray`
        float32 ``[n, x]``, becomes rows - model, NaN where that is not finite.
    model : `numpy.ndarray`
        float32 ``[n, x]``.
    squares : `numpy.ndarray`
        float64 ``[x]``, memory to work in.

    Returns
    -------
    count : int
        Pixels of the result that are not NaN.
    total : float
        Sum of their squares.
    overflows : int
        Pixels of the model that are not finite.
    """
    count, overflows, total = 0, 0, 0.0
    for x in range(squares.size):
        squares[x] = 0.0
    for y in range(rows.shape[0]):
        left, finite = _subtract(rows[y], model[y], squares)
        count += left
        overflows += squares.size - finite
    for x in range(squares.size):
        total += squares[x]
    return count, total, overflows


@kernel
def _subtract(row: _Rows, model: _Rows, squares: NDArray[np.float64]) -> tuple[int, int]:
    limit, none = np.float32(math.inf), np.float32(math.nan)
    count, finite = 0, 0
    for x in range(row.size):
        rest = row[x] - model[x]
        accepted = abs(rest) < limit
        row[x] = rest if accepted else none
        count += int(accepted)
        finite += int(abs(model[x]) < limit)
        wide = np.float64(rest) if accepted else 0.0
        squares[x] += wide * wide
    return count, finite
