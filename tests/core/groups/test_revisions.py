"""Revisions after the first: what makes one, when it freezes, what it says."""

from __future__ import annotations

import pytest

from core.groups import (
    Kind,
    Outcome,
    Phase,
    TimerFired,
    Trigger,
    new_members,
    next_timer,
    step,
    superseded,
)
from core.groups.changed import replace
from tests.core.groups.drive import (
    POLICY,
    Run,
    arrived,
    closed,
    manifest,
    measured,
    published,
    run,
    standing,
    withdrawn,
)


def _whole(*visits: int) -> Run:
    """Bring a group to its published revision 1 at time 1."""
    told = run(*((0, arrived(visit)) for visit in visits or (1, 2, 3)))
    told.at(0, closed())
    told.at(1, published(1, reference=1))
    return told


def test_changes_freeze_when_they_have_settled() -> None:
    """The next revision freezes `update_quiet_ms` after the last change."""
    told = _whole()
    told.at(100, arrived(4))
    told.at(110, arrived(5))
    assert next_timer(told.group, POLICY) == 130
    told.tick(200)
    frozen = told.last()
    assert (frozen.revision, frozen.kind, frozen.trigger) == (2, Kind.UPDATE, Trigger.UPDATE)
    assert (frozen.since, frozen.at) == (100, 130)


def test_changes_freeze_at_the_latest_after_update_max() -> None:
    """A steady trickle of late warps makes one revision in `update_max_ms`, not none."""
    told = _whole()
    for visit in range(10, 30):
        told.at(100 + 4 * (visit - 10), arrived(visit))
    assert [frozen.at for frozen in told.history()[1:]] == [160]
    told.tick(500)
    assert len(told.history()) == 3


def test_burst_of_late_warps_makes_one_revision() -> None:
    """A thousand late warps make one revision, not a thousand."""
    told = _whole()
    for visit in range(1000):
        told.at(100, arrived(visit + 10))
    told.tick(200)
    assert len(told.history()) == 2
    assert len(told.last().members) == 1003


def test_replaced_member_makes_an_update_only_if_its_digest_differs() -> None:
    """A newer version of the same pixels is no change; of other pixels it is one."""
    told = _whole()
    told.at(100, arrived(1, 1, digest="warp-1-0"))
    assert next_timer(told.group, POLICY) is None
    told.at(101, arrived(1, 2))
    told.tick(121)
    assert standing(told.last())[1] == "warp-1-2"
    assert told.last().withdrawn == ()


def test_withdrawn_member_is_named_once() -> None:
    """A revision names the members that the one before still held, and no others."""
    told = _whole()
    told.at(100, withdrawn(2))
    told.tick(120)
    assert (told.last().withdrawn, told.last().kind) == ((2,), Kind.UPDATE)
    told.at(200, arrived(4))
    told.tick(220)
    assert told.last().withdrawn == ()


def test_nothing_left_is_a_retraction() -> None:
    """When each member is withdrawn the revision retracts the group, and says whom it held."""
    told = _whole(1, 2)
    told.at(100, withdrawn(1), withdrawn(2))
    told.tick(120)
    frozen = told.last()
    assert (frozen.kind, frozen.members, frozen.withdrawn) == (Kind.RETRACTION, (), (1, 2))
    assert not frozen.incomplete


def test_retracted_group_opens_again() -> None:
    """After a retraction arrivals complete the group anew, as an update."""
    told = _whole(1, 2)
    told.at(100, withdrawn(1), withdrawn(2))
    told.at(120, published(2))
    told.at(200, arrived(1, 1))
    assert told.header.phase is Phase.OPEN
    told.at(201, arrived(2, 1))
    told.tick(900)
    assert (told.last().revision, told.last().kind) == (3, Kind.UPDATE)


def test_change_taken_back_makes_no_revision() -> None:
    """A freeze that holds no change makes no revision, and none is waited for."""
    told = _whole()
    told.at(100, withdrawn(1, 1), arrived(1, 2, digest="warp-1-0"))
    assert next_timer(told.group, POLICY) is None
    told.tick(1000)
    assert len(told.history()) == 1


def test_change_after_one_taken_back_counts_from_itself() -> None:
    """What was taken back does not hurry the next change."""
    told = _whole()
    told.at(100, arrived(4), withdrawn(4))
    told.at(155, arrived(5))
    assert next_timer(told.group, POLICY) == 175


def test_revisions_wait_in_line() -> None:
    """Revision r+1 freezes while r is not published, and they are published in order."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()), (10, arrived(3)), (30, None))
    assert set(told.group.frozen) == {1, 2}
    assert told.at(31, published(2)).outcome is Outcome.SUPERSEDED
    assert told.at(31, published(1)).released == (1,)
    assert told.header.phase is Phase.DUE
    assert told.at(32, published(2, reference=3)).released == (2,)
    assert (told.header.phase, told.header.reference) == (Phase.PUBLISHED, 3)
    assert told.at(33, published(2)).outcome is Outcome.DUPLICATE
    assert told.group.frozen == {}


def test_frozen_set_stays_as_it_is() -> None:
    """Replacing and withdrawing members leaves a frozen revision as it was, and names them."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, arrived(3)), (0, closed()))
    frozen = told.group.frozen[1]
    told.at(1, arrived(1, 1), withdrawn(2))
    assert told.group.frozen[1] is frozen
    assert superseded(told.group, frozen) == (1, 2)


