"""The plan of what is to be computed next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from core.config import MatchConfig
from core.groups import (
    Failed,
    Frozen,
    FrozenMember,
    Kind,
    MatchThese,
    Measurement,
    MeasureThese,
    Ready,
    Statistics,
    Trigger,
    Work,
    next_work,
)
from core.reference import SelectionStatistics, reference_costs
from tests.core.groups.strategies import law

_CONFIG = MatchConfig()


@dataclass(frozen=True)
class _Against:
    reference: int


def _frozen(*visits: int, named: int | None = None, kind: Kind = Kind.INITIAL) -> Frozen:
    return Frozen(
        revision=1,
        kind=kind,
        trigger=Trigger.CLOSED,
        members=tuple(FrozenMember(visit, f"d{visit}", b"") for visit in visits),
        withdrawn=(),
        missing=(),
        expected=None,
        completeness=1.0,
        incomplete=kind is not Kind.RETRACTION and len(visits) < 2,
        reference=named,
        since=0,
        at=0,
    )


def _stats(*visits: int, best: int | None = None) -> dict[int, Statistics | Failed]:
    """Measure all alike, and the best one with less variance."""
    return {v: Measurement(10.0, 1.0 if v == best else 2.0, 100.0) for v in visits}


def test_unmeasured_members_come_first() -> None:
    """Nothing is matched before each member is measured."""
    work = next_work(_frozen(1, 2, 3), _stats(2), {}, _CONFIG)
    assert work == MeasureThese((1, 3))


def test_cheapest_member_becomes_the_reference() -> None:
    """The least cost is the reference, all others are matched to it, ascending."""
    work = next_work(_frozen(1, 2, 3), _stats(1, 2, 3, best=2), {}, _CONFIG)
    assert work == MatchThese(2, (1, 3))


def test_ties_go_to_the_smaller_visit() -> None:
    """Of equal costs the smaller visit is the reference."""
    work = next_work(_frozen(4, 5, 6), _stats(6, 5, 4), {}, _CONFIG)
    assert work == MatchThese(4, (5, 6))


def test_named_reference_is_taken() -> None:
    """What a manifest names goes before the costs, which are told all the same."""
    frozen, measured = _frozen(1, 2, named=2), _stats(1, 2, best=1)
    assert next_work(frozen, measured, {}, _CONFIG) == MatchThese(2, (1,))
    ready = next_work(frozen, measured, {1: _Against(2)}, _CONFIG)
    assert isinstance(ready, Ready)
    assert ready.reference == 2
    assert ready.costs[1] < ready.costs[2]


def test_unreadable_named_reference_gives_way() -> None:
    """A named reference that cannot be read leaves the choice to the costs."""
    measured = {**_stats(1, 3, best=3), 2: Failed("missing")}
    assert next_work(_frozen(1, 2, 3, named=2), measured, {}, _CONFIG) == MatchThese(3, (1,))


def test_failed_members_are_not_matched() -> None:
    """A member without pixels is given up, and the revision goes on without it."""
    measured = {**_stats(1, 2), 3: Failed("truncated")}
    assert next_work(_frozen(1, 2, 3), measured, {}, _CONFIG) == MatchThese(1, (2,))
    ready = next_work(_frozen(1, 2, 3), measured, {2: _Against(1)}, _CONFIG)
    assert isinstance(ready, Ready)
    assert math.isnan(ready.costs[3])


def test_reference_that_turns_out_unreadable_is_replaced() -> None:
    """When the reference fails another is chosen, and what was matched to it is matched again."""
    frozen, measured = _frozen(1, 2, 3, 4), _stats(1, 2, 3, 4, best=2)
    matched = {1: _Against(2), 3: _Against(2)}
    assert next_work(frozen, measured, matched, _CONFIG) == MatchThese(2, (4,))
    measured[2] = Failed("missing")
    assert next_work(frozen, measured, matched, _CONFIG) == MatchThese(1, (3, 4))


def test_lone_survivor_is_the_reference() -> None:
    """If all others fail, the one that is left is the reference and there is nothing to match."""
    ready = next_work(_frozen(1, 2), {**_stats(1), 2: Failed("missing")}, {}, _CONFIG)
    assert isinstance(ready, Ready)
    assert ready.reference == 1


def test_no_reference_if_none_can_be() -> None:
    """If each member failed or has no good pixel there is no reference, and no work."""
    empty = Measurement(math.nan, math.nan, 0.0)
    for first in (Failed("missing"), empty):
        ready = next_work(_frozen(1, 2), {1: first, 2: Failed("missing")}, {}, _CONFIG)
        assert isinstance(ready, Ready)
        assert ready.reference is None
        assert all(math.isnan(cost) for cost in ready.costs.values())


def test_incomplete_and_retracted_need_no_work() -> None:
    """A lone member is named the reference unseen; a retraction has none."""
    assert next_work(_frozen(7), {}, {}, _CONFIG) == Ready(7, {})
    assert next_work(_frozen(), {}, {}, _CONFIG) == Ready(None, {})
    assert next_work(_frozen(kind=Kind.RETRACTION), {}, {}, _CONFIG) == Ready(None, {})


def test_costs_are_those_of_the_choice() -> None:
    """Costs by visit are what the choice of a reference says of the same statistics."""
    measured = {1: Measurement(1.0, 2.0, 30.0), 2: Measurement(4.0, 1.0, 40.0)}
    ready = next_work(_frozen(1, 2), measured, {1: _Against(2), 2: _Against(1)}, _CONFIG)
    assert isinstance(ready, Ready)
    stats = [SelectionStatistics(m.mean, m.variance, m.count) for m in measured.values()]
    assert tuple(ready.costs.values()) == reference_costs(stats, _CONFIG).costs


_measurements = st.builds(
    Measurement, st.floats(1, 9), st.floats(1, 9), st.integers(1, 99).map(float)
)


def _carry_out(
    frozen: Frozen,
    truth: dict[int, Measurement | Failed],
    unreadable: set[int],
    picks: st.DataObject,
) -> Work:
    """Do what the plan says, one job at a time in any order, until it is ready."""
    measured: dict[int, Statistics | Failed] = {}
    matched: dict[int, _Against] = {}
    for _ in range(200):
        work = next_work(frozen, measured, matched, _CONFIG)
        if isinstance(work, Ready):
            return work
        visit = picks.draw(st.sampled_from(work.visits))
        if isinstance(work, MeasureThese):
            measured[visit] = truth[visit]
        elif work.reference in unreadable:
            measured[work.reference] = Failed("unreadable")
        else:
            matched[visit] = _Against(work.reference)
    raise AssertionError("the plan never ends")


@law
@given(
    st.dictionaries(
        st.integers(1, 9), _measurements | st.just(Failed("missing")), min_size=2, max_size=6
    ),
    st.data(),
)
def test_order_of_results_does_not_matter(
    truth: dict[int, Measurement | Failed], data: st.DataObject
) -> None:
    """Whatever job ends first, the plan ends with the same reference and costs."""
    frozen = _frozen(*sorted(truth))
    unreadable = data.draw(st.sets(st.sampled_from(sorted(truth))))
    one = _carry_out(frozen, truth, unreadable, data)
    two = _carry_out(frozen, truth, unreadable, data)
    assert isinstance(one, Ready)
    assert isinstance(two, Ready)
    assert one.reference == two.reference
    assert repr(one.costs) == repr(two.costs)
