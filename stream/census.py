"""How many groups there are in each state, and which of them wait longest.

A partition may hold a million groups, so the count is taken in the background, a little at a
time, and whoever asks gets the last one.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from core import groups

__all__ = ["MOST_GROUPS", "SEALED", "STATES", "Census", "Waiting", "keep_counting", "take_census"]

MOST_GROUPS: Final = 1000
"""The most groups that one answer to operators lists."""

SEALED: Final = "sealed"
STATES: Final = (*map(str, groups.Phase), SEALED)
"""Where a group can stand, for operators: a sealed one is so once nothing of it is due."""

_BREATH: Final = 1000
_LEAST_PAUSE_S: Final = 1.0
_PAUSE_RATIO: Final = 50.0


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """One group, and what it waits for.

    Attributes
    ----------
    since : int
        Stream time since which it waits, ms.
    group : str
        Its key.
    state : str
        One of `STATES`.
    detail : mapping
        What an operator wants to know of it.
    """

    since: int
    group: str
    state: str = field(compare=False)
    detail: Mapping[str, object] = field(compare=False)


@dataclass(slots=True)
class Census:
    """One count.

    Attributes
    ----------
    counts : dict of str to int
        Groups by state.
    members_open : int
        Warps in open groups.
    oldest : dict of str to int
        Stream time since which the oldest group of a state waits, ms.
    longest : dict of str to list of Waiting
        The groups of each state that have waited longest, longest first.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    members_open: int = 0
    oldest: dict[str, int] = field(default_factory=dict)
    longest: dict[str, list[Waiting]] = field(default_factory=dict)


async def take_census(partitions: Iterable[groups.Partition], most: int) -> Census:
    """Count, giving way to other work again and again.

    Parameters
    ----------
    partitions : iterable of Partition
    most : int
        Groups that are listed by state.
    """
    census = Census()
    heaps: dict[str, list[tuple[int, Waiting]]] = {state: [] for state in STATES}
    for partition in partitions:
        for number, (key, group) in enumerate(list(partition.groups.items())):
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            _count(census, heaps, key, group, most)
    for state, heap in heaps.items():
        census.longest[state] = sorted(waiting for _, waiting in heap)
    return census


def _count(
    census: Census,
    heaps: dict[str, list[tuple[int, Waiting]]],
    key: str,
    group: groups.Group,
    most: int,
) -> None:
    state = _state(group.header)
    census.counts[state] += 1
    if state == groups.Phase.OPEN:
        census.members_open += group.header.present
    since = _since(group, state)
    census.oldest[state] = min(since, census.oldest.get(state, since))
    heap = heaps[state]
    if len(heap) >= most and -since <= heap[0][0]:
        return
    push = heapq.heappush if len(heap) < most else heapq.heapreplace
    push(heap, (-since, Waiting(since, key, state, _detail(group))))


def _state(header: groups.Header) -> str:
    phase = header.phase
    ended = header.sealed_at is not None and phase is not groups.Phase.DUE
    return SEALED if ended else str(phase)


def _since(group: groups.Group, state: str) -> int:
    header = group.header
    if state == SEALED:
        return header.sealed_at or 0
    if group.frozen:
        return min(frozen.at for frozen in group.frozen.values())
    return header.opened_at or header.last_arrival or 0


def _detail(group: groups.Group) -> dict[str, object]:
    header, expected = group.header, group.expected
    return {
        "members": header.present,
        "expected": header.count if expected is None else len(expected.visits),
        "accounted": None if expected is None else header.accounted,
        "revision_due": min(group.frozen, default=None),
        "revision_published": header.published or None,
        "reference": header.reference,
        "sealed": header.sealed_at is not None,
        "forgotten": header.forgotten,
    }


async def keep_counting(
    partitions: Callable[[], Iterable[groups.Partition]],
    most: int,
    tell: Callable[[Census], None],
) -> None:
    """Count for ever, spending a small share of the time on it.

    Parameters
    ----------
    partitions : callable
        Returns what is to be counted.
    most : int
        Groups that are listed by state.
    tell : callable
        Gets each count.
    """
    while True:
        started = time.monotonic()
        tell(await take_census(list(partitions()), most))
        spent = time.monotonic() - started
        await asyncio.sleep(max(_LEAST_PAUSE_S, _PAUSE_RATIO * spent))
