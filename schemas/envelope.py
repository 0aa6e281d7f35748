"""CloudEvents 1.0 in Kafka's binary mode: attributes in headers, the value in msgpack.

`encode` and `decode` are the border: what passes them is valid, and after them nobody asks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from schemas.errors import DeadReason, SchemaError
from schemas.explain import explain
from schemas.limits import EVENT_LIMITS, LETTER_LIMITS, RESULT_LIMITS, Limits
from schemas.messages import (
    MESSAGE_TYPES,
    BackgroundMetric,
    BackgroundModel,
    ClockTick,
    DeadLetter,
    GroupMatched,
    Message,
)
from schemas.wire import Blank, blank_of, learn, pack, pack_flat, unpack, unpack_flat

__all__ = [
    "CONTENT_TYPE",
    "MAX_ALL_HEADERS",
    "MAX_HEADER",
    "MAX_HEADERS",
    "Attributes",
    "Encoded",
    "blank",
    "decode",
    "decode_value",
    "encode",
    "encode_value",
    "event_time_us",
    "headers_of",
    "limits_of",
    "time_text",
]

M = TypeVar("M", bound=Message)
Headers = tuple[tuple[str, bytes], ...]

CONTENT_TYPE: Final = "application/msgpack"

MAX_HEADERS: Final = 64
"""Most headers of a record; six are ours, and tracing adds a handful."""

MAX_HEADER: Final = 16 * 1024
"""Bytes of one header, name and value; the largest that is in use, W3C's baggage, has 8 KiB."""

MAX_ALL_HEADERS: Final = 64 * 1024
"""Bytes of all headers of a record together; a dead letter keeps so many whole."""

_SPECVERSION: Final = "1.0"
_HEADERS: Final = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type")
_LONGEST_ATTRIBUTE: Final = 1024
_LONGEST_REMEMBERED: Final = 512  # bytes of what a sender repeats; strangers must not fill memory
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,18})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_LIMITS: Final[dict[type[object], Limits]] = {
    BackgroundModel: RESULT_LIMITS,
    GroupMatched: RESULT_LIMITS,
    BackgroundMetric: RESULT_LIMITS,
    DeadLetter: LETTER_LIMITS,
}
_FLAT: Final = frozenset(MESSAGE_TYPES.values()) - {BackgroundModel, DeadLetter}


for _kind in MESSAGE_TYPES.values():
    learn(_kind)  # `msgspec.convert` would, when it first meets one, in whatever thread that is


class Attributes(Struct, frozen=True):
    """What a record says about itself; all four are required.

    Attributes
    ----------
    id : str
        Unique within `source`; 1 to 1024 characters.
    type : str
        One of `schemas.MESSAGE_TYPES`.
    source : str
        Who sent it, a URI reference; 1 to 1024 characters.
    time : str
        When it happened, RFC 3339, for example ``2026-03-01T05:06:07.123456Z``.

    Raises
    ------
    SchemaError
        ``bad_headers``, naming the header.
    """

    id: str
    type: str
    source: str
    time: str

    def __post_init__(self) -> None:
        _require_line("ce_id", self.id)
        _require_sender(self.type, self.source)
        event_time_us(self)


class Encoded(Struct, frozen=True):
    """A record's key, headers and value, ready for a log.

    Attributes
    ----------
    key : bytes
    headers : tuple of (str, bytes)
    value : bytes
    """

    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def encode(
    message: Message,
    *,
    id: str,  # noqa: A002 - CloudEvents' own name
    source: str,
    time: str,
    limits: Limits | None = None,
) -> Encoded:
    """Return the record of a message; the same arguments always give the same bytes.

    Parameters
    ----------
    message : Message
    id, source, time : str
        As in `Attributes`.
    limits : Limits, optional
        Instead of `limits_of` the message's type.

    Raises
    ------
    SchemaError
        Whatever `decode` would refuse.
    """
    headers = headers_of(type(message), source, time)(id)
    return Encoded(message.routing_key, headers, encode_value(message, limits))


def headers_of(kind: type[Message], source: str, time: str) -> Callable[[str], Headers]:
    """Return what makes the headers of a record: what many have in common is checked once.

    Parameters
    ----------
    kind : type
        One of the message classes.
    source, time : str
        As in `Attributes`.

    Returns
    -------
    callable
        Gives the headers of the record with an id, as in `Attributes`.

    Raises
    ------
    SchemaError
        ``bad_headers``, naming the header; the callable too.
    """
    _require_sender(kind.ce_type, source)
    _microseconds(time)
    texts = (_SPECVERSION, "", kind.ce_type, source, time, CONTENT_TYPE)
    pairs = ((name, text.encode()) for name, text in zip(_HEADERS, texts, strict=True))
    version, (name, _), *others = pairs

    def headers(id: str) -> Headers:  # noqa: A002 - CloudEvents' own name
        """Return the headers of the record with an id."""
        _require_line(name, id)
        return version, (name, id.encode()), *others

    return headers


