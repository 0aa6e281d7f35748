"""How jobs come to the planes of their warps: from the spool, or from files that are fetched.

A warp is decoded once and its planes are laid in the spool, by the job that measures it; if they
had to leave, they are decoded again, by one job for all that wait for them. What the spool has is
not fetched. Each decode is counted with its cause.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

import schemas
from stream import jobs
from stream.faults import StoreAwayError, WarpError
from stream.fetch import Held, Want
from stream.spool import Cause, Place, Spool, Worth, key_of

__all__ = ["Do", "Errand", "Planes", "Store"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

_TRIES: Final = 3
_NO_FILE: Final = b""


class Store(Protocol):
    """Where bytes come from."""

    def hold(self, *wants: Want) -> AbstractAsyncContextManager[Sequence[Held]]:
        """Give the verified files of warps, or what is wrong with each, for a while.

        Raises
        ------
        StoreAwayError
            A storage does not give them now.
        """
        ...

    async def available(self, error: StoreAwayError) -> None:
        """Wait until a storage may be asked again."""
        ...


class Do(Protocol):
    """Has one of `stream.jobs` done in a worker."""

    async def __call__(
        self,
        job: Callable[..., T],
        arrivals: Sequence[schemas.WarpArrived],
        warps: Sequence[jobs.WarpInput],
        /,
    ) -> T | jobs.JobFault:
        """Return what it gives; a fault is an answer."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Errand(Generic[T]):
    """A job and what it needs; the same at each try, so that a store's grace counts from the first.

    Attributes
    ----------
    do : Do
        Has it done.
    job : callable
        `jobs.measure` or `jobs.match`.
    arrivals : sequence of WarpArrived
        One warp, or a reference and a warp.
    wants : sequence of Want
        Their files.
    """

    do: Do
    job: Callable[..., T]
    arrivals: Sequence[schemas.WarpArrived]
    wants: Sequence[Want]

    @classmethod
    def of(
        cls, do: Do, job: Callable[..., T], arrivals: Sequence[schemas.WarpArrived]
    ) -> Errand[T]:
        """Return the errand of a job."""
        wants = [Want(one.uri, one.checksum, one.size) for one in arrivals]
        return cls(do, job, arrivals, wants)


