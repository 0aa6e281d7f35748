"""Which planes are in the spool, and which have to leave it: the parent's side.

Nothing here knows what a file holds. The index counts bytes, lets nobody's file go while it is in
use, and remembers of what left why it did, so that each decode beyond a warp's first has a cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import count
from typing import Final, Protocol

import structlog

from stream.spool.place import Place, laid_bytes

__all__ = ["Cause", "Files", "Spool", "Worth", "key_of"]

log = structlog.get_logger(__name__)

_MOST_ENTRIES: Final = 10_000
"""So many warps are kept at most, however small they are: each takes some memory here."""

_MOST_GONE: Final = 10_000
"""Of so many that left it is known why; of others as of those of an earlier start."""


_DOUBT_S: Final = 10.0
"""So long after a disk took no planes nobody decodes a warp only to lay them."""


class Cause(StrEnum):
    """Why a warp was decoded; the closed set of a metric's label."""

    FIRST = "first"
    """It had not been."""
    DAMAGED = "damaged"
    """Its file in the spool was not as it was written, or was gone."""
    EVICTED = "evicted"
    """Its planes had to make room."""
    NO_ROOM = "no_room"
    """Its planes found none: the spool was full of what is in use, the disk full, or it is off."""
    RESTART = "restart"
    """It was measured by a process that is no more, or by another copy."""
    RETRY = "retry"
    """The worker that had it died, or its job was called off."""


class Worth(IntEnum):
    """How much planes are worth; the least goes first, of equal ones what was used longest ago."""

    SPENT = 0
    """Matched: wanted again only if the reference changes."""
    MEMBER = 1
    """To be matched."""
    REFERENCE = 2
    """What others of its group are matched to."""


class Files(Protocol):
    """The files of the spool, by names that are never used again."""

    def open(self) -> None:
        """Make room for them, once; it may block, and raise an OSError."""
        ...

    def close(self) -> None:
        """Remove all; it may block."""
        ...

    def path(self, name: str) -> str:
        """Return where planes lie."""
        ...

    def size(self, name: str) -> int | None:
        """Return how many bytes they have; None if they are not there."""
        ...

    def remove(self, name: str) -> None:
        """Let them be there no more; it may block."""
        ...


