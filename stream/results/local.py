"""Results in a folder of this host, bounded in bytes; the one used longest ago goes first.

Several processes may share the folder, and each may be killed at any moment: a file appears whole
or not at all, and what is in it is checked by whoever reads it. Nothing waits for the disk: a file
that a power loss damages is found out by its checksum.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import count, islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import structlog

from stream import plainfiles

__all__ = ["LocalKeeper"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

_BLOCK: Final = 4096
_THREADS: Final = 2
_SHARE: Final = 16
"""After so much of the bound was written the folder is looked through; others write there too."""

_KEPT_OF_BOUND: Final = 0.75
_SORTED: Final = 8192
"""Of more files every so many-th tells when those were used that have to go."""

_UNFINISHED: Final = ".part"
_ABANDONED_S: Final = 3600.0


class _ClosedError(Exception):
    """Nobody wants the folder to be looked through any more."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    used: float


class LocalKeeper:
    """Keeps bytes in a folder.

    Parameters
    ----------
    folder : Path
        Made when something is first kept.
    max_bytes : int
        Most that the files may take; passed for a moment by an eighth for each further process
        that writes there.

    Attributes
    ----------
    look : concurrent.futures.Future
        The last look through the folder, which is had in a thread of its own: there may be a
        quarter of a million files, and nobody who wants one waits for so long.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._unseen = max_bytes  # so that the first look is had at the first chance
        self._counting = threading.Lock()
        self._closed = False
        self.look: Future[None] = Future()
        self.look.set_result(None)
        stem = secrets.token_hex(8)  # process ids are the same in many a container
        self._unfinished = (f"{stem}-{number}{_UNFINISHED}" for number in count())
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evensky-results")
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="evensky-results-look")

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None if nothing is.

        Raises
        ------
        OSError
        """
        return await self._run(lambda: self._get(self._path(name)))

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes, unless they are more than a sixteenth of the bound, or room is being made.

        Raises
        ------
        OSError
        """
        await self._run(lambda: self._put(self._path(name), data))

    async def drop(self, name: str) -> None:
        """Keep nothing under a name any more.

        Raises
        ------
        OSError
        """
        await self._run(lambda: plainfiles.remove(self._path(name)))

    def close(self) -> None:
        """Give the threads back."""
        with self._counting:  # so that no look begins from now on
            self._closed = True
        for threads in (self._threads, self._looker):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name[:2]}/{name}"

    # -- in threads --------------------------------------------------------------------------------

    def _get(self, path: str) -> bytes | None:
        try:
            with FileIO(path) as file:
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        with contextlib.suppress(OSError):  # trimmed meanwhile, or not ours to touch
            os.utime(path)
        return data

    def _put(self, path: str, data: bytes) -> None:
        size, share = _on_disk(len(data)), self._max_bytes // _SHARE
        if size > share or (self._unseen > share and not self.look.done()):
            return
        folder, _, _ = path.rpartition("/")
        unfinished = f"{folder}/{next(self._unfinished)}"
        try:
            _write(unfinished, data)
            plainfiles.move(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                plainfiles.remove(unfinished)
            raise
        with self._counting:
            self._unseen += size
            if self._unseen > share and self.look.done() and not self._closed:
                self._unseen = 0
                self.look = self._looker.submit(self._look_through)

    def _look_through(self) -> None:
        try:
            self._trim()
        except OSError as error:
            log.warning("kept results cannot be bounded", folder=str(self._folder), why=str(error))
        except _ClosedError:
            pass

    def _trim(self) -> None:
        """Remove what was used longest ago until a quarter of the bound is free again.

        The files are looked through up to three times and never all held: what a list of them
        took the process would keep.
        """
        number, total = 0, 0
        for one in self._files():
            number, total = number + 1, total + one.size
        if total <= self._max_bytes - 2 * (self._max_bytes // _SHARE):
            return
        each = -(-number // _SORTED)
        last = _last_to_go(self._files(), total - _KEPT_OF_BOUND * self._max_bytes, each)
        for one in self._files():
            if one.used <= last:
                plainfiles.remove(one.path)  # another process trims too

    def _files(self) -> Iterator[_File]:
        """Yield the files, until the end is near."""
        for one in _files(self._folder):
            if self._closed:
                raise _ClosedError
            yield one


def _write(path: str, data: bytes) -> None:
    try:
        file = FileIO(path, "xb")
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = FileIO(path, "xb")
    left = memoryview(data)
    with file:
        while left:
            left = left[file.write(left) :]


def _last_to_go(files: Iterator[_File], spare: float, each: int) -> float:
    """Return when the newest of the files was used that must go so that so many bytes do.

    Every `each`-th file speaks for so many: they come in no order that knows of times.
    """
    used, sizes = array("d"), array("q")
    for one in islice(files, 0, None, each):
        used.append(one.used)
        sizes.append(each * one.size)
    order = np.argsort(used, kind="stable")
    gone = np.cumsum(np.asarray(sizes)[order])
    place = min(int(np.searchsorted(gone, spare)), len(used) - 1)
    return float(used[order[place]]) if place >= 0 else 0.0


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files that are kept; what a killed process left half written is removed."""
    with os.scandir(folder) as found:
        for below in found:
            if below.is_dir(follow_symlinks=False):
                yield from _files_in(below.path)


def _files_in(folder: str) -> Iterator[_File]:
    with os.scandir(folder) as found:
        for entry in found:
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                old = time.time() - status.st_mtime > _ABANDONED_S
                if entry.name.endswith(_UNFINISHED) and old:
                    plainfiles.remove(entry.path)
                else:
                    yield _File(entry.path, _on_disk(status.st_size), status.st_mtime)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
