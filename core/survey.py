"""What profile ``survey`` makes of a grid: errors with a floor, no empty cells (section 14).

Both are worked out of values, errors and counts alone, so that a model can be rebuilt from these.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.grid import bin_centres
from core.kernels.fill import fill
from core.plane import plane_slopes

__all__ = ["filled", "filled_shares", "floored_errors"]

_Doubles = NDArray[np.float64]

_FLOOR = 0.5
"""Share of a typical sigma below which no cell's own sigma is believed."""
_TENSION = 0.01
"""Of the plate, per squared cell: it lies flat some ten cells away from the nearest value."""
_STRAIGHT = 1e-12
"""Share of the squared spread of cells below which they are taken to lie on a line."""
_LONGEST_SIDE = 128


def floored_errors(errors: NDArray[np.float32], counts: NDArray[np.int32]) -> _Doubles:
    """Return the errors that cells are weighted by (MATCHING.md section 14).

    The sigma of a pixel that a cell's error stands for is ``error sqrt(count)``; the typical one is
    the median of those that are finite and not 0, or 1 if there is none. No cell is taken to have
    less than half the typical sigma: so a uniform cell, or one of two pixels that happen to be
    equal, counts, but not for more than four ordinary cells of as many pixels. A cell of one pixel,
    which has no error, is taken to have the typical sigma.

    Parameters
    ----------
    errors : `numpy.ndarray`
        float32 ``[ny, nx]``, standard errors, image unit; NaN where unknown.
    counts : `numpy.ndarray`
        int32 ``[ny, nx]``, accepted pixels.

    Returns
    -------
    floored : `numpy.ndarray`
        float64 ``[ny, nx]``, positive.
    """
    roots = np.sqrt(np.maximum(counts, 1).astype(np.float64))
    sigmas = errors * roots
    known = sigmas[np.isfinite(sigmas) & (sigmas > 0)]
    typical = float(np.median(known)) if known.size else 1.0
    return np.where(np.isnan(sigmas), typical, np.maximum(sigmas, _FLOOR * typical)) / roots


def filled(values: _Doubles, errors: _Doubles, size: tuple[int, int]) -> _Doubles:
    """Return a grid without empty cells (MATCHING.md section 14).

    A plane is fitted to the cells that have a value, weighted by 1 / error^2. What is left of these
    is continued into the empty cells as a thin plate under light tension would be, pinned to the
    cells: it bends as little as it can, is smooth across the edges of a gap, and far from all cells
    becomes flat, hence the model the plane. So a plane is continued exactly, where three cells
    determine one; where all are on a line there is no slope across it. The grid of exchanged axes
    gives the exchanged answer to the bit. Grids of more than 128 cells along a side are filled in
    blocks of cells.

    Parameters
    ----------
    values : `numpy.ndarray`
        float64 ``[ny, nx]``, image unit; NaN is an empty cell.
    errors : `numpy.ndarray`
        float64 ``[ny, nx]``, positive; only those of cells with a value are looked at.
    size : tuple of int
        ``(height, width)`` of the image in pixels.

    Returns
    -------
    filled : `numpy.ndarray`
        float64 ``[ny, nx]``; the values where there were any, all NaN if there were none.
    """
    empty = np.isnan(values)
    if not empty.any() or empty.all():
        return values
    plane = _plane(values, errors, size)
    high, wide = size[0] / values.shape[0], size[1] / values.shape[1]
    with np.errstate(invalid="ignore"):  # infinite values are kept, and spoil what is beside them
        rest = values - plane
        # the order of sums differs between the two, their mean is the same for both
        mean = (_plate(rest, high / wide) + _plate(rest.T, wide / high).T) / 2
        return np.where(empty, plane + mean, values)


def filled_shares(
    shares: _Doubles, known: NDArray[np.bool_], errors: _Doubles, size: tuple[int, int]
) -> _Doubles:
    """Return how much cells with a value count in a figure of the grid that `filled` makes of them.

    Parameters
    ----------
    shares : `numpy.ndarray`
        float64 ``[ny, nx]``: how much each cell of the filled grid counts in the figure.
    known : `numpy.ndarray`
        bool ``[ny, nx]``, the cells with a value; at least one.
    errors, size
        As for `filled`.

    Returns
    -------
    shares : `numpy.ndarray`
        float64 ``[ny, nx]``, 0 in empty cells: `filled` is linear in the values, and this is its
        transpose. On grids of more than 128 cells along a side it is that of the plane alone.
    """
    pressed = np.zeros(shares.shape)
    if max(shares.shape) <= _LONGEST_SIDE:
        ratio = (size[0] / shares.shape[0]) / (size[1] / shares.shape[1])
        loads = np.where(known, 0.0, shares)
        pressed = -_forces(_solved(np.where(known, 0.0, np.nan), loads, ratio), ratio)
    # the plane counts where it fills, less what the plate is then made of
    of_plane = np.where(known, -pressed, shares)
    tilt = _Tilt.of(known, errors, size)
    slopes = tilt.slopes(float(np.sum(of_plane * tilt.x)), float(np.sum(of_plane * tilt.y)))
    level = float(np.sum(of_plane)) / math.fsum(tilt.weights)
    found = np.zeros(shares.shape)
    found[known] = (shares + pressed)[known]
    found[known] += tilt.weights * (level + slopes[0] * tilt.u + slopes[1] * tilt.v)
    return found


