"""Empty cells of a grid, filled like a thin plate under tension (MATCHING.md section 14).

Cells that have a value keep it; the others make the least of the sum, over the grid, of
``(q z_xx)^2 + (z_yy / q)^2 + 2 z_xy^2 + tension (q z_x^2 + z_y^2 / q)``, where z_x and its like are
differences of neighbours, and q = hy / hx for cells of hx by hy.
"""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = ["fill"]

_Doubles = NDArray[np.float64]
_Cells = tuple[int, int, int, int]
_Stencil = tuple[float, float, float, float]


class _System(NamedTuple):
    """Equations of the n empty cells: their numbers on the grid (-1 for others), an upper band.

    ``band[i, k]`` is what cell number i + k counts in equation i.
    """

    values: _Doubles
    numbers: NDArray[np.int64]
    band: _Doubles
    right: _Doubles


@kernel
def fill(
    values: _Doubles, loads: _Doubles, shape: tuple[int, int], ratio: float, tension: float
) -> _Doubles:
    """Return the grid of this shape, a line ``values[ny nx]``, filled; ratio is hy / hx.

    At least one cell must have a value. ``loads[ny nx]`` press on the empty cells: half the sum
    less ``load * z`` is made the least.
    """
    ny, nx = shape
    numbers = np.full(values.size, -1)
    empty = 0
    for cell in range(values.size):
        if isnan(values[cell]):
            numbers[cell] = empty
            empty += 1
    band = np.zeros((empty, min(_reach(numbers, nx), empty)))
    system = _System(values, numbers, band, np.zeros(empty))
    for cell in range(values.size):
        if numbers[cell] >= 0:
            system.right[numbers[cell]] = loads[cell]
    for y in range(ny):
        for x in range(nx):
            _bend(system, (y, x, ny, nx), ratio, tension)
    _solve(band, system.right)
    filled = values.copy()
    for cell in range(values.size):
        if numbers[cell] >= 0:
            filled[cell] = system.right[numbers[cell]]
    return filled


@kernel
def _reach(numbers: NDArray[np.int64], nx: int) -> int:
    """Return the width of the band: an equation reaches two rows on, or two cells."""
    reach = 1
    for cell in range(numbers.size):
        if numbers[cell] >= 0:
            for step in (1, 2, nx - 1, nx, nx + 1, 2 * nx):
                if cell + step < numbers.size and numbers[cell + step] >= 0:
                    reach = max(reach, numbers[cell + step] - numbers[cell] + 1)
    return reach


@kernel
def _bend(system: _System, place: tuple[int, int, int, int], ratio: float, tension: float) -> None:
    """Add the differences between a cell and those that follow it on the grid."""
    y, x, ny, nx = place
    cell = y * nx + x
    if x + 2 < nx:
        line = (cell, cell + 1, cell + 2, cell)
        _add(system, line, (1.0, -2.0, 1.0, 0.0), ratio * ratio)
    if y + 2 < ny:
        line = (cell, cell + nx, cell + 2 * nx, cell)
        _add(system, line, (1.0, -2.0, 1.0, 0.0), 1.0 / (ratio * ratio))
    if x + 1 < nx and y + 1 < ny:
        square = (cell, cell + 1, cell + nx, cell + nx + 1)
        _add(system, square, (1.0, -1.0, -1.0, 1.0), 2.0)
    if x + 1 < nx:
        _add(system, (cell, cell + 1, cell, cell), (-1.0, 1.0, 0.0, 0.0), tension * ratio)
    if y + 1 < ny:
        _add(system, (cell, cell + nx, cell, cell), (-1.0, 1.0, 0.0, 0.0), tension / ratio)


@kernel
def _add(system: _System, cells: _Cells, stencil: _Stencil, weight: float) -> None:
    """Add the square of a difference to the equations of the empty cells in it."""
    for a in range(4):
        row = system.numbers[cells[a]]
        if row < 0 or stencil[a] == 0.0:
            continue
        for b in range(4):
            amount = weight * stencil[a] * stencil[b]
            column = system.numbers[cells[b]]
            if column < 0 and stencil[b] != 0.0:
                system.right[row] -= amount * system.values[cells[b]]
            elif column >= row and stencil[b] != 0.0:
                system.band[row, column - row] += amount


@kernel
def _solve(band: _Doubles, right: _Doubles) -> None:
    """Solve the symmetric, positive definite equations in place by Gauss's elimination."""
    size, width = band.shape
    for k in range(size):
        reach = min(width, size - k)
        for i in range(1, reach):
            factor = band[k, i] / band[k, 0]
            if factor != 0.0:
                _subtract(factor, band[k, i:reach], band[k + i, : reach - i])
                right[k + i] -= factor * right[k]
    for k in range(size - 1, -1, -1):
        for i in range(1, min(width, size - k)):
            right[k] -= band[k, i] * right[k + i]
        right[k] /= band[k, 0]


@kernel
def _subtract(factor: float, source: _Doubles, target: _Doubles) -> None:
    for i in range(target.size):
        target[i] -= factor * source[i]
