"""Labels: sets that nobody outside can grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.labels import OTHER, Bands, Labels


def test_closed() -> None:
    """What is in the set keeps its name, everything else is one."""
    labels = Labels("ok", "error")
    assert [labels("ok"), labels("error"), labels("drop table")] == ["ok", "error", OTHER]
    assert labels.all == ("ok", "error", OTHER)


@given(st.lists(st.text()))
def test_bands_are_bounded(names: list[str]) -> None:
    """However many bands turn up, there are few labels."""
    bands = Bands(most=4)
    assert len({bands(name) for name in names}) <= 5


def test_bands_stay() -> None:
    """A band that has a label keeps it."""
    bands = Bands(most=2)
    assert [bands(name) for name in "grizg"] == ["g", "r", OTHER, OTHER, "g"]
