"""A connection to the embedded log's file, used from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stream.log.seam import LogUnavailableError
from stream.log.sqlite import LogFile

__all__ = ["Lane", "acquired"]

T = TypeVar("T")


async def acquired(
    executor: ThreadPoolExecutor | None, acquire: Callable[[], T], release: Callable[[T], None]
) -> T:
    """Acquire something in a thread; if cancelled meanwhile, let go of it again."""
    acquiring = asyncio.get_running_loop().run_in_executor(executor, acquire)
    try:
        return await asyncio.shield(acquiring)
    except asyncio.CancelledError:
        await asyncio.wait({acquiring})
        if acquiring.exception() is None:
            release(acquiring.result())
        raise


class Lane:
    """One connection to the file and the one thread that uses it, so the event loop never waits.

    Parameters
    ----------
    open_file : callable
        Opens the file, in that thread.
    """

    def __init__(self, open_file: Callable[[], LogFile]) -> None:
        self._open_file = open_file
        self._executor: ThreadPoolExecutor | None = None
        self._file: LogFile | None = None

    async def open(self) -> None:
        """Open the file."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="evensky-log")
        self._file = await acquired(self._executor, self._open_file, LogFile.close)

    async def run(self, call: Callable[[LogFile], T]) -> T:
        """Call something with the file, in its thread."""
        file = self._file
        if file is None:
            raise LogUnavailableError("the log is not open")
        return await self._submit(lambda: call(file))

    async def _submit(self, call: Callable[[], T]) -> T:
        if self._executor is None:
            raise LogUnavailableError("the log is not open")
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def close(self) -> None:
        """Close the file; may be called twice."""
        executor, file = self._executor, self._file
        if executor is None:
            return
        if file is not None:
            await self._submit(file.close)
        self._file = self._executor = None
        executor.shutdown(wait=False)
