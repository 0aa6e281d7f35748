"""What each event says of members, sets, closings and publishing: the same in every phase.

Each function keeps the header's counters true at a cost that does not grow with the group; only a
manifest looks at all members.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.groups.changed import replace
from core.groups.draft import Draft, digest_in, names
from core.groups.events import (
    Arrived,
    Closed,
    ManifestSet,
    Measured,
    Published,
    Reopened,
    Sealed,
    Suspected,
    TimerFired,
    Withdrawn,
)
from core.groups.rules import is_over
from core.groups.values import Expected, Header, Member, Outcome, Suspicion

__all__ = ["take"]


def take(draft: Draft) -> Draft:
    """Lay over the draft what its event says, before any rule is looked at."""
    if not draft.header.live and isinstance(draft.event, _REFUSABLE):
        return replace(draft, outcome=Outcome.REFUSED)
    match draft.event:
        case Arrived() as event:
            taken = _take_arrived(draft, event)
        case Withdrawn() as event:
            taken = _take_member(draft, _member(event), Outcome.WITHDRAWN)
        case ManifestSet() as event:
            taken = _take_manifest(draft, event)
        case Closed() as event:
            taken = _take_closed(draft, event)
        case Sealed() | Reopened() as event:
            taken = _take_seal(draft, event)
        case Suspected() | TimerFired() | Measured() | Published() as event:
            taken = _take_job(draft, event)
    return taken


def _take_job(draft: Draft, event: Suspected | TimerFired | Measured | Published) -> Draft:
    """Take in what speaks of work, or of nothing but time."""
    match event:
        case Suspected():
            return _take_suspected(draft, event)
        case Measured():
            return _take_measured(draft, event)
        case Published():
            return _take_published(draft, event)
        case TimerFired():
            return draft


_REFUSABLE = (Arrived, Withdrawn, ManifestSet, Closed)


def _take_arrived(draft: Draft, event: Arrived) -> Draft:
    count = _larger(draft.header.count, event.expected)
    if count != draft.header.count:
        draft = replace(draft, header=replace(draft.header, count=count))
    known = event.visit in draft.group.members
    outcome = Outcome.REPLACED if known else Outcome.ACCEPTED
    return _take_member(draft, _member(event), outcome)


def _take_member(draft: Draft, new: Member, outcome: Outcome) -> Draft:
    """Let the highest rank stand, so that redelivery in whatever order changes nothing."""
    old = draft.group.members.get(new.visit)
    if old is not None:
        if new.rank <= old.rank:
            lower = Outcome.DUPLICATE if new.rank == old.rank else Outcome.SUPERSEDED
            return replace(draft, outcome=lower)
        new = _inherit(new, old)
    draft = replace(draft, outcome=outcome, members=(new,))
    return replace(draft, header=_counted(draft, old, new))


def _inherit(new: Member, old: Member) -> Member:
    new = replace(new, frozen=old.frozen, sent=old.sent)
    if new.digest != old.digest:
        return new
    return replace(new, measurement=old.measurement, suspicion=old.suspicion)


def _counted(draft: Draft, old: Member | None, new: Member) -> Header:
    header, expected = draft.header, draft.expected
    before, after = digest_in(old, expected), digest_in(new, expected)
    changed = header.changed + (after != new.frozen) - (before != new.frozen)
    first, last = header.first_change, header.last_change
    if before != after:
        first, last = _span(draft, pending=changed > 0 or draft.renamed)
    return replace(
        header,
        last_arrival=header.last_arrival if new.withdrawn else draft.at,
        heard=header.heard + (old is None),
        accounted=header.accounted + (old is None and _is_named(expected, new.visit)),
        present=header.present + (after is not None) - (before is not None),
        changed=changed,
        first_change=first,
        last_change=last,
    )


def _is_named(expected: Expected | None, visit: int) -> bool:
    return expected is not None and names(expected, visit)


def _span(draft: Draft, *, pending: bool) -> tuple[int | None, int | None]:
    """Return when changes began and when they last went on; a change taken back is none."""
    if not pending:
        return None, None
    first = draft.header.first_change
    return draft.at if first is None else first, draft.at


def _take_manifest(draft: Draft, event: ManifestSet) -> Draft:
    """Look at all members: a set can let some in and put others out."""
    new = Expected(
        event.version,
        tuple(sorted(set(event.visits))),
        event.reference,
        event.deadline_ms,
        event.at,
    )
    old = draft.expected
    if old is not None and new.rank <= old.rank:
        lower = Outcome.DUPLICATE if new.rank == old.rank else Outcome.SUPERSEDED
        return replace(draft, outcome=lower)
    was = draft.named
    draft = replace(draft, outcome=Outcome.MANIFEST, expected=new)
    return replace(draft, header=_recounted(draft, old, was))


def _recounted(draft: Draft, old: Expected | None, was_named: int | None) -> Header:
    members, new = draft.group.members, draft.expected
    held, before = (_held(members, expected) for expected in (new, old))
    counted = replace(
        draft.header,
        accounted=0 if new is None else sum(visit in members for visit in new.visits),
        present=len(held),
        changed=sum(held.get(v) != m.frozen for v, m in members.items()),
    )
    if held == before and draft.named == was_named:
        return counted
    first, last = _span(draft, pending=counted.changed > 0 or draft.renamed)
    return replace(counted, first_change=first, last_change=last)


def _held(members: Mapping[int, Member], expected: Expected | None) -> dict[int, str]:
    """Return the digest of each member that a revision would hold under a set."""
    digests = ((visit, digest_in(member, expected)) for visit, member in members.items())
    return {visit: digest for visit, digest in digests if digest is not None}


def _take_closed(draft: Draft, event: Closed) -> Draft:
    header = draft.header
    if header.closed is not None and event.version <= header.closed:
        lower = Outcome.DUPLICATE if event.version == header.closed else Outcome.SUPERSEDED
        return replace(draft, outcome=lower)
    return replace(draft, outcome=Outcome.CLOSED, header=replace(header, closed=event.version))


def _take_seal(draft: Draft, event: Sealed | Reopened) -> Draft:
    """Let the highest version stand, and of one version the reopening, in whatever order."""
    header, reopens = draft.header, isinstance(event, Reopened)
    known = None if header.sealing is None else (header.sealing, header.reopened)
    told = (event.version, reopens)
    if known is not None and told <= known:
        lower = Outcome.DUPLICATE if told == known else Outcome.SUPERSEDED
        return replace(draft, outcome=lower)
    if reopens and is_over(header, draft.policy, draft.at):
        return replace(draft, outcome=Outcome.REFUSED)
    outcome = Outcome.REOPENED if reopens else Outcome.SEALED
    header = replace(header, sealing=event.version, reopened=reopens)
    return replace(draft, outcome=outcome, header=header)


def _take_suspected(draft: Draft, event: Suspected) -> Draft:
    """Count the deaths of one job; another job of the visit begins at none."""
    member = draft.group.members.get(event.visit)
    if member is None or member.withdrawn:
        return replace(draft, outcome=Outcome.SUPERSEDED)
    known = member.suspicion
    if known is not None and event.event_time <= known.last:
        return replace(draft, outcome=Outcome.DUPLICATE)
    before = known.deaths if known is not None and known.job == event.job else 0
    suspicion = Suspicion(event.job, before + event.alone, event.event_time)
    suspected = replace(member, suspicion=suspicion)
    return replace(draft, outcome=Outcome.SUSPECTED, members=(suspected,))


def _take_measured(draft: Draft, event: Measured) -> Draft:
    member = draft.group.members.get(event.visit)
    if member is None or member.withdrawn or member.digest != event.digest:
        return replace(draft, outcome=Outcome.SUPERSEDED)
    if member.measurement == event.measurement:
        return replace(draft, outcome=Outcome.DUPLICATE)
    measured = replace(member, measurement=event.measurement)
    return replace(draft, outcome=Outcome.MEASURED, members=(measured,))


def _take_published(draft: Draft, event: Published) -> Draft:
    """Revisions are published in order; anything else has been published or does not exist."""
    header = draft.header
    if event.revision != header.published + 1 or event.revision > header.frozen:
        lower = Outcome.DUPLICATE if event.revision <= header.published else Outcome.SUPERSEDED
        return replace(draft, outcome=lower)
    return replace(draft, outcome=Outcome.PUBLISHED)


def _member(event: Arrived | Withdrawn) -> Member:
    return Member(
        visit=event.visit,
        version=event.version,
        event_time=event.event_time,
        digest=event.digest,
        withdrawn=isinstance(event, Withdrawn),
        payload=event.payload,
        measurement=None,
        at=event.at,
    )


def _larger(known: int | None, told: int | None) -> int | None:
    """Let the largest count stand, in whatever order: a group is never cut short."""
    if known is None or told is None:
        return told if known is None else known
    return max(known, told)
