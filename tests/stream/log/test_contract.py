"""What the service may rely on, whichever log it stands on: each sentence of the seam."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from stream.log.seam import LogRefusedError, Outgoing, PartitionLostError
from tests.stream.log.benches import (
    PARTITIONS,
    Bench,
    activate,
    assignment,
    collect,
    everything,
    first,
    until_caught_up,
    values,
)

ALL = frozenset(range(PARTITIONS))


async def test_partitions_and_description_are_known_after_start(bench: Bench) -> None:
    """An owner, a publisher and a reader know the partition count once they have started."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    assert owner.partitions == publisher.partitions == reader.partitions == PARTITIONS
    assert "\n" not in owner.description
    assert f"{PARTITIONS} partitions" in owner.description
    assert ("not Kafka" in owner.description) == (type(bench).__name__ == "EmbeddedBench")


async def test_each_partition_is_assigned_once(bench: Bench) -> None:
    """A lone owner is assigned every partition, once, and nothing is revoked."""
    owner = await bench.started_owner()
    assert await assignment(owner) == ALL
    later = [await owner.poll(10, 0.05) for _ in range(5)]
    assert not any(poll.assigned or poll.revoked for poll in later)


async def test_an_assigned_partition_is_paused(bench: Bench) -> None:
    """No record of a partition is delivered before it was taken and resumed."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(1), bench.warp(2, partition=1)])
    await assignment(owner)
    await activate(owner, 1)
    for _ in range(5):
        assert 0 not in (await owner.poll(10, 0.1)).records


async def test_records_come_in_order_and_as_they_were_written(bench: Bench) -> None:
    """Records of a partition come in the order of their offsets, with all that was written."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    written = [bench.warp(number) for number in range(25)]
    await publisher.publish(written[:10])
    await publisher.publish([*written[10:], Outgoing(bench.topics.warps, 0, b"gone", None)])
    await assignment(owner)
    await activate(owner, *ALL)
    records = await collect(owner, 26)
    assert [(one.key, one.value, one.headers) for one in records[:-1]] == [
        (one.key, one.value, one.headers) for one in written
    ]
    assert (records[-1].key, records[-1].value, records[-1].headers) == (b"gone", None, ())
    assert [one.offset for one in records] == list(range(26))
    assert {(one.topic, one.partition) for one in records} == {(bench.topics.warps, 0)}


async def test_stamps_are_the_logs_and_do_not_go_backwards(bench: Bench) -> None:
    """A record carries the time of its appending in ms, never less than the one before."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    for number in range(5):
        await publisher.publish([bench.warp(number)])
    await assignment(owner)
    await activate(owner, 0)
    stamps = [one.timestamp for one in await collect(owner, 5)]
    assert stamps == sorted(stamps)
    assert stamps[0] > 1_600_000_000_000


async def test_a_poll_that_finds_nothing_returns_after_its_wait(bench: Bench) -> None:
    """A poll waits for as long as it was told, and hardly longer."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, *ALL)
    before = monotonic()
    poll = await owner.poll(10, 0.3)
    assert 0.2 < monotonic() - before < 2
    assert not poll.records


async def test_a_poll_returns_as_soon_as_there_is_something(bench: Bench) -> None:
    """A record that is published during a poll ends it."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await assignment(owner)
    await activate(owner, *ALL)
    polling = asyncio.create_task(owner.poll(10, 15))
    await asyncio.sleep(0.1)
    before = monotonic()
    await publisher.publish([bench.warp(1)])
    assert values((await polling).records[0]) == [b"warp 1"]
    assert monotonic() - before < 5


async def test_a_poll_brings_no_more_records_than_asked_for(bench: Bench) -> None:
    """The bound counts over all partitions, and none of them starves."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(n, partition=p) for n in range(20) for p in ALL])
    await assignment(owner)
    await activate(owner, *ALL)
    found: dict[int, int] = dict.fromkeys(ALL, 0)
    async with asyncio.timeout(20):
        while min(found.values()) < 20:
            poll = await owner.poll(7, 0.1)
            assert sum(map(len, poll.records.values())) <= 7
            for partition, records in poll.records.items():
                found[partition] += len(records)


async def test_ends_say_whether_an_owner_has_caught_up(bench: Bench) -> None:
    """The end is beyond the position while records are left, and equals it when none are."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(number) for number in range(3)])
    await assignment(owner)
    await activate(owner, 0, 1)
    ends = {}
    position = 0
    async with asyncio.timeout(20):
        while position < 3:
            poll = await owner.poll(1, 0.1)
            position += len(poll.records.get(0, ()))
            ends[position] = poll.ends.get(0)
    assert (ends[1], ends[2], ends[3]) == (3, 3, 3)
    assert await until_caught_up(owner, 0, partition=1) == []


async def test_ends_are_reached_over_what_the_owner_appends_itself(bench: Bench) -> None:
    """Clock ticks, which the owner appends to its own input, come back and end at the end."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    await until_caught_up(owner, 0)
    position = 0
    for number in range(3):
        await owner.transact(0, [bench.warp(number)])
        (tick,) = await collect(owner, 1)
        position = tick.offset + 1
        assert await until_caught_up(owner, position) == []
    await owner.transact(0, [bench.state(b"k", b"v")], next_offset=position)
    assert await until_caught_up(owner, position) == []


