"""Bytes of warps from the file system, for URIs that may have been written by an enemy.

A URI is followed if it is an absolute path or a ``file:`` URL, if its real path after all links is
below an allowed root, and if what is there is a regular file. It is opened component by component
without following a link, so nobody can put one in the way in between. The name never reaches a
FITS library, some of which take brackets, pipes and URLs in names for orders.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from stream.faults import WarpError, WarpFault

__all__ = ["FetchLimits", "Fetcher", "Held", "Want", "local_path"]

T = TypeVar("T")

_LONGEST_URI = 2048
_FOLLOW_NOTHING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetcher may use.

    Attributes
    ----------
    max_bytes : int
        Bytes of one file.
    in_flight_bytes : int
        Bytes of all files that are being read or held at once.
    readers : int
        Files read at once.
    timeout_s : float
        Seconds that one read may take before it is tried again.
    retries : int
        How often a storage that fails is asked again.
    missing_grace_s : float
        Seconds for which a file that is not there is asked for again.
    pause_s, longest_pause_s : float
        The first pause between tries, in seconds, and what doubling it may grow to.
    """

    max_bytes: int = 1 << 29
    in_flight_bytes: int = 1 << 30
    readers: int = 4
    timeout_s: float = 60.0
    retries: int = 3
    missing_grace_s: float = 30.0
    pause_s: float = 0.1
    longest_pause_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Want:
    """A file that is wanted.

    Attributes
    ----------
    uri : str
        An absolute path, or a ``file:`` URL of this host.
    checksum : str or None
        sha256 of the file, lower-case hex.
    size : int or None
        Bytes that the file must have.
    """

    uri: str
    checksum: str | None = None
    size: int | None = None


Held = bytes | WarpError
"""A file's bytes, or why they cannot be had."""


