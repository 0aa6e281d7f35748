"""Twin of the curves through lines: one-dimensional interpolation by numpy (sections 5 and 6).

A fitted curve is a row of cubic pieces, extrapolation included: left of its first node, between
nodes, right of its last. All lines that have their values at the same nodes are fitted and
evaluated together. Everything is elementwise arithmetic in double, so that a value does not depend
on which other positions or lines are asked for with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.config import InterpStyle, UndersampleStyle
from core.errors import InterpolationError
from core.grid import bin_centres
from core.interpolate import fewest_points, richest_style

__all__ = ["Curve", "fit_curve", "image", "interpolate_lines"]

_Doubles = NDArray[np.float64]

_LINES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Curve:
    """A piecewise cubic through the values of each of k lines that share their nodes.

    Parameters
    ----------
    breaks : `numpy.ndarray`
        float64 ``[p - 1]``, ascending; piece j holds ``breaks[j - 1] <= q < breaks[j]``, the
        outermost pieces reach to infinity.
    origins : `numpy.ndarray`
        float64 ``[p]``, position from which each piece counts.
    coefficients : `numpy.ndarray`
        float64 ``[4, p, k]``: a, b, c, d of ``a + t (b + t (c + t d))`` with t = q - origin.
    """

    breaks: _Doubles
    origins: _Doubles
    coefficients: _Doubles

    def at(self, positions: _Doubles, lines: slice = slice(None)) -> _Doubles:
        """Return the values at ascending positions.

        Parameters
        ----------
        positions : `numpy.ndarray`
            float64 ``[n]``, ascending.
        lines : slice, optional
            Which of the k lines.

        Returns
        -------
        values : `numpy.ndarray`
            float64 ``[lines, n]``.
        """
        a, b, c, d = self.coefficients[:, :, lines, np.newaxis]
        values = np.empty((a.shape[1], positions.size))
        ends = [0, *np.searchsorted(positions, self.breaks, side="left"), positions.size]
        for piece, (start, stop) in enumerate(pairwise(ends)):
            t = positions[start:stop] - self.origins[piece]
            out = values[:, start:stop]
            np.multiply(d[piece], t, out=out)
            out += c[piece]
            out *= t
            out += b[piece]
            out *= t
            out += a[piece]
        return values


def image(
    values: NDArray[np.float32],
    size: tuple[int, int],
    style: InterpStyle,
    undersample: UndersampleStyle,
    *,
    survey: bool = False,
) -> NDArray[np.float32]:
    """Return the model of a grid on every pixel of an image of this height and width."""
    pixels = np.full(size, np.nan, dtype=np.float32)
    columns = np.full((values.shape[1], size[0]), np.nan)
    y, x = (np.arange(length, dtype=float) for length in size)
    y_centres, x_centres = map(bin_centres, size, values.shape)
    # infinite bins are kept, as LSST does, and may give NaN beside them
    with np.errstate(invalid="ignore", over="ignore"):
        grid = values.astype(np.float64)
        for lines, block in interpolate_lines(y_centres, grid, y, (style, undersample, survey)):
            columns[lines] = block
        for lines, block in interpolate_lines(x_centres, columns, x, (style, undersample, survey)):
            pixels[lines] = block
    return pixels


def fit_curve(
    style: InterpStyle, nodes: _Doubles, values: _Doubles, *, survey: bool = False
) -> Curve:
    """Return the curve of a style through the values of k lines (MATCHING.md section 6).

    Parameters
    ----------
    style : InterpStyle
        Interpolation style.
    nodes : `numpy.ndarray`
        float64 ``[n]``, ascending.
    values : `numpy.ndarray`
        float64 ``[n, k]``, no NaN.
    survey : bool, optional
        Whether the rules are those of profile ``survey``.

    Returns
    -------
    curve : Curve
        It extrapolates: CONSTANT as such, LINEAR and splines by the value and the first two
        derivatives at the end, hence NATURAL_SPLINE linearly and AKIMA_SPLINE quadratically, but
        in profile ``survey`` linearly too.

    Raises
    ------
    InterpolationError
        If there are fewer nodes than the style needs.
    """
    if nodes.size < fewest_points(style):
        raise InterpolationError(style, nodes.size, fewest_points(style), "a line")
    if style == InterpStyle.CONSTANT:
        return _own(nodes, values) if survey else _constant(nodes, values)
    widths = np.diff(nodes)[:, np.newaxis]
    slopes = np.diff(values, axis=0) / widths
    if style == InterpStyle.LINEAR:
        inner = (slopes, np.zeros_like(slopes), np.zeros_like(slopes))
    elif style == InterpStyle.AKIMA_SPLINE:
        inner = _akima(widths, slopes)
    else:
        inner = _natural(widths, slopes)
    curve = _with_ends(nodes, values, inner)
    if survey:
        curve.coefficients[2, [0, -1]] = 0.0
    return curve


def interpolate_lines(
    nodes: _Doubles,
    values: _Doubles,
    positions: _Doubles,
    rules: tuple[InterpStyle, UndersampleStyle, bool],
) -> Iterator[tuple[NDArray[np.intp], _Doubles]]:
    """Interpolate lines whose NaN are no values, block by block (MATCHING.md section 5).

    Parameters
    ----------
    nodes : `numpy.ndarray`
        float64 ``[n]``, ascending.
    values : `numpy.ndarray`
        float64 ``[n, k]``; NaN is left out, infinities are kept.
    positions : `numpy.ndarray`
        float64 ``[m]``, ascending.
    rules : tuple
        Style asked for; what to do where a line has too few values for it: only
        REDUCE_INTERP_ORDER allows the richest possible instead; whether profile ``survey``.

    Yields
    ------
    lines : `numpy.ndarray`
        Indices of lines.
    block : `numpy.ndarray`
        float64 ``[lines, m]``, their values at the positions. Lines without any value are never
        yielded.

    Raises
    ------
    InterpolationError
        If a line has too few values for a style that may not be reduced.
    """
    style, undersample, survey = rules
    for valid, lines in _same_nodes(~np.isnan(values)):
        used = _line_style(style, int(np.count_nonzero(valid)), undersample)
        if used is None:
            continue
        curve = fit_curve(used, nodes[valid], values[valid][:, lines], survey=survey)
        for start in range(0, lines.size, _LINES_AT_ONCE):
            some = slice(start, start + _LINES_AT_ONCE)
            yield lines[some], curve.at(positions, some)


def _same_nodes(valid: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Sort the lines of ``valid[n, k]`` by which of their nodes have a value."""
    if valid.all():
        yield valid[:, 0], np.arange(valid.shape[1])
        return
    patterns, kinds = np.unique(valid, axis=1, return_inverse=True)
    for kind in range(patterns.shape[1]):
        yield patterns[:, kind], np.flatnonzero(kinds.ravel() == kind)


