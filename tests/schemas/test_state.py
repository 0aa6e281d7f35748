"""The changelog's records: their keys, their bytes, and the position."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    POSITION_KEY,
    STATE_FORMAT,
    Position,
    StateError,
    StateKey,
    StateKind,
    expected_key,
    frozen_key,
    header_key,
    member_key,
    pack_position,
    pack_state,
    parse_state_key,
    unpack_position,
    unpack_state,
)
from tests.schemas.examples import arrived
from tests.schemas.test_identity import GROUPS, NUMBERS

GROUP = "live/s|t/9813/42/r|2"


@given(GROUPS, NUMBERS)
def test_a_key_taken_apart_is_what_it_was_made_of(group: object, number: int) -> None:
    """Whatever characters a group's name has, its keys are told apart again."""
    name = str(group)
    assert parse_state_key(member_key(name, number)) == StateKey(StateKind.MEMBER, name, number)
    assert parse_state_key(frozen_key(name, number)) == StateKey(StateKind.FROZEN, name, number)
    assert parse_state_key(header_key(name)) == StateKey(StateKind.HEADER, name, 0)
    assert parse_state_key(expected_key(name)) == StateKey(StateKind.EXPECTED, name, 0)


def test_keys_are_spelled_as_the_design_says() -> None:
    """Whoever looks into the topic can read it."""
    assert member_key(GROUP, 7) == b"M|live/s|t/9813/42/r|2|7"
    assert expected_key(GROUP) == b"X|live/s|t/9813/42/r|2"
    assert header_key(GROUP) == b"G|live/s|t/9813/42/r|2"
    assert frozen_key(GROUP, 2) == b"F|live/s|t/9813/42/r|2|2"
    assert parse_state_key(POSITION_KEY) == (StateKind.POSITION, "", 0)


@pytest.mark.parametrize(
    "key",
    [
        *(b"", b"P|", b"M", b"M|", b"M|g", b"M|g|", b"M|g|x", b"M|g|-1", b"M||1", b"G|", b"X"),
        *(b"Z|g", b"m|g|1", b"G|\xff", b"F|\xff|1", b"M|g|\xd9\xa1", b"M|g|" + b"9" * 5000),
    ],
)
def test_a_foreign_key_is_refused(key: bytes) -> None:
    """A changelog with keys of another program is not ours to go on from."""
    with pytest.raises(StateError, match="none of ours"):
        parse_state_key(key)


@given(st.binary(max_size=30))
def test_any_key_is_ours_or_refused(key: bytes) -> None:
    """Taking keys apart is total."""
    try:
        assert isinstance(parse_state_key(key), StateKey)
    except StateError as error:
        assert str(error)  # noqa: PT017 - the other way out


class Phase(StrEnum):
    """A choice as the state holds it."""

    OPEN = "open"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Measured:
    """Numbers that may be NaN."""

    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class Member:
    """A record of the state's kind: plain, nested, with bytes and what may be absent."""

    visit: int
    digest: str
    withdrawn: bool
    payload: bytes
    phase: Phase
    measured: Measured | None = None
    by_visit: Mapping[int, Measured] = field(default_factory=dict)
    missing: tuple[int, ...] = ()


MEASURED = st.builds(Measured, st.floats(allow_nan=False), st.integers(-(2**63), 2**64 - 1))
MEMBERS = st.builds(
    Member,
    NUMBERS,
    st.text(),
    st.booleans(),
    st.binary(),
    st.sampled_from(Phase),
    st.none() | MEASURED,
    st.dictionaries(NUMBERS, MEASURED, max_size=3),
    st.lists(NUMBERS, max_size=3).map(tuple),
)


@given(MEMBERS)
def test_a_dataclass_comes_back_equal(member: Member) -> None:
    """State read back is the state that was written, types and all."""
    back = unpack_state(pack_state(member), Member)
    assert back == member
    assert type(back.phase) is Phase
    assert type(back.missing) is tuple
    assert pack_state(back) == pack_state(member)


def test_a_message_can_be_state() -> None:
    """A Struct is packed like a dataclass."""
    assert unpack_state(pack_state(arrived()), type(arrived())) == arrived()


def test_nan_and_infinity_are_state() -> None:
    """What could not be measured is remembered as such."""
    back = unpack_state(pack_state([math.nan, math.inf, np.float64("nan")]), list)
    assert [math.isnan(number) for number in back] == [True, False, True]


def test_what_has_no_bytes_is_our_own_mistake() -> None:
    """State is ours: a foreign type in it is an error of the program."""
    with pytest.raises(TypeError, match="object has no place"):
        pack_state({"x": object()})


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\xc0", b"\x91" * 5000, b"\xa1\xff"])
def test_broken_state_is_a_state_error(data: bytes) -> None:
    """Bytes that are no such value stop the service, with a sentence."""
    with pytest.raises(StateError, match="the state holds no Member"):
        unpack_state(data, Member)


@given(st.binary(max_size=60))
def test_any_bytes_are_state_or_a_state_error(data: bytes) -> None:
    """Reading state is total."""
    try:
        assert isinstance(unpack_state(data, Position), Position)
    except StateError as error:
        assert str(error)  # noqa: PT017 - the other way out


def test_older_state_with_other_fields_is_read() -> None:
    """A field that a version does not know is passed over; one that it lacks has its default."""
    data = msgspec.msgpack.encode({"next_offset": 3, "partitions": 8, "later": 1})
    position = unpack_state(data, Position)
    assert position == Position(next_offset=3, partitions=8)


POSITION = Position(
    next_offset=18, timestamp=1_772_341_567_250, ce_id="a", clock=1_772_341_567_300, partitions=64
)


@pytest.mark.parametrize("position", [POSITION, Position(next_offset=0, partitions=8)])
def test_a_position_comes_back(position: Position) -> None:
    """Where to go on, also before the first record."""
    assert unpack_position(pack_position(position)) == position


def test_a_newer_format_is_refused_before_it_is_read() -> None:
    """A version that rolled back does not guess at what a newer one wrote."""
    data = msgspec.msgpack.encode({"state_format": STATE_FORMAT + 1, "offset_of_next": "seven"})
    with pytest.raises(StateError, match=f"reads up to {STATE_FORMAT}: start the newer version"):
        unpack_position(data)


def test_a_format_is_part_of_every_position() -> None:
    """A position without a format is none."""
    with pytest.raises(StateError):
        unpack_position(msgspec.msgpack.encode({"next_offset": 1, "partitions": 8}))


def test_a_partition_is_restored_in_time() -> None:
    """450,000 members are told apart and read in 10 s by one process; a tenth of them here."""
    count = 45_000
    payload = pack_state(arrived())
    member = Member(0, "0" * 64, False, payload, Phase.DUE, Measured(0.5, 17_000_000))
    name = "live/hsc_rings_v1/9813/42/r"
    records = [
        (member_key(name, visit), pack_state(replace(member, visit=visit)))
        for visit in range(count)
    ]
    gc.collect()
    start = time.process_time()
    restored = {parse_state_key(key).number: unpack_state(data, Member) for key, data in records}
    assert time.process_time() - start < 1.0
    assert restored[count - 1].visit == count - 1
