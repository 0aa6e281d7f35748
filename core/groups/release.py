"""What the end of a revision leaves behind: its reference, and what was sent of each visit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.groups.changed import replace
from core.groups.draft import Draft
from core.groups.events import Published
from core.groups.values import Frozen, Member, member_of

__all__ = ["release"]


def release(draft: Draft) -> Draft:
    """Take a published revision out of the line; costs what was new in it, no more.

    A withdrawn visit keeps what was sent of it, so that its return can be told from what a reader
    holds.
    """
    event = draft.event
    if not isinstance(event, Published):
        return draft
    frozen = draft.group.frozen.get(event.revision)
    header = replace(
        draft.header,
        published=event.revision,
        reference=event.reference,
        reference_digest=_digest(frozen, event.reference),
    )
    members = (*draft.members, *_told(draft, event))
    settled = tuple(_settled(draft, frozen, members))
    released = (event.revision,)
    return replace(draft, header=header, members=members, released=released, settled=settled)


def _digest(frozen: Frozen | None, visit: int | None) -> str | None:
    if frozen is None or visit is None:
        return None
    member = member_of(frozen.members, visit)
    return None if member is None else member.digest


def _told(draft: Draft, event: Published) -> Iterator[Member]:
    for visit, sent in event.sent:
        member = draft.group.members.get(visit)
        if member is not None and member.sent != sent:
            yield replace(member, sent=sent)


def _settled(draft: Draft, frozen: Frozen | None, put: Sequence[Member]) -> Iterator[Member]:
    """Yield the members that the revision has told the standing of, but for those that are put."""
    visits = {member.visit for member in put}
    for visit in () if frozen is None else frozen.fresh:
        member = draft.group.members.get(visit)
        if member is not None and visit not in visits:
            yield member
