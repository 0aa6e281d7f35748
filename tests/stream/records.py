"""Records of the input topic, whole and poisoned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

import schemas
from stream.log.seam import Record
from tests.schemas import examples

__all__ = ["PARTITIONS", "POISON", "record"]

PARTITIONS = 4

_GOOD = examples.record(examples.arrived())


def record(message: schemas.Message, **changes: Any) -> Record:
    """Return a message as a record at its right place; `changes` spoil it."""
    encoded = examples.record(message)
    partition = schemas.partition_of(encoded.key, PARTITIONS)
    whole = Record("evensky.warps", partition, 5, 1000, encoded.key, encoded.value, encoded.headers)
    return replace(whole, **changes)


def _headers(**values: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, values.get(name, value)) for name, value in _GOOD.headers)


def _example(kind: type[schemas.Message]) -> schemas.Message:
    return next(one for one in examples.EXAMPLES if isinstance(one, kind))


_ARRIVED = examples.arrived()
_HOME = record(_ARRIVED).partition

POISON: dict[str, tuple[Record, schemas.DeadReason, schemas.Stage]] = {
    "no value": (record(_ARRIVED, value=None), schemas.DeadReason.NULL_VALUE, "decode"),
    "no msgpack": (record(_ARRIVED, value=b"\xc1"), schemas.DeadReason.BAD_MSGPACK, "decode"),
    "half a message": (
        record(_ARRIVED, value=_GOOD.value[:-3]),
        schemas.DeadReason.BAD_MSGPACK,
        "decode",
    ),
    "another message": (
        record(_ARRIVED, value=examples.raw(msgspec.to_builtins(_ARRIVED) | {"scale": "much"})),
        schemas.DeadReason.BAD_MESSAGE,
        "decode",
    ),
    "no headers": (record(_ARRIVED, headers=()), schemas.DeadReason.BAD_HEADERS, "decode"),
    "a foreign type": (
        record(_ARRIVED, headers=_headers(ce_type=b"com.example.thing.v1")),
        schemas.DeadReason.UNKNOWN_TYPE,
        "decode",
    ),
    "a key of another": (
        record(_ARRIVED, key=b"a/b/1/2/r"),
        schemas.DeadReason.BAD_IDENTITY,
        "decode",
    ),
    "no key": (record(_ARRIVED, key=None), schemas.DeadReason.BAD_IDENTITY, "decode"),
    "far too large": (
        record(_ARRIVED, value=b"\x00" * 2**21),
        schemas.DeadReason.TOO_LARGE,
        "decode",
    ),
    "another partition": (
        record(_ARRIVED, partition=(_HOME + 1) % PARTITIONS),
        schemas.DeadReason.MISROUTED,
        "route",
    ),
    "one of our own": (
        record(_example(schemas.GroupMatched)),
        schemas.DeadReason.UNKNOWN_TYPE,
        "validate",
    ),
}
"""Records that nothing can be done with, and what is to be said of each."""
