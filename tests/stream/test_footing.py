"""A state is held against the log that it should belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest

import schemas
from core import groups
from stream.changelog import Restored
from stream.footing import refuse_other_log
from stream.log.seam import Footing, LogRefusedError, Record
from stream.log.topics import Topics

LAST = Record("evensky.warps", 2, 6, 1234, b"key", b"value", (("ce_id", b"visit 6"),))
ANEW = "begin anew elsewhere"
THERE = Footing(first=3, end=9, committed=7, before=LAST, written=2, anew=ANEW)
STATE = schemas.Position(next_offset=7, timestamp=1234, ce_id="visit 6", clock=1300, partitions=4)
NEW = schemas.Position(next_offset=0, partitions=4)
EMPTY = Footing(first=0, end=0, committed=None, before=None, written=0, anew=ANEW)


def _hold(position: schemas.Position, footing: Footing, records: int = 5) -> None:
    state = groups.Partition(lambda _: groups.Policy())
    restored = Restored(state, position, raised=False, records=records)
    refuse_other_log(Topics(), 2, restored, footing)


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
    _hold(STATE, footing)


@pytest.mark.parametrize("footing", [EMPTY, replace(EMPTY, end=9), replace(EMPTY, committed=0)])
def test_a_new_partition_begins_at_the_first_record(footing: Footing) -> None:
    """Without state, nothing read and nothing lost, all is new; an offset of 0 says as much."""
    _hold(NEW, footing, records=0)


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
