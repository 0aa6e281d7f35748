"""Records: CloudEvents attributes in headers, a key that names the value, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    EVENT_LIMITS,
    MESSAGE_TYPES,
    Attributes,
    ClockTick,
    DeadReason,
    Encoded,
    Limits,
    Message,
    SchemaError,
    decode,
    decode_value,
    encode,
    encode_value,
    event_time_us,
    limits_of,
    time_text,
)
from tests.schemas.examples import EXAMPLES, arrived, matched_model, raw, record

ARRIVED = record(arrived())


def refusal(encoded: Encoded | None = None, **changes: object) -> SchemaError:
    """Return the refusal of a record with its key, headers or value otherwise."""
    parts = {**msgspec.structs.asdict(encoded or ARRIVED), **changes}
    with pytest.raises(SchemaError) as caught:
        decode(parts["key"], parts["headers"], parts["value"])
    return caught.value


def with_header(name: str, value: bytes | None) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of the announcement with one of them otherwise, or without it."""
    kept = tuple(pair for pair in ARRIVED.headers if pair[0] != name)
    return kept if value is None else (*kept, (name, value))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.ce_type)
def test_a_message_comes_back_as_it_went(example: Message) -> None:
    """Encoding loses nothing, and encoding again gives the same bytes."""
    encoded = record(example)
    attributes, back = decode(encoded.key, encoded.headers, encoded.value)
    assert back == example
    assert attributes == Attributes(
        id="1f6b-17", type=example.ce_type, source="urn:test:upstream", time=attributes.time
    )
    assert record(back) == encoded


def test_the_headers_are_those_of_binary_mode() -> None:
    """Other CloudEvents libraries find every attribute where Kafka's binding puts it."""
    assert dict(ARRIVED.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1f6b-17",
        "ce_type": b"warp.arrived.v1",
        "ce_source": b"urn:test:upstream",
        "ce_time": b"2026-03-01T05:06:07.250000Z",
        "content-type": b"application/msgpack",
    }


def test_the_key_is_the_identity() -> None:
    """Events go by group, models by group and visit."""
    assert ARRIVED.key == b"live/hsc_rings_v1/9813/42/r"
    assert record(matched_model()).key == b"live/hsc_rings_v1/9813/42/r/1230"


def test_what_decode_would_refuse_cannot_be_encoded() -> None:
    """Nothing invalid leaves the house, even where a constructor does not look."""
    for changes in ({"size": -1}, {"uri": 7}, {"sky": "blue"}, {"mjd_tai": float("nan")}):
        with pytest.raises(SchemaError):
            encode_value(arrived(**changes))
    with pytest.raises(SchemaError, match="ce_id must be"):
        encode(arrived(), id="", source="urn:test", time="2026-03-01T05:06:07Z")
    with pytest.raises(SchemaError, match="may have 100"):
        encode_value(arrived(), Limits(max_bytes=100))


def test_a_float_field_holds_a_float() -> None:
    """A message has one spelling however its numbers were typed."""
    assert encode_value(arrived(scale=2)) == encode_value(arrived(scale=2.0))


def test_unknown_fields_are_ignored() -> None:
    """A newer producer may say more."""
    value = raw({**msgpack.unpackb(ARRIVED.value), "later": [{"x": 1}]})
    assert decode(ARRIVED.key, ARRIVED.headers, value)[1] == arrived()


def test_foreign_headers_are_ignored() -> None:
    """Tracing and extensions may ride along, twice and in any bytes."""
    headers = (*ARRIVED.headers, ("traceparent", b"\xff"), ("traceparent", b""), ("ce_x", b"1"))
    assert decode(ARRIVED.key, headers, ARRIVED.value)[1] == arrived()


def test_the_order_of_headers_does_not_matter() -> None:
    """Headers are found by name."""
    assert decode(ARRIVED.key, ARRIVED.headers[::-1], ARRIVED.value)[1] == arrived()


@pytest.mark.parametrize("name", [name for name, _ in ARRIVED.headers])
def test_each_header_must_be_there_once(name: str) -> None:
    """Without one, with two, or with one that is no text, a record is refused by that name."""
    double = (*ARRIVED.headers, (name, b"again"))
    for headers in (with_header(name, None), double, with_header(name, b"\xff\xfe")):
        error = refusal(headers=headers)
        assert error.reason is DeadReason.BAD_HEADERS
        assert f"the header {name} " in str(error)


