"""A proxy before Kafka's brokers that delays and drops answers, and cuts connections, by request.

Clients that come in on a cluster's `ops.broker.broker.Cluster.proxied` addresses are sent to these
addresses again by whatever a broker advertises, so none of their requests passes by. The proxy
knows of Kafka's protocol no more than the heads of requests: which kind each is, and which answer
is whose.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["Kind", "Proxy", "Trouble", "proxied"]

_SIZE = struct.Struct(">i")
_HEAD = struct.Struct(">hhi")
_START_S = 10.0
_LARGEST = 128 * 1024 * 1024


class Kind(IntEnum):
    """Kafka's numbers of the requests that are worth some trouble."""

    PRODUCE = 0
    FETCH = 1
    OFFSET_COMMIT = 8
    JOIN_GROUP = 11
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


@dataclass(frozen=True)
class Trouble:
    """What happens to one request.

    Attributes
    ----------
    delay_s : float
        The answer, and all that follow it on the connection, come so much later, in seconds.
    cut : bool
        The request reaches the broker, and the connection ends before its answer.
    drop : bool
        The connection ends before the request reaches the broker.
    """

    delay_s: float = 0.0
    cut: bool = False
    drop: bool = False


Troubles = Callable[[int], Trouble | None]
"""Gets the kind of each request (`Kind`, or any other number); called in the proxy's own loop."""


@dataclass
class Proxy:
    """Connections that are passed on, and the trouble that is made of them.

    Attributes
    ----------
    troubles : callable
        May be set at any time.
    away : bool
        While it is, nobody new is let through.
    made : Counter
        How much trouble was made, by the kind of the request.
    """

    troubles: Troubles = lambda _: None
    away: bool = False
    made: Counter[int] = field(default_factory=Counter)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    _links: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)
    _serving: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    def go_away(self) -> None:
        """End every connection and let nobody through; may be called from any thread."""
        self.away = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.cut_all)

    def cut_all(self) -> None:
        """End every connection (from the proxy's own loop)."""
        for link in list(self._links):
            link.transport.abort()

    @asynccontextmanager
    async def listening(self, routes: Mapping[int, int]) -> AsyncIterator[Proxy]:
        """Pass connections on, for the time of a block.

        Parameters
        ----------
        routes : mapping of int to int
            The broker's port by the port to listen on, all of the loopback interface.
        """
        self._loop = asyncio.get_running_loop()
        servers = [
            await asyncio.start_server(self._through(target), "127.0.0.1", port)
            for port, target in routes.items()
        ]
        try:
            yield self
        finally:
            for server in servers:
                server.close()
            self.cut_all()
            if self._serving:
                await asyncio.wait(self._serving)
            for server in servers:
                await server.wait_closed()

    def _through(self, target: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer, target))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

        return connected

    async def _serve(
        self, client: asyncio.StreamReader, answers: asyncio.StreamWriter, target: int
    ) -> None:
        async with _linked(answers, self._links):
            if self.away:
                return
            broker, requests = await asyncio.open_connection("127.0.0.1", target)
            async with _linked(requests, self._links):
                await self._pass_on(client, answers, broker, requests)

    async def _pass_on(
        self,
        client: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        broker: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> None:
        pending: dict[int, Trouble] = {}
        ways = [
            asyncio.ensure_future(self._requests(client, requests, pending)),
            asyncio.ensure_future(_answers(broker, answers, pending)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(
        self,
        client: asyncio.StreamReader,
        broker: asyncio.StreamWriter,
        pending: dict[int, Trouble],
    ) -> None:
        while True:
            frame = await _frame(client)
            kind, _, number = _HEAD.unpack_from(frame, _SIZE.size)
            trouble = self.troubles(kind)
            if trouble is not None:
                self.made[kind] += 1
                if trouble.drop:
                    return
                pending[number] = trouble
            broker.write(frame)
            await broker.drain()


@asynccontextmanager
async def _linked(
    writer: asyncio.StreamWriter, links: set[asyncio.StreamWriter]
) -> AsyncIterator[None]:
    """Keep an end of a connection among `links`, and see it to its end."""
    links.add(writer)
    try:
        with suppress(OSError):
            yield
    finally:
        links.discard(writer)
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _answers(
    broker: asyncio.StreamReader, client: asyncio.StreamWriter, pending: dict[int, Trouble]
) -> None:
    while True:
        frame = await _frame(broker)
        (number,) = _SIZE.unpack_from(frame, _SIZE.size)
        trouble = pending.pop(number, None)
        if trouble is not None:
            await asyncio.sleep(trouble.delay_s)
            if trouble.cut:
                return
        client.write(frame)
        await client.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Read a request or an answer, with its size before it."""
    head = await reader.readexactly(_SIZE.size)
    (size,) = _SIZE.unpack(head)
    if not _SIZE.size <= size <= _LARGEST:
        raise OSError(f"{size} is no size of a Kafka message")
    return head + await reader.readexactly(size)


@contextmanager
def proxied(routes: Mapping[int, int], troubles: Troubles = lambda _: None) -> Iterator[Proxy]:
    """Run a proxy in a thread of its own for the time of a block."""
    proxy = Proxy(troubles)
    ready, done = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with proxy.listening(routes):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="proxy", daemon=True)
    thread.start()
    if not ready.wait(_START_S) or proxy._loop is None:  # noqa: SLF001 - ours
        raise OSError("the proxy's ports are taken")
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(done.set)  # noqa: SLF001 - the same
        thread.join()