def _forces(plate: _Doubles, ratio: float) -> _Doubles:
    """Return the pull of a bent plate on its cells: half the derivative of what is made the least.

    By differences of some order along y and x, and their transposes.
    """
    forces = np.zeros(plate.shape)
    for ny, nx, weight in (
        (0, 2, ratio * ratio),
        (2, 0, 1.0 / (ratio * ratio)),
        (1, 1, 2.0),
        (0, 1, _TENSION * ratio),
        (1, 0, _TENSION / ratio),
    ):
        if plate.shape[0] > ny and plate.shape[1] > nx:
            bent = np.diff(np.diff(plate, ny, axis=0), nx, axis=1)
            back = np.diff(np.diff(np.pad(bent, ((ny, ny), (nx, nx))), ny, axis=0), nx, axis=1)
            forces += weight * (-1.0) ** (ny + nx) * back
    return forces


def _plate(values: _Doubles, ratio: float) -> _Doubles:
    """Fill cells, each `ratio` times as high as wide."""
    ny, nx = values.shape
    side = -(-max(ny, nx) // _LONGEST_SIDE)
    if side > 1:
        blocks = _plate(_blocks(values, side), ratio)
        return np.repeat(np.repeat(blocks, side, axis=0), side, axis=1)[:ny, :nx]
    return _solved(values, np.zeros(values.shape), ratio)


def _solved(values: _Doubles, loads: _Doubles, ratio: float) -> _Doubles:
    lines = values.reshape(-1).copy(), loads.reshape(-1).copy()
    for line in lines:
        line.setflags(write=False)
    found: _Doubles = fill(*lines, values.shape, float(ratio), _TENSION)
    return found.reshape(values.shape)


def _blocks(values: _Doubles, side: int) -> _Doubles:
    """Return the means of square blocks of cells, NaN where all are empty."""
    ny, nx = values.shape
    pad = (0, -ny % side), (0, -nx % side)
    cells = np.pad(values, pad, constant_values=np.nan)
    cells = cells.reshape(cells.shape[0] // side, side, cells.shape[1] // side, side)
    known = ~np.isnan(cells)
    totals = np.where(known, cells, 0.0).sum(axis=(1, 3))
    with np.errstate(invalid="ignore"):
        means: _Doubles = totals / known.sum(axis=(1, 3))
    return means


def _plane(values: _Doubles, errors: _Doubles, size: tuple[int, int]) -> _Doubles:
    """Return the plane through the cells, at all of them; sums are exact, so in any order."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros_like(values)
    tilt = _Tilt.of(known, errors, size)
    middle = tilt.mean(values[known])
    z = values[known] - middle
    slopes = tilt.slopes(*(math.fsum(tilt.weights * (one * z)) for one in (tilt.u, tilt.v)))
    return middle + (slopes[0] * tilt.x + slopes[1] * tilt.y)


class _Tilt(NamedTuple):
    """How cells with a value tell a plane: `x`, `y` of all cells, `u`, `v` and `weights` of these.

    Places are counted from the weighted mean of the cells with a value.
    """

    x: _Doubles
    y: _Doubles
    u: _Doubles
    v: _Doubles
    weights: _Doubles

    @classmethod
    def of(cls, known: NDArray[np.bool_], errors: _Doubles, size: tuple[int, int]) -> _Tilt:
        """Look at the cells that have a value."""
        y, x = np.meshgrid(*map(bin_centres, size, known.shape), indexing="ij")
        weights = (errors[known].min() / errors[known]) ** 2
        total = math.fsum(weights)
        x, y = (one - math.fsum(weights * one[known]) / total for one in (x, y))
        return cls(x, y, x[known], y[known], weights)

    def mean(self, values: _Doubles) -> float:
        """Return the weighted mean of the values of these cells."""
        return math.fsum(self.weights * values) / math.fsum(self.weights)

    def slopes(self, xz: float, yz: float) -> tuple[float, float]:
        """Solve the normal equations; along a line of cells, for no slope across it."""
        pairs = (self.u, self.u), (self.v, self.v), (self.u, self.v)
        xx, yy, xy = (math.fsum(self.weights * (one * other)) for one, other in pairs)
        return plane_slopes((xx, xy, yy), (xz, yz), _STRAIGHT)
