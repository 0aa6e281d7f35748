"""What compaction or age has taken is no violation, and is said not to be checked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

import schemas
from stream.audit import Report, audit
from stream.log.embedded import EmbeddedReader
from stream.log.seam import Places, Record
from stream.log.sqlite import LogFile
from tests.stream.audit.damage import FAST_TERMS, TOPICS, Planted, audited, message_of

COMPACTED = replace(FAST_TERMS, gapless=False)
FORGETFUL = (TOPICS.warps, TOPICS.metrics, TOPICS.dead_letters)


class AgedReader(EmbeddedReader):
    """A reader of a log of which the oldest records were deleted, as Kafka deletes them."""

    def __init__(self, path: Path, first: Mapping[tuple[str, int], int]) -> None:
        super().__init__(path)
        self._first = first

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return where each partition begins by now."""
        return {**await super().begins(topics), **self._first}


@dataclass(frozen=True)
class Aged:
    """A log without some of its oldest records."""

    log: Planted
    first: Mapping[tuple[str, int], int]

    def audited(self) -> Report:
        """Audit it as a log on Kafka."""

        async def run() -> Report:
            log = AgedReader(self.log.path, self.first)
            await log.start()
            try:
                return await audit(log, COMPACTED)
            finally:
                await log.close()

        return asyncio.run(run())


def aged(log: Planted, topics: Sequence[str], share: float) -> Aged:
    """Delete a share of each partition of some topics, the oldest first."""
    first = {}
    for topic in topics:
        for partition in range(3):
            line = [one for one in log.records(topic) if one.partition == partition]
            gone = line[: round(share * len(line))]
            log.remove(*gone)
            if gone:
                first[topic, partition] = gone[-1].offset + 1
    return Aged(log, first)


pytestmark = pytest.mark.usefixtures("no_wait")


@pytest.mark.parametrize("topic", [TOPICS.models, TOPICS.groups, TOPICS.state])
def test_compaction_is_no_violation(planted: Planted, topic: str) -> None:
    """A topic that keeps the newest of each key only is as good as a whole one."""
    with LogFile(planted.path) as file:
        file.compact(topic)
    assert audited(planted.path, COMPACTED).ok


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("topics", [FORGETFUL, *((one,) for one in FORGETFUL)], ids=str)
def test_what_was_deleted_by_age_is_no_violation(
    planted: Planted, topics: Sequence[str], share: float
) -> None:
    """Groups whose beginning is gone are not held against the input, and are counted."""
    log = aged(planted, topics, share)
    report = log.audited()
    assert report.ok, report.violations
    assert {(one.topic, one.partition): one.first for one in report.horizon} == log.first
    assert bool(report.exempt["groups"]) == (TOPICS.warps in topics)


def test_a_group_that_began_later_is_checked(planted: Planted) -> None:
    """The horizon exempts no group whose first record is held."""
    report = aged(planted, [TOPICS.warps], 0.1).audited()
    assert 0 < report.exempt["groups"] < report.checked["groups"]


def _later(log: Planted) -> Iterator[Record]:
    """Yield the models of the group that began last."""
    for one in log.records(TOPICS.models):
        if message_of(one).group.patch == 0:
            yield one


def test_damage_is_found_behind_the_horizon(planted: Planted) -> None:
    """A lost model is found also where the input is too short to tell of it."""
    named = message_of(list(_later(planted))[-1]).model_id
    planted.remove(*(one for one in _later(planted) if message_of(one).model_id == named))
    report = aged(planted, [TOPICS.warps], 1.0).audited()
    assert report.counts["model_missing"]


def test_a_loss_that_was_accepted_is_no_violation(planted: Planted) -> None:
    """Where the position stands behind what is gone, its horizon says what cannot be proved."""
    position = planted.state("P")[0]
    told = schemas.unpack_position(position.value or b"")
    behind = msgspec.structs.replace(told, next_offset=told.next_offset + 2)
    planted.alter(position, schemas.pack_position(behind))
    first = {(TOPICS.warps, position.partition): behind.next_offset}
    report = Aged(planted, first).audited()
    assert report.ok, report.violations
    assert [one.first for one in report.horizon] == [behind.next_offset]


def test_what_was_deleted_before_it_was_read(planted: Planted) -> None:
    """Records that age took before the service came to them are lost, and said to be."""
    position = planted.state("P")[0]
    told = schemas.unpack_state(position.value or b"", schemas.Position)
    first = {(TOPICS.warps, position.partition): told.next_offset + 2}
    report = Aged(planted, first).audited()
    assert set(report.counts) == {"input_unread"}
    place = report.violations[0].place
    assert place is not None
    assert (place.partition, place.offset) == (position.partition, told.next_offset)
