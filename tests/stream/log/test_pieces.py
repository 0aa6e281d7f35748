"""Transactions whose records are made while the first of them are written."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from stream.log.pieces import in_pieces
from stream.log.seam import Outgoing, PartitionLostError
from stream.log.topics import Topics
from tests.stream.log.benches import Bench, activate, assignment, everything, values

TOPICS = Topics()


def _state(number: int, partition: int = 0) -> Outgoing:
    return Outgoing(TOPICS.state, partition, b"%d" % number, b"v")


async def _pieces(
    records: Iterator[Outgoing] | Sequence[Outgoing],
) -> list[Sequence[Outgoing]]:
    return [piece async for piece in in_pieces(records, TOPICS, [0])]


async def test_what_is_there_is_one_piece() -> None:
    """Nothing of a list is made any more, so there is nothing to wait for."""
    records = [_state(number) for number in range(5000)]
    assert await _pieces(records) == [records]
    assert await _pieces([]) == [[]]


async def test_pieces_are_short_to_make_and_whole_together() -> None:
    """Each piece takes about a millisecond to make, and all are the records in their order."""

    def made() -> Iterator[Outgoing]:
        for number in range(12):
            time.sleep(0.0011)
            yield _state(number)

    pieces = await _pieces(made())
    assert [one for piece in pieces for one in piece] == [_state(number) for number in range(12)]
    assert [len(piece) for piece in pieces] == [1] * 12 + [0]


async def test_the_loop_turns_between_two_pieces() -> None:
    """Whoever waits for the loop has a turn before the next piece is made."""
    turns: list[str] = []

    def made() -> Iterator[Outgoing]:
        for number in range(3):
            turns.append(f"made {number}")
            time.sleep(0.0011)
            yield _state(number)

    async def another() -> None:
        for _ in range(3):
            turns.append("another")
            await asyncio.sleep(0)

    await asyncio.gather(_pieces(made()), another())
    assert turns[:6] == ["made 0", "another", "made 1", "another", "made 2", "another"]


@pytest.mark.parametrize("lazy", [True, False])
async def test_a_stray_is_refused_with_its_piece(lazy: bool) -> None:
    """A record for another partition never leaves, whether it is there or still to be made."""
    records = [_state(0), _state(1, partition=1)]
    with pytest.raises(ValueError, match="no record may go"):
        await _pieces(iter(records) if lazy else records)


def _slowly(bench: Bench, count: int, then: Callable[[], object]) -> Iterator[Outgoing]:
    """Make records that take a piece each, and do something when half of them are made."""
    for number in range(count):
        if number == count // 2:
            then()
        time.sleep(0.0011)
        yield bench.state(b"%d" % number, b"v")


async def test_records_that_are_made_on_the_way_are_written(bench: Bench) -> None:
    """All of them, in their order, made in the loop's own thread; the position goes with them."""
    owner = await bench.started_owner()
    publisher = await bench.started_publisher()
    reader = await bench.started_reader()
    await publisher.publish([bench.warp(1)])
    await assignment(owner)
    await activate(owner, 0)
    threads: list[threading.Thread] = []
    making = _slowly(bench, 6, lambda: threads.append(threading.current_thread()))
    end = await owner.transact(0, making, next_offset=1)
    found = await everything(reader, bench.topics.state)
    assert [one.key for one in found] == [b"%d" % number for number in range(6)]
    assert threads == [threading.current_thread()]
    assert await bench.committed(0) == 1
    again = await owner.transact(0, iter([bench.state(b"k", b"v")]))
    assert (end is None) == (again is None)
    assert end is None or again == end + 2  # a record, and the mark of its commit


async def test_what_making_raises_is_raised_and_nothing_is_written(bench: Bench) -> None:
    """A record that cannot be made takes the whole transaction with it."""
    owner = await bench.started_owner()
    reader = await bench.started_reader()
    await assignment(owner)
    await activate(owner, 0)

    def fail() -> None:
        raise RuntimeError("it cannot be made")

    with pytest.raises(RuntimeError, match="it cannot be made"):
        await owner.transact(0, _slowly(bench, 6, fail))
    assert values(await everything(reader, bench.topics.state)) == []


async def test_a_transaction_that_is_cancelled_while_it_is_made_leaves_nothing(
    bench: Bench,
) -> None:
    """Its partition is lost, comes again, and shows nothing of it."""
    owner = await bench.started_owner()
    await assignment(owner)
    await activate(owner, 0)
    reached = asyncio.Event()
    writing = asyncio.create_task(owner.transact(0, _slowly(bench, 20, reached.set)))
    await reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    with pytest.raises(PartitionLostError):
        await owner.transact(0, [bench.state(b"k", b"v")])
    assert 0 in await assignment(owner)
    await owner.take(0)
    assert [record async for record in owner.changelog(0)] == []
    await owner.transact(0, [bench.state(b"k", b"v")])
