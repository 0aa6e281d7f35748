"""Messages that are read in one step: the same as all others, in less time."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from decimal import Decimal
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import (
    EVENT_LIMITS,
    MESSAGE_TYPES,
    BackgroundMetric,
    BackgroundModel,
    DeadLetter,
    GroupManifest,
    GroupMatched,
    Limits,
    MemberSummary,
    Message,
    SchemaError,
    WarpArrived,
    blank,
    decode,
    decode_value,
    encode_value,
    limits_of,
    pack_state,
)
from schemas.wire import pack_flat, unpack_flat
from tests.schemas.examples import EXAMPLES, arrived, raw, record
from tests.schemas.hostile import GOOD, beside
from tests.schemas.test_totality import VALUES

NESTED = (BackgroundModel, DeadLetter)
FLAT = [one for one in EXAMPLES if not isinstance(one, NESTED)]
EACH = pytest.mark.parametrize("message", FLAT, ids=lambda one: one.ce_type)
KINDS = st.sampled_from(FLAT)


def own_limits(kind: type[Message]) -> Limits:
    """Return limits equal to a type's, but a caller's: under such every value is looked over."""
    return copy(limits_of(kind))


def outcome(value: bytes, kind: type[Message], limits: Limits) -> tuple[str, str]:
    """Return what a value is: a message, or a reason with its words."""
    try:
        return "a message", repr(decode_value(value, kind, limits))
    except SchemaError as error:
        return error.reason, error.message


def same(value: bytes, kind: type[Message]) -> None:
    """Hold the quick way to the thorough one."""
    assert outcome(value, kind, limits_of(kind)) == outcome(value, kind, own_limits(kind))


def fields(message: Message) -> dict[str, Any]:
    """Return a message's fields as plain values."""
    found: dict[str, Any] = msgpack.unpackb(encode_value(message))
    return found


@settings(deadline=None)
@given(KINDS, st.binary(max_size=60))
def test_noise_is_refused_in_the_same_words(message: Message, value: bytes) -> None:
    """Of bytes that nobody meant as a message."""
    same(value, type(message))


@settings(max_examples=200, deadline=None)
@given(KINDS, st.data())
def test_damage_is_judged_the_same(message: Message, data: st.DataObject) -> None:
    """Of a message in which bytes were changed, cut out, doubled or put in."""
    value = encode_value(message)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(value)))
        stop = data.draw(st.integers(start, min(len(value), start + 12)))
        fresh = data.draw(st.binary(max_size=3) | st.just(value[start:stop] * 2))
        value = value[:start] + fresh + value[stop:]
    same(value, type(message))


ODD_BYTES = st.sampled_from(
    [
        b"\xcb\x7f\xf8" + bytes(6),
        b"\xcb\xff\xf0" + bytes(6),
        b"\xca\x7f\x80\x00\x00",
        b"\xca\x3f\x80\x00\x00",
        b"\xcb\x7f\xef" + b"\xff" * 6,
        b"\xcf" + bytes(7) + b"\x01",
        b"\xd3" + b"\xff" * 8,
        b"\xda\x00\x01r",
        b"\xdc\x00\x02\x01\x02",
        b"\xdd\xff\xff\xff\xff",
        b"\xc4\x01r",
        b"\xd6\xff" + bytes(4),
        b"\xdb\x00\x00\x20\x01" + b"x" * 8193,
        b"\x92\x01\x90",
        b"\x91" * 9 + b"\xc0",
    ]
)


@settings(max_examples=200, deadline=None)
@given(KINDS, st.data())
def test_any_fields_in_any_order_are_judged_the_same(message: Message, data: st.DataObject) -> None:
    """Of maps that have fields twice, not at all, unknown ones, and odd values among them."""
    told = fields(message)
    names = st.sampled_from([*told, "later"])
    pairs = [raw(name) + raw(told[name]) for name in data.draw(st.permutations(list(told)))]
    left_out = data.draw(st.integers(0, 2))
    for _ in range(data.draw(st.integers(0, 2))):
        odd = data.draw(ODD_BYTES | VALUES.map(raw_or_null))
        name = data.draw(names)
        kept = [pair for pair in pairs if not pair.startswith(raw(name))]
        pairs = [*(kept if data.draw(st.booleans()) else pairs), raw(name) + odd]
    pairs = pairs[left_out:]
    same(b"\xde" + len(pairs).to_bytes(2, "big") + b"".join(pairs), type(message))
    same(bytes([0x80 + len(pairs) % 16]) + b"".join(pairs), type(message))


