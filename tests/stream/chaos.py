"""A service under a seeded storm: stub jobs without pixels, and a log whose answers get lost.

A `Script` draws events, clock jumps, stops and kills from one seed; a `FlakyLog` stands between
service and log and breaks what a log may break. Nothing here knows what ought to come out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np

import core
import schemas
from core import groups
from stream import fits, jobs
from stream.assemble import Assembler
from stream.changelog import Restored, restore
from stream.fetch import Held, Want
from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader
from stream.log.seam import (
    LogUnavailableError,
    Outgoing,
    OwnerLog,
    PartitionLostError,
    Poll,
    Record,
)
from stream.log.topics import Topics
from stream.owner import Shared
from stream.pulse import Pulse
from stream.runner import Runner
from stream.service import Limits, Service
from stream.telemetry import Telemetry
from stream.workshop import Workshop
from tests.stream.night import CONFIG, FAST, START_S, Clock, InlinePool

__all__ = [
    "PARTITIONS",
    "POISONED",
    "FlakyLog",
    "Lived",
    "Script",
    "Storm",
    "StubPool",
    "StubStore",
    "read_back",
]

POISONED = "x-poisoned"
"""Header by which a test knows a record that nothing can be done with."""

PARTITIONS = 3
GROUPS = 4
VISITS = 5
CALM_POLLS = 4


class StubStore:
    """Gives a warp's checksum for its bytes."""

    @contextlib.asynccontextmanager
    async def hold(self, *wants: Want) -> AsyncIterator[list[Held]]:
        """Give the bytes at once."""
        yield [(want.checksum or "").encode() for want in wants]

    async def available(self, error: Exception) -> None:
        """Be available at once."""


