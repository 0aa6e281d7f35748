"""Each completion rule, its name and what it leaves to the next."""

from __future__ import annotations

import pytest

from core.groups import Event, Kind, Trigger, next_timer
from tests.core.groups.drive import (
    POLICY,
    Run,
    arrived,
    closed,
    manifest,
    published,
    run,
    standing,
    withdrawn,
)

_THREE = [(0, arrived(1)), (1, arrived(2)), (2, arrived(3))]


def test_manifest_completes_when_each_visit_was_heard_of() -> None:
    """The last expected visit freezes the group at once, by the name of manifest."""
    told = run((0, manifest(2, 1)), (5, arrived(2)))
    assert told.history() == []
    told.at(9, arrived(1))
    frozen = told.last()
    assert (frozen.trigger, frozen.kind, frozen.revision) == (Trigger.MANIFEST, Kind.INITIAL, 1)
    assert [member.visit for member in frozen.members] == [1, 2]
    assert (frozen.since, frozen.at, frozen.completeness, frozen.expected) == (0, 9, 1.0, 2)


def test_manifest_counts_the_withdrawn_as_heard_of() -> None:
    """An expected visit that is withdrawn is not waited for and not named as missing."""
    told = run((0, manifest(1, 2, 3)), (1, arrived(1)), (2, withdrawn(3)), (3, arrived(2)))
    assert standing(told.last()).keys() == {1, 2}
    assert told.last().missing == ()


def test_manifest_may_come_last() -> None:
    """A manifest whose visits have all arrived completes the group itself."""
    told = run(*_THREE[:2], (3, manifest(1, 2)))
    assert (told.last().trigger, told.last().at) == (Trigger.MANIFEST, 3)


def test_visits_outside_the_set_wait_unused() -> None:
    """A visit that the manifest does not name is kept, but is no member until one names it."""
    told = run((0, manifest(1, 2)), (1, arrived(7)), (2, arrived(1)), (3, arrived(2)))
    assert standing(told.last()).keys() == {1, 2}
    told.at(4, manifest(1, 2, 7, version=2))
    told.tick(24)
    assert standing(told.last()).keys() == {1, 2, 7}
    assert told.last().trigger is Trigger.UPDATE


def test_higher_manifest_wins_and_lower_is_superseded() -> None:
    """Of two manifests the higher version stands in whatever order they come."""
    wide, narrow = manifest(1, 2, 3, version=1), manifest(1, 2, version=2)
    for order in ((wide, narrow), (narrow, wide)):
        told = run((0, order[0]), (1, order[1]), (2, arrived(1)), (3, arrived(2)))
        assert standing(told.last()).keys() == {1, 2}


def test_narrower_manifest_puts_members_out() -> None:
    """Members that a newer manifest leaves out are gone from the next revision, and named."""
    told = run(*_THREE, (3, manifest(1, 2, 3)), (4, manifest(1, 3, version=2)), (24, None))
    assert standing(told.last()).keys() == {1, 3}
    assert told.last().withdrawn == (2,)


def test_manifest_that_names_a_visit_twice_expects_it_once() -> None:
    """The expected set is a set."""
    told = run((0, manifest(2, 1, 2)), (1, arrived(1)), (2, arrived(2)))
    assert (told.last().expected, told.last().completeness) == (2, 1.0)


def test_manifest_that_names_nothing_freezes_nothing() -> None:
    """An empty set is complete at once, holds nothing and stops nobody from sending a better."""
    told = run((0, manifest()), (1, arrived(1)), (500, arrived(2)))
    assert told.history() == []
    told.at(501, manifest(1, 2, version=2))
    assert told.last().trigger is Trigger.MANIFEST


def test_count_completes_at_the_largest_number_told() -> None:
    """The largest expected number stands, whatever order the numbers come in."""
    told = run((0, arrived(1, expected=3)), (1, arrived(2, expected=2)))
    assert told.history() == []
    told.at(2, arrived(3))
    assert (told.last().trigger, told.last().expected) == (Trigger.COUNT, 3)


