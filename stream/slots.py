"""Slots for jobs: due work first, of that the oldest revision, a large one later for its size.

What is done ahead comes behind it.

In the order of asking, the first group's matches would wait for the measures of all groups that
became due meanwhile: all would be begun, and nothing published.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Final

__all__ = [
    "AHEAD_AGAIN",
    "AHEAD_MATCH",
    "AHEAD_MEASURE",
    "DUE",
    "JOB_SHARE_MS",
    "Rank",
    "Slots",
    "Turn",
    "due_time",
]

Rank = tuple[int, int, str]
"""What the job is for, one of the numbers below; a stream time, ms, of due work its
`due_time`; then the key of its group."""

DUE: Final = 0
"""A revision that is frozen waits for it."""
AHEAD_MEASURE: Final = 1
"""A warp that arrived is measured."""
AHEAD_MATCH: Final = 2
"""A warp is matched to what is the reference so far."""
AHEAD_AGAIN: Final = 3
"""A warp is matched again, since another is the reference by now."""

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


class Turn:
    """Whose turn a job's is; it may be brought forward while the job waits for a slot.

    Parameters
    ----------
    rank : Rank

    Attributes
    ----------
    rank : Rank
        The least that was asked for.
    """

    def __init__(self, rank: Rank) -> None:
        self.rank = rank
        self._waits: tuple[Slots, asyncio.Future[None]] | None = None

    def promote(self, rank: Rank) -> None:
        """Bring a turn forward; a later rank than it has changes nothing."""
        if rank >= self.rank:
            return
        self.rank = rank
        if self._waits is not None:
            slots, given = self._waits
            slots.queue(rank, given)

    @contextlib.contextmanager
    def waiting(self, slots: Slots, given: asyncio.Future[None]) -> Iterator[None]:
        """Note for the time of the context where the job waits."""
        self._waits = slots, given
        try:
            yield
        finally:
            self._waits = None


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
        self._places: dict[asyncio.Future[None], int] = {}
        self._gone = 0

    @contextlib.asynccontextmanager
    async def take(self, turn: Turn) -> AsyncIterator[None]:
        """Have a slot for the time of the context; the least rank first, equal ones in turn."""
        await self._acquire(turn)
        try:
            yield
        finally:
            self._release()

    def queue(self, rank: Rank, given: asyncio.Future[None]) -> None:
        """Let one wait by a rank, perhaps beside a later one; the first to come up counts."""
        self._places[given] = self._places.get(given, 0) + 1
        heapq.heappush(self._waiting, (rank, next(self._number), given))

    async def _acquire(self, turn: Turn) -> None:
        if self._free:
            self._free -= 1
            return
        given = asyncio.get_running_loop().create_future()
        self.queue(turn.rank, given)
        try:
            with turn.waiting(self, given):
                await given
        except asyncio.CancelledError:
            if given.cancelled():
                self._went(self._places.pop(given))
            else:
                self._release()  # it was given at the very moment
            raise

    def _release(self) -> None:
        while self._waiting:
            *_, given = heapq.heappop(self._waiting)
            if not given.done():
                given.set_result(None)
                self._went(self._places.pop(given) - 1)
                return
            self._gone -= 1
        self._free += 1

    def _went(self, places: int) -> None:
        """Note places that nobody waits in any more; once they are the half they are cleared."""
        self._gone += places
        if 2 * self._gone > len(self._waiting):
            self._waiting = [one for one in self._waiting if not one[-1].done()]
            heapq.heapify(self._waiting)
            self._gone = 0
