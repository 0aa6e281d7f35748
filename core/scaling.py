"""Photometric scaling: an exposure brought into the flux system of its group before it is matched.

LSST's task scales before it chooses and before it matches (MATCHING.md sections 1 and 9).
The image is multiplied and the variance multiplied by the square, both in float32, as a coadder
does it; the mask stays. The exposure that was given is never written to.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import (
    CoreError,
    ImageError,
    ImageTypeError,
    MissingExposureError,
    ScalerError,
)
from core.image import MaskedImage, require_exposure

__all__ = ["ScaledExposures", "Scaler", "scaled"]

T = TypeVar("T")

Scaler = (
    float
    | np.floating[Any]
    | NDArray[np.float32]
    | NDArray[np.float64]
    | Callable[[MaskedImage], MaskedImage]
)
"""A number, an array over the patch, or a callable from exposure to exposure."""


def scaled(
    exposure: MaskedImage, scaler: Scaler | None, which: str = "the exposure"
) -> MaskedImage:
    """Return an exposure in another flux system; the one that is given stays as it is.

    What fails here costs the exposure its place in the choice and its match, and no other
    (MATCHING.md sections 1 and 9).

    Parameters
    ----------
    exposure : MaskedImage
        The exposure, image ``[y, x]`` in any unit of flux, variance in its square.
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
    ImageTypeError
        If the exposure is none (a `TypeError`).
    ScalerError
        If the scaler is none of these, or raises; what it raised is the cause. `MemoryError` comes
        through: it says nothing of this scaler.
    """
    require_exposure("exposure", exposure)
    given: object = scaler
    if given is None:
        return exposure
    if isinstance(given, np.ndarray):
        return _by_array(exposure, given, which)
    if callable(given):
        return _by_callable(exposure, given, which)
    if not isinstance(given, bool) and isinstance(given, Real):
        return _by_number(exposure, given, which)
    expected = "must be a number, an array over the patch, or a callable"
    raise ScalerError(which, f"is a {type(given).__name__}: {expected}")


class ScaledExposures:
    """Exposures of a run, each scaled when it is asked for and not kept.

    Parameters
    ----------
    exposures : sequence of MaskedImage or None
        None is an exposure that could not be had.
    scalers : sequence of Scaler or None, optional
        One an exposure, as for `scaled`.

    Attributes
    ----------
    planes : set of str
        Mask planes that the exposures asked for so far define.

    Raises
    ------
    ImageError
        If there are not as many scalers as exposures; `ImageTypeError` if they are no sequence.
    """

    def __init__(
        self,
        exposures: Sequence[MaskedImage | None],
        scalers: Sequence[Scaler | None] | None = None,
    ) -> None:
        self._exposures = exposures
        self._scalers = _one_each(scalers, _length("exposures", exposures))
        self.planes: set[str] = set()

    def __len__(self) -> int:
        return len(self._exposures)

    def scaled(self, place: int, scaler: Scaler | None = None) -> MaskedImage:
        """Return an exposure, scaled.

        Parameters
        ----------
        place : int
            Its place in the sequence.
        scaler : Scaler, optional
            In the stead of its own.

        Returns
        -------
        scaled : MaskedImage
            As `core.scaled` gives it.

        Raises
        ------
        MissingExposureError
            If there is no such exposure.
        ImageTypeError
            If it is something else.
        ScalerError
            If it cannot be scaled.
        """
        exposure: object = self._exposures[place]
        if exposure is None:
            raise MissingExposureError(place)
        if not isinstance(exposure, MaskedImage):
            found = f"a {type(exposure).__name__}"
            raise ImageTypeError(f"exposures[{place}]", found, "a core.MaskedImage or None")
        own = None if self._scalers is None else self._scalers[place]
        self.planes.update(exposure.planes)
        result = scaled(exposure, own if scaler is None else scaler, f"exposure {place}")
        self.planes.update(result.planes)
        return result

    def attempt(self, place: int, use: Callable[[MaskedImage], T]) -> T | Exception:
        """Return what comes of an exposure, scaled, or the error that came instead.

        Parameters
        ----------
        place : int
            Its place in the sequence.
        use : callable
            What to do with it.

        Returns
        -------
        result : object or Exception
            An error holds no pixels: the traceback of one that nobody foresaw is a note, as text.
            `MemoryError` comes through, as the next exposure would meet the same.
        """
        try:
            return use(self.scaled(place))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this exposure's alone
            _let_go(error)
            return error


def _one_each(
    scalers: Sequence[Scaler | None] | None, count: int
) -> Sequence[Scaler | None] | None:
    if scalers is None:
        return None
    given = _length("scalers", scalers)
    if given != count:
        raise ImageError("scalers", f"of length {given}", f"of length {count}, one an exposure")
    return scalers


def _length(name: str, given: Sequence[object]) -> int:
    try:
        return len(given)
    except TypeError:
        found = f"a {type(given).__name__}"
        raise ImageTypeError(name, found, "a sequence of one an exposure") from None


def _let_go(error: BaseException) -> None:
    """Turn the traceback of an error and its causes into text: frames would keep exposures."""
    if error.__cause__ is not None or not isinstance(error, CoreError):
        error.add_note("".join(traceback.format_exception(error)))
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__context__ if link.__cause__ is None else link.__cause__


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
        found = f"runs from {lowest:g} to {highest:g}" if lowest < highest else f"is {lowest:g}"
        expected = "must be finite, positive, and its square within float32"
        raise ScalerError(which, f"{found}: {expected}")


def _by_callable(exposure: MaskedImage, scaler: Callable[..., object], which: str) -> MaskedImage:
    try:
        result = scaler(_copy(exposure))
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
