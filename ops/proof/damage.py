"""What retention, operators and accidents do to topics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

__all__ = ["delete", "trim"]

_PATIENCE_S = 30.0
_LOOK_S = 0.02


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def trim(bootstrap: str, topic: str, firsts: Mapping[int, int]) -> None:
    """Delete the records below an offset of some partitions, as retention does."""
    async with _admin(bootstrap) as admin:
        places = {
            TopicPartition(topic, partition): RecordsToDelete(before_offset=first)
            for partition, first in firsts.items()
        }
        await admin.delete_records(places)


async def delete(bootstrap: str, topic: str) -> None:
    """Delete a topic, and wait until it is gone."""
    async with _admin(bootstrap) as admin, asyncio.timeout(_PATIENCE_S):
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(_LOOK_S)
