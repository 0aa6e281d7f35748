"""What goes back to the input, as it was and where it belongs, and what must not."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from stream import inbox
from stream.log.kafka import KafkaPublisher, KafkaReader, create_topics
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import LogRefusedError, Outgoing, Record
from stream.log.topics import Topics
from stream.replay import MOST_TOLD, Judge, Refusal, Renewing, Replayer, judge
from tests.schemas import examples
from tests.schemas.hostile import HOSTILE
from tests.stream.letterbox import TOPICS, letter_of, misrouted, put_at
from tests.stream.records import PARTITIONS, POISON, record

REASONS = schemas.DeadReason
PARTS = st.integers(1, 200)


def fate_of(source: Record) -> Outgoing | Refusal:
    """Judge the letter that the service writes of a record."""
    return judge(letter_of(source), TOPICS.warps, PARTITIONS)


def relabelled(source: Record, reason: schemas.DeadReason) -> schemas.DeadLetter:
    """Return a letter about a record with a reason that another release may have given."""
    error = schemas.SchemaError(reason, "another release did not act on it")
    return schemas.DeadLetter.of(source, error, "group")


@given(st.integers(0, 2**63 - 1), PARTS, st.integers(0, 300))
def test_a_misrouted_record_goes_home_as_it_was(visit: int, partitions: int, stood: int) -> None:
    """Key, headers and value are those of the record, and the partition is murmur2's."""
    source = replace(misrouted(visit), partition=stood)
    letter = relabelled(source, REASONS.MISROUTED)
    fate = judge(letter, TOPICS.warps, partitions)
    assert isinstance(fate, Outgoing)
    assert (fate.topic, fate.key, fate.value, fate.headers) == (
        source.topic,
        source.key,
        source.value,
        source.headers,
    )
    assert fate.partition == schemas.partition_of(source.key or b"", partitions)


def test_what_goes_back_is_read_there() -> None:
    """The service acts on a replayed record as on one that came right at once."""
    fate = fate_of(misrouted())
    assert isinstance(fate, Outgoing)
    again = Record(fate.topic, fate.partition, 0, 0, fate.key, fate.value, fate.headers)
    right = record(examples.arrived(expected=None))
    assert inbox.read(again, 7, PARTITIONS) == inbox.read(right, 7, PARTITIONS)


@pytest.mark.parametrize("name", POISON)
def test_of_the_poisons_only_the_misrouted_goes_back(name: str) -> None:
    """Everything else would only come back, and it is said what to do instead."""
    source, reason, _ = POISON[name]
    fate = fate_of(source)
    assert isinstance(fate, Outgoing) is (reason is REASONS.MISROUTED)
    if isinstance(fate, Refusal):
        assert reason in fate.why
        assert str(fate).endswith(schemas.REMEDIES[reason].advice)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_goes_back(name: str) -> None:
    """Bytes that were refused once are not sent a second time."""
    one = HOSTILE[name]
    source = replace(misrouted(), key=one.key, value=one.value, headers=one.headers)
    assert isinstance(fate_of(source), Refusal)


@pytest.mark.parametrize("reason", REASONS)
def test_whatever_a_letter_says_its_record_is_read_again(reason: schemas.DeadReason) -> None:
    """A letter whose record is bad in another way too is refused for that."""
    letter = relabelled(misrouted(value=b"\xc1"), reason)
    fate = judge(letter, TOPICS.warps, PARTITIONS)
    assert isinstance(fate, Refusal)
    expected = reason if schemas.REMEDIES[reason].cure is schemas.Cure.NEVER else "bad_msgpack"
    assert f"come back as {expected}" in fate.why


@pytest.mark.parametrize("reason", [REASONS.UNKNOWN_TYPE, REASONS.UNSUPPORTED_TYPE])
def test_an_upgrade_cures_what_a_release_did_not_know(reason: schemas.DeadReason) -> None:
    """A type that this release acts on goes back; one that it does not act on stays."""
    good, ours = record(examples.arrived()), POISON["one of our own"][0]
    assert isinstance(judge(relabelled(good, reason), TOPICS.warps, PARTITIONS), Outgoing)
    fate = judge(relabelled(ours, reason), TOPICS.warps, PARTITIONS)
    assert isinstance(fate, Refusal)
    assert "after the upgrade" in fate.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"value": b"x" * (schemas.MAX_WHOLE_VALUE + 1)},
        {"key": b"k" * 70_000},
        {"headers": (("h", b""),) * 300},
    ],
)
def test_a_letter_that_was_cut_stays(changes: dict[str, object]) -> None:
    """Of a record that was not kept whole nothing is sent: it would be another record."""
    letter = relabelled(replace(misrouted(), **changes), REASONS.MISROUTED)  # type: ignore[arg-type]  # fields by name
    fate = judge(letter, TOPICS.warps, PARTITIONS)
    assert isinstance(fate, Refusal)
    assert "only a part" in fate.why


def test_a_record_of_another_log_stays() -> None:
    """What did not come from this input is not put on it."""
    fate = judge(letter_of(misrouted(topic="other.warps")), TOPICS.warps, PARTITIONS)
    assert isinstance(fate, Refusal)
    assert "other.warps" in fate.why
    assert "--topic-prefix" in fate.advice


# -- many ------------------------------------------------------------------------------------------


