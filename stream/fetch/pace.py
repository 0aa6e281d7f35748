"""A storage that stalls, or crawls, must not hold a job for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from stream.fetch.limits import FetchLimits

__all__ = ["Pace", "in_pace", "watched"]

T = TypeVar("T")


class Pace:
    """How fast bytes come in the event loop.

    Parameters
    ----------
    limits : FetchLimits
    timer : asyncio.Timeout
        Put off each time that enough bytes have come.
    """

    def __init__(self, limits: FetchLimits, timer: asyncio.Timeout) -> None:
        self._limits = limits
        self._timer = timer
        self._came = 0

    def came(self, size: int) -> None:
        """Tell that so many bytes have come."""
        self._came += size
        if self._came >= self._limits.least_bytes:
            self._came = 0
            now = asyncio.get_running_loop().time()
            self._timer.reschedule(now + self._limits.stall_s)


@asynccontextmanager
async def in_pace(limits: FetchLimits) -> AsyncIterator[Pace]:
    """Raise TimeoutError once too few bytes come."""
    async with asyncio.timeout(limits.stall_s) as timer:
        yield Pace(limits, timer)


async def watched(work: asyncio.Future[T], limits: FetchLimits, came: Callable[[], int]) -> T:
    """Wait for work in a thread, which is abandoned once too few bytes come.

    Parameters
    ----------
    work : Future
    limits : FetchLimits
    came : callable
        Returns how many bytes have come so far.

    Raises
    ------
    TimeoutError
    """
    before = 0
    try:
        while not (await asyncio.wait({work}, timeout=limits.stall_s))[0]:
            now = came()
            if now - before < limits.least_bytes:
                raise TimeoutError
            before = now
        return work.result()
    finally:
        work.cancel()
