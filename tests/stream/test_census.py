"""Counting groups, and finding those that wait longest."""

from __future__ import annotations

import asyncio
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from core import groups
from stream.census import SEALED, STATES, Census, keep_counting, take_census
from tests.core.groups.drive import arrived, manifest

POLICY = groups.Policy(quiet_ms=None)


def _partition(starts: list[int]) -> groups.Partition:
    """Open one group at each time; the third of them, and every third after it, becomes due."""
    state = groups.Partition(lambda _: POLICY)
    for number, at in enumerate(sorted(starts)):
        assert list(state.advance(at)) == []
        key = f"live/s/0/{number}/r"
        state.feed(key, arrived(1))
        state.feed(key, arrived(2))
        if number % 3 == 2:
            state.feed(key, manifest(1, 2))
    return state


@given(st.lists(st.integers(1, 10_000), max_size=12), st.integers(1, 4))
async def test_counted(starts: list[int], most: int) -> None:
    """Each group is counted once, and the longest waiting of a state are listed in order."""
    state = _partition(starts)
    census = await take_census([state, groups.Partition(lambda _: POLICY)], most)
    due = len(starts) // 3
    assert census.counts[groups.Phase.DUE] == due
    assert census.counts[groups.Phase.OPEN] == len(starts) - due
    assert sum(census.counts.values()) == len(starts)
    assert census.members_open == 2 * (len(starts) - due)
    opened = sorted(t for n, t in enumerate(sorted(starts)) if n % 3 != 2)
    listed = [one.since for one in census.longest[groups.Phase.OPEN]]
    assert listed == opened[:most]
    assert census.oldest.get(groups.Phase.OPEN) == (opened[0] if opened else None)


async def test_detail() -> None:
    """Of a due group its set, its members and its revision are told."""
    census = await take_census([_partition([1, 2, 3])], 5)
    (waiting,) = census.longest[groups.Phase.DUE]
    assert waiting.detail["members"] == 2
    assert waiting.detail["expected"] == 2
    assert waiting.detail["revision_due"] == 1
    assert waiting.detail["revision_published"] is None


async def test_sealed_groups_stand_for_themselves() -> None:
    """A sealed group is counted once it has nothing due, since its seal, and is told as sealed."""
    state = _partition([1, 2, 3, 4, 5, 6])
    keys = [f"live/s/0/{number}/r" for number in (2, 5)]
    for key in keys:
        state.feed(key, groups.Sealed(0, 0))
    state.feed(keys[0], groups.Published(0, 1, 1))
    census = await take_census([state], 5)
    assert (census.counts[SEALED], census.counts[groups.Phase.DUE]) == (1, 1)
    assert sum(census.counts.values()) == 6
    (sealed,) = census.longest[SEALED]
    assert (sealed.group, sealed.since, sealed.detail["sealed"]) == (keys[0], 6, True)
    (due,) = census.longest[groups.Phase.DUE]
    assert (due.group, due.detail["sealed"]) == (keys[1], True)
    assert set(census.longest) == set(census.counts) == set(STATES)


async def test_counting_goes_on_until_it_is_cancelled() -> None:
    """The count is told at once, and again and again; cancelling ends it."""
    told: asyncio.Queue[Census] = asyncio.Queue()
    task = asyncio.create_task(keep_counting(lambda: [_partition([1])], 3, told.put_nowait))
    first = await asyncio.wait_for(told.get(), 30)
    assert first.counts[groups.Phase.OPEN] == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
