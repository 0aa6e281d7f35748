"""Curves through lines of a grid, and the pixels between them (MATCHING.md sections 5 and 6).

A curve is a row of cubic pieces, extrapolation included: left of its first node, between nodes,
right of its last. Lines that have their values at the same nodes are fitted together, a lane each,
so that the compiler can take several at a time. Every value is the same arithmetic in double,
whatever is computed with it.
"""

from __future__ import annotations

from math import ceil, inf, isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = [
    "AKIMA",
    "CONSTANT",
    "DIFFERENT",
    "LINEAR",
    "NATURAL",
    "Curve",
    "Curves",
    "Rules",
    "cross",
    "draw",
    "fit",
    "pick",
]

CONSTANT = 0
LINEAR = 1
NATURAL = 2
AKIMA = 3

_POINTS_OF_AKIMA = 5
_POINTS_OF_NATURAL = 3
_POINTS_OF_LINEAR = 2

DIFFERENT = -1

_Doubles = NDArray[np.float64]


class Curve(NamedTuple):
    """Curves of lines that have their values at the same nodes, at most p pieces, a lane a line.

    Piece j holds ``breaks[j - 1] <= q < breaks[j]`` and is ``a + t (b + t (c + t d))`` with
    t = q - origins[j]; the last break is infinite. Lines without any value have no piece.

    Parameters
    ----------
    breaks, origins : `numpy.ndarray`
        float64 ``[p]``, ascending.
    coefficients : `numpy.ndarray`
        float64 ``[p, 4, lanes]``: a, b, c, d.
    """

    breaks: _Doubles
    origins: _Doubles
    coefficients: _Doubles


class Curves(NamedTuple):
    """Curves of k lines with nodes of their own each: `Curve` with another axis, a lane a line.

    Parameters
    ----------
    breaks, origins : `numpy.ndarray`
        float64 ``[k, p]``.
    coefficients : `numpy.ndarray`
        float64 ``[k, p, 4, 1]``.
    pieces : `numpy.ndarray`
        int64 ``[k]``.
    """

    breaks: _Doubles
    origins: _Doubles
    coefficients: _Doubles
    pieces: NDArray[np.int64]


class Rules(NamedTuple):
    """How lines are fitted.

    Parameters
    ----------
    style : int
        CONSTANT, LINEAR, NATURAL or AKIMA.
    reducible : bool
        Whether a line with too few values may take a poorer style.
    survey : bool
        Whether the faults that MATCHING.md section 14 lists are cured.
    """

    style: int
    reducible: bool
    survey: bool


class _Room(NamedTuple):
    """Memory to fit n nodes in: ``[n]`` by node, ``[n + 3, lanes]`` by node and lane."""

    x: _Doubles
    widths: _Doubles
    diagonal: _Doubles
    y: _Doubles
    slopes: _Doubles
    bends: _Doubles
    kinks: _Doubles


@kernel
def fit(nodes: _Doubles, values: _Doubles, rules: Rules, curve: Curve) -> int:
    """Fit the lines of ``values[n, lanes]``, whose NaN are left out.

    Returns the number of pieces; -1 if the lanes have their values at different nodes, which must
    be fitted one by one; or -2 - m if m values are too few.
    """
    room = _room(nodes.size, values.shape[1])
    points = _gather(nodes, values, room)
    if points == DIFFERENT:
        return DIFFERENT
    style = _richest(points)
    if style >= rules.style and points > 0:
        style = rules.style
    elif not rules.reducible:
        return DIFFERENT - 1 - points
    if points == 0:
        return 0
    if style == CONSTANT:
        return _steps(points, rules.survey, room, curve)
    _slopes(points, room)
    if style == LINEAR:
        _linear(points, room, curve.coefficients)
    elif style == NATURAL:
        _natural(points, room, curve.coefficients)
    else:
        _akima(points, room, curve.coefficients)
    _ends(points, rules.survey, room, curve)
    return points + 1


@kernel
def cross(curves: Curves, positions: _Doubles, table: _Doubles) -> None:
    """Write where the curves are at each of the positions, ``table[k, positions]``."""
    for i in range(table.shape[0]):
        curve = Curve(curves.breaks[i], curves.origins[i], curves.coefficients[i])
        pieces, piece = curves.pieces[i], 0
        for place in range(table.shape[1]):
            piece = _piece(curve.breaks, pieces, piece, positions[place])
            table[i, place] = _at(curve, piece, 0, positions[place]) if pieces > 0 else nan


@kernel
def draw(curve: Curve, pieces: int, positions: _Doubles, out: NDArray[np.float32]) -> None:
    """Write the curves at consecutive integers, ``out[lanes, positions]``."""
    for lane in range(out.shape[0]):
        if pieces == 0:
            out[lane] = nan
        start = 0
        for piece in range(pieces):
            stop = positions.size
            if piece < pieces - 1:
                stop = min(max(int(ceil(curve.breaks[piece]) - positions[0]), start), stop)
            a, b, c, d = curve.coefficients[piece, :, lane]
            cubic = curve.origins[piece], a, b, c, d
            _draw(cubic, positions[start:stop], out[lane, start:stop])
            start = stop


