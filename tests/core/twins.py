"""Slow plain twins of the mathematics: loops straight from the formulas, no numpy arithmetic.

Each follows the text of a section of MATCHING.md as it stands, with Python's doubles, so that it
shares neither code nor tricks with `core`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from itertools import pairwise

from core import MatchConfig

__all__ = [
    "FEWEST",
    "NAN",
    "Rows",
    "centres",
    "clipped_moments",
    "costs",
    "curve",
    "edges",
    "f32",
    "grid",
    "image",
    "interpolate",
    "moments",
    "plain_moments",
    "quantile",
    "richest",
    "statistic",
    "tiles",
]

NAN = math.nan
Moments = tuple[int, float, float]
Rows = list[list[float]]

FEWEST = {
    "CONSTANT": 1,
    "LINEAR": 2,
    "NATURAL_SPLINE": 3,
    "CUBIC_SPLINE": 3,
    "AKIMA_SPLINE": 5,
}


def f32(value: float) -> float:
    """Round to float32 and back."""
    if not math.isfinite(value):
        return value
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


# --- section 2: statistics


def moments(pixels: list[float], shift: float) -> Moments:
    """Count, mean and unbiased variance about a shift."""
    n = len(pixels)
    if n == 0:
        return 0, NAN, NAN
    m = math.fsum(x - shift for x in pixels) / n
    q = math.fsum((x - shift) ** 2 for x in pixels) / n - m**2
    return n, shift + m, q * n * n / (n * n - n) if n > 1 else NAN


def plain_moments(pixels: list[float]) -> Moments:
    """Moments about the crude mean."""
    return moments(pixels, moments(pixels, 0.0)[1] if pixels else 0.0)


def quantile(pixels: list[float], fraction: float) -> float:
    """Quantile between sorted pixels."""
    s = sorted(pixels)
    if not s:
        return NAN
    if len(s) == 1:
        return s[0]
    t = fraction * (len(s) - 1)
    i = min(math.floor(t), len(s) - 2)
    return (i + 1 - t) * s[i] + (t - i) * s[i + 1]


# --- section 3: clipping


def clipped_moments(pixels: list[float], sigma: float, iterations: int) -> Moments:
    """Moments within a limit, after exactly so many passes."""
    iqr = quantile(pixels, 0.75) - quantile(pixels, 0.25)
    n_clip, mean_clip, var_clip = 0, NAN, NAN
    for iteration in range(iterations):
        var_clip = max(var_clip, 0.0) if not math.isnan(var_clip) else NAN
        centre = quantile(pixels, 0.5) if iteration == 0 else mean_clip
        if iteration == 0 or len(pixels) <= 1:
            half_width = sigma * 0.741301109252802 * iqr
        else:
            half_width = sigma * math.sqrt(var_clip)
        if math.isnan(centre) or math.isnan(half_width):
            n_clip, mean_clip, var_clip = 0, NAN, NAN
        else:
            kept = [x for x in pixels if abs(x - centre) <= half_width]
            n_clip, mean_clip, var_clip = moments(kept, centre)
    return n_clip, mean_clip, var_clip


def statistic(pixels: list[float], config: MatchConfig) -> tuple[float, float]:
    """Return a bin's value and its standard error, in double."""
    n, mean, var = plain_moments(pixels)
    if config.grid_statistic == "MEANCLIP":
        n, mean, var = clipped_moments(pixels, config.num_sigma_clip, config.num_iter)
    if n == 0:
        return NAN, NAN
    if config.grid_statistic == "MEDIAN":
        return quantile(pixels, 0.5), _root(math.pi / 2 * var / n)
    return mean, _root(var / n)


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0 else NAN


# --- section 4: bins


