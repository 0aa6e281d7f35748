"""Slots for jobs, given to the oldest revision first.

In the order of asking, the first group's matches would wait for the measures of all groups that
became due meanwhile: all would be begun, and nothing published.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator
from itertools import count

__all__ = ["Rank", "Slots"]

Rank = tuple[int, str]
"""When the revision was frozen, ms of stream time; then the key of its group."""


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
