"""The plan of what is to be computed next."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
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
    Pinned,
    Policy,
    Ready,
    RefuseThese,
    Statistics,
    Trigger,
    Work,
    given_up,
    next_work,
    pinned,
)
from core.reference import SelectionStatistics, reference_costs
from tests.core.groups.drive import arrived, closed, published, run, suspected
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


def _matches(work: Work) -> tuple[int, tuple[int, ...]]:
    """Return what is to be matched to whom."""
    assert isinstance(work, MatchThese)
    return work.reference, work.visits


def test_unmeasured_members_come_first() -> None:
    """Nothing is matched before each member is measured."""
    work = next_work(_frozen(1, 2, 3), _stats(2), {}, _CONFIG)
    assert work == MeasureThese((1, 3))


def test_cheapest_member_becomes_the_reference() -> None:
    """The least cost is the reference, all others are matched to it, ascending."""
    work = next_work(_frozen(1, 2, 3), _stats(1, 2, 3, best=2), {}, _CONFIG)
    assert _matches(work) == (2, (1, 3))


def test_ties_go_to_the_smaller_visit() -> None:
    """Of equal costs the smaller visit is the reference."""
    work = next_work(_frozen(4, 5, 6), _stats(6, 5, 4), {}, _CONFIG)
    assert _matches(work) == (4, (5, 6))


def test_named_reference_is_taken() -> None:
    """What a manifest names goes before the costs, which are told all the same."""
    frozen, measured = _frozen(1, 2, named=2), _stats(1, 2, best=1)
    assert _matches(next_work(frozen, measured, {}, _CONFIG)) == (2, (1,))
    ready = next_work(frozen, measured, {1: _Against(2)}, _CONFIG)
    assert isinstance(ready, Ready)
    assert ready.reference == 2
    assert ready.costs[1] < ready.costs[2]


def test_unreadable_named_reference_gives_way() -> None:
    """A named reference that cannot be read leaves the choice to the costs."""
    measured = {**_stats(1, 3, best=3), 2: Failed("missing")}
    assert _matches(next_work(_frozen(1, 2, 3, named=2), measured, {}, _CONFIG)) == (3, (1,))


def test_failed_members_are_not_matched() -> None:
    """A member without pixels is given up, and the revision goes on without it."""
    measured = {**_stats(1, 2), 3: Failed("truncated")}
    assert _matches(next_work(_frozen(1, 2, 3), measured, {}, _CONFIG)) == (1, (2,))
    ready = next_work(_frozen(1, 2, 3), measured, {2: _Against(1)}, _CONFIG)
    assert isinstance(ready, Ready)
    assert math.isnan(ready.costs[3])


def test_reference_that_turns_out_unreadable_is_replaced() -> None:
    """When the reference fails another is chosen, and what was matched to it is matched again."""
    frozen, measured = _frozen(1, 2, 3, 4), _stats(1, 2, 3, 4, best=2)
    matched = {1: _Against(2), 3: _Against(2)}
    assert _matches(next_work(frozen, measured, matched, _CONFIG)) == (2, (4,))
    measured[2] = Failed("missing")
    assert _matches(next_work(frozen, measured, matched, _CONFIG)) == (1, (3, 4))


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


def _costing(**costs: float) -> dict[int, Statistics | Failed]:
    """Measure so that visit vN costs what is said: only the variance weighs, the largest is 1."""
    return {int(name[1:]): Measurement(1.0, cost, 1.0) for name, cost in costs.items()}


_BY_VARIANCE = MatchConfig(
    best_ref_weight_variance=1.0, best_ref_weight_level=0.0, best_ref_weight_coverage=0.0
)
_PIN = Pinned(2, "d2", 0.2)
_FAST = Pinned(2, "d2", math.inf)


def _reference(
    frozen: Frozen, measured: dict[int, Statistics | Failed], pin: Pinned | None = _PIN
) -> int | None:
    """Say which reference the plan ends with when each match works out."""
    work = next_work(frozen, measured, {}, _BY_VARIANCE, pin)
    assert isinstance(work, MatchThese | Ready)
    return work.reference


@pytest.mark.parametrize(
    ("best", "margin", "chosen"),
    [
        (0.31, 0.2, 2),
        (0.29, 0.2, 1),
        (0.3, 0.2, 2),
        (0.49, 1e-9, 1),
        (0.01, math.inf, 2),
    ],
    ids=["within", "beyond", "just", "hardly-pinned", "never"],
)
def test_pinned_reference_stays_within_the_margin(best: float, margin: float, chosen: int) -> None:
    """It gives way only to a cost that is lower by more than the margin."""
    costs = _costing(v1=best, v2=0.5, v3=1.0)
    assert _reference(_frozen(1, 2, 3), costs, Pinned(2, "d2", margin)) == chosen


def test_pinned_reference_that_is_gone_is_chosen_anew() -> None:
    """Withdrawn or put out it is no member, replaced it has another digest, lost it is none."""
    costs = _costing(v1=0.4, v2=0.5, v3=1.0)
    assert _reference(_frozen(1, 3), _costing(v1=0.4, v3=1.0)) == 1
    assert _reference(_frozen(1, 2, 3), costs, replace(_PIN, digest="older")) == 1
    assert _reference(_frozen(1, 2, 3), {**costs, 2: Failed("missing")}) == 1
    assert _reference(_frozen(1, 2, 3), costs, None) == 1
    assert _reference(_frozen(1, 2, 3), costs) == 2


def test_manifest_goes_before_the_pin() -> None:
    """A named reference that can be read wins whatever it costs; if it cannot, the pin stays."""
    costs = _costing(v1=0.4, v2=0.5, v3=1.0)
    assert _reference(_frozen(1, 2, 3, named=3), costs, _FAST) == 3
    assert _reference(_frozen(1, 2, 3, named=3), {**costs, 3: Failed("missing")}) == 2


def test_pinned_reference_without_a_cost_gives_way_to_any_that_has_one() -> None:
    """What could not be chosen is not held on to, unless cost shall never decide."""
    costs = {**_costing(v1=0.9, v3=1.0), 2: Measurement(math.nan, math.nan, 0.0)}
    assert _reference(_frozen(1, 2, 3), costs) == 1
    assert _reference(_frozen(1, 2, 3), costs, _FAST) == 2


def test_pinned_reference_stays_if_no_member_has_a_cost() -> None:
    """With nothing to choose from the published zero point stays."""
    empty = Measurement(math.nan, math.nan, 0.0)
    measured: dict[int, Statistics | Failed] = dict.fromkeys((1, 2), empty)
    assert _reference(_frozen(1, 2), measured) == 2
    assert _reference(_frozen(1, 2), measured, None) is None


def test_pinned_revision_has_the_costs_of_all_members() -> None:
    """Who stays because it is pinned is no reason to hide what the others cost."""
    costs = _costing(v1=0.4, v2=0.5, v3=1.0)
    matched = {visit: _Against(2) for visit in (1, 3)}
    ready = next_work(_frozen(1, 2, 3), costs, matched, _BY_VARIANCE, _PIN)
    assert isinstance(ready, Ready)
    assert ready.reference == 2
    assert ready.costs == pytest.approx({1: 0.4, 2: 0.5, 3: 1.0})


def test_pinned_is_what_the_newest_published_revision_had() -> None:
    """The pin is the published reference as it was frozen; without one there is none."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()))
    assert pinned(told.group, Policy()) is None
    told.at(1, published(1, 2))
    assert pinned(told.group, Policy(reference_margin=0.3)) == Pinned(2, "warp-2-0", 0.3)
    assert pinned(told.group, Policy(reference_margin=0)) is None


