"""Numpy twins of `core.kernels.sky`, and a plain fit of a step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

__all__ = ["Strips", "fitted_step", "measure_strips"]

_Doubles = NDArray[np.float64]
_Layout = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Strips:
    """What the kernel returns, by name."""

    good: NDArray[np.int64]
    blocks: NDArray[np.int64]
    spread: _Doubles
    columns: _Doubles
    rows: _Doubles


def measure_strips(
    plane: NDArray[np.float32],
    layouts: tuple[_Layout, _Layout],
    limits: tuple[_Doubles, _Doubles],
    sides: NDArray[np.int64],
) -> Strips:
    """Sum the pixels of every tile within its limit, a strip and a block at a time."""
    (y_first, y_edges), (x_first, x_edges) = layouts
    shape = (y_first.size - 1, x_first.size - 1)
    found = Strips(
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape),
        np.zeros((2, shape[0], x_edges.size - 1)),
        np.zeros((2, shape[1], y_edges.size - 1)),
    )
    for j, i in product(*map(range, shape)):
        centre, width = limits[0][j, i], limits[1][j, i]
        if np.isnan(width):
            continue
        y, x = y_edges[y_first[[j, j + 1]]], x_edges[x_first[[i, i + 1]]]
        pixels = plane[y[0] : y[1], x[0] : x[1]].astype(np.float64)
        found.good[j, i] = np.count_nonzero(~np.isnan(pixels))
        inside = np.abs(pixels - centre) <= width
        offsets = np.where(inside, pixels - centre, 0.0)
        planes = np.array([inside.astype(np.float64), offsets])
        columns = np.add.reduceat(planes.sum(axis=1), _cuts(x_first, x_edges, i), axis=1)
        rows = np.add.reduceat(planes.sum(axis=2), _cuts(y_first, y_edges, j), axis=1)
        found.columns[:, j, x_first[i] : x_first[i + 1]] = columns
        found.rows[:, i, y_first[j] : y_first[j + 1]] = rows
        found.blocks[j, i], found.spread[j, i] = _spread(planes, int(sides[0]))
    return found


def fitted_step(
    edges: NDArray[np.int64], means: _Doubles, weights: _Doubles, place: int, reach: float
) -> tuple[float, float]:
    """Fit level, slope and step to the strips about an edge, and return the step and its error."""
    used = (edges[:-1] >= place - reach) & (edges[1:] <= place + reach) & (weights > 0)
    x = ((edges[:-1] + edges[1:]) / 2 - place)[used]
    terms = np.array([np.ones_like(x), x, np.sign(x) / 2]).T
    roots = np.sqrt(weights[used])[:, np.newaxis]
    values = means[used, np.newaxis] * roots
    inverse = np.linalg.inv((terms * roots).T @ (terms * roots))
    found = inverse @ (terms * roots).T @ values
    return float(found[2, 0]), float(np.sqrt(inverse[2, 2]))


def _cuts(first: NDArray[np.int64], edges: NDArray[np.int64], tile: int) -> NDArray[np.int64]:
    strips = edges[first[tile] : first[tile + 1]]
    cuts: NDArray[np.int64] = strips - strips[0]
    return cuts


def _spread(planes: _Doubles, side: int) -> tuple[int, float]:
    height, width = (length // side * side for length in planes.shape[1:])
    blocks = [
        planes[:, y[0] : y[1], x[0] : x[1]].sum(axis=(1, 2))
        for y in pairwise(range(0, height + 1, side))
        for x in pairwise(range(0, width + 1, side))
    ]
    kept = [(n, total / n) for n, total in blocks if n >= 0.5 * side * side]
    if not kept:
        return 0, 0.0
    counts, means = np.array(kept).T
    return len(kept), float(np.sum(counts * (means - np.average(means, weights=counts)) ** 2))
