"""Files below allowed folders.

A path is followed if its real path after all links is below a root, and if what is there is a
regular file. It is opened component by component without following a link, so nobody can put one
in the way in between. The name never reaches a FITS library, some of which take brackets, pipes
and URLs in names for orders.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch.landing import LandedFile
from stream.fetch.limits import FetchLimits
from stream.fetch.pace import watched

__all__ = ["ChangedError", "FoundFile", "PosixFiles", "copy", "locate"]

T = TypeVar("T")

_FOLLOW_NOTHING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR)
_ELSEWHERE = "folders that are not allowed"
_POOLS = 8
"""Folders share so many pools of threads: one that hangs holds up an eighth of the others."""


class ChangedError(Exception):
    """A file changed between being found and being read; another look may find it whole."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file below a root.

    Attributes
    ----------
    root : str
    names : tuple of str
        That lead to it from the root.
    size : int
        Bytes.
    """

    root: str
    names: tuple[str, ...]
    size: int


class PosixFiles:
    """Reads files below roots.

    Parameters
    ----------
    roots : iterable of path
        Links in them are followed once, now.
    limits : FetchLimits
    recall : callable
        Gives more roots, asked in a thread before a file outside the known ones is refused.
    """

    def __init__(
        self,
        roots: Iterable[Path | str],
        limits: FetchLimits,
        recall: Callable[[], Iterable[Path]],
    ) -> None:
        self._roots: dict[str, str] = {}
        self._add(roots)
        self._limits = limits
        self._recall = recall
        self._numbers: dict[str, int] = {}
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def store_of(self, path: str) -> str:
        """Name the folder that a path is below, as far as the path alone tells."""
        plain = os.path.normpath(path)
        root = next((one for one in self._roots if _is_below(plain, one)), None)
        return _ELSEWHERE if root is None else self._roots[root]

    async def find(self, path: str) -> FoundFile:
        """Find a file.

        Raises
        ------
        WarpError, StoreAwayError
        """
        store = self.store_of(path)
        work = self._run(store, functools.partial(self._locate, path))
        try:
            return await asyncio.wait_for(work, self._limits.stall_s)
        except OSError as error:
            raise await self._told(store, error) from error

    async def land(self, store: str, found: FoundFile, file: LandedFile) -> None:
        """Copy a file that was found, on behalf of a store as it was named then.

        Raises
        ------
        WarpError, StoreAwayError, ChangedError
        """
        limits = self._limits
        work = self._run(store, functools.partial(copy, found, file, limits.chunk_bytes))
        try:
            await watched(work, limits, lambda: file.written)
        except OSError as error:
            raise await self._told(store, error) from error

    def close(self) -> None:
        """Give the threads back; what they are reading is abandoned."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _add(self, roots: Iterable[Path | str]) -> None:
        """Know more roots; the event loop may be looking at those of before."""
        more: dict[str, str] = {}
        for root in map(str, roots):
            real = os.path.realpath(root)
            more[os.path.normpath(root)] = more[real] = real
        self._roots = {**self._roots, **more}

    def _locate(self, path: str) -> FoundFile:
        """Find a file below the roots; of a folder that was allowed meanwhile, below those."""
        found = locate(path, self._roots.values())
        if found is None:
            self._add(self._recall())
            found = locate(path, self._roots.values())
        if found is None:
            raise WarpError(WarpFault.FORBIDDEN, f"{path!r} is below no allowed root")
        return found

    def _run(self, store: str, work: Callable[[], T]) -> asyncio.Future[T]:
        number = self._numbers.setdefault(store, len(self._numbers)) % _POOLS
        pool = self._pools.get(number)
        if pool is None:
            pool = ThreadPoolExecutor(self._limits.readers, thread_name_prefix="evensky-fetch")
            self._pools[number] = pool
        return asyncio.get_running_loop().run_in_executor(pool, work)

    async def _told(self, store: str, error: OSError) -> Exception:
        """Tell whether a failure is the file's or the storage's."""
        if isinstance(error, TimeoutError) and error.errno is None:
            message = "the storage stalls, or is slower than it may be"
            return StoreAwayError(store, message, StoreTrouble.TIMEOUT)
        theirs = error.errno in _ABSENT or error.errno in _OF_THE_FILE
        if theirs and await self._is_there(store):
            if error.errno in _ABSENT:
                return NotThereError(store)
            return WarpError(WarpFault.UNREADABLE, f"it cannot be opened: {error.strerror}")
        return StoreAwayError(store, f"it failed: {error.strerror or error}", StoreTrouble.FAILED)

    async def _is_there(self, store: str) -> bool:
        """Tell whether a root itself can be opened: else none of its files is to blame."""
        if store == _ELSEWHERE:
            return True
        try:
            work = self._run(store, functools.partial(_open_and_close, store))
            await asyncio.wait_for(work, self._limits.stall_s)
        except OSError:
            return False
        return True


# Blocking work, in threads


def locate(path: str, roots: Iterable[str]) -> FoundFile | None:
    """Return the file that a path leads to, or None if it is below no root.

    Raises
    ------
    OSError
    WarpError
        `forbidden` for what is no regular file.
    """
    real = os.path.realpath(path)
    root = next((root for root in tuple(roots) if _is_below(real, root)), None)
    if root is None:
        return None
    size = _regular_size(os.lstat(real))
    return FoundFile(root, tuple(real[len(_above(root)) :].split("/")), size)


def _is_below(path: str, folder: str) -> bool:
    """Tell whether a normal path is a folder or leads below it, as far as the texts tell."""
    return path == folder or path.startswith(_above(folder))


def _above(folder: str) -> str:
    return f"{folder.rstrip('/')}/"


def copy(found: FoundFile, file: LandedFile, chunk_bytes: int) -> None:
    """Copy a file, which must not have grown or shrunk meanwhile.

    Raises
    ------
    OSError, WarpError, StoreAwayError, ChangedError
    """
    chunk = memoryview(bytearray(min(chunk_bytes, max(1, found.size))))
    with _opened(found) as descriptor:
        if _regular_size(os.fstat(descriptor)) != found.size:
            raise ChangedError
        left = found.size
        while left:
            count = os.readv(descriptor, [chunk[:left]])
            if not count:
                raise ChangedError
            file.write(chunk[:count])
            left -= count


def _regular_size(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise WarpError(WarpFault.FORBIDDEN, "it is not a regular file")
    return status.st_size


def _open_and_close(folder: str) -> None:
    os.close(os.open(folder, _FOLDER))


@contextmanager
def _opened(found: FoundFile) -> Iterator[int]:
    """Open a file from its root downwards, following no link that was put there since."""
    descriptor = os.open(found.root, _FOLDER)
    try:
        for name in found.names:
            below = os.open(name, _FOLLOW_NOTHING, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