def test_member_is_given_up_after_so_many_deaths_alone() -> None:
    """The limit is the policy's; another version of the warp is tried again."""
    told, policy = run((0, arrived(1))), Policy(max_attempts=2)
    for death, over in ((1, False), (2, True)):
        told.at(death, suspected(1, time=death))
        assert given_up(told.group.members[1], policy) is over
    told.at(3, arrived(1, 1))
    assert not given_up(told.group.members[1], policy)


def _plain_choice(
    costs: dict[int, float | None], named: int | None, kept: int | None, margin: float
) -> int | None:
    """Choose by going through the sentences of the design; a cost of None cannot be read."""
    readable = [visit for visit in sorted(costs) if costs[visit] is not None]
    ranked = sorted((cost, v) for v in readable if (cost := costs[v]) is not None and cost >= 0)
    if named in readable:
        return named
    if kept in readable:
        others = [cost for cost, visit in ranked if visit != kept]
        own = [cost for cost, visit in ranked if visit == kept]
        if not others or margin == math.inf:
            return kept
        return kept if own and others[0] >= own[0] - margin else ranked[0][1]
    return ranked[0][1] if ranked else None


@law
@given(
    st.dictionaries(
        st.integers(1, 4), st.sampled_from([0.1, 0.3, 0.5, math.nan, None]), min_size=2
    ),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 5),
    st.sampled_from([0.1, 0.3, math.inf]),
)
def test_choice_is_that_of_the_sentences(
    costs: dict[int, float | None], named: int | None, pin: int | None, margin: float
) -> None:
    """For any costs, name, pin and margin the reference is the one that the design's words give."""
    measured: dict[int, Statistics | Failed] = {
        v: Failed("lost") if c is None else Measurement(1.0, c, 1.0) for v, c in costs.items()
    }
    measured[9] = Measurement(1.0, 1.0, 1.0)
    frozen = _frozen(*sorted(measured), named=named if named in costs else None)
    kept = None if pin is None else Pinned(pin, f"d{pin}", margin)
    chosen = _reference(frozen, measured, kept)
    assert chosen == _plain_choice({**costs, 9: 1.0}, frozen.reference, pin, margin)