def test_count_is_off_while_a_set_is_known() -> None:
    """An exact set knows better than a number."""
    told = run((0, manifest(1, 2, 3)), (1, arrived(1, expected=2)), (2, arrived(2, expected=2)))
    assert told.history() == []


def test_closed_completes_at_once() -> None:
    """A closing freezes what there is, however few."""
    told = run(*_THREE[:2], (3, closed()))
    assert (told.last().trigger, told.last().at) == (Trigger.CLOSED, 3)
    assert not told.last().incomplete


def test_closed_names_what_the_manifest_misses() -> None:
    """Closing a group before its set is whole leaves a completeness below one."""
    told = run((0, manifest(1, 2, 3, 4)), *_THREE, (3, closed()))
    assert (told.last().completeness, told.last().missing) == (0.75, (4,))


def test_what_comes_after_a_closing_is_gathered() -> None:
    """Arrivals into a closed group freeze when they have settled, all in one revision."""
    told = run((0, closed()), (1, arrived(1)), (11, arrived(2)), (21, arrived(3)))
    assert told.history() == []
    told.tick(41)
    assert (told.last().trigger, len(told.last().members)) == (Trigger.CLOSED, 3)
    assert len(told.history()) == 1


def test_closing_of_an_older_version_says_nothing() -> None:
    """The highest closing wins; the same or a lower one changes nothing."""
    told = run((0, closed(2)), (1, arrived(1)))
    for version in (1, 2):
        assert told.at(2, closed(version)).header is None


def test_quiet_completes_a_quorum() -> None:
    """A quorum without an arrival for `quiet_ms` is complete at that moment."""
    told = run(*_THREE)
    assert next_timer(told.group, POLICY) == 52
    told.tick(100)
    assert (told.last().trigger, told.last().at) == (Trigger.QUIET, 52)


def test_quiet_needs_a_quorum_and_is_prolonged_by_arrivals() -> None:
    """Below the quorum only the deadline counts; each newer version of a visit is an arrival."""
    told = run(*_THREE[:2])
    assert next_timer(told.group, POLICY) == 400
    told.at(2, arrived(3))
    told.at(30, arrived(3, version=1))
    assert next_timer(told.group, POLICY) == 80


def test_quiet_is_not_prolonged_by_redelivery() -> None:
    """A duplicate or an older version is no arrival."""
    told = run(*_THREE, (5, arrived(3, version=2)))
    told.at(20, arrived(3, version=2), arrived(3, version=1))
    assert next_timer(told.group, POLICY) == 55


def test_withdrawal_is_no_arrival() -> None:
    """Quiet is not prolonged by what goes away."""
    told = run(*_THREE, (3, arrived(4)), (20, withdrawn(1)))
    assert next_timer(told.group, POLICY) == 53


def test_withdrawal_takes_a_quorum_back() -> None:
    """Quiet counts members, not visits heard of."""
    told = run(*_THREE, (5, withdrawn(1)))
    assert next_timer(told.group, POLICY) == 400


@pytest.mark.parametrize("known", [manifest(1, 2, 3, 4), arrived(3, version=1, expected=9)])
def test_quiet_is_off_while_a_set_or_count_is_known(known: Event) -> None:
    """Whoever says what to expect is waited for to the deadline."""
    told = run(*_THREE, (5, known))
    assert next_timer(told.group, POLICY) == 400


def test_deadline_counts_from_the_first_event() -> None:
    """The deadline freezes what there is, and names the missing visits."""
    told = run((10, manifest(1, 2, 3, 4)), (20, arrived(1)), (30, arrived(4)))
    told.tick(1000)
    frozen = told.last()
    assert (frozen.trigger, frozen.at, frozen.since) == (Trigger.DEADLINE, 410, 10)
    assert (frozen.missing, frozen.completeness) == ((2, 3), 0.5)


