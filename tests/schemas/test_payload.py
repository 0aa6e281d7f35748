"""What a member keeps of its message, in the layouts of both formats."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import (
    GroupId,
    StateError,
    WarpArrived,
    WarpWithdrawn,
    pack_payload,
    pack_state,
    payload_in_format_1,
    payload_of_any_format,
    unpack_payload,
)
from tests.schemas.examples import arrived, raw

GROUP = GroupId("live", "hsc_rings_v1", 9813, 42, "r")
NUMBERS = st.integers(0, 2**63 - 1)
SHORT = st.text(min_size=1, max_size=40)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)


def withdrawn(**changes: object) -> WarpWithdrawn:
    """Return a withdrawal, with some fields otherwise."""
    whole = WarpWithdrawn(**GROUP.fields, visit=1228, version=4, reason="satellite trail")
    return msgspec.structs.replace(whole, **changes)


def changing(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a few fields of a message."""
    return st.fixed_dictionaries({}, optional=fields)


ARRIVALS = changing(
    visit=NUMBERS,
    uri=SHORT,
    checksum=st.binary(min_size=32, max_size=32).map(bytes.hex),
    version=NUMBERS,
    size=st.none() | NUMBERS,
    shape=st.none() | st.tuples(NUMBERS, NUMBERS),
    mjd_tai=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    scale=POSITIVE,
    unit=st.none() | SHORT,
    sky=st.sampled_from(["intact", "subtracted", "restored", "unknown"]),
    psf_fwhm=st.none() | POSITIVE,
    expected=st.none() | st.integers(1, 10_000),
).map(lambda changes: arrived(**changes))
WITHDRAWALS = changing(visit=NUMBERS, version=NUMBERS, reason=st.text(max_size=40)).map(
    lambda changes: withdrawn(**changes)
)
MESSAGES = ARRIVALS | WITHDRAWALS
law = settings(deadline=None)


@law
@given(MESSAGES)
def test_a_message_comes_back_from_its_payload(message: WarpArrived | WarpWithdrawn) -> None:
    """With the group's identity a payload is the whole message, of the same bytes again."""
    payload, kind = pack_payload(message), type(message)
    assert unpack_payload(payload, kind, GROUP) == message
    assert payload_of_any_format(payload, kind) == payload


@law
@given(MESSAGES)
def test_format_1_keeps_the_message_whole(message: WarpArrived | WarpWithdrawn) -> None:
    """What format 1 is given is what release 0.1 wrote, and is read back as if it were format 2."""
    payload, kind = pack_payload(message), type(message)
    kept = payload_in_format_1(payload, kind, GROUP)
    assert kept == pack_state(message)
    assert payload_of_any_format(kept, kind) == payload


@law
@given(st.tuples(ARRIVALS, ARRIVALS, st.lists(st.sampled_from(WarpArrived.__struct_fields__[5:]))))
def test_both_layouts_order_messages_alike(
    drawn: tuple[WarpArrived, WarpArrived, list[str]],
) -> None:
    """Which of two equal ranks stands was decided by the old layout, and is by the new one."""
    one, other, alike = drawn
    other = msgspec.structs.replace(other, **{name: getattr(one, name) for name in alike})
    before = pack_state(one) < pack_state(other), pack_state(one) == pack_state(other)
    now = pack_payload(one) < pack_payload(other), pack_payload(one) == pack_payload(other)
    assert now == before


@pytest.mark.parametrize("message", [arrived(), withdrawn()], ids=lambda one: one.ce_type)
def test_a_payload_has_the_fields_in_order_and_nothing_else(
    message: WarpArrived | WarpWithdrawn,
) -> None:
    """Its bytes are for as long as format 2 is: values alone, a checksum as bytes."""
    fields = msgspec.structs.asdict(message)
    if isinstance(message, WarpArrived):
        fields["checksum"] = bytes.fromhex(message.checksum)
    assert pack_payload(message) == raw([fields[name] for name in message.__struct_fields__[5:]])


GOLDEN = (
    "9ccd04ccb766696c653a2f2f2f77617270732f313232382e66697473c4209f86d081884c7d659a2feaa0c55ad0"
    "15a3bf4f1b2b0b822cd15d6c15b0f00a0803ce0001e24092cd1068cd1004cb40ede6522c27a637cb3ff4000000"
    "000000a36e4a79a6696e74616374cb3fe6b851eb851eb814"
)
"""The arrival of the examples as the first release with format 2 writes it."""


def test_golden_bytes() -> None:
    """What was written once is read, and written again, for ever."""
    assert pack_payload(arrived()).hex() == GOLDEN
    assert unpack_payload(bytes.fromhex(GOLDEN), WarpArrived, GROUP) == arrived()


def test_fields_of_another_release() -> None:
    """A payload with more fields is read without them, one with fewer with their defaults."""
    values = msgpack.unpackb(pack_payload(arrived()))
    assert unpack_payload(raw([*values, "later"]), WarpArrived, GROUP) == arrived()
    fewer = unpack_payload(raw(values[:-1]), WarpArrived, GROUP)
    assert fewer == arrived(expected=None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        b"\x90",
        pack_state(arrived()),
        pack_payload(arrived())[:-1],
        pack_payload(withdrawn()),
        raw([1, "uri", b"short", 0]),
        raw([1, "uri", bytes(32), 0, None, None, None, -1.0]),
    ],
)
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    """A damaged state is refused, not guessed at."""
    with pytest.raises(StateError, match="WarpArrived"):
        unpack_payload(payload, WarpArrived, GROUP)


@pytest.mark.parametrize("payload", [b"\x80", b"\xde", b"\x81\xa5visit\x01"])
def test_a_map_that_is_no_message_is_refused(payload: bytes) -> None:
    """So is one of format 1."""
    with pytest.raises(StateError, match="WarpArrived"):
        payload_of_any_format(payload, WarpArrived)