def edges(length: int, bins: int) -> list[int]:
    """Edges of the bins along an axis."""
    return [0] + [min(((i + 1) * length + bins // 2) // bins, length) for i in range(bins)]


def centres(length: int, bins: int) -> list[float]:
    """Centres of the bins along an axis."""
    e = edges(length, bins)
    return [e[i] + 0.5 * (e[i + 1] - e[i]) - 0.5 for i in range(bins)]


def grid(
    pixels: Rows, config: MatchConfig, samples: int | None = None
) -> tuple[Rows, Rows, list[list[int]]]:
    """Value, error and count of every bin; `pixels` are NaN where they are not accepted.

    There are ceil(side / bin_size) bins along a side, or so many samples along both.
    """
    height, width = len(pixels), len(pixels[0])
    y_edges = edges(height, samples or math.ceil(height / config.bin_size))
    x_edges = edges(width, samples or math.ceil(width / config.bin_size))
    values: Rows = []
    errors: Rows = []
    counts: list[list[int]] = []
    for y0, y1 in pairwise(y_edges):
        cells = [_accepted(pixels, x0, x1, y0, y1) for x0, x1 in pairwise(x_edges)]
        found = [statistic(cell, config) for cell in cells]
        values.append([f32(value) for value, _ in found])
        errors.append([f32(error) for _, error in found])
        counts.append([len(cell) for cell in cells])
    return values, errors, counts


def _accepted(pixels: Rows, x0: int, x1: int, y0: int, y1: int) -> list[float]:
    return [
        pixels[y][x] for y in range(y0, y1) for x in range(x0, x1) if math.isfinite(pixels[y][x])
    ]


# --- section 8: tiles


def tiles(pixels: Rows, config: MatchConfig) -> list[tuple[float, float, float, float]]:
    """x, y, value and error of every tile with two accepted pixels."""
    height, width, size = len(pixels), len(pixels[0]), config.bin_size
    found = []
    for y0 in range(0, height, size):
        for x0 in range(0, width, size):
            y1, x1 = min(y0 + size, height), min(x0 + size, width)
            cell = _accepted(pixels, x0, x1, y0, y1)
            if len(cell) >= 2:
                n, _, var = plain_moments(cell)
                error = max(_root(var), config.grid_stdev_epsilon) / math.sqrt(n)
                found.append(((x0 + x1) / 2, (y0 + y1) / 2, statistic(cell, config)[0], error))
    return found


# --- section 6: one line


Curve = Callable[[float], float]
Pieces = tuple[list[float], list[float], list[float]]


def interpolate(style: str, x: list[float], y: list[float], q: float) -> float:
    """Value of the interpolant through (x, y) at q."""
    return curve(style, x, y)(q)


def curve(style: str, x: list[float], y: list[float]) -> Curve:
    """Interpolant through (x, y)."""
    if style == "CONSTANT":
        return lambda q: _constant(x, y, q)
    h = [x[i + 1] - x[i] for i in range(len(x) - 1)]
    s = [(y[i + 1] - y[i]) / h[i] for i in range(len(h))]
    if style == "LINEAR":
        pieces = s, [0.0] * len(h), [0.0] * len(h)
    elif style == "AKIMA_SPLINE":
        pieces = _akima(h, s)
    else:
        pieces = _natural(h, s)
    return lambda q: _piecewise(x, y, pieces, q)


def _piecewise(x: list[float], y: list[float], pieces: Pieces, q: float) -> float:
    b, c, d = pieces
    if q < x[0]:
        return y[0] + b[0] * (q - x[0]) + 2 * c[0] * (q - x[0]) ** 2 / 2
    if q > x[-1]:
        h = x[-1] - x[-2]
        slope = b[-1] + 2 * c[-1] * h + 3 * d[-1] * h**2
        bend = 2 * c[-1] + 6 * d[-1] * h
        return y[-1] + slope * (q - x[-1]) + bend * (q - x[-1]) ** 2 / 2
    i = max(i for i in range(len(b)) if x[i] <= q)
    t = q - x[i]
    return y[i] + t * (b[i] + t * (c[i] + t * d[i]))


def _constant(x: list[float], y: list[float], q: float) -> float:
    n = len(x)
    if n == 1:
        return y[0]
    b = [(3 * x[0] - x[1]) / 2]
    b += [(x[i - 1] + x[i]) / 2 for i in range(1, n)]
    b += [(3 * x[-1] - x[-2]) / 2]
    z = [y[0]] + [(y[i - 1] + y[i]) / 2 for i in range(1, n)] + [y[-1]]
    below = [i for i in range(n + 1) if b[i] <= q]
    return z[max(below)] if below else z[0]


def _natural(h: list[float], s: list[float]) -> Pieces:
    """Solve for the curvatures by Gauss's elimination of the whole matrix."""
    n = len(h) + 1
    rows = [[0.0] * (n + 1) for _ in range(n)]
    rows[0][0] = rows[-1][n - 1] = 1.0
    for i in range(1, n - 1):
        rows[i][i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        rows[i][n] = 3 * (s[i] - s[i - 1])
    for i in range(n):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    c = [row[n] for row in rows]
    b = [s[i] - h[i] * (c[i + 1] + 2 * c[i]) / 3 for i in range(n - 1)]
    return b, c[:-1], [(c[i + 1] - c[i]) / (3 * h[i]) for i in range(n - 1)]


def _akima(h: list[float], s: list[float]) -> Pieces:
    last = len(h) - 1
    m = dict(enumerate(s))
    m[-1], m[-2] = 2 * s[0] - s[1], 3 * s[0] - 2 * s[1]
    m[last + 1], m[last + 2] = 2 * s[last] - s[last - 1], 3 * s[last] - 2 * s[last - 1]
    b, c, d = [], [], []
    for i in range(last + 1):
        e = abs(m[i + 1] - m[i]) + abs(m[i - 1] - m[i - 2])
        if e == 0:
            b.append(s[i])
            c.append(0.0)
            d.append(0.0)
            continue
        a = abs(m[i - 1] - m[i - 2]) / e
        next_e = abs(m[i + 2] - m[i + 1]) + abs(m[i] - m[i - 1])
        next_a = abs(m[i] - m[i - 1]) / next_e if next_e else 0.0
        tangent = (1 - next_a) * m[i] + next_a * m[i + 1] if next_e else s[i]
        b.append((1 - a) * m[i - 1] + a * m[i])
        c.append((3 * s[i] - 2 * b[i] - tangent) / h[i])
        d.append((b[i] + tangent - 2 * s[i]) / h[i] ** 2)
    return b, c, d


# --- section 5: grid to image


def richest(points: int) -> str:
    """Return the richest style for so many points."""
    return {1: "CONSTANT", 2: "LINEAR", 3: "CUBIC_SPLINE", 4: "CUBIC_SPLINE"}.get(
        points, "AKIMA_SPLINE"
    )


def _line(style: str, reduce: bool, x: list[float], y: list[float], length: int) -> list[float]:
    """One line of values, NaN left out, on every pixel."""
    valid = [i for i in range(len(x)) if not math.isnan(y[i])]
    if len(valid) < FEWEST[style]:
        if not reduce:
            raise RuntimeError(style)
        if not valid:
            return [NAN] * length
        style = richest(len(valid))
    through = curve(style, [x[i] for i in valid], [y[i] for i in valid])
    return [through(float(q)) for q in range(length)]


def image(values: Rows, width: int, height: int, style: str, undersample: str) -> Rows:
    """Float32 model on every pixel: columns first, then rows."""
    ny, nx = len(values), len(values[0])
    reduce = undersample == "REDUCE_INTERP_ORDER"
    if min(nx, ny) < FEWEST[style]:
        if not reduce:
            raise RuntimeError(style)
        style = richest(nx) if nx < ny else richest(ny)
    x, y = centres(width, nx), centres(height, ny)
    columns = [
        _line(style, reduce, y, [values[j][i] for j in range(ny)], height) for i in range(nx)
    ]
    rows = [
        _line(style, reduce, x, [column[q] for column in columns], width) for q in range(height)
    ]
    return [[f32(value) for value in row] for row in rows]


# --- section 9: the reference


def costs(stats: list[tuple[float, float, float]], config: MatchConfig) -> list[float]:
    """Cost of each (mean, variance, count)."""
    largest_var = max((v for _, v, _ in stats if not math.isnan(v)), default=NAN)
    largest_level = max((m for m, _, _ in stats if not math.isnan(m)), default=NAN)
    fewest = min((n for _, _, n in stats if not math.isnan(n)), default=NAN)
    return [
        config.best_ref_weight_variance * _ratio(v, largest_var)
        + config.best_ref_weight_level * _ratio(m, largest_level)
        + config.best_ref_weight_coverage * _ratio(fewest, n)
        for m, v, n in stats
    ]


def _ratio(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return NAN if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
