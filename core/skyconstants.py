"""How much of a tile's noise a model leaves: c and c33 of MATCHING.md section 13.

A tile shares pixels with the cells that made the model, and a model of few cells has noise of its
own, so what is left of pure noise in a tile is not its noise. `core.skytable` has by how much, as
``python -m ops.skyconstants table`` finds it; here it is read between the simulated points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.background import Background, SplineBackground
from core.chebyshev import ChebyshevBackground
from core.config import FitProfile, GridStatistic, InterpStyle
from core.skytable import POLYNOMIALS, SPLINES, TAKEN
from core.skytiles import SkyTiles

__all__ = ["SkyConstants", "polynomial_constants", "sky_constants", "spline_constants"]


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
    """

    tile: float
    window: float


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
        For figures in units of kappa e with the kappa of `tiles`: a spline takes the share of a
        slope from the spread of the blocks in a tile, so that kappa is a little low, and the
        constants are higher by that.
    """
    if isinstance(model, ChebyshevBackground):
        cells = int(np.count_nonzero(np.isfinite(model.values)))
        return polynomial_constants(model.order_used, statistic, cells / model.coefficients.size)
    name = _name(model)
    constants = spline_constants(name, statistic, tiles.count)
    left = 1.0 - TAKEN[name, statistic.value] / tiles.freedom
    return SkyConstants(constants.tile / left, constants.window / left)


def spline_constants(name: str, statistic: GridStatistic, tiles: int) -> SkyConstants:
    """Return the constants of a spline for kappa = 1.

    Parameters
    ----------
    name : str
        Style used, or ``CONSTANT of survey``.
    statistic : GridStatistic
        Statistic of the bins.
    tiles : int
        Tiles that count.

    Returns
    -------
    constants : SkyConstants
        Linear in 1 / sqrt(tiles) between the simulated numbers of tiles, which is the share of
        those at the border; beyond them that of the nearest.
    """
    rows = SPLINES[name, statistic.value]
    return _between(rows, 1.0 / math.sqrt(max(tiles, 1)), power=-0.5)


def polynomial_constants(order: int, statistic: GridStatistic, cells: float) -> SkyConstants:
    """Return the constants of a polynomial for kappa = 1.

    Parameters
    ----------
    order : int
        Order used.
    statistic : GridStatistic
        Statistic of the bins.
    cells : float
        Bins with a value for each coefficient.

    Returns
    -------
    constants : SkyConstants
        Linear in 1 / cells between the simulated points, then linear in the order between the
        simulated orders; beyond them that of the nearest.
    """
    orders = sorted({of for of, _ in POLYNOMIALS})
    low = max((of for of in orders if of <= order), default=orders[0])
    high = min((of for of in orders if of >= order), default=orders[-1])
    at = 1.0 / cells if cells else math.inf
    below, above = (
        _between(POLYNOMIALS[of, statistic.value], at, power=-1.0) for of in (low, high)
    )
    part = (order - low) / (high - low) if high > low else 0.0
    return SkyConstants(
        below.tile + part * (above.tile - below.tile),
        below.window + part * (above.window - below.window),
    )


def _name(model: Background) -> str:
    style = model.style_used if isinstance(model, SplineBackground) else InterpStyle.CONSTANT
    if style == InterpStyle.CUBIC_SPLINE:
        return InterpStyle.NATURAL_SPLINE.value
    if style == InterpStyle.CONSTANT and model.profile == FitProfile.SURVEY:
        return "CONSTANT of survey"
    return style.value


def _between(
    rows: Sequence[tuple[float, float, float]], at: float, *, power: float
) -> SkyConstants:
    """Interpolate rows of (x, c, c33), ascending in x, linearly in a falling power of x."""
    places, tile, window = np.array(rows).T
    falling = places[::-1] ** power
    known = np.isfinite(window[::-1])
    return SkyConstants(
        float(np.interp(at, falling, tile[::-1])),
        float(np.interp(at, falling[known], window[::-1][known])),
    )
