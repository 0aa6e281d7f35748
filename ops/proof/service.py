"""The real service, from the real settings, with hooks at its seams (`ops.proof.hooks`).

`main` takes the hooks and then the words of `evensky run`. It replaces the makers of log, pool and
clock by ones that wrap what they make; nothing else of the service knows that it is watched.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar, cast

from aiokafka import AIOKafkaProducer

from ops.proof.hooks import Harm, Hooks, Trap
from stream import cli, jobs, wiring
from stream.commands import run
from stream.log import kafka_client
from stream.log.seam import Outgoing, OwnerLog, Poll, Record
from stream.log.topics import Topics
from stream.pool import WorkerPool
from stream.settings import Settings
from stream.telemetry import Telemetry

__all__ = ["Pace", "TrappedLog", "TrappedPool", "Traps", "main"]

T = TypeVar("T")

_BEAT_S = 0.05
_MORE_THAN_ANY = 1 << 36
_ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

_kind: ContextVar[str] = ContextVar("kind", default="other")
"""Which transaction is under way in this task."""


class Traps:
    """Counts who passes which point, and does to the process what the traps say."""

    def __init__(self, traps: Sequence[Trap]) -> None:
        self._traps = traps
        self._passed: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        """Pass a point, or not."""
        self._passed[point] += 1
        for trap in self._traps:
            if trap.point == point and trap.nth == self._passed[point]:
                self._spring(trap)

    def _spring(self, trap: Trap) -> None:
        if trap.delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(trap.delay_ms / 1000, _act, trap)
        else:
            _act(trap)


def _act(trap: Trap) -> None:
    # Whoever waits for it reads the log, and there may be no later to flush it.
    os.write(2, f"trap: {trap.action} at {trap.point}\n".encode())
    if trap.action in _ACTIONS:
        os.kill(os.getpid(), _ACTIONS[trap.action])


class TrappedLog:
    """A log whose calls pass points.

    Parameters
    ----------
    log : OwnerLog
    traps : Traps
    topics : Topics
    hooks : Hooks
    """

    def __init__(self, log: OwnerLog, traps: Traps, topics: Topics, hooks: Hooks) -> None:
        self._log = log
        self._traps = traps
        self._topics = topics
        self._naive = hooks.naive
        self._pace = Pace(hooks.speed) if hooks.speed else None
        self._timed = hooks.timed
        self._taken: dict[int, float] = {}
        self._beat: asyncio.Task[None] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def start(self) -> None:
        """Open the log, and begin to feel the loop's pulse."""
        await self._log.start()
        if self._timed:
            self._beat = asyncio.create_task(_feel_pulse())

    async def close(self) -> None:
        """Close the log."""
        if self._beat is not None:
            self._beat.cancel()
        await self._log.close()

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring records, perhaps not sooner than they came the first time."""
        poll = await self._log.poll(max_records, wait)
        return poll if self._pace is None else self._pace.held_back(poll)

    async def take(self, partition: int) -> int | None:
        """Take, or come no further than to the door."""
        self._traps.reach("take.before")
        self._taken[partition] = time.monotonic()
        return await self._log.take(partition)

    async def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield the state, perhaps not all of it."""
        found = self._log.changelog(partition)
        async with aclosing(found) as records:  # type: ignore[type-var]  # an async generator
            async for record in records:
                self._traps.reach("restore")
                yield record

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver from an offset on: the partition is restored."""
        await self._log.resume(partition, offset)
        self._tell("restore", time.monotonic() - self._taken[partition])

    def _tell(self, what: str, seconds: float) -> None:
        if self._timed:
            os.write(2, f"took {what} {seconds:.6f}\n".encode())

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int | None:
        """Write, perhaps without hearing the answer."""
        making = iter(records)
        first = list(islice(making, 1))
        kind = self._kind(first, next_offset)
        records = chain(first, making) if kind == "publish" else [*first, *making]
        _kind.set(kind)
        self._traps.reach(f"{kind}.before")
        if self._naive and kind == "publish":
            made = list(records)
            await self._log.transact(partition, [r for r in made if r.topic == self._topics.models])
            self._traps.reach("publish.between")
            records = [r for r in made if r.topic != self._topics.models]
        began = time.monotonic()
        end = await self._log.transact(partition, records, next_offset)
        self._tell(kind, time.monotonic() - began)
        self._traps.reach(f"{kind}.after")
        return end

    def _kind(self, first: Sequence[Outgoing], next_offset: int | None) -> str:
        if next_offset is not None:
            return "ingest"
        topics = {one.topic for one in first}
        if topics & {self._topics.models, self._topics.groups}:
            return "publish"
        return "tick" if self._topics.warps in topics else "results"


async def _feel_pulse() -> None:
    while True:
        due = time.monotonic() + _BEAT_S
        await asyncio.sleep(_BEAT_S)
        os.write(2, f"took lag {max(0.0, time.monotonic() - due):.6f}\n".encode())


class Pace:
    """Delivers records at the speed of their stamps.

    Parameters
    ----------
    speed : float
        1: as they came.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._held: dict[int, list[Record]] = {}
        self._began: tuple[float, int] | None = None

    def held_back(self, poll: Poll) -> Poll:
        """Return a poll with what is due by now, and keep the rest."""
        for partition in poll.revoked:
            self._held.pop(partition, None)
        for partition, records in poll.records.items():
            self._held.setdefault(partition, []).extend(records)
        until = self._until()
        due = {p: [one for one in held if one.timestamp <= until] for p, held in self._held.items()}
        for partition, records in due.items():
            del self._held[partition][: len(records)]
        return replace(poll, records={p: records for p, records in due.items() if records})

    def _until(self) -> float:
        first = min((held[0].timestamp for held in self._held.values() if held), default=None)
        if self._began is None and first is not None:
            self._began = time.monotonic(), first
        if self._began is None:
            return 0.0
        since, stamp = self._began
        return stamp + 1000 * self._speed * (time.monotonic() - since)


