"""The plan of what is computed ahead."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from core.config import MatchConfig
from core.groups import (
    AheadWork,
    Event,
    Failed,
    Group,
    Measurement,
    Pinned,
    Policy,
    Ready,
    has_ahead,
    if_frozen,
    next_ahead,
    next_work,
    pinned,
)
from core.reference import SelectionStatistics, reference_costs
from tests.core.groups.drive import (
    KEY,
    POLICY,
    Record,
    Run,
    arrived,
    closed,
    content,
    manifest,
    published,
    run,
    sealed,
    suspected,
    withdrawn,
)
from tests.core.groups.strategies import inside, law, one_group

_CONFIG = MatchConfig()
_HERE, _THERE = (0, 0, 8, 8), (8, 0, 8, 8)


@dataclass(frozen=True)
class _Against:
    reference: int


_Found = dict[int, Measurement | Failed]
_found = st.dictionaries(
    st.integers(1, 4),
    st.just(Failed("lost"))
    | st.builds(
        Measurement,
        st.just(10.0),
        st.sampled_from([1.0, 2.0, 3.0]),
        st.sampled_from([90.0, 100.0]),
        st.sampled_from([None, _HERE, _HERE, _THERE]),
    ),
)
_matches = st.dictionaries(st.integers(1, 4), st.builds(_Against, st.integers(1, 4)))


def _good(*visits: int, best: int | None = None) -> _Found:
    return {v: Measurement(10.0, 1.0 if v == best else 2.0, 100.0, _HERE) for v in visits}


def _plan(
    *events: Event,
    found: _Found,
    matched: dict[int, _Against] | None = None,
    policy: Policy = POLICY,
) -> AheadWork:
    group = run(*((1, one) for one in events), policy=policy).group
    return next_ahead(group, found, matched or {}, _CONFIG, policy)


def test_who_arrived_is_measured() -> None:
    """Each member that is not measured is, whether or not there is a reference."""
    assert _plan(arrived(2), arrived(1), found={}) == AheadWork((1, 2))
    assert _plan(arrived(1), arrived(2), arrived(3), arrived(4), found=_good(1, 2, 3, best=2)) == (
        AheadWork((4,), 2, (1, 3))
    )


def test_a_guess_needs_a_quorum_or_three() -> None:
    """Nothing is matched against the best of too few; three are enough for any quorum."""
    told: list[Event] = [arrived(visit) for visit in (1, 2, 3)]
    for quorum, enough in ((1, 1), (2, 2), (3, 3), (50, 3)):
        for known in (1, 2, 3):
            plan = _plan(*told, found=_good(*range(1, known + 1)), policy=Policy(quorum=quorum))
            assert bool(plan.match) == (known >= enough and known > 1)


def test_a_named_reference_is_waited_for() -> None:
    """A manifest's reference is matched against once it is measured, and until then no other is."""
    told: list[Event] = [
        manifest(1, 2, 3, 4, 5, reference=4),
        *(arrived(visit) for visit in (1, 2, 3)),
    ]
    assert _plan(*told, found=_good(1, 2, 3)) == AheadWork()
    assert _plan(*told, arrived(4), found=_good(1, 2, 3)) == AheadWork((4,))
    assert _plan(*told, arrived(4), found=_good(1, 4)) == AheadWork((2, 3), 4, (1,))
    lost: _Found = {**_good(1, 2, 3), 4: Failed("lost")}
    assert _plan(*told, arrived(4), found=lost) == AheadWork((), 1, (2, 3))
    assert _plan(*told, withdrawn(4), found=_good(1, 2, 3)) == AheadWork((), 1, (2, 3))


def test_whom_a_manifest_does_not_name_is_left_alone() -> None:
    """A visit outside the set is neither measured nor matched, until a manifest names it."""
    told: list[Event] = [manifest(1, 2, 9), arrived(1), arrived(2), arrived(3)]
    assert _plan(*told, found={}) == AheadWork((1, 2))
    assert _plan(*told, manifest(1, 2, 3, 9, version=2), found={}) == AheadWork((1, 2, 3))


def test_a_pinned_reference_is_kept() -> None:
    """After a revision the late are matched against its reference, however few are measured."""
    told: list[Event] = [arrived(1), arrived(2), closed(), published(1, 2), arrived(3)]
    assert _plan(*told, found=_good(2)) == AheadWork((1, 3), 2, ())
    assert _plan(*told, found=_good(2, 3)) == AheadWork((1,), 2, (3,))
    assert _plan(*told, found=_good(1, 3)) == AheadWork((2,))
    assert _plan(*told, arrived(2, 1), found=_good(3)) == AheadWork((1, 2))


def test_suspects_are_left_to_the_revision_that_needs_them() -> None:
    """A member whose job killed is neither measured nor matched ahead, nor matched against."""
    told: list[Event] = [*(arrived(visit) for visit in (1, 2, 3, 4)), suspected(1)]
    assert _plan(*told, found=_good(2, 3)) == AheadWork((4,))
    assert _plan(*told, found=_good(1, 2, 3, 4, best=2)) == AheadWork((), 2, (3, 4))
    assert _plan(*told, found=_good(1, 2, 3, 4, best=1)) == AheadWork()


def test_a_sealed_group_and_a_due_one_have_nothing_ahead() -> None:
    """While a revision is due its own plan counts, and behind a seal nothing is gathered."""
    told: list[Event] = [arrived(1), arrived(2), closed()]
    assert _plan(*told, arrived(3), found={}) == AheadWork()
    assert _plan(*told, published(1, 1), found=_good(1)) == AheadWork()
    assert _plan(*told, published(1, 1), arrived(3), sealed(), found={}) == AheadWork()


