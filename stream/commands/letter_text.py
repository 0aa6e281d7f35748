"""Dead letters in words and in JSON; what strangers wrote in them cannot steer a terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Final

import schemas
from stream.commands.output import printable
from stream.letters import Found
from stream.replay import Fate, Refusal

__all__ = ["facts", "hex_dump", "page", "row", "shown", "time_of"]

_DUMPED: Final = 512
_LINE: Final = 16
_LONGEST: Final = 400


def time_of(milliseconds: int) -> str:
    """Return a log's stamp as a time, or as a number where no calendar goes so far."""
    try:
        return schemas.time_text(milliseconds * 1000)
    except OverflowError:
        return f"{milliseconds} ms"


def shown(data: bytes | None) -> str:
    """Return bytes as the text that they are, else as Python writes bytes; long ones are cut."""
    if data is None:
        return "none"
    head = data[:_LONGEST]
    more = f"... ({len(data)} bytes)" if len(data) > _LONGEST else ""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return repr(head) + more
    return (text if text.isprintable() else repr(head)) + more


def row(found: Found, fate: Fate) -> dict[str, object]:
    """Return a letter's line in a list: JSON values."""
    letter = found.letter
    return {
        "position": str(found.place),
        "written_at": time_of(found.written),
        "reason": letter.reason,
        "stage": letter.stage,
        "message": letter.message,
        "record": str(found.about),
        "record_at": time_of(letter.timestamp),
        "key": shown(letter.key),
        "replayable": not isinstance(fate, Refusal),
    }


def facts(found: Found, fate: Fate) -> dict[str, object]:
    """Return everything of a letter: JSON values, and bytes, which msgspec writes as base64."""
    return {
        **row(found, fate),
        "whole": found.letter.whole,
        "headers": [[name, shown(value)] for name, value in found.letter.headers],
        "value_size": found.letter.value_size,
        "value_checksum": found.letter.value_checksum,
        "body": _body(found.letter),
        "replay": _fate(fate),
        "letter": found.letter,
    }


def _fate(fate: Fate) -> dict[str, object]:
    if isinstance(fate, Refusal):
        return {"possible": False, "partition": None, "why_not": fate.why, "advice": fate.advice}
    return {"possible": True, "partition": fate.partition, "why_not": None, "advice": None}


def page(found: Found, fate: Fate) -> Iterator[str]:
    """Yield the lines that tell a person everything of a letter."""
    letter = found.letter
    told = {
        "dead letter": f"{found.topic}:{found.place}, written {time_of(found.written)}",
        "record": f"{found.about}, appended {time_of(letter.timestamp)}",
        "reason": f"{letter.reason}, found in stage {letter.stage}",
        "why": letter.message,
        "replay": _replay(fate),
        "key": shown(letter.key),
        "value": _size(letter),
    }
    for name, text in told.items():
        yield f"{name:<12} {printable(text)}"
    yield "headers" if letter.headers else "no headers"
    for header, data in letter.headers:
        yield f"  {printable(header[:_LONGEST])}: {printable(shown(data))}"
    yield from _value(letter)


def _replay(fate: Fate) -> str:
    if isinstance(fate, Refusal):
        return f"does no good: {fate}"
    return f"`evensky dead-letters replay` puts it on partition {fate.partition}"


def _size(letter: schemas.DeadLetter) -> str:
    if letter.value_size is None:
        return "none"
    cut = letter.value_checksum
    kept = "" if cut is None else f", of which the head is kept; sha256 of all {cut}"
    return f"{letter.value_size} bytes{kept}"


def _value(letter: schemas.DeadLetter) -> Iterator[str]:
    """Yield the lines of a value: what it says if it can be read, else its first bytes."""
    if not letter.value:
        return
    body = _body(letter)
    if body is None:
        few = min(len(letter.value), _DUMPED)
        yield f"the first {few} bytes of the value, which cannot be decoded"
        yield from hex_dump(letter.value[:few])
        return
    yield "the value, decoded"
    text = json.dumps(body, indent=2, ensure_ascii=False, default=_base64)
    yield from (f"  {printable(line)}" for line in text.split("\n"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _body(letter: schemas.DeadLetter) -> Mapping[str, object] | None:
    """Return a letter's value if it is a map within the limits, of whatever type."""
    if letter.value is None or letter.value_checksum is not None:
        return None
    try:
        body = schemas.unpack(letter.value, schemas.LETTER_LIMITS)
    except schemas.SchemaError:
        return None
    return body if isinstance(body, dict) else None


def hex_dump(data: bytes) -> Iterator[str]:
    """Yield lines of 16 bytes: where they stand, in hexadecimal, and as ASCII."""
    for at in range(0, len(data), _LINE):
        part = data[at : at + _LINE]
        text = "".join(chr(one) if chr(one).isprintable() and one < 0x80 else "." for one in part)  # noqa: PLR2004 - the end of ASCII
        yield f"  {at:08x}  {part.hex(' '):<{3 * _LINE - 1}}  {text}"
