"""Suspects: reported once, run alone, given up in the end; and everybody else is left in peace."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

import schemas
from core import groups
from core.groups.changed import replace as changed
from stream import jobs
from stream.fits import DecodeLimits
from stream.jobnames import JobNames
from stream.ledger import Entry, Ledger, dead_ledgers
from stream.log.embedded import EmbeddedPublisher, EmbeddedReader
from stream.log.seam import LogUnavailableError, Outgoing, PublisherLog
from stream.results import Results
from stream.runner import Runner
from stream.suspects import Turns, Watch, report_deaths, watching
from stream.workshop import Due, Workshop
from tests.stream.night import CONFIG, FAST, Clock, Night, arrival, manifest_of, read_all
from tests.stream.night import write_warp as written
from tests.stream.test_ledger import SERVICE, entry
from tests.stream.test_workshop import GROUP, Bench, Shelf, frozen_of

# -- one alone, or many together -------------------------------------------------------------------


async def run_all(kinds: list[tuple[bool, int]]) -> list[tuple[str, int]]:
    """Run jobs, some of them alone, each for some turns of the loop; return starts and ends."""
    turns, told = Turns(), list[tuple[str, int]]()

    async def run(number: int, length: int, *, alone: bool) -> None:
        async with turns.take(alone=alone):
            told.append(("begin", number))
            for _ in range(length):
                await asyncio.sleep(0)
            told.append(("end", number))

    tasks = [run(number, *[length], alone=alone) for number, (alone, length) in enumerate(kinds)]
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    return told


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12))
@settings(max_examples=60)
def test_nothing_runs_beside_one_that_is_alone(kinds: list[tuple[bool, int]]) -> None:
    """Whoever is to be alone is, from its beginning to its end; all come to their turn."""
    running: set[int] = set()
    for what, number in asyncio.run(run_all(kinds)):
        if what == "begin":
            running.add(number)
        alone = {one for one in running if kinds[one][0]}
        assert not alone or len(running) == 1, running
        if what == "end":
            running.discard(number)
    assert not running


async def test_the_others_run_together() -> None:
    """Without a suspect nobody waits for anybody."""
    told = await run_all([(False, 3)] * 4)
    assert [what for what, _ in told] == ["begin"] * 4 + ["end"] * 4


async def test_whoever_gives_up_waiting_blocks_nobody() -> None:
    """One that is cancelled before its turn, or in it, leaves the way free."""
    turns = Turns()
    async with turns.take(alone=False):
        waiting = asyncio.create_task(_never_ends(turns))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        async with asyncio.timeout(5), turns.take(alone=False):
            pass
    running = asyncio.create_task(_never_ends(turns))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    async with asyncio.timeout(5), turns.take(alone=True):
        pass


async def _never_ends(turns: Turns) -> None:
    async with turns.take(alone=True):
        await asyncio.Event().wait()


# -- reports ---------------------------------------------------------------------------------------


def left(folder: Path, *entries: Entry) -> None:
    """Leave a ledger as a killed process does: with jobs in it, and unlocked."""
    alive = Ledger(folder, SERVICE)
    with ExitStack() as running:
        for one in entries:
            running.enter_context(alive.listed(one))
        content = alive.path.read_bytes()
    (folder / f"running-{SERVICE}-{len(list(folder.iterdir()))}").write_bytes(content)
    alive.close()


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Return a night with a log."""
    return Night(tmp_path, FAST)


def publisher(night: Night) -> Callable[[], PublisherLog]:
    """Return what makes publishers into its log."""
    return lambda: EmbeddedPublisher(night.path, night.topics, 2, clock=night.clock.ms)


async def reports(night: Night) -> list[tuple[int, bool]]:
    """Return visit and loneliness of what was reported."""
    found = await read_all(night, night.topics.warps)
    return [(one.visit, one.alone) for one in found if isinstance(one, schemas.JobSuspected)]


async def test_each_job_is_reported_once(night: Night, tmp_path: Path) -> None:
    """All that ran is reported as it ran, on its partition, with the time of its run."""
    left(tmp_path, entry(1), entry(2))
    left(tmp_path, entry(3, alone=True))
    names = await report_deaths(tmp_path, SERVICE, publisher(night), night.topics)
    assert names == {entry(number).job for number in (1, 2, 3)}
    assert await reports(night) == [(1, False), (2, False), (3, True)]
    assert await report_deaths(tmp_path, SERVICE, publisher(night), night.topics) == set()
    assert len(await reports(night)) == 3


