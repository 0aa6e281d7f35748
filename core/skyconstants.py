"""How much of a tile's noise a model leaves: c and c33 of MATCHING.md section 13.

A tile shares pixels with the cells that made the model, and a model of few cells has noise of its
own, so what is left of pure noise in a tile is not its noise. `core.skytable` has by how much, as
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
from core.skytable import TABLE
from core.skytiles import SkyTiles

__all__ = ["SkyConstants", "polynomial_constants", "sky_constants", "spline_constants"]

_COLUMNS: Final = (GridStatistic.MEAN, GridStatistic.MEANCLIP, GridStatistic.MEDIAN)
_FREEDOM: Final = 15.0
"""Degrees of freedom of the blocks in a tile of the simulation."""


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
        cells = int(np.count_nonzero(np.isfinite(model.values)))
        constants = polynomial_constants(model.order_used, statistic, cells)
    else:
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


def polynomial_constants(order: int, statistic: GridStatistic, cells: int) -> SkyConstants:
    """Return the constants of a polynomial for kappa = 1.

    Parameters
    ----------
    order : int
        Order used.
    statistic : GridStatistic
        Statistic of the bins.
    cells : int
        Bins with a value.

    Returns
    -------
    constants : SkyConstants
        Linear in coefficients a cell between the simulated points, then in the order between the
        simulated orders; beyond them those of the nearest.
    """
    orders = sorted(int(name) for name, _ in _table() if name.isdigit())
    low = max((known for known in orders if known <= order), default=orders[0])
    high = min((known for known in orders if known >= order), default=orders[-1])
    crowding = _coefficients(order) / max(cells, 1)
    below, above = (_of_order(known, statistic, crowding) for known in (low, high))
    part = (order - low) / (high - low) if high > low else 0.0
    figures = ("tile", "window", "correlation")
    return SkyConstants(
        *((1 - part) * getattr(below, name) + part * getattr(above, name) for name in figures)
    )


def _of_order(order: int, statistic: GridStatistic, crowding: float) -> SkyConstants:
    sides, figures = _table()[str(order), statistic]
    return _between(_coefficients(order) / sides**2, figures, crowding)


def _coefficients(order: int) -> int:
    return (order + 1) * (order + 2) // 2


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
