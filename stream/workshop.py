"""Where the pixels of one frozen revision are worked through: fetch, measure, choose, match.

What is to be done next is decided by `core.groups.next_work`; the workshop has it done by the
runner of jobs (`stream.runner`) and collects the answers. The service and the batch command share
it, so both publish the same numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

import schemas
from core import groups
from stream import jobs
from stream.basis import Past
from stream.faults import WarpFault
from stream.recall import Recall
from stream.runner import Asked, Runner
from stream.slots import DUE, due_time

__all__ = [
    "Announced",
    "Due",
    "Fulfilled",
    "Kept",
    "Made",
    "OnMeasured",
    "Tried",
    "Workshop",
    "measurement",
]

_BREATH: Final = 64  # matches taken between two turns of the loop

OnMeasured = Callable[[Sequence[jobs.Measured]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Made:
    """All that a revision says of a visit and that hangs on no other.

    Attributes
    ----------
    about : (int or None, int, str)
        The reference, the revision's number and its kind, for which it is right.
    model : BackgroundModel
    value : bytes
        What `schemas.encode_value` makes of it.
    sent : Sent
        What is to be remembered of it.
    measure : Blank
        The metric that goes with it, but for what hangs on the whole group.
    measured : Measurement or None
        Of the warp, as the metric has it.
    timings : mapping of str to float
        What workers spent on the warp, as the metric has it: seconds by stage.
    """

    about: tuple[int | None, int, str]
    model: schemas.BackgroundModel
    value: bytes
    sent: groups.Sent
    measure: schemas.Blank
    measured: groups.Measurement | None
    timings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Tried:
    """A match that is over, well or not.

    Attributes
    ----------
    reference : int
        Visit that it was made against.
    result : Matched or JobFault
    made : Made or None
        The message of it, where that was made before the revision was due.
    """

    reference: int
    result: jobs.Matched | jobs.JobFault
    made: Made | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A match that needs not be made: what was sent of the warp would be sent again.

    Attributes
    ----------
    reference : int
        Visit that it was made against.
    """

    reference: int


class Announced(Mapping[int, schemas.WarpArrived]):
    """What announced each member of a frozen revision, by visit.

    Read when it is asked for: of a large group that was worked on ahead few are.

    Parameters
    ----------
    group : GroupId
    frozen : Frozen
    """

    def __init__(self, group: schemas.GroupId, frozen: groups.Frozen) -> None:
        self._group = group
        self._members = frozen.members
        self._read: dict[int, schemas.WarpArrived] = {}

    def __getitem__(self, visit: int) -> schemas.WarpArrived:
        found = self._read.get(visit)
        if found is None:
            member = groups.member_of(self._members, visit)
            if member is None:
                raise KeyError(visit)
            found = schemas.unpack_payload(member.payload, schemas.WarpArrived, self._group)
            self._read[visit] = found
        return found

    def __iter__(self) -> Iterator[int]:
        return (member.visit for member in self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, visit: object) -> bool:
        return isinstance(visit, int) and groups.member_of(self._members, visit) is not None


