"""Numerical arrays as they stand in a message."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, cast

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray as Array

from schemas.fields import Natural, refuse_unless

__all__ = ["NDArray"]

DType = Literal["<f4", "<f8", "<i4"]
_SIZES: Final = {"<f4": 4, "<f8": 8, "<i4": 4}


class NDArray(Struct, frozen=True):
    """An array: little-endian bytes with their dtype and shape. NaN is allowed inside.

    Attributes
    ----------
    dtype : str
        NumPy's name: ``<f4``, ``<f8`` or ``<i4``.
    shape : tuple of int
        Sizes of the axes, slowest first; for a grid ``(ny, nx)``. At most 3 axes.
    data : bytes
        The elements in C order.
    """

    dtype: DType
    shape: Annotated[tuple[Natural, ...], Meta(max_length=3)]
    data: bytes

    def __post_init__(self) -> None:
        size = _SIZES.get(self.dtype)
        refuse_unless(size is not None, f"dtype must be <f4, <f8 or <i4, not {self.dtype!r}")
        wanted = math.prod(self.shape) * (size or 0)
        refuse_unless(
            len(self.data) == wanted,
            f"an array {self.dtype} of shape {list(self.shape)} has {wanted} bytes, "
            f"not {len(self.data)}",
        )

    @classmethod
    def of(cls, array: Array[np.generic]) -> NDArray:
        """Take a NumPy array of float32, float64 or int32, of whatever byte order and strides.

        Raises
        ------
        SchemaError
            ``bad_message``: another dtype.
        """
        little = array.dtype.newbyteorder("<")
        contiguous = np.ascontiguousarray(array, dtype=little)
        dtype = cast("DType", little.str)
        return cls(dtype=dtype, shape=tuple(array.shape), data=contiguous.tobytes())

    def array(self) -> Array[np.generic]:
        """Return the elements as a read-only NumPy array of `dtype` and `shape`, not copied."""
        return np.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)