async def test_resume_goes_on_from_any_offset_held(bench: Bench) -> None:
    """Delivery begins with the record at the offset, also when it was delivered before."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(number) for number in range(5)])
    await assignment(owner)
    await activate(owner, 0, offset=3)
    assert values(await collect(owner, 2)) == [b"warp 3", b"warp 4"]
    await owner.resume(0, 1)
    assert values(await collect(owner, 4))[0] == b"warp 1"
    await owner.resume(0, 5)
    await publisher.publish([bench.warp(5)])
    assert values(await collect(owner, 1)) == [b"warp 5"]


@pytest.mark.parametrize("offset", [-1, 6])
async def test_resume_refuses_an_offset_that_is_not_held(bench: Bench, offset: int) -> None:
    """An offset below the first or beyond the end is refused, and the topic named."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(number) for number in range(5)])
    await assignment(owner)
    await owner.take(0)
    with pytest.raises(LogRefusedError, match=bench.topics.warps):
        await owner.resume(0, offset)


async def test_a_pause_keeps_the_position(bench: Bench) -> None:
    """Nothing comes while paused, and everything from the kept position afterwards."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await assignment(owner)
    await activate(owner, 0, 1)
    await publisher.publish([bench.warp(0)])
    await collect(owner, 1)
    owner.pause(frozenset({0}))
    await publisher.publish([bench.warp(1), bench.warp(2, partition=1)])
    assert values(await collect(owner, 1, partition=1)) == [b"warp 2"]
    for _ in range(3):
        assert not (await owner.poll(10, 0.1)).records
    owner.unpause(frozenset({0}))
    assert values(await collect(owner, 1)) == [b"warp 1"]


async def test_a_transaction_writes_all_its_records_and_the_position(bench: Bench) -> None:
    """Records to several topics and the input position are there when the call returns."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    await publisher.publish([bench.warp(number, partition=2) for number in range(2)])
    await assignment(owner)
    await activate(owner, 2)
    topics = bench.topics
    models = [Outgoing(topics.models, 2, b"m%d" % n, b"model", (("h", b""),)) for n in range(3)]
    summary = Outgoing(topics.groups, 2, b"g", b"summary")
    await owner.transact(2, [*models, summary, bench.state(b"P", b"2", 2)], next_offset=2)
    assert [one.key for one in await everything(reader, topics.models)] == [b"m0", b"m1", b"m2"]
    found = await everything(reader, topics.groups, topics.state)
    assert sorted(values(found)) == [b"2", b"summary"]  # type: ignore[type-var]  # no value is a tombstone here
    assert await bench.committed(2) == 2


