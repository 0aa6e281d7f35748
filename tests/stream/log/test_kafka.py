"""What the Kafka log promises beyond the seam: fences, rebalances, topics that lose nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer

from ops.broker.broker import Cluster, running
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader, KafkaSettings
from stream.log.kafka_client import Fenced, Writer
from stream.log.seam import (
    LogRefusedError,
    LogUnavailableError,
    Outgoing,
    OwnerLog,
    PartitionLostError,
    Poll,
)
from stream.log.topics import Topics
from tests.stream.log.benches import (
    PARTITIONS,
    KafkaBench,
    activate,
    assignment,
    collect,
    everything,
    quick_settings,
    take_whenever_it_comes,
    until_caught_up,
    values,
)

pytestmark = pytest.mark.kafka

ALL = frozenset(range(PARTITIONS))


@asynccontextmanager
async def _open_transaction(bench: KafkaBench, name: str) -> AsyncIterator[AIOKafkaProducer]:
    """Write into state, models and input of partition 0, and leave the transaction open."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bench.settings.bootstrap_servers, transactional_id=name
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        for topic in (bench.topics.state, bench.topics.models, bench.topics.warps):
            await producer.send_and_wait(topic, key=b"k", value=b"never", partition=0)
        yield producer
    finally:
        await producer.stop()


def _id(bench: KafkaBench, partition: int = 0) -> str:
    return bench.settings.transactional_id(bench.topics.warps, partition)


async def test_taking_over_fences_the_earlier_owner(on_kafka: KafkaBench) -> None:
    """After take() the earlier owner's open transaction is aborted, and it can commit no more."""
    owner = await on_kafka.started_owner()
    await assignment(owner)
    async with _open_transaction(on_kafka, _id(on_kafka)) as earlier:
        await owner.take(0)
        with pytest.raises(Fenced):
            await earlier.commit_transaction()
    assert [record async for record in owner.changelog(0)] == []


async def test_an_aborted_transaction_is_invisible(on_kafka: KafkaBench) -> None:
    """What was aborted is read by nobody, and neither hides an end nor holds one back."""
    owner = await on_kafka.started_owner()
    reader = await on_kafka.started_reader()
    publisher = await on_kafka.started_publisher()
    await assignment(owner)
    await publisher.publish([on_kafka.warp(1)])
    async with _open_transaction(on_kafka, _id(on_kafka)):
        await owner.take(0)
    assert [record async for record in owner.changelog(0)] == []
    await owner.resume(0, 0)
    assert values(await until_caught_up(owner, 0)) == [b"warp 1"]
    assert await everything(reader, on_kafka.topics.models, on_kafka.topics.state) == []
    await owner.transact(0, [on_kafka.state(b"k", b"v")], next_offset=1)
    assert values([record async for record in owner.changelog(0)]) == [b"v"]


async def test_a_fenced_owner_loses_the_partition_and_gets_it_anew(on_kafka: KafkaBench) -> None:
    """A fence by the next owner ends ours; the group then says whose the partition is."""
    owner = await on_kafka.started_owner()
    await assignment(owner)
    await activate(owner, 0, 1)
    following = Writer(on_kafka.settings, on_kafka.topics.warps, 0)
    await following.fence()
    with pytest.raises(PartitionLostError, match=r"partition 0.*Fenced"):
        await owner.transact(0, [on_kafka.state(b"k", b"v")])
    with pytest.raises(PartitionLostError):
        await owner.transact(0, [on_kafka.state(b"k", b"v")])
    await owner.transact(1, [on_kafka.state(b"k", b"v", 1)])
    revoked, assigned = await _changes(owner)
    assert revoked >= {0, 1}
    assert assigned == ALL
    await activate(owner, 0)
    await owner.transact(0, [on_kafka.state(b"k", b"mine")])
    assert values([record async for record in owner.changelog(0)]) == [b"mine"]
    await following.stop()


async def _changes(owner: OwnerLog) -> tuple[frozenset[int], frozenset[int]]:
    """Poll until something is assigned; return all that was revoked until then, and that."""
    revoked: frozenset[int] = frozenset()
    async with asyncio.timeout(20):
        while True:
            poll = await owner.poll(10, 0.1)
            revoked |= poll.revoked
            if poll.assigned:
                return revoked, poll.assigned


async def test_ids_that_another_service_uses_are_refused(on_kafka: KafkaBench) -> None:
    """Fenced three times while the group says that the partition is ours, the owner gives up."""
    owner = await on_kafka.started_owner()
    for _ in range(2):
        await assignment(owner)
        await owner.take(0)
        await _fence_once(on_kafka)
        with pytest.raises(PartitionLostError):
            await owner.transact(0, [on_kafka.state(b"k", b"v")])
    await assignment(owner)
    await owner.take(0)
    await _fence_once(on_kafka)
    with pytest.raises(LogRefusedError, match="another service writes under the ids"):
        await owner.transact(0, [on_kafka.state(b"k", b"v")])


