"""What the end of a revision leaves behind: its reference, and what was sent of each visit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace

from core.groups.draft import Draft
from core.groups.events import Published
from core.groups.values import Frozen, Member

__all__ = ["release"]


def release(draft: Draft) -> Draft:
    """Take a published revision out of the line; costs what was sent in it, no more.

    A withdrawn visit keeps what was sent of it, so that its return can be told from what a reader
    holds.
    """
    event = draft.event
    if not isinstance(event, Published):
        return draft
    header = replace(
        draft.header,
        published=event.revision,
        reference=event.reference,
        reference_digest=_digest(draft.group.frozen.get(event.revision), event.reference),
    )
    members = (*draft.members, *_told(draft, event))
    return replace(draft, header=header, members=members, released=(event.revision,))


def _digest(frozen: Frozen | None, visit: int | None) -> str | None:
    if frozen is None or visit is None:
        return None
    place = bisect_left(frozen.members, visit, key=lambda member: member.visit)
    found = frozen.members[place : place + 1]
    return next((member.digest for member in found if member.visit == visit), None)


def _told(draft: Draft, event: Published) -> Iterator[Member]:
    for visit, sent in event.sent:
        member = draft.group.members.get(visit)
        if member is not None and member.sent != sent:
            yield replace(member, sent=sent)
