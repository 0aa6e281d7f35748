"""Matching of backgrounds: the smooth difference reference - science (MATCHING.md section 1).

A model is added to the science exposure to give it the reference's sky:
``matched = science + model.image()``. The arguments are never modified.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.background import Background, fit_spline
from core.chebyshev import fit_polynomial, require_polynomial
from core.config import MatchConfig, require_config
from core.difference import (
    Difference,
    Residue,
    diff_im_var,
    measure_difference,
    subtract,
)
from core.errors import DimensionError, ModelOverflowError
from core.grid import Tiles, measure
from core.image import MaskedImage, require_exposure
from core.quality import Quality, assess

__all__ = [
    "NUMERICS_VERSION",
    "Match",
    "match_background",
]

NUMERICS_VERSION: str = "2"
"""Raised whenever any bit of any result may change; part of what names a result."""

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Match:
    """The background model of a pair and the figures that go with it.

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
    quality : Quality or None
        What is left of the sky, if it was asked for.
    """

    model: Background
    fit_rms: float
    matched_mse: float
    diff_im_var: float
    quality: Quality | None = None


def match_background(
    reference: MaskedImage, science: MaskedImage, config: MatchConfig, *, quality: bool = False
) -> Match:
    """Fit the smooth difference between two exposures (MATCHING.md section 1).

    Parameters
    ----------
    reference : MaskedImage
        Exposure whose sky is to be had.
    science : MaskedImage
        Exposure of the same shape; the model is what to add to it. Origins are not compared.
    config : MatchConfig
        Settings.
    quality : bool, optional
        Judge the sky that is left too, which takes about half as long again.

    Returns
    -------
    match : Match
        The model, finite on every pixel, and its figures.

    Raises
    ------
    ImageTypeError, ConfigError
        If an argument is no exposure or no configuration at all.
    DimensionError
        If the shapes differ (a `RuntimeError`).
    NoOverlapError
        If no bin has a value (a `ValueError` and a `RuntimeError`).
    InterpolationError
        If the grid has too few values for a style that may not be reduced (a `RuntimeError`).
    BinSizeError, OrderError
        If the exposures are too small, or cover too little, for the polynomial (a `ValueError`).
    SingularFitError
        If the bins do not determine the polynomial (a `RuntimeError`).
    ModelOverflowError
        If the model leaves the range of float32 (a `RuntimeError`).
    """
    require_exposure("reference", reference)
    require_exposure("science", science)
    require_config(config)
    if config.use_polynomial:
        require_polynomial(science.shape, config)
    if reference.shape != science.shape:
        raise DimensionError(science.shape, reference.shape)
    scratch = np.empty(reference.shape, dtype=np.float32)
    variance = diff_im_var(reference, science, config, scratch)
    model, tiles = _fit(measure_difference(reference, science, config, scratch), config)
    residue = _subtract_model(scratch, model)
    if residue.overflows:
        raise ModelOverflowError
    return Match(
        model=model,
        fit_rms=_fit_rms(tiles, model),
        matched_mse=residue.mean_square,
        diff_im_var=variance,
        quality=assess(scratch, model, reference, science, config) if quality else None,
    )


def _fit(difference: Difference, config: MatchConfig) -> tuple[Background, Tiles]:
    grid, tiles = measure(difference, config)
    if config.use_polynomial:
        return fit_polynomial(difference.plane, grid, tiles, config), tiles
    height, width = difference.plane.shape
    return fit_spline(grid, width, height, config), tiles


def _fit_rms(tiles: Tiles, model: Background) -> float:
    """Root mean square of tile minus model at one pixel a tile (MATCHING.md section 8)."""
    residuals = tiles.values - model.at(tiles.x.astype(np.intp), tiles.y.astype(np.intp))
    squares = residuals[~np.isnan(residuals)] ** 2
    return math.sqrt(float(np.add.reduce(squares)) / squares.size) if squares.size else math.nan


def _subtract_model(plane: NDArray[np.float32], model: Background) -> Residue:
    """Leave difference minus model in the plane, in blocks that fit into the cache."""
    height, width = plane.shape
    block = np.empty((min(_ROWS_AT_ONCE, height), width), dtype=np.float32)
    residue = Residue()
    for start in range(0, height, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, height)
        residue += subtract(plane[start:stop], model.rows(start, stop, block[: stop - start]))
    return residue
