"""What can be computed of a group before a revision is frozen: a plan, made anew as results come.

It never decides what a revision holds, when it is frozen, or its reference: `next_work` does, and
what was found ahead is only there already if it asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.config import MatchConfig
from core.groups.changed import replace
from core.groups.draft import digest_in
from core.groups.policy import Policy
from core.groups.values import Frozen, FrozenMember, Group, Kind, Trigger
from core.groups.work import (
    Failed,
    MatchedTo,
    MatchThese,
    Pinned,
    RefuseThese,
    Statistics,
    next_work,
    pinned,
)

__all__ = ["AheadWork", "has_ahead", "if_frozen", "next_ahead"]

_ENOUGH = 3
"""Measured members among which the best is worth being matched against, whatever the quorum."""


@dataclass(frozen=True, slots=True)
class AheadWork:
    """What is worth being computed now.

    Attributes
    ----------
    measure : tuple of int
        Visits to be measured, ascending.
    reference : int or None
        What a revision would be matched against, so far.
    match : tuple of int
        Visits to be matched against it, ascending.
    """

    measure: tuple[int, ...] = ()
    reference: int | None = None
    match: tuple[int, ...] = ()


def has_ahead(group: Group) -> bool:
    """Tell whether anything may be computed ahead: changes are gathered, and nothing is due.

    While a revision is due its own plan says what is needed; a sealed group gathers nothing.
    """
    header = group.header
    waits = header.opened_at is not None or header.first_change is not None
    return waits and header.live and not group.frozen


def if_frozen(group: Group, visits: Iterable[int] | None = None) -> Frozen:
    """Return the revision that a freeze at this moment would make, as far as work hangs on it.

    Visits outside a known set are none of its members, and so are not even measured ahead: a
    manifest is the exact set, so decoding them would be for nothing, and should a later one name
    them, that is when they are measured, ahead still.

    Parameters
    ----------
    group : Group
    visits : iterable of int, optional
        Only these of its members, where not all are of interest.
    """
    expected = group.expected
    known = sorted(group.members if visits is None else visits)
    members = tuple(
        FrozenMember(member.visit, member.digest, member.payload)
        for member in map(group.members.get, known)
        if member is not None and digest_in(member, expected) is not None
    )
    named = None if expected is None else expected.reference
    return Frozen(
        revision=group.header.frozen + 1,
        kind=Kind.UPDATE if group.header.frozen else Kind.INITIAL,
        trigger=Trigger.UPDATE if group.header.frozen else Trigger.QUIET,
        members=members,
        withdrawn=(),
        missing=(),
        expected=None,
        completeness=1.0,
        incomplete=False,
        reference=named if any(member.visit == named for member in members) else None,
        since=0,
        at=0,
    )


def next_ahead(
    group: Group,
    measured: Mapping[int, Statistics | Failed],
    matched: Mapping[int, MatchedTo],
    config: MatchConfig,
    policy: Policy,
) -> AheadWork:
    """Plan what can be computed of a group that waits to be complete.

    The reference is chosen as `next_work` would among the members that are measured by now, once
    the quorum, or three, are. A reference that is named or pinned is waited for until it has
    arrived and is measured. Suspects are left to the revision that needs them, which runs them
    alone.

    Parameters
    ----------
    group : Group
    measured : mapping of int to Statistics or Failed
        By visit, of the members as they are. What failed ahead stands here for as long as it is
        not to be tried again.
    matched : mapping of int to MatchedTo
        By visit, of the members as they are, failed matches too.
    config : core.MatchConfig
        Weights of the reference choice.
    policy : Policy
        Its quorum, and how firmly a published reference is pinned.

    Returns
    -------
    AheadWork
        Nothing while a revision is due, and of a group whose history has ended.
    """
    if not has_ahead(group):
        return AheadWork()
    frozen = if_frozen(group)
    suspects = {v for v, member in group.members.items() if member.suspicion is not None}
    visits = [member.visit for member in frozen.members]
    missing = tuple(v for v in visits if v not in measured and v not in suspects)
    pin = pinned(group, policy)
    if not _has_reference(group, frozen, measured, policy, pin):
        return AheadWork(missing)
    reference, match = _matches(frozen, measured, matched, config, pin)
    if reference is None or reference in suspects:
        return AheadWork(missing)
    return AheadWork(missing, reference, tuple(v for v in match if v not in suspects))


def _has_reference(
    group: Group,
    frozen: Frozen,
    measured: Mapping[int, Statistics | Failed],
    policy: Policy,
    pin: Pinned | None,
) -> bool:
    """Tell whether it is known, or good enough a guess, what a revision is matched against."""
    known = {m.visit: measured[m.visit] for m in frozen.members if m.visit in measured}
    named = None if group.expected is None else group.expected.reference
    if named is not None and _comes(group, named):
        if named not in known:
            return False
        if not isinstance(known[named], Failed):
            return True
    if pin is not None and (pin.visit, pin.digest) in _inputs(frozen):
        return pin.visit in known
    good = sum(not isinstance(one, Failed) for one in known.values())
    return good >= min(policy.quorum, _ENOUGH)


def _inputs(frozen: Frozen) -> set[tuple[int, str]]:
    return {(member.visit, member.digest) for member in frozen.members}


def _comes(group: Group, named: int) -> bool:
    """Tell whether a named reference is there, or is still to come."""
    expected, member = group.expected, group.members.get(named)
    if expected is None or named not in expected.visits:
        return False
    return member is None or not member.withdrawn


def _matches(
    frozen: Frozen,
    measured: Mapping[int, Statistics | Failed],
    matched: Mapping[int, MatchedTo],
    config: MatchConfig,
    pin: Pinned | None,
) -> tuple[int | None, tuple[int, ...]]:
    """Return the reference among those that are measured, and what is to be matched against it."""
    known = replace(frozen, members=tuple(m for m in frozen.members if m.visit in measured))
    work = next_work(known, measured, matched, config, pin)
    if isinstance(work, RefuseThese):
        elsewhere = {visit: Failed("it lies elsewhere") for visit in work.boxes}
        work = next_work(known, {**measured, **elsewhere}, matched, config, pin)
    match work:
        case MatchThese():
            return work.reference, work.visits
        case _:
            return getattr(work, "reference", None), ()
