"""The service on a real embedded log: what goes in, what comes out, and what a kill leaves."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

import schemas
from stream.log.embedded import EmbeddedPublisher, EmbeddedReader
from stream.log.seam import Outgoing
from stream.owner import Status
from stream.rebuild import background
from stream.results import MemoryKeeper, Results, Shelf
from tests.stream.night import (
    FAST,
    Clock,
    Night,
    arrival,
    closing_of,
    events_of,
    eventually,
    manifest_of,
    write_warp,
)


async def test_a_group_is_matched_and_published(tmp_path: Path) -> None:
    """A complete group gives one model a warp, a summary that names them, and a metric each."""
    night = Night(tmp_path)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    await night.publish(manifest_of(*paths), *events_of(paths))
    async with night.running():
        (summary,) = await night.until(1)
    models = await night.models()
    assert summary.trigger == "manifest"
    assert summary.status == "complete"
    assert summary.completeness == 1.0
    assert [m.visit for m in models] == [1, 2, 3]
    assert [m.model_id for m in summary.members] == [m.model_id for m in models]
    assert [m.status for m in models].count("reference") == 1


async def test_the_model_levels_the_warp(tmp_path: Path) -> None:
    """What is published is the planted difference, reference minus warp, within its noise."""
    night = Night(tmp_path)
    paths = [write_warp(tmp_path, visit, sky=50.0 * visit) for visit in (1, 2, 3)]
    await night.publish(manifest_of(*paths, reference=2), *events_of(paths))
    async with night.running():
        await night.until(1)
    for model in await night.models():
        if model.model is not None:
            image = background(model.model).image()
            assert image.mean() == pytest.approx(100.0 - 50.0 * model.visit, abs=0.3)
            assert (model.model.x0, model.model.y0) == (100, 200)


async def test_count_completes(tmp_path: Path) -> None:
    """The last of the expected visits completes its group, without any time passing."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    async with night.running():
        await night.publish(*events_of(paths, expected=2))
        (summary,) = await night.until(1)
    assert summary.trigger == "count"


async def test_closing_completes(tmp_path: Path) -> None:
    """Upstream's word that there is no more completes the group as it is."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    async with night.running():
        await night.publish(*events_of(paths), closing_of(paths[0]))
        (summary,) = await night.until(1)
    assert summary.trigger == "closed"


async def test_quiet_completes_by_a_tick(tmp_path: Path) -> None:
    """When nothing more comes, the owner's own tick brings the time that completes the group."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    async with night.running():
        await night.publish(*events_of(paths))
        await asyncio.sleep(0.2)
        assert await night.summaries() == []
        night.clock.now += 61
        (summary,) = await night.until(1)
    assert summary.trigger == "quiet"
    assert summary.completed_at == pytest.approx(night.clock.now - 1, abs=0.01)


async def test_deadline_names_the_missing(tmp_path: Path) -> None:
    """At the deadline a group is published as it is, partial, and who is missing is named."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    manifest = manifest_of(*paths, visits=(1, 2, 5, 9), deadline=30.0)
    async with night.running():
        await night.publish(manifest, *events_of(paths))
        await asyncio.sleep(0.1)
        night.clock.now += 31
        (summary,) = await night.until(1)
    assert (summary.trigger, summary.status) == ("deadline", "partial")
    assert summary.missing == (5, 9)
    assert summary.completeness == 0.5


async def test_one_member_is_incomplete(tmp_path: Path) -> None:
    """A group of one at its deadline has no models, and its only member is named."""
    night = Night(tmp_path, FAST)
    path = write_warp(tmp_path, 4)
    async with night.running():
        await night.publish(arrival(path))
        await asyncio.sleep(0.1)
        night.clock.now += 601
        (summary,) = await night.until(1)
    assert summary.status == "incomplete"
    assert [member.visit for member in summary.members] == [4]
    assert summary.reference == 4
    assert await night.models() == []


async def test_late_warp_makes_an_update(tmp_path: Path) -> None:
    """A late warp is in the next revision, which supersedes the first and is whole by itself."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(*events_of(paths[:2]), closing_of(paths[0]))
        await night.until(1)
        await night.publish(arrival(paths[2]))
        await asyncio.sleep(0.1)
        night.clock.now += 11
        first, second = await night.until(2)
    assert (first.revision, first.kind, first.supersedes) == (1, "initial", None)
    assert (second.revision, second.kind, second.supersedes) == (2, "update", 1)
    assert [member.visit for member in second.members] == [1, 2, 3]
    newest = {model.visit: model for model in await night.models()}
    assert {m.model_id for m in second.members} == {m.model_id for m in newest.values()}


async def test_measurements_are_not_repeated(tmp_path: Path) -> None:
    """An update measures only the warp that is new; the others' statistics were kept."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(*events_of(paths[:2]), closing_of(paths[0]))
        await night.until(1)
    async with night.running():
        await night.publish(arrival(paths[2]))
        await asyncio.sleep(0.1)
        night.clock.now += 11
        await night.until(2)
    measured = sorted(visit for name, visit in night.pool.jobs if name == "measure")
    assert measured == [1, 2, 3]


async def test_replaced_warp_makes_an_update(tmp_path: Path) -> None:
    """A warp that was processed again, announced with a higher version, replaces the first."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    async with night.running():
        await night.publish(*events_of(paths), closing_of(paths[0]))
        await night.until(1)
        again = write_warp(tmp_path, 2, seed=77)
        await night.publish(arrival(again, version=1))
        await asyncio.sleep(0.1)
        night.clock.now += 11
        _, second = await night.until(2)
    digests = {m.visit: m.input_digest for m in await night.models() if m.revision == 2}
    first = {m.visit: m.input_digest for m in await night.models() if m.revision == 1}
    assert second.kind == "update"
    assert set(digests) == {2}
    assert digests[2] != first[2]
    assert second.reference == 1