class Fetcher:
    """Reads files below allowed roots.

    Parameters
    ----------
    roots : iterable of path
        Directories below which files may be read; links in them are followed once, now.
    limits : FetchLimits, optional
        What it may use.
    on_read : callable, optional
        Called in the event loop with the bytes and the seconds of each file that was read.
    on_fault : callable, optional
        Called in the event loop with what was wrong with each file that was not.
    recall : callable, optional
        Gives more roots, asked in a thread before a file outside the known ones is refused.
    """

    def __init__(
        self,
        roots: Iterable[Path | str],
        limits: FetchLimits | None = None,
        on_read: Callable[[int, float], None] = lambda *_: None,
        *,
        on_fault: Callable[[WarpFault], None] = lambda _: None,
        recall: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        self._roots = tuple(Path(os.path.realpath(root)) for root in roots)
        self._limits = limits or FetchLimits()
        self._on_read = on_read
        self._on_fault = on_fault
        self._recall = recall
        self._budget = _ByteBudget(self._limits.in_flight_bytes)
        self._reading = asyncio.Semaphore(self._limits.readers)
        self._threads = ThreadPoolExecutor(self._limits.readers, thread_name_prefix="evensky-fetch")

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the files that are being read or held."""
        return self._budget.used

    async def fetch(self, uri: str, checksum: str | None = None, size: int | None = None) -> bytes:
        """Return the bytes of a file, or raise; they count as in flight only while it is read."""
        async with self.hold(Want(uri, checksum, size)) as (held,):
            if isinstance(held, WarpError):
                raise held
            return held

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give the bytes of files, counted as in flight until the context is left.

        Parameters
        ----------
        *wants : Want
            Files that are needed together. Their bytes are borrowed in one go, so that nobody
            waits for bytes while holding others.

        Yields
        ------
        list of bytes or WarpError
            In the order of `wants`; an error is `forbidden`, `missing`, `too_large`, `checksum`,
            `timeout` or `unreadable`.
        """
        found = await asyncio.gather(*(self._told(self._find(want)) for want in wants))
        sizes = [one.size for one in found if isinstance(one, _Found)]
        async with self._budget.lent(sum(sizes)):
            yield [
                one if isinstance(one, WarpError) else await self._told(self._take(one, want))
                for one, want in zip(found, wants, strict=True)
            ]

    async def _told(self, work: Coroutine[object, object, T]) -> T | WarpError:
        """Turn a fault into a value, and tell of it."""
        try:
            return await work
        except WarpError as error:
            self._on_fault(error.reason)
            return error

    async def _find(self, want: Want) -> _Found:
        path = local_path(want.uri)
        found = await self._insist(functools.partial(self._locate, path))
        if found.size > self._limits.max_bytes:
            msg = f"the file has {found.size} bytes, {self._limits.max_bytes} are allowed"
            raise WarpError(WarpFault.TOO_LARGE, msg)
        if want.size is not None and want.size != found.size:
            msg = f"the file has {found.size} bytes, {want.size} were announced"
            raise WarpError(WarpFault.CHECKSUM, msg)
        return found

    def _locate(self, path: str) -> _Found:
        """Find a file below the roots; of a folder that was allowed meanwhile, below those."""
        found = _locate(path, self._roots)
        if found is None:
            more = (Path(os.path.realpath(root)) for root in self._recall())
            self._roots = tuple(dict.fromkeys((*self._roots, *more)))
            found = _locate(path, self._roots)
        if found is None:
            raise WarpError(WarpFault.FORBIDDEN, f"{path!r} is below no allowed root")
        return found

    async def _take(self, found: _Found, want: Want) -> bytes:
        began = time.monotonic()
        data = await self._insist(functools.partial(_read, found, want.checksum))
        self._on_read(found.size, time.monotonic() - began)
        return data

    def close(self) -> None:
        """Give the threads back; what they are reading is abandoned."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _insist(self, work: Callable[[], T]) -> T:
        """Do blocking work in a thread, again where trying again can help."""
        patience = _Patience(self._limits, asyncio.get_running_loop().time)
        while True:
            try:
                async with self._reading, asyncio.timeout(self._limits.timeout_s):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except (OSError, TimeoutError) as error:
                await asyncio.sleep(patience.pause_after(error))


class _Patience:
    """How long to wait before a storage is asked again, and when to give up."""

    def __init__(self, limits: FetchLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._give_up_at = clock() + limits.missing_grace_s
        self._tries_left = limits.retries
        self._pause_s = limits.pause_s

    def pause_after(self, error: OSError) -> float:
        """Return the seconds to wait after a failure, or raise the WarpError that ends it."""
        if error.errno in _ABSENT:
            if self._clock() >= self._give_up_at:
                raise WarpError(WarpFault.MISSING, "there is no such file") from error
        elif not self._tries_left:
            raise _storage_fault(error) from error
        else:
            self._tries_left -= 1
        pause_s, self._pause_s = self._pause_s, self._pause_s * 2
        return min(pause_s, self._limits.longest_pause_s)


def _storage_fault(error: OSError) -> WarpError:
    if isinstance(error, TimeoutError):
        return WarpError(WarpFault.TIMEOUT, "the storage did not answer in time")
    return WarpError(WarpFault.UNREADABLE, f"the storage failed: {error.strerror or error}")


class _ByteBudget:
    """Lends bytes in the order in which they were asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.used = 0

    @asynccontextmanager
    async def lent(self, size: int) -> AsyncIterator[None]:
        """Wait until so many bytes are free, and have them; one larger than all has them alone."""
        size = min(size, self._most)
        await self._borrow(size)
        try:
            yield
        finally:
            self.used -= size
            self._serve()

    async def _borrow(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.used -= size
            self._serve()
            raise

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done() and self.used + size > self._most:
                return
            self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)


# Names


def local_path(uri: str) -> str:
    """Return the absolute path that a URI names, or refuse it.

    Raises
    ------
    WarpError
        `forbidden` for another scheme or host, a relative path, a query, or odd characters.
    """
    if len(uri) > _LONGEST_URI or not uri.isprintable():
        raise WarpError(WarpFault.FORBIDDEN, "the URI is too long or has control characters")
    path = uri if uri.startswith("/") else _path_of_url(uri)
    if not path.startswith("/") or not path.isprintable():
        raise WarpError(WarpFault.FORBIDDEN, f"{uri!r} is not an absolute path or file: URL")
    return path


def _path_of_url(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise WarpError(WarpFault.FORBIDDEN, f"{uri!r} is no URL: {error}") from error
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or "?" in uri or "#" in uri:
        msg = f"{uri!r}: only absolute paths and file: URLs of this host are read"
        raise WarpError(WarpFault.FORBIDDEN, msg)
    return unquote(parts.path, errors="surrogateescape")


# Blocking work, in threads


@dataclass(frozen=True, slots=True)
class _Found:
    """A regular file below a root: the root, the names that lead to it, and its bytes."""

    root: Path
    names: tuple[str, ...]
    size: int


def _locate(path: str, roots: tuple[Path, ...]) -> _Found | None:
    """Return the file that a path leads to, or None if it is below no root."""
    real = Path(os.path.realpath(path))
    root = next((root for root in roots if real.is_relative_to(root)), None)
    if root is None:
        return None
    size = _regular_size(os.lstat(real))
    return _Found(root, real.relative_to(root).parts, size)


def _regular_size(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise WarpError(WarpFault.FORBIDDEN, "it is not a regular file")
    return status.st_size


def _read(found: _Found, checksum: str | None) -> bytes:
    """Return the content of a file, which must not have grown or shrunk meanwhile."""
    with _opened(found) as descriptor:
        if _regular_size(os.fstat(descriptor)) != found.size:
            raise WarpError(WarpFault.UNREADABLE, "the file changes while it is read")
        data = _content(descriptor, found.size)
    if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
        raise WarpError(WarpFault.CHECKSUM, "the bytes are not those that were announced")
    return data


def _content(descriptor: int, size: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb", buffering=0) as stream:
        chunks = []
        while chunk := stream.read(size):
            chunks.append(chunk)
            size -= len(chunk)
    if size:
        raise WarpError(WarpFault.TRUNCATED, "the file ended while it was read")
    return b"".join(chunks)


@contextmanager
def _opened(found: _Found) -> Iterator[int]:
    """Open a file from its root downwards, following no link that was put there since."""
    descriptor = os.open(found.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in found.names:
            below = os.open(name, _FOLLOW_NOTHING, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
