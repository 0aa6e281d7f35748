"""From a record of the input topic to an event of the state machine, or to a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

import schemas
from core import groups
from stream.log.seam import Record

__all__ = ["Dead", "GroupEvent", "Tick", "event_id", "least_format", "read"]

_LONGEST_ID: Final = 1024  # characters, as `schemas.Attributes` has it; of four bytes at most

_Addressed = (
    schemas.WarpArrived
    | schemas.WarpWithdrawn
    | schemas.GroupManifest
    | schemas.GroupClosed
    | schemas.GroupSealed
    | schemas.GroupReopened
    | schemas.JobSuspected
)


_OF_FORMAT_2: Final = (groups.Sealed, groups.Reopened, groups.Suspected)


class GroupEvent(Struct, frozen=True):
    """An event for one group."""

    group: str
    event: groups.Event


@dataclass(frozen=True, slots=True)
class Tick:
    """A record that only moves the clock."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A record that goes to the dead letters, and why."""

    error: schemas.SchemaError
    stage: schemas.Stage


def least_format(event: groups.Event) -> int:
    """Return the oldest format of the state that can remember an event."""
    return 2 if isinstance(event, _OF_FORMAT_2) else 1


def read(record: Record, at: int, partitions: int) -> GroupEvent | Tick | Dead:
    """Turn one input record into what the state machine is to be told.

    Parameters
    ----------
    record : Record
        As fetched.
    at : int
        Stream time at which the event happens, milliseconds.
    partitions : int
        Number of partitions of the input topic, to find misrouted records.

    Returns
    -------
    GroupEvent or Tick or Dead
        Never an exception: whatever a stranger wrote has an answer.
    """
    try:
        attributes, message = schemas.decode(
            record.key, record.headers, record.value, schemas.EVENT_LIMITS
        )
    except schemas.SchemaError as error:
        return Dead(error, "decode")
    if isinstance(message, schemas.ClockTick):
        return Tick()
    return _addressed(record, attributes, message, at, partitions)


def _addressed(
    record: Record,
    attributes: schemas.Attributes,
    message: schemas.Message,
    at: int,
    partitions: int,
) -> GroupEvent | Dead:
    """Check the address of a message that is for a group, and make its event."""
    if not isinstance(message, _Addressed):
        return _dead(
            schemas.DeadReason.UNKNOWN_TYPE,
            "validate",
            f"{attributes.type} is not an input event; it was sent to the wrong topic",
        )
    try:
        schemas.check_partition(record.key or b"", record.partition, partitions)
    except schemas.SchemaError as error:
        return Dead(error, "route")
    event = _event(message, at, schemas.event_time_us(attributes))
    return GroupEvent(message.group_key, event)


def _dead(reason: schemas.DeadReason, stage: schemas.Stage, message: str) -> Dead:
    return Dead(schemas.SchemaError(reason, message), stage)


def _event(message: _Addressed, at: int, event_time: int) -> groups.Event:
    event: groups.Event
    match message:
        case schemas.WarpArrived():
            event = _arrived(message, at, event_time)
        case schemas.WarpWithdrawn():
            event = _withdrawn(message, at, event_time)
        case schemas.GroupManifest():
            event = _manifest(message, at)
        case schemas.GroupClosed():
            event = groups.Closed(at, message.version)
        case schemas.GroupSealed():
            event = groups.Sealed(at, message.version)
        case schemas.GroupReopened():
            event = groups.Reopened(at, message.version)
        case schemas.JobSuspected():
            event = groups.Suspected(at, message.visit, message.job, message.alone, event_time)
    return event


def _manifest(message: schemas.GroupManifest, at: int) -> groups.ManifestSet:
    deadline = None if message.deadline is None else round(message.deadline * 1000)
    return groups.ManifestSet(at, message.version, message.visits, message.reference, deadline)


def _arrived(message: schemas.WarpArrived, at: int, event_time: int) -> groups.Arrived:
    return groups.Arrived(
        at=at,
        visit=message.visit,
        version=message.version,
        event_time=event_time,
        digest=schemas.arrival_digest(message),
        payload=schemas.pack_payload(message),
        expected=message.expected,
    )


def _withdrawn(message: schemas.WarpWithdrawn, at: int, event_time: int) -> groups.Withdrawn:
    return groups.Withdrawn(
        at=at,
        visit=message.visit,
        version=message.version,
        event_time=event_time,
        digest="",
        payload=schemas.pack_payload(message),
    )


def event_id(record: Record) -> str | None:
    """Return the record's CloudEvents id, if it has a readable one."""
    found = (value for name, value in record.headers if name == "ce_id")
    value = next(found, None)
    return (
        None if value is None else value[: 4 * _LONGEST_ID].decode(errors="replace")[:_LONGEST_ID]
    )
