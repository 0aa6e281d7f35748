"""Work ahead: it changes when a model appears, never what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from core import groups
from stream import fits, jobs
from stream.foresight import AheadLimits, Foresight
from stream.owner import Owner
from stream.pool import WorkerPool
from stream.results import MemoryKeeper, Results, Shelf
from stream.runner import Pool, Runner
from stream.suspects import Watch
from stream.workshop import Workshop
from tests.stream.chaos import Script, StubPool, StubStore
from tests.stream.night import CONFIG, Night, arrival, eventually, write_warp
from tests.stream.ownerbench import GROUP, KEY, Bench, arrived

PLACE = "live/rings/7/3/r"
OFF = AheadLimits(groups=0)
STANDING = groups.Policy(
    quorum=3, quiet_ms=None, deadline_ms=600_000, update_quiet_ms=10_000, update_max_ms=30_000
)


class Gate(StubPool):
    """A pool whose jobs wait, by kind, until they are let go."""

    def __init__(self) -> None:
        super().__init__(Random(2))  # noqa: S311 - chance that can be had again
        self.open = {"measure": asyncio.Event(), "match": asyncio.Event()}
        self.broken: set[str] = set()
        self.begun: list[tuple[str, str]] = []
        self.ended: list[str] = []

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Wait for the gate, then answer."""
        visits = [one.visit for one in args if isinstance(one, jobs.WarpInput)]
        self.begun.append((function.__name__, args[len(visits) - 1].checksum))
        try:
            await self.open[function.__name__].wait()
        except asyncio.CancelledError:
            self.ended.append(function.__name__)
            raise
        if function.__name__ in self.broken:
            self.jobs.append((function.__name__, args[len(visits) - 1].checksum))
            return jobs.JobFault(visits[-1], "missing", "it is not there yet")
        return await super().run(function, *args)


class Stuck(Gate):
    """A pool in which the matches to one reference wait until they are let loose."""

    def __init__(self, reference: str) -> None:
        super().__init__()
        for gate in self.open.values():
            gate.set()
        self.reference = reference
        self.loose = asyncio.Event()

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Wait, then answer."""
        if function is not jobs.match or args[0].checksum != self.reference:
            return await super().run(function, *args)
        self.begun.append((function.__name__, args[1].checksum))
        try:
            return await self.loose.wait()
        except asyncio.CancelledError:
            self.ended.append(function.__name__)
            raise


async def settled() -> None:
    """Let everything go as far as it can without a job's end."""
    for _ in range(30):
        await asyncio.sleep(0)


def opened(*kinds: str) -> Bench:
    """Return a bench whose pool has its gates open, or those that are named."""
    pool = Gate()
    for kind in kinds or ("measure", "match"):
        pool.open[kind].set()
    return Bench(pool=pool, policy=STANDING)


def of(jobs_done: Sequence[tuple[str, str]], kind: str) -> list[str]:
    """Return the checksums of the jobs of a kind, ascending."""
    return sorted(checksum for name, checksum in jobs_done if name == kind)


def checksums(*visits: int) -> list[str]:
    """Return the checksums of some visits' warps."""
    return [arrived(visit).checksum for visit in visits]


@pytest.fixture
async def bench() -> Bench:
    """Return an owner that has taken over, with jobs that run at once."""
    made = opened()
    await made.owner.take_over()
    return made


async def test_all_is_there_when_the_last_one_comes(bench: Bench) -> None:
    """At completion only what the last arrival needs is computed."""
    await bench.live(*(arrived(visit) for visit in (3, 4, 5, 6)))
    before = bench.jobs()
    assert of(before, "measure") == checksums(3, 4, 5, 6)
    await bench.live(arrived(7, expected=5))
    assert len(bench.models) == 5
    assert bench.models[0].reference == 3
    assert bench.jobs() == [("measure", *checksums(7)), ("match", *checksums(7))]
    assert bench.owner.ahead.asked == bench.owner.ahead.at_work == 0


async def test_measurements_are_durable_in_few_transactions(bench: Bench) -> None:
    """What was measured ahead is in the state after a restart, and was written in batches."""
    await bench.live(*(arrived(visit) for visit in range(3, 16)))
    writes = sum(
        (record.key or b"").startswith(b"M|") for record in bench.log.kept["evensky.state", 0]
    )
    assert writes == 26
    written = 'evensky_transactions_total{kind="results",outcome="committed"}'
    assert bench.told(written) < 13
    bench.jobs()
    await bench.anew().take_over()
    await bench.done()
    assert of(bench.jobs(), "measure") == []
    members = bench.owner.state.groups[KEY].members.values()
    assert all(member.measurement is not None for member in members)


