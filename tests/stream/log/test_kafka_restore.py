"""A changelog is read to its end whatever compaction and aborted transactions have left of it."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from stream.log.seam import OwnerLog, Record
from stream.log.topics import Topics
from tests.stream.log.benches import (
    PARTITIONS,
    PATIENCE_S,
    KafkaBench,
    activate,
    assignment,
    quick_settings,
)

pytestmark = pytest.mark.kafka

# Segments of a moment, and a cleaner that finds something dirty in whatever it looks at.
_EAGER = {
    "segment.ms": "50",
    "min.cleanable.dirty.ratio": "0.0",
    "delete.retention.ms": "0",
    "min.compaction.lag.ms": "0",
}


@pytest_asyncio.fixture
async def eager(kafka: str, name: str) -> AsyncIterator[KafkaBench]:
    """Set up topics whose changelog is compacted all the time."""
    bench = KafkaBench(Topics(name), quick_settings(kafka, name))
    specs = list(bench.topics.specs(PARTITIONS))
    state = specs[1]
    specs[1] = dataclasses.replace(state, config={**state.config, **_EAGER})
    await bench.create(specs)
    yield bench
    await bench.close()


async def _abort(bench: KafkaBench) -> None:
    """Write a transaction into the changelog and take it back."""
    servers = bench.settings.bootstrap_servers
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=uuid.uuid4().hex)
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(bench.topics.state, b"never", b"k", 0)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def _read(owner: OwnerLog) -> list[Record]:
    return [one async for one in owner.changelog(0)]


async def test_a_changelog_of_markers_only_comes_to_its_end(eager: KafkaBench) -> None:
    """All records deleted or aborted, what is left are marks that nobody reads; that is an end."""
    owner = await eager.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    await owner.transact(0, [eager.state(b"k", b"v")])
    await owner.transact(0, [eager.state(b"k", None)])
    async with asyncio.timeout(PATIENCE_S):
        await _abort(eager)
        while await _read(owner):
            await _abort(eager)  # also what rolls the segment before
    assert await _read(owner) == []


async def test_a_changelog_is_whole_while_it_is_compacted(eager: KafkaBench) -> None:
    """Read again and again under the cleaner's hands, the last value of each key is there."""
    owner = await eager.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    keys = [b"k%d" % number for number in range(20)]
    shrunk = False
    async with asyncio.timeout(PATIENCE_S):
        number = 0
        while not shrunk or number < 30:
            value = b"%d" % number
            await owner.transact(0, [eager.state(key, value) for key in keys])
            number += 1
            found = await _read(owner)
            if number == 1:
                continue  # a commit is told before its mark is written: the last one may be missing
            last = {one.key: one.value for one in found}
            assert set(last) == set(keys)
            assert len(set(last.values())) == 1
            assert int(last[keys[0]] or b"") >= number - 2
            shrunk = shrunk or len(found) < number * len(keys)


async def test_a_changelog_ends_where_its_last_transaction_said(eager: KafkaBench) -> None:
    """Who takes a partition next sees if anybody has written since: if not, the ends agree."""
    first = await eager.started_owner()
    await assignment(first)
    await activate(first, 0)
    large = [eager.state(b"%d" % number, bytes(20_000)) for number in range(20)]
    ends = [await first.transact(0, large), await first.transact(0, [eager.state(b"k", b"v")])]
    await first.close()
    second = await eager.started_owner()
    await assignment(second)
    taken = await second.take(0)
    assert taken == ends[1] != ends[0]
    assert await second.transact(0, [eager.state(b"k", None)]) != taken