async def test_nothing_to_report_asks_no_log(night: Night, tmp_path: Path) -> None:
    """Where nobody has died the log is not even opened."""
    left(tmp_path)
    assert not await report_deaths(tmp_path, SERVICE, publisher(night), night.topics)
    assert not night.path.exists()


async def test_a_report_that_fails_is_made_again(night: Night, tmp_path: Path) -> None:
    """What could not be written is reported by the next start, and its time is the same."""
    left(tmp_path, entry(1))

    class Away(EmbeddedPublisher):
        async def publish(self, records: Any) -> None:
            await super().publish(records)
            raise LogUnavailableError("the answer was lost")

    away = Away(night.path, night.topics, 2, clock=night.clock.ms)
    with pytest.raises(LogUnavailableError):
        await report_deaths(tmp_path, SERVICE, lambda: away, night.topics)
    await report_deaths(tmp_path, SERVICE, publisher(night), night.topics)
    assert await reports(night) == [(1, False)] * 2
    member = groups.Member(1, 0, 0, "d", False, b"", None, 0)
    state = groups.Partition(lambda _: FAST)
    state.load_member("live/rings/7/3/r", member)
    twice = groups.Suspected(0, 1, entry(1).job, alone=True, event_time=entry(1).at)
    outcomes = [state.feed("live/rings/7/3/r", twice).outcome for _ in range(2)]
    assert outcomes == [groups.Outcome.SUSPECTED, groups.Outcome.DUPLICATE]


async def test_without_a_folder_the_service_runs(night: Night, tmp_path: Path) -> None:
    """A folder that cannot be made costs a warning; no folder at all costs nothing."""
    (tmp_path / "file").write_text("in the way")
    watch = Watch(lambda _: FAST, night.clock)
    with capture_logs() as logs:
        for folder in (None, tmp_path / "file" / "below"):
            async with (
                watching(watch, folder, SERVICE, publisher(night), night.topics),
                watch.turn("job", arrival(written(tmp_path, 1))),
            ):
                pass
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_what_runs_is_listed(night: Night, tmp_path: Path) -> None:
    """While a job runs it stands in the ledger of this process; at the end the file is gone."""
    watch = Watch(lambda _: FAST, night.clock)
    warp = arrival(written(tmp_path, 4))
    async with watching(watch, tmp_path / "l", SERVICE, publisher(night), night.topics):
        (file,) = (tmp_path / "l").iterdir()
        async with watch.turn("ab" * 32, warp):
            (tmp_path / "l" / "running-copy-0").write_bytes(file.read_bytes())
        with dead_ledgers(tmp_path / "l", "copy") as (copy,):
            (listed,) = copy.entries
        assert (listed.job, listed.group, listed.visit) == ("ab" * 32, warp.group.key, 4)
        assert (listed.alone, listed.at) == (False, round(night.clock() * 1e6))
    assert list((tmp_path / "l").iterdir()) == []


# -- what becomes of suspects ----------------------------------------------------------------------


class Known:
    """The groups of a process, as far as they were read."""

    def __init__(self, group: groups.Group) -> None:
        self.group = group
        self.read = asyncio.Event()

    def find(self, key: str) -> groups.Group | None:
        """Return the group."""
        del key
        return self.group

    async def read_up(self, key: str) -> None:
        """Wait for all of it."""
        del key
        await self.read.wait()