def test_a_header_without_a_value_is_refused() -> None:
    """A client that hands over None for a header does not bring the service down."""
    headers = (*with_header("ce_id", None), ("ce_id", None))
    assert refusal(headers=headers).reason is DeadReason.BAD_HEADERS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("content-type", b"application/json"),
        ("content-type", b"application/cloudevents+json"),
        ("ce_id", b""),
        ("ce_id", b"x" * 1025),
        ("ce_id", b"two\nlines"),
        ("ce_source", b""),
        ("ce_type", b"\x00"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-13-01T00:00:00Z"),
        ("ce_time", b"2026-02-29T00:00:00Z"),
        ("ce_time", b"2026-03-01T00:00:60Z"),
        ("ce_time", b"2026-03-01T00:00:00"),
        ("ce_time", b"2026-03-01T00:00:00+24:00"),
        ("ce_time", b"0000-01-01T00:00:00Z"),
        ("ce_time", "٢026-03-01T00:00:00Z".encode()),
    ],
)
def test_a_malformed_attribute_is_refused(name: str, value: bytes) -> None:
    """An attribute that is there must also be right."""
    error = refusal(headers=with_header(name, value))
    assert error.reason is DeadReason.BAD_HEADERS
    assert name in str(error)


@pytest.mark.parametrize("value", ["application/msgpack; v=1", "Application/MsgPack"])
def test_a_content_type_is_compared_as_a_media_type(value: str) -> None:
    """Case and parameters of a media type say nothing to us."""
    headers = with_header("content-type", value.encode())
    assert decode(ARRIVED.key, headers, ARRIVED.value)[1] == arrived()


@pytest.mark.parametrize("name", ["warp.arrived.v2", "warp.arrived", "WARP.ARRIVED.V1", "x"])
def test_another_type_or_version_is_unknown(name: str) -> None:
    """A version that we do not know is another type, and the sentence lists ours."""
    error = refusal(headers=with_header("ce_type", name.encode()))
    assert error.reason is DeadReason.UNKNOWN_TYPE
    assert "warp.arrived.v1, warp.withdrawn.v1" in str(error)


def test_a_record_without_value_is_refused() -> None:
    """An event has no tombstone."""
    assert refusal(value=None).reason is DeadReason.NULL_VALUE


@pytest.mark.parametrize(
    "key", [None, b"", b"\xff\xfe", b"live/hsc_rings_v1/9813/42/i", ARRIVED.key + b"/1228"]
)
def test_a_key_that_does_not_name_the_value_is_refused(key: bytes | None) -> None:
    """Key and value tell one identity."""
    error = refusal(key=key)
    assert error.reason is DeadReason.BAD_IDENTITY
    assert "live/hsc_rings_v1/9813/42/r" in str(error)


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_a_tick_goes_under_any_key(key: bytes | None) -> None:
    """A tick belongs to the partition in which it stands."""
    tick = record(ClockTick(partition=7))
    assert decode(key, tick.headers, tick.value)[1] == ClockTick(partition=7)


def test_an_event_has_256_kib() -> None:
    """One byte more is refused before it is decoded."""
    value = b"\xc1" * EVENT_LIMITS.max_bytes
    assert refusal(value=value).reason is DeadReason.BAD_MSGPACK
    error = refusal(value=value + b"\xc1")
    assert error.reason is DeadReason.TOO_LARGE
    assert "262145 bytes and may have 262144" in str(error)


def test_results_may_be_larger_than_events() -> None:
    """A model of many bins passes where an announcement of that size would not."""
    assert limits_of(type(matched_model())).max_bytes > limits_of(type(arrived())).max_bytes
    assert {limits_of(kind).max_depth for kind in MESSAGE_TYPES.values()} == {8}


def test_a_caller_may_have_limits_of_its_own() -> None:
    """The service's settings have the last word."""
    tight = Limits(max_bytes=len(ARRIVED.value) - 1)
    with pytest.raises(SchemaError, match="bytes and may have"):
        decode(ARRIVED.key, ARRIVED.headers, ARRIVED.value, tight)
    with pytest.raises(SchemaError, match="bytes and may have"):
        decode_value(ARRIVED.value, type(arrived()), tight)


def moment(text: str) -> int:
    """Return the microseconds of a time."""
    return event_time_us(Attributes(id="1", type="t", source="s", time=text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-03-01T05:06:07.250000Z", 1_772_341_567_250_000),
    ],
)
def test_a_time_is_read_as_utc(text: str, expected: int) -> None:
    """Offsets are taken off and digits beyond a microsecond are cut."""
    assert moment(text) == expected


LATEST = (datetime(9999, 12, 31, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
    microseconds=1
)


@given(st.integers(-(10**15), LATEST))
def test_a_time_written_is_the_time_read(microseconds: int) -> None:
    """A time survives its text to the microsecond."""
    assert moment(time_text(microseconds)) == microseconds
