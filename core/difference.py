"""The difference of two exposures, measured pixel by pixel (MATCHING.md sections 1, 2, 8 and 9).

Planes are float32 ``[y, x]``, NaN where a pixel is not accepted: not finite, or flagged in either
exposure by one of ``bad_mask_planes``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.config import MatchConfig
from core.image import MaskedImage
from core.statistics import Clip, Moments, cell_moments, clipped_moments

__all__ = [
    "Difference",
    "Residue",
    "diff_im_var",
    "exposure_moments",
    "measure_difference",
    "subtract",
]

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """The difference reference - science.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, image unit, NaN where a pixel is not accepted.
    """

    plane: NDArray[np.float32]

    def moments(self, y_edges: Sequence[int], x_edges: Sequence[int]) -> Moments:
        """Return the moments of every cell, as `core.statistics.cell_moments`.

        Parameters
        ----------
        y_edges, x_edges : sequence of int
            Edges of the ny and nx cells.

        Returns
        -------
        moments : Moments
            ``[ny, nx]``.
        """
        return cell_moments(self.plane, y_edges, x_edges)


@dataclass(frozen=True, slots=True)
class Residue:
    """What a model leaves of some rows of a difference; residues of other rows add up.

    Parameters
    ----------
    count : int
        Accepted pixels whose difference minus model is finite.
    squares : float
        Sum of their squares, image unit squared.
    overflows : int
        Pixels of the model that are not finite, whether the difference has a pixel there or not.
    """

    count: int = 0
    squares: float = 0.0
    overflows: int = 0

    def __add__(self, other: Residue) -> Residue:
        return Residue(
            self.count + other.count,
            self.squares + other.squares,
            self.overflows + other.overflows,
        )

    @property
    def mean_square(self) -> float:
        """Mean of the squares, NaN with fewer than two pixels (MATCHING.md section 2)."""
        return self.squares / self.count if self.count > 1 else math.nan


def measure_difference(
    reference: MaskedImage,
    science: MaskedImage,
    config: MatchConfig,
    scratch: NDArray[np.float32],
) -> Difference:
    """Return the difference reference - science in float32 (MATCHING.md section 1).

    Parameters
    ----------
    reference, science : MaskedImage
        Exposures of one shape; the mask of the difference is the OR of theirs.
    config : MatchConfig
        bad_mask_planes, bin_size.
    scratch : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, of the exposures' shape; overwritten by the plane.

    Returns
    -------
    difference : Difference
        Its plane is `scratch`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in _row_blocks(scratch):
            block = np.subtract(reference.image[rows], science.image[rows], out=scratch[rows])
            kept = np.isfinite(block)
            kept &= _unflagged(reference, rows, config)
            kept &= _unflagged(science, rows, config)
            block[~kept] = np.nan
    return Difference(scratch)


def diff_im_var(
    reference: MaskedImage,
    science: MaskedImage,
    config: MatchConfig,
    scratch: NDArray[np.float32],
) -> float:
    """Return the clipped mean of the difference's variance plane (MATCHING.md section 1, step 9).

    Parameters
    ----------
    reference, science : MaskedImage
        Exposures of one shape. A pixel that is not finite in an image counts all the same if its
        variance is.
    config : MatchConfig
        bad_mask_planes, num_sigma_clip, num_iter.
    scratch : `numpy.ndarray`
        float32 ``[y, x]``, C-contiguous, of the exposures' shape; overwritten.

    Returns
    -------
    variance : float
        Image unit squared; NaN where no unflagged pixel has a finite variance.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in _row_blocks(scratch):
            block = np.add(reference.variance[rows], science.variance[rows], out=scratch[rows])
            kept = np.isfinite(block)
            kept &= _unflagged(reference, rows, config)
            kept &= _unflagged(science, rows, config)
            block[~kept] = np.nan
    height, width = scratch.shape
    clip = Clip(config.num_sigma_clip, config.num_iter)
    clipped = clipped_moments(scratch, (0, height), (0, width), clip)
    return float(clipped.moments.means[0, 0])


def exposure_moments(exposure: MaskedImage, config: MatchConfig) -> Moments:
    """Return the moments of an exposure's image, unclipped (MATCHING.md section 9).

    Parameters
    ----------
    exposure : MaskedImage
        The exposure; its variance plane is not looked at.
    config : MatchConfig
        bad_mask_planes.

    Returns
    -------
    moments : Moments
        Of shape ``(1, 1)``, over the pixels that are finite and not flagged.
    """
    height, width = exposure.shape
    kept = np.isfinite(exposure.image) & _unflagged(exposure, slice(None), config)
    plane = np.where(kept, exposure.image, np.float32(np.nan))
    return cell_moments(plane, (0, height), (0, width))


def subtract(rows: NDArray[np.float32], model: NDArray[np.float32]) -> Residue:
    """Take a model from rows of a difference in place, in float32 (MATCHING.md section 1, step 10).

    Parameters
    ----------
    rows : `numpy.ndarray`
        float32 ``[n, x]``, C-contiguous rows of a difference's plane, NaN where a pixel is not
        accepted; becomes rows - model, NaN too where that is not finite.
    model : `numpy.ndarray`
        float32 ``[n, x]``, the same rows of the model.

    Returns
    -------
    residue : Residue
        Sums over what is left.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        np.subtract(rows, model, out=rows)
    rows[~np.isfinite(rows)] = np.nan
    left = rows[~np.isnan(rows)].astype(np.float64)
    overflows = int(np.count_nonzero(~np.isfinite(model)))
    return Residue(left.size, float(np.add.reduce(left * left)), overflows)


def _unflagged(exposure: MaskedImage, rows: slice, config: MatchConfig) -> NDArray[np.bool_]:
    bits = exposure.bits(config.bad_mask_planes)
    unflagged: NDArray[np.bool_] = (exposure.mask[rows] & bits) == 0
    return unflagged


def _row_blocks(plane: NDArray[np.float32]) -> list[slice]:
    return [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(plane), _ROWS_AT_ONCE)]
