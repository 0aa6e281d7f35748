"""From records to events, or to dead letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from core import groups
from stream import inbox
from stream.log.seam import Record
from tests.schemas import examples
from tests.stream.records import PARTITIONS, POISON, record


@pytest.mark.parametrize("name", POISON)
def test_poison(name: str) -> None:
    """Each kind of record that cannot be used is dead for the reason that fits it."""
    poisoned, reason, stage = POISON[name]
    read = inbox.read(poisoned, 7, PARTITIONS)
    assert isinstance(read, inbox.Dead)
    assert (read.error.reason, read.stage) == (reason, stage)
    assert read.error.message


def test_every_reason_is_met() -> None:
    """The poisons know each reason but those that hang on the group and on the state's format."""
    met = {reason for _, reason, _ in POISON.values()}
    elsewhere = {schemas.DeadReason.SEALED, schemas.DeadReason.UNSUPPORTED_TYPE}
    assert met == set(schemas.DeadReason) - elsewhere


def test_an_arrival() -> None:
    """An arrival becomes an event of its group, at stream time, with the bytes to fetch it by."""
    message = examples.arrived(visit=9, version=3, expected=4)
    read = inbox.read(record(message), 77, PARTITIONS)
    assert isinstance(read, inbox.GroupEvent)
    assert read.group == message.group.key
    event = read.event
    assert isinstance(event, groups.Arrived)
    assert (event.at, event.visit, event.version, event.expected) == (77, 9, 3, 4)
    assert schemas.unpack_payload(event.payload, schemas.WarpArrived, message.group) == message


@pytest.mark.parametrize("change", [{"scale": 2.0}, {"unit": "adu"}, {"sky": "subtracted"}])
def test_what_makes_a_member_another(change: dict[str, object]) -> None:
    """Scale, unit and state of the sky are part of the digest; where the file lies is not."""

    def digest(**changes: object) -> str:
        read = inbox.read(record(examples.arrived(**changes)), 0, PARTITIONS)
        assert isinstance(read, inbox.GroupEvent)
        assert isinstance(read.event, groups.Arrived)
        return read.event.digest

    assert digest(**change) != digest()
    assert digest(uri="file:///elsewhere.fits") == digest()


KINDS: dict[type[schemas.Message], type[object]] = {
    schemas.WarpWithdrawn: groups.Withdrawn,
    schemas.GroupManifest: groups.ManifestSet,
    schemas.GroupClosed: groups.Closed,
    schemas.GroupSealed: groups.Sealed,
    schemas.GroupReopened: groups.Reopened,
    schemas.JobSuspected: groups.Suspected,
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_events(kind: type[schemas.Message]) -> None:
    """Whatever else is said of a group becomes the event of the same name."""
    message = next(one for one in examples.EXAMPLES if isinstance(one, kind))
    read = inbox.read(record(message), 5, PARTITIONS)
    assert isinstance(read, inbox.GroupEvent)
    assert isinstance(read.event, KINDS[kind])
    assert read.event.at == 5
    shared = set(message.__struct_fields__) & set(read.event.__struct_fields__)
    told = {name: getattr(read.event, name) for name in shared}
    assert told == {name: getattr(message, name) for name in shared}


def test_a_tick_may_stand_anywhere() -> None:
    """A tick only moves the clock, in whatever partition it stands."""
    for partition in range(PARTITIONS):
        tick = schemas.ClockTick(partition=partition)
        assert inbox.read(record(tick, partition=partition), 0, PARTITIONS) == inbox.Tick()


_BYTES = st.binary(max_size=60)
_HEADERS = st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "x"]), _BYTES), max_size=5)


@given(st.none() | _BYTES, st.none() | _BYTES, _HEADERS.map(tuple), st.integers(0, 9))
def test_total(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...], partition: int
) -> None:
    """Whatever a stranger writes has an answer, never an exception."""
    stranger = Record("evensky.warps", partition, 0, 0, key, value, headers)
    assert isinstance(inbox.read(stranger, 0, PARTITIONS), inbox.Dead)
    found = inbox.event_id(stranger)
    assert found is None or len(found) <= 1024
