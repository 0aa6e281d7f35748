"""The embedded log: exactly once on one host, on one SQLite file, with nothing to install.

It is not Kafka: one service owns all partitions, and the file does not leave this host. Other
processes publish into it and read from it while the service runs. What it promises about kills
and power losses stands in `stream.log.sqlite`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from stream.log.lane import Lane, acquired
from stream.log.pieces import in_pieces
from stream.log.seam import (
    Footing,
    LogRefusedError,
    Outgoing,
    PartitionLostError,
    Places,
    Poll,
    Record,
    TopicSpec,
)
from stream.log.sqlite import LogFile, OwnerLock, now_ms
from stream.log.starts import refuse_beyond
from stream.log.topics import Topics, refuse_strays

__all__ = ["EmbeddedOwner", "EmbeddedPublisher", "EmbeddedReader", "create_topics"]

_LOOK_S = 0.02
_CHUNK_RECORDS = 1000
_CHUNK_BYTES = 4 * 1024 * 1024
_ANEW = "begin anew in another file"


async def create_topics(path: Path, topics: Sequence[TopicSpec]) -> None:
    """Create the file and the topics that are missing; existing ones are left as they are.

    Parameters
    ----------
    path : Path
        The log file.
    topics : sequence of TopicSpec
        One partition count for all; their `config` is ignored, nothing is ever deleted.

    Raises
    ------
    LogRefusedError
        The file has another partition count, or cannot be used.
    """
    counts = {spec.partitions for spec in topics}
    if len(counts) != 1:
        raise LogRefusedError("topics of one log need one partition count")
    partitions = counts.pop()
    names = [spec.name for spec in topics]
    lane = Lane(lambda: LogFile(path, partitions))
    try:
        await lane.open()
        if await lane.run(lambda file: file.partitions) != partitions:
            raise LogRefusedError(f"{path} was made with another number of partitions")
        await lane.run(lambda file: file.ensure_topics(names))
    finally:
        await lane.close()


class EmbeddedOwner:
    """The service's side of the embedded log (`stream.log.seam.OwnerLog`).

    Parameters
    ----------
    path : Path
        The log file; made at the first start, in a folder that must be there.
    topics : Topics
        Their names.
    partitions : int
        For a new file; an existing one keeps its own.
    clock : callable
        Milliseconds since 1970, for stamps.
    max_poll_bytes : int
        A poll stops behind the record that reaches so many bytes.
    """

    def __init__(
        self,
        path: Path,
        topics: Topics,
        partitions: int = 8,
        *,
        clock: Callable[[], int] = now_ms,
        max_poll_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._path = path
        self._topics = topics
        self._max_poll_bytes = max_poll_bytes
        # Two lanes: a commit waits for the disk, and nothing that only reads should wait with it.
        self._writer = Lane(lambda: LogFile(path, partitions, clock))
        self._reader = Lane(lambda: LogFile(path))
        self._lock: OwnerLock | None = None
        self._partitions = 0
        self._claim = 0
        self._assigned: frozenset[int] = frozenset()
        self._again: frozenset[int] = frozenset()
        self._taken: set[int] = set()
        self._positions: dict[int, int] = {}
        self._paused: frozenset[int] = frozenset()
        self._turn = 0

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    @property
    def description(self) -> str:
        """What this log is and where, and once it is open how many partitions it has."""
        partitions = f"{self._partitions} partitions, " if self._partitions else ""
        return (
            f"embedded log {self._path} ({partitions}SQLite): exactly once on this host, not Kafka"
        )

    async def start(self) -> None:
        """Lock, create or check the file."""
        try:
            self._lock = await acquired(None, partial(OwnerLock, self._path), OwnerLock.release)
            await self._writer.open()
            await self._writer.run(lambda file: file.ensure_topics(self._topics.names))
            self._claim = await self._writer.run(LogFile.claim)
            # A restore reads the changelog to its end: it must not grow with every start.
            await self._writer.run(lambda file: file.compact(self._topics.state))
            await self._reader.open()
            self._partitions = await self._reader.run(lambda file: file.partitions)
        except BaseException:
            await self.close()
            raise

    async def poll(self, max_records: int, wait: float) -> Poll:
        """Bring records; the first poll assigns every partition."""
        if not self._assigned:
            self._assigned = frozenset(range(self._partitions))
            return Poll(assigned=self._assigned)
        if self._again:
            again, self._again = self._again, frozenset()
            return Poll(revoked=again, assigned=again)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait
        found = await self._read(max_records)
        while not found.records and loop.time() < give_up:
            await asyncio.sleep(min(_LOOK_S, max(0.0, give_up - loop.time())))
            if await self._reader.run(LogFile.changed):
                found = await self._read(max_records)
        return found

    async def _read(self, max_records: int) -> Poll:
        wanted = [p for p in self._in_turn() if p not in self._paused]
        positions = {p: self._positions[p] for p in wanted}
        others = [p for p in self._positions if p in self._paused]
        found = await self._reader.run(
            lambda file: self._fetch(file, positions, others, max_records)
        )
        # Where it was lost or resumed meanwhile, what was read is nobody's.
        stale = {p for p, position in positions.items() if self._positions.get(p) != position}
        records = {p: new for p, new in found.records.items() if p not in stale}
        for partition, new in records.items():
            self._positions[partition] = new[-1].offset + 1
        ends = {p: end for p, end in found.ends.items() if p not in stale}
        return Poll(records=records, ends=ends)

    def _in_turn(self) -> list[int]:
        # A full partition must not starve the others: each poll begins with another one.
        resumed = sorted(self._positions)
        self._turn += 1
        cut = self._turn % len(resumed) if resumed else 0
        return resumed[cut:] + resumed[:cut]

    def _fetch(
        self, file: LogFile, positions: dict[int, int], others: list[int], max_records: int
    ) -> Poll:
        topic = self._topics.warps
        records: dict[int, list[Record]] = {}
        left, room = max_records, self._max_poll_bytes
        for partition, position in positions.items():
            if left <= 0 or room <= 0:
                break
            found = file.fetch(topic, partition, position, max_records=left, max_bytes=room)
            if found:
                records[partition] = found
                left -= len(found)
                room -= sum(len(r.key or b"") + len(r.value or b"") for r in found)
        ends = {p: file.bounds(topic, p)[1] for p in (*positions, *others)}
        return Poll(records=records, ends=ends)

    async def take(self, partition: int) -> None:
        """Prove that the partition is ours; the lock has fenced everybody else."""
        self._need(partition, self._assigned, "it is not assigned")
        owner = await self._reader.run(lambda file: file.owner)
        self._refuse_other(owner)
        self._taken.add(partition)

    def _refuse_other(self, owner: int) -> None:
        if owner != self._claim:
            raise LogRefusedError(f"another service claimed {self._path} past our lock")

    def _need(self, partition: int, held: frozenset[int] | set[int], why: str) -> None:
        if partition not in held:
            raise PartitionLostError(partition, why)

    async def changelog(self, partition: int) -> AsyncIterator[Record]:
        """Yield the state records of the partition, to the end found now."""
        self._need(partition, self._taken, "it was not taken")
        topic = self._topics.state
        at, end = await self._reader.run(lambda file: file.bounds(topic, partition))
        while at < end:
            fetch = partial(LogFile.fetch, topic=topic, partition=partition, offset=at)
            most = min(_CHUNK_RECORDS, end - at)
            chunk = await self._reader.run(partial(fetch, max_records=most, max_bytes=_CHUNK_BYTES))
            for record in chunk:
                yield record
            at = chunk[-1].offset + 1 if chunk else end

    async def footing(self, partition: int, offset: int) -> Footing:
        """Look at the input where it would go on from `offset`."""
        self._need(partition, self._taken, "it was not taken")
        return await self._reader.run(lambda file: self._footing(file, partition, offset))

    def _footing(self, file: LogFile, partition: int, offset: int) -> Footing:
        place = (self._topics.warps, partition)
        before = file.fetch(*place, max(0, offset - 1), max_records=1, max_bytes=1)
        held = before[0] if before and before[0].offset == offset - 1 else None
        written = file.bounds(self._topics.groups, partition)[1]
        return Footing(*file.bounds(*place), file.committed(*place), held, written, _ANEW)

    async def resume(self, partition: int, offset: int) -> None:
        """Deliver input records from `offset` on."""
        self._need(partition, self._taken, "it was not taken")
        topic = self._topics.warps
        first, end = await self._reader.run(lambda file: file.bounds(topic, partition))
        if not first <= offset <= end:
            raise LogRefusedError(
                f"{self._path} holds offsets {first} to {end} of {topic} [{partition}], "
                f"not {offset}: it is not the file that this state belongs to"
            )
        self._positions[partition] = offset
        self._paused -= {partition}

    def pause(self, partitions: frozenset[int]) -> None:
        """Stop delivering records of these partitions."""
        self._paused |= partitions

    def unpause(self, partitions: frozenset[int]) -> None:
        """Go on with them."""
        self._paused -= partitions

    async def transact(
        self, partition: int, records: Iterable[Outgoing], next_offset: int | None = None
    ) -> None:
        """Write all or nothing."""
        self._need(partition, self._taken, "it was not taken")
        pieces, belt = in_pieces(records, self._topics, [partition]), _Belt()
        belt.put(await anext(pieces))  # a stray in it is refused before anything begins
        writing = asyncio.ensure_future(
            self._writer.run(lambda file: self._write(file, partition, belt, next_offset))
        )
        try:
            async for piece in pieces:
                belt.put(piece)
            belt.put(None)
            await asyncio.shield(writing)
        except BaseException as error:
            belt.put(_CutOffError())
            await asyncio.gather(writing, return_exceptions=True)
            if isinstance(error, asyncio.CancelledError):
                # Whoever called does not learn how it ended, so what is held of it must go.
                self._lose(partition)
            raise

    def _lose(self, partition: int) -> None:
        self._taken.discard(partition)
        self._positions.pop(partition, None)
        self._again |= {partition}

    def _write(
        self,
        file: LogFile,
        partition: int,
        records: Iterable[Outgoing],
        next_offset: int | None,
    ) -> None:
        with file.transaction():
            self._refuse_other(file.owner)
            file.append(records)
            if next_offset is not None:
                file.commit_position(self._topics.warps, partition, next_offset)

    async def close(self) -> None:
        """Close the file and let another service own it."""
        try:
            await self._reader.close()
            await self._writer.close()
        finally:  # also when cancelled: what is still being written is refused by the next claim
            lock, self._lock = self._lock, None
            if lock is not None:
                lock.release()


class _CutOffError(Exception):
    """The rest of a transaction will never come."""


class _Belt:
    """Takes records from the loop, where they are made, to the thread that writes them."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[Sequence[Outgoing] | _CutOffError | None] = SimpleQueue()

    def put(self, piece: Sequence[Outgoing] | _CutOffError | None) -> None:
        """Hand on a piece; None is the end."""
        self._pieces.put(piece)

    def __iter__(self) -> Iterator[Outgoing]:
        while (piece := self._pieces.get()) is not None:
            if isinstance(piece, _CutOffError):
                raise piece
            yield from piece


