"""Files for URIs that may have been written by an enemy: found, landed, verified, held, removed.

What is wrong with a file is its warp's fault, and a value. What is wrong with a storage is nobody's
fault: it is raised, and waited out by whoever asked, without a slot and without bytes in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

import structlog

from stream.faults import NotThereError, StoreAwayError, StoreTrouble, WarpError, WarpFault
from stream.fetch.breaker import Breaker
from stream.fetch.budget import ByteBudget
from stream.fetch.landing import LandedFile, Landing
from stream.fetch.limits import FetchLimits, Want
from stream.fetch.patience import Patience
from stream.fetch.places import Bucket, Object, local_path, object_of
from stream.fetch.posix import ChangedError, FoundFile, PosixFiles
from stream.fetch.s3 import BucketObjects, FoundObject

__all__ = ["Fetcher", "Held", "Hooks"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

Held = bytes | str | WarpError
"""The path of a file that has landed, or why it cannot be had; tests may hold the bytes."""

_FILE, _S3 = "file", "s3"
_CUT = (StoreTrouble.FAILED, StoreTrouble.TRUNCATED)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told, in the event loop.

    Attributes
    ----------
    on_read : callable
        Of each file that was read: its scheme, its bytes, the seconds.
    on_fault : callable
        What was wrong with each file that was not.
    on_trouble : callable
        What a storage did that could not be asked.
    on_away : callable
        The scheme of a storage that went away (1), or is back (-1).
    """

    on_read: Callable[[str, int, float], None] = lambda *_: None
    on_fault: Callable[[WarpFault], None] = lambda _: None
    on_trouble: Callable[[StoreTrouble], None] = lambda _: None
    on_away: Callable[[str, int], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a wanted file is: its store's name, and a path or an object there."""

    store: str
    what: str | Object


class Fetcher:
    """Reads files from allowed folders and buckets.

    Parameters
    ----------
    roots : iterable of path or Bucket
        Folders below which files may be read; buckets, or prefixes in them.
    landing : Path
        Folder of this host in which files land for as long as they are held.
    limits : FetchLimits, optional
        What it may use.
    hooks : Hooks, optional
        Who is told.
    recall : callable, optional
        Gives more folders, asked in a thread before a file outside the known ones is refused.
    """

    def __init__(
        self,
        roots: Iterable[Path | str | Bucket],
        landing: Path,
        limits: FetchLimits | None = None,
        hooks: Hooks | None = None,
        *,
        recall: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        allowed = tuple(roots)
        self._limits = limits or FetchLimits()
        self._hooks = hooks or Hooks()
        self._landing = Landing(landing, self._limits.readers + 1)
        folders = [one for one in allowed if not isinstance(one, Bucket)]
        self._files = PosixFiles(folders, self._limits, recall)
        self._allowed = tuple(one for one in allowed if isinstance(one, Bucket))
        self._buckets = {
            one.name: BucketObjects(one.name, self._limits, self._landing) for one in self._allowed
        }
        self._budget = ByteBudget(self._limits.in_flight_bytes)
        self._reading: dict[str, asyncio.Semaphore] = {}
        self._breakers: dict[str, Breaker] = {}
        self._patience: WeakKeyDictionary[Want, Patience] = WeakKeyDictionary()

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the files that are being read or held."""
        return self._budget.used

    @asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[Sequence[Held]]:
        """Land files, counted as in flight until the context is left, and then removed.

        Parameters
        ----------
        *wants : Want
            Files that are needed together. Their bytes are borrowed in one go, so that nobody
            waits for bytes while holding others.

        Yields
        ------
        list of str or WarpError
            In the order of `wants`; an error is `forbidden`, `missing`, `too_large`, `checksum`
            or `unreadable`.

        Raises
        ------
        StoreAwayError
            A storage cannot be asked, or does not answer as it should; or a file is not there and
            may come yet. Wait with `available`, then ask again with the same wants.
        """
        try:
            landed, held = await self._acquire(wants)
        except StoreAwayError as error:
            self._hooks.on_trouble(error.trouble)
            raise
        async with held:
            yield landed

    async def available(self, error: StoreAwayError) -> None:
        """Wait until whoever met an error of a storage may ask again."""
        await asyncio.sleep(error.pause_s)
        if not isinstance(error, NotThereError):
            await self._breaker(error.store).available()

    def store_of(self, uri: str) -> str:
        """Name the storage that a URI is of, as far as the text tells; "" if it is of none."""
        try:
            one = object_of(uri)
            if one is None:
                return self._files.store_of(local_path(uri))
            return self._buckets[one.bucket].store
        except (WarpError, KeyError):
            return ""

    async def start(self) -> None:
        """Clear away what killed processes left; what keeps files from landing is told later."""
        with suppress(StoreAwayError):
            await self._landing.run(self._landing.start)

    async def close(self) -> None:
        """Give threads, connections and files back; what is being read is abandoned."""
        self._files.close()
        for bucket in self._buckets.values():
            await bucket.close()
        await asyncio.to_thread(self._landing.close)

    # -- one after the other -----------------------------------------------------------------------

    async def _acquire(self, wants: Sequence[Want]) -> tuple[list[Held], AsyncExitStack]:
        """Land files, with another try at once where one can help."""
        places = [await self._told(self._place(want)) for want in wants]
        stores = dict.fromkeys(one.store for one in places if isinstance(one, _Place))
        tries = self._limits.retries
        with ExitStack() as asked:
            for store in stores:
                asked.enter_context(self._breaker(store).asked())
            while True:
                async with AsyncExitStack() as held:
                    try:
                        landed = await self._land(wants, places, held, last=not tries)
                        return landed, held.pop_all()
                    except StoreAwayError as error:
                        if not (tries and error.trouble in _CUT):
                            raise
                    except ChangedError:
                        pass
                tries -= 1
                await asyncio.sleep(self._limits.pause_s)

    async def _land(
        self,
        wants: Sequence[Want],
        places: Sequence[_Place | WarpError],
        held: AsyncExitStack,
        *,
        last: bool,
    ) -> list[Held]:
        found = [
            one if isinstance(one, WarpError) else await self._told(self._find(one, want))
            for one, want in zip(places, wants, strict=True)
        ]
        sizes = [one.size for one in found if not isinstance(one, WarpError)]
        await held.enter_async_context(self._budget.lent(sum(sizes)))
        landed: list[Held] = []
        for place, one, want in zip(places, found, wants, strict=True):
            if isinstance(place, WarpError):
                landed.append(place)
            elif isinstance(one, WarpError):
                landed.append(one)
            else:
                landed.append(await self._told(self._take(place, one, want, held, last=last)))
        return landed

    async def _told(self, work: Coroutine[object, object, T]) -> T | WarpError:
        """Turn a fault into a value, and tell of it."""
        try:
            return await work
        except WarpError as error:
            self._hooks.on_fault(error.reason)
            return error

    async def _place(self, want: Want) -> _Place:
        """Look at what was announced; no storage is asked."""
        one = object_of(want.uri)
        if one is None:
            path = local_path(want.uri)
            return _Place(self._files.store_of(path), path)
        if not one.within(self._allowed):
            raise WarpError(WarpFault.FORBIDDEN, f"{want.uri!r} is below no allowed root")
        self._check_size(want.size or 0)
        return _Place(self._buckets[one.bucket].store, one)

    async def _find(self, place: _Place, want: Want) -> FoundFile | FoundObject:
        with self._waiting_for(want, place):
            async with self._readers(place.store):
                found: FoundFile | FoundObject
                if isinstance(place.what, Object):
                    bucket = self._buckets[place.what.bucket]
                    found = await bucket.find(place.what.key, want.size)
                else:
                    found = await self._files.find(place.what)
        self._check_size(found.size)
        if want.size is not None and want.size != found.size:
            msg = f"the file has {found.size} bytes, {want.size} were announced"
            raise WarpError(WarpFault.CHECKSUM, msg)
        return found

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            msg = f"the file has {size} bytes, {self._limits.max_bytes} are allowed"
            raise WarpError(WarpFault.TOO_LARGE, msg)

    async def _take(
        self,
        place: _Place,
        found: FoundFile | FoundObject,
        want: Want,
        held: AsyncExitStack,
        *,
        last: bool,
    ) -> str:
        began = time.monotonic()
        with self._breaker(str(self._landing.folder)).asked(), self._waiting_for(want, place):
            file = await held.enter_async_context(self._landing.file(found.size))
            try:
                async with self._readers(place.store):
                    await self._read(place, found, file)
            except ChangedError as error:
                if not last:
                    raise
                msg = "the file changes while it is read"
                raise WarpError(WarpFault.UNREADABLE, msg) from error
            digest = await self._landing.run(file.finish)
            if digest is None:
                raise StoreAwayError(place.store, "a transfer was cut", StoreTrouble.TRUNCATED)
        if want.checksum is not None and digest != want.checksum:
            raise WarpError(WarpFault.CHECKSUM, "the bytes are not those that were announced")
        scheme = _S3 if isinstance(place.what, Object) else _FILE
        self._hooks.on_read(scheme, found.size, time.monotonic() - began)
        self._patience.pop(want, None)
        return file.path

    async def _read(self, place: _Place, found: FoundFile | FoundObject, file: LandedFile) -> None:
        if isinstance(place.what, Object) and isinstance(found, FoundObject):
            await self._buckets[place.what.bucket].land(found, file)
        elif isinstance(found, FoundFile):
            await self._files.land(place.store, found, file)

    def _readers(self, store: str) -> asyncio.Semaphore:
        """Return what bounds the files of one storage: a slow one keeps no other from reading."""
        found = self._reading.get(store)
        if found is None:
            found = self._reading[store] = asyncio.Semaphore(self._limits.readers)
        return found

    # -- those who are waited for ------------------------------------------------------------------

    @contextmanager
    def _waiting_for(self, want: Want, place: _Place) -> Iterator[None]:
        """Tell whoever has to wait for a file how long; in the end the file is at fault."""
        try:
            yield
        except StoreAwayError as error:
            patience = self._patience.setdefault(want, Patience(self._limits))
            served = self._breaker(place.store).served if error.store == place.store else None
            fault = patience.fault(error, asyncio.get_running_loop().time(), served)
            if fault is not None:
                raise fault from error
            raise

    def _breaker(self, store: str) -> Breaker:
        found = self._breakers.get(store)
        if found is None:
            loop = asyncio.get_running_loop()
            found = Breaker(store, self._limits, partial(self._changed, store), loop)
            self._breakers[store] = found
        return found

    def _changed(self, store: str, error: StoreAwayError | None) -> None:
        """Tell that a storage went away, or is back."""
        if error is not None:
            log.warning("storage is away", store=store, why=error.message)
        else:
            log.info("storage is back", store=store)
        self._hooks.on_away(self._scheme(store), -1 if error is None else 1)

    def _scheme(self, store: str) -> str:
        if store == str(self._landing.folder):
            return "landing"
        return _S3 if store.startswith("s3://") else _FILE
