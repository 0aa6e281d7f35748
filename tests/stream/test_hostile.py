"""What an attacker can send costs a dead letter each, and nobody else anything."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

import schemas
from core import groups
from stream.ingest import Batch
from stream.log.seam import Outgoing, Record
from stream.log.topics import Topics
from stream.outbox import Outbox
from tests.schemas.hostile import GOOD, HOSTILE, Hostile
from tests.stream.night import FAST, Night, closing_of, events_of, write_warp

PARTITIONS = 4
HOME = schemas.partition_of(GOOD.key, PARTITIONS)


def record(hostile: Hostile, offset: int = 5) -> Record:
    """Return a hostile record as the log hands it over."""
    return Record("evensky.warps", HOME, offset, 1000, hostile.key, hostile.value, hostile.headers)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_one_letter_at_a_bounded_cost(name: str) -> None:
    """From the record to the bytes of its letter it takes a few MB, however large it was."""
    hostile = HOSTILE[name]
    batch = Batch(groups.Partition(lambda _: FAST), PARTITIONS)
    source = record(hostile)
    tracemalloc.start()
    try:
        batch.take(source)
        ((_, dead),) = batch.dead
        written = Outbox(Topics(), HOME, "test").letter(source, dead, 1.0)
        position = batch.position_after(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000, peak
    assert len(written.value or b"") + len(written.key or b"") < 1024 * 1024
    letter = schemas.decode(written.key, written.headers, written.value)[1]
    assert isinstance(letter, schemas.DeadLetter)
    assert (letter.reason, letter.stage) == (hostile.reason, "decode")
    assert hostile.words in letter.message
    assert position.next_offset == 6
    assert batch.puts == {}


async def test_a_service_under_attack_goes_on(tmp_path: Path) -> None:
    """Each hostile record has exactly one letter, and the group between them is published."""
    night = Night(tmp_path, FAST, partitions=1)
    paths = [write_warp(tmp_path, visit) for visit in (1, 2)]
    hostile = [
        Outgoing(night.topics.warps, 0, one.key, one.value, one.headers)
        for one in HOSTILE.values()
        if one.key is not None or one.value is not None
    ]
    async with night.running():
        await night.publish_raw(*hostile[::2])
        await night.publish(*events_of(paths), closing_of(paths[0]))
        await night.publish_raw(*hostile[1::2])
        (summary,) = await night.until(1)
        letters = await night.until(len(hostile), "letters")
    assert summary.status == "complete"
    assert len(letters) == len({letter.offset for letter in letters}) == len(hostile)
    dead = sorted(letter.reason for letter in letters)
    assert dead == sorted(one.reason for one in HOSTILE.values())
