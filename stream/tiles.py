"""Lossless gzip tiles, as the stack writes them, inflated one after the other into a whole plane.

astropy, the reader of record, spends most of its time beside the inflating. Here nothing is done
for a tile but to inflate it and to put its bytes where they belong; what is not plainly of this
kind is left to astropy, and so is what is damaged, for it says what is wrong.

Layout: FITS standard 4.0, sections 7.3.5 (arrays in the heap) and 10.1 to 10.4 (tiled images;
GZIP_1 holds big-endian pixels, GZIP_2 first all their first bytes, then all their second ones).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.kernels.shuffle import unshuffle
from stream.hdus import GzipError, Hdu, Header, gzip_member, integer

__all__ = ["read_tiles"]

_PIXEL: Final = 4
_DESCRIPTOR: Final = re.compile(r"1?([PQ])B(?:\(\d*\))?")
_NUMBERS: Final[dict[str, np.dtype[Any]]] = {"P": np.dtype(">i4"), "Q": np.dtype(">i8")}
_FOREIGN: Final = ("ZSCALE", "ZZERO", "ZBLANK", "BLANK", "ZMASKCMP", "TSCAL1", "TZERO1", "TNULL1")
"""Cards that make more of the pixels than what is in the tiles."""

_RUN_ROWS: Final = 64


class _Run(NamedTuple):
    """Tiles of one size, one below the other, and the pixels that they fill."""

    tiles: list[memoryview]
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
    numbers = _plain_numbers(hdu.header)
    if numbers is None:
        return None
    plane = np.empty(shape, np.uint32)
    put = _put_shuffled if hdu.header["ZCMPTYPE"] == "GZIP_2" else _put
    for run in _runs(content, hdu, numbers, shape):
        pixels = _inflated(run)
        if pixels is None:
            return None
        put(plane, run, pixels)
    return plane


def _plain_numbers(header: Header) -> np.dtype[Any] | None:
    """Return what the heap's pointers are made of; None if the table has anything besides."""
    if header.get("ZCMPTYPE") not in {"GZIP_1", "GZIP_2"} or header.get("TFIELDS") != 1:
        return None
    if header.get("ZQUANTIZ", "NONE") != "NONE" or any(card in header for card in _FOREIGN):
        return None
    form = _DESCRIPTOR.fullmatch(str(header.get("TFORM1")).strip())
    if form is None or str(header.get("TTYPE1")).strip().upper() != "COMPRESSED_DATA":
        return None
    numbers = _NUMBERS[form[1]]
    return numbers if header.get("NAXIS1") == 2 * numbers.itemsize else None


def _runs(
    content: memoryview, hdu: Hdu, numbers: np.dtype[Any], shape: tuple[int, int]
) -> Iterator[_Run]:
    """Yield the tiles; of those that are whole rows several at once, which saves most of the time.

    A pointer that leads out of the heap leads to too few bytes.
    """
    header, (rows, columns) = hdu.header, shape
    width, height = integer(header, "ZTILE1", columns), integer(header, "ZTILE2", 1)
    count = integer(header, "NAXIS2")
    pointers = np.frombuffer(content, numbers, 2 * count, hdu.data).reshape(count, 2).tolist()
    heap = content[hdu.data + integer(header, "THEAP", 2 * numbers.itemsize * count) : hdu.end]
    tiles = (heap[start : start + size] if start >= 0 else heap[:0] for size, start in pointers)
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


def _inflated(run: _Run) -> bytes | None:
    """Return the bytes of the pixels; None if there are more or fewer, or none can be had."""
    size = _PIXEL * run.shape[0] * run.shape[1]
    found: list[bytes] = []
    for tile in run.tiles:
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
