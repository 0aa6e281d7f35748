"""Bookkeeping of what is held: an error of an earlier holding never ends the present one."""

from __future__ import annotations

import pytest

from stream.log.holdings import Backoff, Contact, Holdings, Status, Strikes
from stream.log.seam import PartitionLostError


class _Held:
    """Holdings whose writers are words, and those that were dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.all: Holdings[str] = Holdings(self.dropped.append)


@pytest.fixture
def held() -> _Held:
    """Hold nothing yet."""
    return _Held()


def test_an_assignment_begins_with_fencing(held: _Held) -> None:
    """A new holding is in no state but FENCING, and changes tell of it once."""
    held.all.assign([1, 2])
    assert held.all.get(1, Status.FENCING).status is Status.FENCING
    assert held.all.changes() == (frozenset(), frozenset({1, 2}))
    assert not held.all.changed
    assert held.all.changes() == (frozenset(), frozenset())


def test_only_a_holding_that_is_far_enough_is_given(held: _Held) -> None:
    """What is not assigned, or not so far, is lost; the error names the partition."""
    held.all.assign([1])
    with pytest.raises(PartitionLostError, match=r"partition 1 .*FENCING"):
        held.all.get(1, Status.ACTIVE)
    with pytest.raises(PartitionLostError, match=r"partition 2 .*not assigned"):
        held.all.get(2, Status.FENCING)


def test_a_rebalance_ends_everything(held: _Held) -> None:
    """Revoking takes all, drops each writer once, and marks each holding as lost."""
    held.all.assign([1, 2])
    held.all.changes()
    one = held.all.get(1, Status.FENCING)
    one.writer, one.status = "writer", Status.ACTIVE
    assert [holding.partition for holding in held.all.active()] == [1]
    held.all.revoke()
    held.all.revoke()
    assert one.status is Status.LOST
    assert held.dropped == ["writer"]
    assert list(held.all.active()) == []
    assert held.all.changes() == (frozenset({1, 2}), frozenset())


def test_a_partition_may_go_and_come_between_two_looks(held: _Held) -> None:
    """Then it is in both changes; and what came and went is not told as assigned."""
    held.all.assign([1])
    held.all.changes()
    held.all.revoke()
    held.all.assign([1, 2])
    assert held.all.changes() == (frozenset({1}), frozenset({1, 2}))
    held.all.revoke()
    held.all.assign([3])
    held.all.revoke()
    assert held.all.changes() == (frozenset({1, 2, 3}), frozenset())


def test_an_error_of_an_earlier_epoch_says_nothing(held: _Held) -> None:
    """Losing an earlier holding leaves the present one as it is."""
    held.all.assign([1])
    earlier = held.all.get(1, Status.FENCING)
    held.all.revoke()
    held.all.assign([1])
    present = held.all.get(1, Status.FENCING)
    assert present.epoch > earlier.epoch
    assert not held.all.lose(earlier)
    assert held.all.holds(present)
    assert not held.all.holds(earlier)


def test_the_present_holding_is_lost_once(held: _Held) -> None:
    """Losing it ends it and nothing else; the second time it is an earlier one."""
    held.all.assign([1, 2])
    held.all.changes()
    one = held.all.get(1, Status.FENCING)
    one.writer = "writer"
    assert held.all.lose(one)
    assert not held.all.lose(one)
    assert held.dropped == ["writer"]
    assert held.all.changes() == (frozenset({1}), frozenset())
    assert held.all.get(2, Status.FENCING)


def test_an_assignment_over_another_ends_it(held: _Held) -> None:
    """A client that forgets to revoke does not leave two holdings of one partition."""
    held.all.assign([1])
    held.all.get(1, Status.FENCING).writer = "writer"
    held.all.assign([1])
    assert held.dropped == ["writer"]
    assert held.all.changes() == (frozenset({1}), frozenset({1}))


def test_waiting_doubles_while_losses_follow_each_other() -> None:
    """From the first to the longest, and from the first again after a calm."""
    backoff = Backoff(0.5, 4.0)
    assert [backoff.next(float(now)) for now in range(5)] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert backoff.next(12.5) == 0.5


def test_three_within_ten_minutes_are_too_many() -> None:
    """Two are not, and neither are three over a longer time."""
    strikes = Strikes()
    assert [strikes.add(now) for now in (0.0, 500.0, 700.0, 1000.0)] == [False, False, False, True]


def test_a_silent_broker_is_lost_after_its_grace() -> None:
    """Any change of the stamp is a sign of life; while no answer is due, none is missed."""
    contact = Contact(10.0)
    assert not any(contact.lost(1, float(now)) for now in range(11))
    assert contact.lost(1, 10.1)
    assert not contact.lost(2, 10.2)
    assert not any(contact.lost(None, float(now)) for now in range(11, 30))
    assert not any(contact.lost(2, float(now)) for now in range(30, 41))
    assert contact.lost(2, 40.1)


def test_our_own_absence_is_not_the_brokers() -> None:
    """After a long time in which nobody asked, the broker gets its time to answer."""
    contact = Contact(10.0)
    assert not contact.lost(1, 0.0)
    assert not contact.lost(1, 1000.0)
    assert not any(contact.lost(1, 1000.0 + now) for now in range(1, 9))
    assert contact.lost(1, 1008.5)
