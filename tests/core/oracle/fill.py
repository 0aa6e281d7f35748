"""Twin of the thin plate: its energy as a matrix of all cells, solved by numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["energy", "fill"]

_Doubles = NDArray[np.float64]


def energy(shape: tuple[int, int], ratio: float, tension: float) -> _Doubles:
    """Return the matrix E of the energy z E z of a grid of cells `ratio` times as high as wide."""
    ny, nx = shape
    parts = [
        (ratio**2, np.kron(np.eye(ny), _differences(nx, 2))),
        (ratio**-2, np.kron(_differences(ny, 2), np.eye(nx))),
        (2.0, np.kron(_differences(ny, 1), _differences(nx, 1))),
        (tension * ratio, np.kron(np.eye(ny), _differences(nx, 1))),
        (tension / ratio, np.kron(_differences(ny, 1), np.eye(nx))),
    ]
    return np.asarray(sum(weight * part.T @ part for weight, part in parts), dtype=np.float64)


def fill(values: _Doubles, ratio: float, tension: float) -> _Doubles:
    """Return the grid with the least energy values in place of NaN."""
    matrix = energy((values.shape[0], values.shape[1]), ratio, tension)
    filled = values.ravel().copy()
    empty = np.isnan(filled)
    right = -matrix[np.ix_(empty, ~empty)] @ filled[~empty]
    filled[empty] = np.linalg.solve(matrix[np.ix_(empty, empty)], right)
    return filled.reshape(values.shape)


def _differences(length: int, degree: int) -> _Doubles:
    """Return the differences of neighbours along an axis as a matrix; none if it is too short."""
    if length <= degree:
        return np.zeros((0, length))
    return np.diff(np.eye(length), degree, axis=0)
