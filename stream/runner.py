"""How one job on one or two warps is done: found again, or fetched for and run in a worker.

Each job runs once, however many wait for it, when its rank is next; what its warps' storage or its
process did to it is an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

import core
import schemas
from stream import jobs
from stream.decodelimits import DecodeLimits
from stream.faults import StoreAwayError, WarpError, WarpFault
from stream.jobnames import JobNames
from stream.planes import Errand, Planes, Store
from stream.recall import Recall
from stream.results import Result, Results
from stream.runs import Run, Runs, Work
from stream.slots import Rank, Slots
from stream.spool import Cause, Spool
from stream.suspects import Watch

__all__ = ["Asked", "Pool", "Runner", "Store"]

T = TypeVar("T")

_LOOK_S: Final = 5.0


def _nameless(_uri: str) -> str:
    """Take all files to be of one storage."""
    return ""


class Pool(Protocol):
    """Where jobs run."""

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run a job in a worker, or raise `WarpError` when it was given up."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job is about, and for whom it is done.

    Attributes
    ----------
    arrivals : tuple of WarpArrived
        One warp to be measured; or the reference, and the warp to be matched to it.
    rank : Rank
        Whose turn it is.
    recall : Recall
        Of the revision that it is done for.
    """

    arrivals: tuple[schemas.WarpArrived, ...]
    rank: Rank
    recall: Recall


class Runner:
    """Does jobs.

    Parameters
    ----------
    store : Store
    pool : Pool
    config : MatchConfig
        How to match.
    limits : DecodeLimits
        Bounds of what is decoded.
    slots : int
        Jobs fetched or running at the same time; bounds the bytes that are held.

    Attributes
    ----------
    config : MatchConfig
        As given.
    store_of : callable
        Names the storage that a URI is of: no storage has all slots while jobs on another wait.
    look_s : float
        After so many seconds of a job, and again after as many, its result is looked for: after a
        rebalance the copy that had begun it may have finished it.
    """

    def __init__(
        self,
        store: Store,
        pool: Pool,
        config: core.MatchConfig,
        limits: DecodeLimits,
        slots: int,
    ) -> None:
        self._store = store
        self._planes = Planes(store)
        self._pool = pool
        self.config = config
        self._limits = limits
        self._slots = Slots(slots)
        self._runs = Runs()
        self._names = JobNames(config)
        self._results = Results()
        self.store_of: Callable[[str], str] = _nameless
        self.look_s = _LOOK_S
        self._watch: Watch | None = None

    def equip(self, results: Results, watch: Watch) -> Runner:
        """Keep finished results, and have an eye on jobs that kill; return the runner."""
        self._results, self._watch = results, watch
        return self

    def spool(self, spool: Spool, on_decoded: Callable[[Cause], None] = lambda _: None) -> None:
        """Keep decoded planes in a spool.

        Parameters
        ----------
        spool : Spool
        on_decoded : callable
            Told the cause of each decode.
        """
        self._planes = Planes(self._store, spool, on_decoded)

    def release(self, reference: schemas.WarpArrived) -> None:
        """Say that a group's reference is wanted no more."""
        self._planes.release(reference)

    async def run(self, asked: Asked, job: Callable[..., T]) -> T | jobs.JobFault:
        """Run a job unless, or until, one of its warps is recalled; a fault is an answer.

        Parameters
        ----------
        asked : Asked
        job : callable
            One of `stream.jobs`.
        """
        arrivals = asked.arrivals
        visits, name = [arrival.visit for arrival in arrivals], self._names.of(arrivals)
        work: Work[T] = partial(self._job, name, job)
        joined = self._runs.join(name, arrivals, asked.rank, work, asked.recall)
        return await asked.recall.run(visits, joined)

    def away(self) -> Mapping[str, Mapping[str, int]]:
        """Return by group what storages do that its jobs wait for, and how many jobs do."""
        return self._runs.away()

    async def close(self) -> None:
        """End the jobs that still run for partitions that were lost."""
        await self._runs.close()

    async def _job(self, name: str, job: Callable[..., T], run: Run) -> T | jobs.JobFault:
        """Return a job's result, known or new; a fault is an answer."""
        arrivals, visit = run.arrivals, run.arrivals[-1].visit
        known = await self._results.find(name, arrivals)
        if known is not None:
            return cast("T", known)
        if self._watch is not None and (why := await self._watch.refused(name, arrivals[-1])):
            return jobs.JobFault(visit, WarpFault.KILLED.value, why)
        return await self._do(name, job, run)

    async def _do(self, name: str, job: Callable[..., T], run: Run) -> T | jobs.JobFault:
        """Do a job in a slot; while its storage is away others have the slot."""
        errand = Errand.of(self._in_pool, job, run.arrivals)
        store = self.store_of(run.arrivals[-1].uri)
        while True:
            try:
                async with self._slots.take(run.turn, store):
                    run.begun, run.away = True, None
                    work = self._done(name, errand)
                    return await self._or_found(work, name, run.arrivals)
            except StoreAwayError as error:
                run.begun, run.away = False, error
            if not run.waiters:  # it went on because it had begun, which is over
                self._runs.forget(name, run)
                raise asyncio.CancelledError
            await self._store.available(run.away)

    async def _done(self, name: str, errand: Errand[T]) -> T | jobs.JobFault:
        """Return what a job gives, and keep it; a fault is not kept."""
        result = await self._planes.run(errand)
        if isinstance(result, jobs.Measured | jobs.Matched):
            await self._results.keep(name, result)
        return result

    async def _or_found(
        self,
        work: Coroutine[Any, Any, T],
        name: str,
        arrivals: Sequence[schemas.WarpArrived],
    ) -> T:
        """Return what a job gives, or what another copy, that had begun it sooner, has kept."""
        if not self._results.kept:
            return await work
        doing, looking = (asyncio.create_task(one) for one in (work, self._kept(name, arrivals)))
        try:
            await asyncio.wait({doing, looking}, return_when=asyncio.FIRST_COMPLETED)
            return cast("T", (doing if doing.done() else looking).result())
        finally:
            doing.cancel()
            looking.cancel()
            await asyncio.gather(doing, looking, return_exceptions=True)

    async def _kept(self, name: str, arrivals: Sequence[schemas.WarpArrived]) -> Result:
        """Look for a result again and again, until it is there."""
        while True:
            await asyncio.sleep(self.look_s)
            found = await self._results.find(name, arrivals)
            if found is not None:
                return found

    async def _in_pool(
        self,
        job: Callable[..., T],
        arrivals: Sequence[schemas.WarpArrived],
        warps: Sequence[jobs.WarpInput],
    ) -> T | jobs.JobFault:
        name, last = self._names.of(arrivals), arrivals[-1]
        turn = nullcontext() if self._watch is None else self._watch.turn(name, last)
        try:
            async with turn:
                return await self._pool.run(job, *warps, self.config, self._limits)
        except WarpError as error:
            return jobs.JobFault(last.visit, error.reason, error.message)
