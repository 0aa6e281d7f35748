"""Seals: what they freeze, what they refuse, how they are taken back, when all is forgotten."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from core.groups import (
    Event,
    Kind,
    Outcome,
    Phase,
    Seal,
    TimerFired,
    Transition,
    Trigger,
    next_timer,
    step,
)
from core.groups.changed import replace as changed
from tests.core.groups.drive import (
    KEY,
    POLICY,
    Run,
    arrived,
    closed,
    manifest,
    measured,
    published,
    reopened,
    run,
    sealed,
    standing,
    suspected,
    withdrawn,
)

_AUTO = replace(POLICY, seal_after_ms=1000, seal_retention_ms=5000)
_SHORT = replace(POLICY, seal_retention_ms=500)


def _whole(policy: object = None) -> Run:
    """Bring a group of three to its published revision 1 at time 1."""
    told = Run(_SHORT if policy is None else _AUTO)
    told.at(0, arrived(1), arrived(2), arrived(3), closed())
    told.at(1, published(1, reference=1))
    return told


def test_seal_freezes_what_is_pending_first() -> None:
    """Changes that wait for their time are a revision of their own, by the trigger of sealed."""
    told = _whole()
    told.at(10, arrived(4), withdrawn(1))
    put = told.at(15, sealed())
    assert put.outcome is Outcome.SEALED
    frozen = told.last()
    assert (frozen.trigger, frozen.kind, frozen.since, frozen.at) == (
        Trigger.SEALED,
        Kind.UPDATE,
        10,
        15,
    )
    assert standing(frozen).keys() == {2, 3, 4}
    assert (told.header.sealed_at, told.header.phase) == (15, Phase.DUE)
    assert next_timer(told.group, _SHORT) is None


def test_seal_freezes_a_group_that_was_never_complete() -> None:
    """A group that waits is frozen as it is: the missing are named, as at a deadline."""
    told = run((0, manifest(1, 2, 3)), (1, arrived(1)), (2, sealed()))
    frozen = told.last()
    assert (frozen.trigger, frozen.missing, frozen.incomplete) == (Trigger.SEALED, (2, 3), True)


def test_seal_of_an_unchanged_group_makes_no_revision() -> None:
    """With nothing pending the history ends, and that is all."""
    told = _whole()
    put = told.at(10, sealed())
    assert (put.frozen, put.members) == ((), ())
    assert told.header.seal is Seal.SEALED
    assert told.header.phase is Phase.PUBLISHED


def test_group_that_waits_for_nothing_new_rests_when_sealed() -> None:
    """A group opened again by what was taken back does not stay open behind its seal."""
    told = run((0, arrived(1)), (400, None), (401, published(1)), (410, arrived(2)))
    told.at(411, withdrawn(2))
    told.at(412, sealed())
    assert (told.header.opened_at, told.header.phase) == (None, Phase.PUBLISHED)


_REFUSED: list[Event] = [
    arrived(1),
    arrived(1, 5),
    arrived(9, expected=40),
    withdrawn(2),
    manifest(1, 2, version=7),
    closed(),
    closed(9),
]


@pytest.mark.parametrize("event", _REFUSED, ids=lambda event: type(event).__name__.lower())
@pytest.mark.parametrize("at", [20, 1000], ids=["sealed", "forgotten"])
def test_sealed_group_refuses_what_would_change_it(event: Event, at: int) -> None:
    """Arrivals, withdrawals, manifests and closings are refused, known ones too: nothing is put."""
    told = _whole()
    told.at(10, sealed())
    assert told.at(at, event) == Transition(Outcome.REFUSED)
    assert told.header.seal is (Seal.SEALED if at == 20 else Seal.FORGOTTEN)


def test_sealed_group_is_still_published_and_measured() -> None:
    """What comes from inside, and what is said of a job, is never refused."""
    told = run((0, arrived(1)), (0, arrived(2)), (1, sealed()))
    assert told.at(2, measured(1)).outcome is Outcome.MEASURED
    assert told.at(2, suspected(1)).outcome is Outcome.SUSPECTED
    assert told.at(2, published(1, reference=2)).outcome is Outcome.PUBLISHED
    assert told.header.phase is Phase.PUBLISHED


def test_reopened_group_goes_on() -> None:
    """After a reopening arrivals count again, as late ones."""
    told = _whole()
    told.at(10, sealed())
    assert told.at(20, arrived(4)).outcome is Outcome.REFUSED
    assert told.at(30, reopened()).outcome is Outcome.REOPENED
    assert told.at(40, arrived(4)).outcome is Outcome.ACCEPTED
    told.tick(60)
    assert (told.last().trigger, told.last().revision) == (Trigger.UPDATE, 2)


_RISING = (sealed(1), reopened(1), sealed(2), reopened(3), sealed(4))


@pytest.mark.parametrize("end", range(1, 6))
def test_highest_seal_or_reopening_stands_in_any_order(end: int) -> None:
    """By version, and at one version the reopening, the last one stands whatever came when."""
    top = _RISING[end - 1]
    for order in permutations(_RISING[:end]):
        told = _whole()
        told.at(10, *order)
        stands = type(top) is type(sealed())
        assert (told.header.sealed_at is not None) == stands
        assert (told.header.sealing, told.header.reopened) == (top.version, not stands)


def test_seal_that_is_known_or_lower_changes_nothing() -> None:
    """Redelivered it is a duplicate, of a lower version superseded."""
    told = _whole()
    told.at(10, sealed(2))
    assert told.at(11, sealed(2)) == Transition(Outcome.DUPLICATE)
    assert told.at(11, sealed(1)) == Transition(Outcome.SUPERSEDED)
    assert told.at(11, reopened(1)) == Transition(Outcome.SUPERSEDED)
    told.at(12, reopened(2))
    assert told.at(13, reopened(2)) == Transition(Outcome.DUPLICATE)
    assert told.at(13, sealed(2)) == Transition(Outcome.SUPERSEDED)


def test_second_seal_does_not_prolong_the_first() -> None:
    """A history ends once: a higher seal of a sealed group is remembered, and moves no time."""
    told = _whole()
    told.at(10, sealed(1))
    told.at(100, sealed(5))
    assert (told.header.sealed_at, told.header.sealing) == (10, 5)
    assert told.at(101, reopened(4)).outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize(("at", "told_so"), [(509, Outcome.REOPENED), (510, Outcome.REFUSED)])
@pytest.mark.parametrize("due", [True, False], ids=["due", "published"])
def test_reopening_is_refused_by_stream_time_alone(at: int, told_so: Outcome, due: bool) -> None:
    """Once the retention is over there is no way back, whether or not all is forgotten yet."""
    told = _whole()
    told.at(9, arrived(4))
    told.at(10, sealed())
    if not due:
        told.at(11, published(2))
    assert told.at(at, reopened()).outcome is told_so
    assert told.header.forgotten == (told_so is Outcome.REFUSED and not due)


def test_forgotten_stays_forgotten_under_a_longer_retention() -> None:
    """A policy that would keep longer brings nothing back, and takes no reopening."""
    told = _whole()
    told.at(10, sealed())
    told.tick(600)
    told.policy = POLICY
    assert told.at(601, reopened()).outcome is Outcome.REFUSED


def test_seal_of_a_forgotten_group_freezes_nothing() -> None:
    """A higher seal is remembered, but what was forgotten is no change to what was frozen."""
    told = run((0, manifest(1, 2, reference=1)), (1, arrived(1)), (1, arrived(2)), policy=_SHORT)
    told.at(2, published(1, reference=1), sealed())
    told.tick(600)
    put = told.at(601, sealed(5))
    assert (put.outcome, put.frozen) == (Outcome.SEALED, ())
    assert (told.header.sealing, told.header.sealed_at) == (5, 2)


def test_group_is_forgotten_after_the_retention() -> None:
    """Members and set get their tombstones, the header stays and says so; nothing is due after."""
    told = run((0, manifest(1, 2, 3)), (1, arrived(1)), policy=_SHORT)
    told.at(2, arrived(2), withdrawn(3))
    told.at(3, published(1, reference=2))
    told.at(10, sealed())
    before = told.header
    assert next_timer(told.group, _SHORT) == 510
    told.tick(509)
    assert len(told.group.members) == 3
    told.tick(510)
    put = told.said[-1][1]
    assert (put.forgotten, put.forgets, put.outcome) == ((1, 2, 3), True, Outcome.TICK)
    assert (told.group.members, told.group.expected, told.group.frozen) == ({}, None, {})
    assert told.header == changed(before, forgotten=True)
    assert (told.changelog.members, told.changelog.expected) == ({}, {})
    assert next_timer(told.group, _SHORT) is None


def test_nothing_is_forgotten_while_a_revision_is_due() -> None:
    """What a frozen revision may still need stays, and goes with the first record after."""
    told = run((0, arrived(1)), (0, arrived(2)), (1, sealed()), (5000, None), policy=_SHORT)
    assert next_timer(told.group, _SHORT) is None
    assert len(told.group.members) == 2
    assert not told.at(5001, published(1)).forgets
    assert next_timer(told.group, _SHORT) == 501
    told.tick(5002)
    assert told.header.forgotten


def test_only_time_forgets() -> None:
    """An event that finds the retention over is answered, and puts nothing else."""
    told = _whole()
    told.at(10, sealed())
    late = changed(arrived(1), at=5000)
    assert step(told.group, late, _SHORT) == Transition(Outcome.REFUSED)
    assert step(told.group, TimerFired(5000), _SHORT).forgets


def test_late_results_of_a_forgotten_group_leave_no_trace() -> None:
    """What is measured or suspected of a visit that was forgotten is superseded."""
    told = _whole()
    told.at(10, sealed())
    told.tick(600)
    for event in (measured(1), suspected(1)):
        assert told.at(601, event) == Transition(Outcome.SUPERSEDED)
    assert told.at(601, published(1)).outcome is Outcome.DUPLICATE
    assert told.group.members == {}


def test_policy_seals_after_the_newest_freeze() -> None:
    """So long after its newest freeze a group in which nothing is pending is sealed."""
    told = _whole(_AUTO)
    assert next_timer(told.group, _AUTO) == 1000
    told.tick(999)
    assert told.header.seal is Seal.LIVE
    told.tick(3000)
    assert (told.header.sealed_at, told.header.sealing) == (1000, None)
    assert len(told.history()) == 1
    assert told.at(3001, arrived(4)).outcome is Outcome.REFUSED


def test_policy_seals_whether_or_not_the_revision_is_published() -> None:
    """What is published must not decide what is refused."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()), (1000, None), policy=_AUTO)
    assert (told.header.sealed_at, told.header.phase) == (1000, Phase.DUE)


