"""A publisher of many revisions in a process of its own, which is there to be killed.

Of each revision it is known what it holds, so that whoever reads it can say whether it is mixed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

import schemas
from stream.log.embedded import EmbeddedOwner, EmbeddedReader
from stream.log.kafka import KafkaReader
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import Outgoing, ReaderLog
from stream.log.topics import Topics
from tests.schemas import examples
from tests.stream.reader.messages import published_model, published_summary

__all__ = ["GROUPS", "LAST", "PARTITIONS", "truth"]

PARTITIONS: Final = 2
GROUPS: Final = tuple(schemas.GroupId("live", "map", 2, patch, "i") for patch in range(5))
LAST: Final = 24
"""Revisions of each group."""

_VISITS: Final = tuple(range(1, 9))
_CHANGES: Final = 0.4
_ABORTS: Final = 0.1
_PAUSE_S: Final = 0.006
_LIE_S: Final = 0.15

Publish = Callable[[int, int], Awaitable[None]]
"""Publishes a revision of a group."""


@cache
def _changed_at(group: int, revision: int, visit: int) -> int:
    """Return the revision that sent a visit's model as it is in this one."""
    changes = random.Random(f"{group} {revision} {visit}").random() < _CHANGES  # noqa: S311 - a history, not a secret
    return revision if revision == 1 or changes else _changed_at(group, revision - 1, visit)


def truth(group: schemas.GroupId, revision: int) -> Mapping[int, float]:
    """Return the number that each visit's model has in a revision."""
    number = GROUPS.index(group)
    return {v: _changed_at(number, revision, v) + v / 100 for v in _VISITS}


def _records(topics: Topics, number: int, revision: int, lie: float = 0.0) -> Iterator[Outgoing]:
    """Yield what a revision sends: the models that changed, and its summary."""
    group, models = GROUPS[number], []
    for visit, content in truth(GROUPS[number], revision).items():
        sent = _changed_at(number, revision, visit)
        models.append(published_model(group, visit, sent, content + lie))
    new = [model for model in models if model.revision == revision]
    for topic, messages in (
        (topics.models, new),
        (topics.groups, [published_summary(group, revision, models)]),
    ):
        for message in messages:
            one = examples.record(message)
            yield Outgoing(topic, number % PARTITIONS, one.key, one.value, one.headers)


async def _newest(log: ReaderLog, topics: Topics) -> dict[int, int]:
    """Return the revision that each group has come to, by what the log says."""
    found = dict.fromkeys(range(len(GROUPS)), 0)
    await log.start()
    async for record in log.read([topics.groups], follow=False):
        _, message = schemas.decode(record.key, record.headers, record.value)
        assert isinstance(message, schemas.GroupMatched)
        number = GROUPS.index(message.group)
        assert message.revision > found[number]
        found[number] = message.revision
    await log.close()
    return found


async def _publish_all(publish: Publish, at: dict[int, int], chance: random.Random) -> None:
    """Publish, group by group in any order, what is not published yet."""
    print("begun", flush=True)  # noqa: T201 - whoever kills us waits for it
    while left := [number for number, revision in at.items() if revision < LAST]:
        number = chance.choice(left)
        at[number] += 1
        await publish(number, at[number])
    print("done", flush=True)  # noqa: T201 - the same


@asynccontextmanager
async def _on_kafka(servers: str, topics: Topics, chance: random.Random) -> AsyncIterator[Publish]:
    """Write a transaction slowly, record by record, and now and then a lie that is taken back."""
    producers = []
    for partition in range(PARTITIONS):
        producers.append(
            AIOKafkaProducer(
                bootstrap_servers=servers, transactional_id=f"{topics.prefix}.{partition}"
            )
        )
        await producers[-1].start()

    async def attempt(number: int, revision: int, *, lie: float) -> None:
        producer = producers[number % PARTITIONS]
        await producer.begin_transaction()
        for one in _records(topics, number, revision, lie):
            await producer.send_and_wait(
                one.topic, one.value, one.key, one.partition, headers=list(one.headers)
            )
            await asyncio.sleep(chance.uniform(0, _PAUSE_S))
        if lie:
            await asyncio.sleep(_LIE_S)  # whoever reads what is not committed should see it
            await producer.abort_transaction()
        else:
            await producer.commit_transaction()

    async def publish(number: int, revision: int) -> None:
        if chance.random() < _ABORTS:
            await attempt(number, revision, lie=1000.0)
        await attempt(number, revision, lie=0.0)

    yield publish
    for producer in producers:
        await producer.stop()


@asynccontextmanager
async def _on_file(path: Path, topics: Topics, chance: random.Random) -> AsyncIterator[Publish]:
    owner = EmbeddedOwner(path, topics, PARTITIONS)
    await owner.start()
    for partition in (await owner.poll(1, 0)).assigned:
        await owner.take(partition)

    async def publish(number: int, revision: int) -> None:
        await owner.transact(number % PARTITIONS, list(_records(topics, number, revision)))
        await asyncio.sleep(chance.uniform(0, 8 * _PAUSE_S))

    yield publish
    await owner.close()


async def main(where: str, name: str, seed: str) -> None:
    """Publish into Kafka, or into a file if `where` is a path."""
    topics, chance = Topics(name), random.Random(seed)  # noqa: S311 - a schedule, not a secret
    if "/" in where:
        async with _on_file(Path(where), topics, chance) as publish:
            at = await _newest(EmbeddedReader(Path(where)), topics)
            await _publish_all(publish, at, chance)
        return
    async with _on_kafka(where, topics, chance) as publish:
        at = await _newest(KafkaReader(KafkaSettings(where), topics), topics)
        await _publish_all(publish, at, chance)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
