"""A partition that is lost while its jobs run, and comes back: nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

import core
import schemas
from stream import jobs
from stream.ledger import Ledger
from stream.results import MemoryKeeper, Results, Shelf
from stream.suspects import Watch
from tests.stream.chaos import StubPool
from tests.stream.night import FAST, eventually
from tests.stream.ownerbench import Bench, arrived, whole

PATCHES = range(4)


@dataclass
class GatedPool(StubPool):
    """A pool in which jobs wait for a gate, and are noted when they begin and are cancelled."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[tuple[str, str]] = field(default_factory=list)
    cancelled: int = 0

    async def run(self, function: Any, /, *args: Any) -> Any:
        """Answer once the gate is open."""
        warps = [one for one in args if isinstance(one, jobs.WarpInput)]
        self.begun.append((function.__name__, warps[-1].checksum))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().run(function, *args)

    async def until(self, begun: int) -> None:
        """Wait until so many jobs have begun."""
        await eventually(lambda: len(self.begun) >= begun)


class Noted(MemoryKeeper):
    """A place that says how many results it was given."""

    def __init__(self) -> None:
        super().__init__(2**20)
        self.names: set[str] = set()

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes."""
        await super().put(name, data)
        self.names.add(name)


def gated() -> tuple[Bench, GatedPool]:
    """Return an owner whose jobs wait."""
    pool = GatedPool(Random(1))  # noqa: S311 - chance that can be had again
    return Bench(core.VerdictProfile.NONE, FAST, pool), pool


def kept(bench: Bench, watch: Watch | None = None) -> Noted:
    """Keep results as a service without a folder does."""
    keeper = Noted()
    results = Results([Shelf("memory", keeper)])
    bench.runner.equip(results, watch or Watch(lambda _: FAST, lambda: 0.0))
    return keeper


@pytest.mark.parametrize("wrote", [False, True])
async def test_memory_is_the_state_if_nobody_else_has_written(wrote: bool) -> None:
    """A partition that comes back is read back only if its changelog has grown meanwhile."""
    bench = Bench()
    await bench.owner.take_over()
    await bench.live(*whole(0))
    lost = bench.owner
    lost.lose("it was revoked")
    if wrote:
        await bench.anew().take_over()
        await bench.live(*whole(1))
    ours, theirs = bench.anew(), bench.anew()
    ours.left = lost.left
    await ours.take_over()
    await theirs.take_over()
    assert (ours.state is lost.state) is not wrote
    assert ours.state.groups == theirs.state.groups
    assert (ours.state.clock, ours.position) == (theirs.state.clock, theirs.position)


async def test_what_is_half_written_is_read_back() -> None:
    """A partition that goes in the midst of a transaction leaves nothing to go on from."""
    bench = Bench()
    await bench.owner.take_over()
    bench.log.before = lambda _: bench.owner.lose("it was revoked")
    await bench.live(*whole(0))
    assert bench.owner.left is None


def others(patch: int, visits: Sequence[int]) -> list[schemas.WarpArrived]:
    """Return the warps that complete a group, like those of no other."""
    size = len(visits)
    return [arrived(visit, patch, name=f"{patch:02x}", expected=size) for visit in visits]


async def begun(*messages: schemas.Message, running: int = 2) -> tuple[Bench, GatedPool]:
    """Begin a group's jobs."""
    bench, pool = gated()
    kept(bench)
    await bench.owner.take_over()
    bench.say(*(messages or whole()))
    await bench.hear()
    await pool.until(running)
    return bench, pool


async def lose(bench: Bench) -> None:
    """Lose the partition, and let all that waited for its jobs end."""
    bench.owner.lose("a test")
    await asyncio.gather(*bench.tasks, return_exceptions=True)


def published(bench: Bench) -> Sequence[bytes]:
    """Return the models as bytes."""
    return [schemas.encode_value(model) for model in bench.models]


async def unhurried() -> Sequence[bytes]:
    """Return the models of the same group when nothing is lost."""
    bench, pool = gated()
    pool.gate.set()
    await bench.owner.take_over()
    await bench.live(*whole())
    return published(bench)


async def test_a_partition_that_comes_back_joins_its_running_jobs() -> None:
    """Lost and regained, once and again: one run of each job, and the same bytes."""
    bench, pool = await begun()
    for _ in range(3):
        await lose(bench)
        await bench.anew().take_over()
    pool.gate.set()
    await bench.done()
    assert (pool.cancelled, len(pool.begun), len(set(pool.begun))) == (0, 3, 3)
    assert published(bench) == await unhurried()


async def test_what_was_finished_meanwhile_is_used() -> None:
    """A job that ends while its partition is away is not done again when that comes back."""
    bench, pool = await begun()
    keeper = kept(bench)
    await lose(bench)
    pool.gate.set()
    await eventually(lambda: len(keeper.names) == 2)
    await bench.anew().take_over()
    await bench.done()
    assert len(pool.begun) == len(set(pool.begun)) == 3
    assert published(bench) == await unhurried()


async def test_what_has_no_slot_is_dropped() -> None:
    """Of a lost partition only as many jobs go on as there are slots."""
    messages = [one for patch in PATCHES for one in others(patch, (1, 2))]
    bench, pool = await begun(*messages, running=4)
    await lose(bench)
    pool.gate.set()
    await eventually(lambda: len(pool.jobs) == 4)
    assert (len(pool.begun), pool.cancelled) == (4, 0)


async def test_the_end_of_the_workshop_ends_them() -> None:
    """What a lost partition left running ends with the workshop."""
    bench, pool = await begun()
    await lose(bench)
    await bench.shared.workshop.close()
    assert pool.cancelled == len(pool.begun) == 2


async def test_a_job_is_listed_once_for_as_long_as_it_runs(tmp_path: Path) -> None:
    """Whoever joins or leaves: the ledger holds each running job once, and none that is over."""
    bench, pool = gated()
    watch = Watch(lambda _: FAST, lambda: 0.0)
    ledger = Ledger(tmp_path, "test")
    watch.begin(ledger, frozenset())
    kept(bench, watch)
    await bench.owner.take_over()
    bench.say(*whole())
    await bench.hear()
    await pool.until(2)
    for _ in range(2):
        await lose(bench)
        assert len(listed(ledger)) == 2
        await bench.anew().take_over()
        assert len(listed(ledger)) == 2
    pool.gate.set()
    await bench.done()
    assert listed(ledger) == []
    ledger.close()


def listed(ledger: Ledger) -> list[str]:
    """Return the pages of the file that name a job."""
    return [one for one in ledger.path.read_text().split("\n") if one]


async def test_the_oldest_revision_goes_first() -> None:
    """The first groups are matched before the last ones are measured."""
    bench, pool = gated()
    pool.gate.set()
    await bench.owner.take_over()
    for patch in range(12):
        bench.clock.now += 1
        bench.say(*others(patch, (3, 4, 5, 6)))
    await bench.live()
    names = [name for name, _ in pool.begun]
    assert (names.count("measure"), names.count("match")) == (48, 36)
    assert names.index("match") < 24
    assert len(bench.summaries) == 12
