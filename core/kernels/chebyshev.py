"""Sums of products of Chebyshev polynomials: fitted to cells, drawn on pixels (section 7).

Terms T_i(u) T_j(v) are ordered by total degree i + j, within one by falling i. Tables hold
T_0 ... T_order, float64 ``[order + 1, n]``, at n places along an axis.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = ["draw", "normal_equations", "pick", "solve", "whiten"]

_Doubles = NDArray[np.float64]
_Tables = tuple[_Doubles, _Doubles]

_PIECE = 512


@kernel
def normal_equations(
    tables: _Tables, values: _Doubles, weights: _Doubles, matrix: _Doubles, right: _Doubles
) -> None:
    """Add each cell of ``values[ny, nx]`` to ``matrix[n, n]`` and ``right[n]``.

    Tables are those of x and of y at the cells' centres. Only cells whose value + weight is finite
    count. The lower half of the matrix is filled, the upper one mirrored from it.
    """
    terms = np.empty(right.size)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            if isfinite(values[y, x] + weights[y, x]):
                _terms(tables, x, y, terms)
                _add(weights[y, x], values[y, x], terms, matrix, right)
    for k in range(right.size):
        for other in range(k):
            matrix[other, k] = matrix[k, other]


@kernel
def solve(matrix: _Doubles, right: _Doubles) -> float:
    """Solve in place by elimination with partial pivoting; return the least pivot's size."""
    least = np.inf
    for k in range(right.size):
        _pivot(matrix, right, k)
        least = min(least, abs(matrix[k, k]))
        for row in range(k + 1, right.size):
            factor = matrix[row, k] / matrix[k, k]
            _subtract(factor, matrix[k, k + 1 :], matrix[row, k + 1 :])
            right[row] -= factor * right[k]
    for k in range(right.size - 1, -1, -1):
        for column in range(k + 1, right.size):
            right[k] -= matrix[k, column] * right[column]
        right[k] /= matrix[k, k]
    return least


@kernel
def whiten(matrix: _Doubles, vectors: _Doubles) -> float:
    """Turn the columns v of ``vectors[n, m]`` into L^-1 v, for a matrix L L^T.

    The upper half of the matrix becomes L^T. Return the least share that elimination leaves of an
    element of the diagonal: near 0 where the matrix is singular, and 0 where there is no L.
    """
    least = 1.0
    for k in range(vectors.shape[0]):
        diagonal = matrix[k, k]
        for row in range(k):
            factor = matrix[row, k]
            _subtract(factor, matrix[row, k:], matrix[k, k:])
            _subtract(factor, vectors[row], vectors[k])
        share = matrix[k, k] / diagonal
        if not share > 0.0:
            return 0.0
        least = min(least, share)
        root = np.sqrt(matrix[k, k])
        _divide(matrix[k, k:], root)
        _divide(vectors[k], root)
    return least


@kernel
def draw(
    tables: _Tables, coefficients: _Doubles, corner: tuple[int, int], out: NDArray[np.float32]
) -> None:
    """Write the pixels of a box whose first one is corner, (x, y), of the tables."""
    x_table, y_table = tables
    x0, y0 = corner
    line, sums = np.empty(x_table.shape[0]), np.empty(_PIECE)
    for row in range(out.shape[0]):
        _line(coefficients, y_table, y0 + row, line)
        for first in range(0, out.shape[1], _PIECE):
            pixels = out[row, first : first + _PIECE]
            _sum(line, x_table, x0 + first, sums[: pixels.size])
            _round(sums, pixels)


@kernel
def pick(tables: _Tables, coefficients: _Doubles, out: NDArray[np.float32]) -> None:
    """Write the value at each place of the tables, ``out[n]``."""
    x_table, y_table = tables
    line, value = np.empty(x_table.shape[0]), np.empty(1)
    for place in range(out.size):
        _line(coefficients, y_table, place, line)
        _sum(line, x_table, place, value)
        out[place] = value[0]


@kernel
def _terms(tables: _Tables, x: int, y: int, terms: _Doubles) -> None:
    x_table, y_table = tables
    k = 0
    for degree in range(x_table.shape[0]):
        for j in range(degree + 1):
            terms[k] = x_table[degree - j, x] * y_table[j, y]
            k += 1


@kernel
def _add(weight: float, value: float, terms: _Doubles, matrix: _Doubles, right: _Doubles) -> None:
    for k in range(terms.size):
        weighted = weight * terms[k]
        right[k] += weighted * value
        _subtract(-weighted, terms[: k + 1], matrix[k, : k + 1])


@kernel
def _pivot(matrix: _Doubles, right: _Doubles, k: int) -> None:
    """Bring the row with the largest element of column k, from row k on, up to row k."""
    best = k
    for row in range(k + 1, right.size):
        if abs(matrix[row, k]) > abs(matrix[best, k]):
            best = row
    for column in range(right.size):
        matrix[k, column], matrix[best, column] = matrix[best, column], matrix[k, column]
    right[k], right[best] = right[best], right[k]


@kernel
def _subtract(factor: float, source: _Doubles, target: _Doubles) -> None:
    for i in range(target.size):
        target[i] -= factor * source[i]


@kernel
def _divide(target: _Doubles, divisor: float) -> None:
    for i in range(target.size):
        target[i] /= divisor


@kernel
def _line(coefficients: _Doubles, y_table: _Doubles, row: int, line: _Doubles) -> None:
    """Write the coefficients of T_0(u) ... T_order(u) along a row."""
    for i in range(line.size):
        line[i] = 0.0
        for j in range(line.size - i):
            degree = i + j
            line[i] += coefficients[degree * (degree + 1) // 2 + j] * y_table[j, row]


@kernel
def _sum(line: _Doubles, x_table: _Doubles, start: int, sums: _Doubles) -> None:
    """Write the sum of the polynomials from a place of the table on, added in rising order."""
    stop = start + sums.size
    sums[:] = line[0]
    i = 1
    while i + 4 <= line.size:
        a, b, c, d = line[i], line[i + 1], line[i + 2], line[i + 3]
        first, second = x_table[i, start:stop], x_table[i + 1, start:stop]
        third, fourth = x_table[i + 2, start:stop], x_table[i + 3, start:stop]
        for x in range(sums.size):
            sums[x] = (((sums[x] + a * first[x]) + b * second[x]) + c * third[x]) + d * fourth[x]
        i += 4
    while i < line.size:
        _subtract(-line[i], x_table[i, start:stop], sums)
        i += 1


@kernel
def _round(sums: _Doubles, pixels: NDArray[np.float32]) -> None:
    for x in range(pixels.size):
        pixels[x] = sums[x]