async def _fence_once(bench: KafkaBench) -> None:
    other = Writer(bench.settings, bench.topics.warps, 0)
    await other.fence()
    await other.stop()


async def test_a_hanging_transaction_keeps_a_partition_from_being_taken(
    on_kafka: KafkaBench,
) -> None:
    """While an open transaction may hide state, nobody restores from what is visible."""
    on_kafka.settings = dataclasses.replace(on_kafka.settings, take_timeout_s=1.5)
    owner = await on_kafka.started_owner()
    await assignment(owner)
    async with _open_transaction(on_kafka, "of-nobody") as hanging:
        with pytest.raises(PartitionLostError, match="Timeout"):
            await owner.take(0)
        await hanging.commit_transaction()
    await _changes(owner)
    await owner.take(0)
    assert values([record async for record in owner.changelog(0)]) == [b"never"]


async def test_an_unknown_outcome_loses_the_partition(on_kafka: KafkaBench) -> None:
    """When a commit's time limit passes, the partition is lost and the changelog decides."""
    on_kafka.settings = dataclasses.replace(on_kafka.settings, commit_timeout_s=0.01)
    owner = await on_kafka.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    records = [on_kafka.state(b"%d" % number, b"x" * 1000) for number in range(3000)]
    with pytest.raises(PartitionLostError, match="Timeout"):
        await owner.transact(0, records)
    await _changes(owner)
    await owner.take(0)
    assert len([record async for record in owner.changelog(0)]) in {0, 3000}


async def test_two_members_share_the_partitions(on_kafka: KafkaBench) -> None:
    """A second copy takes some partitions over, and gives them back when it leaves."""
    publisher = await on_kafka.started_publisher()
    one = await on_kafka.started_owner()
    await assignment(one)
    await activate(one, *ALL)
    two = await on_kafka.started_owner()
    (revoked, ones), (_, twos) = await asyncio.gather(_changes(one), _changes(two))
    assert revoked == ALL
    assert ones | twos == ALL
    assert not ones & twos
    await asyncio.gather(activate(one, *ones), activate(two, *twos))
    await publisher.publish([on_kafka.warp(1, partition) for partition in ALL])
    for owner, partitions in ((one, ones), (two, twos)):
        await _consume_one_each(owner, partitions)
    (gone,) = {min(twos)}
    await two.close()
    assert (await _changes(one))[1] == ALL
    await activate(one, gone)
    assert values(await collect(one, 1, gone)) == [b"warp 1"]


async def _consume_one_each(owner: OwnerLog, partitions: frozenset[int]) -> None:
    found: set[int] = set()
    async with asyncio.timeout(20):
        while found < partitions:
            poll = await owner.poll(10, 0.1)
            found |= set(poll.records)
            assert set(poll.records) <= partitions


async def test_an_owner_that_slept_commits_nothing(on_kafka: KafkaBench) -> None:
    """Stopped for longer than the session timeout, an owner wakes up to find itself replaced."""
    on_kafka.settings = dataclasses.replace(on_kafka.settings, session_timeout_ms=2500)
    owner = await on_kafka.started_owner()
    await assignment(owner)
    await activate(owner, *ALL)
    await owner.transact(0, [on_kafka.state(b"k", b"before")])
    awake = threading.Event()
    done = threading.Event()
    following = threading.Thread(
        target=lambda: asyncio.run(_take_over(on_kafka, done, awake)), daemon=True
    )
    following.start()
    assert done.wait(60)  # this thread's loop stands still, as under SIGSTOP
    with pytest.raises(PartitionLostError):
        await owner.transact(0, [on_kafka.state(b"k", b"by the zombie")])
    awake.set()
    await asyncio.to_thread(following.join)
    await take_whenever_it_comes(owner, 0)
    found = values([record async for record in owner.changelog(0)])
    assert found == [b"before", b"by the next owner"]


async def _take_over(bench: KafkaBench, done: threading.Event, awake: threading.Event) -> None:
    owner = KafkaOwner(bench.settings, bench.topics)
    await owner.start()
    try:
        assert await assignment(owner) == ALL
        await owner.take(0)
        await owner.transact(0, [bench.state(b"k", b"by the next owner")])
        done.set()
        while not awake.is_set():
            await owner.poll(10, 0.1)
    finally:
        done.set()
        await owner.close()


