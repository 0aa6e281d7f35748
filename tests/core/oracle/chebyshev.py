"""Twin of the polynomials' kernels: numpy's own Chebyshev polynomials, sums and solver."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

__all__ = ["image", "normal_equations", "solved", "values_at"]

_Doubles = NDArray[np.float64]


def normal_equations(
    order: int, places: tuple[_Doubles, _Doubles], values: _Doubles, weights: _Doubles
) -> tuple[_Doubles, _Doubles]:
    """Return matrix and right side of the finite cells; places are the columns' u, the rows' v."""
    used = np.isfinite(values + weights)
    v, u = np.meshgrid(places[1], places[0], indexing="ij")
    terms = _terms(order, u[used], v[used])
    weighted = terms * weights[used][:, np.newaxis]
    return terms.T @ weighted, weighted.T @ values[used]


def solved(matrix: _Doubles, right: _Doubles) -> _Doubles:
    """Return the solution of the equations."""
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def values_at(coefficients: _Doubles, order: int, u: _Doubles, v: _Doubles) -> _Doubles:
    """Return the polynomial at places, in double."""
    return _terms(order, u, v) @ coefficients


def image(coefficients: _Doubles, order: int, width: int, height: int) -> _Doubles:
    """Return the polynomial on every pixel, in double."""
    y, x = np.mgrid[:height, :width]
    u, v = ((2 * at + 1) / length - 1 for at, length in ((x, width), (y, height)))
    return values_at(coefficients, order, u.ravel(), v.ravel()).reshape(height, width)


def _terms(order: int, u: _Doubles, v: _Doubles) -> _Doubles:
    """Return the terms at places, ``[places, terms]``, by total degree and falling power of x."""
    x, y = chebyshev.chebvander(u, order), chebyshev.chebvander(v, order)
    pairs = [(degree - j, j) for degree in range(order + 1) for j in range(degree + 1)]
    return np.stack([x[:, i] * y[:, j] for i, j in pairs], axis=1)
