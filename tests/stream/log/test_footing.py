"""What a log shows where a state would go on, and what an operator or retention does to it."""

from __future__ import annotations

import dataclasses

import pytest

import schemas
from core import groups
from ops.proof.damage import delete, trim
from stream.changelog import restore
from stream.footing import place_to_go_on
from stream.inbox import event_id
from stream.log.seam import LogRefusedError, Outgoing, OwnerLog, PartitionLostError, Record
from tests.stream.log.benches import PARTITIONS, Bench, KafkaBench, activate, assignment, collect

READ = 3
WRITTEN = 5


async def _read_some(bench: Bench) -> list[Record]:
    """Write, read some of it, note that as an ingest does, and go away."""
    publisher = await bench.started_publisher()
    await publisher.publish([bench.warp(number) for number in range(WRITTEN)])
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    records = await collect(owner, WRITTEN)
    last = records[READ - 1]
    position = schemas.Position(
        next_offset=READ, timestamp=last.timestamp, ce_id=event_id(last), partitions=PARTITIONS
    )
    put = bench.state(schemas.POSITION_KEY, schemas.pack_position(position))
    await owner.transact(0, [put], next_offset=READ)
    await owner.transact(0, [Outgoing(bench.topics.groups, 0, b"g", b"summary")])
    await bench.close()
    return records


async def _taken(bench: Bench) -> OwnerLog:
    owner = await bench.started_owner()
    await assignment(owner)
    await owner.take(0)
    return owner


async def _go_on(bench: Bench, accepted: int = 0, begins: int = READ) -> None:
    """Take the partition over as an owner does, and see where its input begins."""
    owner = await _taken(bench)
    restored = await restore(owner.changelog(0), lambda _: groups.Policy(), PARTITIONS)
    footing = await owner.footing(0, restored.position.next_offset)
    offset = place_to_go_on(bench.topics, 0, restored, footing, accepted)
    await owner.resume(0, offset)
    assert (await collect(owner, WRITTEN - offset))[0].offset == begins


async def test_a_log_shows_what_it_holds(bench: Bench) -> None:
    """The bounds, its own note of the place, and the very record before it."""
    records = await _read_some(bench)
    owner = await _taken(bench)
    for offset in range(1, WRITTEN + 1):
        found = await owner.footing(0, offset)
        assert found.before == records[offset - 1]
        assert (found.first, found.end, found.committed) == (0, WRITTEN, READ)
    found = await owner.footing(0, 0)
    assert found.before is None
    assert found.anew.startswith("begin anew ")
    assert found.written > 0


async def test_what_was_not_taken_has_no_footing(bench: Bench) -> None:
    """Whoever has not proved that a partition is its own may not judge what it holds."""
    owner = await bench.started_owner()
    await assignment(owner)
    with pytest.raises(PartitionLostError):
        await owner.footing(0, 0)


async def test_work_goes_on_where_it_stopped(bench: Bench) -> None:
    """The state of a log is taken for its own."""
    await _read_some(bench)
    await _go_on(bench)


async def _trim(bench: KafkaBench, first: int) -> None:
    await trim(bench.settings.bootstrap_servers, bench.topics.warps, {0: first})


async def _make_anew(bench: KafkaBench, topic: str) -> None:
    await delete(bench.settings.bootstrap_servers, topic)
    await bench.create(bench.topics.specs(PARTITIONS))


@pytest.mark.kafka
async def test_a_committed_offset_that_expired_is_no_loss(on_kafka: KafkaBench) -> None:
    """Without an offset in the group, work goes on from the state's own position."""
    await _read_some(on_kafka)
    # Another group has none, as this one would after offsets.retention.minutes.
    on_kafka.settings = dataclasses.replace(on_kafka.settings, app=f"{on_kafka.settings.app}-new")
    await _go_on(on_kafka)


@pytest.mark.kafka
@pytest.mark.parametrize("first", [1, READ - 1, READ])
async def test_retention_may_come_up_to_the_position(on_kafka: KafkaBench, first: int) -> None:
    """What was read may go, the last record as well."""
    await _read_some(on_kafka)
    await _trim(on_kafka, first)
    await _go_on(on_kafka)


@pytest.mark.kafka
async def test_retention_beyond_the_position_is_refused(on_kafka: KafkaBench) -> None:
    """One record that nobody has read is missing: that is a loss, and no reason to jump over it."""
    await _read_some(on_kafka)
    await _trim(on_kafka, READ + 1)
    with pytest.raises(LogRefusedError, match="begins at 4 by now: retention deleted 1 records"):
        await _go_on(on_kafka)


@pytest.mark.kafka
async def test_a_loss_that_is_accepted_is_passed_over(on_kafka: KafkaBench) -> None:
    """Reading goes on at the first record that is held."""
    await _read_some(on_kafka)
    await _trim(on_kafka, READ + 1)
    await _go_on(on_kafka, accepted=READ + 1, begins=READ + 1)


@pytest.mark.kafka
async def test_a_changelog_made_anew_is_refused(on_kafka: KafkaBench) -> None:
    """What was published, or the group's offset alone, tells that there was state once."""
    await _read_some(on_kafka)
    await _make_anew(on_kafka, on_kafka.topics.state)
    with pytest.raises(LogRefusedError, match=r"is empty and .* is not: the changelog"):
        await _go_on(on_kafka)
    await on_kafka.close()
    await _make_anew(on_kafka, on_kafka.topics.groups)
    with pytest.raises(LogRefusedError, match=f"was read to offset {READ}: the changelog"):
        await _go_on(on_kafka)


@pytest.mark.kafka
async def test_a_changelog_gone_and_no_offset_is_refused_where_the_input_was_cut(
    on_kafka: KafkaBench,
) -> None:
    """Even with the group's offset expired, an input that has lost records is no beginning."""
    await _read_some(on_kafka)
    for topic in (on_kafka.topics.state, on_kafka.topics.groups):
        await _make_anew(on_kafka, topic)
    await _trim(on_kafka, 1)
    on_kafka.settings = dataclasses.replace(on_kafka.settings, app=f"{on_kafka.settings.app}-new")
    with pytest.raises(LogRefusedError, match="begins at 1 by now"):
        await _go_on(on_kafka)


@pytest.mark.kafka
@pytest.mark.parametrize("rewritten", [0, WRITTEN])
async def test_an_input_made_anew_is_refused(on_kafka: KafkaBench, rewritten: int) -> None:
    """Shorter than the state's position, or as long as before with records of the same names."""
    await _read_some(on_kafka)
    await _make_anew(on_kafka, on_kafka.topics.warps)
    publisher = await on_kafka.started_publisher()
    await publisher.publish([on_kafka.warp(number) for number in range(rewritten)])
    with pytest.raises(LogRefusedError, match=r"another log|was read to offset"):
        await _go_on(on_kafka)