class Crowd(Bench):
    """A pool that notes how many jobs were in it beside each."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: set[int] = set()
        self.most: dict[int, int] = {}
        """By visit, in measurements."""

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Run a job, a little later, so that others can come in."""
        visit = args[-3].visit
        self.inside.add(visit)
        for _ in range(20):
            await asyncio.sleep(0)
            if function is jobs.measure:
                self.most[visit] = max(self.most.get(visit, 0), len(self.inside))
        self.inside.discard(visit)
        return await super().run(function, *args)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Return four warps."""
    return [written(tmp_path, visit) for visit in (1, 2, 3, 4)]


def group_with(paths: list[Path], deaths: dict[int, int]) -> groups.Group:
    """Return the group of some warps, with suspicions against measuring some of them."""
    found = groups.Group()
    for path in paths:
        warp = arrival(path)
        digest = schemas.arrival_digest(warp)
        job = JobNames(CONFIG).of([warp])
        suspicion = groups.Suspicion(job, deaths[warp.visit], 1) if warp.visit in deaths else None
        found.members[warp.visit] = groups.Member(
            warp.visit,
            0,
            0,
            digest,
            withdrawn=False,
            payload=b"",
            measurement=None,
            at=0,
            suspicion=suspicion,
        )
    return found


async def fulfil(
    paths: list[Path], known: Known, reported: frozenset[str] = frozenset()
) -> tuple[dict[int, Any], Crowd]:
    """Work a group through, and return what became of the measurements."""
    crowd, watch = Crowd(), Watch(lambda _: FAST, lambda: 0.0)
    watch.know(known)
    watch.begin(None, reported)
    runner = Runner(Shelf(), crowd, CONFIG, DecodeLimits(), 4)
    workshop = Workshop(runner.equip(Results(), watch))

    async def forget(_: object) -> None:
        await asyncio.sleep(0)

    done = await workshop.fulfil(Due(GROUP, frozen_of(paths)), {}, forget)
    return dict(done.measured), crowd


async def test_a_suspect_runs_alone(paths: list[Path]) -> None:
    """Nothing is in the pool beside a suspect."""
    measured, crowd = await fulfil(paths, Known(group_with(paths, {2: 0, 3: 2})))
    assert {visit: crowd.most[visit] for visit in (2, 3)} == {2: 1, 3: 1}
    assert all(isinstance(one, groups.Measurement) for one in measured.values())


async def test_a_killer_is_given_up(paths: list[Path]) -> None:
    """After the deaths that the policy allows a warp is not even fetched; the others are done."""
    measured, crowd = await fulfil(paths, Known(group_with(paths, {3: 3})))
    failed = {v: one.reason for v, one in measured.items() if isinstance(one, groups.Failed)}
    assert failed == {3: "killed: this process died 3 times of it alone"}
    assert 3 not in crowd.most


async def test_a_new_version_is_not_given_up(paths: list[Path]) -> None:
    """A suspicion is against what the warp was when it killed."""
    group = group_with(paths, {3: 3})
    group.members[3] = changed(group.members[3], digest="another")
    measured, _ = await fulfil(paths, Known(group))
    assert all(isinstance(one, groups.Measurement) for one in measured.values())


async def test_what_was_just_reported_waits_until_it_is_read_back(paths: list[Path]) -> None:
    """A reported job runs alone, and only when its report was read; the others need not wait."""
    known = Known(group_with(paths, {}))
    job = JobNames(CONFIG).of([arrival(paths[1])])
    work = asyncio.create_task(fulfil(paths, known, frozenset({job})))
    await asyncio.sleep(0.2)
    assert not work.done()
    known.group = group_with(paths, {2: 3})  # what the reports say, once they are read
    known.read.set()
    measured, crowd = await work
    assert isinstance(measured[2], groups.Failed)
    assert sorted(crowd.most) == [1, 3, 4]


# -- a history with deaths in it -------------------------------------------------------------------


async def history(night: Night) -> list[tuple[Any, ...]]:
    """Return what was frozen, and what became of it."""
    return [
        (one.group.key, one.revision, one.kind, one.trigger, [m.visit for m in one.members])
        for one in await night.summaries()
    ]


async def copied(night: Night, folder: Path) -> Night:
    """Return a night whose input is that of another, record by record, with its stamps."""
    again = dataclasses.replace(night, clock=Clock())
    again.path = folder / "log.db"
    reader = EmbeddedReader(night.path)
    await reader.start()
    async for one in reader.read([night.topics.warps], follow=False):
        again.clock.now = one.timestamp / 1000
        await again.publish_raw(Outgoing(one.topic, one.partition, one.key, one.value, one.headers))
    await reader.close()
    return again


@pytest.fixture
async def with_deaths(tmp_path: Path, paths: list[Path]) -> Night:
    """Return a night in which a warp was given up, before its group was complete."""
    night = Night(tmp_path, FAST)
    job = JobNames(CONFIG).of([arrival(paths[2])])
    await night.publish(*(arrival(path) for path in paths))
    for number in range(3):
        ledger = tmp_path / f"ledger-{number}"
        ledger.mkdir()
        group = arrival(paths[2]).group.key
        left(ledger, Entry(job=job, group=group, visit=3, alone=True, at=number + 1))
        await report_deaths(ledger, SERVICE, publisher(night), night.topics)
    await night.publish(manifest_of(*paths))
    return night


async def test_a_replay_has_the_same_history(with_deaths: Night, tmp_path: Path) -> None:
    """The same log gives the same revisions, triggers, members and models, deaths and all."""
    folder = tmp_path / "again"
    folder.mkdir()
    again = await copied(with_deaths, folder)
    told = []
    for night in (with_deaths, again):
        async with night.running():
            await night.until(1)
            told.append((await history(night), [one.model_id for one in await night.models()]))
    assert told[0] == told[1]
    (third,) = [one for one in await again.models() if one.visit == 3]
    assert third.status == "failed"
    assert third.reason == "killed: this process died 3 times of it alone"
    assert await again.letters() == []
