"""What is to be computed next for a frozen revision: a plan, made anew after each result.

The same results in any order lead to the same reference and the same models, since nothing is
chosen before each member is measured or given up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.config import MatchConfig
from core.errors import NoReferenceError
from core.groups.values import Frozen, Group, Kind
from core.reference import SelectionStatistics, reference_costs

__all__ = [
    "Failed",
    "MatchThese",
    "MatchedTo",
    "MeasureThese",
    "Ready",
    "Statistics",
    "Work",
    "next_work",
    "superseded",
]


class Statistics(Protocol):
    """Mean, variance and number of a warp's unmasked pixels, as `core.groups.Measurement`."""

    @property
    def mean(self) -> float:
        """Mean, in the warp's flux unit."""
        ...

    @property
    def variance(self) -> float:
        """Variance about the mean, flux unit squared."""
        ...

    @property
    def count(self) -> float:
        """Number of pixels."""
        ...


class MatchedTo(Protocol):
    """A match that is over, well or not, and the reference that it was made against."""

    @property
    def reference(self) -> int:
        """Visit of the reference."""
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """A member whose pixels cannot be had: it is no candidate and is not matched."""

    reason: str


@dataclass(frozen=True, slots=True)
class MeasureThese:
    """Visits to be measured, ascending."""

    visits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MatchThese:
    """Visits to be matched against the reference, ascending."""

    reference: int
    visits: tuple[int, ...]


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


Work = MeasureThese | MatchThese | Ready


def next_work(
    frozen: Frozen,
    measured: Mapping[int, Statistics | Failed],
    matched: Mapping[int, MatchedTo],
    config: MatchConfig,
) -> Work:
    """Plan what is missing for one frozen revision.

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

    Returns
    -------
    MeasureThese, MatchThese or Ready
        Members are measured before anything is matched.
    """
    visits = tuple(member.visit for member in frozen.members)
    if frozen.incomplete or frozen.kind is Kind.RETRACTION:
        return Ready(visits[0] if len(visits) == 1 else None, {})
    unmeasured = tuple(visit for visit in visits if visit not in measured)
    if unmeasured:
        return MeasureThese(unmeasured)
    choice = _choose(frozen.reference, {v: measured[v] for v in visits}, config)
    reference = choice.reference
    usable = (v for v in visits if v != reference and not isinstance(measured[v], Failed))
    missing = tuple(v for v in usable if v not in matched or matched[v].reference != reference)
    return MatchThese(reference, missing) if missing and reference is not None else choice


def superseded(group: Group, frozen: Frozen) -> tuple[int, ...]:
    """Return the frozen members that were withdrawn or replaced since, ascending.

    Their unfinished jobs need not be waited for: what they would read may be gone.
    """
    now = group.members
    return tuple(
        old.visit
        for old in frozen.members
        if (new := now.get(old.visit)) is None or new.withdrawn or new.digest != old.digest
    )


def _choose(
    named: int | None, measured: Mapping[int, Statistics | Failed], config: MatchConfig
) -> Ready:
    """Choose what the manifest names if it can be read, else the first of the least cost."""
    if named is not None and isinstance(measured[named], Failed):
        named = None
    visits = tuple(measured)
    try:
        choice = reference_costs([_statistics(one) for one in measured.values()], config)
    except NoReferenceError as error:
        return Ready(named, dict.fromkeys(visits, math.nan), (str(error),))
    best = visits[choice.index] if named is None else named
    return Ready(best, dict(zip(visits, choice.costs, strict=True)), choice.warnings)


def _statistics(one: Statistics | Failed) -> SelectionStatistics | None:
    if isinstance(one, Failed):
        return None
    return SelectionStatistics(one.mean, one.variance, one.count)
