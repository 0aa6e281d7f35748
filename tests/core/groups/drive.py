"""Short words for events, and a driver that runs a log through a partition and keeps its puts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core.groups import (
    Arrived,
    Closed,
    Event,
    Expected,
    Frozen,
    Group,
    Header,
    ManifestSet,
    Measured,
    Measurement,
    Member,
    Partition,
    Policy,
    Published,
    Reopened,
    Sealed,
    Sent,
    Suspected,
    Transition,
    Withdrawn,
)
from core.groups.changed import replace

__all__ = [
    "KEY",
    "POLICY",
    "Changelog",
    "Record",
    "Run",
    "arrived",
    "closed",
    "content",
    "counters",
    "eligible",
    "manifest",
    "measured",
    "published",
    "reopened",
    "run",
    "sealed",
    "sent",
    "standing",
    "suspected",
    "withdrawn",
]

KEY = "live/sky/9813/40/r"
POLICY = Policy(
    quorum=3, quiet_ms=50, deadline_ms=400, min_members=2, update_quiet_ms=20, update_max_ms=60
)

Record = tuple[int, str, Event | None]
"""Timestamp, group key and event of one input record; None is a tick or a dead record."""


def arrived(
    visit: int, version: int = 0, *, time: int = 1, digest: str = "", expected: int | None = None
) -> Arrived:
    """Make an arrival whose digest differs by visit and version unless it is given."""
    digest = digest or f"warp-{visit}-{version}"
    return Arrived(0, visit, version, time, digest, digest.encode(), expected)


def withdrawn(visit: int, version: int = 0, *, time: int = 2) -> Withdrawn:
    """Make a withdrawal, by its time later than an arrival of the same version."""
    return Withdrawn(0, visit, version, time, f"gone-{visit}-{version}", b"")


def manifest(
    *visits: int, version: int = 1, reference: int | None = None, deadline: int | None = None
) -> ManifestSet:
    """Make a manifest of these visits."""
    return ManifestSet(0, version, visits, reference, deadline)


def closed(version: int = 1) -> Closed:
    """Make a closing."""
    return Closed(0, version)


def measured(visit: int, digest: str = "") -> Measured:
    """Make a measurement of the first version of a visit."""
    return Measured(0, visit, digest or f"warp-{visit}-0", Measurement(1.0, 2.0, float(visit)))


def sealed(version: int = 1) -> Sealed:
    """Make a seal."""
    return Sealed(0, version)


def reopened(version: int = 1) -> Reopened:
    """Make what takes a seal of the same version back."""
    return Reopened(0, version)


def suspected(visit: int, job: str = "job", *, alone: bool = True, time: int = 1) -> Suspected:
    """Make the report of a death."""
    return Suspected(0, visit, job, alone, time)


def sent(basis: str) -> Sent:
    """Make what is remembered of a model that was sent."""
    return Sent(basis, f"model-of-{basis}", "matched", "accept")


def published(
    revision: int, reference: int | None = None, told: dict[int, str] | None = None
) -> Published:
    """Make the end of a publishing transaction that sent models of these bases, by visit."""
    bases = {} if told is None else told
    models = tuple((visit, sent(basis)) for visit, basis in bases.items())
    return Published(0, revision, reference, models)


@dataclass
class Changelog:
    """A compacted topic: the last put of each key, until its tombstone.

    `first` writes what format 1 of the state did: standings with the members, at the freeze.
    """

    first: bool = False
    clock: int = 0
    headers: dict[str, Header] = field(default_factory=dict)
    members: dict[tuple[str, int], Member] = field(default_factory=dict)
    expected: dict[str, Expected] = field(default_factory=dict)
    frozen: dict[tuple[str, int], Frozen] = field(default_factory=dict)

    def write(self, key: str, put: Transition) -> None:
        """Write the puts of one transition."""
        if put.header is not None:
            self.headers[key] = put.header
        if put.expected is not None:
            self.expected[key] = put.expected
        members = (*put.members, *(put.marked if self.first else put.settled))
        self.members.update({(key, member.visit): member for member in members})
        frozen = (replace(one, fresh=()) if self.first else one for one in put.frozen)
        self.frozen.update({(key, one.revision): one for one in frozen})
        for revision in put.released:
            del self.frozen[key, revision]
        for visit in put.forgotten:
            del self.members[key, visit]
        if put.forgets:
            self.expected.pop(key, None)

    def restore(self, policy_for: Callable[[str], Policy]) -> Partition:
        """Read it back, members before headers to show that the order does not matter."""
        partition = Partition(policy_for)
        for (key, _), member in self.members.items():
            partition.load_member(key, member)
        for (key, _), frozen in self.frozen.items():
            partition.load_frozen(key, frozen)
        for key, expected in self.expected.items():
            partition.load_expected(key, expected)
        for key, header in self.headers.items():
            partition.load_header(key, header)
        partition.load_clock(self.clock)
        partition.restored()
        return partition


@dataclass
class Run:
    """A partition under test, with all that it ever said."""

    policy: Policy = POLICY
    partition: Partition = field(init=False)
    changelog: Changelog = field(default_factory=Changelog)
    said: list[tuple[str, Transition]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.partition = Partition(lambda _: self.policy)

    def tick(self, time: int) -> None:
        """Read a record that only moves the clock."""
        for key, fired in self.partition.advance(time):
            self._say(key, fired)
        self.changelog.clock = self.partition.clock

    def at(self, time: int, event: Event, *more: Event, key: str = KEY) -> Transition:
        """Read records with one timestamp; return the last transition."""
        for one in (event, *more):
            self.tick(time)
            self._say(key, self.partition.feed(key, one))
        return self.said[-1][1]

    def read(self, records: Iterable[Record]) -> Run:
        """Read a log."""
        for time, key, event in records:
            if event is None:
                self.tick(time)
            else:
                self.at(time, event, key=key)
        return self

    def crash(self) -> None:
        """Lose the memory, read back what was written."""
        self.partition = self.changelog.restore(lambda _: self.policy)

    def _say(self, key: str, transition: Transition) -> None:
        self.changelog.write(key, transition)
        self.said.append((key, transition))

    @property
    def group(self) -> Group:
        """Return the group of the default key."""
        return self.partition.groups[KEY]

    @property
    def header(self) -> Header:
        """Return its header."""
        return self.group.header

    def history(self, key: str = KEY) -> list[Frozen]:
        """Return all revisions ever frozen of a group."""
        return [frozen for k, t in self.said if k == key for frozen in t.frozen]

    def last(self) -> Frozen:
        """Return the newest frozen revision of the default key."""
        return self.history()[-1]


def run(*timed: tuple[int, Event | None], policy: Policy = POLICY) -> Run:
    """Read the events, each with its timestamp, into one group."""
    return Run(policy).read((time, KEY, event) for time, event in timed)


def content(frozen: Frozen) -> Frozen:
    """Take its times from a revision."""
    return replace(frozen, since=0, at=0)


def standing(frozen: Frozen | None) -> dict[int, str]:
    """Return the digest of each member of a revision, by visit."""
    return {} if frozen is None else {m.visit: m.digest for m in frozen.members}


def eligible(group: Group) -> dict[int, str]:
    """Return what would be frozen now, counted plainly."""
    return {
        visit: member.digest
        for visit, member in group.members.items()
        if not member.withdrawn and (group.expected is None or visit in set(group.expected.visits))
    }


def counters(group: Group) -> dict[str, int]:
    """Return the header's counters, counted plainly."""
    now = eligible(group)
    expected = set() if group.expected is None else set(group.expected.visits)
    return {
        "heard": len(group.members),
        "accounted": len(expected & set(group.members)),
        "present": len(now),
        "changed": sum(now.get(v) != m.frozen for v, m in group.members.items()),
    }
