"""Slow plain twin of the quality of a match (MATCHING.md section 13), tile by tile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from tests.core.twins import NAN, Rows, clipped_moments, edges, quantile

__all__ = ["Constants", "Sky", "block_side", "judge_sky", "kappa", "measure_tiles", "shifted"]


@dataclass
class Constants:
    """The factors of the fit: of a tile and of a window of 3 x 3."""

    tile: float
    window: float


@dataclass
class Tile:
    """A tile that counts."""

    offset: float
    sigma: float
    count: int
    ratio: float
    """Q / q of its blocks, NaN where there are fewer than four."""

    @property
    def error(self) -> float:
        """As if noise were not correlated."""
        return self.sigma / math.sqrt(self.count)


Tiles = list[list[Tile | None]]


@dataclass
class Sky:
    """Figures of the sky that is left."""

    tiles: int
    kappa: float
    sky_chi2: float
    worst_block: float
    worst_x: float
    worst_y: float
    sky_offset: float
    sky_rms: float


def block_side(bin_size: int) -> int:
    """Side of the blocks."""
    return max(min(16, bin_size // 4), bin_size // 8)


def shifted(length: int, cells: int) -> list[int]:
    """Edges of the tiles: half-way between those of the cells."""
    e = edges(length, cells)
    return [(e[i] + e[i + 1]) // 2 for i in range(cells)]


def measure_tiles(left: Rows, cells: tuple[int, int], bin_size: int) -> Tiles:
    """Measure every tile; None is one that does not count."""
    y, x = shifted(len(left), cells[0]), shifted(len(left[0]), cells[1])
    side = block_side(bin_size)
    return [
        [
            _tile([row[x[i] : x[i + 1]] for row in left[y[j] : y[j + 1]]], side)
            for i in range(len(x) - 1)
        ]
        for j in range(len(y) - 1)
    ]


def _tile(pixels: Rows, side: int) -> Tile | None:
    good = [value for row in pixels for value in row if math.isfinite(value)]
    area = len(pixels) * len(pixels[0])
    count, mean, variance = clipped_moments(good, 3, 2)
    if len(good) < 0.1 * area or not variance > 0:
        return None
    low, high = _limits(good)
    blocks = _blocks(pixels, side, low, high)
    ratio = _scatter(blocks) / variance if len(blocks) >= 4 else NAN
    return Tile(mean, math.sqrt(variance), count, ratio)


def _limits(good: list[float]) -> tuple[float, float]:
    """Limits of the second and last pass of the clipping."""
    _, centre, variance = clipped_moments(good, 3, 1)
    return centre - 3 * math.sqrt(variance), centre + 3 * math.sqrt(variance)


def _blocks(pixels: Rows, side: int, low: float, high: float) -> list[tuple[int, float]]:
    """Count and mean of the whole blocks that are at least half good."""
    found = []
    for y in range(0, len(pixels) - side + 1, side):
        for x in range(0, len(pixels[0]) - side + 1, side):
            block = [value for row in pixels[y : y + side] for value in row[x : x + side]]
            kept = [value for value in block if low <= value <= high]
            if len(kept) >= side * side / 2:
                found.append((len(kept), math.fsum(kept) / len(kept)))
    return found


def _scatter(blocks: list[tuple[int, float]]) -> float:
    """Weighted squares about the weighted mean, over their median for white noise."""
    total = sum(n for n, _ in blocks)
    mean = math.fsum(n * m for n, m in blocks) / total
    degrees = len(blocks) - 1
    squares = math.fsum(n * (m - mean) ** 2 for n, m in blocks)
    return squares / (degrees * (1 - 2 / (9 * degrees)) ** 3)


def kappa(tiles: Tiles) -> float:
    """By how much correlated noise makes the errors exceed sigma / sqrt(n)."""
    ratios = [tile.ratio for tile in _counting(tiles) if tile.ratio > 0]
    return math.sqrt(median(ratios)) if ratios else NAN


def judge_sky(tiles: Tiles, constants: Constants) -> Sky:
    """Figures of the tiles."""
    k, counting = kappa(tiles), _counting(tiles)
    squares = [(tile.offset / (k * tile.error)) ** 2 for tile in counting]
    excess = [t.offset**2 - constants.tile * (k * t.error) ** 2 for t in counting]
    chi2 = quantile(squares, 0.5) / (0.455 * constants.tile)
    mean = math.fsum(excess) / len(excess) if excess and not math.isnan(k) else NAN
    return Sky(
        len(counting),
        k,
        NAN if math.isnan(k) else chi2,
        *_worst(tiles, k, constants.window),
        quantile([tile.offset for tile in counting], 0.5),
        math.sqrt(max(0.0, mean)) if not math.isnan(mean) else NAN,
    )


def _worst(tiles: Tiles, k: float, factor: float) -> tuple[float, float, float]:
    """Return the largest departure of 3 x 3 tiles, and column and row of its first."""
    worst = (NAN, NAN, NAN)
    rows, columns = len(tiles), len(tiles[0]) if tiles else 0
    for j in range(rows - 2):
        for i in range(columns - 2):
            window = _counting([row[i : i + 3] for row in tiles[j : j + 3]])
            if len(window) < 5 or math.isnan(k):
                continue
            error = k * math.sqrt(factor * math.fsum(tile.error**2 for tile in window))
            departure = abs(math.fsum(tile.offset for tile in window)) / error
            if math.isnan(worst[0]) or departure > worst[0]:
                worst = (departure, float(i), float(j))
    return worst


def _counting(tiles: Tiles) -> list[Tile]:
    return [tile for row in tiles for tile in row if tile is not None]
