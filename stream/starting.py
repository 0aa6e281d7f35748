"""The start of the workers, and what the log tells of it: the first one on a machine compiles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Protocol

import structlog

from stream.worker import LONGEST_WARM_UP_S, Warmth

__all__ = ["Startable", "start_workers"]

log = structlog.get_logger(__name__)

_PATIENCE_S = 5


class Startable(Protocol):
    """A pool, as whoever starts it sees it."""

    @property
    def alive(self) -> int:
        """Workers that are up."""
        ...

    async def start(self) -> Warmth:
        """Start the workers."""
        ...


async def start_workers(pool: Startable, moving: Callable[[], None] = lambda: None) -> None:
    """Start a pool's workers, and return when they are ready: no job compiles anything.

    Parameters
    ----------
    pool : Startable
        A `stream.pool.WorkerPool` that was not started.
    moving : callable
        Called again and again while the workers start, which has an end, so that nobody takes us
        for hung meanwhile.

    Raises
    ------
    OSError, stream.worker.WorkerDiedError
        As `WorkerPool.start`.
    """
    beat = asyncio.create_task(_beat(moving))
    try:
        warmth = await pool.start()
    finally:
        beat.cancel()
    _tell(pool.alive, warmth)


async def _beat(moving: Callable[[], None]) -> None:
    for second in count():
        moving()
        if second == _PATIENCE_S:
            _tell_patience()
        await asyncio.sleep(1.0)


def _tell_patience() -> None:
    log.info("compiling for this processor, as at every first start", longest_s=LONGEST_WARM_UP_S)


def _tell(workers: int, warmth: Warmth) -> None:
    counts = {"workers": workers, "compiled": warmth.compiled, "loaded": warmth.loaded}
    log.info("workers are ready", **counts, warm_up_s=round(warmth.seconds, 3))
    if warmth.compiled and not warmth.kept:
        log.warning(
            "machine code can be kept nowhere, so that every start compiles it anew",
            remedy="let NUMBA_CACHE_DIR name a folder that can be written",
        )
