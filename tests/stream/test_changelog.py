"""The state as a changelog: what is read back is what was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from core import groups
from core.groups.changed import replace
from stream import inbox
from stream.changelog import puts, restore
from stream.log.seam import LogRefusedError, Record
from tests.core.groups.drive import Record as Happened
from tests.core.groups.strategies import inside, law, logs, policies
from tests.schemas import examples
from tests.stream.records import PARTITIONS, record

KEYS = {"a": "live/s/0/0/r", "b": "live/s/0/1/r"}

Put = tuple[bytes, bytes | None]


def _played(
    log: Sequence[Happened], between: Sequence[groups.Event], policy: groups.Policy
) -> tuple[groups.Partition, list[Put]]:
    """Live through a log, with results from inside between the records; return all puts."""
    state, written = groups.Partition(lambda _: policy), list[Put]()
    results = iter(between)
    for at, key, event in log:
        for group, transition in state.advance(at):
            written.extend(puts(group, transition))
        for happening in (event, next(results, None)):
            if happening is not None:
                one = replace(happening, at=state.clock)
                written.extend(puts(KEYS[key], state.feed(KEYS[key], one)))
    return state, written


async def _records(written: Sequence[Put]) -> AsyncIterator[Record]:
    for offset, (key, value) in enumerate(written):
        yield Record("evensky.state", 0, offset, 0, key, value)


def _position(clock: int, partitions: int = 4) -> Put:
    position = schemas.Position(next_offset=7, clock=clock, partitions=partitions)
    return schemas.POSITION_KEY, schemas.pack_position(position)


def _compacted(written: Sequence[Put]) -> list[Put]:
    last: dict[bytes, bytes | None] = {}
    for key, value in written:
        last.pop(key, None)
        last[key] = value
    return [(key, value) for key, value in last.items() if value is not None]


def _held(state: groups.Partition) -> Mapping[str, groups.Group]:
    return {key: group for key, group in state.groups.items() if group != groups.Group()}


@law
@given(logs("ab"), st.lists(inside, max_size=20), policies, st.booleans())
async def test_restored_is_what_lived(
    log: list[Happened], between: list[groups.Event], policy: groups.Policy, compacted: bool
) -> None:
    """Read back from every put, or from what compaction leaves, the state is the live one."""
    state, written = _played(log, between, policy)
    written = [*written, _position(state.clock)]
    kept = _compacted(written) if compacted else written
    restored = await restore(_records(kept), lambda _: policy, 4)
    assert _held(restored.state) == _held(state)
    assert restored.state.clock == state.clock
    assert restored.state.timers() == state.timers()
    assert (restored.records, restored.position.next_offset) == (len(kept), 7)


async def test_nothing_written_is_a_new_partition() -> None:
    """An empty changelog is a partition that begins at its first record."""
    restored = await restore(_records([]), lambda _: groups.Policy(), 4)
    assert restored.state.groups == {}
    assert (restored.position.next_offset, restored.records) == (0, 0)


async def test_state_without_a_position_is_refused() -> None:
    """A position is written with the first state and never deleted: without it some is missing."""
    put = (schemas.header_key(KEYS["a"]), schemas.pack_state(groups.Header()))
    with pytest.raises(LogRefusedError, match="has records and no position"):
        await restore(_records([put]), lambda _: groups.Policy(), 4)


async def test_another_number_of_partitions() -> None:
    """State of another number of partitions is refused, since the same keys are elsewhere now."""
    with pytest.raises(LogRefusedError, match="5 partitions and the log has 4"):
        await restore(_records([_position(0, 5)]), lambda _: groups.Policy(), 4)


async def test_what_was_forgotten_stays_so() -> None:
    """Whether the tombstones of a forgotten group or only its header are left, it is read empty."""
    policy = groups.Policy(seal_retention_ms=10)
    arrived = groups.Arrived(0, 1, 0, 0, "d", b"")
    log: list[Happened] = [
        (1, "a", arrived),
        (2, "a", groups.ManifestSet(0, 0, (1,))),
        (3, "a", groups.Sealed(0, 0)),
        (20, "b", arrived),
    ]
    published = groups.Published(0, 1, 1)
    state, written = _played(log, [published] * 3, policy)
    assert state.groups[KEYS["a"]].header.forgotten
    for kept in (written, _compacted(written)):
        log_of_it = [*kept, _position(state.clock)]
        restored = await restore(_records(log_of_it), lambda _: policy, 4)
        group = restored.state.groups[KEYS["a"]]
        assert (group.members, group.expected, group.header.forgotten) == ({}, None, True)


def _heard(message: schemas.Message) -> inbox.GroupEvent:
    """Return what the state machine is told of a message."""
    read = inbox.read(record(message), 0, PARTITIONS)
    assert isinstance(read, inbox.GroupEvent)
    return read


HEARD = [
    _heard(examples.arrived(visit=1)),
    _heard(examples.arrived(visit=2, unit=None, size=None)),
    _heard(schemas.WarpWithdrawn(**examples.arrived().group.fields, visit=3, reason="a trail")),
    _heard(schemas.GroupClosed(**examples.arrived().group.fields)),
]


@pytest.mark.parametrize(("written", "then"), [(1, 1), (1, 2), (2, 2), (1, None)])
async def test_what_was_heard_is_known_in_whatever_format_it_was_kept(
    written: int, then: int | None
) -> None:
    """An event that comes again is a duplicate, whichever format was written and is gone on in."""
    key, policy = HEARD[0].group, groups.Policy()
    state, kept = groups.Partition(lambda _: policy), list[Put]()
    for one in HEARD:
        kept.extend(puts(key, state.feed(key, one.event), written))
    position = schemas.Position(next_offset=4, partitions=4, state_format=written)
    kept.append((schemas.POSITION_KEY, schemas.pack_position(position)))
    restored = await restore(_records(kept), lambda _: policy, 4, then)
    group, lived = restored.state.groups[key], state.groups[key]
    fresh = {n: one if written > 1 else replace(one, fresh=()) for n, one in lived.frozen.items()}
    assert (group.members, group.frozen) == (lived.members, fresh)
    assert [one.visit for one in group.frozen[1].members] == [1, 2]
    again = [restored.state.feed(key, one.event).outcome for one in HEARD]
    assert again == [groups.Outcome.DUPLICATE] * len(HEARD)
    assert restored.position.state_format == (then or written)


async def test_format_1_is_written_again_as_it_was_read() -> None:
    """Members and frozen sets go through memory without a byte of format 1 being lost."""
    key = HEARD[0].group
    state, kept = groups.Partition(lambda _: groups.Policy()), list[Put]()
    for one in HEARD:
        kept.extend(puts(key, state.feed(key, one.event), 1))
    restored = await restore(_records([*kept, _position(0)]), lambda _: groups.Policy(), 4)
    group = restored.state.groups[key]
    whole = groups.Transition(
        groups.Outcome.TICK,
        header=group.header,
        members=tuple(group.members.values()),
        frozen=tuple(group.frozen.values()),
    )
    assert dict(puts(key, whole, 1)) == dict(_compacted(kept))
    (member, *_) = (value for name, value in kept if name == schemas.member_key(key, 1))
    payload = msgpack.unpackb(member or b"")["payload"]
    assert schemas.decode_value(payload, schemas.WarpArrived) == examples.arrived(visit=1)


DAMAGE: Sequence[Put] = (
    (b"", b""),
    (b"Z|unheard", b""),
    (schemas.header_key(KEYS["a"]), b"\xc1"),
    (schemas.member_key(KEYS["a"], 3), schemas.pack_state({"visit": "three"})),
    (schemas.POSITION_KEY, b"\x80"),
)


@pytest.mark.parametrize("put", DAMAGE)
async def test_damage_is_refused(put: Put) -> None:
    """A record that cannot be read back ends the start; guessing would lose somebody's warps."""
    with pytest.raises(LogRefusedError, match="cannot be read back"):
        await restore(_records([put]), lambda _: groups.Policy(), 4)
