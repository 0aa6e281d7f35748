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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from stream import plainfiles

__all__ = ["LocalKeeper"]

T = TypeVar("T")

_BLOCK: Final = 4096
_THREADS: Final = 2
_SHARE: Final = 16
"""After so much of the bound was written the folder is looked through; others write there too."""

_KEPT_OF_BOUND: Final = 0.75
_UNFINISHED: Final = ".part"
_ABANDONED_S: Final = 3600.0


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
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._unseen = max_bytes  # so that the first look is had at the first chance
        self._trimming = threading.Lock()
        stem = secrets.token_hex(8)  # process ids are the same in many a container
        self._unfinished = (f"{stem}-{number}{_UNFINISHED}" for number in count())
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="evensky-results")

    async def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; None if nothing is.

        Raises
        ------
        OSError
        """
        return await self._run(lambda: self._get(self._path(name)))

    async def put(self, name: str, data: bytes) -> None:
        """Keep bytes, unless they are more than a sixteenth of the bound.

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
        self._threads.shutdown(wait=False, cancel_futures=True)

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
        size = _on_disk(len(data))
        if size > self._max_bytes // _SHARE:
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
        with self._trimming:
            self._unseen += size
            if self._unseen > self._max_bytes // _SHARE:
                self._trim()
                self._unseen = 0

    def _trim(self) -> None:
        """Remove what was used longest ago until a quarter of the bound is free again.

        The files are looked through up to three times and never all held: there may be a quarter
        of a million, and what a list of them took the process would keep.
        """
        total = sum(one.size for one in _files(self._folder))
        if total <= self._max_bytes - 2 * (self._max_bytes // _SHARE):
            return
        last = _last_to_go(self._folder, total - _KEPT_OF_BOUND * self._max_bytes)
        for one in _files(self._folder):
            if one.used <= last:
                plainfiles.remove(one.path)  # another process trims too


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


def _last_to_go(folder: Path, spare: float) -> float:
    """Return when the newest of the files was used that must go so that so many bytes do."""
    used, sizes = array("d"), array("q")
    for one in _files(folder):
        used.append(one.used)
        sizes.append(one.size)
    order = np.argsort(used, kind="stable")
    gone = np.cumsum(np.asarray(sizes)[order])
    place = min(int(np.searchsorted(gone, spare)), len(used) - 1)
    return float(used[order[place]]) if place >= 0 else 0.0


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files that are kept; what a killed process left half written is removed."""
    for below in os.scandir(folder):
        if not below.is_dir(follow_symlinks=False):
            continue
        for entry in os.scandir(below):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                old = time.time() - status.st_mtime > _ABANDONED_S
                if entry.name.endswith(_UNFINISHED) and old:
                    plainfiles.remove(entry.path)
                else:
                    yield _File(entry.path, _on_disk(status.st_size), status.st_mtime)


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
