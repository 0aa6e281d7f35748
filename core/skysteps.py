"""Steps that no smooth model follows: edges of amplifiers and chips (MATCHING.md section 13).

At every place along a line of tiles, level, slope and step are fitted to the strips within half a
cell on either side. A smooth model leaves a sawtooth at a step: opposite slopes up to the edge, so
that the slope must be fitted with it; for the same reason a wave or a gradient is no step. A step
runs along the tiles, so what the lines say of the same place is added up, over all lines and over
each half of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.skytiles import Profile

__all__ = ["FAR", "Steps", "fit_steps", "significance"]

FAR: Final = 6.0
"""Significance from which a step is an edge; noise alone reaches 5.5 in one match of a thousand."""

_FEWEST_LINES: Final = 3
_FEWEST_SEEN: Final = 0.75
_FEWEST_PIXELS: Final = 0.25
_SIGMA_PER_MAD: Final = 1.482602218505602

_Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """A step at every edge of strips, on every line of tiles.

    Parameters
    ----------
    places : `numpy.ndarray`
        float64 ``[n]``, pixel edges along the lines: a step at x is between x - 1 and x.
    heights, errors : `numpy.ndarray`
        float64 ``[lines, n]``, image unit, the errors those of uncorrelated noise; NaN where a
        quarter of the pixels is missing on three quarters of a side.
    """

    places: _Doubles
    heights: _Doubles
    errors: _Doubles


def fit_steps(profile: Profile, lines: tuple[int, ...], reach: float) -> Steps:
    """Fit level, slope and step at every edge of strips but the outermost.

    Parameters
    ----------
    profile : Profile
        What is left, in strips along every line.
    lines : tuple of int
        Edges of the lines, pixels across them.
    reach : float
        Pixels to look at on either side, half a cell.

    Returns
    -------
    steps : Steps
        By weighted least squares.
    """
    edges = profile.edges.astype(np.float64)
    places = edges[1:-1]
    here = np.arange(1, edges.size - 1)
    low = np.searchsorted(edges, places - reach, side="left")
    high = np.searchsorted(edges, places + reach, side="right") - 1
    sums = _running_sums(profile, (edges[:-1] + edges[1:]) / 2)
    left = _about(places, sums[:, :, here] - sums[:, :, low])
    right = _about(places, sums[:, :, high] - sums[:, :, here])
    fewest = _FEWEST_PIXELS * reach * np.diff(lines)[:, np.newaxis]
    seen = (left[0] >= fewest) & (right[0] >= fewest)
    return Steps(places, *_fitted(left, right, seen))


def significance(steps: Steps, kappa: float) -> float:
    """Return how far the most marked step is over its error.

    Parameters
    ----------
    steps : Steps
        On lines beside each other.
    kappa : float
        By how much correlated noise makes errors exceed those of white noise.

    Returns
    -------
    significance : float
        Over all lines, or over as many as half of them that follow each other, and at least
        three; 0 where there is nothing to be seen. Less than a quarter of the lines, however far
        off, does not reach `FAR`. Where much of the profile departs from noise, by that much less.
    """
    seen = np.isfinite(steps.heights)
    ratios = np.divide(steps.heights, kappa * steps.errors, out=np.zeros(seen.shape), where=seen)
    lines = seen.shape[0]
    lengths = {length for length in (lines, (lines + 1) // 2) if length >= _FEWEST_LINES}
    return max((_most_marked(ratios, seen, length) for length in lengths), default=0.0)


def _running_sums(profile: Profile, middles: _Doubles) -> _Doubles:
    """Sum from the first strip on, ``[moment, line, strip + 1]``."""
    weights, weighted = profile.weights, profile.weights * profile.means
    moments = (
        profile.counts,
        weights,
        weights * middles,
        weights * middles**2,
        weighted,
        weighted * middles,
    )
    return np.pad(np.cumsum(moments, axis=2), ((0, 0), (0, 0), (1, 0)))


def _about(origins: _Doubles, sums: _Doubles) -> tuple[_Doubles, ...]:
    """Count, and moments about other origins: 1, x, x^2, value, value x."""
    count, one, x, square, value, product = sums
    return (
        count,
        one,
        x - origins * one,
        square - 2 * origins * x + origins**2 * one,
        value,
        product - origins * value,
    )


def _fitted(
    left: tuple[_Doubles, ...], right: tuple[_Doubles, ...], seen: NDArray[np.bool_]
) -> tuple[_Doubles, _Doubles]:
    """Solve for the step with level and slope taken out of it: it is the sign of x times a half."""
    one, x, square, value, product = (a + b for a, b in zip(left[1:], right[1:], strict=True))
    sign, sign_x, _, sign_value, _ = (b - a for a, b in zip(left[1:], right[1:], strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = one * square - x * x
        level = (square * sign - x * sign_x) / determinant
        slope = (one * sign_x - x * sign) / determinant
        precision = one - level * sign - slope * sign_x
        heights = 2 * (sign_value - level * value - slope * product) / precision
        errors = 2 / np.sqrt(precision)
    seen = seen & np.isfinite(heights) & np.isfinite(errors)
    return np.where(seen, heights, np.nan), np.where(seen, errors, np.nan)


def _most_marked(ratios: _Doubles, seen: NDArray[np.bool_], length: int) -> float:
    """Return the largest sum over so many lines, in its error or, if larger, in its scatter."""
    most = 2 * FAR / math.sqrt(length)  # half of the lines at their most are just as far as FAR
    total = _windows(np.clip(ratios, -most, most), length)
    count = _windows(seen.astype(np.float64), length)
    enough = count >= max(_FEWEST_LINES, _FEWEST_SEEN * length)
    sizes = np.abs(total[enough]) / np.sqrt(count[enough])
    if sizes.size == 0:
        return 0.0
    scatter = _SIGMA_PER_MAD * float(np.median(sizes))
    return float(sizes.max()) / max(1.0, scatter)


def _windows(values: _Doubles, length: int) -> _Doubles:
    """Sum over as many lines that follow each other."""
    sums = np.pad(np.cumsum(values, axis=0), ((1, 0), (0, 0)))
    windows: _Doubles = sums[length:] - sums[:-length]
    return windows
