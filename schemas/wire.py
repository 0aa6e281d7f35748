"""Bytes: msgpack for messages, within limits, and for the records of the state.

Two codecs with two aims. Messages come from strangers: `unpack` looks at sizes before it decodes
(`schemas.limits`), and at everything before a type is made of it. The state is our own and is read
by the hundred thousand at a start: `unpack_state` goes from bytes to the type in one step. Most
strangers write plain messages plainly, though: `unpack_flat` takes that step with those that it
can prove to be what `unpack` would let pass, and leaves the others to it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cache
from threading import Lock
from typing import Any, Final, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import msgpack
import msgspec
import numpy as np

from schemas.errors import DeadReason, SchemaError, StateError
from schemas.limits import EVENT_LIMITS, Limits, hold_to, refuse_depth

__all__ = [
    "Blank",
    "blank_of",
    "learn",
    "pack",
    "pack_flat",
    "pack_state",
    "unpack",
    "unpack_flat",
    "unpack_state",
]

T = TypeVar("T")


_SCALARS: Final = frozenset({type(None), bool, int, str, bytes})


def pack(value: object, *, sort_keys: bool = False) -> bytes:
    """Return the msgpack bytes of a value; the same value always gives the same bytes.

    Parameters
    ----------
    value : object
        A Struct, dataclass, mapping, sequence or scalar. Fields stand in the order of their
        definition; a float is a float64; NumPy's scalars are numbers.
    sort_keys : bool
        Whether the keys of a mapping are sorted; otherwise they stand in its own order.

    Raises
    ------
    SchemaError
        ``bad_message``: NaN, an infinity, an integer beyond 64 bits or a foreign type.
    """
    try:
        order: Literal["deterministic"] | None = "deterministic" if sort_keys else None
        plain = msgspec.to_builtins(value, builtin_types=(bytes,), order=order, enc_hook=_number)
        _require_plain(plain, "the value", EVENT_LIMITS.max_depth)
        return cast("bytes", msgpack.packb(plain))
    except SchemaError as error:
        raise SchemaError(DeadReason.BAD_MESSAGE, error.message) from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SchemaError(DeadReason.BAD_MESSAGE, f"the value has no bytes: {error}") from error


def unpack(data: bytes, limits: Limits = EVENT_LIMITS) -> object:
    """Return what msgpack bytes hold, if it is whole, plain and within the limits.

    Parameters
    ----------
    data : bytes
        Any bytes at all.
    limits : Limits

    Returns
    -------
    object
        None, bool, int, finite float, str, bytes, list, or dict with str keys.

    Raises
    ------
    SchemaError
        ``too_large``: beyond a limit; ``bad_msgpack``: anything else that is not as above.
    """
    finite = hold_to(limits, data)
    value = _unpacked(data)
    if not finite:
        _require_plain(value, "the value", limits.max_depth)  # which names the field
    return value


def unpack_flat(data: bytes, kind: type[T]) -> T | None:
    """Return the message that bytes hold, if it is quickly seen that `unpack` lets them pass.

    Parameters
    ----------
    data : bytes
        No more than are allowed.
    kind : type
        A Struct whose fields are texts, numbers, arrays of these and arrays of such Structs, so
        bounded that a value of known fields alone is within the limits but for its bytes.

    Returns
    -------
    Struct or None
        What `unpack` and a conversion would give. None says nothing: ask them, and for the reason.
    """
    found = _read_flat(data, kind)
    return None if found is None else found[0]


def pack_flat(message: object) -> bytes | None:
    """Return the bytes of a message, if it is quickly seen that they are read as a message again.

    Parameters
    ----------
    message : Struct
        Of a kind that `unpack_flat` reads.

    Returns
    -------
    bytes or None
        What `pack` gives for what `unpack` and a conversion make of its bytes. None says nothing,
        as in `unpack_flat`.
    """
    try:
        found = _read_flat(_STATE_ENCODER.encode(message), type(message))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return None if found is None else found[1]


def _read_flat(data: bytes, kind: type[T]) -> tuple[T, bytes] | None:
    """Return the message of bytes, and its own bytes, if `unpack` would let them pass."""
    # msgspec holds lengths to the bounds of a field before it makes room, and passes over fields
    # that the type does not have without making any.
    try:
        message = cast("T", learn(cast("Hashable", kind)).decode(data))
        again = _STATE_ENCODER.encode(message)
        # The very bytes again: no key was there twice, and none that the type does not have.
        plain = again == data or _is_plain(data, kind)
    except (ValueError, RecursionError):
        return None
    return (message, again) if plain and _is_finite(message) else None


class Blank(msgspec.Struct, frozen=True, gc=False):
    """The bytes of a message with gaps, for fields that are told later.

    Attributes
    ----------
    pieces : tuple of bytes
        What stands before, between and behind the gaps.
    """

    pieces: tuple[bytes, ...]

    def filled(self, *values: str | float | None) -> bytes:
        """Return the bytes of the whole message.

        Parameters
        ----------
        *values : str, float or None
            One for each gap: what is allowed in its field, for nobody asks again.
        """
        first, *others = self.pieces
        parts = [first]
        for value, piece in zip(values, others, strict=True):
            parts += (_STATE_ENCODER.encode(value), piece)
        return b"".join(parts)


def blank_of(message: msgspec.Struct, names: Sequence[str]) -> Blank:
    """Return the bytes of a message without the values of some fields.

    Parameters
    ----------
    message : Struct
        As `pack_flat` or `unpack` has let it pass.
    names : sequence of str
        Of the fields, in the order of their definition.

    Raises
    ------
    ValueError
        A name is no field's, or out of order: values would come into the wrong gaps.
    """
    fields = message.__struct_fields__
    if tuple(name for name in fields if name in names) != tuple(names):
        raise ValueError(f"{', '.join(names)} are not fields in the order of their definition")
    pieces, encode = [msgpack.Packer().pack_map_header(len(fields))], _STATE_ENCODER.encode
    for name in fields:
        pieces[-1] += encode(name)
        if name in names:
            pieces.append(b"")
        else:
            pieces[-1] += encode(getattr(message, name))
    return Blank(tuple(pieces))


def pack_state(value: object) -> bytes:
    """Return the bytes of a dataclass or Struct for the changelog; NaN is allowed.

    Fields stand in the order of their definition, so equal values give equal bytes.

    Raises
    ------
    TypeError
        The value holds something that has no bytes.
    """
    return _STATE_ENCODER.encode(value)


def unpack_state(data: bytes, kind: type[T]) -> T:
    """Return the dataclass or Struct that `pack_state` wrote; unknown fields are ignored.

    Raises
    ------
    StateError
        The bytes are not a value of this type.
    """
    try:
        return cast("T", learn(cast("Hashable", kind)).decode(data))
    except (ValueError, RecursionError) as error:
        text = f"the state holds no {kind.__name__} that this version can read: {error}"
        raise StateError(text) from error


def _number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a message")


_STATE_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_number)


_DECODERS: Final[dict[Hashable, msgspec.msgpack.Decoder[Any]]] = {}
_LEARNING: Final = Lock()


def learn(kind: Hashable) -> msgspec.msgpack.Decoder[Any]:
    """Return what decodes a type, for any thread to use.

    msgspec learns a type when it first meets it and shares what it has learnt so far with all
    threads: one that meets the type, or one that holds it, in that moment reads a null pointer,
    and the process is gone. So types are learnt here, by one thread at a time.
    """
    found = _DECODERS.get(kind)
    if found is None:
        with _LEARNING:
            found = _DECODERS[kind] = msgspec.msgpack.Decoder(kind)
    return found


_FLAT_DECODER: Final = msgspec.msgpack.Decoder(
    dict[str, str | int | float | bool | tuple[int, ...] | None]
)


def _is_plain(data: bytes, kind: type[Any]) -> bool:
    """Tell whether bytes are a map of a type's own fields, each once, in whatever order."""
    flat = _FLAT_DECODER.decode(data)  # which keeps the last of two values of a key
    return _STATE_ENCODER.encode(flat) == data and flat.keys() <= set(kind.__struct_fields__)


