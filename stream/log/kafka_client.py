"""aiokafka's consumers and producers, and what they must be kept from.

Each class is one client with the few calls that `stream.log.kafka` needs, in our own terms.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from stream.log.holdings import Replacements
from stream.log.kafka_assignor import StayingAssignor
from stream.log.kafka_link import options
from stream.log.kafka_records import forgive
from stream.log.kafka_sending import Sending, seen
from stream.log.kafka_settings import KafkaSettings
from stream.log.seam import Outgoing, Record

__all__ = [
    "Fenced",
    "Member",
    "Offsets",
    "Publisher",
    "Writer",
    "as_record",
    "consumer",
    "stop_consumer",
]

_STOP_S = 3.0
_LOOK_S = 0.05
# A broker that has not yet done with the transaction before asks us to try again; it takes a few
# milliseconds, and the client's own 100 would be a third of an ingest transaction.
_RETRY_MS = 20

Fenced = kafka_errors.ProducerFenced


class _NameTaken(kafka_errors.BrokerResponseError):  # type: ignore[misc]  # the client ships no types
    """FENCED_INSTANCE_ID, which aiokafka takes for an unknown error and tells as its words only."""

    errno = 82
    message = "FENCED_INSTANCE_ID"


kafka_errors.kafka_errors.setdefault(_NameTaken.errno, _NameTaken)


def consumer(settings: KafkaSettings, **more: Any) -> AIOKafkaConsumer:
    """Return a consumer of committed records that never chooses an offset by itself."""
    forgive()
    return AIOKafkaConsumer(
        **options(settings),
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=settings.fetch_wait_ms,
        fetch_max_bytes=settings.fetch_bytes,
        max_partition_fetch_bytes=settings.fetch_partition_bytes,
        **{"isolation_level": "read_committed", **more},
    )


def _producer(settings: KafkaSettings, **more: Any) -> AIOKafkaProducer:
    _quieten()
    return AIOKafkaProducer(
        **options(settings),
        acks="all",
        enable_idempotence=True,
        max_batch_size=settings.batch_bytes,
        max_request_size=settings.request_bytes,
        retry_backoff_ms=_RETRY_MS,
        **more,
    )


async def _ended(stopping: Coroutine[Any, Any, None]) -> bool:
    """Give a client's stop its time; say whether it came to its proper end.

    In a task of its own, because without a broker a producer's waits for ever (aiokafka#1101) and
    a consumer's may be cancelled by what it cancels itself, which must not cancel us.
    """
    task = asyncio.create_task(stopping)
    await asyncio.wait({task}, timeout=_STOP_S)
    if task.cancel():
        await asyncio.wait({task}, timeout=_STOP_S)
    return task.done() and not task.cancelled() and task.exception() is None


async def stop_consumer(client: AIOKafkaConsumer) -> None:
    """Stop a consumer, however its connection is."""
    if not await _ended(client.stop()):
        await client._client.close()  # noqa: SLF001 - no public way after a stop that failed


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    if not await _ended(producer.stop()):
        await _ended(producer._sender.close())  # noqa: SLF001 - the same: it would go on trying
        await producer.client.close()


def _quieten() -> None:
    """Have a failed batch leave no error behind: whoever still waits for it hears of it anyhow.

    Who was cancelled meanwhile does not: `asyncio.shield` then lets go of what it shielded.
    """
    failure = MessageBatch.failure
    if failure.__module__ == MessageBatch.__module__:

        def failed(batch: MessageBatch, exception: BaseException) -> None:
            failure(batch, exception)
            seen(batch.future)
            if batch._drain_waiter.done():  # noqa: SLF001 - nobody but a full queue waits for it
                seen(batch._drain_waiter)  # noqa: SLF001 - the same

        batches: Any = MessageBatch
        batches.failure = failed


def as_record(one: Any) -> Record:
    """Return what a consumer brought as a record of the seam."""
    headers = tuple((name, value or b"") for name, value in one.headers)
    return Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, headers)


class Member(ConsumerRebalanceListener):  # type: ignore[misc]  # the client ships no types
    """A member of the consumer group on the input topic.

    Parameters
    ----------
    settings : KafkaSettings
    topic : str
    assigned : callable
        Called with the partitions of each new assignment, already paused. May only flip flags.
    revoked : callable
        Called when all partitions are gone. May only flip flags.

    Attributes
    ----------
    ousted : bool
        Another copy of our static name took our place again and again; we no longer take it back.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        assigned: Callable[[list[int]], None],
        revoked: Callable[[], None],
    ) -> None:
        self._topic = topic
        self._tell_assigned = assigned
        self._tell_revoked = revoked
        self._session_s = settings.session_timeout_ms / 1000
        self._named = settings.group_instance_id is not None
        self._seen = float("-inf")
        self._replacements = Replacements()
        self._left = asyncio.Event()
        self._proving: set[asyncio.Future[None]] = set()
        self.ousted = False
        self._assignor = StayingAssignor(topic)
        self._consumer = consumer(
            settings,
            group_id=settings.app,
            group_instance_id=settings.group_instance_id,
            # With several, aiokafka sends JoinGroup once for each.
            partition_assignment_strategy=(self._assignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=settings.max_poll_interval_ms,
        )

    async def start(self) -> None:
        """Connect, without joining yet."""
        await self._consumer.start()
        send = self._coordinator._send_req  # noqa: SLF001 - no public way to know of the group's answers

        async def heard(request: Any) -> Any:
            answer = await send(request)
            if isinstance(request, HeartbeatRequest | JoinGroupRequest | SyncGroupRequest):
                self._heard(request, answer.error_code)
            return answer

        self._coordinator._send_req = heard  # noqa: SLF001 - the same

    def _heard(self, request: Any, code: int) -> None:
        """Look at the group's answer to a member.

        The group forgets a member that is silent for the session timeout. One that has a name and
        is forgotten sooner was replaced by another of that name.
        """
        now = monotonic()
        soon = now - self._seen < self._session_s / 2
        beat = isinstance(request, HeartbeatRequest)
        forgotten = beat and code == kafka_errors.UnknownMemberIdError.errno
        if beat and code == kafka_errors.NoError.errno:
            self._seen = now
        elif code == _NameTaken.errno or (forgotten and self._named and soon):
            replaced, in_hand = request._member_id, self._coordinator.member_id  # noqa: SLF001 - no public way
            self.ousted = self._replacements.add(replaced, in_hand, now) or self.ousted

    @property
    def _coordinator(self) -> Any:
        return self._consumer._coordinator  # noqa: SLF001 - nobody else knows of the group's answers

    def join(self) -> None:
        """Join the group, or join it anew; assignments come by the callbacks.

        To subscribe again would do, too, but the client's coordination dies of it for ever if just
        then it looks for the group's coordinator, as it does when a broker is down.
        """
        if self._consumer.subscription():
            self._coordinator.request_rejoin()
        else:
            self._consumer.subscribe([self._topic], listener=self)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pause, and hand the assignment on, in the step in which the client makes it."""
        self._consumer.pause(*assigned)  # first of all: records are delivered while this runs
        for place in assigned:
            # Any position, never used: without one the client asks for the group's and complains.
            self._consumer.seek(place, 0)
        self._seen = monotonic()
        self._assignor.held = [place.partition for place in assigned]
        self._tell_assigned(list(self._assignor.held))

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> Any:
        """Hand on that all is gone: rebalances are eager."""
        del revoked
        self._tell_revoked()
        return self._until_left() if self.ousted else None

    async def _until_left(self) -> None:
        """Hold the client, which would join when this ends, and throw the other one out."""
        await self._left.wait()
        raise asyncio.CancelledError

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def has(self, partition: int) -> bool:
        """Whether the client has the partition just now; during a rebalance it has none."""
        return self._place(partition) in self._consumer.assignment()

    def pause(self, partition: int) -> None:
        """Fetch no more records of a partition that it has."""
        self._consumer.pause(self._place(partition))

    def resume(self, partition: int) -> None:
        """Fetch again."""
        self._consumer.resume(self._place(partition))

    def seek(self, partition: int, offset: int) -> None:
        """Go on from another offset."""
        self._consumer.seek(self._place(partition), offset)

    async def fetch(self, max_records: int, wait: float) -> dict[int, list[Record]]:
        """Return records; during a rebalance it waits, however long that takes.

        To be awaited to its end: cancelled, the client would believe for ever that it is polled.
        """
        try:
            found = await self._consumer.getmany(
                timeout_ms=int(1000 * wait), max_records=max_records
            )
        except kafka_errors.KafkaError as error:
            if _NameTaken.__name__ in str(error):
                if not self.ousted:  # else it may go on asking as the old member, in vain
                    self._coordinator.reset_generation()
            elif not error.retriable:
                raise
            await asyncio.sleep(wait)  # the client tries again; how long it may, others judge
            return {}
        return {
            place.partition: [as_record(one) for one in batch] for place, batch in found.items()
        }

    def stamp(self, partition: int) -> int | None:
        """Return when the last fetch of a partition was answered, None if it has no such."""
        if not self.has(partition):
            return None
        stamp: int | None = self._consumer.last_poll_timestamp(self._place(partition))
        return stamp

    async def end(self, partition: int) -> int | None:
        """Return the last stable offset, or None when nothing is left to be read below it.

        The client's position steps over transaction markers and aborted records, ours cannot.
        """
        place = self._place(partition)
        stable = int(self._consumer.last_stable_offset(place) or 0)
        return None if await self._consumer.position(place) >= stable else stable

    async def committed(self, partition: int) -> int | None:
        """Return the group's offset of a partition, None if it has none (or none any more)."""
        committed: int | None = await self._consumer.committed(self._place(partition))
        return committed

    async def prove(self, partition: int) -> None:
        """Commit what is committed: the group accepts it from a member of this generation only.

        So whatever was seen before it, by whoever was a member then as well, was not yet anybody
        else's doing.
        """
        committed = await self.committed(partition)
        offsets = {self._place(partition): committed or 0}
        # By itself: cancelled with us, the client would leave an error behind that nobody asks for.
        proving = asyncio.ensure_future(self._consumer.commit(offsets))
        self._proving.add(proving)
        proving.add_done_callback(self._proved)
        await asyncio.shield(proving)

    def _proved(self, proving: asyncio.Future[None]) -> None:
        self._proving.discard(proving)
        seen(proving)

    async def stop(self) -> None:
        """Leave the group and disconnect."""
        self._left.set()
        await stop_consumer(self._consumer)
        # Not before: what the client has asked for by then fails, and nobody would look at that.
        for proving in self._proving:
            proving.cancel()


class Writer:
    """The transactional producer of one partition, for the time of one holding.

    Parameters
    ----------
    settings : KafkaSettings
    topic : str
        The input topic.
    partition : int
    """

    def __init__(self, settings: KafkaSettings, topic: str, partition: int) -> None:
        self._group = settings.app
        self._place = TopicPartition(topic, partition)
        self._busy = asyncio.Lock()
        self._producer = _producer(
            settings,
            transactional_id=settings.transactional_id(topic, partition),
            transaction_timeout_ms=settings.transaction_timeout_ms,
        )

    async def fence(self) -> None:
        """When it returns, no transaction of an earlier owner can commit."""
        await self._producer.start()

    async def transact(
        self,
        first: Sequence[Outgoing],
        others: AsyncIterator[Sequence[Outgoing]],
        next_offset: int | None,
    ) -> Mapping[str, range]:
        """Write all or nothing, and tell the offsets in each topic.

        After any error the outcome is unknown.
        """
        async with self._busy:
            await self._producer.begin_transaction()
            self._end.add_done_callback(seen)  # an error in it comes to us with a record's as well
            # Records before offsets: while the broker ends the transaction before, the client asks
            # again after 20 ms for a partition, but after 100 ms for offsets.
            sending = Sending(self._producer)
            await sending.add(first)
            async for piece in others:
                await sending.add(piece)
            await sending.end()
            if next_offset is not None:
                offsets = {self._place: next_offset}
                await self._producer.send_offsets_to_transaction(offsets, self._group)
            written = await asyncio.gather(*sending.batches)
            await self._producer.commit_transaction()
        begins = {one.topic: one.offset for one in reversed(written)}
        return {topic: range(at, at + sending.counts[topic]) for topic, at in begins.items()}

    async def stop(self) -> None:
        """Stop, after what is under way; what is left open the next fence aborts."""
        async with self._busy:
            await _stop_producer(self._producer)
        if self._end is not None and self._end.done():
            seen(self._end)

    @property
    def _end(self) -> Any:
        manager: Any = self._producer._txn_manager  # noqa: SLF001 - no public way
        return manager.wait_for_transaction_end()


class Publisher:
    """An idempotent producer.

    Parameters
    ----------
    settings : KafkaSettings
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._producer = _producer(settings)

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Append; durable on all in-sync replicas when it returns."""
        sending = Sending(self._producer)
        await sending.add(records)
        await sending.end()
        await asyncio.gather(*sending.batches)

    async def stop(self) -> None:
        """Disconnect."""
        await _stop_producer(self._producer)


class Offsets:
    """Asks where partitions begin and end.

    Parameters
    ----------
    settings : KafkaSettings
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._stable = consumer(settings)
        self._raw = consumer(settings, isolation_level="read_uncommitted")

    async def start(self) -> None:
        """Connect."""
        await self._stable.start()
        await self._raw.start()

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset held and the last stable one."""
        place = TopicPartition(topic, partition)
        first = await self._stable.beginning_offsets([place])
        end = await self._stable.end_offsets([place])
        return first[place], end[place]

    async def wait_until_stable(self, topic: str, partition: int) -> int:
        """Wait until no open transaction hides anything that was written; return the end."""
        place = TopicPartition(topic, partition)
        while True:
            high: dict[TopicPartition, int] = await self._raw.end_offsets([place])
            if await self._stable.end_offsets([place]) == high:
                return high[place]
            await asyncio.sleep(_LOOK_S)

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._stable)
        await stop_consumer(self._raw)
