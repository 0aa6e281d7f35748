"""A batch: what one ingest transaction holds."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from core import groups
from stream.ingest import Batch
from stream.log.seam import Record
from stream.log.topics import Topics
from stream.outbox import Outbox
from tests.schemas import examples
from tests.stream.records import PARTITIONS, POISON, record

POLICY = groups.Policy(quorum=2, quiet_ms=100, deadline_ms=1000)


def _batch() -> Batch:
    return Batch(groups.Partition(lambda _: POLICY), PARTITIONS)


def test_every_poison_is_one_dead_letter_with_its_bytes() -> None:
    """However many records are poisoned, each has exactly one letter, with all that it was."""
    batch, good = _batch(), record(examples.arrived())
    sent = [replace(one, offset=n) for n, (one, _, _) in enumerate(POISON.values())]
    for one in [*sent, good]:
        batch.take(one)
    assert batch.outcomes["dead"] == len(POISON)
    assert batch.outcomes[str(groups.Outcome.ACCEPTED)] == 1
    outbox = Outbox(Topics(), 2, "test")
    for one, (source, dead) in zip(sent, batch.dead, strict=True):
        assert source is one
        written = outbox.letter(source, dead, 1.0)
        letter = schemas.decode(written.key, written.headers, written.value)[1]
        assert isinstance(letter, schemas.DeadLetter)
        assert (letter.topic, letter.partition, letter.offset) == (
            one.topic,
            one.partition,
            one.offset,
        )
        assert (letter.key, letter.headers) == (one.key, one.headers)
        whole = one.value is None or len(one.value) <= schemas.MAX_WHOLE_VALUE
        assert letter.value == one.value if whole else letter.value_size == len(one.value or b"")


def test_a_dead_record_moves_the_clock() -> None:
    """Time passes by every record, the dead ones too: their stamps fire what is due."""
    batch = _batch()
    for visit in (1, 2):
        batch.take(record(examples.arrived(visit=visit, expected=None), timestamp=1000))
    assert batch.frozen == []
    poisoned = POISON["no msgpack"][0]
    batch.take(replace(poisoned, timestamp=1100, offset=9))
    ((key, frozen),) = batch.frozen
    assert key == examples.arrived().group.key
    assert (frozen.trigger, frozen.at) == (groups.Trigger.QUIET, 1100)
    assert batch.position_after(poisoned).clock == 1100


def test_timers_fire_before_the_record() -> None:
    """An arrival stamped at the end of the quiet time is too late for the revision that it ends."""
    batch = _batch()
    for visit in (1, 2):
        batch.take(record(examples.arrived(visit=visit, expected=None), timestamp=1000))
    batch.take(record(examples.arrived(visit=3, expected=None), timestamp=1100))
    ((_, frozen),) = batch.frozen
    assert [member.visit for member in frozen.members] == [1, 2]
    assert batch.late["update"] == 1


@given(st.lists(st.sampled_from([1000, 900, 1500, 400]), min_size=1, max_size=8))
def test_the_clock_never_goes_back(stamps: list[int]) -> None:
    """The position's clock is the largest stamp so far, and each record counts in it."""
    batch, last = _batch(), None
    for offset, stamp in enumerate(stamps):
        last = record(examples.arrived(), timestamp=stamp, offset=offset)
        batch.take(last)
        assert batch.position_after(last).clock == max(stamps[: offset + 1])
    assert isinstance(last, Record)
    position = batch.position_after(last)
    assert (position.next_offset, position.timestamp) == (len(stamps), stamps[-1])
    assert (position.ce_id, position.partitions) == ("1f6b-17", PARTITIONS)


def test_who_may_have_gone_is_told() -> None:
    """Groups of which a warp was replaced or withdrawn are named, and no others."""
    batch = _batch()
    arrived = examples.arrived(expected=None)
    batch.take(record(arrived))
    assert batch.stirred == set()
    batch.take(record(msgspec.structs.replace(arrived, version=9)))
    assert batch.stirred == {arrived.group.key}


@pytest.mark.parametrize(
    "late",
    [
        examples.arrived(version=0, expected=None),
        schemas.GroupManifest(**examples.arrived().group.fields, version=1, visits=(7,)),
        schemas.GroupClosed(**examples.arrived().group.fields, version=1),
    ],
)
def test_versions_that_go_back_change_nothing(late: schemas.Message) -> None:
    """What comes with a lower version than what is there is counted, and is no dead letter."""
    batch, group = _batch(), examples.arrived().group
    batch.take(record(examples.arrived(version=3, expected=None)))
    batch.take(record(schemas.GroupManifest(**group.fields, version=3, visits=(1, 2))))
    batch.take(record(schemas.GroupClosed(**group.fields, version=3)))
    before = dict(batch.puts)
    batch.take(record(late))
    assert batch.outcomes["superseded"] == 1
    assert (batch.puts, batch.dead) == (before, [])


@pytest.mark.parametrize("visits", [[], [4, 4], [5, 4], list(range(10_001))])
def test_a_set_that_is_none_is_dead(visits: list[int]) -> None:
    """A manifest that names no visits, one twice, or too many changes nothing."""
    batch, group = _batch(), examples.arrived().group
    good = record(schemas.GroupManifest(**group.fields, visits=(4,)))
    body = msgspec.to_builtins(schemas.GroupManifest(**group.fields, visits=(4,)))
    batch.take(replace(good, value=examples.raw(body | {"visits": visits})))
    ((_, dead),) = batch.dead
    reason = schemas.DeadReason.TOO_LARGE if len(visits) > 10 else schemas.DeadReason.BAD_MESSAGE
    assert (dead.error.reason, batch.puts) == (reason, {})


def test_ticks_are_told() -> None:
    """A tick is counted as one, and changes no group."""
    batch = _batch()
    batch.take(record(schemas.ClockTick(partition=0)))
    assert (batch.ticked, batch.puts, batch.outcomes["tick"]) == (True, {}, 1)
