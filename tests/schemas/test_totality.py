"""Decoding is total: any record is a message or a `SchemaError`, and nothing else ever."""

from __future__ import annotations

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import MESSAGE_TYPES, Attributes, Message, SchemaError, decode, encode
from tests.schemas.examples import EXAMPLES, raw, record

RECORDS = [record(message) for message in EXAMPLES]
HEADERS = st.sampled_from([encoded.headers for encoded in RECORDS])
KEYS = st.none() | st.binary(max_size=40) | st.sampled_from([encoded.key for encoded in RECORDS])


def outcome(key: bytes | None, headers: tuple[tuple[str, bytes], ...], value: bytes | None) -> str:
    """Decode a record, and hold what comes of it to its promises."""
    try:
        attributes, message = decode(key, headers, value)
    except SchemaError as error:
        refused = error
    else:
        return accepted(attributes, message)
    assert 0 < len(str(refused)) < 1200
    return refused.reason


def accepted(attributes: Attributes, message: Message) -> str:
    """Hold a decoded message to its type, and to being encoded again."""
    assert isinstance(message, MESSAGE_TYPES[attributes.type])
    again = encode(message, id=attributes.id, source=attributes.source, time=attributes.time)
    assert decode(again.key, again.headers, again.value) == (attributes, message)
    return "message"


@given(KEYS, HEADERS, st.none() | st.binary(max_size=300))
def test_any_value_is_a_message_or_refused(
    key: bytes | None, headers: tuple[tuple[str, bytes], ...], value: bytes | None
) -> None:
    """Noise under good headers."""
    outcome(key, headers, value)


NAMES = st.sampled_from([name for name, _ in RECORDS[0].headers]) | st.text(max_size=12)
TEXTS = st.sampled_from([value for _, value in RECORDS[0].headers]) | st.binary(max_size=40)


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=12), st.sampled_from(RECORDS))
def test_any_headers_are_attributes_or_refused(
    headers: list[tuple[str, bytes]], encoded: object
) -> None:
    """Noise above a good value."""
    outcome(encoded.key, tuple(headers), encoded.value)  # type: ignore[attr-defined]  # examples are of all types


@st.composite
def cut_and_flipped(draw: st.DrawFn) -> tuple[int, bytes]:
    """Return the number of an example and its bytes with some of them changed."""
    number = draw(st.integers(0, len(RECORDS) - 1))
    value = bytearray(RECORDS[number].value)
    for _ in range(draw(st.integers(0, 4))):
        value[draw(st.integers(0, len(value) - 1))] = draw(st.integers(0, 255))
    start, stop = draw(st.integers(0, 2)), draw(st.integers(len(value) - 3, len(value)))
    return number, bytes(value[start:stop])


@settings(max_examples=600)
@given(cut_and_flipped())
def test_a_damaged_message_is_a_message_or_refused(damaged: tuple[int, bytes]) -> None:
    """Bits that flip and ends that are cut off."""
    number, value = damaged
    outcome(RECORDS[number].key, RECORDS[number].headers, value)


ODD = (
    st.sampled_from([2**64 - 1, -(2**63), 2**63, float("nan"), float("inf"), 1e308, -0.0, "", b""])
    | st.sampled_from(["\x00", "a/b", "0" * 64, "matched", "x" * 5000, b"\xff" * 64, True, None])
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=10)
)
VALUES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def field_changed(draw: st.DrawFn) -> tuple[int, bytes]:
    """Return the number of an example and its bytes with something odd in some fields."""
    number = draw(st.integers(0, len(RECORDS) - 1))
    fields = msgpack.unpackb(RECORDS[number].value)
    for name in draw(
        st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3, unique=True)
    ):
        _replace(draw, fields, name)
    return number, raw(fields)


def _replace(draw: st.DrawFn, fields: dict[str, object], name: str) -> None:
    """Put something odd in a field, or, if that is a map, perhaps deeper into it."""
    inner = fields[name]
    if isinstance(inner, dict) and draw(st.booleans()):
        _replace(draw, inner, draw(st.sampled_from(sorted(inner))))
    elif draw(st.integers(0, 9)):
        fields[name] = draw(VALUES)
    else:
        del fields[name]


@settings(max_examples=200)
@given(field_changed())
def test_a_message_with_odd_fields_is_a_message_or_refused(changed: tuple[int, bytes]) -> None:
    """Wrong types, huge integers, NaN, absent fields, and choices that are none."""
    number, value = changed
    outcome(RECORDS[number].key, RECORDS[number].headers, value)


@given(
    st.integers(0, 3000),
    st.sampled_from([b"\x91", b"\x81\xa1a", b"\xdc\xff\xff", b"\x92\x90"]),
    st.booleans(),
)
@example(100_000, b"\x91", True)
@example(80_000, b"\x81\xa1a", True)
def test_a_value_nested_without_end_is_refused(depth: int, opening: bytes, inside: bool) -> None:
    """Depth, whole or cut off, alone or in a field that nobody reads."""
    nest = opening * depth + b"\xc0"
    head = b"\x82\xa9partition\x07\xa1x" if inside else b""
    tick = RECORDS[6]
    assert outcome(tick.key, tick.headers, head + nest) in {
        "message",
        "too_large",
        "bad_msgpack",
        "bad_message",
    }