@dataclass
class StubPool:
    """Answers from the warps' checksums alone, in an order that the seed decides.

    Of the checksums a few are of warps that cannot be read, a few that can be measured but not
    matched with, and a few that overlap with nobody.
    """

    random: Random
    jobs: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Answer after a moment or two."""
        await asyncio.sleep(self.random.choice((0, 0, 0, 0.001, 0.02)))
        warps = [one for one in args if isinstance(one, jobs.WarpInput)]
        self.jobs.append((function.__name__, warps[-1].checksum))
        return _measured(*warps) if function is jobs.measure else _matched(*warps)


def _grade(checksum: str) -> int:
    return int(checksum[:4], 16) % 16


def _measured(warp: jobs.WarpInput) -> jobs.Measured | jobs.JobFault:
    grade = _grade(warp.checksum)
    if grade == 0:
        return jobs.JobFault(warp.visit, "truncated", "the file ends early")
    spread = int(warp.checksum[4:8], 16) / 65536
    return jobs.Measured(
        warp.visit, warp.checksum, 100.0 + grade, 1.0 + spread, 50.0, (8, 8), (0, 0)
    )


def _matched(reference: jobs.WarpInput, science: jobs.WarpInput) -> jobs.Matched | jobs.JobFault:
    if _grade(reference.checksum) == 1:
        return jobs.JobFault(reference.visit, "missing", "it is gone by now")
    if _grade(science.checksum) == 2:
        return jobs.Matched(
            science.visit, None, None, None, None, (0, 0), "no_overlap", "nothing in common"
        )
    level = int(reference.checksum[:6], 16) - int(science.checksum[:6], 16)
    values = np.full((2, 2), level, np.float32)
    background = core.SplineBackground(
        values,
        np.ones_like(values),
        np.full((2, 2), 16, np.int32),
        8,
        8,
        core.InterpStyle.CONSTANT,
        core.UndersampleStyle.REDUCE_INTERP_ORDER,
    )
    return jobs.Matched(science.visit, background, 0.5, 4.5, 4.0, (0, 0), "matched", None)


class FlakyLog:
    """A log that takes partitions away, loses answers, and is slow, while its budget lasts.

    A lost partition comes again with the next poll; until it is taken and resumed anew nothing
    of it is delivered and nothing can be written to it, as the seam promises.
    """

    def __init__(self, log: OwnerLog, random: Random, budget: int) -> None:
        self._log = log
        self._random = random
        self.budget = budget
        self.troubles: list[str] = []
        self.stirred = self.polls = 0
        self._again: set[int] = set()
        self._taken: set[int] = set()
        self._resumed: set[int] = set()
        self._writing: dict[int, asyncio.Lock] = {}
        self._written: Counter[int] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def _trouble(self, chance: float, *kinds: str) -> str:
        if self.budget <= 0 or self._random.random() > chance:
            return ""
        self.budget -= 1
        kind = self._random.choice(kinds)
        self.troubles.append(kind)
        return kind

    def _lost(self, partition: int, why: str) -> PartitionLostError:
        self._forget(partition)
        self._again.add(partition)
        return PartitionLostError(partition, why)

    def _forget(self, partition: int) -> None:
        self._taken.discard(partition)
        self._resumed.discard(partition)

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring what the log brings, unless partitions come and go."""
        self.polls += 1
        if self._taken and self._trouble(0.06, "rebalance"):
            count = self._random.randint(1, len(self._taken))
            self._again |= set(self._random.sample(sorted(self._taken), count))
        if self._again:
            again, self._again = frozenset(self._again), set()
            for partition in again:
                self._forget(partition)
            return Poll(revoked=again, assigned=again)
        poll = await self._log.poll(max_records, wait)
        for partition in poll.revoked:
            self._forget(partition)
        records = {p: found for p, found in poll.records.items() if p in self._resumed}
        self.stirred += bool(records or poll.assigned)
        ends = {p: end for p, end in poll.ends.items() if p in self._resumed}
        return Poll(poll.revoked, poll.assigned, records, ends)

    async def take(self, partition: int) -> int:
        """Wait for the writes of the owner before; the proof may be refused."""
        async with self._writing.setdefault(partition, asyncio.Lock()):
            await self._log.take(partition)
        if self._trouble(0.1, "refused proof"):
            raise self._lost(partition, "the proof was refused")
        self._taken.add(partition)
        return self._end(partition)

    def _end(self, partition: int) -> int:
        """Return what differs whenever something was written, as a log's end does."""
        return 1 + self._written[partition]

    async def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield the state; the partition may go in the middle of it."""
        number = 0
        async with contextlib.aclosing(self._log.changelog(partition)) as records:  # type: ignore[type-var]  # an async generator
            async for record in records:
                number += 1
                if number % 3 == 0 and self._trouble(0.03, "lost in restore"):
                    raise self._lost(partition, "it went while it was read back")
                yield record

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver from an offset on."""
        if partition not in self._taken:
            raise PartitionLostError(partition, "it was assigned anew")
        await self._log.resume(partition, offset)
        self._resumed.add(partition)

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int:
        """Write, or not, and say so, or not."""
        self.stirred += 1
        async with self._writing.setdefault(partition, asyncio.Lock()):
            if partition not in self._taken:
                raise PartitionLostError(partition, "it is not ours")
            end = self._end(partition)
            trouble = self._trouble(0.2, "before", "after", "slow", "slow", "away", "gone")
            if trouble == "slow":
                await asyncio.sleep(self._random.random() * 0.01)
            if trouble not in {"before", "away"}:
                self._written[partition] += 1
                await self._log.transact(partition, records, next_offset)
                end = self._end(partition)
        if trouble in {"before", "after"}:
            raise self._lost(partition, "nobody knows whether it was written")
        if trouble in {"away", "gone"}:
            raise LogUnavailableError("the log does not answer")
        return end


