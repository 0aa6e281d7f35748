"""The state of a partition as records of its changelog, and back."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Final, TypeVar

import msgspec

import schemas
from core import groups
from core.groups.changed import replace
from stream.log.seam import LogRefusedError, Record

__all__ = ["Left", "Restored", "fold", "policy_within", "puts", "restore"]

_BREATH: Final = 500

_M = TypeVar("_M", groups.Member, groups.FrozenMember)

_OF_RELEASE_0_1: Final[Mapping[type, tuple[str, ...]]] = {
    groups.Header: (
        "opened_at",
        "last_arrival",
        "first_change",
        "last_change",
        "heard",
        "accounted",
        "present",
        "changed",
        "count",
        "closed",
        "frozen",
        "published",
        "size",
        "named",
        "reference",
    ),
    groups.Member: (
        "visit",
        "version",
        "event_time",
        "digest",
        "withdrawn",
        "payload",
        "measurement",
        "at",
        "frozen",
    ),
    groups.Measurement: ("mean", "variance", "count"),
    groups.Frozen: (
        "revision",
        "kind",
        "trigger",
        "members",
        "withdrawn",
        "missing",
        "expected",
        "completeness",
        "incomplete",
        "reference",
        "since",
        "at",
    ),
}
"""What format 1 has of the records that format 2 added to."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A partition as its changelog tells it.

    Attributes
    ----------
    state : Partition
        Groups, clock and timers.
    position : Position
        Where to go on, in the format that is to be written from now on.
    raised : bool
        Whether that is another format than the one that was read.
    records : int
        How many records were read.
    kept : bool
        Whether none had to be read, because it was in memory.
    """

    state: groups.Partition
    position: schemas.Position
    raised: bool
    records: int
    kept: bool = False

    @property
    def empty(self) -> bool:
        """Whether there was nothing to go on from."""
        return not (self.records or self.kept)


@dataclass(frozen=True, slots=True)
class Left:
    """What was in memory of a partition when it went, in case it comes back.

    Attributes
    ----------
    state : Partition
    position : Position
    end : int
        Where the changelog ended that this is the state of.
    """

    state: groups.Partition
    position: schemas.Position
    end: int

    def as_restored(self) -> Restored:
        """Return the same as if it had been read back."""
        return Restored(self.state, self.position, raised=False, records=0, kept=self.end > 0)


def puts(
    group: str, transition: groups.Transition, state_format: int = schemas.STATE_FORMAT
) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the changelog records of a transition: key and value, None for a tombstone.

    Parameters
    ----------
    group : str
        Key of the group.
    transition : Transition
        What an event changed.
    state_format : int
        The format to write.
    """
    if transition.header is not None:
        yield schemas.header_key(group), _packed(transition.header, group, state_format)
    if transition.expected is not None:
        yield schemas.expected_key(group), _packed(transition.expected, group, state_format)
    for member in _put(transition, state_format):
        yield schemas.member_key(group, member.visit), _packed(member, group, state_format)
    for frozen in transition.frozen:
        yield schemas.frozen_key(group, frozen.revision), _packed(frozen, group, state_format)
    for revision in transition.released:
        yield schemas.frozen_key(group, revision), None
    for visit in transition.forgotten:
        yield schemas.member_key(group, visit), None
    if transition.forgets:
        yield schemas.expected_key(group), None


def _put(transition: groups.Transition, state_format: int) -> tuple[groups.Member, ...]:
    """Return the members to put: their standing is kept at the freeze, or at the publication."""
    more = transition.marked if state_format == 1 else transition.settled
    return (*transition.members, *more)


def _packed(value: object, group: str, state_format: int) -> bytes:
    return schemas.pack_state(_of_release_0_1(value, group) if state_format == 1 else value)


def _of_release_0_1(value: object, group: str) -> object:
    """Return what that release had of a record, and of what stands in it."""
    if isinstance(value, groups.Frozen):
        members = tuple(_with_format_1(member, group) for member in value.members)
        value = replace(value, members=members)
    if isinstance(value, groups.Member):
        value = _with_format_1(value, group)
    names = _OF_RELEASE_0_1.get(type(value))
    if names is None:
        return value
    return {name: _of_release_0_1(getattr(value, name), group) for name in names}


def _with_format_1(member: _M, group: str) -> _M:
    where = schemas.GroupId.parse(group)
    payload = schemas.payload_in_format_1(member.payload, _kind(member), where)
    return replace(member, payload=payload)


def _with_todays(member: _M) -> _M:
    """Let members be compared by their payloads whatever format they were read from."""
    payload = schemas.payload_of_any_format(member.payload, _kind(member))
    return member if payload is member.payload else replace(member, payload=payload)


def _kind(
    member: groups.Member | groups.FrozenMember,
) -> type[schemas.WarpArrived | schemas.WarpWithdrawn]:
    """Return the class of the message that a member keeps."""
    withdrawn = isinstance(member, groups.Member) and member.withdrawn
    return schemas.WarpWithdrawn if withdrawn else schemas.WarpArrived


