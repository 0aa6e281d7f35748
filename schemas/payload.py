"""What a member of a group keeps of its message: the payload (DESIGN.md section 3).

Half a million members may be held in memory, so format 2 of the state leaves out what is known
without it. A payload is a msgpack array of the message's fields in the order of their definition:
no names, no identity, which the group's key says, and a checksum as its 32 bytes. In memory each
payload is one of these, whatever format is read or written.

Format 1 keeps the message whole, a map with the names and the identity, as release 0.1 wrote it.

Payloads are compared where all else that ranks two events of a visit is equal. Both layouts order
them alike: fields stand in one order, and what is left out is the same in both events. So nothing
that is null is left out. A field that is added to a message stands at the end, with a default: a
payload without it is read with the default, and one with more fields than this version knows is
read without them.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from schemas.errors import SchemaError, StateError
from schemas.events import Identified, WarpArrived, WarpWithdrawn
from schemas.identity import GroupId
from schemas.wire import pack_state, unpack_state

__all__ = ["pack_payload", "payload_in_format_1", "payload_of_any_format", "unpack_payload"]

A = TypeVar("A", bound=WarpArrived | WarpWithdrawn)

_IDENTITY: Final = len(Identified.__struct_fields__)
_CHECKSUM: Final = WarpArrived.__struct_fields__.index("checksum")
_MAPS: Final = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})  # the first bytes of a msgpack map


def pack_payload(message: WarpArrived | WarpWithdrawn) -> bytes:
    """Return what a member keeps of a message; equal messages give equal bytes."""
    values = list(msgspec.structs.astuple(message))
    if isinstance(message, WarpArrived):
        values[_CHECKSUM] = bytes.fromhex(message.checksum)
    return pack_state(values[_IDENTITY:])


def unpack_payload(payload: bytes, kind: type[A], group: GroupId) -> A:
    """Return the message of a payload.

    Parameters
    ----------
    payload : bytes
        As `pack_payload` wrote it.
    kind : type
        The message's class.
    group : GroupId
        The group whose member has it.

    Raises
    ------
    StateError
        The bytes are no such payload.
    """
    found = msgspec.structs.asdict(unpack_state(payload, _layout(cast("Hashable", kind))))
    if kind is WarpArrived:
        found["checksum"] = found["checksum"].hex()
    try:
        return kind(**group.fields, **found)
    except SchemaError as error:
        raise StateError(f"the state holds an impossible {kind.__name__}: {error}") from error


def payload_of_any_format(payload: bytes, kind: type[WarpArrived | WarpWithdrawn]) -> bytes:
    """Return a payload that was read from the state as `pack_payload` writes it.

    Raises
    ------
    StateError
        It is of format 1, and no message.
    """
    if payload[:1] and payload[0] in _MAPS:
        return pack_payload(unpack_state(payload, kind))
    return payload


def payload_in_format_1(
    payload: bytes, kind: type[WarpArrived | WarpWithdrawn], group: GroupId
) -> bytes:
    """Return a payload as format 1 keeps it; `payload_of_any_format` reads it back.

    Parameters
    ----------
    payload, kind, group
        As `unpack_payload` has them.

    Raises
    ------
    StateError
        The bytes are no such payload.
    """
    return pack_state(unpack_payload(payload, kind, group))


@cache
def _layout(kind: Hashable) -> type[Struct]:
    """Return a type whose bytes are an array of the fields that a payload has."""
    message = cast("type[Struct]", kind)
    fields = [
        (one.name, _BYTES if one.name == "checksum" else one.type, one.default)
        for one in msgspec.structs.fields(message)[_IDENTITY:]
    ]
    return msgspec.defstruct(message.__name__, cast("Any", fields), array_like=True, kw_only=True)


_BYTES: Final = Annotated[bytes, Meta(min_length=32, max_length=32)]
