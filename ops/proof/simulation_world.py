"""Owners over the log: they read, publish, lose their memory and their partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.groups import (
    Failed,
    Measured,
    Outcome,
    Partition,
    Policy,
    Published,
    Transition,
)
from ops.proof.simulation_judge import Judge
from ops.proof.simulation_log import FencedError, Log, Puts, Transaction, UnknownError, puts
from ops.proof.simulation_matching import Output, measure, work_out
from ops.proof.simulation_steps import GROUPS, OWNERS, PARTITIONS, READ_ALL, Step, event_of

__all__ = ["World", "replay"]

_SKEWS: Sequence[int] = (-150, 150, 0)
"""By how much each owner's clock is off, ms."""
_TOLD = 32
"""From this number of a rebalance on, whoever had the partition hears of it."""


@dataclass
class _Held:
    """A partition in an owner's memory."""

    state: Partition
    place: int
    epoch: int
    worked: dict[str, tuple[Published, Output]] = field(default_factory=dict)


class World:
    """A log, its owners and their judge.

    Parameters
    ----------
    policy : Policy

    Attributes
    ----------
    counts : Counter of str
        What happened, by its name.
    """

    def __init__(self, policy: Policy) -> None:
        self.log = Log(PARTITIONS)
        self.judge = Judge(self.log, policy)
        self.counts: Counter[str] = Counter()
        self._policy = policy
        self._assigned = [partition % OWNERS for partition in range(PARTITIONS)]
        self._memory: dict[tuple[int, int], _Held] = {}
        self._deeds: dict[str, Callable[[Step], None]] = {
            "compact": self._compact,
            "crash": self._crash,
            "measure": self._measure,
            "publish": self._publish,
            "read": self._read,
            "rebalance": self._rebalance,
            "tick": self._tick,
            "work": self._work,
        }

    def act(self, step: Step) -> None:
        """Do a step and judge what it did."""
        self.log.now += max(0, step.wait)
        self._deeds.get(step.kind, self._append)(step)

    # -- the input ---------------------------------------------------------------------------------

    def _append(self, step: Step) -> None:
        early = max(0, -step.wait)
        partition, key = step.group % PARTITIONS, f"g{step.group % GROUPS}"
        shelf = self.log.shelves[partition]
        self.counts[f"said {step.kind}"] += 1
        self.counts["stamped too early"] += early > 0
        if step.kind != "again":
            poison = step.kind == "poison"
            self.log.append(partition, key, event_of(step), early=early, poison=poison)
        elif shelf.input:
            old = shelf.input[-1 - step.number % len(shelf.input)]
            self.log.append(partition, old.key, old.event, early=early, poison=old.poison)

    # -- who owns what -----------------------------------------------------------------------------

    def _partition(self, step: Step) -> int:
        return step.number % PARTITIONS

    def _owner(self, step: Step) -> int:
        return (self._assigned[self._partition(step)] + step.owner) % OWNERS

    def _hold(self, step: Step) -> _Held | None:
        """Return what the owner believes to hold; whoever holds nothing takes what is its own."""
        partition, owner = self._partition(step), self._owner(step)
        held = self._memory.get((owner, partition))
        if held is None and self._assigned[partition] == owner:
            held = self._take_over(partition, owner)
        return held

    def _take_over(self, partition: int, owner: int) -> _Held:
        epoch = self.log.fence(partition)
        state, place = self.log.shelves[partition].restore(self._policy)
        self.judge.follow(partition, place)
        self.judge.outputs(partition)
        self.judge.state(partition, state)
        self.counts["took over"] += 1
        held = self._memory[owner, partition] = _Held(state, place, epoch)
        return held

    def _rebalance(self, step: Step) -> None:
        """Give a partition to an owner; whoever had it may not hear of it."""
        partition, told = self._partition(step), step.number >= _TOLD
        before, owner = self._assigned[partition], self._owner(step)
        if before == owner:
            return
        self._assigned[partition] = owner
        self.counts["rebalanced"] += 1
        if told:
            self._memory.pop((before, partition), None)
        self._memory.pop((owner, partition), None)
        self._take_over(partition, owner)

    def _crash(self, step: Step) -> None:
        owner = self._owner(step)
        for partition in range(PARTITIONS):
            if self._memory.pop((owner, partition), None) is not None:
                self.counts["crashed"] += 1

    def _compact(self, step: Step) -> None:
        self.log.shelves[self._partition(step)].compact()
        self.counts["compacted"] += 1

    # -- transactions ------------------------------------------------------------------------------

    def _commit(
        self,
        step: Step,
        held: _Held,
        written: Puts,
        letters: Sequence[int] = (),
        outputs: Sequence[Output] = (),
    ) -> bool:
        """Commit; whoever is overtaken or does not know how it ended forgets the partition."""
        partition = self._partition(step)
        made = Transaction(partition, held.epoch, written, letters, outputs)
        try:
            self.log.commit(made, step.how)
        except FencedError:
            return self._lose(step, "a stale owner's commit was refused")
        except UnknownError:
            return self._lose(step, f"a commit's outcome was unknown: {step.how}")
        self.judge.follow(partition, held.place)
        self.judge.outputs(partition)
        self.judge.state(partition, held.state, {str(key[1]) for key in written if len(key) > 1})
        return True

    def _lose(self, step: Step, why: str) -> bool:
        self.counts[why] += 1
        del self._memory[self._owner(step), self._partition(step)]
        return False

    def _read(self, step: Step) -> None:
        """Take some records in: one transaction."""
        held = self._hold(step)
        if held is None:
            return
        records = self.log.shelves[self._partition(step)].input
        written, dead = Puts(), list[int]()
        for place in range(held.place, min(len(records), held.place + 1 + step.number // 8)):
            record = records[place]
            for key, fired in held.state.advance(record.stamp):
                written |= self._told(key, fired)
            held.place = place + 1
            if record.poison:
                dead.append(place)
            elif record.event is not None:
                transition = held.state.feed(record.key, record.event)
                written |= self._told(record.key, transition)
                dead += [place] * (transition.outcome is Outcome.REFUSED)
        written[("P",)] = (held.place, held.state.clock)
        self._commit(step, held, written, dead)

    def _told(self, key: str, transition: Transition) -> Puts:
        """Count what a transition is, and return what it writes."""
        counts = self.counts
        counts[f"outcome {transition.outcome}"] += 1
        counts["forgotten"] += bool(transition.forgotten)
        for frozen in transition.frozen:
            counts[f"frozen by {frozen.trigger}"] += 1
            counts[f"frozen as {'incomplete' if frozen.incomplete else frozen.kind}"] += 1
        return puts(key, transition)

    def _due(self, step: Step, held: _Held) -> str | None:
        """Choose a group with something in its line."""
        due = sorted(key for key, group in held.state.groups.items() if group.frozen)
        return due[step.number // PARTITIONS % len(due)] if due else None

    def _work(self, step: Step) -> None:
        """Work the first revision of some group's line through, to be published later."""
        held = self._hold(step)
        key = None if held is None else self._due(step, held)
        if held is not None and key is not None:
            held.worked[key] = work_out(key, held.state.groups[key], self._policy)

    def _publish(self, step: Step) -> None:
        """Publish the first revision of some group's line."""
        held = self._hold(step)
        key = None if held is None else self._due(step, held)
        if held is None or key is None:
            return
        group = held.state.groups[key]
        self.counts["published with others in line"] += len(group.frozen) > 1
        self.counts["published after a lag"] += key in held.worked
        worked = held.worked.pop(key, None) or work_out(key, group, self._policy)
        published, output = worked
        written = self._told(key, held.state.feed(key, published))
        if self._commit(step, held, written, outputs=[output]):
            self._count_output(output)

    def _count_output(self, output: Output) -> None:
        kept = None if output.pin is None else output.pin.visit
        self.counts["published"] += 1
        self.counts["kept the pinned reference"] += kept is not None and kept == output.reference
        self.counts["left the pinned reference"] += kept is not None and kept != output.reference
        statuses = Counter(output.entries[visit].status for visit in output.sent)
        self.counts.update({f"sent {status}": number for status, number in statuses.items()})
        self.counts["sent not again"] += len(output.entries) - len(output.sent)

    def _measure(self, step: Step) -> None:
        """Make a measurement durable."""
        held = self._hold(step)
        if held is None:
            return
        known = [(k, m) for k, g in held.state.groups.items() for m in g.members.values()]
        if not known:
            return
        key, member = known[step.number // 2 % len(known)]
        found = measure(member.digest)
        if not isinstance(found, Failed):
            event = Measured(0, member.visit, member.digest, found)
            self._commit(step, held, self._told(key, held.state.feed(key, event)))

    def _tick(self, step: Step) -> None:
        """Append a tick when all is read and a timer is due by the owner's own clock."""
        held = self._hold(step)
        partition = self._partition(step)
        due = None if held is None else held.state.next_due()
        if held is None or due is None or held.place < len(self.log.shelves[partition].input):
            return
        if self.log.now + _SKEWS[self._owner(step)] >= due:
            self.counts["ticked too early" if self.log.now < due else "ticked"] += 1
            self.log.append(partition, "", None)

    # -- the end -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything come to its end, and judge that."""
        for partition, owner in enumerate(self._assigned):
            for _ in range(4):
                self._work_off(partition, owner)
                self.log.now += 10_000
                self.log.append(partition, "", None)
            self._work_off(partition, owner)
            self.judge.end(partition, self._memory[owner, partition].state)

    def _work_off(self, partition: int, owner: int) -> None:
        """Read to the end and publish all."""
        self.act(Step("read", number=READ_ALL + partition))
        held = self._memory[owner, partition]
        while any(group.frozen for group in held.state.groups.values()):
            self.act(Step("publish", number=partition))


def replay(policy: Policy, steps: Sequence[Step]) -> World:
    """Do steps in a new world, and let it settle.

    Raises
    ------
    ViolationError
        Something that must hold does not.
    """
    world = World(policy)
    for step in steps:
        world.act(step)
    world.settle()
    return world
