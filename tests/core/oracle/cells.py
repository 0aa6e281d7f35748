"""Twin of the statistics of cells: one set of pixels after the other, by numpy alone.

Pixels come as one-dimensional contiguous float32 arrays that hold accepted pixels only: finite and
not masked, in row-major order. All sums are doubles, taken in a fixed order (blocks of
`_BLOCK` pixels, each summed pairwise by numpy), so that the bits depend neither on BLAS nor on
threads. What sorts or partitions works on a copy: the order that a partition leaves behind differs
between processors, and a sum must not follow it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import GridStatistic
from core.statistics import Clip

__all__ = [
    "Estimate",
    "Moments",
    "clipped_moments",
    "estimate",
    "plain_moments",
    "quantiles",
]

_BLOCK = 1 << 15
_SIGMA_PER_IQR = 0.741301109252802


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and unbiased variance of a set of pixels.

    Parameters
    ----------
    count : int
        Number of pixels.
    mean : float
        NaN without pixels.
    variance : float
        NaN with fewer than two pixels.
    """

    count: int
    mean: float
    variance: float

    @property
    def stdev(self) -> float:
        """Square root of the variance."""
        return _root(self.variance)

    @property
    def mean_square(self) -> float:
        """Mean of the squares, NaN with fewer than two pixels (MATCHING.md section 2)."""
        if self.count == 0:
            return math.nan
        return (self.count - 1) / self.count * self.variance + self.mean * self.mean

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return _root(self.variance / self.count) if self.count else math.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic of a set of pixels with its standard error, and the unclipped moments.

    Parameters
    ----------
    value, error : float
        The statistic and its standard error, in the pixels' unit; NaN where undefined.
    plain : Moments
        Moments of all pixels.
    """

    value: float
    error: float
    plain: Moments


def plain_moments(pixels: NDArray[np.float32]) -> Moments:
    """Return the moments of all pixels, in two passes (MATCHING.md section 2).

    Parameters
    ----------
    pixels : `numpy.ndarray`
        float32 ``[n]``, accepted pixels; n may be 0.

    Returns
    -------
    moments : Moments
        The second pass is taken about the mean of the first, which keeps the variance exact.
    """
    count = pixels.size
    if count == 0:
        return Moments(0, math.nan, math.nan)
    total = 0.0
    for block in _blocks(pixels):
        total += float(np.add.reduce(block))
    return _moments_about(pixels, total / count, math.inf)


def clipped_moments(pixels: NDArray[np.float32], clip: Clip) -> Moments:
    """Return the moments of the pixels within a clipping limit (MATCHING.md section 3).

    The first pass clips about the median with the interquartile range as the scale, the others
    about the last mean with the last standard deviation; each looks at all pixels again, so that
    a pixel may return.

    Parameters
    ----------
    pixels : `numpy.ndarray`
        float32 ``[n]``, accepted pixels; n may be 0.
    clip : Clip
        Limit and number of passes.

    Returns
    -------
    moments : Moments
        All NaN with count 0 where a limit is undefined (no pixels, or one survivor of a pass).
    """
    lower, median, upper = quantiles(pixels, (0.25, 0.5, 0.75))
    first_width = clip.sigma * _SIGMA_PER_IQR * (upper - lower)
    centre, width = median, first_width
    clipped = Moments(0, math.nan, math.nan)
    for _ in range(clip.iterations):
        if math.isnan(centre) or math.isnan(width):
            return Moments(0, math.nan, math.nan)
        clipped = _moments_about(pixels, centre, width)
        centre = clipped.mean
        if pixels.size > 1:
            width = clip.sigma * _root(max(clipped.variance, 0.0))
    return clipped


def quantiles(pixels: NDArray[np.float32], fractions: tuple[float, ...]) -> tuple[float, ...]:
    """Return quantiles by linear interpolation between sorted pixels (MATCHING.md section 2).

    Parameters
    ----------
    pixels : `numpy.ndarray`
        float32 ``[n]``, accepted pixels; n may be 0.
    fractions : tuple of float
        Fractions, 0 - 1.

    Returns
    -------
    values : tuple of float
        One a fraction, interpolated in double; NaN without pixels.
    """
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


def estimate(pixels: NDArray[np.float32], statistic: GridStatistic, clip: Clip) -> Estimate:
    """Return a statistic with its standard error (MATCHING.md sections 2 and 3).

    Parameters
    ----------
    pixels : `numpy.ndarray`
        float32 ``[n]``, accepted pixels; n may be 0.
    statistic : GridStatistic
        MEAN, MEDIAN or MEANCLIP.
    clip : Clip
        Limit and number of passes of MEANCLIP.

    Returns
    -------
    estimate : Estimate
        The error of MEDIAN is that of the mean of normal pixels times sqrt(pi / 2).
    """
    plain = plain_moments(pixels)
    if statistic == GridStatistic.MEANCLIP:
        clipped = clipped_moments(pixels, clip)
        return Estimate(clipped.mean, clipped.error, plain)
    if statistic == GridStatistic.MEDIAN:
        (median,) = quantiles(pixels, (0.5,))
        error = _root(math.pi / 2 * plain.variance / plain.count) if plain.count else math.nan
        return Estimate(median, error, plain)
    return Estimate(plain.mean, plain.error, plain)


def _moments_about(pixels: NDArray[np.float32], shift: float, width: float) -> Moments:
    """Moments of the pixels with ``|x - shift| <= width``, in one pass about the shift."""
    count, total, squares = pixels.size, 0.0, 0.0
    for block in _blocks(pixels):
        offsets = np.subtract(block, shift, out=block)
        if math.isfinite(width):
            outside = np.abs(offsets) > width
            count -= int(np.count_nonzero(outside))
            np.copyto(offsets, 0.0, where=outside)
        total += float(np.add.reduce(offsets))
        np.multiply(offsets, offsets, out=offsets)
        squares += float(np.add.reduce(offsets))
    return _from_sums(count, shift, total, squares)


def _from_sums(count: int, shift: float, total: float, squares: float) -> Moments:
    if count == 0:
        return Moments(0, math.nan, math.nan)
    offset = total / count
    if count == 1:
        return Moments(1, shift + offset, math.nan)
    biased = squares / count - offset * offset
    return Moments(count, shift + offset, biased * count * count / (count * count - count))


def _blocks(pixels: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    """Blocks of pixels as doubles of their own, small enough to stay in the cache."""
    for start in range(0, pixels.size, _BLOCK):
        yield pixels[start : start + _BLOCK].astype(np.float64)


def _root(value: float) -> float:
    return math.sqrt(value) if value >= 0.0 else math.nan
