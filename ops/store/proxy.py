"""A proxy before a server of S3 that makes trouble of single requests, as HTTP and as bytes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

__all__ = ["Asked", "Proxy", "Trouble", "proxied"]

_END: Final = b"\r\n\r\n"
_LARGEST_HEAD: Final = 1 << 16
_CHUNK: Final = 1 << 16
_START_S: Final = 10.0
_GIVEN_UP: Final = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes
    ----------
    method, path : str
        The path without the query.
    number : int
        How many requests came before it.
    """

    method: str
    path: str
    number: int


@dataclass(frozen=True)
class Trouble:
    """What becomes of one answer.

    Attributes
    ----------
    status, code : int, str
        Answer with an error of this status and S3's name for it; 0: pass the answer on.
    location : str
        Where the answer says to go instead.
    bytes_per_s : float
        The body comes so slowly; 0: at full speed.
    stall_after, stall_s : int, float
        After so many bytes of the body nothing comes for so long, in seconds.
    cut_after : int or None
        The connection ends after so many bytes of the body.
    """

    status: int = 0
    code: str = ""
    location: str = ""
    bytes_per_s: float = 0.0
    stall_after: int = 0
    stall_s: float = 0.0
    cut_after: int | None = None

    @property
    def answer(self) -> bytes:
        """The error, as the server would send it."""
        body = f"<Error><Code>{self.code}</Code></Error>".encode()
        there = f"Location: {self.location}\r\n" if self.location else ""
        head = f"HTTP/1.1 {self.status} Trouble\r\n{there}Content-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + body


@dataclass
class Proxy:
    """Requests that are passed on, and the trouble that is made of them.

    Attributes
    ----------
    port : int
        Where it listens on the loopback interface.
    troubles : callable
        Gets each request, and returns its trouble or None; may be set at any time.
    asked : list of Asked
        What came.
    made : Counter
        How often each trouble was made.
    serving : set of Task
        Connections.
    """

    port: int = 0
    troubles: Callable[[Asked], Trouble | None] = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    made: Counter[Trouble] = field(default_factory=Counter)
    serving: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    @property
    def address(self) -> str:
        """Where it listens, as a URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(
        self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection, for one request."""
        try:
            with suppress(*_GIVEN_UP):
                head = await reader.readuntil(_END)
                trouble = self._trouble(head)
                if trouble is not None and trouble.status:
                    writer.write(trouble.answer)
                    await writer.drain()
                else:
                    await _pass_on(head, reader, writer, target, trouble or Trouble())
        finally:
            writer.close()

    def _trouble(self, head: bytes) -> Trouble | None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        asked = Asked(method, target.partition("?")[0], len(self.asked))
        self.asked.append(asked)
        trouble = self.troubles(asked)
        if trouble is not None:
            self.made[trouble] += 1
        return trouble


async def _pass_on(
    head: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: int,
    trouble: Trouble,
) -> None:
    lines = head[: -len(_END)].split(b"\r\n")
    fields = {name.lower(): value for name, _, value in (one.partition(b": ") for one in lines[1:])}
    kept = [one for one in lines if not one.lower().startswith((b"connection:", b"expect:"))]
    body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    server, requests = await asyncio.open_connection("127.0.0.1", target, limit=_LARGEST_HEAD)
    try:
        requests.write(b"\r\n".join((*kept, b"Connection: close")) + _END + body)
        writer.write(await server.readuntil(_END))
        await _body(server, writer, trouble)
    finally:
        requests.close()


async def _body(
    server: asyncio.StreamReader, writer: asyncio.StreamWriter, trouble: Trouble
) -> None:
    """Pass a body on, slowly, with a hole in it, or not all of it."""
    passed = 0
    while chunk := await server.read(1 if trouble.bytes_per_s else _CHUNK):
        if trouble.stall_s and passed <= trouble.stall_after < passed + len(chunk):
            hole = trouble.stall_after - passed
            writer.write(chunk[:hole])
            await writer.drain()
            await asyncio.sleep(trouble.stall_s)
            writer.write(chunk[hole:])
        elif trouble.cut_after is not None and passed + len(chunk) > trouble.cut_after:
            writer.write(chunk[: trouble.cut_after - passed])
            await writer.drain()
            return
        else:
            writer.write(chunk)
        await writer.drain()
        passed += len(chunk)
        if trouble.bytes_per_s:
            await asyncio.sleep(1 / trouble.bytes_per_s)


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """Run a proxy in a thread, before a server on a port of the loopback interface."""
    proxy, ready, done = Proxy(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def listen() -> None:
        loops.append(asyncio.get_running_loop())
        server = await asyncio.start_server(partial(_connected, proxy, target), "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        await done.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(listen(),), daemon=True)
    thread.start()
    if not ready.wait(_START_S):
        raise OSError("the proxy does not listen")
    try:
        yield proxy
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join()


def _connected(
    proxy: Proxy, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    task = asyncio.create_task(proxy.serve(target, reader, writer))
    proxy.serving.add(task)
    task.add_done_callback(proxy.serving.discard)
