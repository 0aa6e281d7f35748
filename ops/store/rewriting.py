"""A server that speaks as much S3 as a reader needs, and makes many warps of a few on their way.

``python -m ops.store.rewriting FILES...`` prints its address. Object ``N.fits`` of any bucket is
file N modulo their number with visit N in its header and, where its tiles are rows, with the rows
of all planes in another order: other pixels, and all the more another checksum. Only the pointers
to the tiles change, a few kB of a file, so that serving costs no more than the copy.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.decodelimits import DecodeLimits
from stream.hdus import Hdu, walk

__all__ = ["Base", "Range", "rewriting"]

_CARD: Final = 80
_VALUE: Final = slice(10, 30)
_BLOCK_ROWS: Final = 64
"""Rows change places only so far, well within a bin, so that the sky stays smooth."""

_POINTER: Final = 8
_CHUNK: Final = 1 << 20
_HEAD_END: Final = b"\r\n\r\n"
_NAME: Final = re.compile(r"/[^/]+/(\d+)\.fits")
_BYTES: Final = re.compile(r"bytes=(\d+)-(\d*)")
_GONE: Final = (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError)

Patch = tuple[int, bytes]


class Base:
    """A warp's file, of which others are made.

    Parameters
    ----------
    content : bytes
        It has a VISIT card.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self._visit = content.index(b"VISIT   =")

    def patches(self, number: int) -> list[Patch]:
        """Return what is different in warp `number`: places and bytes, ascending."""
        value = slice(self._visit + _VALUE.start, self._visit + _VALUE.stop)
        width = value.stop - value.start
        found = [(value.start, str(number).rjust(width).encode())]
        for at, pointers in self._tables:
            found.append((at, pointers[_order(len(pointers), number)].tobytes()))
        return found

    def pieces(self, number: int, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes of warp `number` from one place to another."""
        whole, at = memoryview(self.content), start
        for first, new in self.patches(number):
            last = first + len(new)
            if last <= at or first >= stop:
                continue
            if at < first:
                yield whole[at:first]
                at = first
            yield memoryview(new)[at - first : min(last, stop) - first]
            at = min(last, stop)
        if at < stop:
            yield whole[at:stop]

    def warp(self, number: int) -> bytes:
        """Return warp `number`."""
        return b"".join(self.pieces(number, 0, len(self.content)))

    @cached_property
    def _tables(self) -> list[tuple[int, NDArray[np.void]]]:
        """Where the pointers to tiles of one row are, and the pointers."""
        content = memoryview(self.content)
        return [
            (hdu.data, np.frombuffer(content, f"V{_POINTER}", hdu.header["NAXIS2"], hdu.data))
            for hdu in walk(content, DecodeLimits())
            if _has_rows(hdu)
        ]


def _has_rows(hdu: Hdu) -> bool:
    header = hdu.header
    return (
        header.get("ZTILE2") == 1
        and header.get("ZTILE1") == header.get("ZNAXIS1")
        and header.get("NAXIS1") == _POINTER
    )


def _order(rows: int, number: int) -> NDArray[np.intp]:
    """Return an order of rows, the same for each plane of a warp, another for each number."""
    chance = np.random.default_rng(number)
    starts = range(0, rows, _BLOCK_ROWS)
    blocks = [top + chance.permutation(min(_BLOCK_ROWS, rows - top)) for top in starts]
    return np.concatenate(blocks).astype(np.intp)


@dataclass(frozen=True, slots=True)
class Range:
    """What of an object is asked for.

    Attributes
    ----------
    start, stop : int
        Bytes, without the last one.
    total : int
        Bytes of the object.
    part : bool
        Whether it was asked for as a range.
    """

    start: int
    stop: int
    total: int
    part: bool

    @classmethod
    def asked(cls, words: str | None, total: int) -> Range | None:
        """Understand a Range header; None if the object has no such bytes."""
        found = None if words is None else _BYTES.fullmatch(words)
        if found is None:
            return cls(0, total, total, part=False)
        start, last = int(found[1]), int(found[2] or total - 1)
        stop = min(last + 1, total)
        return cls(start, stop, total, part=True) if start < stop else None

    @property
    def head(self) -> list[str]:
        """The first lines of an answer."""
        whole = ["HTTP/1.1 200 OK"]
        if self.part:
            where = f"Content-Range: bytes {self.start}-{self.stop - 1}/{self.total}"
            whole = ["HTTP/1.1 206 Partial Content", where]
        return [*whole, f"Content-Length: {self.stop - self.start}"]


@dataclass(frozen=True)
class _Shop:
    """Serves the warps that can be made of some files."""

    bases: Sequence[Base]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request by request."""
        with suppress(*_GONE):
            while True:
                lines = (await reader.readuntil(_HEAD_END)).decode().split("\r\n")
                await self._answer(lines, writer)
        writer.close()

    async def _answer(self, lines: Sequence[str], writer: asyncio.StreamWriter) -> None:
        method, target, _ = lines[0].split(" ")
        fields = dict(one.lower().split(": ", 1) for one in lines[1:] if ": " in one)
        name = _NAME.fullmatch(target.partition("?")[0])
        if name is None or method not in {"GET", "HEAD"}:
            await _say(writer, ["HTTP/1.1 404 Not Found", "Content-Length: 0"])
            return
        number = int(name[1])
        base = self.bases[number % len(self.bases)]
        wanted = Range.asked(fields.get("range"), len(base.content))
        if wanted is None:
            await _say(writer, ["HTTP/1.1 416 Range Not Satisfiable", "Content-Length: 0"])
            return
        await _say(writer, [*wanted.head, f'ETag: "{number}"', *_ALWAYS])
        if method == "GET":
            await _send(writer, base.pieces(number, wanted.start, wanted.stop))


_ALWAYS: Final = (
    "Accept-Ranges: bytes",
    "Content-Type: application/fits",
    "Last-Modified: Thu, 26 Nov 2026 00:00:00 GMT",
)


async def _say(writer: asyncio.StreamWriter, lines: Iterable[str]) -> None:
    writer.write("\r\n".join(lines).encode() + _HEAD_END)
    await writer.drain()


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[memoryview]) -> None:
    for piece in pieces:
        for start in range(0, len(piece), _CHUNK):
            writer.write(piece[start : start + _CHUNK])
            await writer.drain()


@contextmanager
def rewriting(files: Sequence[Path]) -> Iterator[str]:
    """Run a server for the time of the context, in a process of its own.

    Yields
    ------
    str
        Its address, a URL.
    """
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", __name__, *map(str, files)], stdout=subprocess.PIPE, text=True
    )
    try:
        address = "" if process.stdout is None else process.stdout.readline().strip()
        if not address:
            raise OSError("the server does not listen")
        yield address
    finally:
        process.kill()
        process.communicate()


async def _main(shop: _Shop) -> None:
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(_Shop([Base(Path(file).read_bytes()) for file in sys.argv[1:]])))
