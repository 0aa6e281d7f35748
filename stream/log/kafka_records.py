"""Records whose headers have names that are no UTF-8, which any producer can write.

The broker takes such a record, and aiokafka 0.14 raises UnicodeDecodeError for the whole partition
at every fetch, for ever: one record would stop a partition for good. Here the batch that holds it
is read again in a forgiving way, with U+FFFD where the name says nothing; all others are read as
ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

__all__ = ["ForgivingRecords", "forgive"]

_LENGTH = struct.Struct(">i")
_LENGTH_AT = 8  # of a batch's own bytes, behind its first offset
_HEAD = 12
_MAGIC_AT = 16
_MAGIC = 2  # the format that has headers


def forgive() -> None:
    """Have all consumers of this process read their records in this way."""
    fetcher.MemoryRecords = ForgivingRecords


class ForgivingRecords:
    """What aiokafka's fetcher asks of one partition's part of an answer.

    Parameters
    ----------
    data : bytes
        Batches, as the broker sent them; the last may be cut off.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return the number of bytes."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Tell whether there is a whole batch more."""
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        """Return the next batch, or None behind the last."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        start = self._at
        (length,) = _LENGTH.unpack_from(self._data, start + _LENGTH_AT)
        self._at = start + _HEAD + length
        if self._data[start + _MAGIC_AT] != _MAGIC:
            return batch
        return _ForgivingBatch(batch, memoryview(self._data)[start : self._at])


class _ForgivingBatch:
    """A batch as the client reads it, and, where it cannot, as `_Forgiving` bytes can be read."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                yield record
                done += 1
        except UnicodeDecodeError:
            again = _DefaultRecordBatchPy(self._data)
            iter(again)  # which inflates it
            again._buffer = _Forgiving(again._buffer)  # noqa: SLF001 - the client has no other way in
            for number, record in enumerate(again):
                if number >= done:
                    yield record


class _Forgiving(bytearray):
    """Bytes whose parts are text whatever they are."""

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return _Forgiving(found) if isinstance(where, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
