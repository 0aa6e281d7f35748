"""Warps to begin with, and what chance makes of them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from random import Random
from typing import Final

import numpy as np

from core import MaskedImage
from stream import fits

__all__ = ["mutated", "seeds"]

_PLANES: Final = {"BAD": 0, "SAT": 1, "CR": 3, "DETECTED": 5, "NO_DATA": 8}
_SHAPES: Final = ((12, 9), (3, 40), (70, 5))
_CARD: Final = 80
_NUMBERS: Final = (-1, 0, 1, 2, 255, 65_536, 2**31 - 1, -(2**31), 2**62)
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
    """Return small warps in the forms that are read here and not by astropy."""
    found = []
    for number, shape in enumerate(_SHAPES):
        warp = _warp(shape, number)
        found.append(fits.encode(warp, {"VISIT": number}, compression="gzip2"))
        found.append(fits.encode(warp, {"VISIT": number}, compression="gzip"))
    return found


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


def _word(data: bytearray, chance: Random) -> None:
    """Give a card of the headers another word."""
    at = _card(data, chance, b"= '")
    if at is not None:
        data[at + 10 : at + 30] = b"'%-8s'".ljust(22) % chance.choice(_WORDS)


def _card(data: bytearray, chance: Random, sign: bytes) -> int | None:
    cards = [at for at in range(0, len(data), _CARD) if data[at + 8 :].startswith(sign)]
    return chance.choice(cards) if cards else None


_WAYS: Final[tuple[Callable[[bytearray, Random], None], ...]] = (
    *(_flip, _flip, _cut, _overwrite, _copy),
    *(_number, _number, _word),
)
