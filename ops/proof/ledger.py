"""The smallest service that the Kafka log can have, to prove the log by itself.

A *clerk* reads its partitions of the input and writes each record's number into two topics, with
its position, in one transaction; it goes on from the position that the changelog tells. Whatever
happens to clerks and brokers, each number must stand in both topics once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader, KafkaSettings, create_topics
from stream.log.seam import LogUnavailableError, Outgoing, PartitionLostError, Record
from stream.log.topics import Topics

__all__ = ["Clerk", "Ledger", "ledger_settings", "working"]

_WAIT_S = 0.05
_RECORDS = 50


def ledger_settings(bootstrap: str) -> KafkaSettings:
    """Return settings under which a rebalance takes no longer than it must."""
    return KafkaSettings(
        bootstrap,
        session_timeout_ms=6000,
        rebalance_timeout_ms=8000,
        take_timeout_s=20.0,
        rejoin_first_s=0.1,
        rejoin_most_s=1.0,
    )


@dataclass
class Ledger:
    """Numbers in an input, and what clerks made of them.

    Attributes
    ----------
    settings : KafkaSettings
        Of the judge, who should have no trouble.
    topics : Topics
    partitions : int
    written : int
        How many numbers each partition of the input holds.
    """

    settings: KafkaSettings
    topics: Topics
    partitions: int
    written: int = 0

    async def open(self) -> None:
        """Make the topics."""
        await create_topics(self.settings, self.topics.specs(self.partitions))

    async def write(self, count: int) -> None:
        """Append the next numbers to each partition of the input."""
        publisher = KafkaPublisher(self.settings, self.topics)
        await publisher.start()
        try:
            await publisher.publish(list(self._next(count)))
        finally:
            await publisher.close()
        self.written += count

    def _next(self, count: int) -> Iterator[Outgoing]:
        for number in range(self.written, self.written + count):
            for partition in range(self.partitions):
                value = b"%d" % number
                yield Outgoing(self.topics.warps, partition, b"number", value)

    async def violations(self) -> list[str]:
        """Say what in the output is not as it must be when everything was read."""
        models, groups = (
            await self._numbers(self.topics.models),
            await self._numbers(self.topics.groups),
        )
        wanted = {
            (partition, number)
            for partition in range(self.partitions)
            for number in range(self.written)
        }
        kinds = {
            "lost": wanted - set(models),
            "doubled": {one for one, count in models.items() if count > 1},
            "torn": {one for one in models | groups if models[one] != groups[one]},
            "foreign": set(models) - wanted,
        }
        return [
            f"{len(found)} {kind}: {sorted(found)[:5]}" for kind, found in kinds.items() if found
        ]

    async def done(self) -> bool:
        """Tell whether every number is there, as far as anybody can tell just now."""
        try:
            found = await self._numbers(self.topics.groups)
        except LogUnavailableError:
            return False
        return len(found) >= self.partitions * self.written

    async def _numbers(self, topic: str) -> Counter[tuple[int, int]]:
        reader = KafkaReader(self.settings, self.topics)
        await reader.start()
        found = reader.read([topic], follow=False)
        async with aclosing(found):
            return Counter([(one.partition, int(one.value or b"")) async for one in found])


@dataclass
class Clerk:
    """One copy of that service.

    Attributes
    ----------
    settings : KafkaSettings
    topics : Topics
    lost : list of PartitionLostError
        How often a partition was lost, and why.
    copied : Event
        Set once it has written anything.
    """

    settings: KafkaSettings
    topics: Topics
    lost: list[PartitionLostError] = field(default_factory=list)
    copied: asyncio.Event = field(default_factory=asyncio.Event)
    log: KafkaOwner = field(init=False)
    _desks: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _trays: dict[int, asyncio.Queue[Sequence[Record]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.log = KafkaOwner(self.settings, self.topics)

    async def run(self) -> None:
        """Work until it is cancelled."""
        try:
            await self.log.start()
            while True:
                await self._once()
        finally:
            for desk in self._desks:
                desk.cancel()
            await asyncio.gather(*self._desks, return_exceptions=True)
            await self.log.close()

    async def _once(self) -> None:
        poll = await self.log.poll(_RECORDS, _WAIT_S)
        for partition in poll.revoked & self._trays.keys():
            self._trays.pop(partition).put_nowait(())  # what it is at it may try to bring to an end
        for partition in poll.assigned:
            self._trays[partition] = asyncio.Queue()
            self._desks.add(asyncio.create_task(self._serve(partition, self._trays[partition])))
        for partition, records in poll.records.items():
            self._trays[partition].put_nowait(records)
        for desk in [desk for desk in self._desks if desk.done()]:
            self._desks.discard(desk)
            desk.result()

    async def _serve(self, partition: int, tray: asyncio.Queue[Sequence[Record]]) -> None:
        try:
            await self.log.take(partition)
            await self.log.resume(partition, await self._position(partition))
            while records := await tray.get():
                await self._copy(partition, records)
        except PartitionLostError as error:
            self.lost.append(error)

    async def _position(self, partition: int) -> int:
        offset = 0
        async for record in self.log.changelog(partition):
            offset = int(record.value or b"")
        return offset

    async def _copy(self, partition: int, records: Sequence[Record]) -> None:
        offset = records[-1].offset + 1
        made = [
            Outgoing(topic, partition, one.value, one.value)
            for one in records
            for topic in (self.topics.models, self.topics.groups)
        ]
        made.append(Outgoing(self.topics.state, partition, b"P", b"%d" % offset))
        await self.log.transact(partition, made, offset)
        self.copied.set()


@asynccontextmanager
async def working(*clerks: Clerk) -> AsyncIterator[None]:
    """Let clerks work for the time of a block; one that gives up ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(clerk.run()) for clerk in clerks]
        yield
        for task in tasks:
            task.cancel()
