"""The constants c and c33 of every fit, from noise alone (MATCHING.md section 13).

Images of white noise of variance 1, whose errors are known to be sigma / sqrt(n) (kappa = 1), are
matched by the code of `core` itself, on bins of 16 pixels: larger ones give the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.config import FitProfile, GridStatistic, InterpStyle, MatchConfig
from core.skyconstants import SkyConstants, sky_constants
from core.skytiles import SkyTiles
from ops.skyconstants.planes import leave, pair, white_noise

__all__ = ["SIDES", "Fit", "Found", "formula", "simulate", "splines"]

BIN: Final = 16
SIDES: Final = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25)
"""Cells along either side of the grids."""
_STYLES: Final = {
    "CONSTANT": (InterpStyle.CONSTANT, FitProfile.LSST, 1),
    "CONSTANT/survey": (InterpStyle.CONSTANT, FitProfile.SURVEY, 1),
    "LINEAR": (InterpStyle.LINEAR, FitProfile.LSST, 2),
    "NATURAL_SPLINE": (InterpStyle.NATURAL_SPLINE, FitProfile.LSST, 3),
    "AKIMA_SPLINE": (InterpStyle.AKIMA_SPLINE, FitProfile.LSST, 5),
}
_CHI2_MEDIAN: Final = 0.454936423119573


@dataclass(frozen=True)
class Fit:
    """A way to fit.

    Parameters
    ----------
    name : str or int
        Style of a spline, or order of a polynomial.
    statistic : GridStatistic
        Statistic of the bins.
    """

    name: str | int
    statistic: GridStatistic

    @property
    def config(self) -> MatchConfig:
        """The settings."""
        if isinstance(self.name, int):
            return MatchConfig(
                bin_size=BIN, grid_statistic=self.statistic, use_polynomial=True, order=self.name
            )
        style, profile, _ = _STYLES[self.name]
        return MatchConfig(
            bin_size=BIN, grid_statistic=self.statistic, interp_style=style, profile=profile
        )


@dataclass(frozen=True)
class Found:
    """What noise leaves, match by match: float64 ``[seeds]`` each.

    Parameters
    ----------
    median : `numpy.ndarray`
        Median of (r / e)^2 over the tiles, over that of chi2 of one degree of freedom.
    mean : `numpy.ndarray`
        Mean of (r / e)^2 over the tiles.
    window : `numpy.ndarray`
        Mean of (sum r)^2 / sum e^2 over the windows of 3 x 3 tiles; NaN without one.
    correlation : `numpy.ndarray`
        kappa^2.
    """

    median: NDArray[np.float64]
    mean: NDArray[np.float64]
    window: NDArray[np.float64]
    correlation: NDArray[np.float64]


def splines(side: int) -> list[Fit]:
    """List the splines that so many cells a side allow."""
    return [
        Fit(name, statistic)
        for name, (_, _, fewest) in _STYLES.items()
        for statistic in GridStatistic
        if fewest <= side
    ]


def formula(fit: Fit, side: int) -> SkyConstants:
    """Return the constants of a polynomial on so many cells a side, as `core` works them out."""
    noise = white_noise(np.random.default_rng(0), side * BIN, side * BIN)
    match = leave(*pair(noise), fit.config)
    return sky_constants(match.model, fit.statistic, match.tiles)


def simulate(side: int, seeds: range, wanted: list[Fit]) -> dict[Fit, Found]:
    """Match noise on so many cells a side in every wanted way, the same noise in each."""
    rows = {fit: list[tuple[float, ...]]() for fit in wanted}
    for seed in seeds:
        rng = np.random.default_rng([side, seed])
        reference, science = pair(white_noise(rng, side * BIN, side * BIN))
        for fit in wanted:
            rows[fit].append(tuple(_figures(leave(reference, science, fit.config).tiles)))
    return {fit: Found(*np.array(of_fit).T) for fit, of_fit in rows.items()}


def _figures(tiles: SkyTiles) -> Iterator[float]:
    squares = (tiles.offsets / tiles.errors) ** 2
    yield float(np.median(squares)) / _CHI2_MEDIAN
    yield float(squares.mean())
    yield _window(tiles)
    yield tiles.kappa**2


def _window(tiles: SkyTiles) -> float:
    if min(tiles.offsets.shape) < 3:  # noqa: PLR2004 - tiles of a window
        return np.nan
    sums, squares = (
        np.lib.stride_tricks.sliding_window_view(values, (3, 3)).sum(axis=(2, 3))
        for values in (tiles.offsets, tiles.errors**2)
    )
    return float(np.mean(sums**2 / squares))
