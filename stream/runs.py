"""Jobs that run: each once, however many wait for it, and to its end when a partition is lost.

A rebalance takes a partition away and most often gives it back. If it ended the jobs too, none
that takes longer than the calm between two rebalances would ever be finished.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar, cast

import structlog

import schemas
from stream.faults import StoreAwayError
from stream.jobs import JobFault, Matched, Measured
from stream.recall import Recall
from stream.slots import Rank, Turn

__all__ = ["Run", "Runs", "Work"]

T = TypeVar("T")
Work = Callable[["Run"], Coroutine[Any, Any, T | JobFault]]

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Run:
    """A job on its way.

    Attributes
    ----------
    arrivals : tuple of WarpArrived
        The warps of whoever asked first; a fault is theirs alone.
    turn : Turn
        Whose turn it is: that of whoever has the least rank of those who asked.
    begun : bool
        Set by the job once it holds a slot; from then on it is worth its end.
    waiters : int
        How many wait for its result.
    away : StoreAwayError or None
        What it waits for before it asks for a slot again.
    """

    arrivals: tuple[schemas.WarpArrived, ...]
    turn: Turn
    begun: bool = False
    waiters: int = 0
    away: StoreAwayError | None = None
    _task: asyncio.Task[Any] | None = field(default=None, repr=False)

    @property
    def task(self) -> asyncio.Task[Any]:
        """What runs."""
        if self._task is None:
            raise RuntimeError("the run was not started")
        return self._task

    def start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Begin."""
        self._task = asyncio.create_task(work)
        return self._task


class Runs:
    """The jobs of this process by their names."""

    def __init__(self) -> None:
        self._running: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def join(
        self,
        name: str,
        arrivals: Sequence[schemas.WarpArrived],
        rank: Rank,
        work: Work[T],
        recall: Recall,
    ) -> T | JobFault:
        """Return what a job gives; if it runs already, wait for that run.

        One that still waits for a slot gets the rank of whoever joins it, if that is the less: due
        work must not stand behind what was begun ahead.

        When the last who waits is cancelled, the job is, too, unless it has begun and `recall` was
        released.

        Parameters
        ----------
        name : str
            Of the job.
        arrivals : sequence of WarpArrived
            Its warps.
        rank : Rank
            Whose turn it is.
        work : callable
            Does the job, if it does not run yet.
        recall : Recall
            Of the revision that the job is done for.
        """
        ours = tuple(arrivals)
        while True:
            run = self._running.get(name) or self._start(name, Run(ours, Turn(rank)), work)
            run.turn.promote(rank)
            result = await self._wait(name, run, recall)
            if run.arrivals == ours:
                return cast("T | JobFault", result)
            if isinstance(result, Measured | Matched):
                return cast("T", replace(result, visit=ours[-1].visit))

    def away(self) -> Mapping[str, Mapping[str, int]]:
        """Return by group what storages do that jobs wait for, and how many jobs wait for each."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for run in self._running.values():
            if run.away is not None:
                found[run.arrivals[-1].group.key][str(run.away)] += 1
        return found

    async def close(self) -> None:
        """End all that runs, and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, name: str, run: Run, work: Work[Any]) -> Run:
        self._running[name] = run
        task = run.start(work(run))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, name, run))
        return run

    async def _wait(self, name: str, run: Run, recall: Recall) -> object:
        run.waiters += 1
        try:
            await asyncio.wait({run.task})
        finally:
            run.waiters -= 1
            if not (run.waiters or run.task.done()):
                self._leave(name, run, recall)
        return run.task.result()

    def _leave(self, name: str, run: Run, recall: Recall) -> None:
        """Have a run go on or end for which nobody waits any more."""
        if run.begun and recall.released:
            recall.unawaited += 1
            return
        self.forget(name, run)  # at once: nobody may join what is about to end
        run.task.cancel()

    def _ended(self, name: str, run: Run, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self.forget(name, run)
        # Looked at even if somebody waits, who may be cancelled in this very moment.
        error = None if task.cancelled() else task.exception()
        if error is not None and not run.waiters:
            log.warning("a job that nobody waited for broke", job=name, why=repr(error))

    def forget(self, name: str, run: Run) -> None:
        """Let nobody join a run any more: whoever asks for the job has it begun anew."""
        if self._running.get(name) is run:
            del self._running[name]
