"""What an audit reads, what it refuses, and what it makes of a record that is none of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import schemas
from stream.audit.facts import (
    Role,
    UnreadableError,
    group_of_key,
    of_letter,
    of_metric,
    of_model,
    of_state,
    of_summary,
)
from stream.log.embedded import EmbeddedPublisher, create_topics
from stream.log.seam import LogRefusedError, Record
from tests.stream.audit.conftest import arrived, poison
from tests.stream.audit.damage import TOPICS, Planted, audited, message_of, remade, state_of
from tests.stream.chaos import PARTITIONS


def _changed(planted: Planted, **changes: object) -> None:
    record = planted.state("P")[0]
    value = state_of(record, schemas.Position, lambda p: msgspec.structs.replace(p, **changes))
    planted.alter(record, value)


def test_a_state_of_the_future_is_refused(planted: Planted) -> None:
    """What a newer version wrote is not judged by this one."""
    _changed(planted, state_format=schemas.STATE_FORMAT + 1)
    with pytest.raises(LogRefusedError, match="version that wrote it"):
        audited(planted.path)


def test_a_state_of_other_partitions_is_refused(planted: Planted) -> None:
    """A log whose number of partitions was changed has its keys elsewhere."""
    _changed(planted, partitions=7)
    with pytest.raises(LogRefusedError, match="7 partitions"):
        audited(planted.path)


def test_a_new_log_is_honest(tmp_path: Path) -> None:
    """A log in which nothing stands breaks no law."""
    path = tmp_path / "log.db"
    asyncio.run(create_topics(path, TOPICS.specs(PARTITIONS)))
    report = audited(path)
    assert report.ok
    assert report.checked["groups"] == 0


def test_what_nobody_has_read_is_in_flight(tmp_path: Path) -> None:
    """Events before the first start of a service are no violation, dead ones neither."""
    path = tmp_path / "log.db"

    async def publish() -> None:
        log = EmbeddedPublisher(path, TOPICS, PARTITIONS)
        await log.start()
        await log.publish([arrived(0, 1), poison(b"\xc1")])
        await log.close()

    asyncio.run(publish())
    report = audited(path)
    assert report.ok, report.violations
    assert (report.checked["events"], report.checked[f"records of {TOPICS.warps}"]) == (0, 2)


def test_a_letter_before_its_record_was_read(planted: Planted) -> None:
    """A dead letter about a record that the state has not reached is foreign, and said why."""
    planted.add(poison(b"\xc1", "late"))
    late = planted.records(TOPICS.warps)[-1]
    letter = planted.records(TOPICS.dead_letters)[0]
    about = remade(letter, partition=late.partition, offset=late.offset, key=late.key)
    planted.add(replace(about, partition=late.partition))
    report = audited(planted.path)
    assert set(report.counts) == {"letter_foreign"}
    assert "the state has not read so far" in report.violations[0].what


_OF: dict[str, Callable[[Record], object]] = {
    "groups": of_summary,
    "models": of_model,
    "metrics": of_metric,
    "dead_letters": lambda one: of_letter(one, TOPICS.warps),
    "state": lambda one: of_state(one, Role.STATE),
}


@pytest.mark.parametrize("name", _OF)
def test_a_record_that_is_none_of_ours(planted: Planted, name: str) -> None:
    """Of a foreign record it is said that it cannot be read, whatever topic it stands in."""
    topic = getattr(TOPICS, name)
    one = planted.records(topic)[0]
    with pytest.raises(UnreadableError):
        _OF[name](replace(one, key=b"?", value=b"\xc1"))


@pytest.mark.parametrize("name", ["groups", "models", "metrics", "dead_letters"])
def test_a_message_in_the_wrong_topic(planted: Planted, name: str) -> None:
    """A good message has no place in a topic of another type."""
    event = planted.records(TOPICS.warps)[0]
    assert message_of(event)
    with pytest.raises(UnreadableError, match="no place here"):
        _OF[name](event)


def test_a_giant_key_finds_its_letter() -> None:
    """Of a key too long for a dead letter the head names both, the record and the letter."""
    key = 70_000 * b"k"
    assert group_of_key(key) == group_of_key(key[:4096])
    assert group_of_key(None) == b""
