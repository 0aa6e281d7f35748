"""The service on a real embedded log: what goes in, what comes out, and what a kill leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest

import schemas
from core import groups
from stream.announce import closings, manifests
from stream.describe import Described
from stream.fits import WarpError, WarpFault
from stream.log.embedded import EmbeddedPublisher, EmbeddedReader
from stream.log.seam import LogRefusedError, Outgoing, OwnerLog, PartitionLostError
from stream.owner import Status
from stream.rebuild import background
from tests.stream.night import Clock, Night, arrival, events_of, eventually, write_warp

FAST = groups.Policy(
    quorum=2,
    quiet_ms=60_000,
    deadline_ms=600_000,
    update_quiet_ms=10_000,
    update_max_ms=30_000,
)


def manifest_of(*paths: Path, **changes: object) -> schemas.GroupManifest:
    """Return the manifest that names exactly these files."""
    described = [Described(path, arrival(path)) for path in paths]
    (manifest,) = manifests(described)
    return msgspec.structs.replace(manifest, **changes)


def closing_of(path: Path) -> schemas.GroupClosed:
    """Return the message that closes a file's group."""
    (closing,) = closings([Described(path, arrival(path))])
    return closing


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
    assert digests[1] == first[1]
    assert digests[2] != first[2]


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


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:9000]), "checksum"),
    ],
    ids=["missing", "changed"],
)
async def test_a_bad_warp_fails_alone(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    """A warp that cannot be read is named as failed with its reason, and the others are matched."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    events = events_of(paths)
    damage(paths[1])
    async with night.running():
        await night.publish(*events, closing_of(paths[0]))
        (summary,) = await night.until(1)
    status = {member.visit: member.status for member in summary.members}
    assert status[2] == "failed"
    assert sorted([status[1], status[3]]) == ["matched", "reference"]
    assert summary.status == "partial"
    (bad,) = [model for model in await night.models() if model.visit == 2]
    assert bad.reason is not None
    assert bad.reason.startswith(reason)
    assert bad.model is None


async def test_a_foreign_file_fails_alone(tmp_path: Path) -> None:
    """A file that is no warp is told from one, and costs nobody else anything."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    foreign = tmp_path / "picture.png"
    foreign.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))
    event = arrival(paths[0], visit=8, uri=foreign.as_uri(), size=None, checksum=_sha(foreign))
    async with night.running():
        await night.publish(*events_of(paths), event, closing_of(paths[0]))
        await night.until(1)
    (bad,) = [model for model in await night.models() if model.visit == 8]
    assert bad.reason is not None
    assert bad.reason.startswith("not_fits")


async def test_no_overlap_is_a_status(tmp_path: Path) -> None:
    """A warp that shares no pixel with the reference has the status no_overlap and no model."""
    night = Night(tmp_path, FAST)
    whole = [write_warp(tmp_path, visit, keep=slice(0, 40)) for visit in (1, 2)]
    apart = write_warp(tmp_path, 3, keep=slice(44, 64))
    async with night.running():
        await night.publish(manifest_of(*whole, apart, reference=1), *events_of([*whole, apart]))
        (summary,) = await night.until(1)
    status = {member.visit: member.status for member in summary.members}
    assert status == {1: "reference", 2: "matched", 3: "no_overlap"}


async def test_another_unit_fails_alone(tmp_path: Path) -> None:
    """A difference of two units means nothing, so it is not made."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, 1), write_warp(tmp_path, 2, BUNIT="adu")]
    async with night.running():
        await night.publish(manifest_of(*paths, reference=1), *events_of(paths))
        await night.until(1)
    (bad,) = [model for model in await night.models() if model.visit == 2]
    assert bad.status == "failed"
    assert bad.reason is not None
    assert bad.reason.startswith("wrong_unit")


async def test_unreadable_reference_is_replaced(tmp_path: Path) -> None:
    """When the chosen reference cannot be read for the match, another is chosen."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    chosen: list[int] = []

    def lose_the_reference(name: str, visit: int) -> None:
        if name == "match" and not chosen:
            chosen.append(visit)
            raise WarpError(WarpFault.INTERNAL, "not now")

    night.pool.before = lose_the_reference
    events = events_of(paths)
    async with night.running():
        await night.publish(*events, closing_of(paths[0]))
        (summary,) = await night.until(1)
    assert sorted(member.status for member in summary.members) == ["failed", "matched", "reference"]


async def test_dead_letters_keep_everything(tmp_path: Path) -> None:
    """What cannot be read is kept with its bytes, reason and place, and the stream goes on."""
    night = Night(tmp_path, FAST, partitions=1)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    junk = Outgoing(night.topics.warps, 0, b"a/b/1/2/r", b"\xc1junk", (("ce_id", b"7"),))
    async with night.running():
        await night.publish_raw(junk)
        await night.publish(*events_of(paths), closing_of(paths[0]))
        await night.until(1)
        (letter,) = await night.until(1, "letters")
    assert (letter.topic, letter.partition, letter.offset) == (night.topics.warps, 0, 0)
    assert (letter.key, letter.value) == (b"a/b/1/2/r", b"\xc1junk")
    assert letter.reason is schemas.DeadReason.BAD_HEADERS
    text = night.telemetry.exposition().decode()
    assert 'evensky_dead_letters_total{reason="bad_headers"} 1.0' in text


