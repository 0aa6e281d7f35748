"""The collector of cycles: off while a state is read back, on again behind it, however it ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from stream.collector import uncollected


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_made_is_never_looked_at_again() -> None:
    """Nothing is collected meanwhile; what was made is put aside, and the collector goes on."""
    before = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
        made = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_a_failure_puts_nothing_aside() -> None:
    """What was made in vain is collected as ever."""
    before = gc.get_freeze_count()
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize("first", [0, 1])
def test_two_at_once(first: int) -> None:
    """Partitions that are read back at the same time leave the collector on, in whatever order."""
    stacks = [ExitStack(), ExitStack()]
    for stack in stacks:
        stack.enter_context(uncollected())
    stacks[first].close()
    stacks[1 - first].close()
    assert gc.isenabled()


def test_who_has_it_off_keeps_it_off() -> None:
    """A collector that was off stays off."""
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
