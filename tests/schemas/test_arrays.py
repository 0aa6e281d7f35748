"""Arrays in messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas import DeadReason, NDArray, SchemaError

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", ">f8", "<i4", ">i4"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
)


@given(ARRAYS)
def test_an_array_comes_back_bit_for_bit(array: np.ndarray[Any, Any]) -> None:
    """Bits, shape and kind survive, NaN payloads and signed zeros included."""
    back = NDArray.of(array).array()
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(back.dtype).tobytes()


def test_bytes_are_little_endian_in_c_order() -> None:
    """The layout is the documented one, whatever the array's own."""
    array = np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=">i4"))
    made = NDArray.of(array)
    assert (made.dtype, made.shape) == ("<i4", (2, 2))
    assert made.data == bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0])


def test_strides_are_straightened() -> None:
    """A view with steps is written as what it shows."""
    array = np.arange(10, dtype=np.float64)[::-3]
    assert NDArray.of(array).array().tolist() == [9, 6, 3, 0]


def test_an_array_read_cannot_be_written_to() -> None:
    """A message is a value: nobody changes it through its arrays."""
    back = NDArray.of(np.zeros(3, dtype=np.float32)).array()
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1


@pytest.mark.parametrize("dtype", ["<i8", "<u4", "?", "<c8", "S3", "O"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    """Only the three kinds of the contract can be written."""
    with pytest.raises(SchemaError, match="dtype must be <f4, <f8 or <i4") as caught:
        NDArray.of(np.zeros(2, dtype=dtype))
    assert caught.value.reason is DeadReason.BAD_MESSAGE


@pytest.mark.parametrize(("shape", "size"), [((2, 2), 15), ((2, 2), 17), ((), 0), ((3,), 0)])
def test_bytes_that_do_not_fill_the_shape_are_refused(shape: tuple[int, ...], size: int) -> None:
    """Shape and bytes must tell the same size."""
    with pytest.raises(SchemaError, match=f"not {size}"):
        NDArray(dtype="<f4", shape=shape, data=bytes(size))


def test_a_shape_that_would_overflow_is_only_arithmetic() -> None:
    """A shape of absurd size is refused without allocating anything."""
    with pytest.raises(SchemaError):
        NDArray(dtype="<f8", shape=(2**62, 2**62, 2**62), data=b"")
