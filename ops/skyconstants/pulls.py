"""Pulls of models against the sky that was planted, and sky_chi2 of good matches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.background import Background
from core.chebyshev import ChebyshevBackground
from core.config import GridStatistic, InterpStyle, MatchConfig
from core.grid import bin_centres, bin_edges
from ops.skyconstants.planes import Plane, leave, pair, warped_noise, white_noise

__all__ = ["NOISES", "WAYS", "Pulls", "pulls"]

NOISES: Final = ("white", "warped")
WAYS: Final = {
    **{style.value: MatchConfig(interp_style=style) for style in InterpStyle},
    **{f"Chebyshev {order}": MatchConfig(use_polynomial=True, order=order) for order in (0, 2, 4)},
}
"""Ways to fit, by name; CUBIC_SPLINE is NATURAL_SPLINE."""
del WAYS[InterpStyle.CUBIC_SPLINE.value]


@dataclass(frozen=True)
class Pulls:
    """What a way of fitting comes to over many seeds.

    Parameters
    ----------
    chi2 : float
        Of the model against the sky, a degree of freedom; errors times kappa where noise is warped.
    sky_chi2 : float
        Median over the seeds that were judged.
    kappa : float
        Mean over the same.
    """

    chi2: float
    sky_chi2: float
    kappa: float


def pulls(  # noqa: PLR0913 - what to simulate, by name
    way: MatchConfig,
    statistic: GridStatistic,
    noise: str,
    *,
    seeds: int = 200,
    side: int = 6,
    bin_size: int = 64,
    judged: float = math.inf,
) -> Pulls:
    """Match a smooth sky under noise, over and over.

    The sky is one that the model can follow: a plane and a bend, or a level alone. Its mean in
    each bin is compared to a spline's value there, with as many degrees of freedom as bins, or to
    a polynomial at the centre, with as many as coefficients. Judging what is left takes most of
    the time, and of white noise may be done for the first seeds alone.
    """
    config = replace(way, grid_statistic=statistic, bin_size=bin_size)
    length = side * bin_size
    sky = _sky(length, bent=not (way.use_polynomial and way.order == 0))
    truth, warped = _bin_means(sky, side), noise != "white"
    made = warped_noise if warped else white_noise
    chi2s, skies = [], []
    for seed in range(seeds):
        plane: Plane = made(np.random.default_rng([17, seed]), length, length)
        match = leave(*pair(plane + sky), config)
        scale = 1.0
        if warped or seed < judged:
            quality = match.quality
            skies.append((quality.sky_chi2, quality.kappa))
            scale = quality.kappa if warped else 1.0
        chi2s.append(_chi2(match.model, truth, scale))
    sky_chi2s, kappas = np.array(skies).T
    return Pulls(float(np.mean(chi2s)), float(np.median(sky_chi2s)), float(kappas.mean()))


def _chi2(model: Background, truth: NDArray[np.float64], scale: float) -> float:
    """Return chi2 of a model against the sky's means in its bins, a degree of freedom."""
    level, freedom = model.values, truth.size
    if isinstance(model, ChebyshevBackground):
        centres = bin_centres(model.width, len(truth))
        level = model.at(*np.meshgrid(centres, centres))
        freedom = model.coefficients.size
    return float(np.sum(((level - truth) / (model.errors * scale)) ** 2)) / freedom


def _sky(length: int, *, bent: bool) -> Plane:
    y, x = np.mgrid[:length, :length] / length
    sky = 0.05 * x - 0.03 * y + 0.02 * x * y - 0.02 * x**2
    return np.asarray(10.0 + bent * sky, dtype=np.float32)


def _bin_means(plane: Plane, side: int) -> NDArray[np.float64]:
    starts = bin_edges(len(plane), side)[:-1]
    sums = np.add.reduceat(
        np.add.reduceat(plane.astype(np.float64), starts, axis=0), starts, axis=1
    )
    sizes = np.diff(bin_edges(len(plane), side))
    means: NDArray[np.float64] = sums / np.outer(sizes, sizes)
    return means
