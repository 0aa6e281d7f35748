"""Fluxes that were stored as whole numbers: what each pixel of a quantised plane stands for.

Layout: FITS standard 4.0, sections 10.2 and 10.2.1. A tile has a scale and a zero; a random number
from 0 to 1 was added to each pixel before it was rounded, and is taken away again. Appendix I has
the random numbers, ten thousand of them, and the order in which a tile's pixels take them.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.kernels.compile import kernel

__all__ = ["NO_BLANK", "as_fluxes", "halves", "randoms"]

NO_BLANK: Final = 1 << 40
"""Stands for a pixel without a value where there is none: no 32-bit pixel is it."""

_NUMBERS: Final = 10_000
_FACTOR: Final = 16_807
_MODULUS: Final = 2**31 - 1

_REACH: Final = 500
"""A tile begins, and goes on when it has come to the end, somewhere in the first so many."""

_ZERO: Final = -(2**31) + 2
"""Stands for exactly zero in a plane that was dithered around zero."""


@kernel
def as_fluxes(
    pixels: NDArray[np.int32],
    scaling: tuple[float, float],
    special: tuple[int, bool],
    dither: tuple[NDArray[np.float32], int],
    fluxes: NDArray[np.float32],
) -> None:
    """Write what the pixels of a tile stand for.

    Parameters
    ----------
    pixels : `numpy.ndarray`
        int32 ``[pixel]``, C-contiguous.
    scaling : (float, float)
        The tile's scale and zero.
    special : (int, bool)
        What stands for NaN, and whether the plane was dithered around zero.
    dither : (`numpy.ndarray`, int)
        float32 ``[number]``, `randoms` or `halves`; and the tile's place among them, from 0.
    fluxes : `numpy.ndarray`
        float32 ``[pixel]``, C-contiguous; written.
    """
    (scale, zero), (blank, around_zero), (numbers, start) = scaling, special, dither
    first = 0
    while first < pixels.size:
        at = int(numbers[start] * np.float32(_REACH))
        part = pixels[first : first + numbers.size - at]
        for i in range(part.size):
            flux = (float(part[i]) - float(numbers[at + i]) + 0.5) * scale + zero
            if around_zero and part[i] == _ZERO:
                flux = 0.0
            if part[i] == blank:
                flux = np.nan
            fluxes[first + i] = np.float32(flux)
        first += part.size
        start = (start + 1) % numbers.size


@cache
def randoms() -> NDArray[np.float32]:
    """Return the random numbers of the standard.

    Returns
    -------
    `numpy.ndarray`
        float32 ``[10000]``, read-only.
    """
    seeds, seed = np.empty(_NUMBERS), 1
    for i in range(_NUMBERS):
        seed = seed * _FACTOR % _MODULUS
        seeds[i] = seed
    return _kept(seeds / _MODULUS)


@cache
def halves() -> NDArray[np.float32]:
    """Return what stands for the random numbers where there was no dithering.

    Returns
    -------
    `numpy.ndarray`
        float32 ``[10000]``, read-only.
    """
    return _kept(np.full(_NUMBERS, 0.5))


def _kept(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    kept = numbers.astype(np.float32)
    kept.setflags(write=False)
    return kept
