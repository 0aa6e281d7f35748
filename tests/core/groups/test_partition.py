"""The clock, the order of the timers, and reading a partition back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import msgspec
import pytest

from core.groups import Expected, Frozen, Header, Member, Partition, Policy
from core.groups.changed import replace
from tests.core.groups.drive import (
    KEY,
    POLICY,
    Run,
    arrived,
    closed,
    manifest,
    measured,
    published,
    run,
    sealed,
    suspected,
    withdrawn,
)


def _busy() -> Run:
    """Make a partition with something of everything in it."""
    told = run((0, manifest(1, 2, 3, reference=2)), (1, arrived(1)), (1, measured(1)))
    told.at(2, arrived(2), withdrawn(3))
    told.at(3, arrived(1, 1))
    told.at(9, arrived(8, expected=4), key="live/sky/1/2/g")
    told.at(10, closed(), arrived(9), key="live/sky/1/2/z")
    return told


def test_clock_never_goes_back() -> None:
    """A record stamped earlier than the clock happens at the clock."""
    told = run((100, arrived(1)), (40, arrived(2)))
    assert told.partition.clock == 100
    assert told.group.members[2].at == 100


def test_every_record_moves_the_clock() -> None:
    """A record without an event, dead or a tick, fires what is due."""
    told = run((0, arrived(1)), (0, arrived(2)), (0, arrived(3)))
    told.tick(50)
    assert len(told.history()) == 1
    assert told.partition.clock == 50


def test_timer_fires_before_the_record_that_reaches_it() -> None:
    """A warp stamped at the very moment of the deadline is late."""
    told = run((0, arrived(1)), (0, arrived(2)), (400, arrived(3)))
    assert [member.visit for member in told.last().members] == [1, 2]
    assert told.header.changed == 1


def test_timers_fire_in_the_order_of_due_and_key() -> None:
    """Groups that are due fire by due time, then by key, each at its own time."""
    told = Run()
    for key in "bcad":
        told.at(0, arrived(1), key=key)
    told.at(0, manifest(1, 2, deadline=300), key="c")
    fired = [(key, put.frozen[0].at) for key, put in told.partition.advance(1000)]
    assert fired == [("c", 300), ("a", 400), ("b", 400), ("d", 400)]
    assert told.partition.clock == 1000


def test_timers_can_be_fired_in_pieces() -> None:
    """Advancing can be interrupted between two timers and taken up again."""
    told = Run()
    for key in "abc":
        told.at(0, arrived(1), key=key)
    first = next(told.partition.advance(1000))
    assert (first[0], told.partition.clock) == ("a", 400)
    assert [key for key, _ in told.partition.advance(1000)] == ["b", "c"]


def test_next_due_names_the_first_timer() -> None:
    """An owner that has caught up knows when to send a tick."""
    told = Run()
    assert told.partition.next_due() is None
    told.at(5, arrived(1))
    assert told.partition.next_due() == 405


def test_what_comes_from_inside_does_not_move_the_clock() -> None:
    """A result that carries the owner's own time happens at the stream's time."""
    told = run((10, arrived(1)))
    told.partition.feed(KEY, replace(measured(1), at=1_000_000))
    assert told.partition.clock == 10
    assert told.partition.next_due() == 410


def test_event_that_changes_nothing_makes_no_group() -> None:
    """A result for a group that is not known leaves no trace in memory or changelog."""
    told = Run()
    told.at(0, measured(1), published(1))
    assert told.partition.groups == {}
    assert told.changelog.headers == {}


def test_fold_of_the_puts_is_the_state() -> None:
    """Reading the changelog back gives equal groups, clock and timers."""
    told = _busy()
    again = told.changelog.restore(lambda _: POLICY)
    assert again.groups == told.partition.groups
    assert again.timers() == told.partition.timers()
    assert again.clock == told.partition.clock
    assert len(again.groups) == 3


def test_tombstones_of_frozen_revisions_are_read_back() -> None:
    """A changelog that was not yet compacted holds a frozen revision and then its tombstone."""
    told = _busy()
    frozen = told.group.frozen[1]
    told.at(11, published(1))
    again = told.changelog.restore(lambda _: POLICY)
    again.load_frozen(KEY, frozen)
    again.load_released(KEY, 1)
    assert again.groups == told.partition.groups


def test_tombstones_of_forgotten_members_are_read_back() -> None:
    """A changelog that was not yet compacted holds members and a set, then their tombstones."""
    told = _busy()
    members, expected = dict(told.group.members), told.group.expected
    assert expected is not None
    told.at(11, sealed(), published(1), published(2))
    told.tick(11 + POLICY.seal_retention_ms)
    assert told.header.forgotten
    loads: list[Callable[[Partition], None]] = [
        lambda again: _load_and_forget(again, members),
        lambda again: _load_set_and_forget(again, expected),
        lambda again: again.load_header(KEY, told.header),
    ]
    for order in permutations(loads):
        again = Partition(lambda _: POLICY)
        for load in order:
            load(again)
        assert (again.groups[KEY].members, again.groups[KEY].expected) == ({}, None)
        again.restored()
        assert again.groups[KEY] == told.group
        assert again.timers() == {}


def _load_and_forget(again: Partition, members: dict[int, Member]) -> None:
    for visit, member in members.items():
        again.load_member(KEY, member)
        again.load_forgotten(KEY, visit)


def _load_set_and_forget(again: Partition, expected: Expected) -> None:
    again.load_expected(KEY, expected)
    again.load_forgotten_set(KEY)


def test_record_whose_tombstone_was_compacted_away_is_forgotten_all_the_same() -> None:
    """A header that says so is enough, whatever is still read beside it."""
    told = _busy()
    again = Partition(lambda _: POLICY)
    again.load_header(KEY, Header(frozen=1, published=1, sealed_at=1, forgotten=True))
    again.load_member(KEY, told.group.members[1])
    again.restored()
    assert again.groups[KEY].members == {}


def test_what_is_due_at_restore_fires_with_the_next_record() -> None:
    """Reading back fires nothing by itself."""
    told = _busy()
    again = told.changelog.restore(lambda _: POLICY)
    due = again.next_due()
    assert due is not None
    assert [key for key, _ in again.advance(due)] == [k for k, _ in told.partition.advance(due)]


def test_timer_that_a_new_policy_puts_into_the_past_fires_at_the_clock() -> None:
    """Read back under a shorter deadline, what is overdue happens now, not then."""
    told = run((0, arrived(1)), (0, arrived(2)), (300, arrived(1)))
    again = told.changelog.restore(lambda _: Policy(deadline_ms=50))
    assert again.next_due() == 50
    fired = [put.frozen[0].at for _, put in again.advance(310)]
    assert (fired, again.clock) == ([300], 310)


def test_policy_is_asked_by_group() -> None:
    """Groups of one partition can have different policies."""
    slow = Partition(lambda key: POLICY if key == "a" else Policy())
    for key in "ab":
        slow.feed(key, arrived(1))
    assert slow.timers() == {"a": 400, "b": 86_400_000}


@pytest.mark.parametrize("kind", [Header, Member, Expected, Frozen])
def test_state_survives_a_codec(kind: type[object]) -> None:
    """Each record of the state is plain values: written and read back it is equal."""
    told = _busy()
    told.at(11, published(1, 2, {1: "a", 2: "b"}), suspected(2), sealed())
    group = told.group
    values = [group.header, *group.members.values(), group.expected, *group.frozen.values()]
    some = [value for value in values if isinstance(value, kind)]
    assert some
    for value in some:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind) == value
        plain = msgspec.to_builtins(value, builtin_types=(bytes,))
        assert msgspec.convert(plain, kind) == value
