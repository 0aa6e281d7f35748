"""Dead letters for the tests: made of real records, read by the inbox, written to a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import schemas
from stream import inbox
from stream.letters import Found, Place
from stream.log.embedded import EmbeddedOwner
from stream.log.seam import Outgoing, Places, Record
from stream.log.sqlite import now_ms
from stream.log.topics import Topics
from stream.outbox import Outbox
from tests.schemas import examples
from tests.stream.records import PARTITIONS, record

__all__ = ["TOPICS", "Shelf", "letter_of", "misrouted", "posted", "put_at", "stored", "write"]

TOPICS = Topics()


def misrouted(visit: int = 1228, **changes: Any) -> Record:
    """Return the arrival of a warp on a partition where it does not belong."""
    good = record(examples.arrived(visit=visit, expected=None))
    return replace(good, partition=(good.partition + 1) % PARTITIONS, **changes)


def letter_of(source: Record) -> schemas.DeadLetter:
    """Return the letter that the service writes of a record."""
    dead = inbox.read(source, 0, PARTITIONS)
    assert isinstance(dead, inbox.Dead)
    return schemas.DeadLetter.of(source, dead.error, dead.stage)


def put_at(letter: schemas.DeadLetter, partition: int = 0, offset: int = 0) -> Found:
    """Return a letter as it is read from its topic."""
    return Found(TOPICS.dead_letters, Place(None, partition, offset), 1000 + offset, letter)


def posted(source: Record) -> Outgoing:
    """Return the record of the letter that the service writes of a record."""
    dead = inbox.read(source, 0, PARTITIONS)
    assert isinstance(dead, inbox.Dead)
    return Outbox(TOPICS, source.partition, "test").letter(source, dead, 1.0)


def write(path: Path, records: Sequence[Outgoing], clock: int | None = None) -> None:
    """Append records to an embedded log as its service does."""

    async def append() -> None:
        owner = EmbeddedOwner(path, TOPICS, PARTITIONS, clock=lambda: clock or now_ms())
        await owner.start()
        try:
            await owner.poll(1, 0.0)
            for partition, some in groupby(records, key=lambda one: one.partition):
                await owner.take(partition)
                await owner.transact(partition, list(some))
        finally:
            await owner.close()

    asyncio.run(append())


@dataclass
class Shelf:
    """A `ReaderLog` that holds some records, and tells whether its reading was ended."""

    records: Sequence[Record]
    partitions: int = PARTITIONS
    ended: int = field(default=0)

    async def start(self) -> None:
        """Do nothing."""

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the offsets behind the last records."""
        return {
            (one.topic, one.partition): one.offset + 1
            for one in self.records
            if one.topic in topics
        }

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return 0: nothing was deleted."""
        return dict.fromkeys(await self.ends(topics), 0)

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield the records of the topics."""
        assert not follow
        assert not from_end
        assert starts is None
        try:
            for one in self.records:
                if one.topic in topics:
                    yield one
        finally:
            self.ended += 1

    async def close(self) -> None:
        """Do nothing."""


def stored(outgoing: Outgoing, offset: int) -> Record:
    """Return what was written as it is read."""
    return Record(
        outgoing.topic,
        outgoing.partition,
        offset,
        1000 + offset,
        outgoing.key,
        outgoing.value,
        outgoing.headers,
    )