_HERE, _THERE = (0, 0, 8, 8), (0, 0, 9, 9)
_measurements = st.builds(
    Measurement,
    st.floats(1, 9),
    st.floats(1, 9),
    st.integers(1, 99).map(float),
    st.sampled_from([None, _HERE, _HERE, _THERE]),
)


def _carry_out(
    frozen: Frozen,
    truth: dict[int, Measurement | Failed],
    unreadable: set[int],
    picks: st.DataObject,
) -> Work:
    """Do what the plan says, one job at a time in any order, until it is ready.

    That is what the plan before it said that would come then.
    """
    measured: dict[int, Statistics | Failed] = {}
    matched: dict[int, _Against] = {}
    then = None
    for _ in range(200):
        work = next_work(frozen, measured, matched, _CONFIG)
        if isinstance(work, Ready):
            assert then is None or repr(work) == repr(then)
            return work
        then = work.then if isinstance(work, MatchThese) else None
        if isinstance(work, RefuseThese):
            assert not matched
            measured |= dict.fromkeys(work.boxes, Failed("elsewhere"))
            continue
        visit = picks.draw(st.sampled_from(work.visits))
        if isinstance(work, MeasureThese):
            measured[visit] = truth[visit]
        elif work.reference in unreadable:
            measured[work.reference], then = Failed("unreadable"), None
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


def _at(**boxes: tuple[int, int, int, int] | None) -> dict[int, Statistics | Failed]:
    """Measure visits, v1 and so on, all alike but for where they lie."""
    return {int(v[1:]): Measurement(10.0, 2.0, 100.0, box) for v, box in boxes.items()}


def test_one_that_lies_elsewhere_is_refused_alone() -> None:
    """However low its cost, named or pinned, a warp of another box does not fail its neighbours."""
    measured = _at(v1=_THERE, v2=_HERE, v3=_HERE)
    measured[1] = Measurement(10.0, 0.1, 1e6, _THERE)
    refused = RefuseThese(_HERE, {1: _THERE})
    for named in (None, 1):
        for pin in (None, Pinned(1, "d1", math.inf)):
            frozen = _frozen(1, 2, 3, named=named)
            assert next_work(frozen, measured, {}, _CONFIG, pin) == refused
            after = {**measured, 1: Failed("elsewhere")}
            assert _matches(next_work(frozen, after, {}, _CONFIG, pin)) == (2, (3,))


@pytest.mark.parametrize(
    ("named", "pin", "refused"),
    [
        (None, None, 2),
        (2, None, 1),
        (None, Pinned(2, "d2", 0.2), 1),
        (None, Pinned(2, "replaced", 0.2), 2),
        (1, Pinned(2, "d2", 0.2), 2),
    ],
)
def test_two_that_differ(named: int | None, pin: Pinned | None, refused: int) -> None:
    """Of equally many the named reference's box stands, the pinned's, the smallest visit's."""
    work = next_work(_frozen(1, 2, named=named), _at(v1=_HERE, v2=_THERE), {}, _CONFIG, pin)
    assert isinstance(work, RefuseThese)
    assert list(work.boxes) == [refused]


def test_a_group_follows_once_most_of_it_has_moved() -> None:
    """A geometry that changes warp by warp takes the pinned reference along at the majority."""
    pin, frozen = Pinned(1, "d1", math.inf), _frozen(1, 2, 3, 4)
    moved = [_at(v1=_HERE, v2=_THERE, v3=b, v4=c) for b, c in ((_HERE, _HERE), (_THERE, _HERE))]
    moved.append(_at(v1=_HERE, v2=_THERE, v3=_THERE, v4=_THERE))
    plans = [next_work(frozen, one, {}, _CONFIG, pin) for one in moved]
    assert plans == [
        RefuseThese(_HERE, {2: _THERE}),
        RefuseThese(_HERE, {2: _THERE, 3: _THERE}),
        RefuseThese(_THERE, {1: _HERE}),
    ]


def test_nobody_is_refused_before_all_are_measured() -> None:
    """Who is in the majority is not known while a member may still be measured."""
    measured = _at(v1=_THERE, v2=_HERE)
    assert next_work(_frozen(1, 2, 3), measured, {}, _CONFIG) == MeasureThese((3,))
    measured[3] = Failed("lost")
    assert next_work(_frozen(1, 2, 3), measured, {}, _CONFIG) == RefuseThese(_THERE, {2: _HERE})


def test_where_a_box_is_not_known_nobody_is_judged() -> None:
    """What was measured by release 0.1 has no box: it neither votes nor is refused."""
    measured = _at(v1=None, v2=None, v3=_HERE)
    assert _matches(next_work(_frozen(1, 2, 3), measured, {}, _CONFIG)) == (1, (2, 3))
    measured |= _at(v4=_THERE, v5=_HERE)
    work = next_work(_frozen(1, 2, 3, 4, 5), measured, {}, _CONFIG)
    assert work == RefuseThese(_HERE, {4: _THERE})
