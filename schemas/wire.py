"""Bytes: msgpack for messages, within limits, and for the records of the state.

Two codecs with two aims. Messages come from strangers: `unpack` looks at everything before a type
is made of it. The state is our own and is read by the hundred thousand at a start: `unpack_state`
goes from bytes to the type in one step.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import cache
from typing import Any, Final, Literal, NoReturn, TypeVar, cast

import msgpack
import msgspec
import numpy as np
from msgspec import Struct

from schemas.errors import DeadReason, SchemaError, StateError

__all__ = [
    "EVENT_LIMITS",
    "LETTER_LIMITS",
    "RESULT_LIMITS",
    "Limits",
    "pack",
    "pack_state",
    "unpack",
    "unpack_state",
]

T = TypeVar("T")


class Limits(Struct, frozen=True, kw_only=True):
    """How large a value and what is in it may be.

    Attributes
    ----------
    max_bytes : int
        Bytes of the whole value, looked at before anything is decoded.
    max_depth : int
        Levels of maps and arrays.
    max_map : int
        Entries of one map.
    max_array : int
        Elements of one array.
    max_string : int
        Bytes of one string.
    """

    max_bytes: int = 256 * 1024
    max_depth: int = 8
    max_map: int = 128
    max_array: int = 10_000
    max_string: int = 8192


EVENT_LIMITS: Final = Limits()
"""For the input: 256 KiB."""

RESULT_LIMITS: Final = Limits(max_bytes=8 * 1024 * 1024)
"""For models, summaries and metrics: 8 MiB, a grid of 800 x 800 bins."""

LETTER_LIMITS: Final = Limits(max_bytes=640 * 1024, max_string=64 * 1024)
"""For dead letters: a value of 256 KiB with its key and headers."""

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
    if len(data) > limits.max_bytes:
        text = f"the value has {len(data)} bytes and may have {limits.max_bytes}"
        raise SchemaError(DeadReason.TOO_LARGE, text)
    value = _unpacked(data, limits)
    _require_plain(value, "the value", limits.max_depth)
    return value


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
        return cast("T", _state_decoder(cast("Hashable", kind)).decode(data))
    except (ValueError, RecursionError) as error:
        text = f"the state holds no {kind.__name__} that this version can read: {error}"
        raise StateError(text) from error


def _number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a message")


_STATE_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_number)


@cache
def _state_decoder(kind: Hashable) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def _unpacked(data: bytes, limits: Limits) -> object:
    try:
        return msgpack.unpackb(
            data,
            object_pairs_hook=_distinct,
            max_str_len=limits.max_string,
            max_bin_len=limits.max_bytes,
            max_array_len=limits.max_array,
            max_map_len=limits.max_map,
            max_ext_len=0,
        )
    except msgpack.StackError:
        _refuse_depth(limits.max_depth)
    except SchemaError:
        raise
    except (ValueError, RecursionError) as error:
        # msgpack's sentence for a limit, "5 exceeds max_map_len(4)", is the only sign of one.
        beyond = " exceeds max_" in str(error)
        reason = DeadReason.TOO_LARGE if beyond else DeadReason.BAD_MSGPACK
        text = f"the value is not one whole msgpack map within its limits: {error}"
        raise SchemaError(reason, text) from error


def _distinct(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """Make a map, but not of doubled keys: two readers could see two messages."""
    made = dict(pairs)
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
        _refuse_depth(None)
    elif kind is dict:
        for key, item in cast("dict[object, object]", value).items():
            _require_plain(item, _field(key), depth - 1)
    elif kind is list or kind is tuple:
        for item in cast("list[object]", value):
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


def _refuse_depth(depth: int | None) -> NoReturn:
    text = "the value is nested too deeply" + ("" if depth is None else f": {depth} levels at most")
    raise SchemaError(DeadReason.TOO_LARGE, text)
