"""What a replay does to a service: the misrouted warp finds its group, once."""

from __future__ import annotations

from pathlib import Path

import msgspec

import schemas
from stream.letters import Choice, Found, read_letters
from stream.log.embedded import EmbeddedPublisher, EmbeddedReader
from stream.log.seam import Outgoing
from stream.replay import Judge, Replayer, Report
from stream.standing import Standings
from tests.stream.night import (
    FAST,
    Night,
    arrival,
    closing_of,
    events_of,
    eventually,
    manifest_of,
    write_warp,
)


async def replay_all(night: Night, choice: Choice | None = None) -> Report:
    """Replay the letters of a night, by the night's clock."""
    reader = EmbeddedReader(night.path)
    publisher = EmbeddedPublisher(night.path, night.topics, clock=night.clock.ms)
    await reader.start()
    await publisher.start()
    try:
        standing_of = Standings(reader, night.topics.state).of
        judge = Judge(night.topics.warps, publisher.partitions, standing_of)
        replayer = Replayer(publisher.publish, judge)
        async for one in read_letters(reader, night.topics.dead_letters):
            assert isinstance(one, Found)
            if choice is None or choice.takes(one):
                await replayer.take(one)
        await replayer.flush()
    finally:
        await publisher.close()
        await reader.close()
    return replayer.report


def astray(night: Night, path: Path) -> Outgoing:
    """Return the arrival of a warp on the partition where it does not belong."""
    right = night._record(arrival(path))(2)  # noqa: SLF001 - to put it elsewhere
    return msgspec.structs.replace(right, partition=1 - right.partition)


async def test_a_misrouted_warp_is_cured(tmp_path: Path) -> None:
    """The group that waited for it is published whole, and nothing is left that a replay cures."""
    night = Night(tmp_path, FAST, partitions=2)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(manifest_of(*paths), *events_of(paths[:2]))
        await night.publish_raw(astray(night, paths[2]))
        await night.until(1, "letters")
        assert await night.summaries() == []
        assert (await replay_all(night)).replayed == {"misrouted": 1}
        (summary,) = await night.until(1)
    assert (summary.status, summary.missing) == ("complete", ())
    assert [member.visit for member in summary.members] == [1, 2, 3]
    assert len(await night.letters()) == 1


async def test_a_replay_of_a_replay_changes_nothing(tmp_path: Path) -> None:
    """The same letters again, and again, are the same events: no revision, no model, no letter."""
    night = Night(tmp_path, FAST, partitions=2)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    await night.publish(*events_of(paths[:2]))
    await night.publish_raw(astray(night, paths[2]))
    async with night.running():
        await night.until(1, "letters")
        await replay_all(night)
        await night.publish(closing_of(paths[0]))
        await night.until(1)
        models = await night.models()
        twice = 'evensky_events_total{outcome="duplicate"} 2.0'
        for _ in range(2):
            assert (await replay_all(night)).replayed == {"misrouted": 1}
            night.clock.now += 100  # a change would be published after 10 s of quiet
        await eventually(lambda: twice in night.telemetry.exposition().decode())
        other = write_warp(tmp_path, 9, PATCH=5)
        await night.publish(*events_of([other]), closing_of(other))
        summaries = await night.until(2)  # of the same partition: its group comes behind all that
        night.clock.now += 100
    assert sorted(len(summary.members) for summary in summaries) == [1, 3]
    assert [one.visit for one in models] == [1, 2, 3]
    assert [one for one in await night.models() if one.patch == models[0].patch] == models
    assert len(await night.letters()) == 1


async def test_a_letter_that_came_too_late_makes_an_update(tmp_path: Path) -> None:
    """A warp that is cured after its group was published is in the group's next revision."""
    night = Night(tmp_path, FAST, partitions=2)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(*events_of(paths[:2]), closing_of(paths[0]))
        await night.publish_raw(astray(night, paths[2]))
        await night.until(1)
        await night.until(1, "letters")
        await replay_all(night)
        night.clock.now += 100
        _, update = await night.until(2)
    assert (update.revision, update.kind) == (2, "update")
    assert [member.visit for member in update.members] == [1, 2, 3]


async def test_an_upgraded_service_takes_what_its_forerunner_did_not(tmp_path: Path) -> None:
    """A letter of a release that did not act on a type is cured by one that does."""
    night = Night(tmp_path, FAST, partitions=1)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    closing = night._record(closing_of(paths[0]))(1)  # noqa: SLF001 - as it stood on the input
    letter = schemas.DeadLetter(
        reason=schemas.DeadReason.UNSUPPORTED_TYPE,
        stage="group",
        message="group.closed.v1 is a known type that this release does not act on yet",
        topic=closing.topic,
        partition=0,
        offset=0,
        timestamp=1000,
        key=closing.key,
        headers=closing.headers,
        value=closing.value,
    )
    kept = schemas.encode(letter, id="1", source="test", time="2026-11-23T00:00:00Z")
    await night.publish_raw(
        Outgoing(night.topics.dead_letters, 0, kept.key, kept.value, kept.headers)
    )
    async with night.running():
        await night.publish(*events_of(paths))
        assert (await replay_all(night)).replayed == {"unsupported_type": 1}
        (summary,) = await night.until(1)
    assert summary.trigger == "closed"
