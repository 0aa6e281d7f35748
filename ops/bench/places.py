"""The logs that a service is measured on: a file, or a broker on this machine."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import schemas
from core import groups
from ops.bench.night import Instant
from ops.bench.passing import noting
from stream.announce import Announcer
from stream.configure import load_settings
from stream.foresight import AheadLimits, Foresight
from stream.log.embedded import create_topics as create_in_file
from stream.log.kafka_topics import create_topics as create_in_kafka
from stream.log.seam import Outgoing, OwnerLog
from stream.owner import Shared
from stream.pulse import Pulse
from stream.service import Limits, Service
from stream.settings import Settings
from stream.telemetry import Telemetry
from stream.wiring import assembler, kafka_settings, our_topics, owner_log, publisher_log

__all__ = ["Place", "Rig", "announce", "chunks", "owning"]

T = TypeVar("T")

_CHUNK = 2000
_FAR_MS = 10**12
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Place:
    """Where logs can be made.

    Attributes
    ----------
    name : str
        For the tables.
    folder : Path
    bootstrap : str or None
        A broker's address; None is a file.
    """

    name: str
    folder: Path
    bootstrap: str | None = None

    def settings(self, partitions: int) -> Settings:
        """Return the settings of a new log in this place."""
        prefix = f"bench-{secrets.token_hex(4)}"
        given: dict[str, Any] = {"topic_prefix": prefix, "app": prefix, "partitions": partitions}
        if self.bootstrap is None:
            given["log"] = self.folder / f"{prefix}.db"
        else:
            given["bootstrap_servers"] = self.bootstrap
        return load_settings(given, environment={})

    async def made(self, partitions: int = 1) -> Settings:
        """Make the topics of a new log, and return its settings."""
        settings = self.settings(partitions)
        specs = our_topics(settings).specs(partitions)
        if settings.brokers:
            await create_in_kafka(kafka_settings(settings), specs)
        else:
            await create_in_file(settings.log, specs)
        return settings


async def announce(settings: Settings, messages: Iterable[schemas.Message]) -> int:
    """Publish messages as upstream does, and return how many there were."""
    log = publisher_log(settings)
    await log.start()
    sent = 0
    try:
        announcer = Announcer(log, our_topics(settings), time.time)
        for chunk in chunks(messages):
            await announcer.send(chunk)
            sent += len(chunk)
    finally:
        await log.close()
    return sent


def chunks(many: Iterable[T]) -> Iterator[Sequence[T]]:
    """Yield runs of some thousands."""
    rest = iter(many)
    while chunk := tuple(islice(rest, _CHUNK)):
        yield chunk


@asynccontextmanager
async def owning(settings: Settings) -> AsyncIterator[OwnerLog]:
    """Own partition 0 of a log for a while."""
    log = owner_log(settings)
    await log.start()
    try:
        while 0 not in (await log.poll(1, 0.05)).assigned:
            pass
        await log.take(0)
        yield log
    finally:
        await log.close()


class _Timed:
    """A log that notes how long transactions that publish take, in seconds."""

    def __init__(self, log: OwnerLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int | None:
        """Write a transaction, and time it."""
        if isinstance(records, Sequence):  # what publishes is made while it is written
            return await self._log.transact(partition, records, next_offset)
        began = time.perf_counter()
        summaries: list[Outgoing] = []
        passing = noting(summaries, self._topic, records)
        end = await self._log.transact(partition, passing, next_offset)
        if summaries:
            self.seconds.append(time.perf_counter() - began)
        return end


class _Counting(Telemetry):
    """Telemetry that is asked for its count of events every few milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self.events = 0

    def event(self, outcome: str, count: int = 1) -> None:
        """Count what became of events."""
        super().event(outcome, count)
        self.events += count


@dataclass(slots=True)
class Rig:
    """A service whose workshop takes no time, on a log that was filled before.

    Attributes
    ----------
    settings : Settings
        Of the log.
    published : list of float
        Seconds of each transaction that published.
    lags : list of float
        Seconds by which the event loop was late, at every beat.
    """

    settings: Settings
    published: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    telemetry: _Counting = field(default_factory=_Counting)

    async def run(self, events: int, revisions: int) -> float:
        """Take in so many events and publish so many revisions; return events a second.

        The clock runs from the first event that is durable to the last.
        """
        service = self._service()
        running = asyncio.create_task(service.run())
        beat = asyncio.create_task(Pulse(self.lags.append).beat(_BEAT_S))
        try:
            first, began = await self._until(lambda: self.telemetry.events, 1, running)
            last, ended = await self._until(lambda: self.telemetry.events, events, running)
            await self._until(lambda: len(self.published), revisions, running)
        finally:
            beat.cancel()
            service.stop()
            await running
        return (last - first) / (ended - began)

    async def _until(
        self, count: Callable[[], int], most: int, running: asyncio.Task[None]
    ) -> tuple[int, float]:
        """Wait until so many were counted, and return how many, and when that was."""
        while (found := count()) < most:
            if running.done():
                await running
            await asyncio.sleep(_LOOK_S)
        return found, time.perf_counter()

    def _service(self) -> Service:
        settings, topics = self.settings, our_topics(self.settings)
        log: Any = _Timed(owner_log(settings), topics.groups)
        log.seconds = self.published
        workshop: Any = Instant()
        shared = Shared(
            log=log,
            topics=topics,
            workshop=workshop,
            assembler=assembler(settings),
            telemetry=self.telemetry,
            policy_for=lambda _: _POLICY,
            clock=time.time,
            source="bench",
            foresight=Foresight(AheadLimits(groups=0)),  # there is nothing to be done ahead
        )
        return Service(shared, _Nobody(), Pulse(lambda _: None), Limits(grace_s=5.0))


class _Nobody:
    """The pool of a service that has no workers."""

    running = 0
    alive = 1


_POLICY = groups.Policy(quiet_ms=None, deadline_ms=_FAR_MS)
_BEAT_S = 0.01
