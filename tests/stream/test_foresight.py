"""What was matched ahead is found by the revision that holds the very warps, within its bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import core
import schemas
from core import groups
from core.groups.changed import replace as changed
from stream.batch import BatchGroup
from stream.foresight import AheadLimits, Foresight, Pair
from stream.jobs import Matched

KEY, OTHER = "live/s/1/0/r", "live/s/1/1/r"


def pair(visit: int, reference: int = 9, name: str = "a") -> Pair:
    """Return what was matched; the name is that of the warp's input."""
    return Pair(visit, f"{name}{visit}", reference, f"a{reference}")


def matched(visit: int, side: int = 2) -> Matched:
    """Return a match whose model has so many bins a side."""
    values = np.zeros((side, side), np.float32)
    counts = np.zeros((side, side), np.int32)
    style, fewer = core.InterpStyle.CONSTANT, core.UndersampleStyle.REDUCE_INTERP_ORDER
    background = core.SplineBackground(values, values, counts, 100, 100, style, fewer)
    return Matched(visit, background, 0.5, 4.5, 4.0, (0, 0), "matched", None)


def frozen(*names: str) -> groups.Frozen:
    """Return a revision of warps by their inputs' names, a letter and the visit."""
    members = tuple(groups.FrozenMember(int(name[1:]), name, b"") for name in names)
    empty = BatchGroup(schemas.GroupId.parse(KEY), {}).frozen(None)
    return changed(empty, members=members)


def held(foresight: Foresight, *keys: str) -> list[tuple[str, int]]:
    """Return what is held, by group and visit."""
    return [(key, one.visit) for key in keys for one in foresight.pairs(key)]


def test_only_matches_of_the_very_warps_are_found() -> None:
    """A match is found if the revision holds both warps as they were."""
    foresight = Foresight()
    for visit in (1, 2):
        foresight.put(KEY, pair(visit), matched(visit))
    assert [*foresight.find(KEY, frozen("a1", "a2", "a9"))] == [1, 2]
    assert [*foresight.find(KEY, frozen("a1", "b2", "a9"))] == [1]
    assert [*foresight.find(KEY, frozen("a1", "a2", "b9"))] == []
    assert [*foresight.find(KEY, frozen("a1", "a2"))] == []
    assert [*foresight.find(OTHER, frozen("a1", "a2", "a9"))] == []
    assert [*foresight.find(KEY, frozen("a1", "a2", "a9"), {2: "known"})] == [1]
    assert [*foresight.find(KEY, frozen("a1", "a2", "a9"), {1, 2, 3})] == []


def test_names_that_are_equal_are_held_once() -> None:
    """Each answer brings names of its own; thousands of them would be nothing but memory."""
    foresight = Foresight()
    for visit in (1, 2, 3):
        absent = ("NO_DATA", f"GONE{visit // 3}")
        foresight.put(KEY, pair(visit), replace(matched(visit), absent=absent))
    found = foresight.find(KEY, frozen("a1", "a2", "a3", "a9"))
    first, second, third = (one.result for one in found.values())
    assert isinstance(first, Matched)
    assert isinstance(second, Matched)
    assert isinstance(third, Matched)
    assert first.absent is second.absent
    assert (second.absent, third.absent) == (("NO_DATA", "GONE0"), ("NO_DATA", "GONE1"))


def test_each_match_is_counted_once() -> None:
    """A match is used, or replaced by another, or of no use at the end; the same again is none."""
    told: Counter[str] = Counter()
    foresight = Foresight(on_settled=lambda outcome, count: told.update({outcome: count}))
    for one in (pair(1), pair(1), pair(2, 8), pair(2), pair(3, 8)):
        foresight.put(KEY, one, matched(one.visit))
    assert told == {"discarded": 1}
    foresight.settle(KEY, 9)
    assert told == {"used": 2, "discarded": 2}
    assert held(foresight, KEY) == []
    foresight.settle(KEY, 9)
    assert told == {"used": 2, "discarded": 2}


def test_the_group_that_was_touched_longest_ago_gives_way() -> None:
    """Beyond the bound matches go, of the oldest group first, and of a group the oldest first."""
    foresight = Foresight(AheadLimits(max_bytes=10_000))
    for key, visit in ((KEY, 1), (OTHER, 1), (KEY, 2), (OTHER, 2)):
        foresight.put(key, pair(visit), matched(visit))
    foresight.put(KEY, pair(3), matched(3))
    assert held(foresight, KEY, OTHER) == [(KEY, 1), (KEY, 2), (KEY, 3), (OTHER, 2)]
    foresight.put(KEY, pair(4), matched(4))
    assert held(foresight, KEY, OTHER) == [(KEY, 1), (KEY, 2), (KEY, 3), (KEY, 4)]
    foresight.put(KEY, pair(5), matched(5))
    assert held(foresight, KEY, OTHER) == [(KEY, 2), (KEY, 3), (KEY, 4), (KEY, 5)]


@pytest.mark.parametrize("side", [2, 100])
def test_the_arrays_count(side: int) -> None:
    """What is larger than the bound is not held; a model counts with its arrays."""
    foresight = Foresight(AheadLimits(max_bytes=10_000))
    foresight.put(KEY, pair(1), matched(1, side))
    assert held(foresight, KEY) == ([(KEY, 1)] if side == 2 else [])