def _is_finite(message: object) -> bool:
    """Tell whether all floating-point numbers among a message's fields are finite."""
    kind = cast("Hashable", type(message))
    for name in _floats(kind):
        value = getattr(message, name)
        if value is not None and not math.isfinite(value):
            return False
    return all(_is_finite(part) for name in _arrays(kind) for part in getattr(message, name))


@cache
def _floats(kind: Hashable) -> tuple[str, ...]:
    """Return the names of the fields that may hold a floating-point number."""
    hints = get_type_hints(kind).items()
    return tuple(name for name, hint in hints if float in (hint, *get_args(hint)))


@cache
def _arrays(kind: Hashable) -> tuple[str, ...]:
    """Return the names of the fields that hold arrays of Structs."""
    hints = get_type_hints(kind).items()
    arrays = ((name, get_args(hint)[0]) for name, hint in hints if get_origin(hint) is tuple)
    return tuple(
        name for name, part in arrays if isinstance(part, type) and issubclass(part, msgspec.Struct)
    )


def _unpacked(data: bytes) -> object:
    """Decode bytes that were held to limits."""
    try:
        return msgpack.unpackb(data, object_pairs_hook=_distinct)
    except SchemaError:
        raise
    except (ValueError, RecursionError) as error:
        text = f"the value is not a msgpack map as messages are: {error}"
        raise SchemaError(DeadReason.BAD_MSGPACK, text) from error


def _distinct(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """Make a map, but not of doubled keys: two readers could see two messages."""
    made = dict(pairs)
    for key in made:
        if type(key) is not str:
            _field(key)
    if len(made) != len(pairs):
        raise SchemaError(DeadReason.BAD_MSGPACK, "a map has one of its keys twice")
    return made


def _require_plain(value: object, where: str, depth: int) -> None:
    """Refuse what messages do not use, wherever it stands."""
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is float:
        _require_finite(cast("float", value), where)
    elif depth == 0:
        refuse_depth()
    elif kind is dict:
        for key, item in cast("dict[object, object]", value).items():
            named = _field(key)
            if (
                type(item) not in _SCALARS
            ):  # most are, and a call for each would be most of the cost
                _require_plain(item, named, depth - 1)
    elif kind is list or kind is tuple:
        for item in cast("list[object]", value):
            if type(item) not in _SCALARS:
                _require_plain(item, where, depth - 1)
    else:
        text = f"{where} is a msgpack extension ({kind.__name__}), which messages do not use"
        raise SchemaError(DeadReason.BAD_MSGPACK, text)


def _require_finite(value: float, where: str) -> None:
    if not math.isfinite(value):
        text = f"{where} is {value}: numbers are finite, and what is not known is null"
        raise SchemaError(DeadReason.BAD_MSGPACK, text)


def _field(key: object) -> str:
    if type(key) is not str:
        raise SchemaError(DeadReason.BAD_MSGPACK, f"a map has the key {key!r:.40}, not a string")
    return key
