"""Slots for jobs, given to the oldest revision first, a large one later for its size.

In the order of asking, the first group's matches would wait for the measures of all groups that
became due meanwhile: all would be begun, and nothing published.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator
from itertools import count
from typing import Final

__all__ = ["JOB_SHARE_MS", "Rank", "Slots", "due_time"]

Rank = tuple[int, str]
"""When the revision is due, ms of stream time (`due_time`); then the key of its group."""

JOB_SHARE_MS: Final = 100
"""What each warp of a revision puts it back by, ms: about what a job takes of a worker."""


def due_time(frozen_at: int, warps: int) -> int:
    """Return the time by which a revision is ranked, ms of stream time.

    A small group goes before a large one that froze little earlier, and the wait of the large one
    is bounded: whatever freezes later than its share comes behind it, however small.

    Parameters
    ----------
    frozen_at : int
        In ms of stream time.
    warps : int
        How many the revision holds.
    """
    return frozen_at + JOB_SHARE_MS * warps


class Slots:
    """A number of slots, and those who wait for one.

    Parameters
    ----------
    slots : int
        How many may have one at the same time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._number = count()
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._gone = 0

    @contextlib.asynccontextmanager
    async def take(self, rank: Rank) -> AsyncIterator[None]:
        """Have a slot for the time of the context; the least rank first, equal ones in turn."""
        await self._acquire(rank)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, rank: Rank) -> None:
        if self._free:
            self._free -= 1
            return
        given = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._number), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.cancelled():
                self._went()
            else:
                self._release()  # it was given at the very moment
            raise

    def _release(self) -> None:
        while self._waiting:
            *_, given = heapq.heappop(self._waiting)
            if not given.done():
                given.set_result(None)
                return
            self._gone -= 1
        self._free += 1

    def _went(self) -> None:
        """Note that one waits no more; once they are the half they are cleared away."""
        self._gone += 1
        if 2 * self._gone > len(self._waiting):
            self._waiting = [one for one in self._waiting if not one[-1].done()]
            heapq.heapify(self._waiting)
            self._gone = 0