async def test_a_position_moves_without_records(bench: Bench) -> None:
    """A transaction may hold a position alone."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(0), bench.warp(1)])
    await assignment(owner)
    await activate(owner, 0)
    await owner.transact(0, [], next_offset=1)
    await owner.transact(0, [])
    assert await bench.committed(0) == 1


async def test_a_transaction_with_a_stray_record_writes_nothing(bench: Bench) -> None:
    """A record to another partition, or to a topic that is not ours, is a ValueError."""
    owner = await bench.started_owner()
    reader = await bench.started_reader()
    await assignment(owner)
    await activate(owner, 0)
    for stray in (bench.state(b"k", b"v", 1), Outgoing("elsewhere", 0, b"k", b"v")):
        with pytest.raises(ValueError, match="no record may go"):
            await owner.transact(0, [bench.state(b"k", b"v"), stray])
    with pytest.raises(ValueError, match="neither key nor value"):
        await owner.transact(0, [Outgoing(bench.topics.state, 0, None, None)])
    assert await everything(reader, bench.topics.state) == []


async def test_partitions_are_written_concurrently(bench: Bench) -> None:
    """Transactions of different partitions may run at once; each is whole and in its order."""
    owner = await bench.started_owner()
    reader = await bench.started_reader()
    await assignment(owner)
    await activate(owner, *ALL)

    async def write(partition: int) -> None:
        for number in range(5):
            await owner.transact(partition, [bench.state(b"k", b"%d" % number, partition)])

    await asyncio.gather(*map(write, ALL))
    found = await everything(reader, bench.topics.state)
    for partition in ALL:
        mine = [one for one in found if one.partition == partition]
        assert values(mine) == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_was_not_taken_is_not_ours(bench: Bench) -> None:
    """Reading the changelog, resuming and writing need a partition that was taken."""
    owner = await bench.started_owner()
    await assignment(owner)
    with pytest.raises(PartitionLostError):
        await owner.transact(0, [bench.state(b"k", b"v")])
    with pytest.raises(PartitionLostError):
        await owner.resume(0, 0)
    with pytest.raises(PartitionLostError):
        [record async for record in owner.changelog(0)]


async def test_what_was_taken_can_be_written_before_it_is_resumed(bench: Bench) -> None:
    """An owner may put its state in order first, and then go on from it."""
    owner = await bench.started_owner()
    reader = await bench.started_reader()
    await assignment(owner)
    await owner.take(0)
    await owner.transact(0, [bench.state(b"P", b"raised")])
    await owner.resume(0, 0)
    assert values(await everything(reader, bench.topics.state)) == [b"raised"]


async def test_what_is_not_assigned_cannot_be_taken(bench: Bench) -> None:
    """A partition that no poll has brought is lost before it begins; the error says which."""
    owner = await bench.started_owner()
    await assignment(owner)
    with pytest.raises(PartitionLostError, match="partition 99"):
        await owner.take(99)


async def test_a_changelog_is_read_to_its_end(bench: Bench) -> None:
    """All that was committed of one partition comes in order, tombstones too, and then it ends."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0, 1)
    for number in range(3):
        written = [bench.state(b"k%d" % n, b"%d" % number) for n in range(50)]
        await owner.transact(0, written)
        await owner.transact(1, [bench.state(b"other", b"x", 1)])
    await owner.transact(0, [bench.state(b"k0", None)])
    records = [record async for record in owner.changelog(0)]
    last = {record.key: record.value for record in records}
    assert last == {b"k0": None, **{b"k%d" % n: b"2" for n in range(1, 50)}}
    assert {record.topic for record in records} == {bench.topics.state}
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))


async def test_an_empty_changelog_ends_at_once(bench: Bench) -> None:
    """A partition without state yields nothing."""
    owner = await bench.started_owner()
    await assignment(owner)
    await owner.take(0)
    assert [record async for record in owner.changelog(0)] == []


async def test_a_long_changelog_is_whole(bench: Bench) -> None:
    """A changelog of many chunks comes without a gap."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    for start in range(0, 5000, 1000):
        records = [bench.state(b"%d" % n, b"x" * 100) for n in range(start, start + 1000)]
        await owner.transact(0, records)
    keys = [record.key async for record in owner.changelog(0)]
    assert keys == [b"%d" % n for n in range(5000)]


async def test_the_next_owner_finds_what_the_last_one_left(bench: Bench) -> None:
    """After an owner has closed, another one takes over: state, position and records."""
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(number) for number in range(4)])
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    await collect(owner, 4)
    await owner.transact(0, [bench.state(b"P", b"2")], next_offset=2)
    await owner.close()
    following = await bench.started_owner()
    assert await assignment(following) == ALL
    await following.take(0)
    assert values([record async for record in following.changelog(0)]) == [b"2"]
    await following.resume(0, 2)
    assert values(await collect(following, 2)) == [b"warp 2", b"warp 3"]


async def test_closing_twice_is_closing_once(bench: Bench) -> None:
    """Owners, publishers and readers may be closed twice, and before they have started."""
    for log in (bench.owner(), bench.publisher(), bench.reader()):
        await log.close()
    for started in (
        await bench.started_owner(),
        await bench.started_publisher(),
        await bench.started_reader(),
    ):
        await started.close()
        await started.close()


async def test_what_was_published_is_there_when_the_call_returns(bench: Bench) -> None:
    """A reader that starts afterwards finds each partition in the order of publishing."""
    publisher = await bench.started_publisher()
    written = [bench.warp(number, partition=number % PARTITIONS) for number in range(30)]
    await publisher.publish(written)
    reader = await bench.started_reader()
    found = await everything(reader, bench.topics.warps)
    for partition in ALL:
        mine = [one.value for one in found if one.partition == partition]
        assert mine == [one.value for one in written if one.partition == partition]


async def test_a_publisher_refuses_what_has_no_place(bench: Bench) -> None:
    """A partition beyond the count, or a topic that is not ours, is a ValueError."""
    publisher = await bench.started_publisher()
    for stray in (bench.warp(1, partition=PARTITIONS), Outgoing("elsewhere", 0, b"k", b"v")):
        with pytest.raises(ValueError, match="no record may go"):
            await publisher.publish([stray])


async def test_a_reader_that_does_not_follow_stops_at_the_end(bench: Bench) -> None:
    """It yields what was there when it began, of all topics asked for, and of no other."""
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    topics = bench.topics
    assert await everything(reader, topics.models) == []
    await publisher.publish([bench.warp(1), Outgoing(topics.models, 1, b"k", b"model")])
    await publisher.publish([Outgoing(topics.groups, 2, b"k", b"summary")])
    found = await everything(reader, topics.warps, topics.groups)
    assert {(one.topic, one.value) for one in found} == {
        (topics.warps, b"warp 1"),
        (topics.groups, b"summary"),
    }


async def test_a_reader_that_follows_waits_for_more(bench: Bench) -> None:
    """It yields what is there, and then what comes, in the order of each partition."""
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    await publisher.publish([bench.warp(0), bench.warp(1)])
    reading = asyncio.create_task(first(reader.read([bench.topics.warps], follow=True), 4))
    await asyncio.sleep(0.5)
    await publisher.publish([bench.warp(2), bench.warp(3)])
    assert values(await reading) == [b"warp 0", b"warp 1", b"warp 2", b"warp 3"]


async def test_a_reader_may_start_at_the_end(bench: Bench) -> None:
    """From the end, only what is appended after its first step comes."""
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    await publisher.publish([bench.warp(number) for number in range(3)])
    following = reader.read([bench.topics.warps], follow=True, from_end=True)
    reading = asyncio.create_task(first(following, 1))
    await asyncio.sleep(1)
    await publisher.publish([bench.warp(3)])
    assert values(await reading) == [b"warp 3"]


async def test_existing_topics_are_left_as_they_are(bench: Bench) -> None:
    """Creating topics again changes nothing and keeps what they hold."""
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(1)])
    await bench.create(bench.topics.specs(PARTITIONS))
    reader = await bench.started_reader()
    assert values(await everything(reader, bench.topics.warps)) == [b"warp 1"]


async def test_a_cancelled_transaction_loses_the_partition(bench: Bench) -> None:
    """Who cancels does not know how it ended, so the partition comes anew and tells."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    records = [bench.state(b"%d" % number, b"x" * 200) for number in range(2000)]
    writing = asyncio.create_task(owner.transact(0, records))
    await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    with pytest.raises(PartitionLostError):
        await owner.transact(0, records)
    assert 0 in await assignment(owner)
    await owner.take(0)
    found = [record async for record in owner.changelog(0)]
    assert len(found) in {0, 2000}
    await owner.transact(0, [bench.state(b"k", b"v")])


