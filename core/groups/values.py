"""The values a group is made of: all frozen and plain, so that any codec can write them.

They are Structs, which are made and changed in C: each event makes some ten of them, and a state
holds millions. None can stand in a cycle, so Python's collector need not know of them (`gc=False`):
it never looks through a state, and each takes 16 bytes less.

Times are integer milliseconds of stream time (the clock that only records move); `event_time` is
the sender's own time in integer microseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct, field

__all__ = [
    "Box",
    "Expected",
    "Frozen",
    "FrozenMember",
    "Group",
    "Header",
    "Kind",
    "Measurement",
    "Member",
    "Outcome",
    "Phase",
    "Seal",
    "Sent",
    "Suspicion",
    "Transition",
    "Trigger",
    "member_of",
]

Box = tuple[int, int, int, int]
"""Where a warp lies in its tract: x0, y0, width, height, pixels."""


class Phase(StrEnum):
    """Where a group stands.

    `OPEN`: it waits to be complete, for the first time or again. `DUE`: a frozen revision is not
    yet published. `PUBLISHED`: nothing is due.
    """

    OPEN = "open"
    DUE = "due"
    PUBLISHED = "published"


class Seal(StrEnum):
    """Whether a group's history has ended, a flag beside its phase.

    `LIVE`: it has not. `SEALED`: it has, and can be taken up again. `FORGOTTEN`: for good.
    """

    LIVE = "live"
    SEALED = "sealed"
    FORGOTTEN = "forgotten"


class Trigger(StrEnum):
    """The rule by which a revision was frozen; published under this name."""

    MANIFEST = "manifest"
    COUNT = "count"
    CLOSED = "closed"
    QUIET = "quiet"
    DEADLINE = "deadline"
    UPDATE = "update"
    SEALED = "sealed"


class Kind(StrEnum):
    """What a revision is to the one before it; a retraction has no member left."""

    INITIAL = "initial"
    UPDATE = "update"
    RETRACTION = "retraction"


class Outcome(StrEnum):
    """What an event did, for counters; whether it froze a revision stands in the transition."""

    ACCEPTED = "accepted"
    CLOSED = "closed"
    DUPLICATE = "duplicate"
    MANIFEST = "manifest"
    MEASURED = "measured"
    PUBLISHED = "published"
    REFUSED = "refused"
    """The group is sealed: nothing is changed, and the event goes to the dead letters."""
    REOPENED = "reopened"
    REPLACED = "replaced"
    SEALED = "sealed"
    SUPERSEDED = "superseded"
    SUSPECTED = "suspected"
    TICK = "tick"
    WITHDRAWN = "withdrawn"


class Measurement(Struct, frozen=True, gc=False):
    """Selection statistics of one warp: mean, variance and number of its unmasked pixels.

    `mean` and `variance` are in the warp's own flux unit after its scale; NaN where undefined.
    `box` is None in what format 1 of the state kept.
    """

    mean: float
    variance: float
    count: float
    box: Box | None = None


class Sent(Struct, frozen=True, gc=False):
    """What was last published of a visit, so that only what changed is sent again.

    Attributes
    ----------
    basis : str
        Digest of all that the model follows from: of the same basis comes the same model.
    model_id : str
        Name of the model message.
    status, verdict : str
        As in the model.
    reason : str or None
        As in the summary.
    """

    basis: str
    model_id: str
    status: str
    verdict: str
    reason: str | None = None


class Suspicion(Struct, frozen=True, gc=False):
    """What is known of a job in which a process died.

    Attributes
    ----------
    job : str
        Name of the job, a digest of what it computes.
    deaths : int
        Deaths reported in which nothing else ran beside it.
    last : int
        Time of the newest report, microseconds: an earlier one, or the same, was counted.
    """

    job: str
    deaths: int
    last: int


class Member(Struct, frozen=True, gc=False):
    """What is known of one visit, a tombstone if it is withdrawn.

    Attributes
    ----------
    visit : int
    version : int
        0 where upstream gives none.
    event_time : int
        The sender's time, microseconds.
    digest : str
        Digest of the input: two members with the same digest are the same warp.
    withdrawn : bool
    payload : bytes
        What the shell needs to read the warp; opaque here.
    measurement : Measurement or None
        Once the warp was measured.
    at : int
        Stream time at which this version was accepted, ms.
    frozen : str or None
        Digest under which the newest frozen revision holds the visit; None if it does not.
    sent : Sent or None
        What was last published of the visit, whatever its version was then.
    suspicion : Suspicion or None
        Of a job on this version that killed its process.
    """

    visit: int
    version: int
    event_time: int
    digest: str
    withdrawn: bool
    payload: bytes
    measurement: Measurement | None
    at: int
    frozen: str | None = None
    sent: Sent | None = None
    suspicion: Suspicion | None = None

    @property
    def rank(self) -> tuple[int, int, bool, str, bytes]:
        """Of several events of a visit the one that ranks highest stands, in whatever order."""
        return (self.version, self.event_time, self.withdrawn, self.digest, self.payload)


class Expected(Struct, frozen=True, gc=False):
    """The exact set of visits that a manifest names, ascending and without repetition.

    `reference` is a visit that must be the reference; `deadline_ms` counts from `at`, the stream
    time of the manifest.
    """

    version: int
    visits: tuple[int, ...]
    reference: int | None
    deadline_ms: int | None
    at: int

    @property
    def rank(self) -> tuple[int, tuple[int, ...], int, int]:
        """Of several manifests the one that ranks highest stands, in whatever order."""
        reference = -1 if self.reference is None else self.reference
        deadline = -1 if self.deadline_ms is None else self.deadline_ms
        return (self.version, self.visits, reference, deadline)


class Header(Struct, frozen=True, gc=False):
    """The small part of a group that each event rewrites, however many members there are.

    Attributes
    ----------
    opened_at : int or None
        First event since which the group waits to be complete, ms; None while it does not wait.
    last_arrival : int or None
        Newest accepted arrival, ms.
    first_change, last_change : int or None
        Of the changes that no revision holds yet, ms.
    heard : int
        Visits that have arrived or were withdrawn.
    accounted : int
        Those of them that the expected set names; 0 without a set.
    present : int
        Members that would be frozen now.
    changed : int
        Visits in which that differs from the newest frozen revision.
    count : int or None
        Expected number of visits, the largest that an arrival carried.
    closed : int or None
        Version of the newest closing.
    frozen, published : int
        Newest revisions; revisions between them wait in line.
    size : int
        Members of the newest frozen revision.
    named : int or None
        Its reference by name: the one that a manifest named and that it holds.
    reference : int or None
        Reference of the published revision: the next one's, unless something speaks against it.
    reference_digest : str or None
        Digest of the input that it had.
    sealing : int or None
        Highest version of the seals and reopenings so far.
    reopened : bool
        Whether a reopening of that version came; it ranks above a seal of the same version.
    sealed_at : int or None
        Since when the group is sealed, ms; None if it is not.
    settled_at : int or None
        The newest freeze or reopening, ms.
    forgotten : bool
        Members and expected set were dropped, `seal_retention_ms` after the seal.
    """

    opened_at: int | None = None
    last_arrival: int | None = None
    first_change: int | None = None
    last_change: int | None = None
    heard: int = 0
    accounted: int = 0
    present: int = 0
    changed: int = 0
    count: int | None = None
    closed: int | None = None
    frozen: int = 0
    published: int = 0
    size: int = 0
    named: int | None = None
    reference: int | None = None
    reference_digest: str | None = None
    sealing: int | None = None
    reopened: bool = False
    sealed_at: int | None = None
    settled_at: int | None = None
    forgotten: bool = False

    @property
    def phase(self) -> Phase:
        """The phase follows from what is frozen, published and waited for."""
        if self.frozen > self.published:
            return Phase.DUE
        if self.published == 0 or self.opened_at is not None:
            return Phase.OPEN
        return Phase.PUBLISHED

    @property
    def live(self) -> bool:
        """Whether the group's history goes on: it is neither sealed nor forgotten."""
        return self.sealed_at is None and not self.forgotten

    @property
    def seal(self) -> Seal:
        """Whether the group's history has ended."""
        if self.live:
            return Seal.LIVE
        return Seal.FORGOTTEN if self.forgotten else Seal.SEALED