async def test_due_work_joins_and_passes_what_is_ahead() -> None:
    """A job begun ahead is not done twice, and one that waits is brought forward once it is due."""
    bench = opened("match")
    assert isinstance(bench.pool, Gate)
    await bench.owner.take_over()
    bench.say(*(arrived(visit, 0, "bb") for visit in range(3, 13)), arrived(3, 1), arrived(4, 1))
    await bench.hear()
    await settled()
    assert len(bench.pool.begun) == 4  # slots
    bench.say(arrived(5, 1, expected=3))
    await bench.hear()
    await settled()
    bench.pool.open["measure"].set()
    await bench.done()
    begun = [c for name, c in bench.pool.begun if name == "measure"]
    assert sorted(begun[4:7]) == checksums(3, 4, 5)  # the last ones that were asked for
    assert len(begun) == len(set(begun)) == 13
    assert bench.revisions() == [(1, 1)]


async def test_a_fault_ahead_is_none_when_due() -> None:
    """What failed ahead is not tried over and over, and is tried again by its revision."""
    bench = opened()
    assert isinstance(bench.pool, Gate)
    await bench.owner.take_over()
    await bench.live(*(arrived(visit) for visit in (3, 4, 5, 6)))
    bench.jobs()
    bench.pool.broken = {"measure", "match"}
    await bench.live(arrived(7), arrived(8))
    assert bench.jobs() == [("measure", *checksums(7)), ("measure", *checksums(8))]
    assert bench.owner.state.groups[KEY].members[7].measurement is None
    bench.pool.broken = {"match"}
    await bench.live(arrived(9))
    assert of(bench.jobs(), "match") == checksums(9)
    bench.pool.broken = set()
    await bench.live(schemas.GroupClosed(**GROUP, version=1))
    assert of(bench.jobs(), "match") == checksums(7, 8, 9)
    assert {model.status for model in bench.models} == {"matched", "reference"}


@pytest.mark.parametrize(
    "change",
    [
        schemas.WarpWithdrawn(**GROUP, visit=3, version=1, reason="clouds"),
        arrived(3, name="bb", version=1),
        schemas.JobSuspected(**GROUP, visit=3, job="ab" * 32, alone=False),
    ],
    ids=["withdrawn", "replaced", "suspected"],
)
async def test_a_warp_that_is_taken_back_ends_its_jobs(change: schemas.Message) -> None:
    """The job on a warp that was withdrawn, replaced or suspected ends at once, others go on."""
    bench = opened("match")
    assert isinstance(bench.pool, Gate)
    await bench.owner.take_over()
    bench.say(arrived(3), arrived(4))
    await bench.hear()
    await settled()
    bench.clock.now += 1
    bench.say(change)
    await bench.hear()
    await settled()
    assert bench.pool.ended == ["measure"]
    bench.pool.open["measure"].set()
    await bench.done()
    found = bench.owner.state.groups[KEY].members[3].measurement
    assert (found is not None) == isinstance(change, schemas.WarpArrived)
    assert bench.owner.state.groups[KEY].members[4].measurement is not None


async def test_what_a_revision_does_not_hold_is_not_gone_on_with() -> None:
    """At a freeze the jobs on warps that the revision has no use for end."""
    bench = opened("match")
    assert isinstance(bench.pool, Gate)
    await bench.owner.take_over()
    bench.say(arrived(3), arrived(4), arrived(5))
    await bench.hear()
    await settled()
    bench.say(schemas.GroupManifest(**GROUP, version=1, visits=(3, 4)))
    await bench.hear()
    await settled()
    assert bench.pool.ended == ["measure"]
    bench.pool.open["measure"].set()
    await bench.done()
    assert [member.visit for member in bench.summaries[0].members] == [3, 4]


async def test_a_lost_partition_lets_begun_jobs_go_on() -> None:
    """What runs when the partition is lost is joined by who has it next, and not done twice."""
    bench = opened("match")
    assert isinstance(bench.pool, Gate)
    await bench.owner.take_over()
    bench.say(arrived(3), arrived(4))
    await bench.hear()
    await settled()
    bench.owner.lose("it was revoked")
    await settled()
    assert bench.pool.ended == []
    await bench.anew().take_over()
    await settled()
    bench.pool.open["measure"].set()
    await bench.done()
    assert of(bench.pool.begun, "measure") == checksums(3, 4)


async def test_no_more_is_asked_for_than_is_allowed() -> None:
    """So many groups are worked on at once, and so many jobs of each."""
    bench = Bench(pool=Gate(), policy=STANDING, foresight=Foresight(AheadLimits(2, 3)))
    await bench.owner.take_over()
    bench.say(*(arrived(visit, patch, f"a{patch}") for patch in range(4) for visit in range(3, 12)))
    await bench.hear()
    await settled()
    assert (bench.owner.ahead.at_work, bench.owner.ahead.asked) == (2, 6)
    assert isinstance(bench.pool, Gate)
    for gate in bench.pool.open.values():
        gate.set()
    await bench.done()
    assert len(of(bench.pool.jobs, "measure")) == 36
    assert len(of(bench.pool.jobs, "match")) == 32


