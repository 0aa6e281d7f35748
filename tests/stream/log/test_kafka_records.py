"""Names of headers that are no text do not stop a partition."""

from __future__ import annotations

import gzip
import struct
import uuid
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from stream.log.kafka import KafkaPublisher, KafkaReader, create_topics
from stream.log.kafka_records import ForgivingRecords
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import Outgoing
from stream.log.topics import Topics

EVIL = b"not-text"
"""A name that is spoilt on its way."""


def spoilt(batch: bytes) -> bytes:
    """Return a batch with two bytes of each evil name otherwise, and a checksum that is right."""
    data = bytearray(batch.replace(EVIL, b"\xff\xfe" + EVIL[2:]))
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def zipped(batch: bytes) -> bytes:
    """Return a batch as a producer that compresses sends it."""
    body = gzip.compress(batch[61:])
    data = bytearray(batch[:61] + body)
    struct.pack_into(">i", data, 8, len(data) - 12)
    data[22] |= 1  # the codec, in the attributes
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def batch_of(*names: bytes) -> bytes:
    """Return a batch of records that have a header each."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for number, name in enumerate(names):
        headers = [(name.decode(), b"\xff\x00"), ("null", None)]
        builder.append(number, 1000, b"key", b"value %d" % number, headers)
    return spoilt(bytes(builder.build()))


def read(data: bytes, kind: Any = ForgivingRecords) -> list[list[tuple[Any, ...]]]:
    """Read batches as the fetcher does."""
    records, found = kind(data), []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        assert not batch.is_control_batch
        found.append([(one.offset, one.key, one.value, list(one.headers)) for one in batch])
    return found


def test_good_batches_are_read_as_ever() -> None:
    """Where the client can read, nothing is otherwise."""
    data = batch_of(b"a", "é".encode()) + batch_of(b"c")
    assert read(data) == read(data, MemoryRecords)
    assert ForgivingRecords(data).size_in_bytes() == len(data)
    assert ForgivingRecords(b"").next_batch() is None


@pytest.mark.parametrize("pack", [bytes, zipped])
@pytest.mark.parametrize("place", range(4))
def test_a_name_that_is_no_text_spoils_no_record(
    place: int, pack: Callable[[bytes], bytes]
) -> None:
    """Each record is read once and in order, with all that it holds; the name has U+FFFD."""
    names = [b"good"] * 4
    names[place] = EVIL
    evil = pack(batch_of(*names))
    with pytest.raises(UnicodeDecodeError):
        read(evil, MemoryRecords)
    before, found, after = read(pack(batch_of(b"a")) + evil + batch_of(b"b"))
    assert len(before) == len(after) == 1
    right = [[("good", b"\xff\x00"), ("null", None)] for _ in range(4)]
    right[place][0] = ("\ufffd\ufffdt-text", b"\xff\x00")
    assert found == [(n, b"key", b"value %d" % n, right[n]) for n in range(4)]


def test_all_names_may_be_no_text() -> None:
    """However many names say nothing, the batch is read."""
    (found,) = read(batch_of(*[EVIL] * 50))
    assert [one[0] for one in found] == list(range(50))


def test_consumers_read_so() -> None:
    """Whoever reads from Kafka here reads in the forgiving way."""
    KafkaReader(KafkaSettings("localhost:1"), Topics())
    assert fetcher.MemoryRecords is ForgivingRecords


@pytest.mark.kafka
async def test_a_real_broker_takes_such_names(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that a broker took with such a name is read, and so is what comes behind it."""
    build = BatchBuilder._build  # noqa: SLF001 - no producer writes such names by itself

    def evil_build(self: BatchBuilder) -> Any:
        made = build(self)
        return bytearray(spoilt(bytes(made))) if EVIL in made else made

    monkeypatch.setattr(BatchBuilder, "_build", evil_build)
    topics = Topics(f"names-{uuid.uuid4().hex[:8]}")
    settings = KafkaSettings(kafka)
    await create_topics(settings, topics.specs(1))
    publisher, reader = KafkaPublisher(settings, topics), KafkaReader(settings, topics)
    await publisher.start()
    for name in ("good", EVIL.decode(), "good"):
        await publisher.publish([Outgoing(topics.warps, 0, b"k", b"v", ((name, b"x"),))])
    await publisher.close()
    await reader.start()
    async with aclosing(reader.read([topics.warps], follow=False)) as records:
        names = [one.headers[0][0] async for one in records]
    assert names == ["good", "\ufffd\ufffdt-text", "good"]
