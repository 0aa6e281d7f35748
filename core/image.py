"""The exposure that the mathematics works on (MATCHING.md, notation and section 2).

An image with its mask and variance planes, checked once when it is made.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ImageError, ImageTypeError

__all__ = ["MaskedImage", "require_array", "require_exposure", "whole_number"]

_MASK_BITS = 32


@dataclass(frozen=True, eq=False)
class MaskedImage:
    """An image, its mask and its variance, on one pixel grid (MATCHING.md, notation).

    The arrays are kept as they are given, without a copy (read-only memory maps are fine), and
    nothing here ever writes to them.

    Parameters
    ----------
    image : `numpy.ndarray`
        float32 ``[y, x]``, any unit of flux. NaN and infinite pixels are never used (section 2).
    mask : `numpy.ndarray`
        int32 ``[y, x]``; bit ``planes[name]`` of a pixel says that it is flagged `name`.
    variance : `numpy.ndarray`
        float32 ``[y, x]``, the square of the image's unit.
    planes : mapping of str to int
        Mask plane name to its bit *number* (0 - 31). The dictionary belongs to the exposure: two
        exposures may number the same name differently, and are combined by name.
    origin : tuple of int, optional
        ``(x0, y0)``, the pixel position of the first pixel in the tract. It does not influence
        any number.

    Raises
    ------
    ImageTypeError
        If an array is not a plain array of its dtype in native byte order (also a `TypeError`).
    ImageError
        If the shapes are not two-dimensional, empty or different, a bit number is impossible, or
        the origin is not two integers (a `ValueError`).
    """

    image: NDArray[np.float32]
    mask: NDArray[np.int32]
    variance: NDArray[np.float32]
    planes: Mapping[str, int]
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for name, dtype in (("image", np.float32), ("mask", np.int32), ("variance", np.float32)):
            array = require_array(name, getattr(self, name), dtype)
            object.__setattr__(self, name, array)
            if array.shape != self.image.shape:
                raise ImageError(
                    name, f"of shape {array.shape}", f"of the image's shape {self.image.shape}"
                )
        if self.image.size == 0:
            raise ImageError("image", f"empty, shape {self.image.shape}", "at least one pixel")
        object.__setattr__(self, "planes", MappingProxyType(_checked_planes(self.planes)))
        object.__setattr__(self, "origin", _checked_origin(self.origin))

    def __reduce__(self) -> tuple[type[MaskedImage], tuple[Any, ...]]:
        return type(self), (self.image, self.mask, self.variance, dict(self.planes), self.origin)

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)`` in pixels."""
        height, width = self.image.shape
        return height, width

    def bits(self, names: Iterable[str]) -> np.int32:
        """Return the mask bits of the named planes, those that this exposure has.

        Parameters
        ----------
        names : iterable of str
            Mask plane names; a plane that the exposure does not define is absent in it.

        Returns
        -------
        bits : `numpy.int32`
            OR of ``1 << planes[name]``.

        Raises
        ------
        ImageTypeError
            If it is a single text, whose letters would be the names (a `TypeError`).
        """
        if isinstance(names, str):
            raise ImageTypeError("names", f"the text {names!r}", "an iterable of names")
        value = 0
        for name in names:
            if name in self.planes:
                value |= 1 << self.planes[name]
        return np.uint32(value).astype(np.int32)


def require_array(name: str, value: object, dtype: type[np.generic]) -> NDArray[Any]:
    """Return `value` as a plain two-dimensional array of exactly this dtype, or refuse it.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    value : object
        What was given for it.
    dtype : type
        numpy scalar type; the byte order must be the machine's.

    Returns
    -------
    array : `numpy.ndarray`
        `value` without a copy, as base class.

    Raises
    ------
    ImageTypeError
        If it is not an array, is a `numpy.ma` array, or has another dtype or byte order.
    ImageError
        If it is not two-dimensional.
    """
    wanted = np.dtype(dtype)
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise ImageTypeError(name, f"a {type(value).__name__}", f"a numpy array of {wanted}")
    if value.dtype != wanted:
        found = f"an array of dtype {value.dtype.str!r}"
        raise ImageTypeError(name, found, f"{wanted} in native byte order, {wanted.str!r}")
    if value.ndim != 2:  # noqa: PLR2004 - [y, x]
        raise ImageError(name, f"of {value.ndim} dimensions", "two-dimensional, [y, x]")
    return np.asarray(value)


def whole_number(value: Any) -> int | None:
    """Return a whole number as Python's, or None: neither booleans nor 1.0 are whole numbers.

    Parameters
    ----------
    value : object
        What was given for a number.

    Returns
    -------
    number : int or None
        Of any integer type, numpy's among them.
    """
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def require_exposure(name: str, value: object) -> None:
    """Refuse what is no exposure.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    value : object
        What was given for it.

    Raises
    ------
    ImageTypeError
        If it is not a `MaskedImage`.
    """
    if not isinstance(value, MaskedImage):
        raise ImageTypeError(name, f"a {type(value).__name__}", "a core.MaskedImage")


def _checked_planes(planes: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(planes, Mapping):
        raise ImageTypeError("planes", f"a {type(planes).__name__}", "a mapping of name to number")
    return {_checked_name(name): _checked_number(name, bit) for name, bit in planes.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ImageError("planes", f"with the name {name!r}", "mask plane names to bit numbers")
    return name


def _checked_number(name: str, bit: object) -> int:
    number = whole_number(bit)
    if number is None or not 0 <= number < _MASK_BITS:
        expected = f"a bit number, 0 - {_MASK_BITS - 1} (not the bit's value)"
        raise ImageError(f"planes[{name!r}]", repr(bit), expected)
    return number


def _checked_origin(origin: object) -> tuple[int, int]:
    if isinstance(origin, tuple | list) and len(origin) == 2:  # noqa: PLR2004 - x and y
        x0, y0 = whole_number(origin[0]), whole_number(origin[1])
        if x0 is not None and y0 is not None:
            return x0, y0
    raise ImageError("origin", repr(origin), "two integers, (x0, y0)")
