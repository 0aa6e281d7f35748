"""The runner while a storage is away: slots go to others, and nobody is at fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest

import schemas
from stream import jobs
from stream.decodelimits import DecodeLimits
from stream.faults import StoreAwayError, StoreTrouble
from stream.fetch import Held, Want
from stream.jobs import JobFault, Measured
from stream.recall import Recall
from stream.results import MemoryKeeper, Results, Shelf
from stream.runner import Asked, Runner
from stream.slots import DUE
from stream.suspects import Watch
from tests.schemas import examples
from tests.stream.night import CONFIG, FAST

T = TypeVar("T")

ONE = examples.arrived()
OTHER = msgspec.structs.replace(ONE, visit=ONE.visit + 1, checksum="ef" * 32, uri="/other")
AWAY = StoreAwayError("s3://sky", "no answer", StoreTrouble.FAILED)


class Stores:
    """Two storages; the first one's is away until it is let back."""

    def __init__(self) -> None:
        self.back = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked: list[Want] = []
        self.waited: list[StoreAwayError] = []
        self.held = 0

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give names for bytes, if the storage is there."""
        self.asked += wants
        await asyncio.sleep(0)
        await self.answers.wait()
        if not self.back.is_set() and any(want.uri == ONE.uri for want in wants):
            raise AWAY
        self.held += len(wants)
        yield [want.uri.encode() for want in wants]
        self.held -= len(wants)

    async def available(self, error: StoreAwayError) -> None:
        """Wait until the storage is back."""
        self.waited.append(error)
        await self.back.wait()


class Workers:
    """Workers who measure everything alike, if they have been let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.done: list[int] = []

    async def run(self, _: Callable[..., T], /, *args: Any) -> Any:
        """Answer."""
        await self.go.wait()
        (warp,) = (arg for arg in args if isinstance(arg, jobs.WarpInput))
        self.done.append(warp.visit)
        return Measured(warp.visit, warp.checksum, 1.0, 2.0, 3.0, (4, 5), (6, 7))


@pytest.fixture
def stores() -> Stores:
    """Return storages."""
    return Stores()


@pytest.fixture
def workers() -> Workers:
    """Return workers."""
    return Workers()


@pytest.fixture
async def runner(stores: Stores, workers: Workers) -> AsyncIterator[Runner]:
    """Give a runner with a single slot."""
    runner = Runner(stores, workers, CONFIG, DecodeLimits(), 1)
    yield runner
    await runner.close()


Answer = asyncio.Task[Measured | JobFault]


def asked(
    runner: Runner, arrival: schemas.WarpArrived, recall: Recall | None = None, at: int = 0
) -> Answer:
    """Ask for a warp's measurement."""
    whose = Asked((arrival,), (DUE, at, "group"), recall or Recall())
    return asyncio.create_task(runner.run(whose, jobs.measure))


async def settled() -> None:
    """Let everything go as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_a_job_waits_without_a_slot(runner: Runner, stores: Stores, workers: Workers) -> None:
    """Others have the only slot while a storage is away; then the job is done as ever."""
    first = asked(runner, ONE)
    await settled()
    second = await asked(runner, OTHER, at=9)
    assert isinstance(second, Measured)
    assert not first.done()
    assert stores.waited == [AWAY]
    assert runner.away() == {ONE.group.key: {"s3://sky: no answer": 1}}
    stores.back.set()
    assert isinstance(await first, Measured)
    assert runner.away() == {}
    assert workers.done == [OTHER.visit, ONE.visit]
    assert stores.held == 0


async def test_nothing_waits_for_a_storage_for_nobody(
    runner: Runner, stores: Stores, workers: Workers
) -> None:
    """A job that goes on though nobody waits ends where its storage is away, and is done anew."""
    stores.answers.clear()
    recall = Recall()
    first = asked(runner, ONE, recall)
    await settled()
    recall.release()
    first.cancel()
    await settled()
    assert recall.unawaited == 1
    stores.answers.set()
    await settled()
    assert (stores.waited, runner.away()) == ([], {})
    stores.back.set()
    assert isinstance(await asked(runner, ONE), Measured)
    assert workers.done == [ONE.visit]


async def test_the_same_wants_are_asked_for_again(runner: Runner, stores: Stores) -> None:
    """A want is the same at each try, so that its grace counts from the first."""
    first = asked(runner, ONE)
    await settled()
    stores.back.set()
    await first
    assert len(stores.asked) == 2
    assert stores.asked[0] is stores.asked[1]


async def test_a_slot_is_taken_anew_by_rank(
    runner: Runner, stores: Stores, workers: Workers
) -> None:
    """Once its storage is back, a job of an older revision goes before a younger one's."""
    first = asked(runner, ONE, at=1)
    await settled()
    workers.go.clear()
    holds = asked(runner, msgspec.structs.replace(OTHER, visit=77, checksum="aa" * 32), at=0)
    younger = asked(runner, OTHER, at=2)
    await settled()
    stores.back.set()
    await settled()
    workers.go.set()
    await asyncio.gather(first, holds, younger)
    assert workers.done == [77, ONE.visit, OTHER.visit]


