"""What an audit keeps of each record: small, and sorted so that a group's stand together.

A model has tens of kB, and an audit asks four things of it; so each record is read once, and what
matters goes to the spool.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

import schemas
from stream.log.seam import Headers, Record

__all__ = [
    "Letter",
    "Metric",
    "Model",
    "Named",
    "Raw",
    "Role",
    "Row",
    "Summary",
    "UnreadableError",
    "group_of_key",
    "of_input",
    "of_letter",
    "of_metric",
    "of_model",
    "of_state",
    "of_summary",
]

M = TypeVar("M", bound=schemas.Message)

_LONGEST_KEY: Final = 64 * 1024  # a dead letter keeps so much of a key, or else its head
_HEAD: Final = 4096


class Role(IntEnum):
    """What a row is; the order in which a group's rows are looked at."""

    STATE = 0
    STATE_LATER = 1
    SUMMARY = 2
    MODEL = 3
    METRIC = 4
    LETTER = 5
    INPUT = 6


@dataclass(frozen=True, slots=True)
class Row:
    """A record's place and what is kept of it.

    Attributes
    ----------
    group : bytes
        Key of the group; of an input record whatever key it has.
    role : Role
    partition, offset : int
        Where it stands; of a letter, where the record stands that it is about.
    timestamp : int
        The log's stamp, ms.
    data : bytes
    """

    group: bytes
    role: Role
    partition: int
    offset: int
    timestamp: int
    data: bytes


class UnreadableError(ValueError):
    """A record that should be ours cannot be read."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A record of the input or the state, whole; `clock` is the largest stamp so far, ms."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    clock: int = 0


@dataclass(frozen=True, slots=True)
class Named:
    """A member of a summary."""

    visit: int
    status: str
    model_id: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a group's summary says of its members; revision 0 is a tombstone."""

    revision: int = 0
    kind: str = ""
    status: str = ""
    trigger: str = ""
    completeness: float = 0.0
    expected: int | None = None
    missing: tuple[int, ...] = ()
    completed_at: int = 0
    members: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """What a model says of itself; `recomputed` is the name that its bytes have.

    Revision 0 is a tombstone.
    """

    visit: int
    revision: int = 0
    status: str = ""
    model_id: str = ""
    recomputed: str = ""
    input_digest: str | None = None
    reference: int | None = None
    reference_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is about; `since` is when the group began to wait, ms, if it says so."""

    revision: int
    visit: int | None
    since: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """Where a dead letter stands, and its reason."""

    partition: int
    offset: int
    reason: str
    stage: str


def group_of_key(key: bytes | None) -> bytes:
    """Return under which name an input record and its dead letter are found together."""
    key = key or b""
    return key if len(key) <= _LONGEST_KEY else key[:_HEAD]


def of_input(record: Record, clock: int) -> Row:
    """Keep an input record whole: the fold reads it as the service did."""
    raw = Raw(record.key, record.value, record.headers, clock)
    return _row(record, Role.INPUT, group_of_key(record.key), raw)


def of_state(record: Record, role: Role) -> Row:
    """Keep a record of the changelog whole.

    Raises
    ------
    UnreadableError
        The key is none of ours.
    """
    try:
        key = schemas.parse_state_key(record.key or b"")
    except schemas.StateError as error:
        raise UnreadableError(str(error)) from error
    return _row(record, role, key.group.encode(), Raw(record.key, record.value))


def of_summary(record: Record) -> Row:
    """Keep what a summary says."""
    group = record.key or b""
    if record.value is None:
        return _row(record, Role.SUMMARY, group, Summary())
    said = _decoded(record, schemas.GroupMatched)
    kept = Summary(
        said.revision,
        said.kind,
        said.status,
        said.trigger,
        said.completeness,
        said.expected,
        said.missing,
        round(said.completed_at * 1000),
        tuple(Named(one.visit, one.status, one.model_id) for one in said.members),
    )
    return _row(record, Role.SUMMARY, group, kept)


def of_model(record: Record) -> Row:
    """Keep what a model says of itself."""
    if record.value is None:
        group, visit = _model_key(record)
        return _row(record, Role.MODEL, group, Model(visit))
    said = _decoded(record, schemas.BackgroundModel)
    kept = Model(
        said.visit,
        said.revision,
        said.status,
        said.model_id,
        schemas.model_id_of(record.value),
        said.input_digest,
        said.reference,
        said.reference_digest,
    )
    return _row(record, Role.MODEL, said.group.key.encode(), kept)


def of_metric(record: Record) -> Row:
    """Keep what a metric is about."""
    try:
        attributes, said = schemas.decode(record.key, record.headers, record.value)
    except schemas.SchemaError as error:
        raise UnreadableError(str(error)) from error
    if not isinstance(said, schemas.BackgroundMetric):
        raise UnreadableError(f"{said.ce_type} has no place here")
    waited = said.first_arrival_to_publish_s
    written = schemas.event_time_us(attributes) / 1e6
    since = None if waited is None else round((written - waited) * 1000)
    kept = Metric(said.revision, said.visit, since)
    return _row(record, Role.METRIC, said.group.key.encode(), kept)


def of_letter(record: Record, topic: str) -> Row:
    """Keep what a dead letter is about.

    Parameters
    ----------
    record : Record
    topic : str
        The input.

    Raises
    ------
    UnreadableError
        It is no letter, or about another topic or partition than it may be.
    """
    said = _decoded(record, schemas.DeadLetter)
    if said.topic != topic or said.partition != record.partition:
        raise UnreadableError(f"it is about {said.topic} [{said.partition}], not this input")
    kept = Letter(record.partition, record.offset, said.reason, said.stage)
    data = schemas.pack_state(kept)
    group = group_of_key(said.key)
    return Row(group, Role.LETTER, said.partition, said.offset, record.timestamp, data)


def _row(record: Record, role: Role, group: bytes, kept: object) -> Row:
    data = schemas.pack_state(kept)
    return Row(group, role, record.partition, record.offset, record.timestamp, data)


def _decoded(record: Record, kind: type[M]) -> M:
    try:
        _, said = schemas.decode(record.key, record.headers, record.value)
    except schemas.SchemaError as error:
        raise UnreadableError(str(error)) from error
    if not isinstance(said, kind):
        raise UnreadableError(f"{said.ce_type} has no place here")
    return said


def _model_key(record: Record) -> tuple[bytes, int]:
    try:
        group, visit = schemas.parse_model_key((record.key or b"").decode())
    except ValueError as error:
        raise UnreadableError(f"the key of a tombstone: {error}") from error
    return group.key.encode(), visit