async def test_the_proof_is_refused_to_who_is_no_longer_a_member(on_kafka: KafkaBench) -> None:
    """An owner that slept before it took a partition cannot take it; it must join anew."""
    on_kafka.settings = dataclasses.replace(on_kafka.settings, session_timeout_ms=2500)
    owner = await on_kafka.started_owner()
    await assignment(owner)
    awake = threading.Event()
    done = threading.Event()
    following = threading.Thread(
        target=lambda: asyncio.run(_take_over(on_kafka, done, awake)), daemon=True
    )
    following.start()
    assert done.wait(60)
    with pytest.raises(PartitionLostError):
        await owner.take(0)
    awake.set()
    await asyncio.to_thread(following.join)
    await take_whenever_it_comes(owner, 0)
    assert values([r async for r in owner.changelog(0)]) == [b"by the next owner"]


async def test_a_record_larger_than_its_topic_takes_is_refused(on_kafka: KafkaBench) -> None:
    """It would fail again for ever, so it is no lost partition but a setting to be mended."""
    owner = await on_kafka.started_owner()
    publisher = await on_kafka.started_publisher()
    await assignment(owner)
    await owner.take(0)
    with pytest.raises(LogRefusedError, match="TooLarge"):
        await owner.transact(0, [Outgoing(on_kafka.topics.warps, 0, b"k", b"x" * 300_000)])
    with pytest.raises(LogRefusedError, match="TooLarge"):
        await publisher.publish([Outgoing(on_kafka.topics.warps, 0, b"k", b"x" * 300_000)])


async def test_nobody_at_the_address_is_unavailable(name: str) -> None:
    """With no broker at the address each kind of client says so, and at once."""
    settings, topics = quick_settings("127.0.0.1:1", name), Topics(name)
    for log in (
        KafkaOwner(settings, topics),
        KafkaPublisher(settings, topics),
        KafkaReader(settings, topics),
    ):
        with pytest.raises(LogUnavailableError, match=r"127\.0\.0\.1:1 does not answer"):
            await log.start()
        await log.close()


async def test_a_broker_that_goes_comes_back_and_goes_for_good(kafka: str, name: str) -> None:
    """Back within the grace it finds the same owner at work; beyond it every client gives up."""
    del kafka  # only to have java and the jars asked for
    with running() as cluster:
        bench = KafkaBench(Topics(name), quick_settings(cluster.bootstrap, name))
        await bench.create(bench.topics.specs(PARTITIONS))
        try:
            await _kill_and_launch(cluster, bench)
            await _kill_for_good(cluster, bench)
        finally:
            await bench.close()


async def _kill_and_launch(cluster: Cluster, bench: KafkaBench) -> None:
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await assignment(owner)
    await activate(owner, 0)
    await owner.transact(0, [bench.state(b"k", b"before")])
    cluster.kill(0)
    await _poll_for(owner, 0.5)
    cluster.launch(0)
    await asyncio.to_thread(cluster.wait_ready)
    await publisher.publish([bench.warp(1)])
    await _work_again(owner, bench)
    assert values([record async for record in owner.changelog(0)]) == [b"before", b"after"]
    await bench.close()


async def _kill_for_good(cluster: Cluster, bench: KafkaBench) -> None:
    bench.settings = dataclasses.replace(
        bench.settings, session_timeout_ms=1000, rebalance_timeout_ms=1500, broker_grace_s=2.0
    )
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    await assignment(owner)
    await activate(owner, *ALL)
    following = reader.read([bench.topics.models], follow=True)
    reading = asyncio.ensure_future(anext(following))
    await _poll_for(owner, 1)
    cluster.kill(0)
    await asyncio.gather(
        _is_given_up(lambda: publisher.publish([bench.warp(1)])),
        _is_given_up(lambda: owner.poll(10, 0.2)),
        _is_given_up(lambda: asyncio.shield(reading)),
    )
    async with asyncio.timeout(30):
        await bench.close()


async def _is_given_up(call: Callable[[], Awaitable[object]]) -> None:
    async def again_and_again() -> None:
        while True:
            await call()

    with pytest.raises(LogUnavailableError):
        await asyncio.wait_for(again_and_again(), 20)


async def _poll_for(owner: OwnerLog, seconds: float) -> list[Poll]:
    give_up = time.monotonic() + seconds
    polls = []
    while time.monotonic() < give_up:
        polls.append(await owner.poll(10, 0.1))
    return polls


async def _work_again(owner: OwnerLog, bench: KafkaBench) -> None:
    """Take and write whenever the partition comes, as the service does, until it holds."""
    async with asyncio.timeout(30):
        seen = False
        while not seen:
            poll = await owner.poll(10, 0.1)
            if 0 in poll.assigned:
                with suppress(PartitionLostError):
                    await activate(owner, 0)
            seen = bool(poll.records.get(0))
        await owner.transact(0, [bench.state(b"k", b"after")], next_offset=1)


def test_the_owner_says_what_it_is() -> None:
    """The description names the address and the group, which an operator looks for first."""
    owner = KafkaOwner(KafkaSettings("broker:9092", app="night"), Topics())
    assert "broker:9092" in owner.description
    assert "night" in owner.description
    assert "partitions" not in owner.description, "they are not known yet"
