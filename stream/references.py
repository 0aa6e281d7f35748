"""Why a revision has another reference than the one before."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from core import groups
from stream.basis import Past

__all__ = ["ReferenceCause", "cause_of_change"]


class ReferenceCause(StrEnum):
    """Why the reference changed; the closed set of a metric's label."""

    COST = "cost"
    """Another is better by the margin, or is chosen anew at each revision."""
    MANIFEST = "manifest"
    """A manifest names another."""
    NONE_BEFORE = "none_before"
    """The revision before had none."""
    REPLACED = "replaced"
    """Its visit has another warp now."""
    UNREADABLE = "unreadable"
    """Its pixels cannot be had any more, or lie elsewhere than those of most others."""
    WITHDRAWN = "withdrawn"
    """It is no member any more."""


def cause_of_change(
    frozen: groups.Frozen, past: Past, now: int | None, measured: Mapping[int, object]
) -> ReferenceCause | None:
    """Tell why a revision's reference is not that of the one before, or not its very warp.

    Parameters
    ----------
    frozen : Frozen
    past : Past
        What it built on.
    now : int or None
        Its reference.
    measured : mapping of int to Measurement or Failed
        What was found out of its members.

    Returns
    -------
    ReferenceCause or None
        None where it stayed, and for a first revision.
    """
    before = past.reference
    digests = {member.visit: member.digest for member in frozen.members}
    replaced = before in digests and past.reference_digest not in {None, digests[before]}
    if frozen.revision == 1 or (before == now and not replaced):
        return None
    if before is None:
        return ReferenceCause.NONE_BEFORE
    if before not in digests:
        return ReferenceCause.WITHDRAWN
    if replaced:
        return ReferenceCause.REPLACED
    if isinstance(measured.get(before), groups.Failed):
        return ReferenceCause.UNREADABLE
    return ReferenceCause.MANIFEST if now == frozen.reference else ReferenceCause.COST
