"""Work on groups that are not due yet: warps are measured as they arrive, and matched ahead.

What is worth doing is decided by `core.groups.next_ahead`. Nothing that is found here decides
anything: a revision that is frozen finds measurements and matches there already, or joins the jobs
on their way (`stream/runs.py`), and goes on without what failed, as if it had never been tried.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

import schemas
from core import groups
from stream import jobs
from stream.basis import Past
from stream.faults import WarpFault
from stream.foresight import Foresight, Pair
from stream.recall import Recall
from stream.runner import Asked
from stream.slots import AHEAD_AGAIN, AHEAD_MATCH, AHEAD_MEASURE
from stream.workshop import Made, Tried, Workshop, measurement

__all__ = ["Ahead", "Outlook"]

_CALM: Final = 20
"""So many times as long as a plan took passes before the next one of its group, and that for each
group at work: a plan goes through all members, and must not keep the loop from all else."""

Spawn = Callable[[Coroutine[object, object, None], str], asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What work ahead may look at.

    Attributes
    ----------
    state : Partition
        To be read only.
    policy_for : callable
        Policy of a group by its key, within what the state's format can hold.
    past : callable
        What a revision of a group would build on.
    made : callable
        Makes the message of a match.
    boxes : bool
        Whether the state keeps where warps lie.
    """

    state: groups.Partition
    policy_for: Callable[[str], groups.Policy]
    past: Callable[[groups.Group, groups.Frozen, groups.Policy], Past]
    made: Callable[[schemas.GroupId, groups.Frozen, int, Tried, groups.Measurement | None], Made]
    boxes: bool


@dataclass(eq=False, slots=True)
class _Job:
    """A job on its way, its warps, their digests by visit, and what they would be frozen in."""

    inputs: Mapping[int, str]
    frozen: groups.Frozen
    arrivals: tuple[schemas.WarpArrived, ...]
    recall: Recall = field(default_factory=Recall)

    def end_unless(self, digests: Mapping[int, str]) -> None:
        """End the job unless its warps are among these."""
        if not self.inputs.items() <= digests.items():
            self.recall.add(self.inputs)

    def let_go(self) -> None:
        """Do without the job: it ends, but for one that has begun, whose result is kept."""
        self.recall.release()
        self.recall.add(self.inputs)


_Work = Callable[[_Job], Coroutine[object, object, None]]
_Todo = tuple[Mapping[int, str], _Work]
"""The inputs of a job as `_Job` has them, and what does it."""


@dataclass(eq=False, slots=True)
class _Walk:
    """What was tried of one group, what is under way, and whether to look at it again.

    `left` tells whether more was planned than there was room for.
    """

    measured: dict[int, tuple[str, groups.Measurement | groups.Failed]]
    tried: dict[int, Pair]
    running: dict[_Job, asyncio.Task[None]] = field(default_factory=dict)
    left: bool = False
    again: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def end(self) -> None:
        """End all of it; a job that has begun goes on for its result, or its worker would die."""
        for job in self.running:
            job.recall.release()
        for task in (*self.running.values(), *(() if self.task is None else (self.task,))):
            task.cancel()


