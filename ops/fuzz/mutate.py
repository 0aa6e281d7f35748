"""Warps to begin with, and what chance makes of them."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

import numpy as np

from core import MaskedImage
from stream import fits
from stream.fitswriter import Compression
from stream.hdus import BLOCK
from tests.stream.tilefiles import FILE_SHAPE, by_astropy, file_of
from tests.stream.warps import planted

__all__ = ["mutated", "seeds"]

_TABLE: Final = re.compile(rb"XTENSION= 'BINTABLE'")
_OF_TILES: Final = (b"Z", b"T", b"PCOUNT", b"NAXIS")
_PIXEL: Final = 4
_PLANES: Final = {"BAD": 0, "SAT": 1, "CR": 3, "DETECTED": 5, "NO_DATA": 8}
_SHAPES: Final = ((12, 9), (3, 40), (70, 5))
_CARD: Final = 80
_NUMBERS: Final = (-1, 0, 1, 2, 255, 65_536, 2**31 - 1, -(2**31), 2**62)
_FORMS: Final[tuple[Compression, ...]] = ("gzip2", "gzip", "rice")
_WORDS: Final = (
    b"GZIP_1",
    b"GZIP_2",
    b"RICE_1",
    b"PLIO_1",
    b"NONE",
    b"1PB",
    b"1QB",
    b"2PB",
    b"1PI",
)


def seeds() -> list[bytes]:
    """Return small warps in the forms that the stack writes, and some that it only may."""
    found = []
    for number, shape in enumerate(_SHAPES):
        warp = _warp(shape, number)
        found += [fits.encode(warp, {"VISIT": number}, compression=form) for form in _FORMS]
    odd = (("PLIO_1", 1), ("RICE_1", 2), ("RICE_1", -1), ("GZIP_1", 1), ("GZIP_2", -1))
    return found + [_odd(form, dither) for form, dither in odd]


def _odd(form: str, dither: int) -> bytes:
    """Return a warp whose mask has another compression, and whose image is quantised."""
    warp = planted(FILE_SHAPE)
    quantised = {"quantize_level": 16.0, "quantize_method": dither, "dither_seed": 7}
    image = "GZIP_1" if form == "PLIO_1" else form  # lists of pixels are of masks alone
    return file_of(
        IMAGE=by_astropy("IMAGE", warp.image, compression_type=image, **quantised),
        MASK=by_astropy("MASK", warp.mask, compression_type=form, tile_shape=(7, 9)),
    )


def _warp(shape: tuple[int, int], seed: int) -> MaskedImage:
    chance = np.random.default_rng(seed)
    image = chance.normal(100, 5, shape).astype(np.float32)
    image[0, :3] = np.nan
    mask = chance.choice([0, 32, 256], shape).astype(np.int32)
    return MaskedImage(image, mask, np.full(shape, 25, np.float32), _PLANES, (10, 20))


def mutated(data: bytes, chance: Random) -> bytes:
    """Change a file in one to four ways.

    Parameters
    ----------
    data : bytes
    chance : Random
    """
    packed = data.startswith(b"\x1f\x8b") and chance.random() < 0.5  # noqa: PLR2004 - either
    changed = bytearray(gzip.decompress(data) if packed else data)
    for _ in range(chance.randint(1, 4)):
        chance.choice(_WAYS)(changed, chance)
    return gzip.compress(bytes(changed), 1, mtime=0) if packed else bytes(changed)


def _flip(data: bytearray, chance: Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: Random) -> None:
    del data[chance.randint(0, len(data)) :]


def _overwrite(data: bytearray, chance: Random) -> None:
    at = chance.randint(0, len(data))
    data[at : at + 4] = struct.pack(">I", chance.choice(_NUMBERS) & 0xFFFFFFFF)


def _copy(data: bytearray, chance: Random) -> None:
    here, there = (chance.randint(0, len(data)) for _ in range(2))
    size = chance.randint(1, 2 * _CARD)
    data[there : there + size] = data[here : here + size]


def _number(data: bytearray, chance: Random) -> None:
    """Give a card of the headers another number."""
    at = _card(data, chance, b"= ")
    if at is not None:
        data[at + 10 : at + 30] = b"%20d" % chance.choice(_NUMBERS)


def _pointer(data: bytearray, chance: Random) -> None:
    """Give a pointer of a table another count or place."""
    table = _table(data, chance)
    if table is not None and table.rows * table.row >= _PIXEL:
        at = table.at + _PIXEL * chance.randrange(table.rows * table.row // _PIXEL)
        (old,) = struct.unpack(">i", data[at : at + _PIXEL].ljust(_PIXEL, b"\0"))
        changed = chance.choice((*_NUMBERS, old + 1, old - 1, 2 * old)) & 0xFFFFFFFF
        data[at : at + _PIXEL] = struct.pack(">I", changed)


def _heap(data: bytearray, chance: Random) -> None:
    """Change a byte of the tiles, and now and then the beginning of one."""
    table = _table(data, chance)
    if table is None or not table.heap:
        return
    at = table.at + table.row * table.rows + chance.randrange(table.heap)
    if chance.random() < 0.5:  # noqa: PLR2004 - either
        at = max(data.find(b"\x1f\x8b", at) + chance.randrange(10), 0)
    if at < len(data):
        data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


class _Table(NamedTuple):
    at: int
    row: int
    rows: int
    heap: int


def _table(data: bytearray, chance: Random) -> _Table | None:
    """Return where one of the tables is, as far as its header can be believed."""
    starts = [found.start() for found in _TABLE.finditer(data)]
    if not starts:
        return None
    start = chance.choice(starts)
    end = data.find(b"END".ljust(_CARD), start)
    numbers = [
        re.search(rb"%-8s= +(\d{1,9}) " % name, data[start:end])
        for name in (b"NAXIS1", b"NAXIS2", b"PCOUNT")
    ]
    sizes = [0 if number is None else int(number[1]) for number in numbers]
    return _Table(-(-(end + _CARD) // BLOCK) * BLOCK, *sizes)


def _word(data: bytearray, chance: Random) -> None:
    """Give a card of the headers another word."""
    at = _card(data, chance, b"= '")
    if at is not None:
        data[at + 10 : at + 30] = b"'%-8s'".ljust(22) % chance.choice(_WORDS)


def _card(data: bytearray, chance: Random, sign: bytes) -> int | None:
    cards = [at for at in range(0, len(data), _CARD) if data.startswith(sign, at + 8)]
    of_tiles = [at for at in cards if data.startswith(_OF_TILES, at)]
    if of_tiles and chance.random() < 0.5:  # noqa: PLR2004 - either
        cards = of_tiles
    return chance.choice(cards) if cards else None


_WAYS: Final[tuple[Callable[[bytearray, Random], None], ...]] = (
    *(_flip, _flip, _cut, _overwrite, _copy),
    *(_number, _number, _word, _pointer, _pointer, _heap),
)