@law
@given(one_group(), _found, _matches, st.data())
def test_ahead_is_what_a_plain_look_finds(
    log: list[Record], found: _Found, matched: dict[int, _Against], data: st.DataObject
) -> None:
    """Whatever happened to a group, its plan is that of a slow plain twin."""
    living = Run()
    for time, key, event in log[: data.draw(st.integers(1, len(log)))]:
        living.read([(time, key, event)])
        living.at(time, data.draw(inside), key=KEY)
    for group in living.partition.groups.values():
        pin = pinned(group, POLICY)
        assert next_ahead(group, found, matched, _CONFIG, POLICY) == _twin(
            group, found, matched, pin
        )


def _twin(
    group: Group, found: _Found, matched: dict[int, _Against], pin: Pinned | None
) -> AheadWork:
    header, wanted = group.header, group.expected
    gathers = header.opened_at is not None or header.first_change is not None
    if group.frozen or header.sealed_at is not None or header.forgotten or not gathers:
        return AheadWork()
    members = {
        v: m
        for v, m in group.members.items()
        if not m.withdrawn and (wanted is None or v in wanted.visits)
    }
    bad = {v for v, m in members.items() if m.suspicion is not None}
    todo = tuple(v for v in sorted(members) if v not in found and v not in bad)
    known = {v: found[v] for v in sorted(members) if v in found}
    reference = _twin_reference(group, known, members, pin)
    if reference is None or reference in bad:
        return AheadWork(todo)
    usable = _in_box(known, _twin_box(known, group, pin))
    done = {v for v, one in matched.items() if one.reference == reference}
    match = tuple(v for v in usable if v != reference and v not in bad and v not in done)
    return AheadWork(todo, reference, match)


def _in_box(known: _Found, box: tuple[int, ...] | None) -> list[int]:
    return [
        v
        for v, one in known.items()
        if isinstance(one, Measurement) and (one.box is None or box in (None, one.box))
    ]


def _twin_box(known: _Found, group: Group, pin: Pinned | None) -> tuple[int, ...] | None:
    """Return the box of most, ties to that of the named, the pinned, the smallest visit."""
    boxes = {v: m.box for v, m in known.items() if isinstance(m, Measurement) and m.box}
    votes = Counter(boxes.values())
    most = [box for box in votes if votes[box] == max(votes.values())]
    named = None if group.expected is None else group.expected.reference
    held = pin.visit if pin is not None and group.members[pin.visit].digest == pin.digest else None
    order = [v for v in (named, held, *sorted(boxes)) if v in boxes and boxes[v] in most]
    return boxes[order[0]] if order else None


def _twin_reference(
    group: Group, known: _Found, members: Container[int], pin: Pinned | None
) -> int | None:
    usable = _in_box(known, _twin_box(known, group, pin))
    named = None if group.expected is None else group.expected.reference
    if named is not None and group.expected is not None and named in group.expected.visits:
        member = group.members.get(named)
        if (member is None or not member.withdrawn) and named not in known:
            return None
        if named in usable:
            return named
    else:
        named = None
    held = None
    if pin is not None and pin.visit in members:
        held = pin.visit if group.members[pin.visit].digest == pin.digest else None
    if held is not None and held not in known:
        return None
    good = sum(isinstance(one, Measurement) for one in known.values())
    is_named = isinstance(known.get(-1 if named is None else named), Measurement)
    if held is None and not is_named and good < 3:
        return None
    costs = _costs(known, usable)
    best = min(usable, key=lambda v: (costs[v], v), default=None)
    if held in usable and held is not None and pin is not None and best is not None:
        return best if costs[best] < costs[held] - pin.margin else held
    return best


def _costs(known: _Found, usable: list[int]) -> dict[int, float]:
    statistics = [
        SelectionStatistics(one.mean, one.variance, one.count)
        if v in usable and isinstance(one, Measurement)
        else None
        for v, one in known.items()
    ]
    if not usable:
        return {}
    costs = reference_costs(statistics, _CONFIG).costs
    return {v: math.inf if math.isnan(c) else c for v, c in zip(known, costs, strict=True)}


@law
@given(one_group(), st.data())
def test_what_is_found_ahead_is_what_is_due(log: list[Record], data: st.DataObject) -> None:
    """Once all of a plan ahead is done, a revision frozen at that moment asks for nothing more."""
    group = Run().read(log[: data.draw(st.integers(1, len(log)))]).partition.groups.get("a")
    if group is None or not has_ahead(group) or not if_frozen(group).members:
        return
    found: _Found = {}
    matched: dict[int, _Against] = {}
    pin = pinned(group, POLICY)
    plan = AheadWork()
    for _ in range(4):
        plan = next_ahead(group, found, matched, _CONFIG, POLICY)
        found |= _good(*plan.measure)
        matched |= {visit: _Against(plan.reference or 0) for visit in plan.match}
    if plan.reference is not None and not any(m.suspicion for m in group.members.values()):
        due = next_work(if_frozen(group), found, matched, _CONFIG, pin)
        assert isinstance(due, Ready)
        assert due.reference == plan.reference


@law
@given(one_group(), st.data())
def test_a_freeze_holds_what_was_worked_on(log: list[Record], data: st.DataObject) -> None:
    """The members that are worked on ahead, and the named one, are those that a freeze holds."""
    living, cut = Run(), data.draw(st.integers(1, len(log)))
    living.read(log[:cut])
    group = living.partition.groups.get("a")
    if group is None or not has_ahead(group):
        return
    before = content(if_frozen(group))
    living.at(log[cut - 1][0], closed(9), key="a")
    if frozen := living.history("a"):
        newest = frozen[-1]
        if newest.revision == before.revision:
            assert (newest.members, newest.reference) == (before.members, before.reference)