class EmbeddedPublisher:
    """An upstream producer into the embedded log (`stream.log.seam.PublisherLog`).

    Parameters
    ----------
    path : Path
        The log file; made if it is not there.
    topics : Topics
        Their names.
    partitions : int
        For a new file; an existing one keeps its own.
    clock : callable
        Milliseconds since 1970, for stamps.
    """

    def __init__(
        self,
        path: Path,
        topics: Topics,
        partitions: int = 8,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._topics = topics
        self._lane = Lane(lambda: LogFile(path, partitions, clock))
        self._partitions = 0

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    async def start(self) -> None:
        """Open the file."""
        try:
            await self._lane.open()
            await self._lane.run(lambda file: file.ensure_topics(self._topics.names))
            self._partitions = await self._lane.run(lambda file: file.partitions)
        except BaseException:
            await self._lane.close()
            raise

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append records; they are on the disk when it returns."""
        refuse_strays(records, self._topics, range(self._partitions))

        def write(file: LogFile) -> None:
            with file.transaction():
                file.append(records)

        await self._lane.run(write)

    async def close(self) -> None:
        """Close the file."""
        await self._lane.close()


class EmbeddedReader:
    """A reader of the embedded log (`stream.log.seam.ReaderLog`).

    Parameters
    ----------
    path : Path
        The log file, which must be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lane = Lane(lambda: LogFile(path))
        self._partitions = 0

    @property
    def partitions(self) -> int:
        """Number of partitions of each topic."""
        return self._partitions

    async def start(self) -> None:
        """Open the file."""
        try:
            await self._lane.open()
            self._partitions = await self._lane.run(lambda file: file.partitions)
        except BaseException:
            await self._lane.close()
            raise

    async def ends(self, topics: Sequence[str]) -> Places:
        """Return the offset behind the last record of every partition."""
        places = await self._every(topics)
        return await self._lane.run(lambda file: {at: file.bounds(*at)[1] for at in places})

    async def begins(self, topics: Sequence[str]) -> Places:
        """Return 0 for every partition: nothing is deleted by age."""
        return dict.fromkeys(await self._every(topics), 0)

    async def _every(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        await self._refuse_missing(topics)
        return [(topic, one) for topic in topics for one in range(self._partitions)]

    async def _refuse_missing(self, topics: Sequence[str]) -> None:
        missing = set(topics) - set(await self._lane.run(LogFile.topics))
        if missing:
            raise LogRefusedError(f"{self._path} has no topic {', '.join(sorted(missing))}")

    async def read(
        self,
        topics: Sequence[str],
        *,
        follow: bool,
        from_end: bool = False,
        starts: Places | None = None,
    ) -> AsyncGenerator[Record, None]:
        """Yield records in the order in which they were appended, over all topics."""
        starts = starts or {}
        refuse_beyond(starts, await self.ends(topics), str(self._path))
        last = await self._lane.run(LogFile.last_place)
        at = last if from_end else await self._place_before(topics, starts)
        while follow or at < last:
            chunk = await self._chunk(topics, at, last)
            for _, record in chunk:
                if record.offset >= starts.get((record.topic, record.partition), 0):
                    yield record
            at = chunk[-1][0] if chunk else last
            if follow and at == last:
                last = await self._later(at)

    async def _place_before(self, topics: Sequence[str], starts: Places) -> int:
        """Return a place in the file before which nothing is wanted."""
        wanted = [(topic, one) for topic in topics for one in range(self._partitions)]
        if not all(starts.get(one) for one in wanted):
            return 0
        places = [await self._lane.run(partial(_place, at=(*at, starts[at]))) for at in wanted]
        return min(places) - 1

    async def _chunk(self, topics: Sequence[str], at: int, last: int) -> list[tuple[int, Record]]:
        return await self._lane.run(
            lambda file: file.scan(
                topics, at, last, max_records=_CHUNK_RECORDS, max_bytes=_CHUNK_BYTES
            )
        )

    async def _later(self, place: int) -> int:
        """Wait until the file holds a record behind `place`; return the last one's place."""
        last = await self._lane.run(LogFile.last_place)
        while last == place:
            await asyncio.sleep(_LOOK_S)
            last = await self._lane.run(LogFile.last_place)
        return last

    async def close(self) -> None:
        """Close the file."""
        await self._lane.close()


def _place(file: LogFile, at: tuple[str, int, int]) -> int:
    return file.place_of(*at)
