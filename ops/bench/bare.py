"""What a broker takes from one client that does nothing else: the measure of ingest."""

from __future__ import annotations

import secrets
import time

from aiokafka import AIOKafkaProducer, TopicPartition

from ops.bench.places import Place
from stream.settings import Settings
from stream.wiring import our_topics

__all__ = ["bare_pattern"]

_RECORDS: int = Settings.model_fields["ingest_max_records"].default
_VALUE = bytes(300)


async def bare_pattern(place: Place, records: int) -> float:
    """Write transactions as large as the service's, with offsets; return records a second.

    Parameters
    ----------
    place : Place
        A broker.
    records : int
        How many in all, of 300 bytes each.
    """
    topics = our_topics(await place.made())
    name = f"bare-{secrets.token_hex(4)}"
    producer = AIOKafkaProducer(
        bootstrap_servers=place.bootstrap or "", transactional_id=name, acks="all", linger_ms=0
    )
    await producer.start()
    try:
        await _transaction(producer, topics.state, topics.warps, name, 0)
        began = time.perf_counter()
        for number in range(1, records // _RECORDS + 1):
            await _transaction(producer, topics.state, topics.warps, name, number)
        return records // _RECORDS * _RECORDS / (time.perf_counter() - began)
    finally:
        await producer.stop()


async def _transaction(
    producer: AIOKafkaProducer, topic: str, source: str, group: str, number: int
) -> None:
    async with producer.transaction():
        for one in range(_RECORDS):
            await producer.send(topic, _VALUE, key=b"%d" % one, partition=0)
        offsets = {TopicPartition(source, 0): number * _RECORDS}
        await producer.send_offsets_to_transaction(offsets, group)
