"""What is to be computed next for a frozen revision: a plan, made anew after each result.

The same results in any order lead to the same reference and the same models, since nothing is
chosen before each member is measured or given up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from core.config import MatchConfig
from core.errors import NoReferenceError
from core.groups.policy import Policy
from core.groups.values import Box, Frozen, Group, Kind, Member
from core.reference import Candidate, reference_costs

__all__ = [
    "Failed",
    "MatchThese",
    "MatchedTo",
    "MeasureThese",
    "Pinned",
    "Ready",
    "RefuseThese",
    "Statistics",
    "Work",
    "given_up",
    "new_members",
    "next_work",
    "pinned",
    "superseded",
    "unmeasured",
]


class Statistics(Candidate, Protocol):
    """What is measured of a warp, as `core.groups.Measurement`."""

    @property
    def box(self) -> Box | None:
        """Where the warp lies, or None if nobody knows."""
        ...


class MatchedTo(Protocol):
    """A match that is over, well or not, and the reference that it was made against."""

    @property
    def reference(self) -> int:
        """Visit of the reference."""
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """A member whose pixels cannot be used: it is no candidate and is not matched."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """The reference of the published revision, which the next one keeps if it can.

    Attributes
    ----------
    visit : int
    digest : str
        Of the input that it had.
    margin : float
        `Policy.reference_margin`: it gives way to a cost that is lower by more than this.
    """

    visit: int
    digest: str
    margin: float


@dataclass(frozen=True, slots=True)
class MeasureThese:
    """Visits to be measured, ascending."""

    visits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RefuseThese:
    """Members to be given up as `Failed`, since they do not lie where their group does.

    Attributes
    ----------
    box : tuple of int
        The group's: x0, y0, width, height, pixels.
    boxes : mapping of int to tuple of int
        Theirs, by visit, ascending.
    """

    box: Box
    boxes: Mapping[int, Box]


@dataclass(frozen=True, slots=True)
class MatchThese:
    """Visits to be matched against the reference, ascending.

    Attributes
    ----------
    reference : int
    visits : tuple of int
    then : Ready
        What is planned once all of them are, well or not, if the reference itself can be read.
    """

    reference: int
    visits: tuple[int, ...]
    then: Ready


@dataclass(frozen=True, slots=True)
class Ready:
    """All is computed.

    Attributes
    ----------
    reference : int or None
        None in a retraction and where no member can be the reference.
    costs : mapping of int to float
        Cost of each member as the reference, NaN where it has none; empty if nothing was chosen.
    warnings : tuple of str
        What is odd about the costs, as in `core.ReferenceChoice`.
    """

    reference: int | None
    costs: Mapping[int, float]
    warnings: tuple[str, ...] = ()


Work = MeasureThese | RefuseThese | MatchThese | Ready


def next_work(
    frozen: Frozen,
    measured: Mapping[int, Statistics | Failed],
    matched: Mapping[int, MatchedTo],
    config: MatchConfig,
    pinned: Pinned | None = None,
) -> Work:
    """Plan what is missing for one frozen revision.

    A member that lies elsewhere than most, or has another shape, is refused, for nothing could be
    matched to it. The reference is the one that a manifest names, if it can be read. Else the
    pinned one, if the revision holds it as it was, it can be read, and no other's cost is lower by
    more than its margin. Else the one of least cost, of equal costs the smallest visit.

    Parameters
    ----------
    frozen : Frozen
        The revision; an incomplete one and a retraction need no work.
    measured : mapping of int to Statistics or Failed
        By visit, of the members as frozen. A reference whose pixels turn out unreadable in a
        match becomes `Failed` here, and another is chosen.
    matched : mapping of int to MatchedTo
        By visit, failed matches too: a member that fails in a match stays a candidate in the
        costs, or the choice would hang on which job was first. A match against another than the
        chosen reference does not count.
    config : core.MatchConfig
        Weights of the reference choice.
    pinned : Pinned, optional
        What `pinned` gives once the revision before is published.

    Returns
    -------
    MeasureThese, RefuseThese, MatchThese or Ready
        Members are measured before any is refused, and refused before anything is matched.
    """
    visits = tuple(member.visit for member in frozen.members)
    if _needs_nothing(frozen):
        return Ready(visits[0] if len(visits) == 1 else None, {})
    if missing := unmeasured(frozen, measured):
        return MeasureThese(missing)
    refused = _elsewhere(frozen, measured, pinned)
    if refused is not None:
        return refused
    choice = _costs(measured, visits, config)
    reference = _choose(frozen, measured, choice, pinned)
    choice = replace(choice, reference=reference)
    against = {visit for visit, one in matched.items() if one.reference == reference}
    missing = tuple(
        v
        for v in visits
        if v not in against and v != reference and not isinstance(measured[v], Failed)
    )
    return MatchThese(reference, missing, choice) if missing and reference is not None else choice


def unmeasured(frozen: Frozen, measured: Collection[int]) -> tuple[int, ...]:
    """Return the frozen members that are not measured, ascending."""
    return tuple(member.visit for member in frozen.members if member.visit not in measured)


def superseded(group: Group, frozen: Frozen) -> tuple[int, ...]:
    """Return the frozen members that were withdrawn or replaced since, ascending.

    Their unfinished jobs need not be waited for: what they would read may be gone.
    """
    if group.header.frozen == frozen.revision and not group.header.changed:
        return ()  # nothing has happened to its members since
    now = group.members
    return tuple(
        old.visit
        for old in frozen.members
        if (new := now.get(old.visit)) is None or new.withdrawn or new.digest != old.digest
    )


def new_members(group: Group, frozen: Frozen, matched: Collection[int]) -> int:
    """Count the members of a revision that have to be measured or matched, if its reference stays.

    Parameters
    ----------
    group : Group
    frozen : Frozen
        One of its revisions; an incomplete one and a retraction need no work.
    matched : collection of int
        Visits that were matched before it was due.
    """
    if _needs_nothing(frozen):
        return 0
    members = group.members
    done = [
        visit
        for visit in [one.visit for one in frozen.members]
        if (one := members.get(visit)) is not None
        and one.measurement is not None
        and (one.sent is not None or visit in matched)
    ]
    return len(frozen.members) - len(done)


def pinned(group: Group, policy: Policy) -> Pinned | None:
    """Return the reference that the next revision keeps, unless something speaks against it."""
    visit, digest = group.header.reference, group.header.reference_digest
    if visit is None or digest is None or policy.reference_margin == 0:
        return None
    return Pinned(visit, digest, policy.reference_margin)


def given_up(member: Member, policy: Policy) -> bool:
    """Tell whether jobs on this version of a warp killed so many processes that none is tried."""
    return member.suspicion is not None and member.suspicion.deaths >= policy.max_attempts


def _needs_nothing(frozen: Frozen) -> bool:
    return frozen.incomplete or frozen.kind is Kind.RETRACTION


def _elsewhere(
    frozen: Frozen, measured: Mapping[int, Statistics | Failed], pinned: Pinned | None
) -> RefuseThese | None:
    """Find the members that do not lie in the group's box; one without a box is not judged."""
    known = ((member.visit, measured[member.visit]) for member in frozen.members)
    good = [(visit, one.box) for visit, one in known if not isinstance(one, Failed)]
    boxes = {visit: box for visit, box in good if box is not None}
    if len(set(boxes.values())) <= 1:
        return None
    held = pinned.visit if pinned is not None and _holds(frozen, pinned) else None
    ours = _box_of_group(boxes, (frozen.reference, held))
    return RefuseThese(ours, {visit: box for visit, box in boxes.items() if box != ours})