async def restore(
    records: AsyncIterator[Record],
    policy_for: Callable[[str], groups.Policy],
    partitions: int,
    state_format: int | None = None,
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
    state_format : int, optional
        The format to write from now on; None is that of the state, the newest where there is none.

    Raises
    ------
    LogRefusedError
        The state was written by a newer version, in a newer format than is to be written, for
        another number of partitions, or is damaged.
    """
    chosen = state_format or schemas.STATE_FORMAT
    state = groups.Partition(
        policy_for if chosen > 1 else lambda key: policy_within(policy_for(key), chosen)
    )
    try:
        found, count = await fold(records, state)
    except schemas.StateError as error:
        raise LogRefusedError(f"the state cannot be read back: {error}") from error
    if count and found is None:
        raise LogRefusedError(
            "the state has records and no position, which is written with the first of them: "
            "some of it is missing; restore it as it was"
        )
    position = found or schemas.Position(next_offset=0, partitions=partitions, state_format=chosen)
    if position.partitions != partitions:
        raise LogRefusedError(
            f"the state was written for {position.partitions} partitions and the log has "
            f"{partitions}: the same keys are elsewhere now; restore the former number"
        )
    chosen = _chosen(position.state_format, state_format)
    state.load_clock(position.clock)
    state.restored()
    raised = position.state_format != chosen
    return Restored(state, msgspec.structs.replace(position, state_format=chosen), raised, count)


async def fold(
    records: AsyncIterator[Record], state: groups.Partition
) -> tuple[schemas.Position | None, int]:
    """Put records of a changelog into the state.

    Parameters
    ----------
    records : async iterator of Record
        Values of one key in the order in which they were written.
    state : Partition
        Changed; its timers are not armed.

    Returns
    -------
    tuple of (Position or None, int)
        The position, if it was among them, and their number.

    Raises
    ------
    StateError
        A record is none that this version can read.
    """
    found, count = None, 0
    async for record in records:
        found = _load(state, record) or found
        count += 1
        if count % _BREATH == 0:
            await asyncio.sleep(0)  # the loop has heartbeats to send
    return found, count


def _chosen(read: int, wanted: int | None) -> int:
    """Return the format to go on in: a state is never written in an older one than it has."""
    if wanted is not None and wanted < read:
        raise LogRefusedError(
            f"the state has format {read} and state_format is {wanted}: what the newer format "
            f"holds cannot be taken back; set state_format to {read}, or leave it out"
        )
    return read if wanted is None else wanted


@lru_cache(maxsize=1024)
def policy_within(policy: groups.Policy, state_format: int) -> groups.Policy:
    """Return the policy without what a format cannot remember."""
    if state_format > 1:
        return policy
    return dataclasses.replace(policy, reference_margin=0.0, seal_after_ms=None)


def _load(state: groups.Partition, record: Record) -> schemas.Position | None:
    """Put one record into the state; return the position if it is that."""
    key = schemas.parse_state_key(record.key or b"")
    if record.value is None:
        _bury(state, key)
        return None
    match key.kind:
        case schemas.StateKind.POSITION:
            return schemas.unpack_position(record.value)
        case schemas.StateKind.HEADER:
            state.load_header(key.group, schemas.unpack_state(record.value, groups.Header))
        case schemas.StateKind.MEMBER:
            member = schemas.unpack_state(record.value, groups.Member)
            state.load_member(key.group, _lean(_with_todays(member)))
        case schemas.StateKind.EXPECTED:
            state.load_expected(key.group, schemas.unpack_state(record.value, groups.Expected))
        case schemas.StateKind.FROZEN:
            frozen = schemas.unpack_state(record.value, groups.Frozen)
            members = tuple(map(_with_todays, frozen.members))
            state.load_frozen(key.group, replace(frozen, members=members))
    return None


def _lean(member: groups.Member) -> groups.Member:
    """Let equal texts and boxes be one: a partition may hold half a million members."""
    sent, frozen = member.sent, member.frozen
    if sent is not None:
        status, verdict = intern(sent.status), intern(sent.verdict)
        sent = groups.Sent(sent.basis, sent.model_id, status, verdict, sent.reason)
    measurement = member.measurement
    if measurement is not None:
        measurement = replace(measurement, box=_one(measurement.box))
    frozen = member.digest if frozen == member.digest else frozen
    return replace(member, sent=sent, frozen=frozen, measurement=measurement)


@lru_cache(maxsize=1024)
def _one(box: groups.Box | None) -> groups.Box | None:
    """Return one box for all that are equal."""
    return box


def _bury(state: groups.Partition, key: schemas.StateKey) -> None:
    """Forget what a tombstone is of."""
    match key.kind:
        case schemas.StateKind.FROZEN:
            state.load_released(key.group, key.number)
        case schemas.StateKind.MEMBER:
            state.load_forgotten(key.group, key.number)
        case schemas.StateKind.EXPECTED:
            state.load_forgotten_set(key.group)
        case schemas.StateKind.HEADER | schemas.StateKind.POSITION:
            pass
