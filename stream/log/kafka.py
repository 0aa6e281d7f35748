"""Kafka: the log that scales out.

What it must do, and what a broker was seen to do, stands in DESIGN.md section 3. In short: one
transactional producer a partition is the fence; a plain commit, which carries the generation, is
the proof that the assignment still stands; whoever does not know how a commit ended drops the
producer and joins the group anew, and what the changelog then says is true.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import Any

from stream.log.holdings import Backoff, Contact, Holding, Holdings, Status, Strikes
from stream.log.kafka_client import Fenced, Member, Offsets, Publisher, Writer
from stream.log.kafka_link import FAILED, REFUSED, refusal, translated
from stream.log.kafka_read import read
from stream.log.kafka_reader import KafkaReader
from stream.log.kafka_settings import KafkaSettings
from stream.log.kafka_topics import check_topics, count_partitions, create_topics
from stream.log.pieces import in_pieces
from stream.log.rights import Operation
from stream.log.seam import (
    Footing,
    LogRefusedError,
    LogUnavailableError,
    Outgoing,
    PartitionLostError,
    Poll,
    Record,
)
from stream.log.topics import Topics, refuse_strays

__all__ = ["KafkaOwner", "KafkaPublisher", "KafkaReader", "KafkaSettings", "create_topics"]

_LOOK_S = 0.05
_SETTLE_S = 3.0
_MARGIN_S = 0.1
_ANEW = "begin anew under another topic_prefix and app"

Fetched = tuple[int, Mapping[int, list[Record]]]


class KafkaOwner:
    """One copy of the service on Kafka (`stream.log.seam.OwnerLog`).

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
    """

    _member: Member
    _offsets: Offsets

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._partitions = 0
        self._links: list[Member | Offsets] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._holdings: Holdings[Writer] = Holdings(self._drop)
        self._backoff = Backoff(settings.rejoin_first_s, settings.rejoin_most_s)
        self._fetches = Contact(settings.broker_grace_s)
        self._joins = Contact(settings.broker_grace_s)
        self._fences = Strikes()
        self._rejoin_at: float | None = None
        self._joining = False
        self._fetching: asyncio.Task[Fetched] | None = None

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    @property
    def description(self) -> str:
        """What this log is and where, and once it is open how many partitions it has."""
        partitions = f"{self._partitions} partitions, " if self._partitions else ""
        return (
            f"Kafka at {self._settings.bootstrap_servers} ({partitions}group {self._settings.app})"
        )

    async def start(self) -> None:
        """Connect, check the topics, join."""
        try:
            with translated(self._settings):
                self._partitions = await check_topics(self._settings, self._topics)
                await self._connect()
        except BaseException:
            await self.close()
            raise
        self._join()

    async def _connect(self) -> None:
        topic = self._topics.warps
        self._member = Member(self._settings, topic, self._assigned, self._revoked)
        self._offsets = Offsets(self._settings)
        self._links = [self._member, self._offsets]
        for link in self._links:
            await link.start()

    def _join(self) -> None:
        self._revoked()
        self._member.join()

    def _assigned(self, partitions: list[int]) -> None:
        self._holdings.assign(partitions)
        self._joining = False
        self._rejoin_at = None

    def _revoked(self) -> None:
        self._rejoin_at = None  # we are joining; to ask for it during that would make one more
        self._holdings.revoke()
        self._joining = True

    def _drop(self, writer: Writer) -> None:
        self._spawn(writer.stop())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lost(self, holding: Holding[Writer], error: BaseException) -> PartitionLostError:
        """End a holding; if it was the present one, join the group anew after a while."""
        if self._holdings.lose(holding) and self._rejoin_at is None:
            self._rejoin_at = monotonic() + self._backoff.next(monotonic())
        return PartitionLostError(holding.partition, repr(error))

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring records and changes of assignment."""
        if self._rejoin_at is not None and monotonic() >= self._rejoin_at:
            self._join()
        with translated(self._settings):
            epoch, fetched = await self._fetched(max_records, wait)
            records = dict(self._delivered(epoch, fetched))
            ends = {one.partition: end async for one, end in self._ends()}
        self._check_contact()
        self._check_name()
        revoked, assigned = self._holdings.changes()
        for partition in revoked:  # what came before it went, or came again, is nobody's
            records.pop(partition, None)
            ends.pop(partition, None)
        return Poll(revoked, assigned, records, ends)

    async def _fetched(self, max_records: int, wait: float) -> Fetched:
        # A fetch may outlast the poll that began it, see `Member.fetch`; the next one goes on.
        if self._fetching is None:
            wait = 0 if self._holdings.changed else wait
            self._fetching = asyncio.create_task(self._fetch(max_records, wait))
        await asyncio.wait({self._fetching}, timeout=wait + _MARGIN_S)
        if not self._fetching.done():
            return 0, {}
        done, self._fetching = self._fetching, None
        return done.result()

    async def _fetch(self, max_records: int, wait: float) -> Fetched:
        found = await self._member.fetch(max_records, wait)
        return self._holdings.epoch, found

    def _delivered(
        self, epoch: int, fetched: Mapping[int, list[Record]]
    ) -> Iterator[tuple[int, list[Record]]]:
        active = {one.partition: one for one in self._holdings.active()}
        for partition, records in fetched.items():
            holding = active.get(partition)
            if holding is None or holding.epoch != epoch:
                continue  # of an earlier assignment; `resume` has sought where to go on
            if holding.paused:  # since the fetch: it comes again
                self._member.seek(partition, records[0].offset)
                continue
            holding.position = records[-1].offset + 1
            yield partition, records

    async def _ends(self) -> AsyncIterator[tuple[Holding[Writer], int]]:
        for holding in self._holdings.active():
            stamp = self._member.stamp(holding.partition)
            if stamp is not None and stamp != holding.since:
                end = await self._member.end(holding.partition)
                yield holding, holding.position if end is None else end

    def _check_contact(self) -> None:
        now = monotonic()
        fetching = [one.partition for one in self._holdings.active() if not one.paused]
        stamps = [self._member.stamp(partition) or 0 for partition in fetching]
        unfetched = self._fetches.lost(max(stamps, default=None), now)
        unjoined = self._joins.lost(0 if self._joining else None, now)
        if unfetched or unjoined:
            raise LogUnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} was silent for "
                f"{self._settings.broker_grace_s:g} s"
            )

    def _check_name(self) -> None:
        """Give up when the group again and again gives our place to another of our name."""
        if self._member.ousted:
            name = self._settings.group_instance_id
            raise LogRefusedError(
                f"another copy of {self._settings.app} runs under our name {name!r}: give each "
                "copy an instance of its own, or none"
            )

    async def take(self, partition: int) -> int | None:
        """Fence, wait until nothing hides state, prove that the assignment stands."""
        holding = self._holdings.get(partition, Status.FENCING)
        with self._losing(holding, "taken"):
            async with asyncio.timeout(self._settings.take_timeout_s):
                await self._fence(holding)
                end = await self._offsets.wait_until_stable(self._topics.state, partition)
                await self._member.prove(partition)
        self._check_held(holding)
        holding.status, holding.state_end = Status.RESTORING, end
        return end

    @contextmanager
    def _losing(self, holding: Holding[Writer], done: str) -> Iterator[None]:
        """Lose the partition at whatever goes wrong inside."""
        try:
            yield
        except asyncio.CancelledError as error:
            self._lost(holding, error)
            raise
        except REFUSED as error:
            self._lost(holding, error)
            what = f"partition {holding.partition} cannot be {done}"
            raise LogRefusedError(f"{what}: {refusal(self._settings, error)}") from error
        except FAILED as error:
            raise self._lost(holding, error) from error
        except Exception as error:  # such as a record that cannot be made: what was begun is open
            self._lost(holding, error)
            raise

    def _check_held(self, holding: Holding[Writer]) -> None:
        if not self._holdings.holds(holding):
            raise PartitionLostError(holding.partition, "the assignment changed meanwhile")

    async def _fence(self, holding: Holding[Writer]) -> None:
        writer = Writer(self._settings, self._topics.warps, holding.partition)
        try:
            await writer.fence()
            self._check_held(holding)
        except BaseException:
            self._drop(writer)
            raise
        holding.writer = writer

    async def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield the state records of the partition to their end."""
        holding = self._holdings.get(partition, Status.RESTORING, Status.ACTIVE)
        found = read(self._settings, {(self._topics.state, partition): 0})
        with self._losing(holding, "restored"):
            async with aclosing(found):
                async for record in found:
                    self._check_held(holding)
                    yield record

    async def footing(self, partition: int, offset: int) -> Footing:
        """Look at the input, and prove that what was seen there is ours to judge."""
        holding = self._holdings.get(partition, Status.RESTORING, Status.ACTIVE)
        with self._losing(holding, "looked at"):
            first, end = await self._bounds(partition, offset)
            before = await self._record(partition, offset - 1) if first < offset <= end else None
            committed = await self._member.committed(partition)
            written = await self._offsets.bounds(self._topics.groups, partition)
            await self._member.prove(partition)
        self._check_held(holding)
        return Footing(first, end, committed, before, written[1], _ANEW)

    async def _record(self, partition: int, offset: int) -> Record | None:
        found = read(self._settings, {(self._topics.warps, partition): offset})
        async with aclosing(found):
            record = await anext(found, None)
        return record if record is not None and record.offset == offset else None

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver input records from `offset` on."""
        holding = self._holdings.get(partition, Status.RESTORING, Status.ACTIVE)
        with self._losing(holding, "resumed"):
            first, end = await self._bounds(partition, offset)
        self._check_held(holding)
        if not first <= offset <= end:
            raise LogRefusedError(
                f"{self._topics.warps} [{partition}] holds offsets {first} to {end}, not {offset}"
            )
        if not self._member.has(partition):
            raise PartitionLostError(partition, "the group is rebalancing")
        self._member.seek(partition, offset)
        holding.position = offset
        holding.status = Status.ACTIVE
        self.unpause(frozenset({partition}))

    async def _bounds(self, partition: int, offset: int) -> tuple[int, int]:
        topic = self._topics.warps
        first, end = await self._offsets.bounds(topic, partition)
        give_up = monotonic() + _SETTLE_S
        # A new leader may not know yet how far its followers have come.
        while end < offset and monotonic() < give_up:
            await asyncio.sleep(_LOOK_S)
            first, end = await self._offsets.bounds(topic, partition)
        return first, end

    def pause(self, partitions: frozenset[int]) -> None:
        """Stop delivering records of these partitions."""
        for holding in self._among(partitions):
            holding.paused = True
            self._member.pause(holding.partition)

    def unpause(self, partitions: frozenset[int]) -> None:
        """Go on with them."""
        for holding in self._among(partitions):
            holding.paused = False
            holding.since = self._member.stamp(holding.partition)
            self._member.resume(holding.partition)

    def _among(self, partitions: frozenset[int]) -> Iterator[Holding[Writer]]:
        for holding in self._holdings.active():
            if holding.partition in partitions and self._member.has(holding.partition):
                yield holding

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> int | None:
        """Write all or nothing."""
        holding = self._holdings.get(partition, Status.RESTORING, Status.ACTIVE)
        if holding.writer is None:
            raise PartitionLostError(partition, "it has no producer")
        pieces = in_pieces(records, self._topics, [partition])
        first = await anext(pieces)  # a stray in it is refused before anything begins
        with self._losing(holding, "written"):
            try:
                async with asyncio.timeout(self._settings.commit_timeout_s):
                    written = await holding.writer.transact(first, pieces, next_offset)
            except Fenced:
                await self._count_fence(holding)
                raise
        state = written.get(self._topics.state)
        if state is not None:  # nobody else writes there, and the commit's marker takes an offset
            holding.state_end = state.stop + 1
        return holding.state_end

    async def _count_fence(self, holding: Holding[Writer]) -> None:
        """Give up when we are fenced again and again though the group says that we own it."""
        if not self._holdings.holds(holding):
            return
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._member.prove(holding.partition)
        except FAILED:
            return
        if self._holdings.holds(holding) and self._fences.add(monotonic()):
            raise LogRefusedError(
                f"another service writes under the ids {self._settings.app}.*: "
                "give one of the two another app name"
            )

    async def close(self) -> None:
        """Leave the group and stop everything."""
        self._holdings.revoke()
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
            self._fetching = None
        links, self._links = self._links, []
        for link in links:
            self._spawn(link.stop())
        if self._tasks:
            await asyncio.wait(self._tasks)


class KafkaPublisher:
    """An upstream producer into Kafka (`stream.log.seam.PublisherLog`).

    Parameters
    ----------
    settings : KafkaSettings
    topics : Topics
    """

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._partitions = 0
        self._link: Publisher | None = None

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    async def start(self) -> None:
        """Connect."""
        try:
            with translated(self._settings):
                warps = [self._topics.warps]
                found = await count_partitions(self._settings, warps, Operation.WRITE)
                self._partitions = found[self._topics.warps]
                self._link = Publisher(self._settings)
                await self._link.start()
        except BaseException:
            await self.close()
            raise

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records; they are on all in-sync replicas when it returns."""
        refuse_strays(records, self._topics, range(self._partitions))
        if self._link is None:
            raise LogUnavailableError("the publisher is not connected")
        with translated(self._settings):
            async with asyncio.timeout(self._settings.broker_grace_s):
                await self._link.send(records)

    async def close(self) -> None:
        """Disconnect."""
        link, self._link = self._link, None
        if link is not None:
            await link.stop()
