"""A tiny log in memory: inputs stamped by itself, a changelog a partition, fenced transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.groups import Event, Expected, Frozen, Header, Member, Partition, Policy, Transition
from ops.proof.simulation_matching import Output

__all__ = ["FencedError", "Log", "Puts", "Record", "Shelf", "Transaction", "UnknownError", "puts"]

Key = tuple[str, ...] | tuple[str, str, int]
Value = Header | Member | Expected | Frozen | tuple[int, int] | None
Puts = dict[Key, Value]
"""Records of the changelog by key: of several values of a key in one transaction the last."""


class FencedError(Exception):
    """A commit of an owner that has been overtaken: nothing is written."""


class UnknownError(Exception):
    """Nobody knows how a commit ended."""


@dataclass(frozen=True)
class Record:
    """An input record; without an event a tick, or poison."""

    stamp: int
    key: str
    event: Event | None
    poison: bool = False


@dataclass(frozen=True)
class Transaction:
    """What an owner writes at once; `letters` are offsets of dead records."""

    partition: int
    epoch: int
    written: Puts
    letters: Sequence[int] = ()
    outputs: Sequence[Output] = ()


def puts(group: str, transition: Transition) -> Puts:
    """Return what a transition writes."""
    members = (*transition.members, *transition.settled)
    written: Puts = {("M", group, member.visit): member for member in members}
    written |= {("F", group, frozen.revision): frozen for frozen in transition.frozen}
    written |= {("F", group, revision): None for revision in transition.released}
    written |= {("M", group, visit): None for visit in transition.forgotten}
    if transition.header is not None:
        written["G", group] = transition.header
    if transition.expected is not None:
        written["X", group] = transition.expected
    if transition.forgets:
        written["X", group] = None
    return written


@dataclass
class Shelf:
    """One partition: its input, its changelog, and all that was ever written of its groups."""

    input: list[Record] = field(default_factory=list)
    changelog: list[tuple[Key, Value]] = field(default_factory=list)
    epoch: int = 0
    outputs: list[Output] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)

    def compact(self) -> None:
        """Keep of each key the last value, where it stands; drop tombstones."""
        last = {key: place for place, (key, _) in enumerate(self.changelog)}
        self.changelog = [
            (key, value)
            for place, (key, value) in enumerate(self.changelog)
            if last[key] == place and value is not None
        ]

    def restore(self, policy: Policy) -> tuple[Partition, int]:
        """Read the changelog back; return the state and where to go on reading the input."""
        state, place = Partition(lambda _: policy), 0
        for key, value in self.changelog:
            if isinstance(value, tuple):
                place, clock = value
                state.load_clock(clock)
            else:
                _load(state, key, value)
        state.restored()
        return state, place


def _load(state: Partition, key: Key, value: Header | Member | Expected | Frozen | None) -> None:
    group = str(key[1])
    match value:
        case Header():
            state.load_header(group, value)
        case Member():
            state.load_member(group, value)
        case Expected():
            state.load_expected(group, value)
        case Frozen():
            state.load_frozen(group, value)
        case None:
            _bury(state, group, key)


def _bury(state: Partition, group: str, key: Key) -> None:
    if key[0] == "X":
        state.load_forgotten_set(group)
        return
    bury: Callable[[str, int], None] = (
        state.load_released if key[0] == "F" else state.load_forgotten
    )
    bury(group, int(key[2]))


class Log:
    """All partitions, and the true time.

    Parameters
    ----------
    partitions : int
    """

    def __init__(self, partitions: int) -> None:
        self.now = 0
        self.shelves = [Shelf() for _ in range(partitions)]

    def append(
        self, partition: int, key: str, event: Event | None, *, early: int = 0, poison: bool = False
    ) -> None:
        """Stamp a record and keep it."""
        stamp = max(0, self.now - early)
        self.shelves[partition].input.append(Record(stamp, key, event, poison))

    def fence(self, partition: int) -> int:
        """Begin an epoch: no transaction of an earlier one can commit any more."""
        self.shelves[partition].epoch += 1
        return self.shelves[partition].epoch

    def commit(self, made: Transaction, how: str = "") -> None:
        """Write all of a transaction or nothing.

        Raises
        ------
        FencedError
            It is of an earlier epoch.
        UnknownError
            `how` says so: it was ``lost``, or it was written with an ``unknown`` outcome.
        """
        shelf = self.shelves[made.partition]
        if made.epoch != shelf.epoch:
            raise FencedError
        if how == "lost":
            raise UnknownError
        shelf.changelog.extend(made.written.items())
        shelf.letters.extend(made.letters)
        shelf.outputs.extend(made.outputs)
        if len(shelf.changelog) > _COMPACT_AT:
            shelf.compact()
        if how == "unknown":
            raise UnknownError


_COMPACT_AT = 400
