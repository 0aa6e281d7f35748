"""Warps that were withdrawn or replaced after they were frozen: their unfinished jobs end at once.

What such a job would read may be gone for good, and nobody will use its answer for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any, TypeVar

from stream.faults import WarpFault
from stream.jobs import JobFault

__all__ = ["Recall"]

T = TypeVar("T")

_WHY = "it was withdrawn or replaced after its revision was frozen"


class Recall:
    """The recalled members of one frozen revision, and the jobs on the others.

    Parameters
    ----------
    visits : iterable of int
        Those that are recalled already.

    Attributes
    ----------
    unawaited : int
        Jobs that go on for their results alone, see `release`.
    """

    def __init__(self, visits: Iterable[int] = ()) -> None:
        self._visits = set(visits)
        self._running: dict[asyncio.Task[Any], Collection[int]] = {}
        self._released = False
        self.unawaited = 0

    @property
    def released(self) -> bool:
        """Whether jobs that have begun go on when nobody waits for them any more."""
        return self._released

    def release(self) -> None:
        """Let jobs that have begun go on when nobody waits for them any more.

        A partition that is lost most likely comes back, and a worker is not worth killing for a
        job whose result is merely of no use.
        """
        self._released = True

    def recalls(self, *visits: int) -> bool:
        """Tell whether one of these is recalled."""
        return not self._visits.isdisjoint(visits)

    def add(self, visits: Iterable[int]) -> None:
        """Recall these too: their jobs are cancelled."""
        fresh = set(visits) - self._visits
        self._visits |= fresh
        for task, held in self._running.items():
            if not fresh.isdisjoint(held):
                task.cancel()

    async def run(self, visits: Collection[int], job: Coroutine[Any, Any, T]) -> T | JobFault:
        """Run a job on some warps to its end, or until one of them is recalled.

        Parameters
        ----------
        visits : collection of int
            Of two of them that are recalled the first is at fault.
        job : coroutine
        """
        fault = self._fault(visits)
        if fault is not None:
            job.close()
            return fault
        task = asyncio.ensure_future(job)
        self._running[task] = visits
        try:
            return await task
        except asyncio.CancelledError:
            fault = self._fault(visits)
            if fault is None or _is_cancelled():
                raise
            return fault
        finally:
            del self._running[task]

    def _fault(self, visits: Iterable[int]) -> JobFault | None:
        gone = (visit for visit in visits if visit in self._visits)
        first = next(gone, None)
        return None if first is None else JobFault(first, WarpFault.SUPERSEDED.value, _WHY)


def _is_cancelled() -> bool:
    """Tell whether whoever waits is to end, and not only the job."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