class FrozenMember(Struct, frozen=True, gc=False):
    """A member as a revision holds it, whatever happens to the visit later."""

    visit: int
    digest: str
    payload: bytes


def member_of(members: Sequence[FrozenMember], visit: int) -> FrozenMember | None:
    """Return the member with a visit among members that ascend in it, None if there is none."""
    place = bisect_left(members, visit, key=lambda member: member.visit)
    found = members[place : place + 1]
    return found[0] if found and found[0].visit == visit else None


class Frozen(Struct, frozen=True, gc=False):
    """A revision's content, fixed by the log alone.

    Attributes
    ----------
    revision : int
        1, 2, ... without a gap; it supersedes the one before.
    kind : Kind
    trigger : Trigger
    members : tuple of FrozenMember
        Ascending in visit.
    withdrawn : tuple of int
        Visits of the revision before that are no members any more, ascending.
    missing : tuple of int
        Visits of the expected set that were never heard of, ascending.
    expected : int or None
        How many visits were expected, if that was known.
    completeness : float
        Part of the expected visits that have arrived or are withdrawn; 1 if none are known.
    incomplete : bool
        Fewer than `min_members` (and no retraction): there is nothing to be matched.
    reference : int or None
        A member that a manifest names as the reference.
    since : int
        First event that this revision waited for or holds, ms.
    at : int
        Stream time of the freeze, ms.
    fresh : tuple of int
        Visits whose standing is new with it, ascending: those it holds under another digest than
        the revision before, and those that it holds no more. Format 1 of the state has none of it,
        and keeps each standing with the member, at the freeze.
    """

    revision: int
    kind: Kind
    trigger: Trigger
    members: tuple[FrozenMember, ...]
    withdrawn: tuple[int, ...]
    missing: tuple[int, ...]
    expected: int | None
    completeness: float
    incomplete: bool
    reference: int | None
    since: int
    at: int
    fresh: tuple[int, ...] = ()


