"""The topics on a Kafka cluster: made, looked over, and refused where they would lose data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

import schemas
from stream.log.judgement import Finding, TopicFound, judge, missing, moved
from stream.log.kafka_admin import Admin, Described
from stream.log.kafka_link import translated
from stream.log.kafka_read import read
from stream.log.kafka_settings import KafkaSettings
from stream.log.rights import Operation, Rights, lacking, owner_rights, surveyor_rights
from stream.log.seam import LogRefusedError, TopicSpec
from stream.log.topics import Topics

__all__ = [
    "Survey",
    "check_topics",
    "count_partitions",
    "create_topics",
    "positions",
    "survey_topics",
]

log = structlog.get_logger(__name__)

_LOOK_S = 0.05

_TAIL: Final = 1000
"""Records among which a position is likely: one ingest transaction holds 500 and one."""


async def create_topics(settings: KafkaSettings, topics: Sequence[TopicSpec]) -> tuple[str, ...]:
    """Create the topics that are missing; existing ones are left as they are.

    Returns when all their partitions have leaders.

    Returns
    -------
    tuple of str
        Those that were made.

    Raises
    ------
    LogRefusedError
        The broker does not want them so.
    LogUnavailableError
        Nothing answers in time.
    """
    with translated(settings):
        async with asyncio.timeout(settings.broker_grace_s), Admin(settings) as admin:
            found = await admin.describe(spec.name for spec in topics)
            _refuse_lacking(settings, dict.fromkeys(found, (Operation.DESCRIBE,)), found)
            wanted = {spec.name: spec for spec in topics if spec.name not in found}
            await admin.create(list(wanted.values()))
            unled = set(wanted)
            while unled:
                found = await admin.describe(wanted)
                unled = {name for name, spec in wanted.items() if not _led(spec, found)}
                await asyncio.sleep(_LOOK_S if unled else 0)
    return tuple(wanted)


def _led(spec: TopicSpec, found: Mapping[str, Described]) -> bool:
    """Tell whether each partition of a topic has a leader, without which nobody can write."""
    return spec.name in found and found[spec.name].led >= spec.partitions


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen of our topics.

    Attributes
    ----------
    topics : mapping of str to TopicFound
        Those that are there.
    findings : tuple of Finding
        What is not as it should be, topic by topic.
    """

    topics: Mapping[str, TopicFound]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What the service refuses."""
        return tuple(one for one in self.findings if one.refused)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What it does not refuse."""
        return tuple(one for one in self.findings if not one.refused)

    def of(self, topic: str) -> tuple[Finding, ...]:
        """Return what was found about one topic."""
        return tuple(one for one in self.findings if one.topic == topic)


async def survey_topics(
    settings: KafkaSettings, topics: Topics, partitions: int | None = None
) -> Survey:
    """Compare our topics with what they should be, and with what the state says of them.

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
    partitions : int, optional
        How many each should have; as many as the input has, if not given.

    Raises
    ------
    LogRefusedError
        We may not look.
    LogUnavailableError
        Nothing answers.
    """
    with translated(settings):
        async with Admin(settings) as admin:
            described = await admin.describe(topics.names)
            _refuse_lacking(settings, surveyor_rights(topics), described)
            config = await admin.config(described)
        found = {
            name: TopicFound(one.partitions, one.copies, config[name])
            for name, one in described.items()
        }
        recorded = await _recorded(settings, topics, found)
    wanted = partitions or _common(topics, found)
    return Survey(found, tuple(_findings(topics.specs(wanted), found, topics.state, recorded)))


def _common(topics: Topics, found: Mapping[str, TopicFound]) -> int:
    """Return how many partitions all should have: the input's number says where a key is."""
    counts = [found[name].partitions for name in topics.names if name in found]
    return counts[0] if counts else 1


