"""An honest log has no violation, whatever happened while it was written, and while it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from core import groups
from stream.audit import Report, audit
from stream.log.embedded import EmbeddedReader, create_topics
from tests.stream.audit.damage import FAST_TERMS, Planted, audited, message_of
from tests.stream.chaos import PARTITIONS, Lived, Storm

TOPICS = FAST_TERMS.topics
KEYS = [f"live/s/1/{patch}/r" for patch in range(4)]


async def _watched(path: Path, seed: int) -> tuple[Lived, list[Report]]:
    """Live through a storm, and audit again and again meanwhile."""
    await create_topics(path, TOPICS.specs(PARTITIONS))
    storm = asyncio.create_task(Storm(path, seed, 12).live())
    reports: list[Report] = []
    chance = Random(seed)  # noqa: S311 - a schedule
    while not storm.done():
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        log = EmbeddedReader(path)
        await log.start()
        reports.append(await audit(log, FAST_TERMS))
        await log.close()
    return await storm, reports


@pytest.mark.parametrize("seed", range(4))
def test_a_running_service_is_not_accused(tmp_path: Path, seed: int) -> None:
    """What is in flight is no violation, whenever an audit comes."""
    _, reports = asyncio.run(_watched(tmp_path / "log.db", seed))
    assert [one.violations for one in reports if not one.ok] == []
    assert len({one.checked["revisions"] for one in reports}) > 1


def test_everything_is_checked(planted: Planted) -> None:
    """The counts are those of the log: nothing is passed over."""
    report = audited(planted.path)
    assert report.ok
    assert report.checked["groups"] == len(planted.state("G"))
    assert report.checked["members"] == len(planted.state("M"))
    assert report.checked["events"] == len(planted.records(TOPICS.warps))
    for name, topic in (("models", TOPICS.models), ("revisions", TOPICS.groups)):
        assert report.checked[name] == len(planted.records(topic))


@pytest.mark.parametrize("key", KEYS)
def test_one_group_alone(planted: Planted, key: str) -> None:
    """An audit of one group looks at that group, and judges it as the whole audit does."""
    report = audited(planted.path, replace(FAST_TERMS, group=key))
    assert report.ok
    assert report.checked["groups"] == 1
    found = [message_of(one).group.key for one in planted.records(TOPICS.groups)]
    assert report.checked["revisions"] == found.count(key)


@pytest.mark.parametrize("key", KEYS)
def test_one_damaged_group_among_others(planted: Planted, key: str) -> None:
    """Damage in a group is found by its own audit, and by no other group's."""
    one = next(r for r in planted.state("G") if (r.key or b"").endswith(KEYS[1].encode()))
    planted.remove_key(one)
    report = audited(planted.path, replace(FAST_TERMS, group=key))
    assert report.ok == (key != KEYS[1])


def test_other_rules_are_told_from_damage(planted: Planted) -> None:
    """Settings that are not the service's look like another history, and like nothing else."""
    other = groups.Policy(quorum=3, quiet_ms=30_000, deadline_ms=300_000)
    report = audited(planted.path, replace(FAST_TERMS, policy_for=lambda _: other))
    assert set(report.counts) == {"history_differs"}


def test_memory_is_bounded(planted: Planted) -> None:
    """With next to no memory the answer is the same."""
    whole, small = audited(planted.path), audited(planted.path, replace(FAST_TERMS, memory_bytes=1))
    assert small == whole


def test_violations_are_bounded(planted: Planted) -> None:
    """The first are told, all are counted."""
    planted.remove(*planted.records(TOPICS.metrics))
    whole = audited(planted.path)
    few = audited(planted.path, replace(FAST_TERMS, most=2))
    assert few.counts == whole.counts
    assert few.violations == whole.violations[:2]
