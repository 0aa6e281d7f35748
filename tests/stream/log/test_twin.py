"""The embedded log against a plain twin: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stream.log.embedded import EmbeddedOwner, EmbeddedPublisher, EmbeddedReader
from stream.log.seam import LogRefusedError, Outgoing, PartitionLostError, Record
from stream.log.sqlite import LogFile, OwnerLock
from stream.log.topics import Topics
from tests.stream.log.plain import PlainLog

PARTITIONS = 2
TOPICS = Topics()
NAMES = (TOPICS.warps, TOPICS.state, TOPICS.models)


@dataclass(frozen=True)
class Do:
    """One step: who does what."""

    what: str
    partition: int = 0
    records: tuple[Outgoing, ...] = ()
    number: int = 0


def _outgoing(partition: int | None = None) -> st.SearchStrategy[Outgoing]:
    small = st.binary(max_size=3)
    headers = st.lists(st.tuples(st.sampled_from(["a", "ce_id"]), small), max_size=2).map(tuple)
    where = st.integers(0, PARTITIONS - 1) if partition is None else st.just(partition)
    return st.builds(Outgoing, st.sampled_from(NAMES), where, small, st.none() | small, headers)


def _step(partition: int) -> st.SearchStrategy[Do]:
    own = st.lists(_outgoing(partition), max_size=4).map(tuple)
    anywhere = st.lists(_outgoing(), min_size=1, max_size=4).map(tuple)
    numbers = st.integers(0, 9)
    written = st.sampled_from(["transact", "transact", "stray", "cancel"])
    moves = st.sampled_from(["poll", "poll", "seek", "pause", "clock", "restart"])
    return st.one_of(
        st.builds(Do, st.just("publish"), records=anywhere),
        st.builds(Do, written, st.just(partition), own, numbers),
        st.builds(Do, moves, st.just(partition), number=numbers),
    )


STEPS = st.lists(st.integers(0, PARTITIONS - 1).flatmap(_step), max_size=14)


class Pair:
    """The embedded log and its twin, told the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000
        self.plain = PlainLog(TOPICS, PARTITIONS, clock=lambda: self.now)
        self.publisher = EmbeddedPublisher(path, TOPICS, PARTITIONS, clock=lambda: self.now)
        self.reader = EmbeddedReader(path)
        self.owner: EmbeddedOwner
        self.running = False

    async def open(self) -> None:
        """Start an owner that holds everything."""
        self.owner = EmbeddedOwner(self.path, TOPICS, PARTITIONS, clock=lambda: self.now)
        await self.owner.start()
        self.running = True
        assert (await self.owner.poll(1, 0)).assigned == frozenset(range(PARTITIONS))
        for log in (self.owner, self.plain):
            for partition in range(PARTITIONS):
                await log.take(partition)
                await log.resume(partition, self.plain.committed.get(partition, 0))
        self.plain.told = True

    async def close(self) -> None:
        """Close what is open."""
        for log in (self.owner, self.publisher, self.reader):
            await log.close()

    def block(self, entered: threading.Event, go_on: threading.Event) -> None:
        """Let the owner's next reading wait in its thread."""
        lane = self.owner._reader  # noqa: SLF001 - nothing public is as slow as a busy disk
        fetch = LogFile.fetch

        def slow(file: LogFile, *args: Any, **more: Any) -> list[Record]:
            found = fetch(file, *args, **more)
            entered.set()
            go_on.wait(10)
            return found

        assert lane._file is not None  # noqa: SLF001 - as above
        lane._file.fetch = partial(slow, lane._file)  # type: ignore[method-assign]  # noqa: SLF001 - as above

    async def do(self, step: Do) -> None:
        """Do a step on both, and compare what is seen of it."""
        await getattr(self, f"_{step.what}")(step)

    async def _publish(self, step: Do) -> None:
        await self.publisher.publish(step.records)
        self.plain.append(step.records)

    async def _transact(self, step: Do) -> None:
        end = len(self.plain.kept[TOPICS.warps, step.partition])
        offset = step.number if step.number <= end else None
        for log in (self.owner, self.plain):
            await log.transact(step.partition, step.records, offset)

    async def _stray(self, step: Do) -> None:
        """Write a transaction that is refused in its last record: nothing of it may stay."""
        stray = Outgoing(TOPICS.state, 1 - step.partition, b"k", b"v")
        with pytest.raises(ValueError, match="no record may go"):
            await self.owner.transact(step.partition, [*step.records, stray], 0)

    async def _cancel(self, step: Do) -> None:
        """Cancel a transaction at some moment: it was written whole, or not at all."""
        writing = asyncio.create_task(self.owner.transact(step.partition, step.records))
        for _ in range(step.number % 4):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
        if not writing.cancelled():
            self.plain.append(step.records)
            return
        if step.number % 4:  # it had begun
            with pytest.raises(PartitionLostError):
                await self.owner.transact(step.partition, [])
            poll = await self.owner.poll(1, 0)
            assert poll.revoked == poll.assigned == {step.partition}
            self.plain.append(step.records)
            await self.owner.take(step.partition)
            await self.owner.resume(step.partition, self.plain.positions[step.partition])
            self.plain.unpause(frozenset({step.partition}))

    async def _poll(self, _: Do) -> None:
        found = await self.owner.poll(1000, 0)
        wanted = await self.plain.poll(1000, 0)
        assert {p: list(records) for p, records in found.records.items()} == wanted.records
        assert found.ends == wanted.ends

    async def _seek(self, step: Do) -> None:
        end = len(self.plain.kept[TOPICS.warps, step.partition])
        for log in (self.owner, self.plain):
            await log.resume(step.partition, min(step.number, end))

    async def _pause(self, step: Do) -> None:
        for log in (self.owner, self.plain):
            (log.pause if step.number % 2 else log.unpause)(frozenset({step.partition}))

    async def _clock(self, step: Do) -> None:
        self.now += 100 * (step.number - 4)

    async def _restart(self, _: Do) -> None:
        await self.owner.close()
        self.plain.paused = frozenset()
        await self.open()


