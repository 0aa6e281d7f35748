"""The cost of an event grows neither with the members of its group nor with the open groups."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from core.groups import Event, Group, Member, Partition, Policy, apply, step
from tests.core.groups.drive import (
    arrived,
    closed,
    manifest,
    measured,
    published,
    reopened,
    sealed,
    suspected,
    withdrawn,
)

_POLICY = Policy()


class _NeverWalked(dict[int, Member]):
    """Members that can be looked up but not gone through or copied."""

    def _refuse(self, *_: object) -> object:
        raise AssertionError("an ordinary event went through all members")

    __iter__ = keys = values = items = copy = __or__ = _refuse  # type: ignore[assignment]  # any way round is refused


def _steps(work: Callable[[], object]) -> int:
    """Count the lines of Python that a call runs: a measure of cost that no machine disturbs."""
    count = 0

    def trace(_frame: FrameType, what: str, _arg: Any) -> Any:
        nonlocal count
        count += what == "line"
        return trace

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(old)
    return count


def _group(members: int, *, frozen: bool) -> Group:
    group = Group()
    told: list[Event] = [arrived(visit) for visit in range(members)]
    if frozen:
        told += [closed()]
    else:
        told += [manifest(*range(members + 100))]
    for event in told:
        apply(group, step(group, event, _POLICY))
    return group


_EVENTS: list[Event] = [
    arrived(1),
    arrived(1, 1),
    arrived(5000),
    withdrawn(2),
    withdrawn(6000),
    measured(1),
    closed(0),
    suspected(3),
    sealed(),
    reopened(),
]


@pytest.mark.parametrize("event", _EVENTS, ids=lambda event: type(event).__name__.lower())
def test_event_does_not_walk_through_the_members(event: Event) -> None:
    """An event that freezes nothing looks up its own visit, and takes the same steps at any N."""
    steps = []
    for members in (10, 1000):
        group = _group(members, frozen=True)
        group.members = _NeverWalked(group.members)
        steps.append(_steps(lambda group=group: step(group, event, _POLICY)))  # type: ignore[misc]  # the type of a lambda cannot be told
    assert steps[0] == steps[1]


def test_publishing_does_not_walk_through_the_members() -> None:
    """The end of a revision rewrites the header and what was sent, and forgets the frozen set."""
    group = _group(1000, frozen=True)
    group.members = _NeverWalked(group.members)
    put = step(group, published(1, 3, {3: "a", 4: "b"}), _POLICY)
    assert ([m.visit for m in put.members], put.released) == ([3, 4], (1,))


def test_expected_set_is_searched_and_not_walked() -> None:
    """An arrival in a group with a manifest costs the logarithm of the set at most."""
    small, large = (_group(members, frozen=False) for members in (10, 5000))
    cost = [_steps(lambda g=g: step(g, arrived(9999), _POLICY)) for g in (small, large)]  # type: ignore[misc]  # the type of a lambda cannot be told
    assert cost[0] == cost[1]


def test_cost_does_not_grow_with_open_groups() -> None:
    """An arrival takes the same steps among ten and among five thousand open groups."""
    cost = []
    for groups in (10, 5_000):
        partition = Partition(lambda _: _POLICY)
        for number in range(groups):
            partition.feed(f"group-{number}", arrived(1))
        assert len(partition.timers()) == groups
        cost.append(_steps(lambda p=partition: p.feed("group-5", arrived(2))))  # type: ignore[misc]  # the type of a lambda cannot be told
    assert cost[0] == cost[1]