async def test_a_reader_refuses_a_topic_that_is_missing(bench: Bench) -> None:
    """Reading what is not there is refused, and the topic named, instead of waited for."""
    reader = await bench.started_reader()
    with pytest.raises(LogRefusedError, match="elsewhere"):
        await everything(reader, bench.topics.warps, "elsewhere")


async def test_a_reader_starts_where_it_is_told(bench: Bench) -> None:
    """From given offsets nothing before them comes, and everything from them on, once."""
    publisher = await bench.started_publisher()
    written = [bench.warp(number, partition=number % 2) for number in range(20)]
    await publisher.publish(written)
    reader = await bench.started_reader()
    topic = bench.topics.warps
    ends = await reader.ends([topic])
    assert ends == {(topic, 0): 10, (topic, 1): 10, (topic, 2): 0}
    for starts in ({(topic, 0): 4}, {(topic, 0): 4, (topic, 1): 10}, {**ends, (topic, 0): 9}):
        found = [one async for one in reader.read([topic], follow=False, starts=starts)]
        for partition in range(PARTITIONS):
            offsets = [one.offset for one in found if one.partition == partition]
            end = ends[topic, partition]
            assert offsets == list(range(starts.get((topic, partition), 0), end))


async def test_a_reader_told_to_start_at_the_ends_follows_from_there(bench: Bench) -> None:
    """From the ends of all partitions only what comes later comes."""
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(1), bench.warp(2, partition=1)])
    reader = await bench.started_reader()
    starts = await reader.ends([bench.topics.warps])
    await publisher.publish([bench.warp(3), bench.warp(4, partition=2)])
    found = await first(reader.read([bench.topics.warps], follow=True, starts=starts), 2)
    assert sorted(values(found), key=str) == [b"warp 3", b"warp 4"]


async def test_a_reader_refuses_positions_of_another_log(bench: Bench) -> None:
    """To start behind the end would be to wait in silence while others' records pass."""
    reader = await bench.started_reader()
    topic = bench.topics.warps
    with pytest.raises(LogRefusedError, match=r"\[1\] to offset 0.*start at 7: .*another log"):
        await first(reader.read([topic], follow=True, starts={(topic, 1): 7}), 1)
    with pytest.raises(LogRefusedError, match="elsewhere"):
        await reader.ends(["elsewhere"])