def _last(records: Sequence[Record]) -> dict[tuple[int, bytes | None], bytes | None]:
    last = {(one.partition, one.key): one.value for one in records}
    return {key: value for key, value in last.items() if value is not None}


async def _compare(pair: Pair) -> None:
    """Compare all that can be read: each topic, the order over topics, state, positions."""
    plain = pair.plain
    others = [TOPICS.warps, TOPICS.models]
    found = [one async for one in pair.reader.read(others, follow=False)]
    assert found == [one for one in plain.order if one.topic in others]
    for partition in range(PARTITIONS):
        state = [one async for one in pair.owner.changelog(partition)]
        whole = plain.kept[TOPICS.state, partition]
        assert _last(state) == _last(whole)
        assert all(one in whole for one in state)
        assert [one.offset for one in state] == sorted({one.offset for one in state})
    sql = sqlite3.connect(pair.path)
    query = "SELECT partition, committed FROM stream WHERE topic = ? AND committed NOT NULL"
    committed = dict(sql.execute(query, (TOPICS.warps,)).fetchall())
    sql.close()
    assert committed == plain.committed


@given(STEPS)
@settings(max_examples=120, deadline=None, phases=(Phase.reuse, Phase.generate))
def test_the_embedded_log_is_its_plain_twin(steps: list[Do]) -> None:
    """Publishers, transactions (some refused or cancelled), polls, seeks, restarts: both agree."""

    async def play(path: Path) -> None:
        pair = Pair(path)
        await pair.publisher.start()
        await pair.open()
        await pair.reader.start()
        try:
            for step in steps:
                await pair.do(step)
            await _compare(pair)
        finally:
            await pair.close()

    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder) / "log.db"))


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Open a log whose partitions hold five records each."""
    pair = Pair(tmp_path / "log.db")
    await pair.publisher.start()
    await pair.open()
    for partition in range(PARTITIONS):
        await pair.publisher.publish(
            [Outgoing(TOPICS.warps, partition, b"k", b"%d" % n) for n in range(5)]
        )
    yield pair
    await pair.close()


async def _lose(pair: Pair, partition: int) -> None:
    """Cancel a transaction that has begun."""
    writing = asyncio.create_task(pair.owner.transact(partition, []))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    assert writing.cancelled()


async def test_what_a_poll_read_of_a_lost_partition_is_nobodys(pair: Pair) -> None:
    """A partition lost while a poll reads it is not in that poll, nor delivered after it."""
    entered, go_on = threading.Event(), threading.Event()
    pair.block(entered, go_on)
    polling = asyncio.create_task(pair.owner.poll(99, 0))
    await asyncio.to_thread(entered.wait)
    await _lose(pair, 0)
    go_on.set()
    assert (await polling).records.keys() == {1}
    assert (await pair.owner.poll(99, 0)).assigned == {0}
    assert not (await pair.owner.poll(99, 0)).records
    await pair.owner.take(0)
    await pair.owner.resume(0, 1)
    assert [r.offset for r in (await pair.owner.poll(99, 0)).records[0]] == [1, 2, 3, 4]


async def test_a_lost_partition_is_not_delivered(pair: Pair) -> None:
    """Once it is lost, nothing of a partition comes before it was taken and resumed anew."""
    for count in (1, 2):
        for partition in range(count):
            await _lose(pair, partition)
        lost = frozenset(range(count))
        poll = await pair.owner.poll(9, 0)
        assert (poll.revoked, poll.assigned, poll.records) == (lost, lost, {})
        later = await pair.owner.poll(99, 0)
        assert not later.records.keys() & lost
        assert not later.ends.keys() & lost
        for partition in lost:
            with pytest.raises(PartitionLostError):
                await pair.owner.resume(partition, 0)
            await pair.owner.take(partition)
            await pair.owner.resume(partition, 4)
    (first, second) = (await pair.owner.poll(9, 0)).records.values()
    assert [r.offset for r in (*first, *second)] == [4, 4]


async def test_a_resume_ends_a_pause(pair: Pair) -> None:
    """A partition that comes anew is delivered, though it was paused when it went."""
    pair.owner.pause(frozenset({0, 1}))
    await pair.owner.resume(0, 2)
    (records,) = (await pair.owner.poll(9, 0)).records.values()
    assert [(r.partition, r.offset) for r in records] == [(0, 2), (0, 3), (0, 4)]
    assert (await pair.owner.poll(9, 0)).ends == {0: 5, 1: 5}


async def test_a_start_that_is_cancelled_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that is cancelled while it takes the lock gives it back, and ends after that."""
    taken, go_on, held = threading.Event(), threading.Event(), list[OwnerLock]()

    class Slow(OwnerLock):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            held.append(self)
            taken.set()
            go_on.wait(10)

    path = tmp_path / "log.db"
    with monkeypatch.context() as patched:
        patched.setattr("stream.log.embedded.OwnerLock", Slow)
        starting = asyncio.create_task(EmbeddedOwner(path, TOPICS, PARTITIONS).start())
        await asyncio.to_thread(taken.wait)
        starting.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait({starting})
    assert starting.cancelled()
    assert held
    following = EmbeddedOwner(path, TOPICS, PARTITIONS)
    await following.start()
    await following.close()


