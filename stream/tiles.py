"""Lossless gzip tiles, as the stack writes them, inflated one after the other into a whole plane.

astropy, the reader of record, spends most of its time beside the inflating. Here nothing is done
for a tile but to inflate it and to put its bytes where they belong; what is not plainly of this
kind is left to astropy, and so is what is damaged, for it says what is wrong.

Layout: FITS standard 4.0, sections 7.3.5 (arrays in the heap) and 10.1 to 10.4 (tiled images;
GZIP_1 holds big-endian pixels, GZIP_2 first all their first bytes, then all their second ones).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.shuffle import unshuffle
from stream.hdus import GzipError, Hdu, Header, gzip_member
from stream.tiletable import Table, read_table, tile_shape

__all__ = ["inflated", "read_tiles"]

_PIXEL: Final = 4
_RUN_ROWS: Final = 64


class _Run(NamedTuple):
    """Tiles of one size, one below the other, and the pixels that they fill."""

    tiles: Sequence[memoryview]
    rows: slice
    columns: slice
    shape: tuple[int, int]


def read_tiles(content: memoryview, hdu: Hdu, shape: tuple[int, int]) -> NDArray[np.uint32] | None:
    """Return the bits of a plane's pixels, or None if it is for astropy to read.

    Parameters
    ----------
    content : memoryview
        The file.
    hdu : Hdu
        A tile-compressed plane of 32-bit pixels, whole, with a tiling that makes the plane.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    numpy.ndarray or None
        uint32 ``[y, x]`` in native order: float32 or int32 by `view`.
    """
    table = _plain_table(content, hdu)
    if table is None:
        return None
    plane = np.empty(shape, np.uint32)
    put = _put_shuffled if hdu.header["ZCMPTYPE"] == "GZIP_2" else _put
    for run in _runs(table, hdu.header, shape):
        pixels = inflated(run.tiles, _PIXEL * math.prod(run.shape))
        if pixels is None:
            return None
        put(plane, run, pixels)
    return plane


def _plain_table(content: memoryview, hdu: Hdu) -> Table | None:
    """Return the table of a plane whose tiles hold its pixels' bytes; None if it is another one."""
    header = hdu.header
    if header.get("ZCMPTYPE") not in {"GZIP_1", "GZIP_2"} or "ZBLANK" in header:
        return None
    if header.get("ZQUANTIZ", "NONE") != "NONE":
        return None
    table = read_table(content, hdu)
    return table if table is not None and table.columns.keys() == {"COMPRESSED_DATA"} else None


def _runs(table: Table, header: Header, shape: tuple[int, int]) -> Iterator[_Run]:
    """Yield the tiles; of those that are whole rows several at once, which saves most time."""
    (rows, columns), (height, width) = shape, tile_shape(header, shape)
    tiles = table.parts("COMPRESSED_DATA")
    most = max(1, _RUN_ROWS // height) if width == columns else 1
    for top in range(0, rows, height * most):
        for left in range(0, columns, width):
            for first, number, tall in _stacked(top, rows, height, most):
                wide = min(width, columns - left)
                run = [next(tiles) for _ in range(number)]
                across = slice(left, left + wide)
                yield _Run(run, slice(first, first + number * tall), across, (tall, wide))


def _stacked(top: int, rows: int, height: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yield where tiles begin, how many and how tall: the last of a plane may be cut off."""
    whole = min(most, (rows - top) // height)
    if whole:
        yield top, whole, height
    if whole < most and (rest := rows - top - whole * height):
        yield rows - rest, 1, rest


def inflated(tiles: Sequence[memoryview], size: int) -> bytes | None:
    """Return what gzip streams inflate to, one after the other; None if one is of another size.

    Parameters
    ----------
    tiles : sequence of memoryview
    size : int
        Bytes that each inflates to.

    Returns
    -------
    bytes or None
        None also for what is no stream, or has something behind it.
    """
    found: list[bytes] = []
    for tile in tiles:
        member = gzip_member()
        try:
            found.append(member.decompress(tile, size + 1))
        except GzipError:
            return None
        if not member.eof or member.unused_data or len(found[-1]) != size:
            return None
    return b"".join(found)


def _put(plane: NDArray[np.uint32], run: _Run, pixels: bytes) -> None:
    target = plane[run.rows, run.columns]
    target[:] = np.frombuffer(pixels, ">u4").reshape(target.shape)


def _put_shuffled(plane: NDArray[np.uint32], run: _Run, pixels: bytes) -> None:
    parts = np.frombuffer(pixels, np.uint8).reshape(len(run.tiles), _PIXEL, -1)
    unshuffle(parts, plane, (run.rows.start, run.columns.start), run.shape[1])
