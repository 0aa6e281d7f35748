"""The audit on real brokers: the same log, copied record by record, says the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream.audit import Report, Terms, audit
from stream.log.kafka import KafkaReader
from stream.log.seam import Record
from stream.log.topics import Topics
from tests.stream.audit.damage import FAST_TERMS, TOPICS, Planted, message_of, remade
from tests.stream.log.benches import PARTITIONS, KafkaBench, quick_settings

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("no_wait")]

_TOPICS = ("warps", "state", "models", "groups", "metrics", "dead_letters")


@dataclass(frozen=True)
class Copied:
    """A log on Kafka that says what an embedded log says."""

    bench: KafkaBench

    @property
    def servers(self) -> str:
        """Where it is."""
        return self.bench.settings.bootstrap_servers

    async def copy(self, source: Planted, *left_out: Record, twice: Record | None = None) -> None:
        """Write the records of a log, with their stamps, but some."""
        async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
            for name in _TOPICS:
                for one in source.records(getattr(TOPICS, name)):
                    for _ in range((one not in left_out) + (one == twice)):
                        await self._write(producer, name, one)

    async def _write(self, producer: AIOKafkaProducer, name: str, one: Record) -> None:
        if name == "dead_letters":
            one = remade(one, topic=self.bench.topics.warps)
        await producer.send(
            getattr(self.bench.topics, name),
            value=one.value,
            key=one.key,
            partition=one.partition,
            timestamp_ms=one.timestamp,
            headers=list(one.headers),
        )

    @asynccontextmanager
    async def transaction(self, source: Planted) -> AsyncIterator[AIOKafkaProducer]:
        """Publish what is published already, in a transaction that is left open."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.servers, transactional_id=self.bench.settings.app
        ) as producer:
            await producer.begin_transaction()
            for name in ("models", "groups", "metrics", "state"):
                for one in source.records(getattr(TOPICS, name)):
                    await self._write(producer, name, one)
            await producer.flush()
            yield producer

    async def audited(self) -> Report:
        """Audit it."""
        log = KafkaReader(self.bench.settings, self.bench.topics)
        await log.start()
        terms = Terms(self.bench.topics, FAST_TERMS.policy_for, gapless=False)
        return await audit(log, terms)


@pytest_asyncio.fixture
async def copied(kafka: str, tmp_path: Path) -> AsyncIterator[Copied]:
    """Make topics that keep the stamps that they are given, and all that is written to them."""
    name = f"audit-{tmp_path.name}"
    bench = KafkaBench(Topics(name), quick_settings(kafka, name))
    keep = {
        "message.timestamp.type": "CreateTime",
        "retention.ms": "-1",
        "min.compaction.lag.ms": str(2**62),
    }
    specs = bench.topics.specs(PARTITIONS)
    await bench.create([replace(one, config={**one.config, **keep}) for one in specs])
    yield Copied(bench)
    await bench.close()


async def test_an_honest_log_on_kafka(copied: Copied, planted: Planted) -> None:
    """An honest log has no violation on Kafka either, with and without a transaction open."""
    await copied.copy(planted)
    assert (await copied.audited()).violations == ()
    async with copied.transaction(planted) as producer:
        assert (await copied.audited()).violations == ()
        await producer.abort_transaction()
    report = await copied.audited()
    assert report.ok, report.violations
    assert report.checked["models"] == len(planted.records(TOPICS.models))
    assert report.horizon == ()


_LOST: dict[str, tuple[str, Callable[[Record], bool], str]] = {
    "a model": ("models", lambda one: message_of(one).revision > 1, "model_missing"),
    "a summary": ("groups", lambda one: message_of(one).revision == 2, "revision_missing"),
    "a metric": ("metrics", lambda _: True, "metric_missing"),
    "a letter": ("dead_letters", lambda _: True, "letter_missing"),
    "a member": (
        "state",
        lambda one: (one.key or b"").startswith(b"M|live/s/1/2"),
        "state_missing",
    ),
}


@pytest.mark.parametrize("name", _LOST)
async def test_what_is_lost_on_kafka(copied: Copied, planted: Planted, name: str) -> None:
    """What is missing on Kafka, where offsets tell nothing, is found."""
    topic, fits, kind = _LOST[name]
    lost = [one for one in planted.records(getattr(TOPICS, topic)) if fits(one)]
    await copied.copy(planted, *(one for one in lost if one.key == lost[0].key))
    assert (await copied.audited()).counts[kind]


async def test_what_is_doubled_on_kafka(copied: Copied, planted: Planted) -> None:
    """A summary that was written twice is found, by the place of the second."""
    twice = planted.records(TOPICS.groups)[1]
    await copied.copy(planted, twice=twice)
    report = await copied.audited()
    assert set(report.counts) == {"revision_doubled"}
    place = report.violations[0].place
    assert place is not None
    assert (place.partition, place.offset) == (twice.partition, twice.offset + 1)


async def test_records_deleted_on_kafka(copied: Copied, planted: Planted) -> None:
    """What Kafka deleted by age is no violation, and the horizon names where it ends."""
    await copied.copy(planted)
    admin = AIOKafkaAdminClient(bootstrap_servers=copied.servers)
    await admin.start()
    place = TopicPartition(copied.bench.topics.warps, 2)
    await admin.delete_records({place: RecordsToDelete(before_offset=3)})
    await admin.close()
    report = await copied.audited()
    assert report.ok, report.violations
    assert [(one.partition, one.first) for one in report.horizon] == [(2, 3)]
    assert report.exempt["groups"] == 1
