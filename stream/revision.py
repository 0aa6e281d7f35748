"""One revision of a group: what its messages are made of, and the messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec import Struct

import schemas
from core import groups
from stream.basis import Past
from stream.workshop import Announced, Fulfilled, Made, Tried

__all__ = ["Case", "Revision", "Row", "Told", "Unfolding", "case_of"]


class Row(Struct, frozen=True, gc=False):
    """All that a revision says of one visit.

    Attributes
    ----------
    sent : Sent
        What stands of it.
    fresh : bool
        Whether that is to be remembered anew.
    summary : MemberSummary
    told : Told or None
        Its messages; None if its model would say what the last one said.
    """

    sent: groups.Sent
    fresh: bool
    summary: schemas.MemberSummary
    told: Told | None


class Told(Struct, frozen=True, gc=False):
    """A model that is sent, and the metric that goes with it.

    Attributes
    ----------
    model : BackgroundModel
    value, measure : bytes
        What `schemas.encode_value` makes of the model and of the metric.
    """

    model: schemas.BackgroundModel
    value: bytes
    measure: bytes


@dataclass(frozen=True)
class Revision:
    """The messages of one revision.

    Attributes
    ----------
    rows : mapping of int to Row
        By visit, ascending; none if the revision is incomplete.
    summary : GroupMatched
    metric : BackgroundMetric
        Of the group.
    """

    rows: Mapping[int, Row]
    summary: schemas.GroupMatched
    metric: schemas.BackgroundMetric

    @property
    def told(self) -> tuple[Told, ...]:
        """Models that are sent, with their metrics, ascending in visit."""
        return tuple(row.told for row in self.rows.values() if row.told is not None)

    @cached_property
    def models(self) -> tuple[schemas.BackgroundModel, ...]:
        """Models that are sent, ascending in visit."""
        return tuple(one.model for one in self.told)

    @cached_property
    def metrics(self) -> tuple[schemas.BackgroundMetric, ...]:
        """One metric a model, then that of the group."""
        read = (schemas.decode_value(one.measure, schemas.BackgroundMetric) for one in self.told)
        return (*read, self.metric)

    @property
    def sent(self) -> tuple[tuple[int, groups.Sent], ...]:
        """What is to be remembered of the visits that were worked on."""
        return tuple((visit, row.sent) for visit, row in self.rows.items() if row.fresh)


class Unfolding:
    """A revision whose messages are made while the first of them are written.

    Parameters
    ----------
    case : Case
    rows : iterator of (int, Row)
        By visit, ascending.
    conclude : callable
        Makes the revision from all rows.

    Attributes
    ----------
    case : Case
    """

    def __init__(
        self,
        case: Case,
        rows: Iterator[tuple[int, Row]],
        conclude: Callable[[Mapping[int, Row]], Revision],
    ) -> None:
        self.case = case
        self._to_come = rows
        self._conclude = conclude
        self._rows: dict[int, Row] = {}

    def told(self) -> Iterator[Told]:
        """Yield models that are sent, with their metrics, ascending in visit; once."""
        for visit, row in self._to_come:
            self._rows[visit] = row
            if row.told is not None:
                yield row.told

    @cached_property
    def revision(self) -> Revision:
        """All of it."""
        self._rows.update(self._to_come)
        return self._conclude(self._rows)


@dataclass(frozen=True, slots=True)
class Case:
    """What all messages of one revision have in common.

    Attributes
    ----------
    group : GroupId
    frozen : Frozen
    done : Fulfilled
    past : Past
    arrivals : mapping of int to WarpArrived
        By visit.
    members : mapping of int to FrozenMember
        By visit.
    made : mapping of int to Made
        By visit, what is written up for this very revision.
    common : mapping of str to object
        Fields of each message.
    """

    group: schemas.GroupId
    frozen: groups.Frozen
    done: Fulfilled
    past: Past
    arrivals: Mapping[int, schemas.WarpArrived]
    members: Mapping[int, groups.FrozenMember]
    made: Mapping[int, Made]
    common: Mapping[str, Any]

    def member(self, visit: int | None) -> groups.FrozenMember | None:
        """Return a member by its visit; None for a visit that is none."""
        return None if visit is None else self.members.get(visit)

    def digest(self, visit: int | None) -> str | None:
        """Return the digest of a member's input; None for a visit that is no member."""
        member = self.member(visit)
        return None if member is None else member.digest


def case_of(
    group: schemas.GroupId, frozen: groups.Frozen, done: Fulfilled, past: Past | None = None
) -> Case:
    """Return what the messages of a revision have in common.

    Parameters
    ----------
    group : GroupId
    frozen : Frozen
    done : Fulfilled
        What was found out about it.
    past : Past, optional
        What was published before it; nothing, if not given.
    """
    return Case(
        group,
        frozen,
        done,
        past or Past(),
        arrivals=done.arrivals or Announced(group, frozen),
        members={member.visit: member for member in frozen.members},
        made=_made(frozen, done),
        common=group.fields | {"revision": frozen.revision, "kind": str(frozen.kind)},
    )


def _made(frozen: groups.Frozen, done: Fulfilled) -> dict[int, Made]:
    """Return what was made ahead, if it was made for this revision."""
    ours = (done.reference, frozen.revision, str(frozen.kind))
    return {
        visit: one.made
        for visit, one in done.matched.items()
        if isinstance(one, Tried) and one.made is not None and one.made.about == ours
    }
