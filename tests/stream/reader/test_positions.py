"""Positions as text, and which summaries they say are settled."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.reader.positions import PositionsError, Progress

TOPIC = "evensky.groups"
OFFSETS = st.lists(st.integers(0, 20), unique=True).map(sorted)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=4), st.data())
def test_text_says_all(nexts: Sequence[int], data: st.DataObject) -> None:
    """What is read back from the text gives the same text and starts."""
    partitions = st.integers(0, len(nexts) - 1)
    waiting = data.draw(st.lists(st.tuples(partitions, st.integers(0, 99)), unique=True))
    text = Progress(nexts).text(TOPIC, waiting)
    again = Progress.parse(text, TOPIC, len(nexts))
    assert again.text(TOPIC, ()) == text
    for partition, start in enumerate(again.starts):
        mine = [offset for at, offset in waiting if at == partition]
        assert start == min([nexts[partition], *mine])


@given(st.integers(0, 20), OFFSETS, OFFSETS)
def test_what_is_settled_is_not_wanted_again(
    read: int, opened: Sequence[int], held: Sequence[int]
) -> None:
    """Of the offsets that the log still holds, those open and those not read yet are wanted."""
    behind = [offset for offset in opened if offset < read]
    progress = Progress([read], {0: behind})
    wanted = [offset for offset in held if progress.wants(0, offset)]
    assert wanted == [offset for offset in held if offset >= read or offset in behind]
    assert not [offset for offset in held if progress.wants(0, offset)]


@given(st.integers(0, 20), OFFSETS, OFFSETS)
def test_open_offsets_go_when_they_are_passed(
    read: int, opened: Sequence[int], held: Sequence[int]
) -> None:
    """An open summary that was compacted away is open no more once what stands behind is read."""
    behind = [offset for offset in opened if offset < read]
    progress = Progress([read], {0: behind})
    for offset in held:
        progress.wants(0, offset)
    last = held[-1] if held else -1
    left = [offset for offset in behind if offset > last]
    assert progress.text(TOPIC, ()) == Progress([max(read, last + 1)], {0: left}).text(TOPIC, ())


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    """Whatever was stored in its place, the error is one that names it."""
    with pytest.raises(PositionsError):
        Progress.parse(text, TOPIC, 1)
