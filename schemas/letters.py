"""What could not be used, kept so that a person can look at it and send it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Literal, Protocol

from msgspec import Meta, Struct

from schemas.errors import DeadReason, SchemaError
from schemas.fields import Digest, Natural, Text, require_digest

__all__ = ["MAX_WHOLE_VALUE", "DeadLetter", "SourceRecord", "Stage"]

Stage = Literal["decode", "validate", "route", "group"]

MAX_WHOLE_VALUE: Final = 256 * 1024
"""Bytes up to which a value is kept whole; beyond it, its head."""

_MAX_KEY: Final = 64 * 1024
_MAX_HEADERS: Final = 64 * 1024
_HEAD: Final = 4096
_SENTENCE: Final = 1024
_HEADERS: Final = 256


class SourceRecord(Protocol):
    """What a log's record must show so that a dead letter can be written of it."""

    @property
    def topic(self) -> str:
        """The topic that it stood in."""
        ...

    @property
    def partition(self) -> int:
        """The partition that it stood in."""
        ...

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """When the log appended it, in milliseconds since 1970 (UTC)."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers, in order."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its value."""
        ...


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record of the input that was not used, and why.

    Attributes
    ----------
    reason : str
        The kind of fault.
    stage : str
        How far the record had come.
    message : str
        What was wrong and what would be right, for people.
    topic : str
        The topic that the record stood in.
    partition, offset : int
        Where it stood there.
    timestamp : int
        When the log appended it, in milliseconds since 1970 (UTC).
    key : bytes or null
        Its key, or the key's head.
    headers : tuple of (str, bytes)
        Its headers, in order, as many as fit.
    value : bytes or null
        Its value, or the first 4096 bytes of one above 256 KiB.
    value_size : int or null
        Bytes of its value.
    value_checksum : str or null
        The sha256 of its whole value, where only the head is kept.
    whole : bool
        Whether key, headers and value are all here, so that it can be sent again.
    """

    ce_type: ClassVar[str] = "dead.letter.v1"

    reason: DeadReason
    stage: Stage
    message: Text
    topic: Annotated[str, Meta(max_length=256)]
    partition: Natural
    offset: Natural
    timestamp: int
    key: bytes | None
    headers: Annotated[tuple[tuple[str, bytes], ...], Meta(max_length=_HEADERS)] = ()
    value: bytes | None
    value_size: Natural | None = None
    value_checksum: Digest | None = None
    whole: bool = True

    def __post_init__(self) -> None:
        require_digest("value_checksum", self.value_checksum)

    @property
    def routing_key(self) -> bytes:
        """The key of the record that it is about, empty if that had none."""
        return self.key or b""

    @classmethod
    def of(cls, record: SourceRecord, error: SchemaError, stage: Stage) -> DeadLetter:
        """Write the letter for a record; for any record one that can be encoded.

        Parameters
        ----------
        record : SourceRecord
            As it was read from the log.
        error : SchemaError
            Why it cannot be used.
        stage : str
            How far it had come.
        """
        headers = _kept_headers(record.headers)
        key, value = _head(record.key, _MAX_KEY), _head(record.value, MAX_WHOLE_VALUE)
        size = None if record.value is None else len(record.value)
        cut = value != record.value
        return cls(
            reason=error.reason,
            stage=stage,
            message=_text(str(error))[:_SENTENCE],
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            key=key,
            headers=headers,
            value=value,
            value_size=size,
            value_checksum=hashlib.sha256(record.value or b"").hexdigest() if cut else None,
            whole=(key, headers, value) == (record.key, tuple(record.headers), record.value),
        )


def _head(data: bytes | None, most: int) -> bytes | None:
    return data if data is None or len(data) <= most else data[:_HEAD]


def _kept_headers(headers: Sequence[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    kept: list[tuple[str, bytes]] = []
    room = _MAX_HEADERS
    for name, value in headers[:_HEADERS]:
        plain, data = _text(name), value or b""
        room -= 4 * len(plain) + len(data)
        if room < 0:
            break
        kept.append((plain, data))
    return tuple(kept)


def _text(text: str) -> str:
    """Return what UTF-8 can say of the text."""
    return text.encode(errors="replace").decode()