class Ahead:
    """Works ahead for one partition.

    Parameters
    ----------
    foresight : Foresight
        Where matches are held, and the bounds.
    workshop : Workshop
    outlook : Outlook
    spawn : callable
        Starts a task whose failure ends the service.
    on_measured : callable
        Told that there is something for `fresh`.
    """

    def __init__(
        self,
        foresight: Foresight,
        workshop: Workshop,
        outlook: Outlook,
        spawn: Spawn,
        on_measured: Callable[[], None],
    ) -> None:
        self._foresight = foresight
        self._limits = foresight.limits
        self._workshop = workshop
        self._outlook = outlook
        self._spawn = spawn
        self._on_measured = on_measured
        self._walks: OrderedDict[str, _Walk] = OrderedDict()
        self._stirred: dict[str, None] = {}
        self._fresh: list[tuple[str, groups.Measured]] = []
        self._at_work = 0
        self._over = False

    @property
    def at_work(self) -> int:
        """Groups that are worked on."""
        return self._at_work

    @property
    def asked(self) -> int:
        """Jobs that are asked for."""
        return sum(len(walk.running) for walk in self._walks.values())

    @property
    def remembered(self) -> int:
        """Groups of which it is remembered what was tried."""
        return len(self._walks)

    def fresh(self) -> Sequence[tuple[str, groups.Measured]]:
        """Return what was measured since the last call, by group, to be made durable."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def stir(self, key: str) -> None:
        """Look at a group to which something has happened; work follows if there is any."""
        if self._over or not self._limits.groups:
            return
        group, walk = self._outlook.state.groups[key], self._walks.get(key)
        if walk is not None:
            walk.again.set()
            _end_stale(walk, group)
        if groups.has_ahead(group) and (walk is None or walk.task is None):
            self._stirred[key] = None
            self._begin()

    def freeze(self, key: str, frozen: groups.Frozen) -> None:
        """End what a revision has no use for; what it needs goes on, and it joins it."""
        self._stirred.pop(key, None)
        if (walk := self._walks.get(key)) is not None:
            digests = {member.visit: member.digest for member in frozen.members}
            for job in tuple(walk.running):
                job.end_unless(digests)

    def measured(
        self, key: str, members: Iterable[groups.FrozenMember]
    ) -> dict[int, groups.Measurement]:
        """Return what was measured of some of a revision's members, durable or not."""
        walk = self._walks.get(key)
        if walk is None:
            return {}
        known = ((one, *walk.measured.get(one.visit, ("", None))) for one in members)
        return {
            one.visit: found
            for one, digest, found in known
            if digest == one.digest and isinstance(found, groups.Measurement)
        }

    def settle(self, key: str, reference: int | None) -> None:
        """Forget a group whose revision is published; what still runs of it is of no use."""
        walk = self._walks.pop(key, None)
        if walk is not None:
            walk.end()
        self._foresight.settle(key, reference)
        self.stir(key)

    def drain(self) -> None:
        """Begin nothing new."""
        self._over = True
        self._stirred.clear()

    def lose(self) -> None:
        """End all; a job that has begun goes on for its result."""
        self.drain()
        for walk in self._walks.values():
            walk.end()

    # -- the work ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        while self._stirred and self._at_work < self._limits.groups:
            key = next(iter(self._stirred))
            del self._stirred[key]
            walk = self._walks.setdefault(key, self._new_walk(key))
            self._walks.move_to_end(key)
            self._at_work += 1
            walk.task = self._spawn(self._work(key, walk), f"work ahead on {key}")
            walk.task.add_done_callback(partial(self._ended, key, walk))
        self._forget_old()

    def _new_walk(self, key: str) -> _Walk:
        return _Walk({}, {pair.visit: pair for pair in self._foresight.pairs(key)})

    def _forget_old(self) -> None:
        """Forget what was tried of groups that were stirred long ago: it may be tried again."""
        while len(self._walks) > self._limits.remembered:
            key, walk = next(iter(self._walks.items()))
            if walk.task is not None:
                return
            del self._walks[key]

    def _ended(self, key: str, walk: _Walk, task: asyncio.Task[None]) -> None:
        walk.task = None
        self._at_work -= 1
        if self._over:
            return
        stirred = walk.again.is_set() and not task.cancelled()
        if stirred and self._walks.get(key) is walk:
            self._stirred[key] = None
        self._begin()

    async def _work(self, key: str, walk: _Walk) -> None:
        """Plan, have it done, and plan anew when that may find more, until nothing is under way.

        Jobs go on while the next ones are planned: a worker must not wait for a file that could
        have been fetched while it was at work.
        """
        while not self._over:
            walk.again.clear()
            started = time.monotonic()
            self._start(key, walk)
            spent_s = time.monotonic() - started
            if not walk.running:
                return
            await walk.again.wait()
            await asyncio.sleep(_CALM * spent_s * self._at_work)

    def _start(self, key: str, walk: _Walk) -> None:
        """Start the first jobs of a plan made now, but for those that are under way."""
        group = self._outlook.state.groups[key]
        digests, policy = _digests(group), self._outlook.policy_for(key)
        walk.tried = {v: pair for v, pair in walk.tried.items() if pair.holds(digests)}
        plan = self._workshop.plan_ahead(group, _measured(group, walk), walk.tried, policy)
        _let_go_outdated(walk, plan.reference)
        busy = {tuple(job.inputs.items()) for job in walk.running}
        todo = (
            (inputs, work)
            for inputs, work in self._todo(key, walk, plan, policy)
            if tuple(inputs.items()) not in busy
        )
        for inputs, work in islice(todo, self._limits.jobs - len(walk.running)):
            job = self._job(key, group, inputs)
            task = walk.running[job] = self._spawn(work(job), f"a job ahead of {key}")
            task.add_done_callback(partial(self._job_ended, walk, job))
        walk.left = next(todo, None) is not None

    def _job_ended(self, walk: _Walk, job: _Job, _task: asyncio.Task[None]) -> None:
        walk.running.pop(job, None)
        few = 0 if not walk.left else self._limits.jobs // 2
        if len(walk.running) <= few:
            walk.again.set()

    def _todo(
        self, key: str, walk: _Walk, plan: groups.AheadWork, policy: groups.Policy
    ) -> Iterator[_Todo]:
        """Yield all jobs of a plan."""
        group = self._outlook.state.groups[key]
        for visit in plan.measure:
            inputs = {visit: group.members[visit].digest}
            yield inputs, partial(self._measure, key, walk, visit)
        for pair in self._pairs(group, walk, plan, policy):
            inputs = {pair.reference: pair.reference_digest, pair.visit: pair.digest}
            yield inputs, partial(self._match, key, walk, pair)

    def _pairs(
        self, group: groups.Group, walk: _Walk, plan: groups.AheadWork, policy: groups.Policy
    ) -> Iterator[Pair]:
        """Yield what is to be matched, but for what would be sent again as it was."""
        if plan.reference is None or not plan.match:
            return
        members, past, reference = group.members, self._past(group, policy), plan.reference
        for visit in plan.match:
            pair = Pair(visit, members[visit].digest, reference, members[reference].digest)
            if past is not None and past.kept(visit, past.basis(visit, reference)) is not None:
                walk.tried[visit] = pair
            else:
                yield pair

    @staticmethod
    def _job(key: str, group: groups.Group, inputs: Mapping[int, str]) -> _Job:
        """Make a job at once: its group may be another when it begins."""
        group_id = schemas.GroupId.parse(key)
        payloads = (group.members[visit].payload for visit in inputs)
        arrivals = (schemas.unpack_payload(one, schemas.WarpArrived, group_id) for one in payloads)
        return _Job(inputs, groups.if_frozen(group, inputs), tuple(arrivals))

    def _past(self, group: groups.Group, policy: groups.Policy) -> Past | None:
        if not group.header.published:
            return None
        return self._outlook.past(group, groups.if_frozen(group), policy)

    async def _measure(self, key: str, walk: _Walk, visit: int, job: _Job) -> None:
        digest = job.inputs[visit]
        result = await self._workshop.measure(self._asked(key, job, AHEAD_MEASURE))
        if isinstance(result, jobs.JobFault):
            if result.reason != WarpFault.SUPERSEDED.value:
                self._failed(walk, visit, digest, result)
            return
        found = measurement(result, boxes=self._outlook.boxes)
        walk.again.set()
        walk.measured[visit] = digest, found
        self._fresh.append((key, groups.Measured(0, visit, digest, found)))
        self._on_measured()

    async def _match(self, key: str, walk: _Walk, pair: Pair, job: _Job) -> None:
        kind = AHEAD_AGAIN if pair.visit in walk.tried else AHEAD_MATCH
        result = await self._workshop.match(self._asked(key, job, kind))
        if isinstance(result, jobs.Matched):
            walk.tried[pair.visit] = pair
            made = await self._made(key, walk, pair, job, result)
            if job not in walk.running:
                self._foresight.discard()
            elif self._walks.get(key) is walk:
                self._foresight.put(key, pair, result, made)
        elif result.reason == WarpFault.SUPERSEDED.value:
            if job.recall.unawaited:
                self._foresight.discard()
        elif result.visit == pair.reference:
            self._failed(walk, pair.reference, pair.reference_digest, result)
        else:
            walk.tried[pair.visit] = pair

    async def _made(
        self, key: str, walk: _Walk, pair: Pair, job: _Job, result: jobs.Matched
    ) -> Made | None:
        """Make the messages in a thread, as a revision's are: large ones take milliseconds."""
        if len(job.frozen.members) < len(job.inputs):
            return None
        group, tried = schemas.GroupId.parse(key), Tried(pair.reference, result)
        measured = _measured_as(self._outlook.state.groups[key], walk, pair)
        make = self._outlook.made
        return await asyncio.to_thread(make, group, job.frozen, pair.visit, tried, measured)

    def _asked(self, key: str, job: _Job, kind: int) -> Asked:
        return Asked(job.arrivals, (kind, self._outlook.state.clock, key), job.recall)

    @staticmethod
    def _failed(walk: _Walk, visit: int, digest: str, fault: jobs.JobFault) -> None:
        """Try a warp no more until it is due, or replaced; to have failed here gives up nobody."""
        walk.again.set()
        walk.measured[visit] = digest, groups.Failed(fault.message)


