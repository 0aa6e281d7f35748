"""How well the mean level of a model is known (MATCHING.md section 13, ``sky_error``)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.background import Background
from core.chebyshev import ChebyshevBackground
from core.config import FitProfile, InterpStyle
from core.grid import bin_centres
from core.polynomialnoise import mean_shares
from core.survey import filled_shares, floored_errors

__all__ = ["level_error"]

_Doubles = NDArray[np.float64]


def level_error(model: Background) -> float:
    """Return the error of the mean of a model over its image, as if noise were not correlated.

    Parameters
    ----------
    model : Background
        Its grid has the errors of the bins.

    Returns
    -------
    error : float
        Image unit: sqrt(sum w^2 e^2) with the share w of each bin in the mean. For splines that
        of linear interpolation, which the others only bend, unless bins are empty: there Akima's
        spline in profile ``lsst`` swings, and the error is up to twice as large. For polynomials
        that of the least squares. NaN if no bin has an error, or the bins do not determine the
        polynomial.
    """
    valid = np.isfinite(model.values)
    errors = _errors(model, valid)
    if isinstance(model, ChebyshevBackground):
        shares = mean_shares(model, np.where(valid, _weights(model), 0.0))
    elif model.profile == FitProfile.SURVEY and valid.any():
        shares = _filled_shares(model, valid)
    else:
        shares = _spline_shares(model, valid)
    return math.sqrt(float(np.sum((shares[valid] * errors[valid]) ** 2)))


def _errors(model: Background, valid: NDArray[np.bool_]) -> _Doubles:
    """Return the bins' errors; a bin of one pixel has the noise of a typical pixel."""
    errors = model.errors.astype(np.float64)
    roots = np.sqrt(np.maximum(model.counts, 1))
    known = valid & np.isfinite(errors)
    noise = float(np.median((errors * roots)[known])) if known.any() else math.nan
    return np.where(known, errors, noise / roots)


def _filled_shares(model: Background, valid: NDArray[np.bool_]) -> _Doubles:
    """Return each bin's share where empty ones are filled before, as in profile ``survey``."""
    shares = _spline_shares(model, np.ones(valid.shape, dtype=np.bool_))
    errors = floored_errors(model.errors, model.counts)
    return filled_shares(shares, valid, errors, (model.height, model.width))


def _spline_shares(model: Background, valid: NDArray[np.bool_]) -> _Doubles:
    """Return each bin's share: columns are filled first, then empty columns are bridged."""
    beyond = getattr(model, "style_used", None) != InterpStyle.CONSTANT
    ny, nx = valid.shape
    y, x = bin_centres(model.height, ny), bin_centres(model.width, nx)
    used = valid.any(axis=0)
    shares = np.zeros(valid.shape)
    of_columns = _line_shares(x[used], model.width, beyond=beyond)
    for column, share in zip(np.flatnonzero(used), of_columns, strict=True):
        rows = valid[:, column]
        shares[rows, column] = share * _line_shares(y[rows], model.height, beyond=beyond)
    return shares


def _line_shares(nodes: _Doubles, length: int, *, beyond: bool) -> _Doubles:
    """Return the share of each node in the mean of straight lines, that go on `beyond` or not."""
    if nodes.size == 1:
        return np.ones(1)
    pixels = np.arange(length, dtype=np.float64)
    left = np.clip(np.searchsorted(nodes, pixels, side="right") - 1, 0, nodes.size - 2)
    part = (pixels - nodes[left]) / (nodes[left + 1] - nodes[left])
    if not beyond:
        part = np.clip(part, 0.0, 1.0)
    shares = np.bincount(left, 1 - part, nodes.size) + np.bincount(left + 1, part, nodes.size)
    means: _Doubles = shares.astype(np.float64) / length
    return means


def _weights(model: ChebyshevBackground) -> _Doubles:
    """Return the weights of the bins in the fit; those that it leaves out have none."""
    if not model.weighted:
        return np.ones(model.values.shape)
    if model.profile == FitProfile.SURVEY:
        return floored_errors(model.errors, model.counts) ** -2
    with np.errstate(divide="ignore"):
        weights = 1 / model.errors.astype(np.float64)
    return np.where(np.isfinite(weights), weights, 0.0)
