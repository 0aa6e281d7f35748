"""How one job on one or two warps is done: found again, or fetched for and run in a worker.

Each job runs once, however many wait for it, when its rank is next; what its warps' storage or its
process did to it is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, cast

import core
import schemas
from stream import jobs
from stream.decodelimits import DecodeLimits
from stream.faults import WarpError, WarpFault
from stream.fetch import Held, Want
from stream.jobnames import JobNames
from stream.recall import Recall
from stream.results import Results
from stream.runs import Run, Runs, Work
from stream.slots import Rank, Slots
from stream.suspects import Watch

__all__ = ["Asked", "Pool", "Runner", "Store"]

T = TypeVar("T")


class Store(Protocol):
    """Where bytes come from."""

    def hold(self, *wants: Want) -> AbstractAsyncContextManager[Sequence[Held]]:
        """Give the verified bytes of warps, or what is wrong with each, for a while."""
        ...


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
    store, pool, config, limits, slots
        As for `stream.workshop.Workshop`.
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
        self._pool = pool
        self._config = config
        self._limits = limits
        self._slots = Slots(slots)
        self._runs = Runs()
        self._names = JobNames(config)
        self._results = Results()
        self._watch: Watch | None = None

    def equip(self, results: Results, watch: Watch) -> None:
        """Keep finished results, and have an eye on jobs that kill."""
        self._results, self._watch = results, watch

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
        result = await self._do(name, job, run)
        if isinstance(result, jobs.Measured | jobs.Matched):
            await self._results.keep(name, result)
        return result

    async def _do(self, name: str, job: Callable[..., T], run: Run) -> T | jobs.JobFault:
        """Do a job on warps that are held in memory for its time."""
        arrivals, watch = run.arrivals, self._watch
        wants = [Want(one.uri, one.checksum, one.size) for one in arrivals]
        async with self._slots.take(run.turn):
            run.begun = True
            turn = nullcontext() if watch is None else watch.turn(name, arrivals[-1])
            async with self._store.hold(*wants) as held:
                warps = _inputs(arrivals, held)
                if isinstance(warps, jobs.JobFault):
                    return warps
                try:
                    async with turn:
                        return await self._pool.run(job, *warps, self._config, self._limits)
                except WarpError as error:
                    return jobs.JobFault(arrivals[-1].visit, error.reason, error.message)


def _inputs(
    arrivals: Sequence[schemas.WarpArrived], held: Sequence[Held]
) -> list[jobs.WarpInput] | jobs.JobFault:
    """Return what a job works on, or what is wrong with the first of its warps."""
    warps = []
    for arrival, data in zip(arrivals, held, strict=True):
        if isinstance(data, WarpError):
            return jobs.JobFault(arrival.visit, data.reason, data.message)
        warps.append(jobs.WarpInput(arrival.visit, arrival.checksum, data, arrival.scale))
    return warps