def blank(message: Message, *names: str) -> Blank:
    """Return the value of a message's record with gaps, for fields that are told later.

    Parameters
    ----------
    message : Message
        With any value that is allowed in those fields.
    *names : str
        Of the fields, in the order of their definition.

    Raises
    ------
    SchemaError
        Whatever `encode_value` would raise.
    ValueError
        A name is no field's, or out of order: values would come into the wrong gaps.
    """
    kind = type(message)
    return blank_of(decode_value(encode_value(message), kind), names)


def encode_value(message: Message, limits: Limits | None = None) -> bytes:
    """Return the value of a message's record: what `decode_value` reads.

    Parameters
    ----------
    message : Message
    limits : Limits, optional
        Instead of `limits_of` the message's type.

    Raises
    ------
    SchemaError
        Whatever `decode_value` would refuse.
    """
    kind = type(message)
    quick = pack_flat(message) if limits is None and kind in _FLAT else None
    if quick is not None and len(quick) <= limits_of(kind).max_bytes:
        return quick
    # Read back once, so that nothing invalid leaves and 1 is 1.0 where a float belongs.
    return pack(decode_value(pack(message), kind, limits))


def decode(
    key: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    value: bytes | None,
    limits: Limits | None = None,
) -> tuple[Attributes, Message]:
    """Return the attributes and the message of a record: for any bytes these, or `SchemaError`.

    Parameters
    ----------
    key, value : bytes or None
    headers : sequence of (str, bytes)
        Foreign ones are ignored.
    limits : Limits, optional
        Instead of `limits_of` the message's type.

    Raises
    ------
    SchemaError
        With the reason for the dead letter, in this order: ``null_value``, ``too_large`` (the
        headers), ``bad_headers``, ``unknown_type``, ``too_large`` (key or value),
        ``bad_msgpack``, ``bad_message``, ``bad_identity``.
    """
    if value is None:
        raise SchemaError(DeadReason.NULL_VALUE, "the record has no value; a message has a map")
    attributes = _usual(headers) or _attributes(headers)
    kind = MESSAGE_TYPES.get(attributes.type)
    if kind is None:
        known = ", ".join(sorted(MESSAGE_TYPES))
        text = f"ce_type {attributes.type!r} is none of ours: {known}"
        raise SchemaError(DeadReason.UNKNOWN_TYPE, text)
    limits = limits or limits_of(kind)
    _require_size("the key", len(key or b""), limits.max_key)
    message = decode_value(value, kind, limits)
    _require_key(key, message)
    return attributes, message


def decode_value(value: bytes, kind: type[M], limits: Limits | None = None) -> M:
    """Return the message of a type that a value holds, whatever its key and headers.

    Parameters
    ----------
    value : bytes
    kind : type
        One of the message classes.
    limits : Limits, optional
        Instead of `limits_of` the type.

    Raises
    ------
    SchemaError
        ``too_large``, ``bad_msgpack``, ``bad_message`` or ``bad_identity``.
    """
    limits = limits or limits_of(kind)
    if limits is limits_of(kind) and len(value) <= limits.max_bytes and kind in _FLAT:
        message = unpack_flat(value, kind)
        if message is not None:
            return message
    return _looked_over(value, kind, limits)


