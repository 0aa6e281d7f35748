"""How much of a tile's noise a model leaves: c and c33 of MATCHING.md section 13.

A tile shares pixels with the cells that made the model, and a model of few cells has noise of its
own, so what is left of pure noise in a tile is not its noise. By how much follows for a polynomial
from its normal equations (`core.polynomialnoise`). For splines `core.skytable` has it, as
``python -m ops.skyconstants table`` finds it; here it is read between the simulated points.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.background import Background, SplineBackground
from core.chebyshev import ChebyshevBackground
from core.config import FitProfile, GridStatistic, InterpStyle
from core.polynomialnoise import noise_left
from core.skytable import TABLE
from core.skytiles import SkyTiles

__all__ = ["SkyConstants", "polynomial_constants", "sky_constants", "spline_constants"]

_COLUMNS: Final = (GridStatistic.MEAN, GridStatistic.MEANCLIP, GridStatistic.MEDIAN)
_FREEDOM: Final = 15.0
"""Degrees of freedom of the blocks in a tile of the simulation."""
_SPREAD: Final = {GridStatistic.MEDIAN: math.pi / 2}
"""Variance of a statistic over that of the mean of as many normal pixels, where it is not 1."""
_CLIPPED: Final = {
    GridStatistic.MEAN: (1.064, 1.08),
    GridStatistic.MEANCLIP: (1.063, 1.071),
    GridStatistic.MEDIAN: (1.061, 1.034),
}
"""Of a tile and of a window: by how much clipping at 3 sigma makes errors too small, simulated; the
guide's page on planted skies has how near the product comes."""


@dataclass(frozen=True, slots=True)
class SkyConstants:
    """What pure noise leaves, over its variance if nothing were fitted.

    Parameters
    ----------
    tile : float
        c: the median of (r / e)^2 over tiles, in the median of matches, over that of chi2 of one
        degree of freedom.
    window : float
        c33: the variance of the sum of r over 3 x 3 tiles, over the sum of e^2.
    correlation : float
        kappa^2 that is found for white noise with 16 blocks in a tile: a spline takes the share of
        a slope from their spread.
    """

    tile: float
    window: float
    correlation: float = 1.0

    def in_units_of(self, freedom: float) -> SkyConstants:
        """Return the constants for errors times the kappa that is found.

        Parameters
        ----------
        freedom : float
            Degrees of freedom of the blocks in a tile, from which kappa was found.

        Returns
        -------
        constants : SkyConstants
            Larger as kappa is too low.
        """
        found = 1.0 - (1.0 - self.correlation) * _FREEDOM / freedom
        return SkyConstants(self.tile / found, self.window / found)


def sky_constants(model: Background, statistic: GridStatistic, tiles: SkyTiles) -> SkyConstants:
    """Return the constants of a match.

    Parameters
    ----------
    model : Background
        Spline or polynomial.
    statistic : GridStatistic
        Statistic of its bins.
    tiles : SkyTiles
        What it leaves.

    Returns
    -------
    constants : SkyConstants
        For errors times the kappa of `tiles`.
    """
    if isinstance(model, ChebyshevBackground):
        return polynomial_constants(model, statistic, tiles)
    constants = spline_constants(_name(model), statistic, tiles.count)
    return constants.in_units_of(tiles.freedom)


def spline_constants(name: str, statistic: GridStatistic, tiles: int) -> SkyConstants:
    """Return the constants of a spline for kappa = 1.

    Parameters
    ----------
    name : str
        Style used, or ``CONSTANT/survey``.
    statistic : GridStatistic
        Statistic of the bins.
    tiles : int
        Tiles that count.

    Returns
    -------
    constants : SkyConstants
        Linear in 1 / sqrt(tiles), the share of tiles at the border, between the simulated numbers;
        beyond them those of the nearest.
    """
    sides, figures = _table()[name, statistic]
    return _between(1.0 / (sides - 1.0), figures, 1.0 / math.sqrt(max(tiles, 1)))


def polynomial_constants(
    model: ChebyshevBackground, statistic: GridStatistic, tiles: SkyTiles
) -> SkyConstants:
    """Return the constants of a polynomial for kappa = 1.

    Parameters
    ----------
    model : ChebyshevBackground
        The polynomial.
    statistic : GridStatistic
        Statistic of its bins.
    tiles : SkyTiles
        Which tiles count.

    Returns
    -------
    constants : SkyConstants
        NaN where no tile counts, or the bins do not determine the polynomial; the window's too
        where there is no window.

    Notes
    -----
    From the shares of the noise that are left in the tiles, c is the mean of their ``-1/2`` powers
    to the power of -2, which is the median of such a mixture of chi2 but for second-order terms.
    The median of an even number of tiles is the mean of two, which is larger.
    """
    left = noise_left(model, tiles, _SPREAD.get(statistic, 1.0))
    count = left.tiles.size
    if not count:
        return SkyConstants(math.nan, math.nan)
    middle = float(np.mean(left.tiles**-0.5)) ** -2
    even = 1.0 + 3.8 / (count * (count + 1.5)) if count % 2 == 0 else 1.0
    tile, window = _CLIPPED[statistic]
    return SkyConstants(tile * even * middle, window * left.window)


def _name(model: Background) -> str:
    style = model.style_used if isinstance(model, SplineBackground) else InterpStyle.CONSTANT
    if style == InterpStyle.CUBIC_SPLINE:
        return InterpStyle.NATURAL_SPLINE.value
    if style == InterpStyle.CONSTANT and model.profile == FitProfile.SURVEY:
        return "CONSTANT/survey"
    return style.value


def _between(places: NDArray[np.float64], figures: NDArray[np.float64], at: float) -> SkyConstants:
    """Interpolate rows at falling places; a figure that is not known there has its nearest."""
    known = np.isfinite(figures)
    return SkyConstants(
        *(
            float(np.interp(at, places[kept][::-1], column[kept][::-1]))
            for column, kept in zip(figures.T, known.T, strict=True)
        )
    )


_Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


@cache
def _table() -> dict[tuple[str, GridStatistic], _Rows]:
    """Read the table: cells a side, float64 ``[n]``, and c, c33 and kappa^2, ``[n, 3]``."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for line in TABLE.strip().splitlines():
        name, *numbers = line.split()
        rows[name].append([float(number) for number in numbers])
    table = {}
    for name, of_name in rows.items():
        sides, *figures = np.array(of_name).T
        for place, statistic in enumerate(_COLUMNS):
            of_statistic = np.array(figures[3 * place : 3 * place + 3]).T
            table[name, statistic] = sides, of_statistic
    return table