class Planes:
    """Gives jobs the planes of their warps.

    Parameters
    ----------
    store : Store
    spool : Spool or None
        Without one every job decodes what it needs.
    on_decoded : callable
        Told the cause of each decode.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool | None = None,
        on_decoded: Callable[[Cause], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._spool = spool
        self._on_decoded = on_decoded
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    async def run(self, errand: Errand[T]) -> T | jobs.JobFault:
        """Have a job done.

        Parameters
        ----------
        errand : Errand

        Raises
        ------
        StoreAwayError
            A storage does not give what has to be decoded.
        """
        if self._spool is not None:
            for _ in range(_TRIES):
                result = await self._by_spool(self._spool, errand)
                if not isinstance(result, jobs.Unlaid):
                    return result
                self._drop(self._spool, result, errand.arrivals)
        return await self._from_files(errand, [None] * len(errand.arrivals))

    def release(self, arrival: schemas.WarpArrived) -> None:
        """Say that a warp is no longer the reference of a group that is at work."""
        if self._spool is not None:
            self._spool.deem(_key(arrival), Worth.SPENT)

    async def _by_spool(self, spool: Spool, errand: Errand[T]) -> T | jobs.JobFault:
        if len(errand.arrivals) == 1:
            return await self._on_one(spool, errand)
        with ExitStack() as pins:
            found = []
            for arrival, want in zip(errand.arrivals, errand.wants, strict=True):
                load = Errand(errand.do, jobs.load, [arrival], [want])
                fault = await self._bring(spool, load)
                if fault is not None:
                    return fault
                found.append(pins.enter_context(spool.pinned(_key(arrival))))
            result = await self._from_files(errand, found)
        reference, science = map(_key, errand.arrivals)
        spool.deem(reference, Worth.REFERENCE)
        spool.deem(science, Worth.SPENT)
        return result

    async def _on_one(self, spool: Spool, errand: Errand[T]) -> T | jobs.JobFault:
        """Do what needs one warp, which is decoded on the way if it must be."""
        (arrival,) = errand.arrivals
        async with self._alone(_key(arrival)):
            with spool.pinned(_key(arrival)) as path:
                if path is not None:
                    inputs = [_input(arrival, _NO_FILE, path)]
                    return await errand.do(errand.job, [arrival], inputs)
            return await self._decoding(spool, errand, measured=False)

    async def _bring(
        self, spool: Spool, load: Errand[jobs.Loaded | jobs.JobFault]
    ) -> jobs.JobFault | None:
        """Have planes in the spool if there is room for them; whoever else wants them waits."""
        key = _key(load.arrivals[0])
        async with self._alone(key):
            if spool.has(key) or not spool.has_room():
                return None
            result = await self._decoding(spool, load, measured=True)
        return result if isinstance(result, jobs.JobFault) else None

    async def _decoding(
        self, spool: Spool, errand: Errand[T], *, measured: bool
    ) -> T | jobs.JobFault:
        (arrival,) = errand.arrivals
        key = _key(arrival)
        async with self._store.hold(*errand.wants) as (data,):
            if isinstance(data, WarpError):
                return _fault(arrival, data)
            self._on_decoded(spool.cause(key, measured=measured))
            async with spool.room(key) as place:
                inputs = [_input(arrival, data, place=place)]
                result = await errand.do(errand.job, [arrival], inputs)
        if isinstance(result, jobs.Measured | jobs.Loaded):
            spool.learn(result.shape)
            if place is not None and not spool.has(key):
                spool.doubt(place, result.shape)
        return result

    async def _from_files(
        self, errand: Errand[T], found: Sequence[str | None]
    ) -> T | jobs.JobFault:
        """Do a job on planes that were found, and on the files of the warps whose were not."""
        arrivals = errand.arrivals
        missing = [place for place, path in enumerate(found) if path is None]
        async with self._held([errand.wants[place] for place in missing]) as held:
            files = dict(zip(missing, held, strict=True))
            for place, data in files.items():
                if isinstance(data, WarpError):
                    return _fault(arrivals[place], data)
            for place in missing:
                self._decodes_without_room(arrivals[place], measured=len(arrivals) > 1)
            inputs = [
                _input(arrival, files.get(place, _NO_FILE), found[place])
                for place, arrival in enumerate(arrivals)
            ]
            return await errand.do(errand.job, arrivals, inputs)

    def _held(self, wants: Sequence[Want]) -> AbstractAsyncContextManager[Sequence[Any]]:
        return self._store.hold(*wants) if wants else nullcontext(())

    def _decodes_without_room(self, arrival: schemas.WarpArrived, *, measured: bool) -> None:
        if self._spool is None:
            self._on_decoded(Cause.NO_ROOM if measured else Cause.FIRST)
            return
        key = _key(arrival)
        damaged = self._spool.has(key)  # again and again, so we do without it
        cause = Cause.DAMAGED if damaged else self._spool.cause(key, measured=measured)
        self._on_decoded(cause)
        self._spool.without(key)

    def _drop(
        self, spool: Spool, unlaid: jobs.Unlaid, arrivals: Sequence[schemas.WarpArrived]
    ) -> None:
        log.warning("planes of the spool are decoded again", visit=unlaid.visit, why=unlaid.message)
        for arrival in arrivals:
            if arrival.visit == unlaid.visit:
                spool.drop(_key(arrival), unlaid.planes)

    @contextlib.asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """Be the only one who has to do with the planes of a key."""
        lock, waiting = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            waiting = self._turns[key][1] - 1
            if waiting:
                self._turns[key] = lock, waiting
            else:
                del self._turns[key]


def _key(arrival: schemas.WarpArrived) -> str:
    return key_of(arrival.checksum, arrival.scale)


def _input(
    arrival: schemas.WarpArrived,
    data: bytes | str,
    planes: str | None = None,
    place: Place | None = None,
) -> jobs.WarpInput:
    return jobs.WarpInput(
        arrival.visit, arrival.checksum, data, arrival.scale, planes=planes, place=place
    )


def _fault(arrival: schemas.WarpArrived, error: WarpError) -> jobs.JobFault:
    return jobs.JobFault(arrival.visit, error.reason, error.message)