def test_policy_does_not_seal_while_something_is_pending() -> None:
    """A late warp is frozen first, and the time counts anew."""
    told = _whole(_AUTO)
    told.at(990, arrived(4))
    assert next_timer(told.group, _AUTO) == 1010
    told.at(1005, arrived(4))
    assert told.header.seal is Seal.LIVE
    told.tick(1010)
    assert next_timer(told.group, _AUTO) == 2010


def test_policy_does_not_seal_a_group_that_is_open_again() -> None:
    """A group that waits to be complete has its deadline before it, even if nothing is changed."""
    told = run((0, arrived(1)), (400, None), (1390, arrived(2)), policy=_AUTO)
    told.at(1395, withdrawn(2))
    told.at(1500, arrived(1))
    assert (told.header.seal, told.header.opened_at) == (Seal.LIVE, 1390)
    told.tick(1790)
    assert told.header.sealed_at == 1790


def test_change_taken_back_leaves_the_seal_overdue() -> None:
    """If what held a seal off is taken back, the seal comes at that moment."""
    told = _whole(_AUTO)
    told.at(990, arrived(4))
    told.at(1005, withdrawn(4))
    assert told.header.sealed_at == 1005


def test_policy_never_seals_what_was_never_frozen() -> None:
    """A group without a revision may get its first one any day, though it was sealed before."""
    told = run((0, withdrawn(1)), (400, None), policy=_AUTO)
    assert next_timer(told.group, _AUTO) is None
    told.at(500, sealed(), reopened())
    assert next_timer(told.group, _AUTO) is None


def test_policy_seals_again_after_a_reopening() -> None:
    """A reopening is given its time too; the next one must outrank it."""
    told = _whole(_AUTO)
    told.tick(1000)
    told.at(1500, reopened(1))
    assert next_timer(told.group, _AUTO) == 2500
    told.tick(2500)
    assert told.header.sealed_at == 2500
    assert told.at(2600, reopened(1)).outcome is Outcome.DUPLICATE
    assert told.at(2600, reopened(2)).outcome is Outcome.REOPENED


def test_results_from_inside_neither_seal_nor_forget() -> None:
    """What is overdue waits for a record."""
    told = _whole(_AUTO)
    group = told.group
    for result in (changed(measured(1), at=10_000), changed(published(2), at=10_000)):
        assert step(group, result, _AUTO).header is None
    assert step(group, TimerFired(10_000), _AUTO).header is not None


def test_seal_of_a_group_that_nobody_spoke_of_keeps_it_shut() -> None:
    """A seal may come first; what follows it is refused."""
    told = run((0, sealed()), policy=_SHORT)
    assert told.at(1, arrived(1)).outcome is Outcome.REFUSED
    told.tick(600)
    assert told.header.forgotten
    assert set(told.partition.groups) == {KEY}
