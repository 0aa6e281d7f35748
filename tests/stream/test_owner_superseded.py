"""Frozen members that were withdrawn or replaced since: what is lost never blocks a group."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

import core
import schemas
from stream import jobs
from tests.stream.chaos import StubPool
from tests.stream.night import FAST
from tests.stream.ownerbench import GROUP, Bench, arrived


@dataclass
class StuckPool(StubPool):
    """A pool in which the jobs on some warps do not end by themselves."""

    stuck: set[tuple[str, str]] = field(default_factory=set)
    held: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, function: Any, /, *args: Any) -> Any:
        """Answer, or wait for ever."""
        warps = [one for one in args if isinstance(one, jobs.WarpInput)]
        named = (function.__name__, warps[-1].checksum)
        if named in self.stuck:
            self.held.append(named)
            self.moved.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(named)
                raise
        answer = await super().run(function, *args)
        self.moved.set()
        return answer

    async def until(self, held: int, done: int) -> None:
        """Wait until so many jobs hang, and so many are done."""
        while len(self.held) < held or len(self.jobs) < done:
            self.moved.clear()
            await self.moved.wait()


def job(name: str, visit: int) -> tuple[str, str]:
    """Return a job as the pool knows it."""
    return name, arrived(visit).checksum


async def frozen_with(*stuck: tuple[str, int]) -> tuple[Bench, StuckPool]:
    """Freeze a group of visits 3, 4 and 5 in which some jobs hang; 3 is the best reference."""
    pool = StuckPool(Random(1), stuck={job(*one) for one in stuck})  # noqa: S311 - chance again
    bench = Bench(core.VerdictProfile.NONE, FAST, pool)
    await bench.owner.take_over()
    bench.say(*[arrived(visit, expected=3) for visit in (3, 4, 5)])
    await bench.hear()
    return bench, pool


def withdrawn(visit: int) -> schemas.WarpWithdrawn:
    """Return the withdrawal of a visit."""
    return schemas.WarpWithdrawn(**GROUP, visit=visit, reason="clouds")


def statuses(bench: Bench) -> dict[int, str]:
    """Return what became of the members of the first revision."""
    return {one.visit: one.status for one in bench.summaries[0].members}


@pytest.mark.parametrize("change", [withdrawn(5), arrived(5, name="bb", version=1)])
@pytest.mark.parametrize(("name", "done"), [("measure", 2), ("match", 4)])
async def test_its_unfinished_job_ends_at_once(
    change: schemas.Message, name: str, done: int
) -> None:
    """The job of a member that is withdrawn or replaced is cancelled, and all others are done."""
    bench, pool = await frozen_with((name, 5))
    await pool.until(1, done)
    await bench.live(change)
    assert pool.cancelled == [job(name, 5)]
    assert statuses(bench) == {3: "reference", 4: "matched", 5: "failed"}
    (failed,) = [one for one in bench.summaries[0].members if one.status == "failed"]
    assert failed.reason is not None
    assert failed.reason.startswith("superseded: ")


async def test_the_frozen_set_stays() -> None:
    """What was frozen is what is published; the withdrawal is in the revision after it."""
    bench, pool = await frozen_with(("measure", 5))
    await pool.until(1, 2)
    await bench.live(withdrawn(5))
    (first,) = bench.summaries
    assert [one.visit for one in first.members] == [3, 4, 5]
    assert first.status == "partial"
    await bench.update()
    assert [one.visit for one in bench.summaries[1].members] == [3, 4, 5]
    assert bench.summaries[1].members[2].status == "withdrawn"
    assert bench.summaries[1].status == "complete"


async def test_what_is_done_stays_done() -> None:
    """A member whose jobs are over when it is withdrawn is published as it was found."""
    bench, pool = await frozen_with(("match", 5))
    await pool.until(1, 4)
    for _ in range(5):
        await asyncio.sleep(0)  # from the pool to who waits for it
    bench.say(withdrawn(4))
    await bench.hear()
    assert pool.cancelled == []
    await bench.live(withdrawn(5))
    assert statuses(bench) == {3: "reference", 4: "matched", 5: "failed"}


async def test_another_reference_is_chosen() -> None:
    """When the reference goes while matches to it run, all are made to another one."""
    bench, pool = await frozen_with(("match", 5))
    await pool.until(1, 4)
    pool.stuck.clear()
    await bench.live(withdrawn(3))
    assert statuses(bench) == {3: "failed", 4: "reference", 5: "matched"}
    assert pool.cancelled == [job("match", 5)]
    assert {one.reference for one in bench.models} == {4}


async def test_nothing_is_begun_for_who_is_gone() -> None:
    """What was withdrawn before its revision's turn came is not even asked for."""
    bench, _ = await frozen_with()
    bench.say(withdrawn(5))
    await bench.hear()
    await bench.done()
    assert statuses(bench)[5] == "failed"
    assert arrived(5).checksum not in {checksum for _, checksum in bench.jobs()}


async def test_the_next_owner_knows_who_is_gone() -> None:
    """After a restart the jobs of who was withdrawn since the freeze are not begun again."""
    bench, pool = await frozen_with(("measure", 5))
    bench.owner.lose("it was revoked")
    await bench.done()
    bench.say(withdrawn(5))
    pool.held.clear()
    await bench.anew().take_over()
    await bench.owner.ingest(bench.log.kept[bench.log.topics.warps, 0][3:])
    await bench.done()
    assert statuses(bench)[5] == "failed"
    assert bench.owner.due == 0


async def test_all_are_gone() -> None:
    """A revision of which every member was withdrawn is published, without a reference."""
    bench, pool = await frozen_with(*[("measure", visit) for visit in (3, 4, 5)])
    await pool.until(3, 0)
    await bench.live(*map(withdrawn, (3, 4, 5)))
    assert bench.summaries[0].reference is None
    assert set(statuses(bench).values()) == {"failed"}
    await bench.update()
    assert bench.summaries[1].status == "retracted"


async def test_a_partition_that_goes_in_the_very_commit() -> None:
    """An owner that is lost while a withdrawal is committed leaves the rest to the next one."""
    bench, pool = await frozen_with(("match", 5))
    await pool.until(1, 4)
    bench.log.before = lambda _: bench.owner.lose("it was revoked")
    bench.say(withdrawn(5))
    await bench.hear()
    bench.log.before = lambda _: None
    await bench.done()
    assert bench.summaries == []
    await bench.anew().take_over()
    await bench.done()
    assert statuses(bench)[5] == "failed"


async def test_a_lost_owner_still_ends_its_jobs() -> None:
    """Being recalled does not shield a job from the end of its owner."""
    bench, pool = await frozen_with(("match", 5))
    await pool.until(1, 4)
    bench.say(withdrawn(5))
    hearing = asyncio.create_task(bench.hear())
    bench.owner.lose("it was revoked")
    await hearing
    await bench.done()
    assert bench.summaries == []
    assert all(task.cancelled() for task in bench.tasks)
