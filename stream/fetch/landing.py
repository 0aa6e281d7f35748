"""The folder in which fetched files land, until the job that needs them is done.

Room is allocated before a byte is written, so a disk that is full is an error and neither half a
file nor a crash of whoever maps it. What a killed process left is removed by the next that starts.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

from stream import plainfiles
from stream.faults import StoreAwayError, StoreTrouble
from stream.ownfolder import OwnFolder

__all__ = ["LandedFile", "Landing"]

T = TypeVar("T")

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LandedFile:
    """One file as it lands. All methods block, and may be called in any thread.

    Parameters
    ----------
    folder : Path
        The folder that processes share, for errors.
    path : str
        In the one of this process.
    size : int
        Bytes that it will have.

    Attributes
    ----------
    path, size
        As given.
    written : int
        Bytes that have landed.
    """

    def __init__(self, folder: Path, path: str, size: int) -> None:
        self.path = path
        self._folder = folder
        self.size = size
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._gone = False
        self.written = 0

    def open(self) -> None:
        """Make the file, with room for all of it."""
        with self._lock:
            if self._gone:
                return
            try:
                self._descriptor = os.open(self.path, _NEW, 0o600)
                if self.size:
                    os.posix_fallocate(self._descriptor, 0, self.size)
            except OSError as error:
                raise self._failed(error) from error

    def write(self, *chunks: bytes | memoryview) -> None:
        """Append bytes.

        Raises
        ------
        StoreAwayError
            The folder's disk does not take them; or nobody wants the file any more.
        """
        with self._lock:
            if self._descriptor is None:
                raise StoreAwayError(str(self._folder), "the file was given up", _FAILED)
            for chunk in chunks:
                self._digest.update(chunk)
                self._append(self._descriptor, memoryview(chunk))

    def _append(self, descriptor: int, left: memoryview) -> None:
        try:
            while left:
                written = os.write(descriptor, left)
                left = left[written:]
                self.written += written
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> str | None:
        """Return the sha256 of a file that has all its bytes, or None; it is written no more."""
        with self._lock:
            self._close()
            return self._digest.hexdigest() if self.written == self.size else None

    def discard(self) -> None:
        """Remove the file, whoever still writes."""
        with self._lock:
            self._gone = True
            self._close()
            plainfiles.remove(self.path)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _failed(self, error: OSError) -> StoreAwayError:
        return _landing_failed(self._folder, error)


class Landing:
    """Files of this process that have landed; no other process touches them.

    Parameters
    ----------
    folder : Path
        Made by `start`, or when the first file lands.
    threads : int
        That open, write and remove.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="evensky-landing")
        self._numbers = count()
        self._own = OwnFolder(folder)
        self._closed = False

    @asynccontextmanager
    async def file(self, size: int) -> AsyncIterator[LandedFile]:
        """Give a new file with room for so many bytes; it is gone once the context is left.

        Raises
        ------
        StoreAwayError
            There is no room for it.
        """
        own = await self.run(self.start)
        file = LandedFile(self.folder, f"{own}/{next(self._numbers)}", size)
        try:
            await self.run(file.open)
            yield file
        finally:
            if self._closed:
                file.discard()
            else:
                await asyncio.shield(self.run(file.discard))

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do blocking work in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Remove all; what is still being written is abandoned. It may block."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._own.close()

    def start(self) -> Path:
        """Return a folder for this process alone, locked for as long as it lives.

        What killed processes left beside it is removed. It may block.

        Raises
        ------
        StoreAwayError
            It cannot be made.
        """
        try:
            return self._own.open()
        except OSError as error:
            raise _landing_failed(self.folder, error) from error


def _landing_failed(folder: Path, error: OSError) -> StoreAwayError:
    trouble = StoreTrouble.FULL if error.errno in _NO_ROOM else _FAILED
    return StoreAwayError(str(folder), f"no file can land there: {error.strerror}", trouble)


_FAILED = StoreTrouble.FAILED