@dataclass(slots=True)
class Fulfilled:
    """All that was found out about a frozen revision.

    Attributes
    ----------
    reference : int or None
        The visit that was chosen; None when nothing could be measured.
    costs : mapping of int to float
        Selection cost by visit, NaN for a warp that could not be measured.
    measured : dict of int to Measurement or Failed
    matched : dict of int to Tried or Kept
        For each visit that could be measured but the reference.
    timings : dict of int to dict of str to float
        Seconds that workers spent on each visit now, by stage; a match's are the science warp's.
    warnings : tuple of str
        What an astronomer should know of the whole group, each as a sentence.
    arrivals : mapping of int to WarpArrived
        What announced each member, if it was looked at already.
    """

    reference: int | None = None
    costs: Mapping[int, float] = field(default_factory=dict)
    measured: dict[int, groups.Measurement | groups.Failed] = field(default_factory=dict)
    matched: dict[int, Tried | Kept] = field(default_factory=dict)
    timings: dict[int, dict[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    arrivals: Mapping[int, schemas.WarpArrived] = field(default_factory=dict)

    def spent(self, visit: int, timings: Mapping[str, float]) -> None:
        """Add what a job spent on a visit, in seconds by stage."""
        stages = self.timings.get(visit)
        if stages is None:
            self.timings[visit] = dict(timings)
            return
        for stage, seconds in timings.items():
            stages[stage] = stages.get(stage, 0.0) + seconds


def _nothing(_known: Collection[int]) -> Mapping[int, Tried]:
    """Find nothing: none was matched before it was due."""
    return {}


class Due(NamedTuple):
    """A frozen revision that is to be worked on.

    Attributes
    ----------
    group : GroupId
    frozen : Frozen
        Its content.
    ahead : callable
        Gives the matches that were made before it was due, by visit, but for those of some visits.
    """

    group: schemas.GroupId
    frozen: groups.Frozen
    ahead: Callable[[Collection[int]], Mapping[int, Tried]] = _nothing


@dataclass(frozen=True, slots=True)
class _Task:
    """A revision that is worked on."""

    due: Due
    done: Fulfilled
    on_measured: OnMeasured
    past: Past
    recall: Recall
    keeping: list[asyncio.Future[None]] = field(default_factory=list)

    async def keep(self, measured: Sequence[jobs.Measured]) -> None:
        """Begin to keep measurements: the next plan is made while that waits for the log."""
        self.keeping.append(asyncio.ensure_future(self.on_measured(measured)))
        await asyncio.sleep(0)

    async def kept(self) -> None:
        """Wait until what was measured is kept."""
        if self.keeping:
            await self.keeping[-1]
            self.keeping.clear()

    def give_up(self) -> None:
        """End what is still being kept: whoever asked for it was cancelled."""
        for one in self.keeping:
            one.cancel()

    def asks(self, *visits: int) -> Asked:
        """Return what a job on some visits is about."""
        arrivals = tuple(self.done.arrivals[visit] for visit in visits)
        due = due_time(self.due.frozen.at, len(self.done.arrivals))
        return Asked(arrivals, (DUE, due, arrivals[-1].group.key), self.recall)

    def keeps(self, visit: int, reference: int) -> bool:
        """Tell whether what was sent of a match still stands, and note that it does."""
        past = self.past
        if visit not in past.sent or past.kept(visit, past.basis(visit, reference)) is None:
            return False
        self.done.matched[visit] = Kept(reference)
        return True

    async def take_ahead_beside(self) -> None:
        """Take what is there already while jobs are on their way, which must not wait for it."""
        for number, _ in enumerate(self._taking(), 1):
            if number % _BREATH == 0:
                await asyncio.sleep(0)

    def take_ahead(self) -> None:
        """Take the matches that are there already, but for what would be sent again as it was."""
        for _ in self._taking():
            pass

    def _taking(self) -> Iterator[None]:
        done, sent = self.done, self.past.sent
        for visit, tried in self.due.ahead(done.matched.keys()).items():
            yield
            if self.recall.recalls(tried.reference, visit):
                continue
            if visit not in sent or not self.keeps(visit, tried.reference):
                done.matched[visit] = tried
                if isinstance(tried.result, jobs.Matched):
                    done.spent(visit, tried.result.timings)


class Workshop:
    """Works frozen revisions through.

    Parameters
    ----------
    runner : Runner
        Does the jobs.
    """

    def __init__(self, runner: Runner) -> None:
        self._config = runner.config
        self._runner = runner

    async def fulfil(
        self,
        due: Due,
        known: Mapping[int, groups.Measurement],
        on_measured: OnMeasured,
        past: Past | None = None,
        recall: Recall | None = None,
    ) -> Fulfilled:
        """Do all that a revision needs, and that was not done for an earlier one.

        Parameters
        ----------
        due : Due
        known : mapping of int to Measurement
            Measurements of its members that were made before.
        on_measured : callable
            Told of each batch of new measurements.
        past : Past, optional
            What was published before; nothing, if not given.
        recall : Recall, optional
            Told of members that are withdrawn or replaced meanwhile, and of a partition's loss:
            whoever asks again for a job that has begun joins it.
        """
        done = Fulfilled(measured=dict(known), arrivals=Announced(due.group, due.frozen))
        task = _Task(due, done, on_measured, past or Past(), recall or Recall())
        try:
            ready = await self._worked_through(task)
        finally:
            task.give_up()
        done.reference, done.costs = ready.reference, ready.costs
        done.warnings = (*ready.warnings, *_of_planes(done.matched.values()))
        if ready.reference is not None:
            self._runner.release(done.arrivals[ready.reference])
        return done

    async def _worked_through(self, task: _Task) -> groups.Ready:
        frozen, done, pinned = task.due.frozen, task.done, task.past.pinned
        while True:
            if not groups.unmeasured(frozen, done.measured):
                task.take_ahead()
            plan = groups.next_work(frozen, done.measured, done.matched, self._config, pinned)
            await task.kept()
            match plan:
                case groups.MeasureThese():
                    await self._measure(plan, task)
                case groups.RefuseThese():
                    done.measured |= _refused(plan)
                case groups.MatchThese():
                    if await self._match(plan, task):
                        return plan.then
                case groups.Ready():
                    return plan

    def plan_ahead(
        self,
        group: groups.Group,
        measured: Mapping[int, groups.Measurement | groups.Failed],
        matched: Mapping[int, groups.MatchedTo],
        policy: groups.Policy,
    ) -> groups.AheadWork:
        """Plan as `core.groups.next_ahead` does, for this configuration."""
        return groups.next_ahead(group, measured, matched, self._config, policy)

    async def measure(self, asked: Asked) -> jobs.Measured | jobs.JobFault:
        """Measure a warp, or find out what was measured before."""
        return await self._runner.run(asked, jobs.measure)

    async def match(self, asked: Asked) -> jobs.Matched | jobs.JobFault:
        """Match a warp to a reference, or find what was matched before."""
        refused = _comparable(*asked.arrivals)
        return await self._runner.run(asked, jobs.match) if refused is None else refused

    def store_of(self, group: schemas.GroupId, frozen: groups.Frozen) -> str:
        """Return on which storage a revision's warps lie, most likely: where its first does."""
        if not frozen.members:
            return ""
        first = schemas.unpack_payload(frozen.members[0].payload, schemas.WarpArrived, group)
        return self._runner.store_of(first.uri)

    def away(self) -> Mapping[str, Mapping[str, int]]:
        """Return by group what storages do that its jobs wait for, and how many jobs do."""
        return self._runner.away()

    async def close(self) -> None:
        """End the jobs that still run for partitions that were lost."""
        await self._runner.close()

    async def _measure(self, plan: groups.MeasureThese, task: _Task) -> None:
        done = task.done
        measuring = (self.measure(task.asks(visit)) for visit in plan.visits)
        results, _ = await asyncio.gather(asyncio.gather(*measuring), task.take_ahead_beside())
        for visit, result in zip(plan.visits, results, strict=True):
            done.measured[visit] = (
                measurement(result, boxes=task.past.boxes)
                if isinstance(result, jobs.Measured)
                else _failed(result)
            )
        good = [result for result in results if isinstance(result, jobs.Measured)]
        for result in good:
            done.spent(result.visit, result.timings)
        if good:
            await task.keep(good)

    async def _match(self, plan: groups.MatchThese, task: _Task) -> bool:
        """Match, and tell whether the reference could be read."""
        done = task.done
        visits = [v for v in plan.visits if not task.keeps(v, plan.reference)]
        tried = await asyncio.gather(
            *(self._match_one(task, plan.reference, visit) for visit in visits)
        )
        for visit, one in zip(visits, tried, strict=True):
            if isinstance(one.result, jobs.Matched):
                done.spent(visit, one.result.timings)
            if isinstance(one.result, jobs.JobFault) and one.result.visit == plan.reference:
                done.measured[plan.reference] = _failed(one.result)
            else:
                done.matched[visit] = one
        return not isinstance(done.measured[plan.reference], groups.Failed)

    async def _match_one(self, task: _Task, reference: int, visit: int) -> Tried:
        return Tried(reference, await self.match(task.asks(reference, visit)))


def measurement(result: jobs.Measured, *, boxes: bool) -> groups.Measurement:
    """Return what a group keeps of a measured warp.

    Parameters
    ----------
    result : Measured
    boxes : bool
        Whether to keep where it lies, see `Past`.
    """
    box = _box(result.origin, result.shape) if boxes else None
    return groups.Measurement(result.mean, result.variance, result.count, box)


@lru_cache(maxsize=1024)
def _box(origin: tuple[int, int], shape: tuple[int, int]) -> groups.Box:
    """Return one box for all warps that have it."""
    (x0, y0), (height, width) = origin, shape
    return x0, y0, width, height


def _refused(plan: groups.RefuseThese) -> dict[int, groups.Failed]:
    """Say of each member that its group lies elsewhere."""
    ours = _place(plan.box)
    return {
        visit: groups.Failed(f"{WarpFault.WRONG_SHAPE}: it has {_place(box)}, and its group {ours}")
        for visit, box in plan.boxes.items()
    }


def _place(box: groups.Box) -> str:
    x0, y0, width, height = box
    return f"{width} x {height} pixels at ({x0}, {y0})"


def _failed(fault: jobs.JobFault) -> groups.Failed:
    return groups.Failed(f"{fault.reason}: {fault.message}")


def _of_planes(tried: Collection[Tried | Kept]) -> tuple[str, ...]:
    """Say which bad mask planes no warp of the group defines: misspelt, most likely.

    Of warps that were not matched now nobody knows.
    """
    results = [one.result for one in tried if isinstance(one, Tried)]
    if len(results) < len(tried):
        return ()
    absent = [result.absent for result in results if isinstance(result, jobs.Matched)]
    first = absent[0] if absent else ()
    others = [names for names in absent if names != first]  # few, if any
    nowhere = [name for name in first if all(name in names for names in others)]
    if not nowhere:
        return ()
    return (f"bad_mask_planes: no warp of the group defines {', '.join(nowhere)}",)


def _comparable(
    reference: schemas.WarpArrived, science: schemas.WarpArrived
) -> jobs.JobFault | None:
    """Refuse a difference that would mean nothing: of images in different units."""
    if None in (reference.unit, science.unit) or reference.unit == science.unit:
        return None
    return jobs.JobFault(
        science.visit,
        "wrong_unit",
        f"its unit is {science.unit!r} and the reference's, visit {reference.visit}, "
        f"{reference.unit!r}",
    )
