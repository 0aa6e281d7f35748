"""Twin of `core.kernels.cells`: quantiles and clipping of one set of pixels, by numpy alone.

Pixels come as one-dimensional float32 arrays that hold accepted pixels only. Sums are numpy's, of
blocks of doubles; a partition works on a copy, whose order no sum follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.statistics import Clip

__all__ = ["Sums", "clipped", "moments", "quantiles"]

_BLOCK = 1 << 15
_SIGMA_PER_IQR = 0.741301109252802

Sums = tuple[int, float, float]
"""Count, mean and unbiased variance."""


def moments(pixels: NDArray[np.float32]) -> Sums:
    """Return the moments of all pixels, in two passes (MATCHING.md section 2)."""
    if pixels.size == 0:
        return 0, math.nan, math.nan
    total = 0.0
    for block in _blocks(pixels):
        total += float(np.add.reduce(block))
    return _moments_about(pixels, total / pixels.size, math.inf)


def clipped(pixels: NDArray[np.float32], clip: Clip) -> tuple[Sums, tuple[float, float]]:
    """Return the moments within a clipping limit, and the last limit (MATCHING.md section 3)."""
    lower, centre, upper = quantiles(pixels, (0.25, 0.5, 0.75))
    width = clip.sigma * _SIGMA_PER_IQR * (upper - lower)
    found, limit = (0, math.nan, math.nan), (math.nan, math.nan)
    for _ in range(clip.iterations):
        if math.isnan(centre) or math.isnan(width):
            return (0, math.nan, math.nan), (math.nan, math.nan)
        limit = centre, width
        found = _moments_about(pixels, centre, width)
        centre = found[1]
        if pixels.size > 1:
            width = clip.sigma * _root(found[2])
    return found, limit


def quantiles(pixels: NDArray[np.float32], fractions: tuple[float, ...]) -> tuple[float, ...]:
    """Return quantiles by linear interpolation between sorted pixels (MATCHING.md section 2)."""
    count = pixels.size
    if count == 0:
        return (math.nan,) * len(fractions)
    places = [fraction * (count - 1) for fraction in fractions]
    lows = [math.floor(place) for place in places]
    highs = [min(low + 1, count - 1) for low in lows]
    ranked = np.partition(pixels, sorted({*lows, *highs}))
    return tuple(
        # + 0.0: among equal zeros a partition may find either sign
        (low + 1 - place) * float(ranked[low]) + (place - low) * float(ranked[high]) + 0.0
        for place, low, high in zip(places, lows, highs, strict=True)
    )


def _moments_about(pixels: NDArray[np.float32], shift: float, width: float) -> Sums:
    count, total, squares = 0, 0.0, 0.0
    for block in _blocks(pixels):
        offsets = block - shift
        inside = offsets[np.abs(offsets) <= width]
        count += inside.size
        total += float(np.add.reduce(inside))
        squares += float(np.add.reduce(inside * inside))
    if count == 0:
        return 0, math.nan, math.nan
    offset = total / count
    if count == 1:
        return 1, shift + offset, math.nan
    biased = squares / count - offset * offset
    return count, shift + offset, biased * count * count / (count * count - count)


def _blocks(pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, pixels.size, _BLOCK):
        yield pixels[start : start + _BLOCK].astype(np.float64)


def _root(value: float) -> float:
    return math.nan if math.isnan(value) else math.sqrt(max(value, 0.0))
