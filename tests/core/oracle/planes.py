"""Twin of `core.kernels.planes`: what is done to whole planes, by numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core import MaskedImage, MatchConfig
from tests.core.oracle import cells

__all__ = ["accepted", "combined", "plane_of", "rest"]


def combined(
    reference: MaskedImage, science: MaskedImage, config: MatchConfig, name: str
) -> NDArray[np.float32]:
    """Return the difference of the images, or the sum of the variances; NaN if not accepted."""
    first, second = getattr(reference, name), getattr(science, name)
    with np.errstate(invalid="ignore", over="ignore"):
        made = first - second if name == "image" else first + second
    kept = np.isfinite(made) & _unflagged(reference, config) & _unflagged(science, config)
    return np.where(kept, made, np.float32(np.nan))


def plane_of(exposure: MaskedImage, config: MatchConfig) -> NDArray[np.float32]:
    """Return an exposure's image, NaN where a pixel is not accepted."""
    kept = np.isfinite(exposure.image) & _unflagged(exposure, config)
    return np.where(kept, exposure.image, np.float32(np.nan))


def rest(
    rows: NDArray[np.float32], model: NDArray[np.float32]
) -> tuple[NDArray[np.float32], int, float, int]:
    """Return rows - model, how many are finite, the sum of their squares, and overflows."""
    with np.errstate(invalid="ignore", over="ignore"):
        made = rows - model
    kept = np.isfinite(made)
    wide = made[kept].astype(np.float64)
    overflows = int(np.count_nonzero(~np.isfinite(model)))
    left = np.where(kept, made, np.float32(np.nan))
    return left, wide.size, float(np.add.reduce(wide * wide)), overflows


def accepted(plane: NDArray[np.float32], cell: tuple[int, int, int, int]) -> cells.Sums:
    """Return the moments of the accepted pixels of a cell."""
    bottom, top, left, right = cell
    pixels = plane[bottom:top, left:right]
    return cells.moments(pixels[~np.isnan(pixels)])


def _unflagged(exposure: MaskedImage, config: MatchConfig) -> NDArray[np.bool_]:
    unflagged: NDArray[np.bool_] = (exposure.mask & exposure.bits(config.bad_mask_planes)) == 0
    return unflagged