class Group(Struct, gc=False):
    """A group as it is held in memory: the fold of its transitions, changed by `apply` alone."""

    header: Header = field(default_factory=Header)
    members: dict[int, Member] = field(default_factory=dict)
    expected: Expected | None = None
    frozen: dict[int, Frozen] = field(default_factory=dict)


class Transition(Struct, frozen=True, gc=False):
    """What one event changes; its puts are the records of the changelog.

    Attributes
    ----------
    outcome : Outcome
    late : bool
        The event changed a member of a group that had a frozen revision.
    header : Header or None
        To put; None where it stays as it is.
    members : tuple of Member
        To put.
    expected : Expected or None
        To put; None where it stays as it is.
    frozen : tuple of Frozen
        To put.
    released : tuple of int
        Frozen revisions that are published now and are to be forgotten.
    forgotten : tuple of int
        Visits whose members are to be forgotten; the expected set is too if it `forgets`.
    marked : tuple of Member
        Members of which the freeze has changed the standing alone. That follows from the frozen
        revision while this is there, so only format 1 of the state puts them.
    settled : tuple of Member
        Members whose standing follows from no frozen revision any more, for the one that told it
        is published: to put, unless the format put them when it was frozen.
    """

    outcome: Outcome
    late: bool = False
    header: Header | None = None
    members: tuple[Member, ...] = ()
    expected: Expected | None = None
    frozen: tuple[Frozen, ...] = ()
    released: tuple[int, ...] = ()
    forgotten: tuple[int, ...] = ()
    marked: tuple[Member, ...] = ()
    settled: tuple[Member, ...] = ()

    @property
    def forgets(self) -> bool:
        """Whether the expected set is to be forgotten, and all members; those are `forgotten`."""
        return self.header is not None and self.header.forgotten