def _line_style(
    style: InterpStyle, points: int, undersample: UndersampleStyle
) -> InterpStyle | None:
    if points >= fewest_points(style):
        return style
    if undersample != UndersampleStyle.REDUCE_INTERP_ORDER:
        raise InterpolationError(style, points, fewest_points(style), "a line of the grid")
    return richest_style(points) if points else None


def _constant(nodes: _Doubles, values: _Doubles) -> Curve:
    """Fit steps that change half-way between nodes; each is the mean of two values, as LSST's."""
    if nodes.size == 1:
        breaks, steps = nodes[:0], values
    else:
        last = (3 * nodes[-1] - nodes[-2]) / 2
        breaks = np.append((nodes[:-1] + nodes[1:]) / 2, last)
        steps = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2, values[-1:]])
    coefficients = np.zeros((4, *steps.shape))
    coefficients[0] = steps
    return Curve(breaks, np.zeros(steps.shape[0]), coefficients)


def _own(nodes: _Doubles, values: _Doubles) -> Curve:
    """Fit steps half-way between nodes, each its own value."""
    coefficients = np.zeros((4, *values.shape))
    coefficients[0] = values
    return Curve((nodes[:-1] + nodes[1:]) / 2, np.zeros(nodes.size), coefficients)


def _natural(widths: _Doubles, slopes: _Doubles) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Fit the cubic spline without curvature at its ends."""
    c = np.zeros((slopes.shape[0] + 1, slopes.shape[1]))
    c[1:-1] = _tridiagonal(widths, 3 * (slopes[1:] - slopes[:-1]))
    b = slopes - widths * (c[1:] + 2 * c[:-1]) / 3
    return b, c[:-1], (c[1:] - c[:-1]) / (3 * widths)


def _tridiagonal(widths: _Doubles, right: _Doubles) -> _Doubles:
    """Solve the spline's system; it is symmetric and diagonally dominant, so needs no pivots."""
    size = right.shape[0]
    diagonal = (2 * (widths[:-1] + widths[1:])).ravel()
    beside = widths[1:-1].ravel()
    solution = right.copy()
    for i in range(1, size):
        factor = beside[i - 1] / diagonal[i - 1]
        diagonal[i] -= factor * beside[i - 1]
        solution[i] -= factor * solution[i - 1]
    solution[-1] /= diagonal[-1]
    for i in range(size - 2, -1, -1):
        solution[i] = (solution[i] - beside[i] * solution[i + 1]) / diagonal[i]
    return solution


def _akima(widths: _Doubles, slopes: _Doubles) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Fit Akima's spline, its slopes continued linearly beyond the ends."""
    first, second = slopes[0], slopes[1]
    last, before = slopes[-1], slopes[-2]
    s = np.concatenate(
        [
            [3 * first - 2 * second, 2 * first - second],
            slopes,
            [2 * last - before, 3 * last - 2 * before],
        ]
    )
    steps = np.abs(np.diff(s, axis=0))
    left, right = steps[:-2], steps[2:]  # |s[i-1] - s[i-2]| and |s[i+1] - s[i]| of node i
    total = left + right
    kink = total == 0
    share = np.divide(left, total, out=np.zeros_like(total), where=~kink)
    tangent = (1 - share) * s[1:-2] + share * s[2:-1]
    straight = kink[:-1]
    b = np.where(straight, slopes, tangent[:-1])
    t = np.where(kink[1:], slopes, tangent[1:])
    c = np.where(straight, 0.0, (3 * slopes - 2 * b - t) / widths)
    d = np.where(straight, 0.0, (b + t - 2 * slopes) / (widths * widths))
    return b, c, d


def _with_ends(
    nodes: _Doubles, values: _Doubles, inner: tuple[_Doubles, _Doubles, _Doubles]
) -> Curve:
    """Add the two extrapolating pieces: value, slope and half the curvature at each end."""
    b, c, d = inner
    width = nodes[-1] - nodes[-2]
    nothing = np.zeros_like(values[0])
    end_b = b[-1] + width * (2 * c[-1] + 3 * width * d[-1])
    end_c = c[-1] + 3 * width * d[-1]
    coefficients = np.array(
        [
            [values[0], *values[:-1], values[-1]],
            [b[0], *b, end_b],
            [c[0], *c, end_c],
            [nothing, *d, nothing],
        ]
    )
    # the last inner piece is closed: its end belongs to it
    breaks = np.append(nodes[:-1], np.nextafter(nodes[-1], np.inf))
    return Curve(breaks, np.concatenate([nodes[:1], nodes]), coefficients)
