"""The owner of one partition: its state, its clock, and the transactions that make both durable.

State in memory is the fold of what was written. A change is folded in first and becomes durable
with the commit that carries it; when a commit's outcome is not known, the whole partition is
dropped and read back from its changelog, so that memory can never run ahead of the log unseen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec
import structlog

import schemas
from core import groups
from stream import jobs
from stream.ahead import Ahead, Outlook
from stream.assemble import Assembler
from stream.basis import Past
from stream.changelog import Left, Restored, policy_within, puts, restore
from stream.collector import uncollected
from stream.duelines import DueLines
from stream.footing import place_to_go_on
from stream.foresight import Foresight
from stream.ingest import Batch
from stream.log.seam import Footing, Outgoing, OwnerLog, PartitionLostError, Record
from stream.log.topics import Topics
from stream.outbox import Outbox
from stream.recall import Recall
from stream.references import cause_of_change
from stream.revision import Unfolding, case_of
from stream.telemetry import Telemetry
from stream.telling import tell_dead, tell_frozen, tell_published
from stream.workshop import Due, Fulfilled, Workshop, measurement

__all__ = ["Owner", "Shared", "Spawn", "Status"]

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[object, object, None], str], asyncio.Task[None]]

_TICK_PATIENCE_S: Final = 5.0
_BREATH: Final = 50


class Status(StrEnum):
    """How far the owner has come with its partition."""

    RESTORING = "restoring"
    ACTIVE = "active"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all owners of one service share.

    Attributes
    ----------
    log : OwnerLog
    topics : Topics
    workshop : Workshop
    assembler : Assembler
        Makes the messages of a revision.
    telemetry : Telemetry
    policy_for : callable
        Policy of a group by its key.
    clock : callable
        Wall time, seconds since 1970.
    source : str
        Who we are, in the headers of what we write.
    ingest_max_records : int
        Records of one ingest transaction.
    max_due_groups, enough_members : int
        Due groups of one partition that are worked on at the same time, and new members of them
        with which no other is begun unless it is more urgent.
    state_format : int or None
        Format of the state to be written; None keeps a partition's own, the newest for a new one.
    foresight : Foresight
        What is found before it is due, and how much of that.
    accepted_losses : mapping of int to int
        By partition the offset before which input may be lost.
    """

    log: OwnerLog
    topics: Topics
    workshop: Workshop
    assembler: Assembler
    telemetry: Telemetry
    policy_for: Callable[[str], groups.Policy]
    clock: Callable[[], float]
    source: str
    ingest_max_records: int = 1000
    max_due_groups: int = 64
    enough_members: int = 128
    state_format: int | None = None
    foresight: Foresight = field(default_factory=Foresight)
    accepted_losses: Mapping[int, int] = field(default_factory=dict)


