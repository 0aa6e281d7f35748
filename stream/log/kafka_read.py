"""Reading Kafka outside any group: committed records, from any offsets, to an end or for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.log.holdings import Contact
from stream.log.kafka_client import as_record, consumer, stop_consumer
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogUnavailableError, Places, Record
from stream.log.starts import refuse_beyond

__all__ = ["begins", "ends", "read"]

_WAIT_MS = 200
_RECORDS = 1000
_SETTLE_S = 3.0
_LOOK_S = 0.05

Offsets = dict[TopicPartition, int]


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


async def begins(settings: KafkaSettings, places: Sequence[tuple[str, int]]) -> Places:
    """Return the log start offsets of some partitions."""
    async with _connected(settings) as client:
        found = await client.beginning_offsets([TopicPartition(*place) for place in places])
    return _places(found)


async def read(
    settings: KafkaSettings, starts: Places, *, follow: bool = False, tail: int | None = None
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
    tail : int, optional
        Start so many offsets before each end instead, which are as many records or fewer.

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
        if tail is not None:
            wanted = {place: offset - tail for place, offset in end.items()}
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
