"""The proxy passes everything on, but for the trouble that it is told to make."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from ops.broker.broker import Cluster
from ops.broker.proxy import Kind, Proxy, Trouble, proxied
from stream.log.topics import Topics
from tests.stream.log.benches import (
    PARTITIONS,
    KafkaBench,
    activate,
    assignment,
    quick_settings,
)


def _request(kind: int, number: int, body: bytes = b"") -> bytes:
    frame = struct.pack(">hhi", kind, 0, number) + body
    return struct.pack(">i", len(frame)) + frame


def _answer(number: int, body: bytes) -> bytes:
    frame = struct.pack(">i", number) + body
    return struct.pack(">i", len(frame)) + frame


@dataclass
class _Broker:
    """Answers each request with its own body, and remembers their numbers."""

    heard: list[int] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(4):
            frame = await reader.readexactly(struct.unpack(">i", head)[0])
            (number,) = struct.unpack_from(">i", frame, 4)
            self.heard.append(number)
            writer.write(_answer(number, frame[8:]))
            await writer.drain()
        writer.close()


@dataclass
class _Line:
    """A client on a proxy before a broker."""

    proxy: Proxy
    broker: _Broker
    connect: Callable[[], object]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, kind: int, number: int) -> bytes:
        """Send a request and return its answer, nothing when the connection ends instead."""
        self.writer.write(_request(kind, number, b"body %d" % number))
        try:
            head = await self.reader.readexactly(4)
            return await self.reader.readexactly(struct.unpack(">i", head)[0])
        except (asyncio.IncompleteReadError, OSError):
            return b""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@asynccontextmanager
async def _set_up() -> AsyncIterator[_Line]:
    broker, proxy, port = _Broker(), Proxy(), _free_port()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    behind = server.sockets[0].getsockname()[1]
    async with server, proxy.listening({port: behind}):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield _Line(
            proxy, broker, lambda: asyncio.open_connection("127.0.0.1", port), reader, writer
        )
        writer.close()


@pytest_asyncio.fixture
async def line() -> AsyncIterator[_Line]:
    """Connect once."""
    async with _set_up() as made:
        yield made


async def test_what_is_not_troubled_passes(line: _Line) -> None:
    """Requests and answers are passed on as they are, in their order."""
    for number in range(5):
        assert await line.ask(Kind.FETCH, number) == struct.pack(">i", number) + b"body %d" % number
    assert line.broker.heard == [0, 1, 2, 3, 4]
    assert not line.proxy.made


async def test_a_cut_lets_the_request_through(line: _Line) -> None:
    """The broker has heard it, and the client does not learn so; others are not touched."""
    line.proxy.troubles = lambda kind: Trouble(cut=True) if kind == Kind.END_TXN else None
    assert await line.ask(Kind.PRODUCE, 1)
    assert not await line.ask(Kind.END_TXN, 2)
    assert line.broker.heard == [1, 2]
    assert line.proxy.made == {Kind.END_TXN: 1}


async def test_a_dropped_request_is_heard_by_nobody(line: _Line) -> None:
    """The connection ends instead."""
    line.proxy.troubles = lambda _: Trouble(drop=True)
    assert not await line.ask(Kind.END_TXN, 1)
    assert line.broker.heard == []


async def test_a_late_answer_comes_and_none_overtakes_it(line: _Line) -> None:
    """What follows on the connection waits behind it, as Kafka's protocol has it."""
    troubles = iter([Trouble(delay_s=0.2), None])
    line.proxy.troubles = lambda _: next(troubles)
    line.writer.write(_request(Kind.END_TXN, 1) + _request(Kind.END_TXN, 2))
    found = [await line.reader.readexactly(8) for _ in range(2)]
    assert [struct.unpack_from(">i", one, 4)[0] for one in found] == [1, 2]


async def test_who_is_away_lets_nobody_through(line: _Line) -> None:
    """Open connections can be ended, and new ones come to nothing."""
    line.proxy.go_away()
    assert await line.reader.read() == b""
    reader, writer = await line.connect()  # type: ignore[misc]  # a connection's two ends
    assert await reader.read() == b""
    writer.close()


@pytest.mark.kafka
async def test_clients_do_not_go_around_it(cluster: Cluster, name: str) -> None:
    """All of a client's work comes through, for the broker advertises the proxy."""
    seen: set[int] = set()

    def troubles(kind: int) -> None:
        seen.add(kind)

    with proxied(cluster.routes, troubles):
        bench = KafkaBench(Topics(name), quick_settings(cluster.proxied, name))
        await bench.create(bench.topics.specs(PARTITIONS))
        owner = await bench.started_owner()
        await assignment(owner)
        await activate(owner, 0, 1)
        await owner.transact(0, [bench.state(b"k", b"v")], next_offset=0)
        assert [one async for one in owner.changelog(1)] == []
        await bench.close()
    assert seen >= set(Kind) - {Kind.HEARTBEAT}