def _findings(
    specs: Sequence[TopicSpec],
    found: Mapping[str, TopicFound],
    changelog: str,
    recorded: int | None,
) -> Iterator[Finding]:
    for spec in specs:
        there = found.get(spec.name)
        if there is None:
            yield missing(spec)
            continue
        yield from judge(spec, there)
        if spec.name == changelog and recorded not in (None, there.partitions):
            yield moved(changelog, there.partitions, recorded)


async def _recorded(
    settings: KafkaSettings, topics: Topics, found: Mapping[str, TopicFound]
) -> int | None:
    """Return for how many partitions the state was written, None if there is none."""
    if topics.state not in found:
        return None
    places = [(topics.state, one) for one in range(found[topics.state].partitions)]
    for tail in (_TAIL, None):
        recorded = await _first_position(settings, places, tail)
        if recorded is not None:
            return recorded
    return None


async def _first_position(
    settings: KafkaSettings, places: Sequence[tuple[str, int]], tail: int | None
) -> int | None:
    async with aclosing(positions(settings, places, tail)) as found:
        async for _, position in found:
            return position.partitions
    return None


async def positions(
    settings: KafkaSettings, places: Sequence[tuple[str, int]], tail: int | None
) -> AsyncGenerator[tuple[int, schemas.Position], None]:
    """Yield the positions in changelogs, each with its partition; those of one in order.

    Parameters
    ----------
    settings : KafkaSettings
    places : sequence of (str, int)
        Topic and partition.
    tail : int or None
        Look at so many offsets before each end only.
    """
    async with aclosing(read(settings, dict.fromkeys(places, 0), tail=tail)) as records:
        async for record in records:
            if record.key == schemas.POSITION_KEY and record.value is not None:
                try:
                    position = schemas.unpack_position(record.value)
                except schemas.StateError:  # whoever restores it refuses it, in its words
                    continue
                yield record.partition, position


async def check_topics(settings: KafkaSettings, topics: Topics) -> int:
    """Return the number of partitions, or refuse topics that would lose data.

    Raises
    ------
    LogRefusedError
        With a sentence and a remedy for each fault.
    LogUnavailableError
        Nothing answers.
    """
    await _described(settings, owner_rights(topics))
    survey = await survey_topics(settings, topics)
    if survey.faults:
        raise LogRefusedError("; ".join(map(str, survey.faults)))
    if survey.warnings:
        log.warning(
            "topics could keep more; `evensky topics check` says how",
            topics=sorted({one.topic for one in survey.warnings}),
            settings=sorted({one.setting for one in survey.warnings}),
        )
    return survey.topics[topics.warps].partitions


async def count_partitions(
    settings: KafkaSettings, topics: Sequence[str], *needed: Operation
) -> dict[str, int]:
    """Return how many partitions each of some topics has.

    Parameters
    ----------
    settings : KafkaSettings
    topics : sequence of str
    needed : Operation
        What will be done with them.

    Raises
    ------
    LogRefusedError
        One is missing, or we may not do with it what will be done.
    """
    found = await _described(settings, dict.fromkeys(topics, (Operation.DESCRIBE, *needed)))
    return {topic: found[topic].partitions for topic in topics}


async def _described(settings: KafkaSettings, rights: Rights) -> Mapping[str, Described]:
    """Return the topics, if they are there and we may do with them what we must."""
    async with Admin(settings) as admin:
        found = await admin.describe(rights)
    missed = [name for name in rights if name not in found]
    if missed:
        raise LogRefusedError(
            f"topics are missing: {', '.join(missed)}; create them with `evensky topics create`"
        )
    _refuse_lacking(settings, rights, found)
    return found


def _refuse_lacking(
    settings: KafkaSettings, rights: Rights, found: Mapping[str, Described]
) -> None:
    """Raise LogRefusedError with every right that we lack on the topics that are there."""
    operations = {name: one.operations for name, one in found.items()}
    denied = [str(one) for one in lacking(rights, operations, settings.security)]
    if denied:
        raise LogRefusedError(f"Kafka at {settings.bootstrap_servers} refuses: {'; '.join(denied)}")