def _box_of_group(boxes: Mapping[int, Box], preferred: tuple[int | None, ...]) -> Box:
    """Return the box of most members.

    One warp must never fail its neighbours, so not even a reference that is named or pinned
    outvotes them: where upstream changes the geometry warp by warp, the group follows once most
    have changed. Among boxes with equally many the order is that in which a reference is chosen:
    named, pinned (what is published stays), smallest visit. All of it follows from the members,
    so no order of jobs or arrivals shows.
    """
    votes = Counter(boxes.values())
    most = max(votes.values())
    order = (*(visit for visit in preferred if visit is not None), *sorted(boxes))
    return next(boxes[v] for v in order if v in boxes and votes[boxes[v]] == most)


def _readable(visit: int, measured: Mapping[int, Statistics | Failed]) -> bool:
    return not isinstance(measured[visit], Failed)


def _costs(
    measured: Mapping[int, Statistics | Failed], visits: tuple[int, ...], config: MatchConfig
) -> Ready:
    """Return the costs of all members, and as the reference the first of the least cost."""
    try:
        known = (measured[visit] for visit in visits)
        choice = reference_costs([None if isinstance(m, Failed) else m for m in known], config)
    except NoReferenceError as error:
        return Ready(None, dict.fromkeys(visits, math.nan), (str(error),))
    costs = dict(zip(visits, choice.costs, strict=True))
    return Ready(visits[choice.index], costs, choice.warnings)


def _choose(
    frozen: Frozen,
    measured: Mapping[int, Statistics | Failed],
    best: Ready,
    pinned: Pinned | None,
) -> int | None:
    """Choose what the manifest names, else what is pinned, else what is best."""
    named = frozen.reference
    if named is not None and _readable(named, measured):
        return named
    if pinned is None or not _holds(frozen, pinned) or not _readable(pinned.visit, measured):
        return best.reference
    return best.reference if _is_beaten(pinned, best) else pinned.visit


def _holds(frozen: Frozen, pinned: Pinned) -> bool:
    """Tell whether the revision has the pinned reference, as it was."""
    return any((m.visit, m.digest) == (pinned.visit, pinned.digest) for m in frozen.members)


def _is_beaten(pinned: Pinned, best: Ready) -> bool:
    if best.reference is None:
        return False
    cost = best.costs[pinned.visit]
    bar = math.inf if math.isnan(cost) else cost  # without a cost it is no reference to hold on to
    return best.costs[best.reference] < bar - pinned.margin
