"""Photometric scaling: an exposure brought into the flux system of its group before it is matched.

The image is multiplied and the variance multiplied by the square, both in float32, as a coadder
does it; the mask stays. The exposure that was given is never written to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ScalerError
from core.image import MaskedImage

__all__ = ["Scaler", "scaled"]

Scaler = float | NDArray[np.float32] | NDArray[np.float64] | Callable[[MaskedImage], MaskedImage]
"""A number, an array over the patch, or a callable from exposure to exposure."""


def scaled(
    exposure: MaskedImage, scaler: Scaler | None, which: str = "the exposure"
) -> MaskedImage:
    """Return an exposure in another flux system; the one that is given stays as it is.

    Parameters
    ----------
    exposure : MaskedImage
        The exposure.
    scaler : float, `numpy.ndarray`, callable or None
        A number, or an array ``[y, x]`` of the exposure's shape in float32 or float64: finite,
        positive, and with a square within float32. It is rounded to float32, multiplies the image
        and, squared in float32, the variance. Zero and negative scales are refused: no flux system
        has one. A callable gets a copy of the exposure, so it may return a new exposure or change
        the copy's pixels and return that; it is not looked into, but what it returns must have the
        exposure's shape. None and 1 give the exposure itself.
    which : str, optional
        Whose scaler it is, for errors.

    Returns
    -------
    scaled : MaskedImage
        With planes of its own, but for the mask of a number and of an array.

    Raises
    ------
    ScalerError
        If the scaler is none of these, or raises; what it raised is the cause. `MemoryError` comes
        through: it says nothing of this scaler.
    """
    if scaler is None:
        return exposure
    if isinstance(scaler, np.ndarray):
        return _by_array(exposure, scaler, which)
    if callable(scaler):
        return _by_callable(exposure, scaler, which)
    if isinstance(scaler, Real) and not isinstance(scaler, bool):
        return _by_number(exposure, scaler, which)
    expected = "must be a number, an array over the patch, or a callable"
    raise ScalerError(which, f"is a {type(scaler).__name__}: {expected}")


def _by_number(exposure: MaskedImage, scaler: Real, which: str) -> MaskedImage:
    try:
        number = float(scaler)
    except (OverflowError, ValueError, TypeError) as error:
        raise ScalerError(which, f"is {scaler!r}, which is no float") from error
    _require_range(number, number, which)
    if number == 1.0:
        return exposure
    factor = np.float32(number)
    with np.errstate(all="ignore"):
        image, variance = exposure.image * factor, exposure.variance * (factor * factor)
    return replace(exposure, image=image, variance=variance)


def _by_array(exposure: MaskedImage, scaler: NDArray[Any], which: str) -> MaskedImage:
    if scaler.dtype not in (np.float32, np.float64) or isinstance(scaler, np.ma.MaskedArray):
        kind = f"{type(scaler).__name__} of dtype {scaler.dtype.str!r}"
        expected = "must be a plain array of native float32 or float64"
        raise ScalerError(which, f"is a {kind}: {expected}")
    if scaler.shape != exposure.shape:
        shapes = f"has the shape {scaler.shape}, its exposure {exposure.shape}"
        raise ScalerError(which, f"{shapes}: must be the same")
    _require_range(float(scaler.min()), float(scaler.max()), which)
    variance = np.empty(exposure.shape, dtype=np.float32)
    with np.errstate(all="ignore"):
        image = np.multiply(exposure.image, scaler, dtype=np.float32, casting="same_kind")
        np.multiply(scaler, scaler, out=variance, dtype=np.float32, casting="same_kind")
        variance *= exposure.variance
    return replace(exposure, image=image, variance=variance)


def _require_range(lowest: float, highest: float, which: str) -> None:
    """Refuse scales that float32 cannot hold, or not their squares; NaN is in no range."""
    with np.errstate(all="ignore"):
        ends = [np.float32(one) for one in (lowest, highest)]
        fine = all(end > 0 and 0 < end * end < np.inf for end in ends)
    if not fine:
        found = f"is {lowest:g}" if lowest == highest else f"runs from {lowest:g} to {highest:g}"
        expected = "must be finite, positive, and its square within float32"
        raise ScalerError(which, f"{found}: {expected}")


def _by_callable(
    exposure: MaskedImage, scaler: Callable[[MaskedImage], MaskedImage], which: str
) -> MaskedImage:
    try:
        result: object = scaler(_copy(exposure))
    except MemoryError:
        raise
    except Exception as error:
        raise ScalerError(which, f"raised {type(error).__name__}: {error}") from error
    if not isinstance(result, MaskedImage):
        raise ScalerError(which, f"returned a {type(result).__name__}: must be a MaskedImage")
    if result.shape != exposure.shape:
        shapes = f"returned the shape {result.shape} for {exposure.shape}"
        raise ScalerError(which, f"{shapes}: must be the same")
    return result


def _copy(exposure: MaskedImage) -> MaskedImage:
    image, mask, variance = exposure.image, exposure.mask, exposure.variance
    return replace(exposure, image=image.copy(), mask=mask.copy(), variance=variance.copy())
