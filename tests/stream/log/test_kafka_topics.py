"""Topics on a real broker: made once, looked over, and refused where they would lose data."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from structlog.testing import capture_logs

import schemas
from stream.log.kafka import KafkaOwner, KafkaPublisher, KafkaReader, KafkaSettings
from stream.log.kafka_topics import create_topics, survey_topics
from stream.log.seam import LogRefusedError, Outgoing, TopicSpec
from stream.log.topics import Topics
from tests.stream.log.benches import PARTITIONS, KafkaBench, quick_settings

pytestmark = pytest.mark.kafka


def _with(spec: TopicSpec, **config: str) -> TopicSpec:
    named = {name.replace("_", "."): value for name, value in config.items()}
    return dataclasses.replace(spec, config={**spec.config, **named})


@pytest.mark.parametrize(
    ("index", "change", "said"),
    [
        (0, lambda s: _with(s, message_timestamp_type="CreateTime"), "needs LogAppendTime"),
        (
            0,
            lambda s: _with(s, cleanup_policy="compact"),
            "cleanup.policy=compact and needs delete",
        ),
        (1, lambda s: _with(s, cleanup_policy="compact,delete"), "needs compact"),
        (2, lambda s: _with(s, max_message_bytes="1000"), "max.message.bytes=1000"),
        (3, lambda s: dataclasses.replace(s, partitions=PARTITIONS + 1), "4 partitions"),
    ],
)
async def test_a_topic_that_would_lose_data_is_refused(
    kafka: str, name: str, index: int, change: Callable[[TopicSpec], TopicSpec], said: str
) -> None:
    """The service does not start on it; it names the topic, what is wrong and the remedy."""
    settings = quick_settings(kafka, name)
    specs = list(Topics(name).specs(PARTITIONS))
    specs[index] = change(specs[index])
    await create_topics(settings, specs)
    owner = KafkaOwner(settings, Topics(name))
    with pytest.raises(LogRefusedError, match=said) as refused:
        await owner.start()
    assert specs[index].name in str(refused.value)
    await owner.close()


async def test_missing_topics_are_refused(kafka: str, name: str) -> None:
    """Each kind of client names what is missing and does not create it in passing."""
    settings, topics = quick_settings(kafka, name), Topics(name)
    for log, first in (
        (KafkaOwner(settings, topics), topics.warps),
        (KafkaPublisher(settings, topics), topics.warps),
        (KafkaReader(settings, topics), topics.groups),
    ):
        with pytest.raises(LogRefusedError, match=rf"missing: {first}.*topics create"):
            await log.start()
        await log.close()
    assert (await survey_topics(settings, topics)).topics == {}


async def test_topics_are_made_once(kafka: str, name: str) -> None:
    """Whoever comes first makes them; a second call makes nothing and changes nothing."""
    settings, topics = quick_settings(kafka, name), Topics(name)
    specs = topics.specs(PARTITIONS)
    assert await create_topics(settings, specs[:2]) == topics.names[:2]
    assert set(await create_topics(settings, specs)) == set(topics.names[2:])
    before = await survey_topics(settings, topics)
    assert await create_topics(settings, topics.specs(PARTITIONS + 5)) == ()
    assert await survey_topics(settings, topics) == before
    assert before.faults == ()


async def test_topics_are_made_once_by_many(kafka: str, name: str) -> None:
    """Any number of callers at once have the same topics in the end."""
    settings, topics = quick_settings(kafka, name), Topics(name)
    calls = (create_topics(settings, topics.specs(PARTITIONS)) for _ in range(4))
    await asyncio.gather(*calls)
    assert (await survey_topics(settings, topics)).faults == ()


async def test_what_is_made_is_as_the_design_has_it(kafka: str, name: str) -> None:
    """On one broker the one copy is all that is spoken of, and each value is as it was asked."""
    settings, topics = quick_settings(kafka, name), Topics(name)
    await create_topics(settings, topics.specs(PARTITIONS))
    survey = await survey_topics(settings, topics)
    assert {one.setting for one in survey.warnings} == {"replication.factor"}
    assert {one.topic for one in survey.warnings} == set(topics.names)
    for spec in topics.specs(PARTITIONS):
        found = survey.topics[spec.name]
        assert (found.partitions, found.copies) == (PARTITIONS, 1)
        assert found.config.items() >= spec.config.items()


async def test_what_shortens_history_is_told_and_not_refused(kafka: str, name: str) -> None:
    """The service starts on it and says in one line which topics and settings are meant."""
    settings, topics = quick_settings(kafka, name), Topics(name)
    warps, *others = topics.specs(PARTITIONS)
    await create_topics(settings, [_with(warps, retention_ms="3600000"), *others])
    survey = await survey_topics(settings, topics)
    assert [one.setting for one in survey.of(warps.name)] == ["retention.ms", "replication.factor"]
    owner = KafkaOwner(settings, topics)
    with capture_logs() as logged:
        await owner.start()
    await owner.close()
    (line,) = [one for one in logged if "could keep more" in one["event"]]
    assert line["log_level"] == "warning"
    assert line["settings"] == ["replication.factor", "retention.ms"]
    assert line["topics"] == sorted(topics.names)


async def _grow(settings: KafkaSettings, topics: Topics, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({name: NewPartitions(partitions) for name in topics.names})
    finally:
        await admin.close()
    for _ in range(200):  # a broker knows it a little later than the controller
        survey = await survey_topics(settings, topics)
        if {one.partitions for one in survey.topics.values()} == {partitions}:
            return
    pytest.fail("the partitions did not come")


def _position(bench: KafkaBench, partition: int, partitions: int) -> Outgoing:
    position = schemas.Position(next_offset=0, partitions=partitions)
    return bench.state(schemas.POSITION_KEY, schemas.pack_position(position), partition)


async def test_partitions_added_to_a_state_are_refused(on_kafka: KafkaBench) -> None:
    """The same keys are elsewhere then, so no partition may be begun, not even a new, empty one."""
    publisher = await on_kafka.started_publisher()
    await publisher.publish([_position(on_kafka, 1, PARTITIONS)])
    assert (await survey_topics(on_kafka.settings, on_kafka.topics)).faults == ()
    await _grow(on_kafka.settings, on_kafka.topics, PARTITIONS + 2)
    (fault,) = (await survey_topics(on_kafka.settings, on_kafka.topics)).faults
    assert (fault.topic, fault.found, fault.wanted) == (on_kafka.topics.state, "5", "3")
    with pytest.raises(LogRefusedError, match=r"5 partitions and holds a state .* written for 3"):
        await on_kafka.started_owner()


async def test_partitions_added_before_any_state_are_taken(on_kafka: KafkaBench) -> None:
    """Without a position there is nothing that could be elsewhere."""
    await _grow(on_kafka.settings, on_kafka.topics, PARTITIONS + 2)
    owner = await on_kafka.started_owner()
    assert owner.partitions == PARTITIONS + 2


async def test_a_position_is_found_behind_much_else(on_kafka: KafkaBench) -> None:
    """However much state came after the position, the count that it tells is compared."""
    publisher = await on_kafka.started_publisher()
    later = [on_kafka.state(b"M|a/b/0/0/r|%d" % visit, b"\x80", 2) for visit in range(1500)]
    await publisher.publish([_position(on_kafka, 2, PARTITIONS + 1), *later])
    (fault,) = (await survey_topics(on_kafka.settings, on_kafka.topics)).faults
    assert fault.wanted == str(PARTITIONS + 1)


async def test_a_position_that_nobody_can_read_is_left_to_the_restore(
    on_kafka: KafkaBench,
) -> None:
    """The look over the topics compares counts; what a state means is judged by who reads it all.

    Damaged bytes or a newer format therefore do not hide a position that stands behind them.
    """
    publisher = await on_kafka.started_publisher()
    newer = schemas.pack_state(schemas.Position(next_offset=0, partitions=9, state_format=99))
    unreadable = [on_kafka.state(schemas.POSITION_KEY, value) for value in (b"\x07", newer)]
    await publisher.publish(unreadable)
    assert (await survey_topics(on_kafka.settings, on_kafka.topics)).faults == ()
    await publisher.publish([_position(on_kafka, 0, PARTITIONS + 1)])
    (fault,) = (await survey_topics(on_kafka.settings, on_kafka.topics)).faults
    assert fault.wanted == str(PARTITIONS + 1)