async def test_what_arrives_need_not_wait_for_jobs_under_way() -> None:
    """A warp is measured, and asked to be matched, while matches that were asked before it run."""
    bench = opened("measure")
    pool = bench.pool
    assert isinstance(pool, Gate)
    await bench.owner.take_over()
    bench.say(arrived(3), arrived(4), arrived(5))
    await bench.hear()
    await eventually(lambda: of(pool.begun, "match") == checksums(4, 5))
    bench.say(arrived(6))
    await bench.hear()
    await eventually(lambda: of(pool.begun, "match") == checksums(4, 5, 6))
    pool.open["match"].set()
    await bench.done()
    assert of(bench.jobs(), "match") == checksums(4, 5, 6)


async def test_matches_to_another_reference_give_way_to_those_that_are_wanted() -> None:
    """Those that have not begun are given up when the reference is another; none is killed."""
    bench = opened("measure")
    pool = bench.pool
    assert isinstance(pool, Gate)
    await bench.owner.take_over()
    bench.say(schemas.GroupManifest(**GROUP, version=1, visits=(*range(3, 10),), reference=3))
    bench.say(*(arrived(visit) for visit in range(3, 9)))
    await bench.hear()
    slots = checksums(4, 5, 6, 7)  # as many as there are
    await eventually(lambda: bench.owner.ahead.asked == 5 and of(pool.begun, "match") == slots)
    bench.say(schemas.GroupManifest(**GROUP, version=2, visits=(3, 4, 8, 9), reference=8))
    await bench.hear()
    await eventually(lambda: bench.owner.ahead.asked == 2)
    pool.open["match"].set()
    await bench.done()
    assert pool.ended == []
    assert of(bench.jobs(), "match") == checksums(3, 4, 4, 5, 6, 7)
    assert bench.told('evensky_ahead_matches_total{outcome="discarded"}') == len((4, 5, 6, 7))
    held = bench.shared.foresight.pairs(KEY)
    assert {(pair.visit, pair.reference) for pair in held} == {(3, 8), (4, 8)}


async def test_a_publication_kills_no_worker() -> None:
    """A match that the published reference made useless goes on to its end, for nobody."""
    pool = Stuck(checksums(5)[0])
    bench = Bench(pool=pool, policy=STANDING)
    await bench.owner.take_over()
    bench.say(arrived(5), arrived(6), arrived(7))
    await bench.hear()
    await eventually(lambda: of(pool.begun, "match") == checksums(6, 7))
    bench.say(arrived(3, name="00", expected=4))  # the best by its variance
    await bench.hear()
    await bench.done()
    assert (bench.revisions(), bench.models[0].reference) == ([(0, 1)], 3)
    assert (pool.ended, bench.owner.ahead.asked) == ([], 0)
    pool.loose.set()
    await settled()


async def test_what_was_tried_is_forgotten_of_the_oldest_groups() -> None:
    """Of groups beyond the bound nothing is remembered, and their work is not done again for it."""
    foresight = Foresight(AheadLimits(groups=1))
    bench = Bench(policy=STANDING, foresight=foresight)
    await bench.owner.take_over()
    await bench.live(*(arrived(3, patch, f"{patch:02x}") for patch in range(70)))
    assert bench.owner.ahead.remembered <= foresight.limits.remembered == 64
    assert len(bench.jobs()) == 70
    await bench.live(arrived(4, 0))
    assert bench.jobs() == [("measure", *checksums(4))]


async def test_what_a_better_reference_makes_useless_is_counted(bench: Bench) -> None:
    """Matches made ahead are counted as used, or as thrown away by another reference."""
    used, gone = (f'evensky_ahead_matches_total{{outcome="{x}"}}' for x in ("used", "discarded"))
    await bench.live(*(arrived(visit) for visit in (5, 6, 7)))
    await bench.live(arrived(3, name="00"))  # the best by its variance
    await bench.live(arrived(8, expected=5))
    assert bench.models[0].reference == 3
    assert (bench.told(used), bench.told(gone)) == (3, 2)


async def test_an_update_is_matched_ahead_against_what_is_pinned(bench: Bench) -> None:
    """A late warp is matched while its update waits, and nothing that stands is done again."""
    await bench.live(*(arrived(visit) for visit in (3, 4, 5)), arrived(6, expected=4))
    bench.jobs()
    await bench.live(arrived(7))
    assert bench.jobs() == [("measure", *checksums(7)), ("match", *checksums(7))]
    await bench.update()
    assert (bench.jobs(), bench.revisions()) == ([], [(0, 1), (0, 2)])
    assert [model.visit for model in bench.models[4:]] == [7]