async def test_a_late_warp_costs_itself(tmp_path: Path) -> None:
    """A visit that comes after its group was published is measured and matched, and nobody else."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(*events_of(paths), closing_of(paths[0]))
        (first,) = await night.until(1)
    night.pool.jobs.clear()
    # In memory, as every service has: the group may freeze just as its measurement ahead has ended.
    night.results = Results([Shelf("memory", MemoryKeeper(1 << 20))])
    for path in paths:
        if arrival(path).visit != first.reference:
            path.rename(path.with_suffix(".away"))  # nobody asks for their pixels any more
    async with night.running():
        await night.publish(arrival(write_warp(tmp_path, 4)))
        night.clock.now += 11
        _, second = await night.until(2)
    assert night.pool.jobs == [("measure", 4), ("match", 4)]
    assert [one.visit for one in await night.models() if one.revision == 2] == [4]
    assert (second.status, second.reference) == ("complete", first.reference)
    assert [one.model_id for one in second.members[:3]] == [one.model_id for one in first.members]


async def test_withdrawn_warp_leaves(tmp_path: Path) -> None:
    """A withdrawn warp is told of once more, as withdrawn, without a model."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    gone = arrival(paths[2])
    withdrawal = schemas.WarpWithdrawn(
        skymap=gone.skymap, tract=7, patch=3, band="r", visit=3, reason="clouds"
    )
    async with night.running():
        await night.publish(manifest_of(*paths, reference=1), *events_of(paths))
        await night.until(1)
        await night.publish(withdrawal)
        await asyncio.sleep(0.1)
        night.clock.now += 11
        _, second = await night.until(2)
    assert {m.visit: m.status for m in second.members} == {
        1: "reference",
        2: "matched",
        3: "withdrawn",
    }


async def test_redelivery_changes_nothing(tmp_path: Path) -> None:
    """The same announcement twice makes neither a member nor a revision more."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    record = night._record(arrival(paths[0]))  # noqa: SLF001 - the very same record twice
    async with night.running():
        await night.publish_raw(record, record)
        await night.publish(arrival(paths[1]), closing_of(paths[0]))
        await night.until(1)
        await night.publish_raw(record)
        night.clock.now += 100
        await asyncio.sleep(0.2)
    assert len(await night.summaries()) == 1
    assert 'evensky_events_total{outcome="duplicate"} 2.0' in night.telemetry.exposition().decode()


async def test_replay_gives_the_same_history(tmp_path: Path) -> None:
    """The log read again from its beginning, with no state, gives the same models and triggers."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    async with night.running():
        await night.publish(*events_of(paths[:2]))
        await asyncio.sleep(0.1)
        night.clock.now += 61
        await night.until(1)
        await night.publish(arrival(paths[2]))
        await asyncio.sleep(0.1)
        night.clock.now += 11
        await night.until(2)
    again = await _replayed(night, tmp_path)
    history = [(s.revision, s.trigger, s.completed_at, s.members) for s in await night.summaries()]
    assert [(s.revision, s.trigger, s.completed_at, s.members) for s in again] == history


async def _replayed(night: Night, tmp_path: Path) -> list[schemas.GroupMatched]:
    """Run the input of one night, stamps and all, through a service with an empty state."""
    other = Night(tmp_path, FAST, clock=Clock())
    other.path = tmp_path / "again.db"
    source = EmbeddedReader(night.path)
    await source.start()
    records = [r async for r in source.read([night.topics.warps], follow=False)]
    await source.close()
    for record in records:
        log = EmbeddedPublisher(
            other.path, other.topics, other.partitions, clock=partial(getattr, record, "timestamp")
        )
        await log.start()
        await log.publish(
            [Outgoing(record.topic, record.partition, record.key, record.value, record.headers)]
        )
        await log.close()
    other.clock.now = night.clock.now
    async with other.running():
        return await other.until(2)


async def test_readiness_and_groups(tmp_path: Path) -> None:
    """A service is ready when each partition is active; its groups can be asked for."""
    night = Night(tmp_path, FAST)
    path = write_warp(tmp_path, 1)
    async with night.running() as service:
        await night.publish(arrival(path))
        await eventually(lambda: not (service.unready() or not service.groups("open", 10)))
        (group,) = service.groups("open", 10)
        assert group["group"] == "live/rings/7/3/r"
        assert (group["members"], group["storage"]) == (1, {})
        assert service.snapshot().groups_open == 1
        assert service.find("live/rings/7/3/r") is not None
        assert service.find("no/such/1/2/group") is None


def test_status_words() -> None:
    """The words that readiness shows are fixed."""
    assert [str(status) for status in Status] == ["restoring", "active", "lost"]
