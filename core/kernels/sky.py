"""What is left of the sky in the tiles: blocks for its correlation, strips for its steps.

The tiles, their blocks and their strips are those of `core.skytiles`, MATCHING.md section 13.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.kernels.compile import kernel

__all__ = ["measure_strips"]


@kernel
def measure_strips(plane: Any, layouts: Any, limits: Any, sides: Any) -> Any:
    """Sum the pixels of every tile within its limit, by blocks and by strips.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, NaN where a pixel is not accepted.
    layouts : tuple
        Along y and along x: int64 ``[n + 1]`` and ``[strips + 1]``, the first strip of each of n
        tiles with the number of strips at the end, and the edges of the strips in pixels.
    limits : tuple of `numpy.ndarray`
        Centres and widths, float64 ``[ny, nx]``: a pixel is within the limit of its tile if
        ``abs(x - centre) <= width``.
    sides : `numpy.ndarray`
        int64 ``[2]``: pixels of a block's side, and the strips that it is cut into. A block that
        does not fit into its tile is none.

    Returns
    -------
    good : `numpy.ndarray`
        int64 ``[ny, nx]``, accepted pixels within the limit or not, where there is a limit.
    blocks : `numpy.ndarray`
        int64 ``[ny, nx]``, blocks at least half of whose pixels are within the limit.
    spread : `numpy.ndarray`
        float64 ``[ny, nx]``: sum over these blocks of count (mean - weighted mean)^2.
    columns, rows : `numpy.ndarray`
        float64 ``[2, ny, x strips]`` and ``[2, nx, y strips]``: count and sum of pixel - centre
        of every strip as high, or as wide, as its tile.
    """
    (y_first, y_edges), (x_first, x_edges) = layouts
    centres, widths = limits
    ny, nx = centres.shape
    good, blocks = np.zeros((ny, nx), np.int64), np.zeros((ny, nx), np.int64)
    spread = np.zeros((ny, nx))
    columns = np.zeros((2, ny, x_edges.size - 1))
    rows = np.zeros((2, nx, y_edges.size - 1))
    for j in range(ny):
        for i in range(nx):
            if not widths[j, i] >= 0.0:
                continue
            y_strips = y_edges[y_first[j] : y_first[j + 1] + 1]
            x_strips = x_edges[x_first[i] : x_first[i + 1] + 1]
            good[j, i], blocks[j, i], spread[j, i] = _tile(
                plane,
                (y_strips, x_strips),
                (centres[j, i], widths[j, i]),
                sides,
                (
                    columns[:, j, x_first[i] : x_first[i + 1]],
                    rows[:, i, y_first[j] : y_first[j + 1]],
                ),
            )
    return good, blocks, spread, columns, rows


@kernel
def _tile(plane: Any, strips: Any, limit: Any, sides: Any, lines: Any) -> Any:
    """Add one tile to its columns and rows; count its pixels, and how its blocks spread."""
    y_strips, x_strips = strips
    left, right = x_strips[0], x_strips[-1]
    height, width = y_strips[-1] - y_strips[0], right - left
    (columns, rows), (side, across) = lines, sides
    sums = np.zeros((2, max(height // side, 1), max(width // side, 1)))
    counts, totals = np.empty(width), np.empty(width)
    good = 0
    for r in range(y_strips.size - 1):
        counts[:] = 0.0
        totals[:] = 0.0
        for y in range(y_strips[r], y_strips[r + 1]):
            # a line of the plane itself: of a view of it the compiler doesn't know that it is dense
            good += _add_line(plane[y, left:right], limit[0], limit[1], counts, totals)
        for q in range(x_strips.size - 1):
            count, total = 0.0, 0.0
            for x in range(x_strips[q] - left, x_strips[q + 1] - left):
                count += counts[x]
                total += totals[x]
            columns[0, q] += count
            columns[1, q] += total
            rows[0, r] += count
            rows[1, r] += total
            b, a = r // across, q // across
            if (b + 1) * side <= height and (a + 1) * side <= width:
                sums[0, b, a] += count
                sums[1, b, a] += total
    blocks, spread = _spread(sums, 0.5 * side * side)
    return good, blocks, spread


@kernel
def _add_line(line: Any, centre: Any, width: Any, counts: Any, totals: Any) -> Any:
    """Add a line of a tile to its column sums, and return how many of its pixels are accepted."""
    n = line.size
    counts, totals = counts[:n], totals[:n]
    good = 0
    for x in range(n):
        offset = line[x] - centre
        inside = abs(offset) <= width
        counts[x] += 1.0 if inside else 0.0
        totals[x] += offset if inside else 0.0
        good += line[x] == line[x]  # NaN is what differs from itself
    return good


@kernel
def _spread(sums: Any, fewest: Any) -> Any:
    """Count the blocks of enough pixels, and sum count (mean - weighted mean)^2 over them."""
    counts, totals = sums[0].ravel(), sums[1].ravel()
    blocks, count, total = 0, 0.0, 0.0
    for k in range(counts.size):
        if counts[k] >= fewest and counts[k] > 0.0:
            blocks += 1
            count += counts[k]
            total += totals[k]
    spread = 0.0
    for k in range(counts.size):
        if counts[k] >= fewest and counts[k] > 0.0:
            departure = totals[k] / counts[k] - total / count
            spread += counts[k] * departure * departure
    return blocks, spread