def _looked_over(value: bytes, kind: type[M], limits: Limits) -> M:
    """Read any value at all: what a message is, and why a value is none, is as it is said here."""
    plain = unpack(value, limits)
    try:
        return msgspec.convert(plain, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise _named(kind.ce_type, explain(error, kind, plain)) from error


def limits_of(kind: type[object]) -> Limits:
    """Return the limits within which a type is read unless the caller has its own."""
    return _LIMITS.get(kind, EVENT_LIMITS)


def event_time_us(attributes: Attributes) -> int:
    """Return when the event happened, in microseconds since 1970 (UTC); finer digits are cut.

    Raises
    ------
    SchemaError
        ``bad_headers``: no such time.
    """
    return _microseconds(attributes.time)


@lru_cache(maxsize=256)
def _microseconds(time: str) -> int:
    """Read a time, once although each event is asked for it twice."""
    if _TIME.fullmatch(time) is None:
        raise _bad_time(time)
    try:
        moment = datetime.fromisoformat(time.upper())  # which cuts finer digits, too
    except ValueError:
        raise _bad_time(time) from None
    return (moment - _EPOCH) // _MICROSECOND


def time_text(microseconds: int) -> str:
    """Return microseconds since 1970 (UTC) as RFC 3339; `event_time_us` reads it back."""
    moment = _EPOCH + microseconds * _MICROSECOND
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _require_few(headers: Sequence[tuple[str, bytes]]) -> None:
    """Refuse headers by their number and sizes, before any is read as text."""
    if len(headers) > MAX_HEADERS:
        text = f"the record has {len(headers)} headers and may have {MAX_HEADERS}"
        raise SchemaError(DeadReason.TOO_LARGE, text)
    room = MAX_ALL_HEADERS
    for name, value in headers:
        size = len(name) + len(value or b"")  # some clients hand over None
        room -= size
        if size > MAX_HEADER:
            _require_size(f"the header {name[:80]!r}", size, MAX_HEADER)
    _require_size("the whole of the headers", MAX_ALL_HEADERS - room, MAX_ALL_HEADERS)


def _require_size(what: str, size: int, most: int) -> None:
    if size > most:
        text = f"{what} has {size} bytes and may have {most}"
        raise SchemaError(DeadReason.TOO_LARGE, text)


def _usual(headers: Sequence[tuple[str, bytes]]) -> Attributes | None:
    """Return the attributes of headers that are those of `encode`, short and right; else None."""
    try:
        (a, version), (b, id_), (c, type_), (d, source), (e, time), (f, media) = headers
        if (a, b, c, d, e, f) != _HEADERS or len(id_) + len(time) > MAX_HEADER:
            return None
        type_text, source_text = _sender(version, type_, source, media)
        return Attributes(id_.decode(), type_text, source_text, time.decode())
    except (ValueError, TypeError, AttributeError):  # some clients hand over None
        return None


@lru_cache(maxsize=256)
def _sender(version: bytes, type_: bytes, source: bytes, media: bytes) -> tuple[str, str]:
    """Return type and source; of what is refused nothing is remembered, nor of what is long."""
    values = (version, b"1", type_, source, b"1970-01-01T00:00:00Z", media)
    _require_size("what repeats", sum(map(len, values)), _LONGEST_REMEMBERED)
    attributes = _attributes(tuple(zip(_HEADERS, values, strict=True)))
    return attributes.type, attributes.source


def _attributes(headers: Sequence[tuple[str, bytes]]) -> Attributes:
    _require_few(headers)
    found = _texts(headers)
    if len(found) < len(_HEADERS):
        missing = next(name for name in _HEADERS if name not in found)
        text = f"the header {missing} is missing; CloudEvents in binary mode needs it"
        raise SchemaError(DeadReason.BAD_HEADERS, text)
    _require_value("ce_specversion", found["ce_specversion"], _SPECVERSION)
    media_type = found["content-type"].partition(";")[0].strip().lower()
    _require_value("content-type", media_type, CONTENT_TYPE)
    return Attributes(
        id=found["ce_id"],
        type=found["ce_type"],
        source=found["ce_source"],
        time=found["ce_time"],
    )


def _texts(headers: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if name in _HEADERS:
            if name in found:
                raise SchemaError(DeadReason.BAD_HEADERS, f"the header {name} is there twice")
            found[name] = _text(name, value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except (UnicodeDecodeError, AttributeError):  # some clients hand over None
        text = f"the header {name} must be UTF-8 text, not {value!r:.80}"
        raise SchemaError(DeadReason.BAD_HEADERS, text) from None


def _require_value(name: str, found: str, right: str) -> None:
    if found != right:
        text = f"the header {name} must be {right!r}, not {found[:80]!r}"
        raise SchemaError(DeadReason.BAD_HEADERS, text)


def _require_line(name: str, text: str) -> None:
    plain = text.isprintable() or not _CONTROL.search(text)  # what is printable has no controls
    if not 0 < len(text) <= _LONGEST_ATTRIBUTE or not plain:
        sentence = (
            f"the header {name} must be 1 to {_LONGEST_ATTRIBUTE} characters on one line, "
            f"not {text[:80]!r}"
        )
        raise SchemaError(DeadReason.BAD_HEADERS, sentence)


@lru_cache(maxsize=64)
def _require_sender(type_: str, source: str) -> None:
    """Check what is the same in each record of a sender once."""
    _require_line("ce_type", type_)
    _require_line("ce_source", source)


def _bad_time(text: str) -> SchemaError:
    sentence = f"ce_time must be a time like 2026-03-01T05:06:07.5Z (RFC 3339), not {text[:80]!r}"
    return SchemaError(DeadReason.BAD_HEADERS, sentence)


def _require_key(key: bytes | None, message: Message) -> None:
    """Refuse a key that is not the value's identity; ticks have none."""
    right = message.routing_key
    if (key or b"") != right and not isinstance(message, ClockTick):
        found = "no key" if key is None else repr(key[:400])
        text = f"the key must name what the value is about, {right!r:.400}, but there is {found}"
        raise SchemaError(DeadReason.BAD_IDENTITY, text)


def _named(ce_type: str, error: SchemaError) -> SchemaError:
    return SchemaError(error.reason, f"{ce_type}: {error.message}")
