"""Files that were made to hurt, each through a real worker with little memory.

What each must cost is counted, not timed: bytes of memory, bytes that decompressors were fed and
gave, and files opened, of which there must be none.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from stream.hdus import BLOCK
from stream.pool import WorkerPool
from tests.stream import hostilework
from tests.stream.tilefiles import PRIMARY, by_astropy, file_of, tiled
from tests.stream.warps import hdu, plain_file, planted

WARP = planted((20, 24))
PLAIN = plain_file(WARP)
MOST_MEMORY = 48 << 20
MOST_WORK = 4 * hostilework.LIMITS.max_bytes
EMPTY = {"XTENSION": "IMAGE", "BITPIX": 8, "NAXIS": 0, "PCOUNT": 0, "GCOUNT": 1}
OPTIONS: Mapping[str, Any] = {"compression_type": "RICE_1", "tile_shape": (5, 24)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[WorkerPool]:
    """One worker with a memory limit for all attacks."""
    pool = WorkerPool(1, 60.0, 1 << 30, 1)
    await pool.start()
    yield pool
    await pool.close(0)


async def work_of(pool: WorkerPool, data: bytes) -> hostilework.Work:
    """Have a worker measure a file, and hold what it took to the bounds of them all."""
    work = await pool.run(hostilework.measured, data)
    assert work.opened == []
    assert work.peak < MOST_MEMORY, work
    assert work.fed + work.got < MOST_WORK, work
    return work


# -- builders --------------------------------------------------------------------------------------


def zeros(mib: int) -> bytes:
    """Return a gzip stream of so many MiB of zeros."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(mib)) + packer.flush()


