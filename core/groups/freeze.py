"""Fixing a revision's members: the one place besides a manifest that looks at all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.groups.changed import replace
from core.groups.draft import Draft, digests_in
from core.groups.values import Expected, Frozen, FrozenMember, Group, Header, Kind, Member, Trigger

__all__ = ["freeze", "holds_change", "mark"]


def holds_change(draft: Draft) -> bool:
    """Tell whether a freeze would hold anything: else it makes no revision.

    A first revision without members is worth publishing only if it names visits as missing.
    """
    header, expected = draft.header, draft.expected
    if header.frozen == 0:
        awaited = 0 if expected is None else len(expected.visits) - header.accounted
        return header.present > 0 or awaited > 0
    return draft.pending


def freeze(draft: Draft, trigger: Trigger) -> Draft:
    """Freeze the members as they are into the next revision.

    Each member whose standing in the revision is new is marked with it, so that later changes are
    counted against what was frozen.
    """
    members = draft.all_members()
    standing = digests_in(members, draft.expected)
    frozen = _revision(draft, trigger, members, standing)
    fresh = {visit: replace(members[visit], frozen=standing[visit]) for visit in frozen.fresh}
    ours = tuple(fresh.pop(member.visit, member) for member in draft.members)
    header = replace(
        draft.header,
        opened_at=None,
        first_change=None,
        last_change=None,
        changed=0,
        frozen=frozen.revision,
        size=len(frozen.members),
        named=frozen.reference,
        settled_at=draft.at,
    )
    return replace(
        draft, header=header, members=ours, frozen=(frozen,), marked=tuple(fresh.values())
    )


def mark(group: Group) -> None:
    """Mark the members of a group that was read back with their standing, as `freeze` did."""
    for revision in sorted(group.frozen):
        frozen = group.frozen[revision]
        held = {member.visit: member.digest for member in frozen.members} if frozen.fresh else {}
        for visit in frozen.fresh:
            member = group.members.get(visit)
            if member is not None:
                group.members[visit] = replace(member, frozen=held.get(visit))


def _revision(
    draft: Draft,
    trigger: Trigger,
    members: Mapping[int, Member],
    standing: Mapping[int, str | None],
) -> Frozen:
    expected, header = draft.expected, draft.header
    held = sorted(visit for visit, digest in standing.items() if digest is not None)
    kind = _kind(header, held)
    return Frozen(
        revision=header.frozen + 1,
        kind=kind,
        trigger=trigger,
        members=tuple(_as_frozen(members[visit]) for visit in held),
        withdrawn=_gone(members, standing),
        missing=_missing(expected, members),
        expected=header.count if expected is None else len(expected.visits),
        completeness=_completeness(header, expected),
        incomplete=kind is not Kind.RETRACTION and len(held) < draft.policy.min_members,
        reference=draft.named,
        since=_since(draft),
        at=draft.at,
        fresh=tuple(sorted(v for v, digest in standing.items() if members[v].frozen != digest)),
    )


def _as_frozen(member: Member) -> FrozenMember:
    return FrozenMember(member.visit, member.digest, member.payload)


def _kind(header: Header, held: Sequence[int]) -> Kind:
    if header.frozen == 0:
        return Kind.INITIAL
    return Kind.UPDATE if held else Kind.RETRACTION


def _gone(members: Mapping[int, Member], standing: Mapping[int, str | None]) -> tuple[int, ...]:
    gone = (visit for visit, digest in standing.items() if digest is None)
    return tuple(sorted(visit for visit in gone if members[visit].frozen is not None))


def _missing(expected: Expected | None, members: Mapping[int, Member]) -> tuple[int, ...]:
    visits = () if expected is None else expected.visits
    return tuple(visit for visit in visits if visit not in members)


def _completeness(header: Header, expected: Expected | None) -> float:
    if expected is not None:
        return header.accounted / len(expected.visits) if expected.visits else 1.0
    return min(1.0, header.heard / header.count) if header.count else 1.0


def _since(draft: Draft) -> int:
    """Return when the wait for this revision began."""
    header = draft.header
    began = header.first_change if header.opened_at is None else header.opened_at
    return draft.at if began is None else began
