"""Slow plain twin of the polynomial branch (MATCHING.md sections 1 and 7).

The polynomials are cosines here, not recurrences, and the normal equations are solved by Gauss's
elimination of plain lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core import MatchConfig
from tests.core.twins import NAN, Rows, centres, f32

__all__ = [
    "Coverage",
    "chebyshev",
    "conditions",
    "coverage",
    "fit",
    "image",
    "normal_equations",
    "powers",
    "solution",
    "solve",
    "value",
    "weights",
]

Tile = tuple[float, float, float, float]


def conditions(width: int, height: int, config: MatchConfig) -> None:
    """Refuse bins larger than the image, and an order that its bins cannot carry."""
    shorter = min(width, height)
    if shorter < config.bin_size:
        raise ValueError(f"{config.bin_size} = bin_size > shorter dimension = {shorter}")
    points = math.ceil(shorter / config.bin_size)
    if config.order > points - 1:
        raise ValueError(f"{config.order} = order > points - 1 = {points - 1}")


@dataclass
class Coverage:
    """What the tiles leave of the settings: the order, the samples along a side, the weights."""

    order: int
    samples: int | None
    weighted: bool


def coverage(found: list[Tile], config: MatchConfig) -> Coverage:
    """Reduce the order, refuse, or take another number of samples, by the distinct tiles."""
    if not found:
        raise ValueError("no overlap")
    weighted = config.approx_weighting and any(
        error > config.grid_stdev_epsilon for _, _, _, error in found
    )
    fewest = min(len({x for x, _, _, _ in found}), len({y for _, y, _, _ in found}))
    if fewest > config.order:
        return Coverage(config.order, None, weighted)
    if config.undersample_style == "THROW_EXCEPTION":
        raise ValueError("not enough coverage for the order")
    if config.undersample_style == "REDUCE_INTERP_ORDER":
        return Coverage(fewest - 1, None, weighted)
    samples = math.floor(fewest * config.bin_size / (config.order + 1))
    if samples < 1:
        raise ValueError("a grid without bins")
    return Coverage(config.order, samples, weighted)


def chebyshev(degree: int, u: float) -> float:
    """T_degree(u), inside and outside of -1 - 1."""
    if abs(u) <= 1:
        return math.cos(degree * math.acos(u))
    return math.copysign(1.0, u) ** degree * math.cosh(degree * math.acosh(abs(u)))


def powers(order: int) -> list[tuple[int, int]]:
    """Degrees in x and y of every term: by total degree, that of x falling."""
    return [(total - j, j) for total in range(order + 1) for j in range(total + 1)]


def normal_equations(
    values: Rows, weights: Rows, size: tuple[int, int], order: int
) -> tuple[Rows, list[float]]:
    """Sum the matrix and the right side over the cells that are finite and have a weight."""
    ny, nx = len(values), len(values[0])
    u = [_unit(x, size[0]) for x in centres(size[0], nx)]
    v = [_unit(y, size[1]) for y in centres(size[1], ny)]
    terms = powers(order)
    rows = []
    for j in range(ny):
        for i in range(nx):
            if math.isfinite(values[j][i] + weights[j][i]):
                basis = [chebyshev(m, u[i]) * chebyshev(n, v[j]) for m, n in terms]
                rows.append((basis, weights[j][i], values[j][i]))
    matrix = [
        [math.fsum(w * p[k] * p[m] for p, w, _ in rows) for m in range(len(terms))]
        for k in range(len(terms))
    ]
    return matrix, [math.fsum(w * p[k] * z for p, w, z in rows) for k in range(len(terms))]


def fit(
    values: Rows, errors: Rows, size: tuple[int, int], order: int, *, weighted: bool
) -> list[float]:
    """Coefficients of the polynomial through a grid on an image of (width, height)."""
    return solution(*normal_equations(values, weights(errors, weighted=weighted), size, order))


def weights(errors: Rows, *, weighted: bool) -> Rows:
    """Weights of the cells, in float32."""
    return [[f32(_inverse(error)) if weighted else 1.0 for error in row] for row in errors]


def solution(matrix: Rows, right: list[float]) -> list[float]:
    """Solve the normal equations, refused if they are nothing."""
    if all(abs(element) <= 1e-12 for row in matrix for element in row):
        raise RuntimeError("no valid points")
    return solve(matrix, right)


def solve(matrix: Rows, right: list[float]) -> list[float]:
    """Eliminate with the largest pivot of each column; a pivot of nothing gives NaN."""
    size = len(right)
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for k in range(size):
        largest = max(range(k, size), key=lambda i: abs(rows[i][k]))
        rows[k], rows[largest] = rows[largest], rows[k]
        if rows[k][k] == 0 or not math.isfinite(rows[k][k]):
            return [NAN] * size
        for i in range(k + 1, size):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    found = [0.0] * size
    for k in reversed(range(size)):
        known = math.fsum(rows[k][m] * found[m] for m in range(k + 1, size))
        found[k] = (rows[k][size] - known) / rows[k][k]
    return found


def value(
    coefficients: list[float], order: int, size: tuple[int, int], x: float, y: float
) -> float:
    """Value of the polynomial at one position, in double."""
    u, v = _unit(x, size[0]), _unit(y, size[1])
    terms = zip(coefficients, powers(order), strict=True)
    return math.fsum(c * chebyshev(i, u) * chebyshev(j, v) for c, (i, j) in terms)


def image(coefficients: list[float], order: int, width: int, height: int) -> Rows:
    """Float32 model on every pixel."""
    degrees = range(order + 1)
    across = [[chebyshev(n, _unit(x, width)) for n in degrees] for x in range(width)]
    along = [[chebyshev(n, _unit(y, height)) for n in degrees] for y in range(height)]
    terms = list(zip(coefficients, powers(order), strict=True))
    return [[f32(sum(c * tx[i] * ty[j] for c, (i, j) in terms)) for tx in across] for ty in along]


def _unit(position: float, length: int) -> float:
    """Bring the image from -0.5 to length - 0.5 to -1 to 1."""
    return (position - (length - 1) / 2) * 2 / length


def _inverse(error: float) -> float:
    return 1 / error if error != 0 else math.inf