class Sent:
    """Takes what is published, batch by batch, but nothing that has a record above a size."""

    def __init__(self, most: int = 2**20) -> None:
        self.batches: list[list[Outgoing]] = []
        self.most = most

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Take a batch."""
        if any(len(one.value or b"") > self.most for one in records):
            raise LogRefusedError("a record is too large for the topic")
        self.batches.append(list(records))


def replayer(sent: Sent) -> Replayer:
    """Return a replayer that publishes there."""
    return Replayer(sent.publish, Judge(TOPICS.warps, PARTITIONS))


async def test_records_go_in_order_and_in_batches() -> None:
    """A thousand letters are not a thousand waits for the disk, nor one heap in memory."""
    sent = Sent()
    taking = replayer(sent)
    for visit in range(1200):
        await taking.take(put_at(letter_of(misrouted(visit)), 0, visit))
    await taking.flush()
    assert [len(batch) for batch in sent.batches] == [500, 500, 200]
    visits = [
        schemas.decode(one.key, one.headers, one.value)[1]
        for batch in sent.batches
        for one in batch
    ]
    assert [getattr(one, "visit", None) for one in visits] == list(range(1200))
    assert taking.report.replayed == {"misrouted": 1200}


async def test_large_records_make_small_batches() -> None:
    """What waits in memory is bounded in bytes as well."""
    letter, sent = letter_of(padded(1, 30)), Sent()
    taking = replayer(sent)
    for offset in range(40):
        await taking.take(put_at(letter, 0, offset))
    await taking.flush()
    assert max(len(batch) for batch in sent.batches) == 18
    assert sum(len(batch) for batch in sent.batches) == 40


def padded(visit: int, strings: int) -> Record:
    """Return a misrouted arrival with some strings of 8 kB that nobody reads."""
    fields = msgspec.to_builtins(examples.arrived(visit=visit, expected=None))
    return misrouted(visit, value=examples.raw({**fields, "pad": ["p" * 8000] * strings}))


async def test_what_the_log_refuses_holds_back_no_other() -> None:
    """A record that the topic does not take is reported, and the others of its batch go."""
    sent = Sent(most=100_000)
    taking = replayer(sent)
    for visit in range(5):
        await taking.take(put_at(letter_of(padded(visit, 30 if visit == 2 else 0)), 0, visit))
    await taking.flush()
    assert [len(batch) for batch in sent.batches] == [1, 1, 1, 1]
    assert (taking.report.replayed, taking.report.refused) == ({"misrouted": 4}, {"misrouted": 1})
    ((place, _, refusal),) = taking.report.refusals
    assert place.offset == 2
    assert "too large for the topic" in refusal.why


class Brittle:
    """A publisher that is of no use after it has refused something."""

    partitions = PARTITIONS

    def __init__(self, sent: Sent) -> None:
        self.sent, self.steps = sent, list[str]()

    async def start(self) -> None:
        """Note it."""
        self.steps.append("start")

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Publish, if nothing was refused before."""
        assert self.steps == ["start"]
        try:
            await self.sent.publish(records)
        except LogRefusedError:
            self.steps.append("broken")
            raise

    async def close(self) -> None:
        """Note it."""
        self.steps.append("close")


async def test_a_refusal_ends_a_connection() -> None:
    """After a refusal there is another publisher, and each one is closed in the end."""
    sent, made = Sent(most=100), list[Brittle]()

    def make() -> Brittle:
        made.append(Brittle(sent))
        return made[-1]

    record = Outgoing(TOPICS.warps, 0, b"k", b"v")
    async with Renewing(make) as publisher:
        await publisher.publish([record])
        for _ in range(2):
            with pytest.raises(LogRefusedError):
                await publisher.publish([msgspec.structs.replace(record, value=bytes(101))])
        await publisher.publish([record])
    assert [one.steps for one in made] == [
        ["start", "broken", "close"],
        ["start", "broken", "close"],
        ["start", "close"],
    ]
    assert len(sent.batches) == 2


@pytest.mark.kafka
async def test_what_a_real_broker_refuses_holds_back_no_other(kafka: str) -> None:
    """A record that came compressed may be too large as it is; the others of its batch go."""
    topics, settings = Topics(f"replay-{uuid.uuid4().hex[:8]}"), KafkaSettings(kafka)
    specs = topics.specs(PARTITIONS)
    small = replace(specs[0], config={**specs[0].config, "max.message.bytes": "100000"})
    await create_topics(settings, [small, *specs[1:]])
    async with Renewing(lambda: KafkaPublisher(settings, topics)) as publisher:
        taking = Replayer(publisher.publish, Judge(topics.warps, PARTITIONS))
        for visit in range(5):
            source = replace(padded(visit, 30 if visit == 2 else 0), topic=topics.warps)
            await taking.take(put_at(letter_of(source), 0, visit))
        await taking.flush()
    reader = KafkaReader(settings, topics)
    await reader.start()
    found = [one async for one in reader.read([topics.warps], follow=False)]
    assert (taking.report.replayed, taking.report.refused) == ({"misrouted": 4}, {"misrouted": 1})
    assert "MessageSizeTooLarge" in taking.report.refusals[0][2].why
    visits = {schemas.decode_value(one.value or b"", schemas.WarpArrived).visit for one in found}
    assert visits == {0, 1, 3, 4}


async def test_the_report_names_some_and_counts_all() -> None:
    """However many are refused, the report has a bound, and the right number."""
    sent = Sent()
    taking = replayer(sent)
    letter = letter_of(POISON["no msgpack"][0])
    for offset in range(MOST_TOLD + 5):
        await taking.take(put_at(letter, 1, offset))
    await taking.take(put_at(letter_of(misrouted()), 1, 9999))
    assert taking.report.replayed == {}
    await taking.flush()
    await taking.flush()
    assert len(sent.batches) == 1
    assert taking.report.refused == {"bad_msgpack": MOST_TOLD + 5}
    assert len(taking.report.refusals) == MOST_TOLD
    place, reason, _ = taking.report.refusals[0]
    assert (str(place), reason) == ("1:0", REASONS.BAD_MSGPACK)
    assert taking.report.replayed == {"misrouted": 1}
