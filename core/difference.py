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

from core.bands import ROWS, frozen, row_bands
from core.bins import bin_count, bin_edges, tile_edges
from core.config import MatchConfig
from core.image import MaskedImage
from core.kernels import planes
from core.statistics import Clip, Moments, cell_moments, clipped_moments, pooled_moments

__all__ = [
    "Difference",
    "Residue",
    "diff_im_var",
    "exposure_moments",
    "measure_difference",
    "subtract",
]

_FEWEST_ROWS = 64
"""Bins of fewer rows are measured one by one: there would be too many bands."""


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """The difference reference - science, measured in bands of rows as it was made.

    Parameters
    ----------
    plane : `numpy.ndarray`
        float32 ``[y, x]``, image unit, NaN where a pixel is not accepted.
    edges : tuple of int
        Edges of the bands, from 0 to the height; empty if they were not measured.
    columns : core.kernels.planes.Columns
        Moments of every column of every band.
    """

    plane: NDArray[np.float32]
    edges: tuple[int, ...]
    columns: planes.Columns

    def moments(self, y_edges: Sequence[int], x_edges: Sequence[int]) -> Moments:
        """Return the moments of every cell, as `core.statistics.cell_moments` does.

        Cells whose edges are edges of bands need no second look at the pixels: means and squares
        of their columns are combined about the common mean.

        Parameters
        ----------
        y_edges, x_edges : sequence of int
            Edges of the ny and nx cells, not descending.

        Returns
        -------
        moments : Moments
            ``[ny, nx]``.
        """
        if not set(y_edges) <= set(self.edges):
            return cell_moments(self.plane, y_edges, x_edges)
        return pooled_moments(self.columns, [self.edges.index(edge) for edge in y_edges], x_edges)


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
    bits = reference.bits(config.bad_mask_planes), science.bits(config.bad_mask_planes)
    width = scratch.shape[1]
    if config.bin_size < _FEWEST_ROWS:
        for rows in row_bands((0, len(scratch))):
            planes.combine(_pair(reference, science, "image", rows), bits, -1.0, scratch[rows])
        return Difference(scratch, (), planes.Columns.of(0, width))
    bands = list(row_bands(_band_edges(len(scratch), config.bin_size)))
    columns = planes.Columns.of(len(bands), width)
    for index, rows in enumerate(bands):
        pair = _pair(reference, science, "image", rows)
        planes.combine_and_measure(pair, bits, -1.0, scratch[rows], columns.band(index))
    return Difference(scratch, (0, *(rows.stop for rows in bands)), columns)


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
    bits = reference.bits(config.bad_mask_planes), science.bits(config.bad_mask_planes)
    height, width = scratch.shape
    for rows in row_bands((0, height)):
        planes.combine(_pair(reference, science, "variance", rows), bits, 1.0, scratch[rows])
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
    bits = exposure.bits(config.bad_mask_planes)
    height, width = exposure.shape
    bands = list(row_bands((0, height)))
    columns = planes.Columns.of(len(bands), width)
    accepted = np.empty((ROWS, width), dtype=np.float32)
    for index, rows in enumerate(bands):
        image, mask = frozen(exposure.image[rows]), frozen(exposure.mask[rows])
        planes.accept_and_measure(image, mask, bits, accepted[: len(image)], columns.band(index))
    return pooled_moments(columns, (0, len(bands)), (0, width))


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
    squares = np.empty(rows.shape[1])
    count, total, overflows = planes.subtract(rows, frozen(model), squares)
    return Residue(count, total, overflows)


def _band_edges(height: int, bin_size: int) -> list[int]:
    """Edges along y of the bins and of the tiles."""
    bins = bin_edges(height, bin_count(height, bin_size))
    return sorted({*bins, *tile_edges(height, bin_size)})


def _pair(reference: MaskedImage, science: MaskedImage, plane: str, rows: slice) -> planes.Pair:
    return planes.Pair(
        frozen(getattr(reference, plane)[rows]),
        frozen(getattr(science, plane)[rows]),
        frozen(reference.mask[rows]),
        frozen(science.mask[rows]),
    )
