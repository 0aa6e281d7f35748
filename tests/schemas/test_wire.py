"""Bytes of messages: one way to write them, and what is refused before a type is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import EVENT_LIMITS, DeadReason, Limits, SchemaError, pack, unpack
from tests.schemas.examples import raw

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FINITE | st.text()
PLAIN = st.recursive(
    SCALARS | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def refusal(data: bytes, limits: Limits = EVENT_LIMITS) -> DeadReason:
    """Return the reason for which bytes are refused."""
    with pytest.raises(SchemaError) as caught:
        unpack(data, limits)
    assert str(caught.value)
    return caught.value.reason


@given(PLAIN)
def test_what_is_packed_is_unpacked(value: object) -> None:
    """Bytes hold the value: order of keys, kinds of numbers and all."""
    deep = Limits(max_depth=50, max_array=100)
    try:
        data = pack(value)
    except SchemaError as error:
        assert "nested" in str(error)  # noqa: PT017 - the other way out of `pack`
        return
    assert repr(unpack(data, deep)) == repr(value)
    assert pack(unpack(data, deep)) == data


@given(FINITE)
def test_a_float_keeps_its_64_bits(value: float) -> None:
    """No float is shortened, not even to a whole number."""
    data = pack(value)
    assert data[0] == 0xCB
    assert len(data) == 9
    assert math.copysign(1, unpack(data)) == math.copysign(1, value)  # type: ignore[arg-type]  # it is a number here


def test_fields_stand_in_the_order_of_their_definition() -> None:
    """The order of a type's fields is the order of its bytes."""

    @dataclass
    class Two:
        zebra: int
        apple: int

    assert pack(Two(1, 2)) == b"\x82\xa5zebra\x01\xa5apple\x02"


def test_keys_are_sorted_when_asked() -> None:
    """A mapping keeps its own order, or none."""
    assert pack({"b": 1, "a": 2}) == b"\x82\xa1b\x01\xa1a\x02"
    assert pack({"b": {"d": 1, "c": 0}, "a": 2}, sort_keys=True) == pack(
        {"a": 2, "b": {"c": 0, "d": 1}}
    )


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5)])
def test_numpy_floats_are_floats(number: np.floating) -> None:
    """A number from an array is written as the same number."""
    assert pack(number) == pack(0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_numbers_that_are_not_finite_are_neither_written_nor_read(value: float) -> None:
    """NaN and infinities have no place in a message, at whatever depth; the field is named."""
    with pytest.raises(SchemaError, match=r"fit_rms is .* null") as caught:
        pack({"model": [{"fit_rms": value}]})
    assert caught.value.reason is DeadReason.BAD_MESSAGE
    assert refusal(raw({"a": [float(value)]})) is DeadReason.BAD_MSGPACK


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", object(), {1: 2}, 1j, {b"a": 1}])
def test_what_has_no_bytes_is_refused(value: object) -> None:
    """Whatever a message cannot hold is refused as it is written."""
    with pytest.raises(SchemaError) as caught:
        pack(value)
    assert caught.value.reason is DeadReason.BAD_MESSAGE


def test_a_value_that_holds_itself_is_refused() -> None:
    """Even a value without end is refused in time."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(SchemaError):
        pack(endless)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\x81\xa1a",
        b"\xc0\xc0",
        b"\xa1\xff",
        b"\xa3\xed\xa0\x80",
        b"\x81\x01\x01",
        b"\x81\xc4\x01a\x01",
        b"\x81\x90\x01",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xc7\x00\x05",
        b"\xca\x7f\xc0\x00\x00",
        b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    ],
)
def test_bytes_that_are_no_plain_value_are_bad_msgpack(data: bytes) -> None:
    """Cut, doubled, foreign, extended, not UTF-8, keys that are no strings: each is refused."""
    assert refusal(data) in {DeadReason.BAD_MSGPACK, DeadReason.TOO_LARGE}
    if data[:1] != b"\xc7" and data[:1] != b"\xd6":
        assert refusal(data) is DeadReason.BAD_MSGPACK


def nested(depth: int, opening: bytes = b"\x91") -> bytes:
    """Return so many arrays in one another."""
    return opening * depth + b"\xc0"


LIMITS = Limits(max_bytes=4000, max_depth=3, max_map=2, max_array=4, max_string=5)


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        (nested(3), nested(4)),
        (nested(3, b"\x81\xa1a"), nested(4, b"\x81\xa1a")),
        (raw([0] * 4), raw([0] * 5)),
        (raw({"a": 0, "b": 0}), raw({"a": 0, "b": 0, "c": 0})),
        (raw("a" * 5), raw("a" * 6)),
        (raw("é" * 2), raw("é" * 3)),
        (raw(bytes(3997)), raw(bytes(3998))),
    ],
    ids=["depth", "depth of maps", "array", "map", "string", "bytes of a string", "whole"],
)
def test_each_limit_is_the_last_that_passes(within: bytes, beyond: bytes) -> None:
    """A limit is what may be had; one more is too large."""
    unpack(within, LIMITS)
    assert refusal(beyond, LIMITS) is DeadReason.TOO_LARGE


@pytest.mark.parametrize("depth", [9, 500, 1100, 200_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"])
def test_nothing_is_too_deep_to_be_refused(depth: int, opening: bytes) -> None:
    """Depth costs the sender a dead letter and us nothing."""
    assert refusal(nested(depth, opening)) is DeadReason.TOO_LARGE


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_a_size_that_is_only_claimed_allocates_nothing(head: bytes) -> None:
    """Four thousand million elements in six bytes are refused before there is room for them."""
    reason = refusal(head + b"\xff\xff\xff\xff\x00")
    assert reason in {DeadReason.TOO_LARGE, DeadReason.BAD_MSGPACK}


@given(st.binary(max_size=100))
def test_any_bytes_are_a_plain_value_or_refused(data: bytes) -> None:
    """Unpacking is total."""
    try:
        value = unpack(data)
    except SchemaError:
        return
    assert unpack(pack(value)) == value