def _digests(group: groups.Group) -> dict[int, str]:
    """Return the digest of each warp that stands, by visit."""
    return {v: member.digest for v, member in group.members.items() if not member.withdrawn}


def _end_stale(walk: _Walk, group: groups.Group) -> None:
    """End the jobs on warps that were withdrawn, replaced or suspected meanwhile."""
    for job in tuple(walk.running):
        known = {visit: group.members.get(visit) for visit in job.inputs}
        job.end_unless(
            {
                visit: member.digest
                for visit, member in known.items()
                if member is not None and not member.withdrawn and member.suspicion is None
            }
        )


def _let_go_outdated(walk: _Walk, reference: int | None) -> None:
    """Let go of matches to another reference than would be chosen now.

    Should one that has begun be the right one after all, its result is found again.
    """
    for job in tuple(walk.running):
        against, *rest = job.inputs
        if rest and reference is not None and against != reference:
            del walk.running[job]
            job.let_go()


def _measured_as(group: groups.Group, walk: _Walk, pair: Pair) -> groups.Measurement | None:
    """Return what is known of a warp as it was matched."""
    member = group.members.get(pair.visit)
    if member is not None and member.digest == pair.digest and member.measurement is not None:
        return member.measurement
    digest, found = walk.measured.get(pair.visit, ("", None))
    return found if digest == pair.digest and isinstance(found, groups.Measurement) else None


def _measured(group: groups.Group, walk: _Walk) -> dict[int, groups.Measurement | groups.Failed]:
    """Return what is known of a group's members as they are."""
    found: dict[int, groups.Measurement | groups.Failed] = {
        visit: member.measurement
        for visit, member in group.members.items()
        if member.measurement is not None
    }
    for visit, (digest, one) in walk.measured.items():
        member = group.members.get(visit)
        if member is not None and member.digest == digest:
            found[visit] = one
    return found
