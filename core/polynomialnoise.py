"""What noise does to a polynomial model, worked out of its normal equations (section 13).

A polynomial is linear in the values of its cells, so its noise follows from the matrix A of its fit
alone, for any order, grid and gaps. With A = L L^T and v = L^-1 (terms at a cell's centre), a cell
counts weight (u . v) in any mean of the polynomial, where u = L^-1 (means of the terms).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.chebyshev import ChebyshevBackground, polynomials
from core.grid import bin_centres
from core.kernels.chebyshev import normal_equations, whiten
from core.skytiles import SkyTiles, window_sums

__all__ = ["NoiseLeft", "mean_shares", "noise_left"]

_Doubles = NDArray[np.float64]
_SINGULAR = 1e-12


class NoiseLeft(NamedTuple):
    """Variances of what a polynomial leaves of white noise, over those of the noise itself.

    `tiles` float64 ``[n]``, of the mean of each tile that counts; `window`, of the sum of tiles in
    windows of 3 x 3, in the mean of the windows; NaN where there is none, or the cells do not
    determine the polynomial.
    """

    tiles: _Doubles
    window: float


def mean_shares(model: ChebyshevBackground, weights: _Doubles) -> _Doubles:
    """Return how much each cell counts in the mean of a polynomial over its image.

    Parameters
    ----------
    model : ChebyshevBackground
        The polynomial.
    weights : `numpy.ndarray`
        float64 ``[ny, nx]``, those of its fit; 0 in cells that it leaves out.

    Returns
    -------
    shares : `numpy.ndarray`
        float64 ``[ny, nx]``; NaN if the cells do not determine the polynomial.
    """
    u, v = _whitened(model, weights, ((0, model.height), (0, model.width)))
    shares: _Doubles = weights * (u * v).sum(axis=0)
    return shares


def noise_left(model: ChebyshevBackground, tiles: SkyTiles, spread: float) -> NoiseLeft:
    """Return what a polynomial leaves of noise that is the same everywhere (section 13).

    Parameters
    ----------
    model : ChebyshevBackground
        The polynomial; all its cells with a value weigh the same.
    tiles : SkyTiles
        Which tiles count. A tile has a quarter of the pixels of each cell with a value under it.
    spread : float
        Variance of a cell's statistic over that of the mean of its pixels.

    Returns
    -------
    left : NoiseLeft
        Where u is of a tile and v the mean over the cells under it, the share of the tile's
        variance, 1 / n for its n cells' worth of pixels, is ``1 + n (spread u . u - 2 u . v)``:
        the noise of the polynomial is added, less what it has in common with that of the tile.
    """
    if not tiles.count:
        return NoiseLeft(np.empty(0), math.nan)
    known = np.isfinite(model.values).astype(np.float64)
    u, v = _whitened(model, known, (tiles.y_edges, tiles.x_edges))
    cells = _quarters(known)
    counting = tiles.counting & (cells > 0.0)
    alone = np.divide(1.0, cells, out=np.zeros_like(cells), where=counting)
    parts = _Parts(u * counting, _quarters(v * known) * alone, alone)
    windows = tiles.windows
    window = math.nan
    if windows.any():
        window = float(np.mean(_Parts(*map(window_sums, parts)).shares(spread)[windows]))
    return NoiseLeft(parts.shares(spread)[counting], window)


class _Parts(NamedTuple):
    """u, and the mean v of the cells under them, of tiles or sums of them; their own variance."""

    u: _Doubles
    v: _Doubles
    alone: _Doubles

    def shares(self, spread: float) -> _Doubles:
        """Return the share of their variance that is left."""
        more = spread * (self.u * self.u).sum(axis=0) - 2.0 * (self.u * self.v).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            left: _Doubles = 1.0 + more / self.alone
        return left


def _quarters(cells: _Doubles) -> _Doubles:
    """Return a quarter of the sum over the four cells under each tile."""
    lines = cells[..., :-1, :] + cells[..., 1:, :]
    quarters: _Doubles = (lines[..., :-1] + lines[..., 1:]) / 4.0
    return quarters


def _whitened(
    model: ChebyshevBackground, weights: _Doubles, edges: tuple[Sequence[int], Sequence[int]]
) -> tuple[_Doubles, _Doubles]:
    """Return u of what lies between edges along y and x, and v of cells, ``[terms, ..., ...]``."""
    ny, nx = model.values.shape
    order = model.order_used
    at_x = polynomials(order, bin_centres(model.width, nx), model.width)
    at_y = polynomials(order, bin_centres(model.height, ny), model.height)
    means_x = _means(order, model.width, edges[1])
    means_y = _means(order, model.height, edges[0])
    vectors = np.hstack([_terms(means_y, means_x), _terms(at_y, at_x)])
    matrix, right = np.zeros((len(vectors), len(vectors))), np.zeros(len(vectors))
    weights.setflags(write=False)
    normal_equations((at_x, at_y), np.zeros_like(weights), weights, matrix, right)
    if not whiten(matrix, vectors) > _SINGULAR:
        vectors[:] = np.nan
    count = means_y.shape[1] * means_x.shape[1]
    u, v = vectors[:, :count], vectors[:, count:]
    return u.reshape(-1, means_y.shape[1], means_x.shape[1]), v.reshape(-1, ny, nx)


def _means(order: int, length: int, edges: Sequence[int]) -> _Doubles:
    """Return the means of the polynomials over the pixels between edges, ``[order + 1, n]``."""
    table = polynomials(order, np.arange(length, dtype=np.float64), length)
    parts = [table[:, start:stop].mean(axis=1) for start, stop in pairwise(edges)]
    return np.array(parts).T


def _terms(y: _Doubles, x: _Doubles) -> _Doubles:
    """Return the products of MATCHING.md section 7 at all pairs of places, ``[terms, pairs]``."""
    degrees = [(n - j, j) for n in range(len(x)) for j in range(n + 1)]
    return np.array([np.outer(y[j], x[i]).reshape(-1) for i, j in degrees])
