"""A group with the changes of one event laid over it, before they are applied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from msgspec import Struct

from core.groups.events import Event
from core.groups.policy import Policy
from core.groups.values import Expected, Frozen, Group, Header, Member, Outcome, Transition

__all__ = ["Draft", "digest_in", "digests_in", "names"]


class Draft(Struct, frozen=True, gc=False):
    """What `step` builds up: the group is only read, the rest is what shall be put over it."""

    group: Group
    policy: Policy
    event: Event
    header: Header
    expected: Expected | None
    outcome: Outcome
    members: tuple[Member, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    released: tuple[int, ...] = ()
    forgotten: tuple[int, ...] = ()
    marked: tuple[Member, ...] = ()
    settled: tuple[Member, ...] = ()

    @property
    def at(self) -> int:
        """Stream time of the event, ms."""
        return self.event.at

    def member(self, visit: int) -> Member | None:
        """Return the visit's member as the draft leaves it."""
        for fresh in self.members:
            if fresh.visit == visit:
                return fresh
        return self.group.members.get(visit)

    @property
    def named(self) -> int | None:
        """Reference that a revision frozen now would have by name: one that it holds."""
        visit = None if self.expected is None else self.expected.reference
        if visit is None or digest_in(self.member(visit), self.expected) is None:
            return None
        return visit

    @property
    def pending(self) -> bool:
        """Whether the newest frozen revision, if any, is not what would be frozen now."""
        return self.header.changed > 0 or self.renamed

    @property
    def renamed(self) -> bool:
        """Whether manifests name another reference than when the newest revision was frozen."""
        return self.header.frozen > 0 and self.named != self.header.named

    def all_members(self) -> Mapping[int, Member]:
        """Return all members as the draft leaves them; costs their number."""
        return {**self.group.members, **{m.visit: m for m in self.members}}

    def transition(self) -> Transition:
        """Return the puts."""
        group = self.group
        return Transition(
            outcome=self.outcome,
            late=group.header.frozen > 0 and self.outcome in _LATE,
            header=None if self.header is group.header else self.header,
            members=self.members,
            expected=None if self.expected is group.expected else self.expected,
            frozen=self.frozen,
            released=self.released,
            forgotten=self.forgotten,
            marked=self.marked,
            settled=self.settled,
        )


_LATE = frozenset({Outcome.ACCEPTED, Outcome.REPLACED, Outcome.WITHDRAWN})


def names(expected: Expected | None, visit: int) -> bool:
    """Tell whether a visit may be a member: without a set each one may."""
    if expected is None:
        return True
    place = bisect_left(expected.visits, visit)
    return place < len(expected.visits) and expected.visits[place] == visit


def digest_in(member: Member | None, expected: Expected | None) -> str | None:
    """Return the digest under which a revision frozen now would hold the member, if it would."""
    if member is None or member.withdrawn or not names(expected, member.visit):
        return None
    return member.digest


def digests_in(members: Mapping[int, Member], expected: Expected | None) -> dict[int, str | None]:
    """Return of all members what `digest_in` does, by visit."""
    named = members.keys() if expected is None else set(expected.visits)
    return {
        visit: None if member.withdrawn or visit not in named else member.digest
        for visit, member in members.items()
    }