class TrappedPool:
    """A pool whose jobs take their time, and some of which kill.

    Parameters
    ----------
    pool : WorkerPool
    traps : Traps
    hooks : Hooks
    """

    def __init__(self, pool: WorkerPool, traps: Traps, hooks: Hooks) -> None:
        self._pool = pool
        self._traps = traps
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def run(self, function: Callable[..., T], /, *args: object, **more: Any) -> T:
        """Run a job, perhaps the last one."""
        self._traps.reach("job.before")
        inputs = [one for one in args if isinstance(one, jobs.WarpInput)]
        warps = [one.visit for one in inputs]
        if set(warps[-1:]) & set(self._hooks.killers):
            _act(Trap("job.in"))
        # What a process decodes again for itself is no result that another could use.
        seconds = 0.0 if function is jobs.load else self._hooks.job_s
        burden = _Burden(
            seconds,
            self._hooks.ballast_bytes,
            self._hooks.harms.get(warps[-1]) if warps else None,
        )
        job = asyncio.ensure_future(self._pool.run(_burdened, burden, function, *args, **more))
        job.add_done_callback(_seen)
        try:
            await asyncio.sleep(0)
            self._traps.reach("job.in")
            answer: tuple[T, bytes] = await job
        finally:
            job.cancel()
        if seconds:
            scales = [one.scale for one in inputs]
            os.write(2, f"job done: {function.__name__} {warps} {scales}\n".encode())
        return answer[0]


def _seen(job: asyncio.Future[Any]) -> None:
    """Look at how a job ended: whoever waited may have been cancelled in that moment."""
    if not job.cancelled():
        job.exception()


@dataclass(frozen=True)
class _Burden:
    """What a job has to bear, in its worker."""

    seconds: float
    ballast_bytes: int
    harm: Harm | None


def _burdened(burden: _Burden, function: Callable[..., T], *args: object) -> tuple[T, bytes]:
    time.sleep(burden.seconds)
    match burden.harm:
        case "memory":
            raise MemoryError(len(bytearray(_MORE_THAN_ANY)))
        case "segfault":
            ctypes.string_at(0)
        case "loop":
            while True:
                pass
    return function(*args), bytes(burden.ballast_bytes)


def main(words: Sequence[str]) -> None:
    """Run a service: hooks, then what `evensky run` is told."""
    hooks = Hooks.parse(words[0])
    _plant(hooks, Traps(hooks.traps))
    cli.main(["run", *words[1:]])


def _plant(hooks: Hooks, traps: Traps) -> None:
    """Put wrappers around what the wiring makes."""
    make_log, make_pool = wiring.owner_log, wiring.worker_pool

    def owner_log(settings: Settings) -> OwnerLog:
        topics = wiring.our_topics(settings)
        log = TrappedLog(make_log(settings), traps, topics, hooks)
        return cast("OwnerLog", log)  # what it does not meddle with it passes on

    def worker_pool(settings: Settings, telemetry: Telemetry | None = None) -> WorkerPool:
        return cast("WorkerPool", TrappedPool(make_pool(settings, telemetry), traps, hooks))

    wiring.owner_log, wiring.worker_pool = owner_log, worker_pool
    clock = partial(_clock, hooks.clock_s)
    setattr(run, "assemble_service", partial(wiring.assemble_service, clock=clock))  # noqa: B010 - mypy knows better than to let a module's function be assigned
    _plant_in_kafka(traps)


def _clock(ahead_s: float) -> float:
    return time.time() + ahead_s


def _plant_in_kafka(traps: Traps) -> None:
    """Reach the points that lie inside one call of the seam."""
    commit, prove = AIOKafkaProducer.commit_transaction, kafka_client.Member.prove

    async def commit_transaction(self: AIOKafkaProducer) -> None:
        traps.reach(f"{_kind.get()}.written")
        await commit(self)

    async def proved(self: kafka_client.Member, partition: int) -> None:
        traps.reach("take.fenced")
        await prove(self, partition)

    AIOKafkaProducer.commit_transaction = commit_transaction
    kafka_client.Member.prove = proved  # type: ignore[method-assign]  # a hook


if __name__ == "__main__":
    main(sys.argv[1:])
