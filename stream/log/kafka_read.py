"""Reading Kafka outside any group: committed records, from any offsets, to an end or for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.log.holdings import Contact
from stream.log.kafka_client import Admin, as_record, consumer, stop_consumer, translated
from stream.log.kafka_records import forgive
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogRefusedError, LogUnavailableError, Places, Record
from stream.log.starts import refuse_beyond
from stream.log.topics import Topics

__all__ = ["KafkaReader", "count_partitions", "ends", "read", "refuse_missing"]

_WAIT_MS = 200
_RECORDS = 1000
_SETTLE_S = 3.0
_LOOK_S = 0.05

Offsets = dict[TopicPartition, int]


async def count_partitions(settings: KafkaSettings, topics: Sequence[str]) -> dict[str, int]:
    """Return the numbers of partitions of some topics, or refuse those that are missing."""
    async with Admin(settings) as admin:
        found = await admin.partitions()
    refuse_missing(topics, found)
    return {topic: found[topic] for topic in topics}


def refuse_missing(names: Sequence[str], found: Mapping[str, int]) -> None:
    """Raise LogRefusedError if a topic is not among those found."""
    missing = [name for name in names if name not in found]
    if missing:
        raise LogRefusedError(
            f"topics are missing: {', '.join(missing)}; create them with `evensky topics create`"
        )


@asynccontextmanager
async def _connected(settings: KafkaSettings) -> AsyncGenerator[AIOKafkaConsumer, None]:
    client = consumer(settings)
    try:
        await client.start()
        yield client
    finally:
        await stop_consumer(client)


async def ends(settings: KafkaSettings, places: Sequence[tuple[str, int]]) -> Places:
    """Return the last stable offsets of some partitions."""
    async with _connected(settings) as client:
        found = await client.end_offsets([TopicPartition(*place) for place in places])
    return _places(found)


async def read(
    settings: KafkaSettings, starts: Places, *, follow: bool = False, from_end: bool = False
) -> AsyncGenerator[Record, None]:
    """Yield committed records of some partitions, outside any group.

    Parameters
    ----------
    settings : KafkaSettings
    starts : mapping of (str, int) to int
        Topics and partitions, and the offset to start each at; what is no longer held is passed
        over.
    follow : bool
        Wait for more at the end; otherwise stop at the ends found at the start.
    from_end : bool
        Start there instead.

    Raises
    ------
    LogUnavailableError
        No broker answered for `broker_grace_s`.
    LogRefusedError
        A partition ends before its start.
    """
    async with _connected(settings) as client:
        wanted = {TopicPartition(*place): offset for place, offset in starts.items()}
        client.assign(list(wanted))
        end = await client.end_offsets(list(wanted))
        if from_end:
            wanted = end
        else:
            end = await _settled(client, wanted, end)
            _refuse_beyond(settings, wanted, end)
        held = await client.beginning_offsets(list(wanted))
        begun = {place: max(held[place], offset) for place, offset in wanted.items()}
        for place, offset in begun.items():
            client.seek(place, offset)
        found = _read_on(client, begun, end, settings.broker_grace_s, follow)
        async with aclosing(found):
            async for record in found:
                yield record


async def _settled(client: AIOKafkaConsumer, wanted: Offsets, end: Offsets) -> Offsets:
    """Ask for the ends again for a while: a new leader learns late how far its followers came."""
    give_up = monotonic() + _SETTLE_S
    while any(wanted[place] > end[place] for place in wanted) and monotonic() < give_up:
        await asyncio.sleep(_LOOK_S)
        end = await client.end_offsets(list(wanted))
    return end


def _refuse_beyond(settings: KafkaSettings, wanted: Offsets, end: Offsets) -> None:
    where = f"Kafka at {settings.bootstrap_servers}"
    refuse_beyond(_places(wanted), _places(end), where)


def _places(offsets: Offsets) -> Places:
    return {(place.topic, place.partition): offset for place, offset in offsets.items()}


async def _read_on(
    client: AIOKafkaConsumer, starts: Offsets, end: Offsets, grace_s: float, follow: bool
) -> AsyncGenerator[Record, None]:
    left = {place for place in end if starts[place] < end[place]}
    contact = Contact(grace_s)
    while follow or left:
        found = await client.getmany(timeout_ms=_WAIT_MS, max_records=_RECORDS)
        for place, batch in found.items():
            for one in batch:
                if follow or one.offset < end[place]:
                    yield as_record(one)
        # The position steps over markers and aborted records, so it does come to the end.
        left = {place for place in left if await client.position(place) < end[place]}
        if contact.lost(max(client.last_poll_timestamp(p) or 0 for p in end), monotonic()):
            raise LogUnavailableError(f"no broker answered for {grace_s:g} s")


class KafkaReader:
    """A consumer outside any group (`stream.log.seam.ReaderLog`).

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
    """

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        forgive()
        self._settings = settings
        self._topics = topics
        self._partitions = 0

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    async def start(self) -> None:
        """Look whether the topics are there."""
        with translated(self._settings):
            found = await count_partitions(self._settings, [self._topics.warps])
            self._partitions = found[self._topics.warps]

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the last stable offsets."""
        with translated(self._settings):
            return await ends(self._settings, await self._every(topics))

    async def _every(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        counts = await count_partitions(self._settings, topics)
        return [(topic, one) for topic, count in counts.items() for one in range(count)]

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield committed records, each partition in order."""
        with translated(self._settings):
            wanted = {at: (starts or {}).get(at, 0) for at in await self._every(topics)}
            found = read(self._settings, wanted, follow=follow, from_end=from_end)
            async with aclosing(found):
                async for record in found:
                    yield record

    async def close(self) -> None:
        """Do nothing: each `read` has a connection of its own and closes it."""