def test_what_was_measured_and_sent_is_not_new() -> None:
    """New are members to be measured, and those of which nothing was sent nor matched ahead."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, arrived(3)), (0, closed()))
    frozen = told.group.frozen[1]
    assert new_members(told.group, frozen, ()) == 3
    told.at(1, measured(1), measured(2))
    assert new_members(told.group, frozen, ()) == 3
    assert new_members(told.group, frozen, {2, 3}) == 2
    told.at(2, published(1, told={1: "one", 3: "three"}))
    assert new_members(told.group, frozen, ()) == 2
    told.at(3, arrived(1, 1))
    assert new_members(told.group, frozen, ()) == 3
    told.at(4, withdrawn(2))
    assert new_members(told.group, frozen, ()) == 3


def test_what_needs_no_pixels_is_no_work() -> None:
    """Too few members, or none that is left: there is nothing to be measured."""
    told = run((0, arrived(1)), (0, closed()))
    assert told.group.frozen[1].incomplete
    assert new_members(told.group, told.group.frozen[1], ()) == 0


def test_change_while_frozen_counts_against_what_was_frozen() -> None:
    """A member that comes back as it was frozen is no change, published or not."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()))
    told.at(1, arrived(1, 1))
    told.at(2, arrived(1, 2, digest="warp-1-0"))
    assert next_timer(told.group, POLICY) is None


def test_manifest_that_names_another_reference_is_a_change() -> None:
    """Naming another member makes an update; naming the same one again does not."""
    told = run((0, manifest(1, 2, reference=1)), (1, arrived(1)), (1, arrived(2)))
    assert told.last().reference == 1
    told.at(10, manifest(1, 2, version=2, reference=1))
    assert next_timer(told.group, POLICY) is None
    told.at(10, manifest(1, 2, version=4, reference=2))
    told.tick(30)
    assert (told.last().revision, told.last().reference) == (2, 2)


@pytest.mark.parametrize("reference", [None, 7], ids=["none", "absent"])
def test_manifest_that_takes_a_name_back_is_a_change(reference: int | None) -> None:
    """A name that no longer stands makes an update; a name for nobody makes none."""
    told = run((0, manifest(1, 2, reference=1)), (1, arrived(1)), (1, arrived(2)))
    told.at(10, manifest(1, 2, version=2, reference=reference))
    told.tick(30)
    assert (told.last().revision, told.last().reference) == (2, None)
    told.at(40, manifest(1, 2, version=3, reference=8))
    assert next_timer(told.group, POLICY) is None


def test_name_that_comes_back_in_time_is_no_change() -> None:
    """A name taken back and given again within the wait makes no revision."""
    told = run((0, manifest(1, 2, reference=1)), (1, arrived(1)), (1, arrived(2)))
    told.at(10, manifest(1, 2, version=2), manifest(1, 2, version=3, reference=1))
    assert next_timer(told.group, POLICY) is None


def test_named_reference_that_is_no_member_is_not_passed_on() -> None:
    """A revision names a reference only if it holds it; its arrival is a change of its own."""
    told = run((0, manifest(1, 2, reference=3)), (1, arrived(1)), (1, arrived(2)))
    assert told.last().reference is None
    told.at(5, manifest(1, 2, 3, version=2, reference=3))
    told.at(6, arrived(3))
    told.tick(26)
    assert told.last().reference == 3


def test_a_revision_names_whose_standing_is_new() -> None:
    """Those it holds under another digest than before, and those that it holds no more."""
    told = _whole()
    assert told.history()[0].fresh == (1, 2, 3)
    told.at(100, arrived(2, version=1), withdrawn(3, version=1), arrived(4))
    told.tick(200)
    assert told.last().fresh == (2, 3, 4)
    (freeze,) = [put for _, put in told.said if put.frozen and put.frozen[0].revision == 2]
    assert [member.visit for member in freeze.members] == []
    assert [(m.visit, m.frozen) for m in freeze.marked] == [
        (visit, standing(told.last()).get(visit)) for visit in (2, 3, 4)
    ]


def test_members_are_settled_with_the_revision_that_marked_them() -> None:
    """What the publication puts anyway is not put twice, and who kept its standing not at all."""
    told = _whole()
    told.at(100, arrived(2, version=1), withdrawn(3, version=1), arrived(4))
    told.tick(200)
    put = told.at(201, published(2, reference=1, told={4: "b"}))
    assert [member.visit for member in put.members] == [4]
    assert [(m.visit, m.frozen) for m in put.settled] == [
        (2, told.group.members[2].digest),
        (3, None),
    ]


def test_results_from_inside_freeze_nothing() -> None:
    """Measuring and publishing never decide what a revision holds, nor when it freezes."""
    told = _whole()
    told.at(100, arrived(4))
    before = next_timer(told.group, POLICY)
    told.partition.feed("live/sky/9813/40/r", measured(4, "warp-4-0"))
    assert next_timer(told.group, POLICY) == before
    assert len(told.history()) == 1


def test_overdue_rule_waits_for_a_record() -> None:
    """Even what is overdue is frozen by a record, never by a result."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, closed()), (1, arrived(3)))
    for result in (replace(published(1), at=5000), replace(measured(1), at=5000)):
        assert step(told.group, result, POLICY).frozen == ()
    assert len(step(told.group, TimerFired(5000), POLICY).frozen) == 1


def test_completeness_of_an_update_follows_the_newest_set() -> None:
    """A wider manifest alone makes no revision; the next one names what is missing."""
    told = run((0, manifest(1, 2)), (0, arrived(1)), (0, arrived(2)))
    told.at(10, manifest(1, 2, 3, 4, version=2))
    told.tick(100)
    assert len(told.history()) == 1
    told.at(110, arrived(3))
    told.tick(130)
    assert (told.last().completeness, told.last().missing) == (0.75, (4,))