async def test_a_recalled_warp_ends_the_wait(runner: Runner, stores: Stores) -> None:
    """Who waits for a storage waits no longer than his warp is wanted."""
    recall = Recall()
    first = asked(runner, ONE, recall)
    await settled()
    recall.add([ONE.visit])
    fault = await first
    assert isinstance(fault, JobFault)
    assert fault.reason == "superseded"
    stores.back.set()
    await settled()
    assert len(stores.asked) == 1


async def test_a_lost_partition_ends_the_wait(runner: Runner, stores: Stores) -> None:
    """A job that waits for a storage has not begun: nobody wants it, so it ends."""
    recall = Recall()
    recall.release()
    first = asked(runner, ONE, recall)
    await settled()
    first.cancel()
    await asyncio.wait({first})
    await settled()
    stores.back.set()
    await settled()
    assert len(stores.asked) == 1


async def test_the_end_ends_the_wait(runner: Runner) -> None:
    """The end of the service ends jobs that wait for a storage."""
    first = asked(runner, ONE)
    await settled()
    await runner.close()
    with pytest.raises(asyncio.CancelledError):
        await first


# -- what another copy does meanwhile --------------------------------------------------------------


class Lazy(Workers):
    """Workers who never come to an end, and note when they are told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.go.clear()
        self.stopped = 0

    async def run(self, function: Callable[..., T], /, *args: Any) -> Any:
        """Work until somebody says that it is enough."""
        try:
            return await super().run(function, *args)
        except asyncio.CancelledError:
            self.stopped += 1
            raise


class Counting(MemoryKeeper):
    """Keeps results, and counts how often it is given one."""

    puts = 0

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes."""
        self.puts += 1
        await super().put(name, data)


def copy_of(keeper: MemoryKeeper, workers: Workers) -> Runner:
    """Return the runner of a copy of the service that keeps its results with others."""
    stores = Stores()
    stores.back.set()
    runner = Runner(stores, workers, CONFIG, DecodeLimits(), 1)
    runner.look_s = 0.01
    watch = Watch(lambda _: FAST, lambda: 0.0)
    return runner.equip(Results([Shelf("shared", keeper)]), watch)


async def test_a_job_ends_once_another_copy_has_done_it() -> None:
    """After a rebalance the copy that had begun it goes on; it is not done twice to its end."""
    keeper, lazy = Counting(2**20), Lazy()
    ours, theirs = copy_of(keeper, lazy), copy_of(keeper, Workers())
    first = asked(ours, ONE)
    await settled()
    assert not first.done()
    answer = await asked(theirs, ONE)
    assert isinstance(answer, Measured)
    assert await first == answer
    assert (lazy.stopped, lazy.done) == (1, [])
    assert keeper.puts == 1
    await ours.close()
    await theirs.close()


async def test_who_is_ready_sooner_looks_no_more() -> None:
    """A job's own result stands, and nothing of it is left running."""
    workers = Lazy()
    runner = copy_of(MemoryKeeper(2**20), workers)
    first = asked(runner, ONE)
    await asyncio.sleep(0.05)
    workers.go.set()
    assert isinstance(await first, Measured)
    assert (workers.stopped, workers.done) == (0, [ONE.visit])
    await runner.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_is_called_off_leaves_nothing() -> None:
    """Neither the job nor the look for its result outlives the last who wants it."""
    workers = Lazy()
    runner = copy_of(MemoryKeeper(2**20), workers)
    first = asked(runner, ONE)
    await settled()
    first.cancel()
    await asyncio.wait({first})
    await settled()
    assert workers.stopped == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Slow:
    """A storage of which one folder's files come one by one, when they are let come."""

    def __init__(self) -> None:
        self.come = asyncio.Semaphore(0)

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give names for bytes."""
        if any(want.uri.startswith("/slow/") for want in wants):
            await self.come.acquire()
        yield [want.uri.encode() for want in wants]

    async def available(self, error: StoreAwayError) -> None:
        """Wait for nothing: it is never away."""


async def test_a_slow_storage_does_not_stop_the_others(workers: Workers) -> None:
    """Once one of a slow folder's files has come, jobs on other files are done at once."""
    store = Slow()
    runner = Runner(store, workers, CONFIG, DecodeLimits(), 2)
    runner.store_of = lambda uri: uri.split("/")[1]
    many = [
        msgspec.structs.replace(ONE, visit=n, checksum=f"{n:064x}", uri=f"/{folder}/{n}")
        for folder, numbers in (("slow", range(1, 6)), ("fast", range(6, 12)))
        for n in numbers
    ]
    slow, fast = (
        [asked(runner, one, at=one.visit) for one in many if one.uri.startswith(f"/{folder}/")]
        for folder in ("slow", "fast")
    )
    await settled()
    assert workers.done == []
    store.come.release()
    assert all(isinstance(one, Measured) for one in await asyncio.gather(*fast))
    assert workers.done == [1, *range(6, 12)]
    for _ in many:
        store.come.release()
    assert all(isinstance(one, Measured) for one in await asyncio.gather(*slow))
    await runner.close()