def test_manifest_brings_its_own_deadline() -> None:
    """A deadline in a manifest counts from the manifest, and goes before the policy's."""
    told = run((10, arrived(1)), (11, arrived(2)), (30, manifest(1, 2, 3, deadline=1000)))
    assert next_timer(told.group, POLICY) == 1030


def test_deadline_of_zero_fires_with_its_manifest() -> None:
    """A manifest may say that nothing more is waited for."""
    told = run((10, manifest(1, 2, deadline=0)))
    assert (told.last().trigger, told.last().at) == (Trigger.DEADLINE, 10)


def test_deadline_that_a_manifest_shortens_into_the_past_fires_with_it() -> None:
    """A newer manifest without a deadline of its own falls back on the policy's, at once."""
    told = run((0, arrived(1)), (1, arrived(2)), (30, manifest(1, 2, 3, deadline=1000)))
    told.at(600, manifest(1, 2, 3, version=2))
    assert (told.last().trigger, told.last().at) == (Trigger.DEADLINE, 600)


def test_deadline_of_a_group_without_members_publishes_what_is_missing() -> None:
    """A manifest whose visits never come is an incomplete revision that names them."""
    told = run((0, manifest(1, 2)), (400, None))
    assert (told.last().members, told.last().missing) == ((), (1, 2))
    assert told.last().incomplete


def test_first_rule_that_fires_wins() -> None:
    """A rule that fires later finds the group complete and makes no revision of its own."""
    told = run((0, manifest(1, 2)), (1, arrived(1)), (2, arrived(2)), (3, closed()), (900, None))
    assert [frozen.trigger for frozen in told.history()] == [Trigger.MANIFEST]


def test_rules_that_fire_together_go_by_their_order() -> None:
    """Of quiet and deadline at the same moment quiet is named."""
    told = run((0, arrived(1)), (0, arrived(2)), (350, arrived(3)), (400, None))
    assert told.last().trigger is Trigger.QUIET


def test_fewer_than_min_members_is_incomplete() -> None:
    """A lone member at its deadline is published as incomplete and opens with the next arrival."""
    told = run((0, arrived(1)), (400, None), (401, published(1, reference=1)))
    assert told.last().incomplete
    told.at(500, arrived(2))
    assert next_timer(told.group, POLICY) == 900
    told.at(510, arrived(3))
    told.tick(560)
    frozen = told.last()
    assert (frozen.revision, frozen.kind, frozen.trigger) == (2, Kind.UPDATE, Trigger.QUIET)
    assert not frozen.incomplete
    assert frozen.since == 500


def test_withdrawal_alone_does_not_open_an_incomplete_group() -> None:
    """What an incomplete revision loses is gathered as any change is, and retracts it."""
    told = run((0, arrived(1)), (400, None), (410, withdrawn(1)))
    assert next_timer(told.group, POLICY) == 430
    told.tick(430)
    assert (told.last().kind, told.last().incomplete) == (Kind.RETRACTION, False)


def test_visit_outside_the_set_does_not_open_an_incomplete_group() -> None:
    """What would be no member is not waited with."""
    told = run((0, manifest(1, 2)), (0, arrived(1)), (400, None), (410, arrived(9)))
    assert told.last().incomplete
    assert next_timer(told.group, POLICY) is None


def test_spent_deadline_of_a_manifest_does_not_close_a_group_that_opens_again() -> None:
    """Opened again after the manifest's deadline, a group gets the policy's from then on."""
    told = run((0, manifest(1, 2, 3, deadline=50)), (1, arrived(1)), (60, arrived(2)))
    assert told.last().incomplete
    assert next_timer(told.group, POLICY) == 460


def test_group_with_nothing_to_freeze_rests() -> None:
    """A deadline without members or missing visits makes no revision and does not come again."""
    told: Run = run((0, withdrawn(1)), (400, None))
    assert told.history() == []
    assert next_timer(told.group, POLICY) is None
    told.at(500, arrived(2))
    assert next_timer(told.group, POLICY) == 900
