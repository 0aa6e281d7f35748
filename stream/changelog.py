"""The state of a partition as records of its changelog, and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import schemas
from core import groups
from stream.log.seam import LogRefusedError, Record

__all__ = ["Restored", "puts", "restore"]

_BREATH: Final = 500


@dataclass(frozen=True, slots=True)
class Restored:
    """A partition as its changelog tells it.

    Attributes
    ----------
    state : Partition
        Groups, clock and timers.
    position : Position
        Where to go on.
    records : int
        How many records were read.
    """

    state: groups.Partition
    position: schemas.Position
    records: int


def puts(group: str, transition: groups.Transition) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the changelog records of a transition: key and value, None for a tombstone.

    Parameters
    ----------
    group : str
        Key of the group.
    transition : Transition
        What an event changed.
    """
    if transition.header is not None:
        yield schemas.header_key(group), schemas.pack_state(transition.header)
    if transition.expected is not None:
        yield schemas.expected_key(group), schemas.pack_state(transition.expected)
    for member in transition.members:
        yield schemas.member_key(group, member.visit), schemas.pack_state(member)
    for frozen in transition.frozen:
        yield schemas.frozen_key(group, frozen.revision), schemas.pack_state(frozen)
    for revision in transition.released:
        yield schemas.frozen_key(group, revision), None


async def restore(
    records: AsyncIterator[Record],
    policy_for: Callable[[str], groups.Policy],
    partitions: int,
) -> Restored:
    """Fold a changelog, read to its end, into the state that it tells.

    Parameters
    ----------
    records : async iterator of Record
        Values of one key in the order in which they were written.
    policy_for : callable
        Policy of a group by its key.
    partitions : int
        Number of partitions of the topics now.

    Raises
    ------
    LogRefusedError
        The state was written by a newer version, for another number of partitions, or is damaged.
    """
    state = groups.Partition(policy_for)
    position = schemas.Position(next_offset=0, partitions=partitions)
    count = 0
    try:
        async for record in records:
            position = _load(state, record) or position
            count += 1
            if count % _BREATH == 0:
                await asyncio.sleep(0)  # the loop has heartbeats to send
    except schemas.StateError as error:
        raise LogRefusedError(f"the state cannot be read back: {error}") from error
    if position.partitions != partitions:
        raise LogRefusedError(
            f"the state was written for {position.partitions} partitions and the log has "
            f"{partitions}: the same keys are elsewhere now; restore the former number"
        )
    state.load_clock(position.clock)
    state.restored()
    return Restored(state, position, count)


def _load(state: groups.Partition, record: Record) -> schemas.Position | None:
    """Put one record into the state; return the position if it is that."""
    key = schemas.parse_state_key(record.key or b"")
    if record.value is None:
        if key.kind is schemas.StateKind.FROZEN:
            state.load_released(key.group, key.number)
        return None
    match key.kind:
        case schemas.StateKind.POSITION:
            return schemas.unpack_position(record.value)
        case schemas.StateKind.HEADER:
            state.load_header(key.group, schemas.unpack_state(record.value, groups.Header))
        case schemas.StateKind.MEMBER:
            state.load_member(key.group, schemas.unpack_state(record.value, groups.Member))
        case schemas.StateKind.EXPECTED:
            state.load_expected(key.group, schemas.unpack_state(record.value, groups.Expected))
        case schemas.StateKind.FROZEN:
            state.load_frozen(key.group, schemas.unpack_state(record.value, groups.Frozen))
    return None
