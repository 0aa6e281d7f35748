"""Matching of backgrounds: the smooth difference reference - science (MATCHING.md section 1).

A model is added to the science exposure to give it the reference's sky:
``matched = science + model.image()``. The arguments are never modified.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from core.background import Background
from core.config import MatchConfig
from core.errors import (
    CoreError,
    DimensionError,
    MissingExposureError,
    ModelOverflowError,
    NoOverlapError,
    NoReferenceError,
)
from core.grid import Tiles, measure_grid, measure_tiles
from core.image import MaskedImage
from core.reference import ReferenceChoice, select_reference
from core.statistics import Clip, clipped_moments, plain_moments

__all__ = [
    "NUMERICS_VERSION",
    "Match",
    "MatchResult",
    "MatchResults",
    "match_background",
    "match_backgrounds",
]

NUMERICS_VERSION: str = "1"
"""Raised whenever any bit of any result may change; part of what names a result."""

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Match:
    """The background model of a pair and the figures that LSST gives with it.

    Parameters
    ----------
    model : Background
        What is to be added to the science image.
    fit_rms : float
        Root mean square of tile statistic minus model, image unit (`MATCHING.md` section 8); NaN
        without a tile of two good pixels.
    matched_mse : float
        Mean square of difference minus model over the good pixels, unclipped, image unit squared;
        NaN with fewer than two.
    diff_im_var : float
        Clipped mean of the difference's variance plane, image unit squared; NaN where no good
        pixel has a finite variance.
    """

    model: Background
    fit_rms: float
    matched_mse: float
    diff_im_var: float


@dataclass(frozen=True, slots=True)
class MatchResult:
    """What became of one exposure of a run.

    Parameters
    ----------
    is_reference : bool
        Whether the others were matched to this one.
    model, fit_rms, matched_mse, diff_im_var : optional
        As in `Match`; None for the reference and for a failure.
    error : CoreError or None
        Why this exposure failed.
    """

    is_reference: bool
    model: Background | None = None
    fit_rms: float | None = None
    matched_mse: float | None = None
    diff_im_var: float | None = None
    error: CoreError | None = None


@dataclass(frozen=True)
class MatchResults(Sequence[MatchResult]):
    """Results of a run, one an exposure and in their order.

    Parameters
    ----------
    results : tuple of MatchResult
        The results.
    choice : ReferenceChoice or None
        How the reference was chosen; None if it was given.
    """

    results: tuple[MatchResult, ...]
    choice: ReferenceChoice | None

    @overload
    def __getitem__(self, index: int) -> MatchResult: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[MatchResult, ...]: ...

    def __getitem__(self, index: int | slice) -> MatchResult | tuple[MatchResult, ...]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)


def match_background(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> Match:
    """Fit the smooth difference between two exposures (MATCHING.md section 1).

    Parameters
    ----------
    reference : MaskedImage
        Exposure whose sky is to be had.
    science : MaskedImage
        Exposure of the same shape; the model is what to add to it. Origins are not compared.
    config : MatchConfig
        Settings.

    Returns
    -------
    match : Match
        The model, finite on every pixel, and its figures.

    Raises
    ------
    DimensionError
        If the shapes differ (a `RuntimeError`).
    NoOverlapError
        If no bin has a value (a `ValueError` and a `RuntimeError`).
    InterpolationError
        If the grid has too few values for a style that may not be reduced (a `RuntimeError`).
    ModelOverflowError
        If the model leaves the range of float32 (a `RuntimeError`).
    """
    if reference.shape != science.shape:
        raise DimensionError(science.shape, reference.shape)
    difference, good = _difference(reference, science, config)
    model = _fit(difference, good, config)
    image = model.image()
    if not np.isfinite(image).all():
        raise ModelOverflowError
    fit_rms = _fit_rms(measure_tiles(difference, good, config), image)
    return Match(
        model=model,
        fit_rms=fit_rms,
        matched_mse=_matched_mse(difference, good, image),
        diff_im_var=_diff_im_var(reference, science, config),
    )


def match_backgrounds(
    exposures: Sequence[MaskedImage | None], config: MatchConfig, reference: int | None = None
) -> MatchResults:
    """Match every exposure to one of them; one failure never stops the others.

    Parameters
    ----------
    exposures : sequence of MaskedImage or None
        None is an exposure that could not be had.
    config : MatchConfig
        Settings.
    reference : int, optional
        Index of the reference, from 0; chosen by `core.select_reference` if not given.

    Returns
    -------
    results : MatchResults
        One an exposure, in order.

    Raises
    ------
    NoExposuresError
        If there is nothing to choose from (a `ValueError` and a `RuntimeError`).
    NoReferenceError
        If none can be the reference, or the given one does not exist (a `ValueError`).
    """
    choice = select_reference(exposures, config) if reference is None else None
    index = choice.index if choice is not None else reference
    chosen = _exposure_at(exposures, index)
    results = tuple(
        MatchResult(is_reference=True)
        if place == index
        else _result(chosen, exposure, place, config)
        for place, exposure in enumerate(exposures)
    )
    return MatchResults(results, choice)


def _exposure_at(exposures: Sequence[MaskedImage | None], index: int | None) -> MaskedImage:
    if index is None or not 0 <= index < len(exposures):
        raise NoReferenceError(f"index {index} is not one of {len(exposures)} exposures")
    exposure = exposures[index]
    if exposure is None:
        raise NoReferenceError(f"exposure {index} does not exist")
    return exposure


def _result(
    reference: MaskedImage, exposure: MaskedImage | None, place: int, config: MatchConfig
) -> MatchResult:
    if exposure is None:
        return MatchResult(is_reference=False, error=MissingExposureError(place))
    try:
        match = match_background(reference, exposure, config)
    except CoreError as error:
        return MatchResult(is_reference=False, error=error)
    return MatchResult(
        is_reference=False,
        model=match.model,
        fit_rms=match.fit_rms,
        matched_mse=match.matched_mse,
        diff_im_var=match.diff_im_var,
    )


def _difference(
    reference: MaskedImage, science: MaskedImage, config: MatchConfig
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Difference in float32, and which of its pixels are finite and flagged in neither."""
    difference = np.empty(reference.shape, dtype=np.float32)
    good = np.empty(reference.shape, dtype=np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in _row_blocks(difference):
            block = difference[rows]
            np.subtract(reference.image[rows], science.image[rows], out=block)
            np.isfinite(block, out=good[rows])
            good[rows] &= _unflagged(reference, rows, config)
            good[rows] &= _unflagged(science, rows, config)
    return difference, good


def _unflagged(exposure: MaskedImage, rows: slice, config: MatchConfig) -> NDArray[np.bool_]:
    bits = exposure.bits(config.bad_mask_planes)
    unflagged: NDArray[np.bool_] = (exposure.mask[rows] & bits) == 0
    return unflagged


def _fit(
    difference: NDArray[np.float32], good: NDArray[np.bool_], config: MatchConfig
) -> Background:
    grid = measure_grid(difference, good, config)
    if np.isnan(grid.values).all():
        raise NoOverlapError
    height, width = difference.shape
    return Background(
        values=grid.values,
        errors=grid.errors,
        counts=grid.counts,
        width=width,
        height=height,
        interp_style=config.interp_style,
        undersample_style=config.undersample_style,
    )


def _fit_rms(tiles: Tiles, image: NDArray[np.float32]) -> float:
    """Root mean square of tile minus model at one pixel a tile (MATCHING.md section 8)."""
    sampled = image[tiles.y.astype(np.intp), tiles.x.astype(np.intp)]
    residuals = tiles.values - sampled
    squares = residuals[~np.isnan(residuals)] ** 2
    return math.sqrt(float(np.add.reduce(squares)) / squares.size) if squares.size else math.nan


def _matched_mse(
    difference: NDArray[np.float32], good: NDArray[np.bool_], image: NDArray[np.float32]
) -> float:
    """Mean square of what the model leaves, over all good pixels and unclipped."""

    def left() -> Iterator[NDArray[np.float32]]:
        for rows in _row_blocks(image):
            block = difference[rows] - image[rows]
            yield block[good[rows] & np.isfinite(block)]

    return plain_moments(_gathered(left())).mean_square


def _diff_im_var(reference: MaskedImage, science: MaskedImage, config: MatchConfig) -> float:
    """Clipped mean of the difference's variance; a pixel's own NaN in the image is no matter."""

    def variances() -> Iterator[NDArray[np.float32]]:
        for rows in _row_blocks(reference.image):
            block = reference.variance[rows] + science.variance[rows]
            kept = np.isfinite(block)
            kept &= _unflagged(reference, rows, config)
            kept &= _unflagged(science, rows, config)
            yield block[kept]

    clip = Clip(config.num_sigma_clip, config.num_iter)
    return clipped_moments(_gathered(variances()), clip).mean


def _gathered(blocks: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One array of blocks whose arithmetic may overflow; the blocks are let go of."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.concatenate(list(blocks))


def _row_blocks(image: NDArray[np.float32]) -> Iterator[slice]:
    """Rows that fit into the processor's cache together."""
    for start in range(0, image.shape[0], _ROWS_AT_ONCE):
        yield slice(start, start + _ROWS_AT_ONCE)