@kernel
def pick(curve: Curve, pieces: int, positions: _Doubles, out: NDArray[np.float32]) -> None:
    """Write each lane's curve at a position of its own, ``out[lanes]``."""
    piece = 0
    for lane in range(out.size):
        piece = _piece(curve.breaks, pieces, piece, positions[lane])
        out[lane] = _at(curve, piece, lane, positions[lane]) if pieces > 0 else nan


@kernel
def _room(size: int, lanes: int) -> _Room:
    return _Room(
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty((size + 3, lanes)),
        np.empty((size + 3, lanes)),
        np.empty((size + 3, lanes)),
        np.empty((size + 3, lanes)),
    )


@kernel
def _gather(nodes: _Doubles, values: _Doubles, room: _Room) -> int:
    """Copy the nodes that have values; return their number, or -1 if the lanes' nodes differ."""
    points = 0
    for i in range(nodes.size):
        missing = 0
        for lane in range(values.shape[1]):
            missing += isnan(values[i, lane])
        if missing == 0:
            room.x[points] = nodes[i]
            for lane in range(values.shape[1]):
                room.y[points, lane] = values[i, lane]
            points += 1
        elif missing < values.shape[1]:
            return DIFFERENT
    return points


@kernel
def _piece(breaks: _Doubles, pieces: int, guess: int, position: float) -> int:
    """Find the piece that holds a position; neighbours mostly share it."""
    if position < breaks[guess] and (guess == 0 or position >= breaks[guess - 1]):
        return guess
    low, high = 0, pieces - 1
    while low < high:
        middle = (low + high) // 2
        if position < breaks[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _at(curve: Curve, piece: int, lane: int, position: float) -> float:
    a, b, c, d = curve.coefficients[piece, :, lane]
    t: float = position - curve.origins[piece]
    value: float = a + t * (b + t * (c + t * d))
    return value


@kernel
def _draw(
    cubic: tuple[float, float, float, float, float], positions: _Doubles, out: NDArray[np.float32]
) -> None:
    origin, a, b, c, d = cubic
    for i in range(out.size):
        t = positions[i] - origin
        out[i] = a + t * (b + t * (c + t * d))


@kernel
def _richest(points: int) -> int:
    """Return the richest style that so many values allow."""
    if points >= _POINTS_OF_AKIMA:
        return AKIMA
    if points >= _POINTS_OF_NATURAL:
        return NATURAL
    return LINEAR if points == _POINTS_OF_LINEAR else CONSTANT


@kernel
def _steps(n: int, survey: bool, room: _Room, curve: Curve) -> int:
    """Fit steps half-way between nodes; each is the mean of two values, as LSST's, or its own."""
    x, y = room.x, room.y
    pieces = n if survey or n == 1 else n + 1
    for j in range(pieces):
        left, right = y[j if survey else max(j - 1, 0)], y[min(j, n - 1)]
        value, slope, bend, twist = curve.coefficients[j]
        for lane in range(value.size):
            value[lane] = (left[lane] + right[lane]) / 2
            slope[lane] = bend[lane] = twist[lane] = 0.0
        curve.origins[j] = 0.0
        curve.breaks[j] = (x[j] + x[j + 1]) / 2 if j < n - 1 else (3 * x[n - 1] - x[n - 2]) / 2
    curve.breaks[pieces - 1] = inf
    return pieces


@kernel
def _slopes(n: int, room: _Room) -> None:
    """Write the distances and slopes between nodes; the slope behind node i is number i + 2."""
    for i in range(n - 1):
        width = room.x[i + 1] - room.x[i]
        room.widths[i] = width
        left, right, slope = room.y[i], room.y[i + 1], room.slopes[i + 2]
        for lane in range(slope.size):
            slope[lane] = (right[lane] - left[lane]) / width


@kernel
def _linear(n: int, room: _Room, coefficients: _Doubles) -> None:
    for i in range(n - 1):
        for lane in range(coefficients.shape[2]):
            coefficients[i + 1, 1, lane] = room.slopes[i + 2, lane]
            coefficients[i + 1, 2, lane] = coefficients[i + 1, 3, lane] = 0.0


@kernel
def _natural(n: int, room: _Room, coefficients: _Doubles) -> None:
    """Fit the cubic spline without curvature at its ends."""
    _curvatures(n, room)
    for i in range(n - 1):
        h, slope, near, far = room.widths[i], room.slopes[i + 2], room.bends[i], room.bends[i + 1]
        _, b, c, d = coefficients[i + 1]
        for lane in range(slope.size):
            b[lane] = slope[lane] - h * (far[lane] + 2 * near[lane]) / 3
            c[lane] = near[lane]
            d[lane] = (far[lane] - near[lane]) / (3 * h)


@kernel
def _curvatures(n: int, room: _Room) -> None:
    """Solve the spline's system; it is symmetric and diagonally dominant, so needs no pivots."""
    h, diagonal, c = room.widths, room.diagonal, room.bends
    for lane in range(c.shape[1]):
        c[0, lane] = c[n - 1, lane] = 0.0
    for i in range(1, n - 1):
        diagonal[i] = 2 * (h[i - 1] + h[i])
        before, behind, right = room.slopes[i + 1], room.slopes[i + 2], c[i]
        for lane in range(right.size):
            right[lane] = 3 * (behind[lane] - before[lane])
    for i in range(2, n - 1):
        factor = h[i - 1] / diagonal[i - 1]
        diagonal[i] -= factor * h[i - 1]
        _subtract(factor, c[i - 1], c[i])
    for i in range(n - 2, 0, -1):
        if i < n - 2:
            _subtract(h[i], c[i + 1], c[i])
        for lane in range(c.shape[1]):
            c[i, lane] /= diagonal[i]


@kernel
def _subtract(factor: float, other: _Doubles, line: _Doubles) -> None:
    for lane in range(line.size):
        line[lane] -= factor * other[lane]


@kernel
def _akima(n: int, room: _Room, coefficients: _Doubles) -> None:
    """Fit Akima's spline."""
    _continue(n, room.slopes)
    for i in range(n):
        _tangents(room.slopes[i : i + 4], room.kinks[i], room.bends[i])
    for i in range(n - 1):
        ends = room.kinks[i : i + 2], room.bends[i : i + 2]
        _hermite(room.widths[i], room.slopes[i + 2], ends, coefficients[i + 1])


@kernel
def _continue(n: int, slopes: _Doubles) -> None:
    """Continue the slopes linearly beyond the ends."""
    for lane in range(slopes.shape[1]):
        first, second = slopes[2, lane], slopes[3, lane]
        last, before = slopes[n, lane], slopes[n - 1, lane]
        slopes[0, lane] = 3 * first - 2 * second
        slopes[1, lane] = 2 * first - second
        slopes[n + 1, lane] = 2 * last - before
        slopes[n + 2, lane] = 3 * last - 2 * before


@kernel
def _tangents(slopes: _Doubles, kink: _Doubles, tangent: _Doubles) -> None:
    """Write the slope at a node between its two neighbours; none where the kink is 0."""
    s0, s1, s2, s3 = slopes
    for lane in range(kink.size):
        left = abs(s1[lane] - s0[lane])
        total = left + abs(s3[lane] - s2[lane])
        share = left / total
        kink[lane] = total
        tangent[lane] = (1 - share) * s1[lane] + share * s2[lane]


@kernel
def _hermite(
    width: float, slope: _Doubles, ends: tuple[_Doubles, _Doubles], coefficients: _Doubles
) -> None:
    """Fit the cubic between two nodes; it is straight where the first one's kink is 0."""
    (first, second), (tangent, following) = ends
    _, b, c, d = coefficients
    for lane in range(slope.size):
        s = slope[lane]
        straight = first[lane] == 0
        near = s if straight else tangent[lane]
        far = s if second[lane] == 0 else following[lane]
        bend = (3 * s - 2 * near - far) / width
        twist = (near + far - 2 * s) / (width * width)
        b[lane] = near
        c[lane] = 0.0 if straight else bend
        d[lane] = 0.0 if straight else twist


@kernel
def _ends(n: int, survey: bool, room: _Room, curve: Curve) -> None:
    """Add values, breaks and the two extrapolating pieces: value, slope, half the curvature."""
    for i in range(n):
        curve.origins[i + 1] = curve.breaks[i] = room.x[i]
        for lane in range(curve.coefficients.shape[2]):
            curve.coefficients[i + 1, 0, lane] = room.y[i, lane]
    # the last inner piece is closed: its end belongs to it
    curve.breaks[n - 1] = np.nextafter(room.x[n - 1], inf)
    curve.breaks[n] = inf
    curve.origins[0] = room.x[0]
    width, curved = room.widths[n - 2], 0.0 if survey else 1.0
    left, right, last = curve.coefficients[0], curve.coefficients[n], curve.coefficients[n - 1]
    for lane in range(left.shape[1]):
        b, c, d = last[1, lane], last[2, lane], last[3, lane]
        right[1, lane] = b + width * (2 * c + 3 * width * d)
        right[2, lane] = curved * (c + 3 * width * d)
        right[3, lane] = left[3, lane] = 0.0
        left[0, lane] = curve.coefficients[1, 0, lane]
        left[1, lane] = curve.coefficients[1, 1, lane]
        left[2, lane] = curved * curve.coefficients[1, 2, lane]
