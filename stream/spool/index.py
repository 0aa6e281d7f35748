"""Which planes are in the spool, and which have to leave it: the parent's side.

Nothing here knows what a file holds. The index counts bytes, lets nobody's file go while it is in
use, and remembers of what left why it did, so that each decode beyond a warp's first has a cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Final, Protocol

import structlog

from stream.spool.place import Place, laid_bytes

__all__ = ["Cause", "Files", "Spool", "Worth", "key_of"]

log = structlog.get_logger(__name__)

_MOST_ENTRIES: Final = 10_000
"""So many warps are kept at most, however small they are: each takes some memory here."""

_MOST_GONE: Final = 10_000
"""Of so many that left it is known why; of others as of those of an earlier start."""


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
    """The worker that had it died."""


class Worth(IntEnum):
    """How much planes are worth; the least goes first, of equal ones what was used longest ago."""

    SPENT = 0
    """Matched: wanted again only if the reference changes."""
    MEMBER = 1
    """To be matched."""
    REFERENCE = 2
    """What others of its group are matched to."""


class Files(Protocol):
    """The files of the spool."""

    def open(self) -> None:
        """Make room for them, once; it may block, and raise an OSError."""
        ...

    def close(self) -> None:
        """Remove all; it may block."""
        ...

    def path(self, key: str) -> Path:
        """Return where the planes of a key lie."""
        ...

    def size(self, key: str) -> int | None:
        """Return how many bytes they have; None if they are not there."""
        ...

    def remove(self, key: str) -> None:
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


@dataclass(slots=True)
class _Entry:
    size: int
    ready: bool = False
    pins: int = 0
    worth: Worth = Worth.MEMBER


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
        self._bytes = 0
        self._making_room = asyncio.Lock()
        self._open = self._told = False
        self.evictions = 0

    @property
    def bytes(self) -> int:
        """Bytes of all files, those that are being written included."""
        return self._bytes

    @property
    def entries(self) -> int:
        """Warps whose planes are there, or are about to."""
        return len(self._entries)

    def has(self, key: str) -> bool:
        """Tell whether planes are there."""
        entry = self._entries.get(key)
        return entry is not None and entry.ready

    def has_room(self) -> bool:
        """Tell whether another warp's planes could be laid now."""
        return self._victims() is not None

    def learn(self, shape: tuple[int, int]) -> None:
        """Learn the shape of a warp: so large will be those that come.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.
        """
        self._seen_largest = max(self._seen_largest, laid_bytes(shape))
        self._guess = min(self._seen_largest, self._most)

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
    def pinned(self, key: str) -> Iterator[Path | None]:
        """Give the file of planes, which stays until the context is left; None if there is none."""
        entry = self._entries.get(key)
        if entry is None or not entry.ready:
            yield None
            return
        entry.pins += 1
        self._lines[entry.worth].move_to_end(key)
        try:
            yield self._files.path(key)
        finally:
            entry.pins -= 1

    @contextlib.asynccontextmanager
    async def room(self, key: str) -> AsyncIterator[Place | None]:
        """Give a place to lay planes in; what is there when the context is left is kept.

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
        if entry is None:
            self.without(key)
            yield None
            return
        try:
            yield Place(self._files.path(key), entry.size)
        finally:
            self._settle(key, entry)

    async def drop(self, key: str) -> None:
        """Have damaged planes be there no more."""
        if key in self._entries:
            await self._remove([key], Cause.DAMAGED)

    async def close(self) -> None:
        """Remove all files."""
        await asyncio.to_thread(self._files.close)

    async def _is_open(self) -> bool:
        """Make the folder when it is needed first; a disk that fails is tried again each time."""
        if not self._open:
            try:
                await asyncio.to_thread(self._files.open)
            except OSError as error:
                if not self._told:
                    log.warning("there is no spool, each job decodes its warps", why=str(error))
                self._told = True
                return False
            self._open = True
        return True

    async def _reserved(self, key: str) -> _Entry | None:
        victims = self._victims()
        if victims is None:
            return None
        self.evictions += len(victims)
        await self._remove(victims, Cause.EVICTED)
        entry = self._entries[key] = _Entry(self._guess)
        self._lines[entry.worth][key] = None
        self._bytes += entry.size
        return entry

    def _victims(self) -> list[str] | None:
        """Return whose files have to go for another's; None if not even all of them would do."""
        excess, victims = self._bytes + self._guess - self._most, list[str]()
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

    async def _remove(self, keys: list[str], cause: Cause) -> None:
        """Remove files in a thread: the system takes its time to give back so many pages."""
        for key in keys:
            self._entries[key].ready = False
            self._note_gone(key, cause)
        await asyncio.shield(asyncio.ensure_future(self._forget(keys)))

    async def _forget(self, keys: list[str]) -> None:
        for key in keys:
            await asyncio.to_thread(self._files.remove, key)
            self._strike(key)

    def _settle(self, key: str, entry: _Entry) -> None:
        size = self._files.size(key)
        if size is None:
            self._strike(key)
            self.without(key)
            return
        self._bytes += size - entry.size
        entry.size, entry.ready = size, True
        self._lines[entry.worth].move_to_end(key)
        self._gone.pop(key, None)

    def _strike(self, key: str) -> None:
        entry = self._entries.pop(key)
        del self._lines[entry.worth][key]
        self._bytes -= entry.size

    def _note_gone(self, key: str, cause: Cause) -> None:
        self._gone[key] = cause
        self._gone.move_to_end(key)
        if len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)
