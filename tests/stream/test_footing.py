"""A state is held against the log that it should belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest

import schemas
from core import groups
from stream.changelog import Restored
from stream.footing import accepted_losses, place_to_go_on
from stream.log.seam import Footing, LogRefusedError, Record
from stream.log.topics import Topics

LAST = Record("evensky.warps", 2, 6, 1234, b"key", b"value", (("ce_id", b"visit 6"),))
ANEW = "begin anew elsewhere"
THERE = Footing(first=3, end=9, committed=7, before=LAST, written=2, anew=ANEW)
STATE = schemas.Position(next_offset=7, timestamp=1234, ce_id="visit 6", clock=1300, partitions=4)
NEW = schemas.Position(next_offset=0, partitions=4)
EMPTY = Footing(first=0, end=0, committed=None, before=None, written=0, anew=ANEW)


def _hold(position: schemas.Position, footing: Footing, records: int = 5, accepted: int = 0) -> int:
    state = groups.Partition(lambda _: groups.Policy())
    restored = Restored(state, position, raised=False, records=records)
    return place_to_go_on(Topics(), 2, restored, footing, accepted)


@pytest.mark.parametrize(
    "footing",
    [
        THERE,
        replace(THERE, committed=3),
        replace(THERE, committed=None),
        replace(THERE, end=7),
        replace(THERE, first=7, before=None),
        replace(THERE, first=7, end=7, before=None),
    ],
)
def test_a_state_goes_on_from_its_own_position(footing: Footing) -> None:
    """Whatever became of the committed offset, and when the record itself has just expired."""
    assert _hold(STATE, footing) == 7
    assert _hold(STATE, footing, accepted=1000) == 7


@pytest.mark.parametrize("footing", [EMPTY, replace(EMPTY, end=9), replace(EMPTY, committed=0)])
def test_a_new_partition_begins_at_the_first_record(footing: Footing) -> None:
    """Without state, nothing read and nothing lost, all is new; an offset of 0 says as much."""
    assert _hold(NEW, footing, records=0) == 0


@pytest.mark.parametrize(
    ("footing", "said"),
    [
        (replace(THERE, committed=8), "was read to offset 8: the changelog was emptied"),
        (replace(THERE, first=8, before=None), "begins at 8 by now: retention deleted 1 records"),
        (replace(THERE, end=6, before=None), "ends at 6: it is another log"),
        (replace(THERE, before=None), "not the one that was read there"),
        (replace(THERE, before=replace(LAST, timestamp=1235)), "not the one that was read there"),
        (replace(THERE, before=replace(LAST, headers=())), "not the one that was read there"),
        (
            replace(THERE, before=replace(LAST, headers=(("ce_id", b"visit 5"),))),
            "not the one that was read there",
        ),
    ],
)
def test_a_state_of_another_log_is_refused(footing: Footing, said: str) -> None:
    """With what is wrong, the partition, both places, and how to begin anew."""
    with pytest.raises(LogRefusedError, match=said) as refused:
        _hold(STATE, footing)
    told = str(refused.value)
    assert told.startswith("partition 2: the state in evensky.state goes on at offset 7")
    assert told.endswith(", or begin anew elsewhere")


@pytest.mark.parametrize(
    ("footing", "said"),
    [
        (replace(EMPTY, end=9, committed=4), "was read to offset 4"),
        (replace(EMPTY, first=4, end=9), "begins at 4 by now"),
        (replace(EMPTY, first=9, end=9), "begins at 9 by now"),
        (replace(EMPTY, end=9, written=1), "evensky.state is empty and evensky.groups is not"),
    ],
)
def test_a_changelog_that_is_gone_is_no_new_partition(footing: Footing, said: str) -> None:
    """An empty state where something was read, or where records are gone, is no beginning."""
    with pytest.raises(LogRefusedError, match=said):
        _hold(NEW, footing, records=0)


GONE = replace(THERE, first=9, end=12, before=None)
"""Two records, 7 and 8, are lost unread."""


@pytest.mark.parametrize("accepted", [9, 10, 10**18])
def test_a_loss_that_is_accepted_is_passed_over(accepted: int) -> None:
    """Work goes on at the first record held, not at the offset up to which loss is accepted."""
    assert _hold(STATE, GONE, accepted=accepted) == 9
    late = replace(EMPTY, first=9, end=12)
    assert _hold(NEW, late, records=0, accepted=accepted) == 9


@pytest.mark.parametrize("accepted", [0, 7, 8])
def test_a_greater_loss_is_refused_with_the_words_that_accept_it(accepted: int) -> None:
    """What was accepted once is no leave to lose more."""
    with pytest.raises(LogRefusedError, match=r"deleted 2 .*, or go on .* --accept-loss 2:9, or"):
        _hold(STATE, GONE, accepted=accepted)


@pytest.mark.parametrize(
    ("position", "footing", "records"),
    [
        (STATE, replace(GONE, committed=8), 5),
        (STATE, replace(THERE, end=6, before=None), 5),
        (STATE, replace(THERE, before=None), 5),
        (NEW, replace(EMPTY, first=9, end=12, committed=4), 0),
        (NEW, replace(EMPTY, first=9, end=12, written=1), 0),
    ],
)
def test_nothing_else_can_be_accepted(
    position: schemas.Position, footing: Footing, records: int
) -> None:
    """Another log, or a changelog that is gone, is refused whatever loss was accepted."""
    with pytest.raises(LogRefusedError):
        _hold(position, footing, records, accepted=10**18)


def test_of_several_losses_of_a_partition_the_largest_counts() -> None:
    """In whatever order they are given."""
    assert accepted_losses(["2:90", "0:5", "2:100", "2:8"]) == {0: 5, 2: 100}
    assert accepted_losses([]) == {}