@dataclass
class Script:
    """Draws what upstream says, from a seed."""

    random: Random
    partitions: int
    topics: Topics = field(default_factory=Topics)
    number: int = 0
    said: list[Outgoing] = field(default_factory=list)

    def batch(self, now: float) -> list[Outgoing]:
        """Return some records at a time, seconds; old ones come again now and then."""
        made = [self._one(now) for _ in range(self.random.randint(1, 5))]
        self.said += made
        return made

    def _one(self, now: float) -> Outgoing:
        draw = self.random.random()
        if self.said and draw < 0.15:
            return self.random.choice(self.said)
        if draw < 0.25:
            return self._poison(now)
        return self._record(self._message(draw), now - self.random.choice((0, 0, 0, 5, 500)))

    def _message(self, draw: float) -> schemas.Message:
        random = self.random
        group: dict[str, Any] = {"skymap": "s", "tract": 1, "patch": random.randrange(GROUPS)}
        group["band"] = "r"
        version = random.choice((0, 0, 0, 1, 2))
        if draw < 0.26:
            return schemas.GroupSealed(**group, version=version)
        if draw < 0.27:
            return schemas.GroupReopened(**group, version=version)
        if draw < 0.3:
            return schemas.GroupClosed(**group, version=version)
        if draw < 0.37:
            count = random.randint(1, VISITS)
            visits = tuple(sorted(random.sample(range(1, VISITS + 1), count)))
            deadline = random.choice((None, 30.0, 900.0))
            return schemas.GroupManifest(**group, version=version, visits=visits, deadline=deadline)
        visit = random.randint(1, VISITS)
        if draw < 0.45:
            return schemas.WarpWithdrawn(**group, visit=visit, version=version, reason="clouds")
        return self._arrived(group, visit, version)

    def _arrived(self, group: dict[str, Any], visit: int, version: int) -> schemas.WarpArrived:
        name = f"{group['patch']}-{visit}-{self.random.randrange(3)}"
        expected = self.random.choice((None, None, None, 3))
        return schemas.WarpArrived(
            **group,
            visit=visit,
            version=version,
            uri=f"file:///{name}.fits",
            checksum=hashlib.sha256(name.encode()).hexdigest(),
            expected=expected,
        )

    def _record(self, message: schemas.Message, when: float) -> Outgoing:
        self.number += 1
        time = schemas.time_text(round(when * 1e6))
        encoded = schemas.encode(message, id=f"e{self.number}", source="upstream", time=time)
        partition = schemas.partition_of(encoded.key, self.partitions)
        key, value, headers = encoded.key, encoded.value, encoded.headers
        return Outgoing(self.topics.warps, partition, key, value, headers)

    def _poison(self, now: float) -> Outgoing:
        whole = self._record(self._message(self.random.uniform(0.25, 1)), now)
        spoilt: dict[str, Any] = self.random.choice(
            (
                {"value": None},
                {"value": b"\xc1"},
                {"key": b"live/s/1/99/r"},
                {"partition": (whole.partition + 1) % self.partitions},
                {"headers": whole.headers[1:]},
            )
        )
        headers = spoilt.pop("headers", whole.headers)
        fields = {name: getattr(whole, name) for name in ("key", "value", "partition")} | spoilt
        return Outgoing(whole.topic, headers=(*headers, (POISONED, b"1")), **fields)


@dataclass(frozen=True)
class Lived:
    """What a storm left behind: the records of each topic, and the state in memory at the end."""

    topics: Topics
    records: dict[str, list[Record]]
    states: dict[int, groups.Partition]
    positions: dict[int, schemas.Position]
    troubles: tuple[str, ...]
    path: Path

    def messages(self, topic: str) -> list[Any]:
        """Return the messages of a topic, in their order."""
        return [schemas.decode(r.key, r.headers, r.value)[1] for r in self.records[topic]]


