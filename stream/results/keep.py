"""The places where results are kept, near ones first, and how long each is waited for.

A place that is away, full or slow never fails a job and never holds one up for longer than its
limit: after a failure it is left alone for a while, and for longer at each further one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import structlog

import schemas
from stream.results.record import DamagedError, Result, decoded, encoded

__all__ = ["Keeper", "Results", "Shelf"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

_LOOKUPS: Final = 32
_LAST_WORD_S: Final = 2.0
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 600.0


class Keeper(Protocol):
    """A place that keeps bytes by name; what it raises is an OSError."""

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None if nothing is."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes; they appear whole or not at all."""
        ...

    async def drop(self, name: str) -> None:
        """Keep nothing under a name any more."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(slots=True)
class _Breaker:
    """Leaves a place alone after it has failed; says so once, and once when it works again."""

    place: str
    clock: Callable[[], float]
    until: float = 0.0
    pause_s: float = 0.0

    @property
    def open(self) -> bool:
        return self.clock() < self.until

    def failed(self, error: BaseException) -> None:
        """Begin a pause; what fails during one was begun before it, and says nothing new."""
        if self.open:
            return
        if not self.pause_s:
            why = str(error) or type(error).__name__
            log.warning("kept results are left alone for a while", place=self.place, why=why)
        self.pause_s = min(_LONGEST_PAUSE_S, 2 * self.pause_s or _FIRST_PAUSE_S)
        self.until = self.clock() + self.pause_s

    def worked(self) -> None:
        if self.pause_s:
            log.info("kept results are used again", place=self.place)
        self.pause_s = self.until = 0.0


@dataclass(slots=True)
class Shelf:
    """A place and what it may cost.

    Attributes
    ----------
    source : str
        What it is called in the telemetry: ``local`` or ``shared``.
    keeper : Keeper
    limit_s : float
        Longest wait for it, seconds.
    most_pending : int
        Results that may wait for being written; further ones are not kept.
    clock : callable
        Seconds, for the pauses.
    """

    source: str
    keeper: Keeper
    limit_s: float = 5.0
    most_pending: int = 64
    clock: Callable[[], float] = time.monotonic
    _reading: _Breaker = field(init=False)
    _writing: _Breaker = field(init=False)
    _pending: set[asyncio.Task[None]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._reading = _Breaker(f"{self.source}, reading", self.clock)
        self._writing = _Breaker(f"{self.source}, writing", self.clock)

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None also if nobody knows."""
        if self._reading.open:
            return None
        return await self._attempt(self._reading, self.keeper.get(name))

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes, some time soon."""
        self._soon(self.keeper.put(name, data))

    def drop(self, name: str) -> None:
        """Remove what is damaged, some time soon."""
        self._soon(self.keeper.drop(name))

    async def close(self) -> None:
        """Let what is being written be finished, but not for long."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=_LAST_WORD_S)
        for task in self._pending:
            task.cancel()
        self.keeper.close()

    def _soon(self, work: Coroutine[object, object, None]) -> None:
        if self._writing.open or len(self._pending) >= self.most_pending:
            work.close()
            return
        task = asyncio.create_task(self._attempt(self._writing, work))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _attempt(self, breaker: _Breaker, work: Coroutine[object, object, T]) -> T | None:
        """Bound a call in time; its failure is noted and goes no further."""
        try:
            async with asyncio.timeout(self.limit_s):
                found = await work
        except OSError as error:  # a TimeoutError is one
            breaker.failed(error)
            return None
        breaker.worked()
        return found


class Results:
    """Finished results by the names of their jobs.

    Parameters
    ----------
    shelves : sequence of Shelf
        The nearest first; none keeps nothing.
    on_reused : callable
        Told where a result was found again.
    """

    def __init__(
        self, shelves: Sequence[Shelf] = (), on_reused: Callable[[str], None] = lambda _: None
    ) -> None:
        self._shelves = tuple(shelves)
        self._on_reused = on_reused
        self._looking = asyncio.Semaphore(_LOOKUPS)
        self._damaged = False

    @property
    def kept(self) -> bool:
        """Whether results are kept anywhere."""
        return bool(self._shelves)

    async def find(self, name: str, arrivals: Sequence[schemas.WarpArrived]) -> Result | None:
        """Return the result of a job if it is kept anywhere.

        Parameters
        ----------
        name : str
            Of the job.
        arrivals : sequence of WarpArrived
            The job's warps, as `JobNames.of` takes them.
        """
        async with self._looking:
            for place, shelf in enumerate(self._shelves):
                data = await shelf.get(name)
                result = None if data is None else await self._read(shelf, name, data, arrivals)
                if data is not None and result is not None:
                    self._on_reused(shelf.source)
                    for nearer in self._shelves[:place]:
                        nearer.put(name, data)
                    return result
        return None

    async def keep(self, name: str, result: Result) -> None:
        """Keep a result for whoever asks next; returns before it is written."""
        if not self._shelves:
            return
        try:
            data = await asyncio.to_thread(encoded, name, result)
        except (schemas.SchemaError, TypeError, ValueError) as error:
            log.warning("a result has no bytes and is not kept", job=name, why=str(error))
            return
        for shelf in self._shelves:
            shelf.put(name, data)

    async def close(self) -> None:
        """Let go of everything; what is not written in two seconds is not kept."""
        await asyncio.gather(*(shelf.close() for shelf in self._shelves))

    async def _read(
        self, shelf: Shelf, name: str, data: bytes, arrivals: Sequence[schemas.WarpArrived]
    ) -> Result | None:
        """Make a result of bytes; what is none is dropped, and computed again."""
        try:
            return await asyncio.to_thread(
                decoded, name, data, arrivals[-1], measured=len(arrivals) == 1
            )
        except DamagedError as error:
            shelf.drop(name)
            self._tell_damaged(name, shelf.source, error)
            return None

    def _tell_damaged(self, name: str, source: str, error: DamagedError) -> None:
        """Log the first one: after an upgrade there may be as many as there are results."""
        if not self._damaged:
            log.warning(
                "damaged results are computed again", first=name, source=source, why=str(error)
            )
        self._damaged = True
