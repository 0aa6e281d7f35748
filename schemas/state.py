"""How far a partition was read: the record ``P`` of the changelog (DESIGN.md section 3)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from schemas.errors import StateError
from schemas.wire import pack_state, unpack_state

__all__ = ["STATE_FORMAT", "Position", "pack_position", "unpack_position"]

STATE_FORMAT: Final = 2
"""Number of the newest format of the state: the highest that this version reads and writes.

1 is that of release 0.1. 2 has, beside it, what was last published of a visit, the input of the
reference, seals, and suspicions.
"""


class Position(Struct, frozen=True, kw_only=True):
    """Where to go on, and what the log must show there.

    Attributes
    ----------
    next_offset : int
        Offset of the next input record to be read.
    timestamp : int or None
        Timestamp of the record before it, in milliseconds since 1970 (UTC); None before the first.
    ce_id : str or None
        CloudEvents id of that record; None before the first, or if it had none.
    clock : int
        Stream time: the largest timestamp so far, in milliseconds since 1970 (UTC).
    partitions : int
        Number of partitions of the topics when this was written.
    state_format : int
        Number of the state's format.
    """

    next_offset: int
    timestamp: int | None = None
    ce_id: str | None = None
    clock: int = 0
    partitions: int
    state_format: int = STATE_FORMAT


class _Format(Struct):
    state_format: int


def pack_position(position: Position) -> bytes:
    """Return the bytes of the record ``P``."""
    return pack_state(position)


def unpack_position(data: bytes) -> Position:
    """Read the record ``P``.

    Raises
    ------
    StateError
        The bytes are no position, or a newer version wrote the state.
    """
    found = unpack_state(data, _Format).state_format
    if found > STATE_FORMAT:
        text = (
            f"the state has format {found} and this version reads up to {STATE_FORMAT}: "
            "start the newer version; state that is to be read by this one must be written with "
            f"state_format = {STATE_FORMAT} or less"
        )
        raise StateError(text)
    return unpack_state(data, Position)