class Storm:
    """One log file, and the services that live and die on it.

    Parameters
    ----------
    path : Path
        The log file.
    seed : int
        Decides everything.
    budget : int
        How many calls of the log go wrong.
    """

    def __init__(self, path: Path, seed: int, budget: int) -> None:
        self.path = path
        self.random = Random(seed)  # noqa: S311 - chance that can be had again
        self.clock = Clock()
        self.topics = Topics()
        self._budget = budget
        self._troubles: list[str] = []
        self._log: FlakyLog
        self._service: Service
        self._task: asyncio.Task[None] | None = None

    async def live(self) -> Lived:
        """Let upstream speak and things go wrong; then let it calm down, and end."""
        script = Script(self.random, PARTITIONS)
        for _ in range(12):
            await self._publish({self.clock.ms(): script.batch(self.clock.now)})
            await self._something_happens()
            self.clock.now += self.random.choice((0, 0, 1, 3, 15, 70, -20))
        return await self.end()

    async def relive(self, records: Sequence[Record]) -> Lived:
        """Read another storm's input, stamps and all, with nobody disturbing."""
        stamped: dict[int, list[Outgoing]] = {}
        for record in records:
            stamped.setdefault(record.timestamp, []).append(_again(record))
        await self._publish(stamped)
        self.clock.now = max(r.timestamp for r in records) / 1000
        return await self.end()

    async def _publish(self, stamped: Mapping[int, Sequence[Outgoing]]) -> None:
        stamps = iter(stamped)
        log = EmbeddedPublisher(self.path, self.topics, PARTITIONS, clock=lambda: next(stamps))
        await log.start()
        for records in stamped.values():
            await log.publish(records)
        await log.close()

    async def _something_happens(self) -> None:
        match self.random.randrange(8):
            case 0:
                await self._stop()
            case 1:
                await self._kill()
            case 2 | 3:
                await self._calm(self.random.choice((1, 2, 8)))
            case _:
                await self._started()
                for _ in range(self.random.randrange(12)):
                    await asyncio.sleep(0)

    async def end(self) -> Lived:
        """Let all timers run out, wait until nothing moves, stop, and take stock."""
        await self._calm()
        self.clock.now = max(self.clock.now, START_S) + 5000
        await self._calm()
        owners = self._service._owners  # noqa: SLF001 - what is held in memory is compared
        states = {p: owner.state for p, owner in owners.items()}
        positions = {p: owner.position for p, owner in owners.items()}
        await self._stop()
        records = await self._read()
        return Lived(self.topics, records, states, positions, tuple(self._troubles), self.path)

    async def _calm(self, rounds: int = 20_000) -> None:
        """Run, restarting what died, until several polls in a row found nothing to do."""
        since, stirred = 0, -1
        for _ in range(rounds):
            await self._started()
            await asyncio.sleep(0.001)
            shown, moved = self._service.snapshot(), self._log.stirred
            if moved != stirred or shown.groups_due or not shown.ready:
                since, stirred = self._log.polls, moved
            elif self._log.polls - since > CALM_POLLS:
                return
        assert rounds < 100, "it never came to rest"

    async def _started(self) -> None:
        if self._task is not None and self._task.done():
            self._bury()
        if self._task is None:
            self._service = self._made()
            self._task = asyncio.create_task(self._service.run())

    def _bury(self) -> None:
        """Forget a service that ended; only the log's silence may have ended it."""
        task, self._task = self._task, None
        assert task is not None
        self._budget = self._log.budget
        self._troubles += self._log.troubles
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, LogUnavailableError), repr(error)

    async def _stop(self) -> None:
        if self._task is not None:
            self._service.stop()
            await asyncio.wait({self._task})
            self._bury()

    async def _kill(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._bury()

    def _made(self) -> Service:
        owner = EmbeddedOwner(self.path, self.topics, PARTITIONS, clock=self.clock.ms)
        self._log = FlakyLog(owner, self.random, self._budget)
        pool = StubPool(self.random)
        telemetry = Telemetry()
        shared = Shared(
            log=cast("OwnerLog", self._log),  # what it does not meddle with it passes on
            topics=self.topics,
            workshop=Workshop(Runner(StubStore(), pool, CONFIG, fits.DecodeLimits(), 4)),
            assembler=Assembler(CONFIG, core.VerdictProfile.SURVEY, "test"),
            telemetry=telemetry,
            policy_for=lambda _: FAST,
            clock=self.clock,
            source="test",
            ingest_max_records=4,
            max_due_groups=1,
        )
        limits = Limits(poll_wait_s=0.001, grace_s=self.random.choice((0.0, 5.0)))
        return Service(shared, InlinePool(), Pulse(telemetry.loop_lagged), limits)

    async def _read(self) -> dict[str, list[Record]]:
        log = EmbeddedReader(self.path)
        await log.start()
        found = {n: [r async for r in log.read([n], follow=False)] for n in self.topics.names}
        await log.close()
        return found


def _again(record: Record) -> Outgoing:
    return Outgoing(record.topic, record.partition, record.key, record.value, record.headers)


async def read_back(lived: Lived) -> dict[int, Restored]:
    """Restore each partition from the file, as the next owner does, after compaction."""
    log = EmbeddedOwner(lived.path, lived.topics, PARTITIONS)
    await log.start()
    await log.poll(1, 0)
    found = {}
    for partition in range(PARTITIONS):
        await log.take(partition)
        found[partition] = await restore(log.changelog(partition), lambda _: FAST, PARTITIONS)
    await log.close()
    return found
