"""Copies that share a group: those that have names, and those that may not be there at all."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress

import pytest

from stream.log.seam import LogRefusedError, OwnerLog, PartitionLostError
from tests.stream.log.benches import PARTITIONS, KafkaBench, activate, assignment, values

pytestmark = pytest.mark.kafka

ALL = frozenset(range(PARTITIONS))


async def _work(owner: OwnerLog, bench: KafkaBench, holds: asyncio.Event, busy: bool) -> None:
    """Take whatever comes, as the service does, and write if there is anything to write."""
    held: set[int] = set()
    while True:
        poll = await owner.poll(10, 0.1)
        held -= poll.revoked
        for partition in poll.assigned:
            with suppress(PartitionLostError):
                await activate(owner, partition)
                held.add(partition)
        for partition in sorted(held if busy else ()):
            try:
                await owner.transact(partition, [bench.state(b"k", b"v", partition)])
            except PartitionLostError:
                held.discard(partition)
        if held == ALL:
            holds.set()


@pytest.mark.parametrize(("busy", "session_timeout_ms"), [(False, 2000), (True, 30_000)])
async def test_two_copies_of_one_name_are_one_too_many(
    on_kafka: KafkaBench, busy: bool, session_timeout_ms: int
) -> None:
    """They would throw each other out for ever; one says so and ends, and the other works on.

    An idle one learns it by a heartbeat, a busy one long before, when it joins again.
    """
    on_kafka.settings = dataclasses.replace(
        on_kafka.settings,
        group_instance_id="copy-0",
        session_timeout_ms=session_timeout_ms,
        rebalance_timeout_ms=30_000,
        broker_grace_s=60.0,
    )
    holds = [asyncio.Event(), asyncio.Event()]
    owners = [await on_kafka.started_owner() for _ in holds]
    works = [
        asyncio.create_task(_work(owner, on_kafka, event, busy))
        for owner, event in zip(owners, holds, strict=True)
    ]
    (ended,), _ = await asyncio.wait(works, timeout=100, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(LogRefusedError, match="runs under our name 'copy-0': give each copy"):
        await ended
    left = 1 - works.index(ended)
    await owners[1 - left].close()
    holds[left].clear()
    async with asyncio.timeout(60):
        await holds[left].wait()
    works[left].cancel()
    await asyncio.wait(works)


async def test_a_named_copy_comes_back_to_its_place(on_kafka: KafkaBench) -> None:
    """Restarted within the session timeout it has its partitions at once, and others keep theirs.

    What it left open is aborted, and nobody counts its return as another copy of its name.
    """
    on_kafka.settings = dataclasses.replace(
        on_kafka.settings, session_timeout_ms=9000, rebalance_timeout_ms=9000
    )
    named = on_kafka.settings
    first = await on_kafka.started_owner()
    await assignment(first)
    on_kafka.settings = dataclasses.replace(named, group_instance_id="copy-1")
    second = await on_kafka.started_owner()
    ones, twos = await asyncio.gather(_until_shared(first), _until_shared(second))
    await asyncio.gather(activate(first, *ones), activate(second, *twos))
    mine = min(twos)
    await second.transact(mine, [on_kafka.state(b"k", b"before", mine)])
    await second.close()
    again = await on_kafka.started_owner()
    polling = asyncio.create_task(_undisturbed(first))
    assert await assignment(again) == twos
    await activate(again, mine)
    await again.transact(mine, [on_kafka.state(b"k", b"after", mine)])
    assert values([one async for one in again.changelog(mine)]) == [b"before", b"after"]
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling
    for partition in ones:
        await first.transact(partition, [on_kafka.state(b"k", b"still mine", partition)])


async def _until_shared(owner: OwnerLog) -> frozenset[int]:
    """Poll until some partitions are ours and not all."""
    async with asyncio.timeout(60):
        while True:
            poll = await owner.poll(10, 0.1)
            if poll.assigned and poll.assigned != ALL:
                return poll.assigned


async def _undisturbed(owner: OwnerLog) -> None:
    while True:
        poll = await owner.poll(10, 0.1)
        assert not poll.revoked | poll.assigned