async def test_a_close_that_is_cancelled_leaves_no_lock(tmp_path: Path) -> None:
    """Nor does an owner keep the log that was cancelled while it closed."""
    path = tmp_path / "log.db"
    owner = EmbeddedOwner(path, TOPICS, PARTITIONS)
    await owner.start()
    closing = asyncio.create_task(owner.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    following = EmbeddedOwner(path, TOPICS, PARTITIONS)
    await following.start()
    await following.close()
    await owner.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    """Open a log file with our topics, whose clock jumps."""
    clock = iter((500, 900, 100, 200, 901, 5))
    with LogFile(tmp_path / "log.db", PARTITIONS, clock=lambda: next(clock)) as file:
        file.ensure_topics(NAMES)
        yield file


def _kept(file: LogFile, topic: str, partition: int, max_bytes: int = 1 << 20) -> list[Record]:
    return file.fetch(topic, partition, 0, max_records=100, max_bytes=max_bytes)


def test_no_stamp_is_before_another_wherever_it_stands(file: LogFile) -> None:
    """One clock for all topics and partitions: what was appended later is not stamped earlier."""
    places = [(TOPICS.warps, 0), (TOPICS.state, 1), (TOPICS.warps, 0), (TOPICS.warps, 1)]
    stamps = []
    for topic, partition in [*places, (TOPICS.models, 0), (TOPICS.warps, 0)]:
        with file.transaction():
            file.append([Outgoing(topic, partition, b"k", b"v")])
        stamps.append(_kept(file, topic, partition)[-1].timestamp)
    assert stamps == [500, 900, 900, 900, 901, 901]


def test_compaction_keeps_each_partitions_own(file: LogFile) -> None:
    """The same key in two partitions, as the position's is, is two keys."""
    values = [(p, b"%d of %d" % (number, p)) for number in (1, 2) for p in range(PARTITIONS)]
    with file.transaction():
        file.append([Outgoing(TOPICS.state, p, b"P", value) for p, value in values])
    file.compact(TOPICS.state)
    kept = [[r.value for r in _kept(file, TOPICS.state, p)] for p in range(PARTITIONS)]
    assert kept == [[b"2 of 0"], [b"2 of 1"]]


def test_a_transaction_that_fails_half_way_leaves_nothing(file: LogFile) -> None:
    """What was appended before the failure is gone, and its offsets are free."""
    for stray in (Outgoing("elsewhere", 0, b"k", b"v"), Outgoing(TOPICS.warps, 9, b"k", b"v")):
        with pytest.raises(LogRefusedError, match="no topic"), file.transaction():
            file.append([Outgoing(TOPICS.warps, 0, b"k", b"v"), stray])
    assert _kept(file, TOPICS.warps, 0) == []
    assert file.bounds(TOPICS.warps, 0) == (0, 0)
    with file.transaction():
        file.append([Outgoing(TOPICS.warps, 0, b"k", b"v")])
    assert [r.offset for r in _kept(file, TOPICS.warps, 0)] == [0]


@pytest.mark.parametrize(("max_bytes", "count"), [(1, 1), (5, 1), (6, 2), (10, 2), (11, 3)])
def test_reading_stops_behind_the_record_that_fills_the_room(
    file: LogFile, max_bytes: int, count: int
) -> None:
    """Keys and values count; there is always one record, or a reader would stand still."""
    with file.transaction():
        file.append([Outgoing(TOPICS.warps, 0, b"kk", b"vvv") for _ in range(4)])
    assert len(_kept(file, TOPICS.warps, 0, max_bytes)) == count


async def _grow(rounds: int, publisher: EmbeddedPublisher, name: bytes) -> None:
    for number in range(rounds):
        where = number % PARTITIONS
        made = [Outgoing(TOPICS.warps, where, name, b"%d" % n) for n in (number, number)]
        await publisher.publish(made)


async def _own(pair: Pair, rounds: int) -> list[Record]:
    """Take everything in, answering each poll with a transaction of models and a position."""
    seen: list[Record] = []
    while len(seen) < rounds:
        poll = await pair.owner.poll(7, 0.05)
        for partition, records in poll.records.items():
            seen += records
            models = [Outgoing(TOPICS.models, partition, r.key, r.value) for r in records]
            await pair.owner.transact(partition, models, records[-1].offset + 1)
    return seen


async def _follow(pair: Pair, count: int) -> list[Record]:
    found: list[Record] = []
    reading: AsyncIterator[Any] = pair.reader.read([TOPICS.warps, TOPICS.models], follow=True)
    async with aclosing(reading) as records:  # type: ignore[type-var]  # an async generator
        async for record in records:
            found.append(record)
            if len(found) == count:
                return found
    raise AssertionError


async def test_publishers_owner_and_a_reader_at_once(tmp_path: Path) -> None:
    """With all of them at it, each record is seen once by each, in the order of its partition."""
    pair = Pair(tmp_path / "log.db")
    publishers = [EmbeddedPublisher(pair.path, TOPICS, PARTITIONS) for _ in range(3)]
    for log in (*publishers, pair.publisher):
        await log.start()
    await pair.open()
    await pair.reader.start()
    rounds = 15
    total = 2 * rounds * len(publishers)
    async with asyncio.timeout(30):
        growing = [_grow(rounds, log, b"p%d" % n) for n, log in enumerate(publishers)]
        upstream = asyncio.gather(*growing)
        seen, read = await asyncio.gather(_own(pair, total), _follow(pair, 2 * total))
        await upstream
    for partition in range(PARTITIONS):
        mine = [one for one in seen if one.partition == partition]
        assert [one.offset for one in mine] == list(range(len(mine)))
        assert [r for r in read if (r.topic, r.partition) == (TOPICS.warps, partition)] == mine
        models = [r for r in read if (r.topic, r.partition) == (TOPICS.models, partition)]
        assert [(r.key, r.value) for r in models] == [(r.key, r.value) for r in mine]
        for name in {one.key for one in mine}:
            numbers = [int(one.value or b"") for one in mine if one.key == name]
            assert numbers == sorted(numbers)
    for log in publishers:
        await log.close()
    await pair.close()
