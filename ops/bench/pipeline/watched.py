"""The real service, noting what happens when: ``python -m ops.bench.pipeline.watched FILE WORDS``.

As in `ops.proof.service` the makers of log and pool are replaced by ones that wrap what they make.
Notes are lines of JSON; their times are of the system's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from core import groups
from ops.bench.passing import noting
from stream import cli, jobs, owner, telling, wiring
from stream.fetch import Fetcher, Held, Want
from stream.log.seam import Outgoing, OwnerLog, Poll
from stream.pool import WorkerPool
from stream.settings import Settings
from stream.telemetry import Telemetry

__all__ = ["main"]

T = TypeVar("T")


class Notes:
    """What is written down.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, what: str, began: float, **more: object) -> None:
        """Note something that has just ended, and when it began."""
        note = {"what": what, "began": began, "ended": time.monotonic(), **more}
        self._file.write(json.dumps(note) + "\n")


class NotedLog:
    """A log whose polls and publishing transactions are noted."""

    def __init__(self, log: OwnerLog, topic: str, notes: Notes) -> None:
        self._log = log
        self._topic = topic
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring records."""
        began = time.monotonic()
        poll = await self._log.poll(max_records, wait)
        if count := sum(map(len, poll.records.values())):
            self._notes.write("arrived", began, count=count)
        return poll

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int | None:
        """Write a transaction."""
        if isinstance(records, Sequence):  # what publishes is made while it is written
            return await self._log.transact(partition, records, next_offset)
        began = time.monotonic()
        summaries: list[Outgoing] = []
        passing = noting(summaries, self._topic, records)
        end = await self._log.transact(partition, passing, next_offset)
        for one in summaries:
            self._notes.write("published", began, group=(one.key or b"").decode())
        return end


class NotedPool:
    """A pool whose jobs are noted, with the process that did each and its hours there."""

    def __init__(self, pool: WorkerPool, notes: Notes) -> None:
        self._pool = pool
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def run(self, function: Callable[..., T], /, *args: object) -> T:
        """Run a job in a worker."""
        asked = time.monotonic()
        result, pid, began, ended = await self._pool.run(_clocked, function, *args)
        self._notes.write(
            "job",
            began,
            job=function.__name__,
            visits=[one.visit for one in args if isinstance(one, jobs.WarpInput)],
            asked=asked,
            left=ended,
            pid=pid,
            timings=dict(getattr(result, "timings", {})),
            fault=result.message if isinstance(result, jobs.JobFault) else None,
        )
        return cast("T", result)


def _clocked(function: Callable[..., T], *args: object) -> tuple[T, int, float, float]:
    began = time.monotonic()
    result = function(*args)
    return result, os.getpid(), began, time.monotonic()


def main(words: Sequence[str]) -> None:
    """Run a service: where to note, then what `evensky run` is told."""
    _plant(Notes(Path(words[0])))
    cli.main(["run", *words[1:]])


def _plant(notes: Notes) -> None:
    make_log, make_pool = wiring.owner_log, wiring.worker_pool

    def owner_log(settings: Settings) -> OwnerLog:
        topic = wiring.our_topics(settings).groups
        return cast("OwnerLog", NotedLog(make_log(settings), topic, notes))

    def worker_pool(settings: Settings, telemetry: Telemetry | None = None) -> WorkerPool:
        return cast("WorkerPool", NotedPool(make_pool(settings, telemetry), notes))

    wiring.owner_log, wiring.worker_pool = owner_log, worker_pool
    _plant_in_telemetry(notes)
    _plant_in_fetcher(notes)


def _plant_in_telemetry(notes: Notes) -> None:
    """Note what is counted, and freezing, as it is told to the operators."""
    tell, decoded, reused = telling.tell_frozen, Telemetry.decoded, Telemetry.reused

    def tell_frozen(telemetry: Telemetry, key: str, frozen: groups.Frozen) -> None:
        notes.write("frozen", time.monotonic(), group=key, revision=frozen.revision)
        tell(telemetry, key, frozen)

    def noted_decode(self: Telemetry, cause: str) -> None:
        notes.write("decoded", time.monotonic(), cause=str(cause))
        decoded(self, cause)

    def noted_reuse(self: Telemetry, source: str) -> None:
        notes.write("reused", time.monotonic(), source=source)
        reused(self, source)

    setattr(owner, "tell_frozen", tell_frozen)  # noqa: B010 - mypy lets no module's import be assigned
    Telemetry.decoded = noted_decode  # type: ignore[method-assign]  # a hook
    Telemetry.reused = noted_reuse  # type: ignore[method-assign]  # a hook


def _plant_in_fetcher(notes: Notes) -> None:
    hold = Fetcher.hold

    @asynccontextmanager
    async def noted(self: Fetcher, *wants: Want) -> AsyncIterator[Sequence[Held]]:
        began = time.monotonic()
        async with hold(self, *wants) as held:
            if wants:
                notes.write("fetched", began, count=len(wants))
            yield held

    Fetcher.hold = noted  # type: ignore[method-assign]  # a hook


if __name__ == "__main__":
    main(sys.argv[1:])