def idle(blocks: int, data: bytes) -> bytes:
    """Return a gzip stream that has many blocks of nothing before its data."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = b"\0\0\0\xff\xff" * blocks + packer.compress(data) + packer.flush()
    tail = struct.pack("<2I", zlib.crc32(data), len(data))
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + body + tail


def changed(data: bytes, **cards: object) -> bytes:
    """Return an HDU with some of its cards changed; those that it does not have come before END."""
    for name, value in cards.items():
        shown = f"'{value:8}'" if isinstance(value, str) else str(value)
        line = f"{name:8}= {shown:>20}".ljust(80).encode()
        known = data.find(f"{name:8}=".encode())
        at = known if known >= 0 else data.index(b"END".ljust(80))
        rest = data[at + 80 :] if known >= 0 else _without_a_blank(data[at:])
        data = data[:at] + line + rest
    return data


def _without_a_blank(tail: bytes) -> bytes:
    assert tail[80:160] == b" " * 80
    return tail[:80] + tail[160:]


def table_of(part: bytes, **changes: Any) -> Callable[[int], bytes]:
    """Return what makes a mask of rows that all are the same part of the heap."""

    def made(rows: int) -> bytes:
        table = struct.pack(">2i", len(part), 0) * rows
        head = tiled(np.zeros((rows, 24), np.uint32), **changes)
        head = changed(head, PCOUNT=len(part))[:BLOCK]
        body = table + part
        return head + body + bytes(-len(body) % BLOCK)

    return made


def rice(name: str = "MASK", **cards: object) -> bytes:
    """Return a plane of Rice tiles whose header says something else."""
    return changed(by_astropy(name, getattr(WARP, name.lower()), **OPTIONS), **cards)


def dithered(**cards: object) -> bytes:
    """Return a quantised image whose header says something else."""
    how = {"quantize_level": 16.0, "quantize_method": 1, "dither_seed": 7}
    return changed(by_astropy("IMAGE", WARP.image, **OPTIONS, **how), **cards)


def repointed(data: bytes, count: int, start: int, form: str = ">2i") -> bytes:
    """Return an HDU whose first tile is somewhere else."""
    at = data.index(b"END".ljust(80))
    at = -(-(at + 80) // BLOCK) * BLOCK
    pointer = struct.pack(form, count, start)
    return data[:at] + pointer + data[at + len(pointer) :]


def one_tile(part: bytes, count: int, **cards: Any) -> bytes:
    """Return a mask of one tile."""
    head = tiled(np.zeros((20, 24), np.uint32), (20, 24), **cards)
    body = struct.pack(">2i", count, 0) + part
    return changed(head, PCOUNT=len(part))[:BLOCK] + body + bytes(-len(body) % BLOCK)


def plio(*words: int) -> bytes:
    """Return a mask of one PLIO tile, a list of pixels made of these words."""
    listed = np.array(words, ">i2").tobytes()
    return one_tile(listed, len(words), ZCMPTYPE="PLIO_1", TFORM1="1PI(9)")


def header(*cards: str) -> bytes:
    """Return a primary HDU with more cards than it needs, and an end."""
    lines = ["SIMPLE  =                    T", "BITPIX  =                    8"]
    lines += ["NAXIS   =                    0", *cards, "END"]
    text = "".join(line.ljust(80) for line in lines).encode("latin-1")
    return text + b" " * (-len(text) % BLOCK)


def axes(count: int, length: int) -> bytes:
    """Return an HDU of so many axes that long, without data."""
    lengths = {f"NAXIS{n}": length for n in range(1, count + 1)}
    return hdu({**EMPTY, "NAXIS": count} | lengths)


NOTHINGS = gzip.compress(b"") * 5_000
ATTACKS: Mapping[str, tuple[bytes, str]] = {
    # the whole file
    "a gzip bomb": (zeros(64), "too_large"),
    "a gzip bomb in a gzip bomb": (gzip.compress(zeros(64)), "not_fits"),
    "a bomb of many members": (gzip.compress(bytes(1 << 16)) * 300, "too_large"),
    "members of nothing": (gzip.compress(b"") * 100_000, "too_large"),
    "a bomb behind a good beginning": (gzip.compress(PLAIN) + zeros(64), "too_large"),
    "a length that lies": (gzip.compress(PLAIN)[:-4] + b"\xff" * 4, "unreadable"),
    # axes
    "999 long axes": (PRIMARY + axes(999, 10**18) + PLAIN[BLOCK:], "truncated"),
    "axes beyond 64 bits": (PRIMARY + axes(4, 2**62) + PLAIN[BLOCK:], "truncated"),
    "a negative axis": (PRIMARY + axes(2, -5) + PLAIN[BLOCK:], "unreadable"),
    "huge PCOUNT": (plain_file(WARP, IMAGE={"PCOUNT": 2**62}), "truncated"),
    "negative PCOUNT": (plain_file(WARP, IMAGE={"PCOUNT": -480}), "unreadable"),
    "many groups": (plain_file(WARP, MASK={"GCOUNT": 2**31}), "unreadable"),
    "a scale that is no number": (plain_file(WARP, IMAGE={"BSCALE": "NaN"}), "wrong_dtype"),
    "scaled integers": (plain_file(WARP, IMAGE={"BITPIX": 16, "BSCALE": 2.0}), "wrong_dtype"),
    # HDUs and headers
    "20,000 HDUs": (PRIMARY + hdu(EMPTY) * 2_000 + PLAIN[BLOCK:], "too_large"),
    "no END": (header()[:240] + b"COMMENT ".ljust(80) * 100_000, "too_large"),
    "a million cards": (header(*["A       =     1"] * 50_000), "too_large"),
    # tiles
    "one gzip tile of GiB": (file_of(MASK=table_of(zeros(512))(20)), "unreadable"),
    "gzip tiles of GiB": (file_of(MASK=table_of(zeros(64), form="GZIP_1")(20)), "unreadable"),
    "a quantised gzip bomb": (
        file_of(IMAGE=table_of(zeros(64), ZBITPIX=-32, EXTTYPE="IMAGE", ZQUANTIZ="NONE")(20)),
        "unreadable",
    ),
    "a tile of many members": (file_of(MASK=one_tile(NOTHINGS, len(NOTHINGS))), "unreadable"),
    "one part of the heap for all tiles": (
        file_of(MASK=table_of(idle(100_000, bytes(96)))(20)),
        "unreadable",
    ),
    "tiles larger than the plane": (file_of(MASK=rice(ZTILE1=2**31 - 1)), "unreadable"),
    "tiles of no rows": (file_of(MASK=rice(ZTILE2=0)), "unreadable"),
    "tiles of negative rows": (file_of(MASK=rice(ZTILE2=-5)), "unreadable"),
    "more tiles than rows": (file_of(MASK=rice(NAXIS2=2)), "unreadable"),
    "small planes of large tiles": (file_of(MASK=rice(ZNAXIS1=1, ZNAXIS2=1)), "wrong_shape"),
    "another kind of pixels": (file_of(MASK=rice(ZBITPIX=-64)), "wrong_dtype"),
    "2**31 columns": (file_of(MASK=rice(TFIELDS=2**31 - 1)), "unreadable"),
    "no columns": (file_of(MASK=rice(TFIELDS=0)), "unreadable"),
    "columns behind the row": (file_of(MASK=rice(TFORM1="1QB")), "unreadable"),
    "many pointers in a cell": (file_of(MASK=rice(TFORM1="9PB")), "unreadable"),
    "another column": (file_of(MASK=rice(TTYPE1="NOTHING")), "unreadable"),
    "a heap behind the end": (file_of(MASK=rice(THEAP=2**40)), "unreadable"),
    "a heap in the table": (file_of(MASK=rice(THEAP=0)), "unreadable"),
    "a tile behind the heap": (file_of(MASK=repointed(rice(), 8, 2**31 - 9)), "unreadable"),
    "a tile before the heap": (file_of(MASK=repointed(rice(), 8, -64)), "unreadable"),
    "a tile of negative size": (file_of(MASK=repointed(rice(), -8, 0)), "unreadable"),
    "a tile larger than the heap": (file_of(MASK=repointed(rice(), 2**31 - 1, 0)), "unreadable"),
    "no tile, and none instead": (file_of(MASK=repointed(rice(), 0, 0)), "unreadable"),
    "a tile's size beyond 64 bits": (
        file_of(MASK=repointed(tiled(np.zeros((20, 24), np.uint32), pointer="Q"), -1, 0, ">2q")),
        "unreadable",
    ),
    # what the decoders in C believe
    "Rice integers of 8 bytes": (file_of(MASK=rice(ZVAL2=8)), "unreadable"),
    "Rice integers of many bytes": (file_of(MASK=rice(ZVAL2=2**20)), "unreadable"),
    "Rice integers of negative bytes": (file_of(MASK=rice(ZVAL2=-4)), "unreadable"),
    "Rice blocks of nothing": (file_of(MASK=rice(ZVAL1=0)), "unreadable"),
    "HCOMPRESS": (file_of(MASK=rice(ZCMPTYPE="HCOMPRESS_1")), "unreadable"),
    "a negative dither seed": (file_of(IMAGE=dithered(ZDITHER0=-(10**9))), "unreadable"),
    "a dither seed beyond all tables": (file_of(IMAGE=dithered(ZDITHER0=2**31)), "unreadable"),
    "a dither that nobody knows": (file_of(IMAGE=dithered(ZQUANTIZ="DITHER_9")), "unreadable"),
    "a PLIO list that is too short": (file_of(MASK=plio(0, 7)), "unreadable"),
    "a PLIO list longer than its tile": (
        file_of(MASK=plio(0, 7, -100, 32767, 9, 0, 0)),
        "unreadable",
    ),
    "a long PLIO list, old head": (file_of(MASK=plio(0, 0, 32767, 1, 1)), "unreadable"),
    "a PLIO list before itself": (
        file_of(MASK=plio(0, -9, -100, 8, 0, 0, 0, 1)),
        "unreadable",
    ),
    "a PLIO list whose last word wants another": (
        file_of(MASK=plio(0, 7, -100, 8, 0, 0, 0, 0x1001)),
        "unreadable",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_a_fault_at_a_bounded_cost(pool: WorkerPool, name: str) -> None:
    """It is refused for the right reason, opens nothing, and takes little memory and work."""
    data, reason = ATTACKS[name]
    assert (await work_of(pool, data)).reason == reason


CONTINUED = ["LONG    = 'a&'", *["CONTINUE  'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&'"] * 3_000]
ODD: Mapping[str, bytes] = {
    "a chain of continued cards": header(*CONTINUED) + PLAIN[BLOCK:],
    "doubled cards": header(*["VISIT   =  1"] * 5_000) + PLAIN[BLOCK:],
    "cards that are no ASCII": header("OBJECT  = 'é\xff\x00'", "\xff" * 80) + PLAIN[BLOCK:],
    "sums that are wrong": header("CHECKSUM= '0000000000000000'") + PLAIN[BLOCK:],
    "INHERIT": plain_file(WARP, IMAGE={"INHERIT": True}),
    "an extended name in a card": header("EXTNAME = 'x.fits[1][col *]'") + PLAIN[BLOCK:],
    "HDUs of no data between": PRIMARY + hdu(EMPTY) * 50 + PLAIN[BLOCK:],
    "a bomb behind the planes": PLAIN + axes(999, 10**9),
    "2,000 HDUs behind the planes": PLAIN + hdu(EMPTY) * 2_000,
    "a tile bomb behind the planes": PLAIN + changed(table_of(zeros(64))(20), EXTTYPE="PSF"),
    "a second mask that is a bomb": PLAIN + table_of(zeros(64))(20),
    "a header without end behind the planes": PLAIN + b"XTENSION= 'IMAGE'".ljust(80) * 9_000,
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_beside_the_pixels_harms_nothing(pool: WorkerPool, name: str) -> None:
    """The planes are read, and nothing behind them is: no decompressor is fed a byte."""
    work = await work_of(pool, ODD[name])
    assert (work.reason, work.fed, work.got) == ("", 0, 0)
