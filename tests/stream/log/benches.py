"""The two logs, set up alike, and a few words in which tests speak to either."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader, create_topics
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader, KafkaSettings
from stream.log.kafka import create_topics as create_kafka_topics
from stream.log.seam import (
    Outgoing,
    OwnerLog,
    PartitionLostError,
    PublisherLog,
    ReaderLog,
    Record,
    TopicSpec,
)
from stream.log.topics import Topics

__all__ = [
    "PARTITIONS",
    "Bench",
    "EmbeddedBench",
    "KafkaBench",
    "activate",
    "assignment",
    "collect",
    "everything",
    "first",
    "quick_settings",
    "take_whenever_it_comes",
    "until_caught_up",
    "values",
]

PARTITIONS = 3
PATIENCE_S = 30.0


class Closable(Protocol):
    async def close(self) -> None: ...


@dataclass
class Bench(ABC):
    """One log under test; what was made on it is closed with it."""

    topics: Topics
    opened: list[Closable] = field(default_factory=list, init=False)

    @abstractmethod
    def owner(self) -> OwnerLog:
        """Return an owner that was not started."""

    @abstractmethod
    def publisher(self) -> PublisherLog:
        """Return a publisher that was not started."""

    @abstractmethod
    def reader(self) -> ReaderLog:
        """Return a reader that was not started."""

    @abstractmethod
    async def committed(self, partition: int) -> int | None:
        """Return the input position as the log has it."""

    @abstractmethod
    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics."""

    async def started_owner(self) -> OwnerLog:
        """Return an owner that will be closed."""
        owner = self.owner()
        self.opened.append(owner)
        await owner.start()
        return owner

    async def started_publisher(self) -> PublisherLog:
        """Return a publisher that will be closed."""
        publisher = self.publisher()
        self.opened.append(publisher)
        await publisher.start()
        return publisher

    async def started_reader(self) -> ReaderLog:
        """Return a reader that will be closed."""
        reader = self.reader()
        self.opened.append(reader)
        await reader.start()
        return reader

    async def close(self) -> None:
        """Close what was made."""
        for one in reversed(self.opened):
            await one.close()

    def warp(self, number: int, partition: int = 0) -> Outgoing:
        """Return an input record."""
        headers = (("ce_type", b"warp.arrived.v1"), ("ce_id", b"%d" % number))
        return Outgoing(self.topics.warps, partition, b"key", b"warp %d" % number, headers)

    def state(self, key: bytes, value: bytes | None, partition: int = 0) -> Outgoing:
        """Return a record of the changelog."""
        return Outgoing(self.topics.state, partition, key, value)


@dataclass
class EmbeddedBench(Bench):
    """The embedded log on a file."""

    path: Path = Path()

    def owner(self) -> EmbeddedOwner:
        """Return an owner that was not started."""
        return EmbeddedOwner(self.path, self.topics, PARTITIONS)

    def publisher(self) -> EmbeddedPublisher:
        """Return a publisher that was not started."""
        return EmbeddedPublisher(self.path, self.topics, PARTITIONS)

    def reader(self) -> EmbeddedReader:
        """Return a reader that was not started."""
        return EmbeddedReader(self.path)

    async def committed(self, partition: int) -> int | None:
        """Return the input position as the file has it."""
        sql = sqlite3.connect(self.path)
        try:
            place = (self.topics.warps, partition)
            query = "SELECT committed FROM stream WHERE topic = ? AND partition = ?"
            found: int | None = sql.execute(query, place).fetchone()[0]
            return found
        finally:
            sql.close()

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics."""
        await create_topics(self.path, specs)


def quick_settings(servers: str, app: str, **more: Any) -> KafkaSettings:
    """Return settings under which a rebalance takes no longer than it must."""
    quick = {
        "session_timeout_ms": 3000,
        "rebalance_timeout_ms": 5000,
        "take_timeout_s": 15.0,
        "broker_grace_s": 30.0,
        "rejoin_first_s": 0.1,
        "rejoin_most_s": 1.0,
    }
    return KafkaSettings(bootstrap_servers=servers, app=app, **{**quick, **more})


@dataclass
class KafkaBench(Bench):
    """Kafka on a real broker."""

    settings: KafkaSettings = field(default_factory=lambda: KafkaSettings("nowhere:1"))

    def owner(self) -> KafkaOwner:
        """Return an owner that was not started."""
        return KafkaOwner(self.settings, self.topics)

    def publisher(self) -> KafkaPublisher:
        """Return a publisher that was not started."""
        return KafkaPublisher(self.settings, self.topics)

    def reader(self) -> KafkaReader:
        """Return a reader that was not started."""
        return KafkaReader(self.settings, self.topics)

    async def committed(self, partition: int) -> int | None:
        """Return the input position as the group has it."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.settings.app)
        finally:
            await admin.close()
        found: int | None = offsets[TopicPartition(self.topics.warps, partition)].offset
        return found

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics."""
        await create_kafka_topics(self.settings, specs)


async def assignment(owner: OwnerLog) -> frozenset[int]:
    """Poll until partitions are assigned; return them."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            poll = await owner.poll(100, 0.1)
            if poll.assigned:
                return poll.assigned


async def activate(owner: OwnerLog, *partitions: int, offset: int = 0) -> None:
    """Take partitions that are assigned, and have their records delivered."""
    for partition in partitions:
        await owner.take(partition)
        await owner.resume(partition, offset)


async def take_whenever_it_comes(owner: OwnerLog, partition: int) -> None:
    """Take a partition as the service does: each time it is assigned, until that holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            poll = await owner.poll(10, 0.1)
            if partition in poll.assigned:
                with suppress(PartitionLostError):
                    await owner.take(partition)
                    return


async def collect(owner: OwnerLog, number: int, partition: int = 0) -> list[Record]:
    """Poll until so many records of a partition came."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(records) < number:
            records += (await owner.poll(100, 0.1)).records.get(partition, ())
    return records


async def until_caught_up(owner: OwnerLog, position: int, partition: int = 0) -> list[Record]:
    """Poll until the owner, being at a position, has caught up; return what still came."""
    records: list[Record] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            poll = await owner.poll(100, 0.1)
            records += poll.records.get(partition, ())
            position = records[-1].offset + 1 if records else position
            if poll.ends.get(partition) == position:
                return records


async def everything(log: ReaderLog, *topics: str) -> list[Record]:
    """Return all that a reader finds in topics."""
    return [record async for record in log.read(topics, follow=False)]


async def first(records: AsyncIterator[Record], number: int) -> list[Record]:
    """Return the first records of an endless reading, and end it."""
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(records) as reading:  # type: ignore[type-var]  # a reader is an async generator
        async for record in reading:
            found.append(record)
            if len(found) == number:
                break
    return found


def values(records: Sequence[Record]) -> list[bytes | None]:
    """Return the records' values."""
    return [record.value for record in records]