def key_of(checksum: str, scale: float) -> str:
    """Name planes by what they are.

    Parameters
    ----------
    checksum : str
        sha256 of the warp's file.
    scale : float
        What its image is multiplied with.
    """
    return hashlib.sha256(f"{checksum} {float(scale)!r}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Left:
    """A file that had to make room and is there still, to be written over."""

    name: str
    size: int


@dataclass(slots=True)
class _Entry:
    number: int
    size: int
    ready: bool = False
    pins: int = 0
    worth: Worth = Worth.MEMBER
    old: _Left | None = None


class Spool:
    """The index.

    Parameters
    ----------
    files : Files
    most_bytes : int
        Bytes that all files may have.
    largest : int
        Bytes of the largest warp that is decoded: the room that is kept for the first one. Later
        as much is kept as the largest had that was seen.

    Attributes
    ----------
    evictions : int
        How many had to leave.
    """

    def __init__(self, files: Files, most_bytes: int, largest: int) -> None:
        self._files = files
        self._most = most_bytes
        self._guess = min(largest, most_bytes)
        self._seen_largest = 0
        self._entries: dict[str, _Entry] = {}
        self._lines: dict[Worth, OrderedDict[str, None]] = {one: OrderedDict() for one in Worth}
        self._gone: OrderedDict[str, Cause] = OrderedDict()
        self._bytes = self._leaving_bytes = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._numbers = count()
        self._making_room = asyncio.Lock()
        self._settled = asyncio.Event()
        self._open = self._told = self._closed = False
        self._doubted_until = 0.0
        self.evictions = 0

    @property
    def bytes(self) -> int:
        """Bytes of all files, those that are being written or removed included."""
        return self._bytes

    @property
    def entries(self) -> int:
        """Warps whose planes are there, or are about to."""
        return len(self._entries)

    async def start(self) -> None:
        """Clear away what killed processes left; a disk that fails is told, and tried again."""
        async with self._making_room:
            await self._is_open()

    def has(self, key: str) -> bool:
        """Tell whether planes are there."""
        entry = self._entries.get(key)
        return entry is not None and entry.ready

    def has_room(self) -> bool:
        """Tell whether another warp's planes could be laid now, as far as is known."""
        if time.monotonic() < self._doubted_until:
            return False
        return self._is_guessing() or self._victims(self._guess) is not None

    def learn(self, shape: tuple[int, int]) -> None:
        """Learn the shape of a warp: so large will be those that come.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.
        """
        self._seen_largest = max(self._seen_largest, laid_bytes(shape))
        self._guess = min(self._seen_largest, self._most)

    def doubt(self, place: Place, shape: tuple[int, int]) -> None:
        """Note that planes are not where they should have been laid: the disk may be full.

        For a while there is no room for what would be decoded only to be laid, and thrown away if
        it cannot be. What is decoded anyway is still tried, and one that is laid ends the doubt.

        Parameters
        ----------
        place : Place
            As `room` gave it.
        shape : (int, int)
            Of the warp; one that is larger than what was expected says nothing of the disk.
        """
        if laid_bytes(shape) <= place.room:
            self._doubted_until = time.monotonic() + _DOUBT_S

    def cause(self, key: str, *, measured: bool) -> Cause:
        """Tell why planes have to be decoded that are not there.

        Parameters
        ----------
        key : str
        measured : bool
            Whether the warp is known to have been measured, here or elsewhere.
        """
        return self._gone.get(key, Cause.RESTART if measured else Cause.FIRST)

    def without(self, key: str) -> None:
        """Note that planes were decoded, and are not kept."""
        if not self.has(key):
            self._note_gone(key, Cause.NO_ROOM)

    def deem(self, key: str, worth: Worth) -> None:
        """Say what planes are worth from now on."""
        entry = self._entries.get(key)
        if entry is not None and entry.worth is not worth:
            del self._lines[entry.worth][key]
            self._lines[worth][key] = None
            entry.worth = worth

    @contextlib.contextmanager
    def pinned(self, key: str) -> Iterator[str | None]:
        """Give the file of planes, which stays until the context is left; None if there is none."""
        entry = self._entries.get(key)
        if entry is None or not entry.ready:
            yield None
            return
        entry.pins += 1
        self._lines[entry.worth].move_to_end(key)
        try:
            yield self._path(key, entry)
        finally:
            entry.pins -= 1

    @contextlib.asynccontextmanager
    async def room(self, key: str) -> AsyncIterator[Place | None]:
        """Give a place to lay planes in; what is there when the context is left is kept.

        Nothing is lost or counted twice if whoever asks is cancelled, here or within.

        Parameters
        ----------
        key : str
            Of planes that are not there, and that nobody else is about to lay.

        Yields
        ------
        Place or None
            None if all that is there is in use.
        """
        async with self._making_room:
            entry = await self._reserved(key) if await self._is_open() else None
            while entry is None and self._is_guessing():
                await self._one_settled()
                entry = await self._reserved(key)
        if entry is None:
            self.without(key)
            yield None
            return
        cause = Cause.RETRY
        old = None if entry.old is None else self._files.path(entry.old.name)
        try:
            yield Place(self._path(key, entry), entry.size, old)
            cause = Cause.NO_ROOM
        finally:
            self._settle(key, entry, cause)

    def drop(self, key: str, path: str) -> None:
        """Have damaged planes be there no more.

        Parameters
        ----------
        key : str
        path : str
            The file that was found damaged: another may have been laid since.
        """
        entry = self._entries.get(key)
        if entry is not None and entry.ready and self._path(key, entry) == path:
            self._let_go([key], Cause.DAMAGED)

    async def close(self) -> None:
        """Remove all files; there is no room from now on."""
        self._closed = True
        await self._removals()
        await asyncio.to_thread(self._files.close)

    async def _is_open(self) -> bool:
        """Make the folder when it is needed first; a disk that fails is tried again each time."""
        if not (self._open or self._closed):
            try:
                await asyncio.to_thread(self._files.open)
            except OSError as error:
                if not self._told:
                    log.warning("there is no spool, each job decodes its warps", why=str(error))
                self._told = True
                return False
            self._open = True
        return not self._closed

    def _is_guessing(self) -> bool:
        """Tell whether room is only held for what the first warps might take."""
        unknown = self._open and not (self._closed or self._seen_largest)
        return unknown and any(not one.ready for one in self._entries.values())

    async def _one_settled(self) -> None:
        """Wait until planes are laid, or are not going to be: the job that lays them ends."""
        self._settled.clear()
        await self._settled.wait()

    async def _reserved(self, key: str) -> _Entry | None:
        size = self._guess  # which may be another when files have been removed
        victims = self._victims(size)
        if victims is None:
            return None
        self.evictions += len(victims)
        old = self._make_way(victims[0]) if victims else None
        self._let_go(victims[1:], Cause.EVICTED)
        try:
            await self._removals()
        except asyncio.CancelledError:
            self._remove_soon(old)
            raise
        entry = self._entries[key] = _Entry(next(self._numbers), size, old=old)
        self._lines[entry.worth][key] = None
        self._bytes += size
        self._count_out(old)
        return entry

    def _make_way(self, key: str) -> _Left:
        """Take a victim out, whose file is there until it is written over."""
        self._note_gone(key, Cause.EVICTED)
        return self._strike(key)

    def _victims(self, size: int) -> list[str] | None:
        """Return whose files have to go for another's; None if not even all of them would do."""
        excess, victims = self._bytes - self._leaving_bytes + size - self._most, list[str]()
        left = len(self._entries)
        for key in self._by_value():
            if excess <= 0 and left < _MOST_ENTRIES:
                break
            entry = self._entries[key]
            if entry.ready and not entry.pins:
                victims.append(key)
                excess, left = excess - entry.size, left - 1
        return victims if excess <= 0 and left < _MOST_ENTRIES else None

    def _by_value(self) -> Iterator[str]:
        """Yield the least valuable first.

        Of the references of many groups that wait, the older ones go before members once they
        fill more than half of all: else there were no room for a warp between measure and match.
        """
        yield from self._lines[Worth.SPENT]
        references = list(self._lines[Worth.REFERENCE])
        size = sum(self._entries[key].size for key in references)
        while 2 * size > self._most:
            size -= self._entries[references[0]].size
            yield references.pop(0)
        yield from self._lines[Worth.MEMBER]
        yield from references

    def _let_go(self, keys: list[str], cause: Cause) -> None:
        """Have planes be there no more; their bytes count until their files are removed.

        In a thread, as the system takes its time to give back so many pages; and to its end, even
        if nobody waits for it any more.
        """
        for key in keys:
            self._note_gone(key, cause)
        self._remove_soon(*(self._strike(key) for key in keys))

    def _strike(self, key: str) -> _Left:
        entry = self._entries.pop(key)
        del self._lines[entry.worth][key]
        self._leaving_bytes += entry.size
        return _Left(_name(key, entry), entry.size)

    def _remove_soon(self, *files: _Left | None) -> None:
        left = [one for one in files if one is not None]
        if left:
            removal = asyncio.create_task(self._remove(left))
            self._leaving.add(removal)
            removal.add_done_callback(self._leaving.discard)

    async def _remove(self, files: list[_Left]) -> None:
        for one in files:
            try:
                await asyncio.to_thread(self._files.remove, one.name)
            finally:
                self._count_out(one)

    def _count_out(self, left: _Left | None) -> None:
        if left is not None:
            self._bytes -= left.size
            self._leaving_bytes -= left.size

    async def _removals(self) -> None:
        """Wait until all that had to leave has left."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _settle(self, key: str, entry: _Entry, cause: Cause) -> None:
        self._settled.set()
        self._clear_old(entry)
        size = self._files.size(_name(key, entry))
        if size is None:
            self._count_out(self._strike(key))
            self._note_gone(key, cause)
            return
        self._doubted_until = 0.0
        self._bytes += size - entry.size
        entry.size, entry.ready = size, True
        self._lines[entry.worth].move_to_end(key)
        self._gone.pop(key, None)

    def _clear_old(self, entry: _Entry) -> None:
        """Have the file removed that could have been written over, if it was not."""
        old, entry.old = entry.old, None
        if old is not None and self._files.size(old.name) is not None:
            self._bytes += old.size
            self._leaving_bytes += old.size
            self._remove_soon(old)

    def _path(self, key: str, entry: _Entry) -> str:
        return self._files.path(_name(key, entry))

    def _note_gone(self, key: str, cause: Cause) -> None:
        self._gone[key] = cause
        self._gone.move_to_end(key)
        if len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)


def _name(key: str, entry: _Entry) -> str:
    """Name a file as none was named before."""
    return f"{key}-{entry.number}"