async def test_misrouted_records_are_dead(tmp_path: Path) -> None:
    """A record on another partition than its key's is not acted on, since its order is unknown."""
    night = Night(tmp_path, FAST, partitions=2)
    path = write_warp(tmp_path, 1)
    right = night._record(arrival(path))(2)  # noqa: SLF001 - to put it elsewhere
    wrong = dataclasses.replace(right, partition=1 - right.partition)
    async with night.running():
        await night.publish_raw(wrong)
        (letter,) = await night.until(1, "letters")
    assert letter.reason is schemas.DeadReason.MISROUTED
    assert str(right.partition) in letter.message


async def test_a_second_start_goes_on(tmp_path: Path) -> None:
    """What was due at a stop is published by the next start, once."""
    night = Night(tmp_path, FAST)
    night.limits = dataclasses.replace(night.limits, grace_s=0.1)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2, 3)]
    night.pool.gate.clear()
    async with night.running() as service:
        await night.publish(manifest_of(*paths), *events_of(paths))
        await eventually(lambda: service.snapshot().groups_due)
    assert await night.summaries() == []
    night.pool.gate.set()
    async with night.running():
        await night.until(1)
        await asyncio.sleep(0.2)
    assert len(await night.summaries()) == 1
    assert len(await night.models()) == 3


async def test_a_gentle_stop_finishes_what_runs(tmp_path: Path) -> None:
    """A stop within the grace time lets the running group be published."""
    night = Night(tmp_path, FAST)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    night.pool.gate.clear()
    async with night.running() as service:
        await night.publish(manifest_of(*paths), *events_of(paths))
        await eventually(lambda: night.pool.jobs)
        service.stop()
        asyncio.get_running_loop().call_later(0.3, night.pool.gate.set)
    assert len(await night.summaries()) == 1


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


class _Doubtful:
    """A log whose publish commits end in doubt: written or not, nobody knows."""

    def __init__(self, log: OwnerLog, *, written: bool) -> None:
        self._log = log
        self._written = written
        self.doubts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def transact(
        self, partition: int, records: Sequence[Outgoing], next_offset: int | None = None
    ) -> None:
        doubtful = any(record.topic.endswith(".groups") for record in records) and not self.doubts
        if doubtful:
            self.doubts += 1
        if not doubtful or self._written:
            await self._log.transact(partition, records, next_offset)
        if doubtful:
            raise PartitionLostError(partition, "the answer was lost")


@pytest.mark.parametrize("written", [True, False])
async def test_a_commit_in_doubt_is_settled_by_the_log(tmp_path: Path, written: bool) -> None:
    """After an unknown outcome the partition is dropped, and the next owner publishes once."""
    night = Night(tmp_path, FAST)
    night.wrap = lambda log: _Doubtful(log, written=written)  # type: ignore[assignment,return-value]  # a stand-in
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    async with night.running() as service:
        await night.publish(manifest_of(*paths), *events_of(paths))
        await eventually(lambda: any("lost" in why for why in service.unready().values()))
    night.wrap = lambda log: log
    async with night.running():
        await night.until(1)
        await asyncio.sleep(0.2)
    assert len(await night.summaries()) == 1
    assert len(await night.models()) == 2


async def test_changed_partition_count_is_refused(tmp_path: Path) -> None:
    """A state that was written for another number of partitions must not be read as ours."""
    night = Night(tmp_path, FAST, partitions=1)
    position = schemas.Position(next_offset=0, partitions=5)
    async with night.running():
        await asyncio.sleep(0.1)
    state = Outgoing(night.topics.state, 0, schemas.POSITION_KEY, schemas.pack_position(position))
    await night.publish_raw(state)
    with pytest.raises(LogRefusedError, match="5 partitions"):
        await night.service().run()


async def test_readiness_and_groups(tmp_path: Path) -> None:
    """A service is ready when each partition is active; its groups can be asked for."""
    night = Night(tmp_path, FAST)
    path = write_warp(tmp_path, 1)
    async with night.running() as service:
        await night.publish(arrival(path))
        await eventually(lambda: not (service.unready() or not service.groups("open", 10)))
        (group,) = service.groups("open", 10)
        assert group["group"] == "live/rings/7/3/r"
        assert group["members"] == 1
        assert service.snapshot().groups_open == 1
        assert service.find("live/rings/7/3/r") is not None
        assert service.find("no/such/1/2/group") is None


async def test_backlog_pauses_the_input(tmp_path: Path) -> None:
    """More due work than the bound stops the intake, and it goes on when the work is done."""
    night = Night(tmp_path, FAST, partitions=1)
    night.limits = dataclasses.replace(night.limits, due_revisions=1)
    night.pool.gate.clear()
    bands = ("u", "g", "r", "i")
    paths = [write_warp(tmp_path, visit, BAND=band) for band in bands for visit in (1, 2)]
    async with night.running() as service:
        await night.publish(*events_of(paths, expected=2))
        await eventually(lambda: service.snapshot().paused["backlog"])
        night.pool.gate.set()
        await night.until(4)
        await eventually(lambda: not (service.snapshot().paused["backlog"]))


async def test_a_mistake_of_ours_ends_the_service(tmp_path: Path) -> None:
    """What goes wrong in a task and is nobody's data is not swallowed."""
    night = Night(tmp_path, FAST)

    def break_down(_name: str, _visit: int) -> None:
        raise ZeroDivisionError

    night.pool.before = break_down
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    await night.publish(manifest_of(*paths), *events_of(paths))
    with pytest.raises(ZeroDivisionError):
        await night.service().run()


def test_status_words() -> None:
    """The words that readiness shows are fixed."""
    assert [str(status) for status in Status] == ["restoring", "active", "lost"]


def _sha(path: Path) -> str:

    return hashlib.sha256(path.read_bytes()).hexdigest()