async def test_nothing_is_begun_once_it_drains(bench: Bench) -> None:
    """After `drain` what arrives is taken in, and waits for the next start."""
    bench.owner.drain()
    await bench.live(arrived(3))
    assert bench.jobs() == []


# -- law 3 -----------------------------------------------------------------------------------------


def _workshop(pool: StubPool, slots: int, *, kept: bool) -> Workshop:
    results = Results([Shelf("memory", MemoryKeeper(2**20))] if kept else [])
    runner = Runner(StubStore(), pool, CONFIG, fits.DecodeLimits(), slots)
    return Workshop(runner.equip(results, Watch(lambda _: STANDING, lambda: 0.0)))


def _published(bench: Bench) -> Mapping[str, list[tuple[bytes | None, bytes | None]]]:
    """Return what stands in the topics, of the state what was there last."""
    topics = bench.log.topics
    return {
        topic: sorted((one.key or b"", one.value or b"") for one in bench.log.kept[topic, 0])
        for topic in (topics.models, topics.groups, topics.metrics, topics.dead_letters)
    }


async def _lived(
    seed: int, foresight: Foresight, slots: int, *, kept: bool
) -> Mapping[str, list[tuple[bytes | None, bytes | None]]]:
    """Live through a script, with the work between its records as the seed has it."""
    random = Random(seed)  # noqa: S311 - chance that can be had again
    pool = StubPool(random)
    bench = Bench(pool=pool, foresight=foresight)
    bench.shared = bench.shared_with(workshop=_workshop(pool, slots, kept=kept))
    owner: Owner = bench.anew()
    await owner.take_over()
    script = Script(Random(seed % 7), 1)  # noqa: S311 - the same for all who live through it
    for _ in range(12):
        bench.log.append(script.batch(bench.clock.now))
        await bench.hear()
        for _ in range(random.randrange(8)):
            await asyncio.sleep(0)
        if bench.owner.due or random.random() < 0.3:
            await bench.done()  # else what is taken back while it is due hangs on the jobs' speed
        bench.clock.now += script.random.choice((0, 1, 20, 70))
    for _ in range(3):
        bench.clock.now += 5000
        await bench.live(schemas.ClockTick(partition=0))
    return _published(bench)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 4]), st.booleans(), st.sampled_from([1, 64]))
def test_law_3(seed: int, slots: int, kept: bool, at_once: int) -> None:
    """Ahead or not, results kept or not, one slot or more: the bytes published are the same."""
    plain = asyncio.run(_lived(seed, Foresight(OFF), 4, kept=False))
    ahead = Foresight(AheadLimits(groups=at_once, jobs=at_once))
    assert asyncio.run(_lived(seed + 7, ahead, slots, kept=kept)) == plain


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32))
def test_law_3_with_little_room(seed: int) -> None:
    """What is driven out of memory changes no byte either."""
    plain = asyncio.run(_lived(seed, Foresight(OFF), 4, kept=False))
    ahead = Foresight(AheadLimits(max_bytes=3000))
    assert asyncio.run(_lived(seed + 7, ahead, 2, kept=False)) == plain


async def _models(
    night: Night, warps: Sequence[schemas.WarpArrived], pool: Pool | None
) -> list[bytes]:
    """Return the models of some warps; what is ahead is waited for before the last comes."""
    service = night.service(pool)
    task = asyncio.create_task(service.run())
    await night.publish(*warps[:-1])
    if night.foresight.limits.groups:
        await eventually(lambda: len([*night.foresight.pairs(PLACE)]) == len(warps) - 2)
    await night.publish(msgspec.structs.replace(warps[-1], expected=len(warps)))
    await night.until(1)
    service.stop()
    await task
    return [schemas.encode_value(model) for model in await night.models()]


@pytest.mark.parametrize("workers", [1, 2])
async def test_law_3_with_pixels(tmp_path: Path, workers: int) -> None:
    """Real workers that work ahead publish the models of a service that does not."""
    warps = [arrival(write_warp(tmp_path, visit)) for visit in range(1, 6)]
    plain, ahead = Night(tmp_path, foresight=Foresight(OFF)), Night(tmp_path)
    ahead.path = tmp_path / "ahead.db"
    expected = await _models(plain, warps, None)
    pool = WorkerPool(workers, 60.0, 1 << 30)
    await pool.start()
    try:
        assert await _models(ahead, warps, pool) == expected
    finally:
        await pool.close(5.0)
    assert len(expected) == 5
