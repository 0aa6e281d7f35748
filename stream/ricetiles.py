"""Quantised planes in Rice tiles, read one after the other into a whole plane.

astropy, the reader of record, takes a third longer. What is not plainly of this kind is left to it,
a mask too, with which it is the faster one; and so is what is damaged, for it says what is wrong.

Layout: FITS standard 4.0, sections 10.1 to 10.4; `core.kernels` has what the bytes of a tile say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.quantised import NO_BLANK, as_fluxes, halves, randoms
from core.kernels.rice import as_words, unrice
from stream.hdus import Hdu, Header, integer
from stream.tiles import inflated
from stream.tiletable import Table, read_table, tile_shape, tiles

__all__ = ["read_rice_tiles"]

_PIXEL: Final = 4
_BLOCK: Final = 32
_FLOATS: Final = -32
_WHOLE: Final = range(-(2**31), 2**31)

_DITHERED: Final[Mapping[str, bool]] = {
    "SUBTRACTIVE_DITHER_1": False,
    "SUBTRACTIVE_DITHER_2": True,
}
"""How fluxes can be dithered: around zero, or not."""


def read_rice_tiles(
    content: memoryview, hdu: Hdu, shape: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Return a plane of fluxes, or None if it is for astropy to read.

    Parameters
    ----------
    content : memoryview
        The file.
    hdu : Hdu
        A tile-compressed plane of 32-bit pixels, whole, with a tiling that makes the plane, and a
        table that was checked (`stream.tilechecks`).
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    numpy.ndarray or None
        float32 ``[y, x]`` in native order.
    """
    plan = _plan(content, hdu, shape)
    if plan is None:
        return None
    plane = np.empty(shape, np.float32)
    packed = plan.table.parts("COMPRESSED_DATA")
    stand_ins = plan.table.parts("GZIP_COMPRESSED_DATA")
    waiting: dict[int, _Coded] = {}
    for number, tile in enumerate(tiles(hdu.header, shape)):
        coded = _Coded(number, next(packed), plane[tile.rows, tile.columns])
        stand_in, size = next(stand_ins, memoryview(b"")), coded.place.size
        if not coded.packed:
            read = _put_as_it_is(stand_in, coded.place)
        elif size in waiting:
            read = plan.read((waiting.pop(size), coded))
        else:
            waiting[size], read = coded, True
        if not read:
            return None
    return plane if all(plan.read((one, one)) for one in waiting.values()) else None


def _put_as_it_is(stand_in: memoryview, place: NDArray[np.float32]) -> bool:
    """Put what stands in for a tile where it belongs; no if there is nothing, or it is damaged."""
    pixels = inflated([stand_in], _PIXEL * place.size)
    if pixels is not None:
        place[:] = np.frombuffer(pixels, ">f4").reshape(place.shape)
    return pixels is not None


class _Coded(NamedTuple):
    """A tile in Rice's code: its number, its bytes, and where its pixels belong."""

    number: int
    packed: memoryview
    place: NDArray[np.float32]


class _Plan(NamedTuple):
    """How a plane is read: its table, the pixels of a block, and what those of each tile mean.

    `room` is for three tiles to work in, int32 ``[3, pixel]``: memory that was never touched costs
    as much as the decoding.
    """

    table: Table
    block: int
    blanks: NDArray[np.integer]
    dither: _Dither
    room: NDArray[np.int32]

    def read(self, pair: tuple[_Coded, _Coded]) -> bool:
        """Put the fluxes of two tiles of one size where they belong; no if one is damaged."""
        one, other = pair
        room = self.room[:, : one.place.size]
        packed = as_words(one.packed, self.block), as_words(other.packed, self.block)
        if not unrice(packed, self.block, (room[0], room[1])):
            return False
        for tile, pixels in zip(pair, room[:2], strict=True):
            fluxes = room[2].view(np.float32)
            self._mean(pixels, tile.number, fluxes)
            tile.place[:] = fluxes.reshape(tile.place.shape)
        return True

    def _mean(self, pixels: NDArray[np.int32], tile: int, fluxes: NDArray[np.float32]) -> None:
        columns, (numbers, seed, around_zero) = self.table.columns, self.dither
        scaling = float(columns["ZSCALE"][tile]), float(columns["ZZERO"][tile])
        special = int(self.blanks[tile]), around_zero
        as_fluxes(pixels, scaling, special, (numbers, (tile + seed - 1) % numbers.size), fluxes)


class _Dither(NamedTuple):
    """What was added to pixels: from which numbers, for the first tile from which place on."""

    numbers: NDArray[np.float32]
    seed: int
    around_zero: bool


def _plan(content: memoryview, hdu: Hdu, shape: tuple[int, int]) -> _Plan | None:
    """Return how to read a plane; None if it is for astropy."""
    header = hdu.header
    if header.get("ZCMPTYPE") not in {"RICE_1", "RICE_ONE"} or header["ZBITPIX"] != _FLOATS:
        return None
    table, block, dither = read_table(content, hdu), _block(header), _dither(header)
    if table is None or block is None or dither is None:
        return None
    columns = table.columns
    if not columns.keys() >= {"COMPRESSED_DATA", "ZSCALE", "ZZERO"}:
        return None
    if not (np.isfinite(columns["ZSCALE"]).all() and np.isfinite(columns["ZZERO"]).all()):
        return None
    blanks = columns.get("ZBLANK", _blanks(header, integer(header, "NAXIS2")))
    room = np.empty((3, math.prod(tile_shape(header, shape))), np.int32)
    return None if blanks is None else _Plan(table, block, blanks, dither, room)


def _block(header: Header) -> int | None:
    """Return the pixels of a block; None if a pixel does not have four bytes."""
    numbers = takewhile(lambda number: f"ZNAME{number}" in header, count(1))
    options = dict[str, int]()
    for number in numbers:
        name = header[f"ZNAME{number}"]
        if not isinstance(name, str):
            return None
        options.setdefault(name.lower(), number)  # the first of a name counts
    block, pixel = (
        integer(header, f"ZVAL{options[name]}") if name in options else default
        for name, default in (("blocksize", _BLOCK), ("bytepix", _PIXEL))
    )
    return block if pixel == _PIXEL else None


def _dither(header: Header) -> _Dither | None:
    how = header.get("ZQUANTIZ", "NO_DITHER")
    if how == "NO_DITHER":
        return _Dither(halves(), 1, around_zero=False)
    if how not in _DITHERED:
        return None
    return _Dither(randoms(), integer(header, "ZDITHER0"), around_zero=_DITHERED[how])


def _blanks(header: Header, tiles: int) -> NDArray[np.integer] | None:
    """Return what stands for NaN in each tile, where all have the same."""
    blank = header.get("ZBLANK", NO_BLANK)
    known = blank == NO_BLANK or (type(blank) is int and blank in _WHOLE)
    return np.full(tiles, blank) if known else None
