"""Dead letters: any record at all can be kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    MAX_WHOLE_VALUE,
    DeadLetter,
    DeadReason,
    SchemaError,
    SourceRecord,
    decode,
    encode,
)

ERROR = SchemaError(DeadReason.BAD_MSGPACK, "the value is no msgpack")
TIME = "2026-03-01T05:06:07Z"


@dataclass(frozen=True)
class Found:
    """A record as a log hands it over."""

    topic: str = "evensky.warps"
    partition: int = 3
    offset: int = 17
    timestamp: int = 1_772_341_567_250
    key: bytes | None = b"live/s/1/2/r"
    value: bytes | None = b"\xc1"
    headers: tuple[tuple[str, bytes], ...] = field(default=(("ce_id", b"1"),))


def sent(record: SourceRecord, error: SchemaError = ERROR) -> DeadLetter:
    """Return the letter of a record after its way through the log."""
    letter = DeadLetter.of(record, error, "decode")
    encoded = encode(letter, id="1", source="urn:test", time=TIME)
    _, back = decode(encoded.key, encoded.headers, encoded.value)
    assert back == letter
    return letter


RECORDS = st.builds(
    Found,
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**63 - 1),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(st.text(), st.binary()), max_size=5).map(tuple),
)


@given(RECORDS)
def test_an_ordinary_record_is_kept_whole(record: Found) -> None:
    """Key, headers and value can be sent again as they were."""
    letter = sent(record)
    assert letter.whole
    assert (letter.key, letter.headers, letter.value) == (record.key, record.headers, record.value)
    assert letter.value_size == (None if record.value is None else len(record.value))


def test_a_letter_says_where_and_why() -> None:
    """A person finds the record, and the fault."""
    letter = sent(Found())
    assert (letter.topic, letter.partition, letter.offset) == ("evensky.warps", 3, 17)
    assert (letter.reason, letter.stage) == (DeadReason.BAD_MSGPACK, "decode")
    assert letter.message == "the value is no msgpack"


def test_a_value_at_the_limit_is_whole() -> None:
    """256 KiB are kept."""
    assert sent(Found(value=bytes(MAX_WHOLE_VALUE))).whole


def test_a_larger_value_is_kept_by_checksum_and_head() -> None:
    """Of a value above 256 KiB there is enough to recognise it."""
    value = b"a" * MAX_WHOLE_VALUE + b"b"
    letter = sent(Found(value=value))
    assert not letter.whole
    assert letter.value == value[:4096]
    assert letter.value_size == len(value)
    assert letter.value_checksum == hashlib.sha256(value).hexdigest()


BULKY = b"x" * 60_000


@pytest.mark.parametrize(
    "record",
    [
        Found(key=bytes(10_000_000)),
        Found(headers=(("h" * 10_000_000, b""),)),
        Found(headers=(("h", bytes(10_000_000)),)),
        Found(headers=(("h", b""),) * 10_000),
        Found(headers=(("\ud800", b""),)),
        Found(headers=(("h", None),)),  # type: ignore[arg-type]  # as some clients hand it over
        Found(key=BULKY, headers=(("h", BULKY),), value=bytes(MAX_WHOLE_VALUE + 1)),
    ],
    ids=["key", "name", "header", "headers", "surrogate", "null", "all"],
)
def test_a_monstrous_record_is_kept_in_part(record: Found) -> None:
    """Whatever a record is like, its letter can be sent, and says that it is not whole."""
    assert not sent(record).whole


def test_the_largest_letter_fits_a_broker() -> None:
    """A letter stays below Kafka's default limit of 1 MiB for a record."""
    record = Found(key=bytes(65_536), headers=(("h", bytes(65_000)),), value=bytes(262_144))
    letter = sent(record, SchemaError(DeadReason.SEALED, "é" * 5000))
    assert letter.whole
    encoded = encode(letter, id="1", source="urn:test", time=TIME)
    assert len(encoded.key) + len(encoded.value) < 900_000


def test_a_sentence_is_cut_and_made_writable() -> None:
    """Not even the sentence can keep a letter from being sent."""
    assert sent(Found(), SchemaError(DeadReason.SEALED, "\ud800" * 5000)).message == "?" * 1024


def test_a_letter_goes_by_the_key_of_its_record() -> None:
    """Letters about one group stand together; a record without a key has an empty one."""
    assert DeadLetter.of(Found(), ERROR, "route").routing_key == b"live/s/1/2/r"
    assert DeadLetter.of(Found(key=None), ERROR, "route").routing_key == b""
