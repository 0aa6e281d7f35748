"""The service when something is wrong: data, records, commits, stops."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest
import structlog

import schemas
from stream.fits import WarpError, WarpFault
from stream.log.seam import LogRefusedError, Outgoing, OwnerLog, PartitionLostError
from tests.stream.night import (
    FAST,
    Night,
    arrival,
    closing_of,
    events_of,
    eventually,
    manifest_of,
    write_larger_warp,
    write_warp,
)


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


async def test_another_shape_fails_alone(tmp_path: Path) -> None:
    """The largest warp has the least cost, and is refused; its neighbours are matched."""
    night = Night(tmp_path, FAST)
    paths = [write_larger_warp(tmp_path, 1), *(write_warp(tmp_path, v) for v in (2, 3))]
    async with night.running():
        await night.publish(manifest_of(*paths), *events_of(paths))
        (summary,) = await night.until(1)
    status = {member.visit: member.status for member in summary.members}
    assert status == {1: "failed", 2: "reference", 3: "matched"}
    assert summary.members[0].reason == (
        "wrong_shape: it has 96 x 96 pixels at (100, 200), "
        "and its group 64 x 64 pixels at (100, 200)"
    )


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


async def test_a_flood_of_poison_does_not_fill_the_logs(tmp_path: Path) -> None:
    """Every dead letter is counted, and a batch of them is one line of the log."""
    night = Night(tmp_path, FAST, partitions=1)
    junk = Outgoing(night.topics.warps, 0, b"k", b"junk", ())
    await night.publish_raw(*[junk] * 50)
    with structlog.testing.capture_logs() as lines:
        async with night.running():
            await night.until(50, "letters")
    told = [line for line in lines if line["event"] == "dead letters"]
    assert [(line["count"], line["first_offset"]) for line in told] == [(50, 0)]
    text = night.telemetry.exposition().decode()
    assert 'evensky_dead_letters_total{reason="bad_headers"} 50.0' in text


async def test_misrouted_records_are_dead(tmp_path: Path) -> None:
    """A record on another partition than its key's is not acted on, since its order is unknown."""
    night = Night(tmp_path, FAST, partitions=2)
    path = write_warp(tmp_path, 1)
    right = night._record(arrival(path))(2)  # noqa: SLF001 - to put it elsewhere
    wrong = msgspec.structs.replace(right, partition=1 - right.partition)
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


class _Doubtful:
    """A log whose publish commits end in doubt: written or not, nobody knows."""

    def __init__(self, log: OwnerLog, *, written: bool) -> None:
        self._log = log
        self._written = written
        self.doubts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> None:
        records = list(records)
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


def _sha(path: Path) -> str:

    return hashlib.sha256(path.read_bytes()).hexdigest()
