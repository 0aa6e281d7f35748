"""Slots for jobs: due work first, of that the oldest revision, a large one later for its size.

What is done ahead comes behind it.

In the order of asking, the first group's matches would wait for the measures of all groups that
became due meanwhile: all would be begun, and nothing published.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import Counter
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
        self._waits: tuple[_Line, asyncio.Future[None]] | None = None

    def promote(self, rank: Rank) -> None:
        """Bring a turn forward; a later rank than it has changes nothing."""
        if rank >= self.rank:
            return
        self.rank = rank
        if self._waits is not None:
            line, given = self._waits
            line.queue(rank, given)

    @contextlib.contextmanager
    def waiting(self, line: _Line, given: asyncio.Future[None]) -> Iterator[None]:
        """Note for the time of the context where the job waits."""
        self._waits = line, given
        try:
            yield
        finally:
            self._waits = None


class Slots:
    """A number of slots, and those who wait for one.

    Whoever waits for files of a storage that is slow, but gives them, has a slot meanwhile. So a
    storage that has half of the slots gets no more while jobs on another wait: workers must not
    stand idle for it. Slots that nobody else wants are its own.

    Parameters
    ----------
    slots : int
        How many may have one at the same time.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._share = (slots + 1) // 2
        self._numbers = count()
        self._held: Counter[str] = Counter()
        self._lines: dict[str, _Line] = {}

    @contextlib.asynccontextmanager
    async def take(self, turn: Turn, store: str = "") -> AsyncIterator[None]:
        """Have a slot for the time of the context; the least rank first, equal ones in turn.

        Parameters
        ----------
        turn : Turn
        store : str
            Name of the storage that the job is on.
        """
        await self._acquire(turn, store)
        try:
            yield
        finally:
            self._release(store)

    async def _acquire(self, turn: Turn, store: str) -> None:
        if self._free:
            self._free -= 1
            self._held[store] += 1
            return
        line = self._lines.setdefault(store, _Line(self._numbers))
        given = line.join(turn.rank)
        try:
            with turn.waiting(line, given):
                await given
        except asyncio.CancelledError:
            if given.cancelled():
                line.leave(given)
            else:
                self._release(store)  # it was given at the very moment
            raise

    def _release(self, store: str) -> None:
        self._held[store] -= 1
        self._held += Counter()  # which forgets who has none
        self._lines = {name: line for name, line in self._lines.items() if line.first() is not None}
        if not self._lines:
            self._free += 1
            return
        chosen = min(self._lines, key=self._place_of)
        self._held[chosen] += 1
        self._lines[chosen].serve()

    def _place_of(self, store: str) -> tuple[bool, tuple[Rank, int] | None]:
        """Return the place among storages of whoever is the first to wait for one."""
        return self._held[store] >= self._share, self._lines[store].first()


class _Line:
    """Those who wait for a slot with jobs on one storage.

    Parameters
    ----------
    numbers : iterator of int
        Of the order of asking, for all lines.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._places: dict[asyncio.Future[None], int] = {}
        self._gone = 0

    def first(self) -> tuple[Rank, int] | None:
        """Return the rank of whoever is next, and what tells it from equal ones; None is nobody."""
        while self._waiting and self._waiting[0][-1].done():
            heapq.heappop(self._waiting)
            self._gone -= 1
        return self._waiting[0][:2] if self._waiting else None

    def join(self, rank: Rank) -> asyncio.Future[None]:
        """Let one wait; return what is set when it is served."""
        given = asyncio.get_running_loop().create_future()
        self.queue(rank, given)
        return given

    def queue(self, rank: Rank, given: asyncio.Future[None]) -> None:
        """Let one wait by a rank, perhaps beside a later one; the first to come up counts."""
        self._places[given] = self._places.get(given, 0) + 1
        heapq.heappush(self._waiting, (rank, next(self._numbers), given))

    def serve(self) -> None:
        """Serve whoever is `first`."""
        *_, given = heapq.heappop(self._waiting)
        given.set_result(None)
        self._went(self._places.pop(given) - 1)

    def leave(self, given: asyncio.Future[None]) -> None:
        """Let one go who was cancelled."""
        self._went(self._places.pop(given))

    def _went(self, places: int) -> None:
        """Note places that nobody waits in any more; once they are the half they are cleared."""
        self._gone += places
        if 2 * self._gone > len(self._waiting):
            self._waiting = [one for one in self._waiting if not one[-1].done()]
            heapq.heapify(self._waiting)
            self._gone = 0