def raw_or_null(value: object) -> bytes:
    """Return the bytes of a value, or of null if msgpack has none for it."""
    try:
        return raw(value)
    except (ValueError, OverflowError, TypeError):
        return b"\xc0"


@pytest.mark.parametrize(
    "message",
    [one for one in FLAT if not isinstance(one, GroupMatched)],  # which we alone write
    ids=lambda one: one.ce_type,
)
def test_what_producers_write_is_read_in_one_step(message: Message) -> None:
    """In our own order, in any other, and without what is null, a message is read quickly."""
    told = fields(message)
    assert unpack_flat(raw(told), type(message)) == message
    assert unpack_flat(raw(dict(reversed(told.items()))), type(message)) == message
    bare = msgspec.structs.replace(message, **({"size": None} if "size" in told else {}))
    short = {name: value for name, value in fields(bare).items() if value is not None}
    assert unpack_flat(raw(short), type(message)) == bare


@EACH
def test_a_message_has_one_spelling(message: Message) -> None:
    """What is sent and what the quick way compares with are the same bytes."""
    assert pack_state(message) == encode_value(message)


def written(message: Message, limits: Limits | None) -> tuple[str, object]:
    """Return the value that a message has, or why it has none."""
    try:
        return "a value", encode_value(message, limits)
    except SchemaError as error:
        return error.reason, error.message


ODD_FIELDS = st.sampled_from(
    [
        *(1, 1.0, 0.5, -0.0, -1, 2**63, 2**64, 2**53 + 1, 5e-324, float("nan"), float("inf")),
        *(True, None, "", "r", "x" * 1025, "\ud800", b"r", (1,), [1, 2], {}, {"a": 1}),
        *(Decimal(1), object()),
        *(np.float32(0.1), np.float64(0.1), np.int64(3), np.float64("nan"), np.bool_(1)),
    ]
)


@settings(max_examples=300, deadline=None)
@given(KINDS, st.data())
def test_a_message_is_written_the_same_or_refused_in_the_same_words(
    message: Message, data: st.DataObject
) -> None:
    """Whatever its fields hold: nobody looks at them before they are written."""
    odd = copy(message)
    names = st.sampled_from(message.__struct_fields__)
    for name in data.draw(st.lists(names, max_size=2, unique=True)):
        msgspec.structs.force_setattr(odd, name, data.draw(ODD_FIELDS))
    assert written(odd, None) == written(odd, own_limits(type(odd)))


@EACH
def test_what_we_write_is_seen_quickly_to_be_a_message(message: Message) -> None:
    """Each of our flat messages is written without being looked over."""
    assert pack_flat(message) == encode_value(message)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(beside(b"\xc0"), id="an unknown field"),
        pytest.param(raw({**fields(arrived()), "mjd_tai": float("nan")}), id="NaN"),
        pytest.param(raw({**fields(arrived()), "mjd_tai": float("inf")}), id="infinity"),
        pytest.param(GOOD.value + b"\xc0", id="a byte more"),
        pytest.param(b"\xdf\x00\x00\x00" + GOOD.value[2:], id="a longer head"),
    ],
)
def test_what_is_not_plain_is_left_to_the_thorough_way(value: bytes) -> None:
    """The quick way has no opinion of what it cannot prove."""
    assert unpack_flat(value, WarpArrived) is None


LARGEST = [
    arrived(uri="\U0001f30c" * 2048, unit="\U0001f30c" * 64, size=2**63 - 1),
    GroupManifest(
        skymap="\U0001f30c" * 64, tract=2**63 - 1, patch=0, band="r", visits=tuple(range(10_000))
    ),
    msgspec.structs.replace(
        next(one for one in EXAMPLES if isinstance(one, GroupMatched)),
        reference=2**62,
        missing=tuple(range(10_000)),
        warnings=32 * ("\U0001f30c" * 1024,),
        members=tuple(
            MemberSummary(
                visit=2**62 + number,
                status="matched",
                verdict="reject",
                model_id=64 * "f",
                cost=1e300,
                reason="\U0001f30c" * 100,
            )
            for number in range(10_000)
        ),
    ),
]