class Owner:
    """One partition.

    Parameters
    ----------
    partition : int
    shared : Shared
    spawn : callable
        Starts a task whose failure ends the service.

    Attributes
    ----------
    ahead : Ahead
        Works on what is not due yet.
    left : Left or None
        What the owner before had in memory; once this one is lost, what it leaves to the next.
    """

    def __init__(self, partition: int, shared: Shared, spawn: Spawn) -> None:
        self.left: Left | None = None
        self.partition = partition
        self.status = Status.RESTORING
        self.state = groups.Partition(shared.policy_for)
        self.position = schemas.Position(next_offset=0, partitions=shared.log.partitions)
        self._shared = shared
        self._spawn = spawn
        self._outbox = Outbox(shared.topics, partition, shared.source)
        self._lock = asyncio.Lock()
        self._lines = DueLines(shared.max_due_groups, shared.enough_members)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._recalls: dict[str, Recall] = {}
        self.ahead = self._look_ahead()
        self._keeping: asyncio.Task[None] | None = None
        self._draining = False
        self._next_tick = 0.0
        self._to_read: int | None = None
        self._end: int | None = None
        self.read_up = asyncio.Event()

    # -- taking over and letting go ----------------------------------------------------------------

    async def take_over(self) -> None:
        """Fence whoever was here before, read the state back, and go on from what it says."""
        started = time.monotonic()
        try:
            self._end = await self._shared.log.take(self.partition)
            restored = await self._restored()
            self._refuse_lost()  # whoever has it by now resumes where the state says
            offset = restored.position.next_offset
            footing = await self._shared.log.footing(self.partition, offset)
            restored = await self._settled(restored, footing)
            await self._shared.log.resume(self.partition, restored.position.next_offset)
        except PartitionLostError as error:
            self.lose(error.why)
            return
        if self.status is Status.LOST:
            return
        self.state, self.position, self.left = restored.state, restored.position, None
        self.status = Status.ACTIVE
        self.ahead = self._look_ahead()
        self._shared.telemetry.restored(restored.records, time.monotonic() - started)
        for key, group in self.state.groups.items():
            for revision in sorted(group.frozen):
                self._line_up(key, group.frozen[revision])
            self.ahead.stir(key)
        self._begin()
        if not restored.empty:
            kept = restored.kept
            log.info("partition restored", partition=self.partition, due=self.due, kept=kept)

    async def _restored(self) -> Restored:
        """Return what is in memory, if nobody else has written since, or read the state back."""
        if self.left is not None and self.left.end == self._end:
            return self.left.as_restored()
        with uncollected():
            return await restore(
                self._shared.log.changelog(self.partition),
                self._shared.policy_for,
                self._shared.log.partitions,
                self._shared.state_format,
            )

    async def _settled(self, restored: Restored, footing: Footing) -> Restored:
        """Return the state where it goes on, in its new format, durably if either is new."""
        position, accepted = restored.position, self._shared.accepted_losses.get(self.partition, 0)
        at = place_to_go_on(self._shared.topics, self.partition, restored, footing, accepted)
        if (lost := at - position.next_offset) or restored.raised:
            position = msgspec.structs.replace(position, next_offset=at)
            written = self._outbox.position(position)
            self._end = await self._shared.log.transact(self.partition, [written])
        if lost:
            log.warning("input is lost", partition=self.partition, records=lost, next_offset=at)
        if restored.raised:
            log.info("state format raised", partition=self.partition, format=position.state_format)
        return replace(restored, position=position)

    def _refuse_lost(self) -> None:
        if self.status is Status.LOST:
            raise PartitionLostError(self.partition, "it was lost while it was read back")

    def lose(self, why: str) -> None:
        """Touch nothing of this partition any more; a job that has begun goes on for its result."""
        if self.status is Status.LOST:
            return
        # In the midst of a transaction memory is ahead of the log, perhaps for ever.
        if self.status is Status.ACTIVE and not self._lock.locked() and self._end is not None:
            self.left = Left(self.state, self.position, self._end)
        self.status = Status.LOST
        self.read_up.set()  # a job that others wait for, too, must not wait for what never comes
        log.warning("partition lost", partition=self.partition, why=why)
        self._lines.clear()
        for recall in self._recalls.values():
            recall.release()
        self._recalls.clear()
        self.ahead.lose()
        for task in self._tasks.values():
            task.cancel()

    def drain(self) -> None:
        """Begin nothing new; what is not begun stays due in the log."""
        self._draining = True
        self.ahead.drain()

    @property
    def due(self) -> int:
        """Frozen revisions that are not yet published."""
        return self._lines.revision_count

    @property
    def due_groups(self) -> int:
        """Groups with such revisions."""
        return self._lines.group_count

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """The work that runs."""
        return tuple(self._tasks.values())

    # -- events in ---------------------------------------------------------------------------------

    async def ingest(self, records: Sequence[Record]) -> None:
        """Take input records in, durably, in transactions of bounded size."""
        size = self._shared.ingest_max_records
        for start in range(0, len(records), size):
            chunk = records[start : start + size]
            async with self._lock:
                if self.status is not Status.ACTIVE:
                    return
                batch = Batch(self.state, self._shared.log.partitions, self.position.state_format)
                for number, record in enumerate(chunk, 1):
                    batch.take(record)
                    if number % _BREATH == 0:
                        await asyncio.sleep(0)  # the loop has heartbeats to send
                if not await self._commit_batch(batch, chunk[-1]):
                    return
            self._took(batch, chunk)

    async def _commit_batch(self, batch: Batch, last: Record) -> bool:
        self.position = batch.position_after(last)
        now = self._shared.clock()
        records = [
            *self._outbox.state(batch.puts.items()),
            self._outbox.position(self.position),
            *(self._outbox.letter(record, dead, now) for record, dead in batch.dead),
        ]
        return await self._commit("ingest", records, self.position.next_offset)

    def _took(self, batch: Batch, records: Sequence[Record]) -> None:
        """Tell the operators, and begin the work that the batch made due."""
        telemetry = self._shared.telemetry
        telemetry.consumed("warps", len(records))
        for outcome, count in batch.outcomes.items():
            telemetry.event(outcome, count)
        for action, count in batch.late.items():
            telemetry.late(action, count)
        tell_dead(telemetry, self.partition, batch.dead)
        for key in batch.stirred & self._recalls.keys():
            if (first := self._lines.first(key)) is not None:
                self._recalls[key].add(groups.superseded(self.state.groups[key], first))
        for key, frozen in batch.frozen:
            tell_frozen(telemetry, key, frozen)
            self._line_up(key, frozen)
        self._begin()
        self._settle_tick(batch)
        for key in batch.touched:
            self.ahead.stir(key)

    # -- time --------------------------------------------------------------------------------------

    async def tick(self, ends: Mapping[int, int]) -> None:
        """Append a clock tick when a timer is due and no record is there to bring the time.

        Parameters
        ----------
        ends : mapping of int to int
            Where the input of each partition ends; of one that is not in it, nobody knows.
        """
        self._note_progress(ends.get(self.partition))
        if self.status is not Status.ACTIVE or self._draining or self._lock.locked():
            return
        self._begin()  # a storage may be away by now, so that what is at work is not enough
        due, now = self.state.next_due(), self._shared.clock()
        end = ends.get(self.partition)
        behind = end is None or self.position.next_offset < end
        if due is None or behind or now * 1000 < due or now < self._next_tick:
            return
        self._next_tick = now + _TICK_PATIENCE_S
        async with self._lock:
            await self._commit("ingest", [self._outbox.tick(due, now)])

    def _note_progress(self, end: int | None) -> None:
        """Notice when all is read that was there when the partition became ours."""
        if self.status is not Status.ACTIVE:
            return
        if self._to_read is None:
            self._to_read = end
        if self._to_read is not None and self.position.next_offset >= self._to_read:
            self.read_up.set()

    def _settle_tick(self, batch: Batch) -> None:
        """After a tick that the log stamped too early, wait by the log's clock, not ours."""
        if not batch.ticked:
            return
        due = self.state.next_due()
        early = 0.0 if due is None else (due - self.state.clock) / 1000
        self._next_tick = self._shared.clock() + max(0.0, early)

    # -- work on what is due -----------------------------------------------------------------------

    def _line_up(self, key: str, frozen: groups.Frozen) -> None:
        """Have a revision worked on when it is its turn."""
        store = self._shared.workshop.store_of(schemas.GroupId.parse(key), frozen)
        matched = {pair.visit for pair in self._shared.foresight.pairs(key)}
        work = groups.new_members(self.state.groups[key], frozen, matched)
        self._lines.put(key, frozen, work, store)
        self.ahead.freeze(key, frozen)

    def _begin(self) -> None:
        away = self._shared.workshop.away
        while not self._draining and (key := self._lines.begin(away)) is not None:
            task = self._spawn(self._work_off(key), f"work on {key}")
            self._tasks[key] = task
            task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:  # the group may be at work anew by now
            del self._tasks[key]
            self._lines.end(key)
        if self.status is Status.ACTIVE:
            self._begin()

    async def _work_off(self, key: str) -> None:
        while self.status is Status.ACTIVE and not self._draining:
            frozen = self._lines.first(key)
            if frozen is None or not await self._finish(key, frozen):
                return
            self._lines.published(key)

    async def _finish(self, key: str, frozen: groups.Frozen) -> bool:
        """Do what a revision needs, and publish it; tell whether it is published."""
        group = self.state.groups[key]
        policy = self._policy(key)
        past = self._shared.assembler.past(group, frozen, policy)
        past = replace(past, boxes=self.position.state_format > 1)
        ahead = partial(self._shared.foresight.find, key, frozen)
        recall = self._recalls[key] = Recall(groups.superseded(group, frozen))
        try:
            done = await self._shared.workshop.fulfil(
                Due(schemas.GroupId.parse(key), frozen, ahead),
                self._known(key, frozen),
                partial(self._keep, key, frozen, past),
                past,
                recall,
            )
        finally:
            self._recalls.pop(key, None)
        return await self._publish(key, frozen, done, past)

    def _known(self, key: str, frozen: groups.Frozen) -> dict[int, groups.Measurement]:
        """Return the measurements that were kept of the very warps that were frozen."""
        members = self.state.groups[key].members
        known: dict[int, groups.Measurement] = {}
        missing: list[groups.FrozenMember] = []
        for old in frozen.members:
            member = members.get(old.visit)
            if member is not None and member.digest == old.digest:
                if member.measurement is None:
                    missing.append(old)
                else:
                    known[old.visit] = member.measurement
        return known | self.ahead.measured(key, missing)

    async def _keep(
        self, key: str, frozen: groups.Frozen, past: Past, measured: Sequence[jobs.Measured]
    ) -> None:
        """Make measurements durable, so that a restart or an update need not repeat them."""
        digests = {member.visit: member.digest for member in frozen.members}
        async with self._lock:
            if self.status is not Status.ACTIVE:
                return
            changes: dict[bytes, bytes | None] = {}
            for one in measured:
                event = groups.Measured(
                    self.state.clock,
                    one.visit,
                    digests[one.visit],
                    measurement(one, boxes=past.boxes),
                )
                changes.update(self._puts(key, event))
            if changes:
                await self._commit("results", list(self._outbox.state(changes.items())))

    def _look_ahead(self) -> Ahead:
        """Return what works ahead on the state as it is now."""
        shared, boxes = self._shared, self.position.state_format > 1
        making = shared.assembler
        outlook = Outlook(self.state, self._policy, making.past, making.ahead, boxes)
        return Ahead(shared.foresight, shared.workshop, outlook, self._spawn, self._keep_soon)

    def _policy(self, key: str) -> groups.Policy:
        return policy_within(self._shared.policy_for(key), self.position.state_format)

    def _keep_soon(self) -> None:
        """Have what was measured ahead made durable, all that is there by then in one piece."""
        if self._keeping is None or self._keeping.done():
            self._keeping = self._spawn(self._keep_ahead(), f"keep for {self.partition}")

    async def _keep_ahead(self) -> None:
        async with self._lock:
            while self.status is Status.ACTIVE and (fresh := self.ahead.fresh()):
                changes: dict[bytes, bytes | None] = {}
                for key, event in fresh:
                    changes.update(self._puts(key, event))
                if changes:
                    await self._commit("results", list(self._outbox.state(changes.items())))

    def _puts(self, key: str, event: groups.Event) -> Iterator[tuple[bytes, bytes | None]]:
        """Let something happen to a group, and yield what is to be written of it."""
        return puts(key, self.state.feed(key, event), self.position.state_format)

    async def _publish(self, key: str, frozen: groups.Frozen, done: Fulfilled, past: Past) -> bool:
        """Write a revision, all of it or nothing."""
        async with self._lock:
            now = self._shared.clock()
            # In a thread: a thousand models take most of a second, and the loop has heartbeats.
            unfolding = await asyncio.to_thread(self._unfolded, key, frozen, done, past, now)
            if self.status is not Status.ACTIVE:
                return False
            if not await self._commit("publish", self._publishing(key, unfolding, now)):
                return False
        cause = cause_of_change(frozen, past, done.reference, done.measured)
        tell_published(self._shared.telemetry, key, unfolding.revision, cause)
        self.ahead.settle(key, done.reference)
        return True

    def _unfolded(
        self, key: str, frozen: groups.Frozen, done: Fulfilled, past: Past, now: float
    ) -> Unfolding:
        """Return a revision that is about to be written; nothing of ours is changed."""
        case = case_of(schemas.GroupId.parse(key), frozen, done, past)
        return self._shared.assembler.unfold(case, now)

    def _publishing(self, key: str, unfolding: Unfolding, now: float) -> Iterator[Outgoing]:
        """Yield the records of a revision, and at last those of what it changes here."""
        yield from self._outbox.revision(unfolding, now)
        if self.status is not Status.ACTIVE:
            raise PartitionLostError(self.partition, "it was lost while its revision was written")
        number, reference = unfolding.case.frozen.revision, unfolding.case.done.reference
        sent = unfolding.revision.sent if self.position.state_format > 1 else ()
        event = groups.Published(self.state.clock, number, reference, sent)
        yield from self._outbox.state(self._puts(key, event))

    # -- transactions ------------------------------------------------------------------------------

    async def _commit(
        self, kind: str, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> bool:
        """Write a transaction; on any doubt about its outcome the partition is lost."""
        started = time.monotonic()
        try:
            self._end = await self._shared.log.transact(self.partition, records, next_offset)
        except PartitionLostError as error:
            self._shared.telemetry.transaction(kind, "unknown", time.monotonic() - started)
            self.lose(error.why)
            return False
        except BaseException:
            # Cancelled or broken: the log may hold it or not, so memory is worth nothing.
            self.lose("a commit did not come to its end")
            raise
        self._shared.telemetry.transaction(kind, "committed", time.monotonic() - started)
        return True
