"""Differences of two exposures with a sky, noise and gaps that are known, and their matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.background import Background, fit_spline
from core.chebyshev import fit_polynomial
from core.config import MatchConfig
from core.difference import measure_difference
from core.grid import measure
from core.image import MaskedImage
from core.quality import Quality, assess
from core.skytiles import SkyTiles, measure_sky

__all__ = ["PLANES", "Left", "leave", "pair", "warped_noise", "white_noise"]

PLANES = {"NO_DATA": 0, "DETECTED": 1}

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Left:
    """What a match leaves.

    Parameters
    ----------
    reference, science : MaskedImage
        The exposures.
    config : MatchConfig
        Settings of the match.
    model : Background
        The model.
    residual : `numpy.ndarray`
        float32 ``[y, x]``, difference minus model, NaN where a pixel is not accepted.
    """

    reference: MaskedImage
    science: MaskedImage
    config: MatchConfig
    model: Background
    residual: Plane

    @property
    def tiles(self) -> SkyTiles:
        """The sky in tiles."""
        return measure_sky(self.residual, self.model.values.shape, self.config.bin_size)

    @property
    def quality(self) -> Quality:
        """The judgement."""
        return assess(self.residual, self.model, self.reference, self.science, self.config)


def white_noise(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Return normal noise of variance 1 that is not correlated."""
    return rng.standard_normal((height, width), dtype=np.float32)


def warped_noise(
    rng: np.random.Generator, height: int, width: int, shift: tuple[float, float] = (0.5, 0.5)
) -> Plane:
    """Return normal noise as a Lanczos-3 warp by a part of a pixel in y and x leaves it."""
    plane = rng.standard_normal((height + 5, width + 5))
    along_y = _resampled(plane, shift[0])
    return np.asarray(_resampled(along_y.T, shift[1]).T, dtype=np.float32, order="C")


def pair(
    difference: Plane, bad: NDArray[np.bool_] | None = None
) -> tuple[MaskedImage, MaskedImage]:
    """Return two exposures of such a difference, the noise in the science exposure alone.

    A pixel in the corner of each is a source, so that sources were looked for; bad pixels are
    without data.
    """
    mask = np.zeros(difference.shape, dtype=np.int32)
    mask[0, 0] = 1 << PLANES["DETECTED"]
    zeros, ones = np.zeros_like(difference), np.ones_like(difference)
    reference = MaskedImage(zeros, mask, zeros, PLANES)
    science = MaskedImage(-difference, mask if bad is None else mask | bad, ones, PLANES)
    return reference, science


def leave(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> Left:
    """Match two exposures, and return what the model leaves."""
    scratch = np.empty(reference.shape, dtype=np.float32)
    difference = measure_difference(reference, science, config, scratch)
    grid, tiles = measure(difference, config)
    height, width = reference.shape
    model: Background
    if config.use_polynomial:
        model = fit_polynomial(scratch, grid, tiles, config)
    else:
        model = fit_spline(grid, width, height, config)
    for row in range(0, height, 64):
        block = scratch[row : row + 64]
        block -= model.rows(row, row + len(block))
    return Left(reference, science, config, model, scratch)


def _resampled(plane: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """Interpolate along the first axis, which loses the kernel's length but one."""
    x = np.arange(-2, 4) - shift
    weights = np.sinc(x) * np.sinc(x / 3)
    size = len(plane) - 5
    resampled = np.zeros((size, plane.shape[1]))
    for k, weight in enumerate(weights / weights.sum()):
        resampled += weight * plane[k : k + size]
    return resampled
