"""The service: poll, hand to the owners, poll again; everything that takes long runs beside it.

The loop must come round steadily, because polling is what keeps the membership of a Kafka
consumer group alive. It therefore waits only for transactions, never for pixels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from core.groups import Group, Partition, Phase
from stream.census import MOST_GROUPS, SEALED, Census, keep_counting
from stream.changelog import Left
from stream.log.seam import Poll
from stream.memory import keep_giving_back
from stream.owner import Owner, Shared, Status
from stream.pulse import Pulse
from stream.telemetry import PartitionView, Snapshot

__all__ = ["Limits", "Service", "Workers"]

log = structlog.get_logger(__name__)


class Workers(Protocol):
    """The pool, as the service's gauges see it."""

    @property
    def running(self) -> int:
        """Jobs that have a worker."""
        ...

    @property
    def alive(self) -> int:
        """Workers that are up."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds and times of the service's loop.

    Attributes
    ----------
    poll_records : int
        Input records brought by one poll at most.
    poll_wait_s : float
        Longest wait of one poll, seconds.
    due_revisions : int
        Due revisions of one partition beyond which it takes in no more events.
    grace_s : float
        Time for running work to finish at a stop, seconds.
    """

    poll_records: int = 5000
    poll_wait_s: float = 0.1
    due_revisions: int = 256
    grace_s: float = 30.0


