"""A log with damage planted in it: an embedded log's file, edited behind its back."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import schemas
from stream.audit import Report, Terms, audit
from stream.log.embedded import EmbeddedReader
from stream.log.headers import unpack_headers
from stream.log.seam import Outgoing, Record
from stream.log.sqlite import LogFile
from stream.log.topics import Topics
from tests.stream.night import FAST

__all__ = ["FAST_TERMS", "TOPICS", "Planted", "audited", "message_of", "remade", "state_of"]

T = TypeVar("T")

TOPICS = Topics()
FAST_TERMS = Terms(TOPICS, lambda _: FAST, gapless=True)


@dataclass(frozen=True)
class Planted:
    """A copy of a log file that can be damaged."""

    path: Path

    @classmethod
    def copy(cls, source: Path, folder: Path) -> Planted:
        """Copy a log that nobody has open."""
        path = folder / "planted.db"
        with closing(sqlite3.connect(source)) as sql:
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(source, path)
        return cls(path)

    def records(self, topic: str) -> list[Record]:
        """Return the records of a topic, oldest first."""
        query = (
            'SELECT topic, partition, "offset", timestamp, key, value, headers FROM record '
            "JOIN stream ON stream.id = record.stream WHERE topic = ? ORDER BY record.id"
        )
        with closing(sqlite3.connect(self.path)) as sql:
            rows = sql.execute(query, (topic,)).fetchall()
        return [_record(row) for row in rows]

    def state(self, letter: str) -> list[Record]:
        """Return the newest state record of each key of a kind."""
        found = {one.key: one for one in self.records(TOPICS.state)}
        start = letter.encode()
        return [one for key, one in found.items() if (key or b"").startswith(start) and one.value]

    def remove(self, *records: Record) -> None:
        """Delete records."""
        for one in records:
            self._edit("DELETE FROM record", one)

    def remove_key(self, record: Record) -> None:
        """Delete all records of a key, as if it had never been written."""
        same = [one for one in self.records(record.topic) if one.key == record.key]
        self.remove(*(one for one in same if one.partition == record.partition))

    def alter(self, record: Record, value: bytes | None) -> None:
        """Write another value into a record."""
        self._edit("UPDATE record SET value = ?", record, value)

    def add(self, *records: Record | Outgoing) -> None:
        """Append records."""
        again = [Outgoing(r.topic, r.partition, r.key, r.value, r.headers) for r in records]
        stamp = max(one.timestamp for one in self.records(TOPICS.warps))
        with LogFile(self.path, clock=lambda: stamp) as file, file.transaction():
            file.append(again)

    def _edit(self, statement: str, one: Record, *values: object) -> None:
        where = (
            ' WHERE "offset" = ? AND stream = '
            "(SELECT id FROM stream WHERE topic = ? AND partition = ?)"
        )
        with closing(sqlite3.connect(self.path)) as sql, sql:
            place = (*values, one.offset, one.topic, one.partition)
            assert sql.execute(statement + where, place).rowcount == 1


def _record(row: tuple[Any, ...]) -> Record:
    topic, partition, offset, timestamp, key, value, headers = row
    return Record(topic, partition, offset, timestamp, key, value, unpack_headers(headers))


def audited(path: Path, terms: Terms = FAST_TERMS) -> Report:
    """Audit a log file."""

    async def run() -> Report:
        log = EmbeddedReader(path)
        await log.start()
        try:
            return await audit(log, terms)
        finally:
            await log.close()

    return asyncio.run(run())


def message_of(record: Record) -> Any:
    """Return the message of a record."""
    return schemas.decode(record.key, record.headers, record.value)[1]


def remade(record: Record, **changes: Any) -> Record:
    """Return a record with some fields of its message changed, its headers as they were."""
    message = msgspec.structs.replace(message_of(record), **changes)
    value = schemas.encode_value(message)
    return replace(record, key=message.routing_key, value=value)


def state_of(record: Record, kind: type[T], change: Callable[[T], T]) -> bytes:
    """Return a state record's value after a change."""
    assert record.value is not None
    return schemas.pack_state(change(schemas.unpack_state(record.value, kind)))
