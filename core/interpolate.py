"""From a grid to pixels, by one-dimensional curves (MATCHING.md sections 5 and 6).

Columns of the grid are interpolated first, then these along x. Every pixel is the same arithmetic
in double, whichever others are asked for with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import FitProfile, InterpStyle, UndersampleStyle
from core.errors import InterpolationError
from core.kernels import lines

__all__ = ["Surface", "fewest_points", "fit_surface", "richest_style"]

_Doubles = NDArray[np.float64]

_LANES = 64

_FEWEST_POINTS = {
    InterpStyle.CONSTANT: 1,
    InterpStyle.LINEAR: 2,
    InterpStyle.NATURAL_SPLINE: 3,
    InterpStyle.CUBIC_SPLINE: 3,
    InterpStyle.AKIMA_SPLINE: 5,
}
_BY_POINTS = (
    InterpStyle.CONSTANT,
    InterpStyle.LINEAR,
    InterpStyle.CUBIC_SPLINE,
    InterpStyle.CUBIC_SPLINE,
    InterpStyle.AKIMA_SPLINE,
)
_KERNELS = {
    InterpStyle.CONSTANT: lines.CONSTANT,
    InterpStyle.LINEAR: lines.LINEAR,
    InterpStyle.NATURAL_SPLINE: lines.NATURAL,
    InterpStyle.CUBIC_SPLINE: lines.NATURAL,
    InterpStyle.AKIMA_SPLINE: lines.AKIMA,
}


@dataclass(frozen=True, eq=False, slots=True)
class Surface:
    """Curves along y through the columns of a grid, to be joined along x.

    Parameters
    ----------
    style : InterpStyle
        Style of the curves along x, where there are columns enough.
    nodes : `numpy.ndarray`
        float64 ``[nx]``, ascending: positions of the columns.
    curves : `core.kernels.lines.Curves`
        Of the columns.
    rules : `core.kernels.lines.Rules`
        How the curves along x are fitted.
    """

    style: InterpStyle
    nodes: _Doubles
    curves: lines.Curves
    rules: lines.Rules

    def rows(self, x0: int, y0: int, out: NDArray[np.float32]) -> None:
        """Write the surface at the pixels of a box.

        Parameters
        ----------
        x0, y0 : int
            First column and row of the box.
        out : `numpy.ndarray`
            float32 ``[rows, columns]``, C-contiguous, of the box's shape; overwritten. NaN where
            there is no value to interpolate.

        Raises
        ------
        InterpolationError
            If a row crosses too few columns for a style that may not be reduced.
        """
        rows, columns = out.shape
        x = _frozen(np.arange(x0, x0 + columns, dtype=np.float64))
        y = _frozen(np.arange(y0, y0 + rows, dtype=np.float64))
        for some, curve, pieces in self._fitted(y):
            lines.draw(curve, pieces, x, out[some])

    def points(self, x: _Doubles, y: _Doubles, out: NDArray[np.float32]) -> None:
        """Write the surface at points.

        Parameters
        ----------
        x, y : `numpy.ndarray`
            float64 ``[n]``, finite.
        out : `numpy.ndarray`
            float32 ``[n]``, C-contiguous; overwritten.

        Raises
        ------
        InterpolationError
            As `rows`.
        """
        x = _frozen(x)
        for some, curve, pieces in self._fitted(_frozen(y)):
            lines.pick(curve, pieces, x[some], out[some])

    def _fitted(self, y: _Doubles) -> Iterator[tuple[slice, lines.Curve, int]]:
        """Yield curves along x, a lane for each of some of the positions, and their pieces."""
        for start in range(0, y.size, _LANES):
            stop = min(start + _LANES, y.size)
            table = np.empty((self.nodes.size, stop - start))
            lines.cross(self.curves, y[start:stop], table)
            curve, pieces = self._curve(table)
            if pieces != lines.DIFFERENT:
                yield slice(start, stop), curve, pieces
                continue
            for lane in range(stop - start):
                curve, pieces = self._curve(table[:, lane : lane + 1])
                yield slice(start + lane, start + lane + 1), curve, pieces

    def _curve(self, table: _Doubles) -> tuple[lines.Curve, int]:
        return _fit(self.nodes, table, self.rules, (self.style, "a row of bins"))


def fewest_points(style: InterpStyle) -> int:
    """Return how many values a style needs along a line (MATCHING.md section 5).

    Parameters
    ----------
    style : InterpStyle
        Interpolation style.

    Returns
    -------
    points : int
        1, 2, 3 or 5.
    """
    return _FEWEST_POINTS[style]


def richest_style(points: int) -> InterpStyle:
    """Return the richest style that so many values allow (MATCHING.md section 5).

    Parameters
    ----------
    points : int
        Values along a line, at least 1.

    Returns
    -------
    style : InterpStyle
        CONSTANT, LINEAR, CUBIC_SPLINE or AKIMA_SPLINE.
    """
    return _BY_POINTS[min(points, len(_BY_POINTS)) - 1]


def fit_surface(
    centres: tuple[_Doubles, _Doubles],
    values: _Doubles,
    style: InterpStyle,
    undersample: UndersampleStyle,
    profile: FitProfile,
) -> Surface:
    """Fit a curve to every column of a grid (MATCHING.md section 5).

    Parameters
    ----------
    centres : tuple of `numpy.ndarray`
        Positions of the rows, float64 ``[ny]``, and of the columns, float64 ``[nx]``, ascending.
    values : `numpy.ndarray`
        float64 ``[ny, nx]``; NaN is no value, infinities are values.
    style : InterpStyle
        Style asked for, along y and x; where a line has too few values, the richest possible
        instead.
    undersample : UndersampleStyle
        Only REDUCE_INTERP_ORDER allows that.
    profile : FitProfile
        ``lsst``: CONSTANT averages neighbours, and Akima's spline extrapolates quadratically.
        ``survey``: CONSTANT takes a node's own value, and extrapolation is linear.

    Returns
    -------
    surface : Surface
        It goes on beyond the outermost nodes.

    Raises
    ------
    InterpolationError
        If a column has too few values for a style that may not be reduced.
    """
    y, x = (_frozen(one) for one in centres)
    reducible = undersample == UndersampleStyle.REDUCE_INTERP_ORDER
    rules = lines.Rules(_KERNELS[style], reducible, profile == FitProfile.SURVEY)
    line = style, "a column of bins"
    found = [_fit(y, values[:, i : i + 1], rules, line) for i in range(x.size)]
    curves = lines.Curves(
        breaks=_frozen(np.array([curve.breaks for curve, _ in found])),
        origins=_frozen(np.array([curve.origins for curve, _ in found])),
        coefficients=_frozen(np.array([curve.coefficients for curve, _ in found])),
        pieces=np.array([pieces for _, pieces in found], dtype=np.int64),
    )
    return Surface(style, x, curves, rules)


def _fit(
    nodes: _Doubles, values: _Doubles, rules: lines.Rules, line: tuple[InterpStyle, str]
) -> tuple[lines.Curve, int]:
    """Return the curves of ``values[n, lanes]`` and their pieces; refuse lines too short."""
    points, lanes = values.shape
    curve = lines.Curve(
        breaks=np.empty(points + 1),
        origins=np.empty(points + 1),
        coefficients=np.empty((points + 1, 4, lanes)),
    )
    pieces = lines.fit(nodes, _frozen(values), rules, curve)
    if pieces < lines.DIFFERENT:
        style, which = line
        raise InterpolationError(style, lines.DIFFERENT - 1 - pieces, fewest_points(style), which)
    for array in curve:
        array.setflags(write=False)
    return curve, pieces


def _frozen(array: _Doubles) -> _Doubles:
    """Return a read-only view: kernels are compiled for one kind of arguments each."""
    view = np.ascontiguousarray(array, dtype=np.float64).view()
    view.setflags(write=False)
    return view