class Service:
    """The processor of one log.

    Parameters
    ----------
    shared : Shared
        What the owners of the partitions work with.
    workers : Workers
        The pool behind the workshop.
    pulse : Pulse
        Told of each poll.
    limits : Limits
    """

    def __init__(self, shared: Shared, workers: Workers, pulse: Pulse, limits: Limits) -> None:
        self._shared = shared
        self._workers = workers
        self._pulse = pulse
        self._limits = limits
        self._owners: dict[int, Owner] = {}
        self._left: dict[int, Left | None] = {}
        self._ends: Mapping[int, int] = {}
        self._paused: frozenset[int] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self._census = Census()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._polled_at = 0.0

    # -- what operators see ------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the numbers of this moment."""
        now, census = self._shared.clock(), self._census
        ages = {state: max(0.0, now - since / 1000) for state, since in census.oldest.items()}
        return Snapshot(
            groups_open=census.counts[Phase.OPEN],
            groups_sealed=census.counts[SEALED],
            groups_due=sum(owner.due_groups for owner in self._owners.values()),
            members_open=census.members_open,
            oldest_open_s=ages.get(Phase.OPEN, 0.0),
            oldest_due_s=ages.get(Phase.DUE, 0.0),
            ahead_groups=sum(owner.ahead.at_work for owner in self._owners.values()),
            ahead_jobs=sum(owner.ahead.asked for owner in self._owners.values()),
            jobs_running=self._workers.running,
            workers_available=self._workers.alive,
            partitions={p: self._view(owner) for p, owner in self._owners.items()},
            paused={"backlog": len(self._paused), "restoring": len(list(self._restoring()))},
            last_poll_s=self._polled_at,
            ready=not self.unready(),
        )

    def unready(self) -> Mapping[str, str]:
        """Say what keeps the service from being ready, by part; nothing if it is."""
        found = {f"partition {owner.partition}": str(owner.status) for owner in self._restoring()}
        if not self._owners:
            found["partitions"] = "none is assigned"
        if self._workers.alive == 0:
            found["pool"] = "no worker is alive"
        if self._stop.is_set():
            found["service"] = "it is stopping"
        return found

    def groups(self, state: str, most: int) -> Sequence[Mapping[str, object]]:
        """Describe up to `most` groups in a state, the longest waiting first."""
        waiting = self._census.longest.get(state, [])[:most]
        away = self._shared.workshop.away()
        return [
            {
                "group": one.group,
                "since": one.since / 1000,
                **one.detail,
                "storage": away.get(one.group, {}),
            }
            for one in waiting
        ]

    def find(self, key: str) -> Group | None:
        """Return a group of one of our partitions by its key; to be read only."""
        found = (owner.state.groups.get(key) for owner in self._owners.values())
        return next((group for group in found if group is not None), None)

    async def read_up(self, key: str) -> None:
        """Wait until all is read that the partition of a group held when it became ours."""
        for owner in self._owners.values():
            if key in owner.state.groups:
                await owner.read_up.wait()
                return

    def _view(self, owner: Owner) -> PartitionView:
        lag = self._ends.get(owner.partition, 0) - owner.position.next_offset
        return PartitionView(max(0, lag), owner.state.clock / 1000)

    def _restoring(self) -> Iterator[Owner]:
        return (o for o in self._owners.values() if o.status is not Status.ACTIVE)

    # -- the loop ----------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take in no more and finish what runs."""
        self._stop.set()

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is called, then finish within the grace time.

        Parameters
        ----------
        started : callable
            Told once that the log is open.

        Raises
        ------
        LogError
            The log is refused or stayed away.
        Exception
            Whatever went wrong in a task of an owner: a mistake of ours must not go unseen.
        """
        try:
            await self._shared.log.start()
            started()
            self._spawn(keep_counting(self._states, MOST_GROUPS, self._counted), "census")
            self._spawn(keep_giving_back(), "memory")
            while not self._stop.is_set():
                await self._once()
            await self._drain()
        finally:
            await self._abandon()
        if self._failure is not None:
            raise self._failure

    async def _once(self) -> None:
        poll = await self._shared.log.poll(self._limits.poll_records, self._limits.poll_wait_s)
        self._polled_at = self._shared.clock()
        self._pulse.polled()
        self._reassign(poll)
        self._ends = {**self._ends, **poll.ends}
        ours = [(self._owners[p], records) for p, records in poll.records.items()]
        await asyncio.gather(*(owner.ingest(records) for owner, records in ours))
        await asyncio.gather(*(owner.tick(poll.ends) for owner in self._owners.values()))
        self._throttle()

    def _reassign(self, poll: Poll) -> None:
        for partition in poll.revoked:
            owner = self._owners.pop(partition, None)
            if owner is not None:
                owner.lose("it was revoked")
                self._left[partition] = owner.left
        self._paused -= poll.revoked
        for partition in sorted(poll.assigned):
            owner = Owner(partition, self._shared, self._spawn)
            owner.left = self._left.pop(partition, None)
            self._owners[partition] = owner
            self._spawn(owner.take_over(), f"take over partition {partition}")
        if poll.assigned:  # the rest went elsewhere
            self._left.clear()
        for kind, partitions in (("revoked", poll.revoked), ("assigned", poll.assigned)):
            if partitions:
                self._shared.telemetry.rebalanced(kind, len(partitions))
                log.info("rebalanced", kind=kind, partitions=sorted(partitions))

    def _throttle(self) -> None:
        """Take no more events into a partition whose due work has filled its bound."""
        full = frozenset(
            partition
            for partition, owner in self._owners.items()
            if owner.status is Status.ACTIVE and owner.due > self._limits.due_revisions
        )
        if full - self._paused:
            self._shared.log.pause(full - self._paused)
        if self._paused - full:
            self._shared.log.unpause(self._paused - full)
        self._paused = full

    # -- tasks beside the loop ---------------------------------------------------------------------

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        self._failure = self._failure or task.exception()
        self.stop()

    def _states(self) -> Sequence[Partition]:
        return [o.state for o in self._owners.values() if o.status is Status.ACTIVE]

    def _counted(self, census: Census) -> None:
        self._census = census

    # -- the end -----------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Let what runs be finished and published, within the grace time."""
        for owner in self._owners.values():
            owner.drain()
        running = [task for owner in self._owners.values() for task in owner.tasks]
        if self._failure is None and running:
            log.info("finishing what runs", groups=len(running), grace_s=self._limits.grace_s)
            await self._poll_until(asyncio.wait(running, timeout=self._limits.grace_s))

    async def _poll_until(self, end: Coroutine[object, object, object]) -> None:
        """Keep the membership alive, with everything paused, until `end` is over."""
        self._shared.log.pause(frozenset(self._owners))
        waiting = asyncio.ensure_future(end)
        while not waiting.done():
            poll = await self._shared.log.poll(1, self._limits.poll_wait_s)
            self._pulse.polled()
            for partition in poll.revoked & self._owners.keys():
                self._owners[partition].lose("it was revoked")

    async def _abandon(self) -> None:
        """End what is left; it stays due in the log and is done at the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._shared.workshop.close()
        finally:
            await self._shared.log.close()