@pytest.mark.parametrize("message", LARGEST, ids=lambda one: one.ce_type)
def test_the_largest_that_a_type_lets_be_is_within_the_limits(message: Message) -> None:
    """The bounds of fields alone keep a plain message within the limits, but for its bytes."""
    for limits in (limits_of(type(message)), own_limits(type(message))):
        assert decode_value(encode_value(message), type(message), limits) == message


def test_flat_types_hold_texts_numbers_and_arrays_of_what_is_flat() -> None:
    """A type with anything else, or without a bound, must not be read in one step."""
    for kind in MESSAGE_TYPES.values():
        if kind not in NESTED:
            assert is_bounded(msgspec.inspect.type_info(kind)), kind


def is_bounded(kind: msgspec.inspect.Type) -> bool:
    """Tell whether a field's own bounds are within the limits of events."""
    inspect = msgspec.inspect
    match kind:
        case inspect.StrType(max_length=int(length)):
            return 4 * length <= EVENT_LIMITS.max_string
        case inspect.VarTupleType(item_type=item, max_length=int(length)):
            return length <= EVENT_LIMITS.max_array and is_bounded(item)
    parts = parts_of(kind)
    plain = (inspect.IntType, inspect.FloatType, inspect.BoolType, inspect.NoneType)
    whole = isinstance(kind, (*plain, inspect.LiteralType))
    return whole if parts is None else all(map(is_bounded, parts))


def parts_of(kind: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Type] | None:
    """Return what a type is made of; None if it is one of a kind."""
    inspect = msgspec.inspect
    match kind:
        case inspect.Metadata(type=inner):
            return (inner,)
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            return types
        case inspect.StructType(fields=fields):
            return [field.type for field in fields]
    return None


# -- headers ---------------------------------------------------------------------------------------

SIX = record(arrived())
TEXT = st.binary(max_size=12) | st.text(max_size=12).map(lambda text: text.encode(errors="replace"))
LONG = st.sampled_from([b"x" * 400, b"\xc3\xa9" * 600, b"x" * 1025, b"x" * 17_000])


def of_headers(headers: tuple[tuple[str, Any], ...]) -> tuple[str, str]:
    """Return what a record is under some headers."""
    try:
        return "a record", repr(decode(SIX.key, headers, SIX.value))
    except SchemaError as error:
        return error.reason, error.message


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(range(6)), st.none() | TEXT | LONG, max_size=3),
    st.permutations(range(6)) | st.just(list(range(6))),
)
@example({}, list(range(6)))
def test_the_usual_headers_are_judged_as_all_others(
    changed: dict[int, bytes | None], order: list[int]
) -> None:
    """A foreign header, which changes nothing, takes a record out of the quick way."""
    six = [(name, changed.get(place, text)) for place, (name, text) in enumerate(SIX.headers)]
    headers = tuple(six[place] for place in order)
    for _ in range(2):  # what was remembered of the first changes nothing for the second
        assert of_headers(headers) == of_headers((*headers, ("traceparent", b"")))


@EACH
@given(data=st.data())
def test_a_blank_is_filled_to_the_very_bytes(message: Message, data: st.DataObject) -> None:
    """Whatever fields are left out of a message, told later they make the bytes of the whole."""
    fields = message.__struct_fields__
    left_out = data.draw(st.sets(st.sampled_from(fields))) if fields else set()
    names = [name for name in fields if name in left_out]
    plain = [getattr(message, name) for name in names]
    assert blank(message, *names).filled(*plain) == encode_value(message)


def test_a_blank_has_what_is_told_later() -> None:
    """What stood in the gaps before is nowhere; too few or too many values are refused."""
    (metric,) = (one for one in FLAT if isinstance(one, BackgroundMetric))
    form = blank(metric, "trigger", "cost")
    other = msgspec.structs.replace(metric, trigger="quiet", cost=None)
    assert form.filled("quiet", None) == encode_value(other)
    for values in ((), ("quiet",), ("quiet", None, 1.0)):
        with pytest.raises(ValueError, match="zip"):
            form.filled(*values)
    for names in (("cost", "trigger"), ("costs",), ("cost", "cost")):
        with pytest.raises(ValueError, match="order of their definition"):
            blank(metric, *names)
    with pytest.raises(SchemaError):
        blank(msgspec.structs.replace(metric, cost=np.inf), "trigger")
