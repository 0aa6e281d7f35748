"""Jobs in which a process died: reported at the next start, then run alone, in the end given up.

What killed a process cannot be told from what only ran beside it. So each job that ran is reported
to the input topic as a suspect, and a suspect runs with nothing beside it. If the process dies
again, it was this job. How many such deaths are too many is for `core.groups` to say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Final, Protocol

import structlog

import schemas
from core import groups
from stream.announce import Announcer
from stream.ledger import Entry, Ledger, dead_ledgers
from stream.log.seam import PublisherLog
from stream.log.topics import Topics

__all__ = ["Groups", "Turns", "Watch", "report_deaths", "watching"]

log = structlog.get_logger(__name__)

_US: Final = 1_000_000
_SOURCE: Final = "evensky/suspects"


class Groups(Protocol):
    """The groups of this process, as the service has them."""

    def find(self, key: str) -> groups.Group | None:
        """Return a group of one of our partitions by its key."""
        ...

    async def read_up(self, key: str) -> None:
        """Wait until all is read that the group's partition held when it became ours."""
        ...


async def report_deaths(
    folder: Path, service: str, publisher: Callable[[], PublisherLog], topics: Topics
) -> frozenset[str]:
    """Report what ran in processes that were killed, and forget it once that is durable.

    A report that is repeated, because we were killed ourselves meanwhile, has the same time, by
    which it is found to be a duplicate.

    Parameters
    ----------
    folder : Path
        Where the processes of this host keep their ledgers.
    service : str
        What they work for.
    publisher : callable
        Gives the log to report to, not started; asked only if there is something to report.
    topics : Topics

    Returns
    -------
    frozenset of str
        Names of the jobs reported.

    Raises
    ------
    LogError
        The log cannot be written; the ledgers stay.
    """
    with dead_ledgers(folder, service) as dead:
        entries = [entry for one in dead for entry in one.entries]
        if entries:
            await _publish(publisher(), topics, entries)
            names = [f"{entry.group} visit {entry.visit}" for entry in entries]
            log.warning("jobs in which a process died are suspected", jobs=names)
    return frozenset(entry.job for entry in entries)


async def _publish(publisher: PublisherLog, topics: Topics, entries: Iterable[Entry]) -> None:
    try:
        await publisher.start()
        for entry in entries:
            announcer = Announcer(publisher, topics, partial(truediv, entry.at, _US), _SOURCE)
            await announcer.send([_suspected(entry)])
    finally:
        await publisher.close()


@contextlib.asynccontextmanager
async def watching(
    watch: Watch,
    folder: Path | None,
    service: str,
    publisher: Callable[[], PublisherLog],
    topics: Topics,
) -> AsyncIterator[None]:
    """Report what earlier processes died of, and write down what runs in this one.

    Without a folder, or if it cannot be written, the service runs all the same.

    Parameters
    ----------
    watch : Watch
        Told to begin.
    folder, service, publisher, topics
        As for `report_deaths`.
    """
    if folder is None:
        yield
        return
    reported = await report_deaths(folder, service, publisher, topics)
    ledger = _opened(folder, service)
    watch.begin(ledger, reported)
    try:
        yield
    finally:
        if ledger is not None:
            ledger.close()


def _opened(folder: Path, service: str) -> Ledger | None:
    try:
        return Ledger(folder, service)
    except OSError as error:
        log.warning(
            "what runs cannot be written down; a job that kills this process will not be found",
            folder=str(folder),
            why=str(error),
            remedy="let local_dir name a folder that can be written",
        )
        return None


def _suspected(entry: Entry) -> schemas.JobSuspected:
    group = schemas.GroupId.parse(entry.group)
    return schemas.JobSuspected(**group.fields, visit=entry.visit, job=entry.job, alone=entry.alone)


class Turns:
    """Lets many run together, or one alone; one that waits to be alone goes before new others."""

    def __init__(self) -> None:
        self._running = 0
        self._alone = 0
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def take(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for the time of the context."""
        self._alone += alone
        try:
            await self._until_free(alone=alone)
            self._running += 1
            try:
                yield
            finally:
                self._running -= 1
        finally:
            self._alone -= alone
            self._changed.set()

    async def _until_free(self, *, alone: bool) -> None:
        while self._running if alone else self._alone:
            self._changed.clear()
            await self._changed.wait()


class Watch:
    """Writes down what runs, has suspects run alone, and says who was given up.

    Parameters
    ----------
    policy_for : callable
        Policy of a group by its key.
    clock : callable
        Wall time, seconds since 1970.
    """

    def __init__(
        self, policy_for: Callable[[str], groups.Policy], clock: Callable[[], float]
    ) -> None:
        self._policy_for = policy_for
        self._clock = clock
        self._known: Groups | None = None
        self._ledger: Ledger | None = None
        self._reported: Collection[str] = frozenset()
        self._turns = Turns()

    def know(self, known: Groups) -> None:
        """Take the groups, which are made after those who work on them."""
        self._known = known

    def begin(self, ledger: Ledger | None, reported: Collection[str]) -> None:
        """Go to work.

        Parameters
        ----------
        ledger : Ledger or None
            Where it is written down what runs.
        reported : collection of str
            Jobs that this process has reported at its start. They run alone too, and not before
            the reports were read back: a process that dies at once must not do so for ever.
        """
        self._ledger, self._reported = ledger, reported

    async def refused(self, job: str, arrival: schemas.WarpArrived) -> str | None:
        """Say why a job is not to be run any more; None if it is.

        Parameters
        ----------
        job : str
            Its name.
        arrival : WarpArrived
            The warp at work.
        """
        if self._known is not None and job in self._reported:
            await self._known.read_up(arrival.group.key)
        member = self._member(arrival)
        if member is None or member.suspicion is None:
            return None
        same = member.digest == schemas.arrival_digest(arrival)
        if same and groups.given_up(member, self._policy_for(arrival.group.key)):
            return f"this process died {member.suspicion.deaths} times of it alone"
        return None

    def turn(
        self, job: str, arrival: schemas.WarpArrived
    ) -> contextlib.AbstractAsyncContextManager[None]:
        """Return the time in which a job may run, which is waited for and written down.

        Whether it is a suspect is asked now: its partition may be lost before its turn comes.
        """
        alone = job in self._reported or self._is_suspect(job, arrival)
        return self._turn(job, arrival, alone=alone)

    @contextlib.asynccontextmanager
    async def _turn(
        self, job: str, arrival: schemas.WarpArrived, *, alone: bool
    ) -> AsyncIterator[None]:
        async with self._turns.take(alone=alone):
            entry = Entry(
                job=job,
                group=arrival.group.key,
                visit=arrival.visit,
                alone=alone,
                at=round(self._clock() * _US),
            )
            with contextlib.nullcontext() if self._ledger is None else self._ledger.listed(entry):
                yield

    def _is_suspect(self, job: str, arrival: schemas.WarpArrived) -> bool:
        member = self._member(arrival)
        return member is not None and member.suspicion is not None and member.suspicion.job == job

    def _member(self, arrival: schemas.WarpArrived) -> groups.Member | None:
        group = None if self._known is None else self._known.find(arrival.group.key)
        return None if group is None else group.members.get(arrival.visit)
