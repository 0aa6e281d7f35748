"""What a table of tiles says of itself, held to what is there before any decoder believes it.

The decoders in C that astropy calls trust their arguments: a Rice tile of 8-byte integers, a list
of pixels that claims to be longer than it is, or a negative dither seed has them read memory that
is not theirs. And pointers that all lead to one part of the heap make much work of a small file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.faults import WarpError, WarpFault
from stream.hdus import Hdu, Header, inflated_chunks, integer

__all__ = ["check_gzip_tiles", "check_table"]

_WIDTHS: Final = {
    "L": 1,
    "B": 1,
    "A": 1,
    "I": 2,
    "J": 4,
    "K": 8,
    "E": 4,
    "D": 8,
    "C": 8,
    "M": 16,
    "P": 8,
    "Q": 16,
}
_FORM: Final = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
_NUMBERS: Final[dict[str, np.dtype[Any]]] = {"P": np.dtype(">i4"), "Q": np.dtype(">i8")}
_MOST_COLUMNS: Final = 999
_PIXEL: Final = 4
_WIDEST_PIXEL: Final = 8
_TILE_OVERHEAD: Final = 64
"""Bytes that a tile may have beside those of its pixels: what a gzip stream needs, and some."""

_TILE_MEMBERS: Final = 4
"""A tile is one gzip stream; some more do no harm, and many have astropy read it ever again."""

_RICE_BYTES: Final = (1, 2, 4)
_RICE_BLOCK: Final = range(1, 1 << 15)
_SEEDS: Final = range(1, 10_001)
_DITHERED: Final = ("SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2")
_GZIP: Final = ("GZIP_1", "GZIP_2")

_LIST_HEAD: Final = 5
_LIST_OPCODE: Final = 12
_LIST_SET_HIGH: Final = 1


class _Column(NamedTuple):
    """A column of pointers into the heap."""

    name: str
    element: str
    pointers: NDArray[np.int64]
    """``[tile, (bytes, start)]``."""


def check_table(content: memoryview, hdu: Hdu, pixels: int) -> None:
    """Refuse a table of tiles that would have a decoder do what the plane does not need.

    Parameters
    ----------
    content : memoryview
        The file.
    hdu : Hdu
        A tile-compressed plane, whole.
    pixels : int
        Pixels of the plane.

    Raises
    ------
    WarpError
        `unreadable`: a pointer leads out of the heap, the tiles together have more bytes than the
        heap and the plane, or a compression's parameter is not one that the standard has.
    """
    heap = _heap(content, hdu)
    columns = list(_columns(content, hdu, len(heap)))
    claimed = sum(int(column.pointers[:, 0].sum()) for column in columns)
    most = len(heap) + _PIXEL * pixels + _TILE_OVERHEAD * integer(hdu.header, "NAXIS2")
    if claimed > most:
        raise _unreadable(f"tiles of {claimed} bytes in all, where {most} are enough")
    _check_dither(hdu.header)
    if str(hdu.header.get("ZCMPTYPE")).startswith("RICE"):
        _check_rice(hdu.header)
    if hdu.header.get("ZCMPTYPE") == "PLIO_1":
        _check_lists(heap, columns)


def check_gzip_tiles(content: memoryview, hdu: Hdu, tile: int) -> None:
    """Refuse a gzip tile that inflates to more than any pixels of its number could be.

    Parameters
    ----------
    content : memoryview
        The file.
    hdu : Hdu
        A tile-compressed plane whose table was checked.
    tile : int
        Pixels of one tile.

    Raises
    ------
    WarpError
        `unreadable`: a tile inflates to too much, has too many members, or ends too early.
    """
    heap = _heap(content, hdu)
    for column in _gzip_columns(hdu.header, list(_columns(content, hdu, len(heap)))):
        for part in _parts(heap, column):
            _check_size(part, _WIDEST_PIXEL * tile)


def _gzip_columns(header: Header, columns: list[_Column]) -> Iterator[_Column]:
    """Yield what leads to gzip streams; a stand-in is read only where there is no tile."""
    absent = np.zeros(integer(header, "NAXIS2"), bool)
    for column in columns:
        if column.name == "COMPRESSED_DATA":
            absent |= column.pointers[:, 0] == 0
            if header.get("ZCMPTYPE") in _GZIP:
                yield column
    for column in columns:
        if column.name == "GZIP_COMPRESSED_DATA":
            yield column._replace(pointers=column.pointers[absent])


def _check_size(packed: memoryview, most: int) -> None:
    size = 0
    try:
        for chunk in inflated_chunks(bytes(packed), _TILE_MEMBERS):
            size += len(chunk)
            if size > most:
                raise _unreadable(f"it inflates to more than {most} bytes")
    except WarpError as error:
        raise _unreadable(f"a tile is none: {error.message}") from error


def _unreadable(message: str) -> WarpError:
    return WarpError(WarpFault.UNREADABLE, message)


# Pointers


def _heap(content: memoryview, hdu: Hdu) -> memoryview:
    table = integer(hdu.header, "NAXIS1") * integer(hdu.header, "NAXIS2")
    start = integer(hdu.header, "THEAP", table)
    if not table <= start <= hdu.size:
        raise _unreadable(f"the heap begins at byte {start} of {hdu.size}, {table} are the table's")
    return content[hdu.data + start : hdu.end]


def _columns(content: memoryview, hdu: Hdu, heap: int) -> Iterator[_Column]:
    """Yield the columns of pointers, checked against the bytes of the heap."""
    header, at = hdu.header, 0
    rows, row = integer(header, "NAXIS2"), integer(header, "NAXIS1")
    fields = integer(header, "TFIELDS")
    if fields > _MOST_COLUMNS:
        raise _unreadable(f"TFIELDS = {fields}")
    for number in range(1, fields + 1):
        count, kind, element = _form(header, number)
        width = -(-count // 8) if kind == "X" else count * _WIDTHS[kind]
        if at + width > row:
            raise _unreadable(f"column {number} ends behind the row of {row} bytes")
        if kind in _NUMBERS and count:
            numbers = _NUMBERS[kind]
            strides = (row, numbers.itemsize)
            raw = np.ndarray((rows, 2), numbers, content, hdu.data + at, strides)
            name = str(header.get(f"TTYPE{number}")).strip().upper()
            yield _Column(name, element, _within(raw, element, heap))
        at += width


def _form(header: Header, number: int) -> tuple[int, str, str]:
    """Return how many values a column has in a row, of what kind, and what pointers lead to."""
    form = _FORM.match(str(header.get(f"TFORM{number}")).strip().upper())
    if form is None or (form[2] in _NUMBERS and (form[1] not in {"", "0", "1"} or not form[3])):
        raise _unreadable(f"TFORM{number} = {header.get(f'TFORM{number}')!r}")
    return int(form[1] or 1), form[2], form[3]


def _within(raw: NDArray[Any], element: str, heap: int) -> NDArray[np.int64]:
    """Return pointers in bytes; refuse those that lead out of the heap."""
    pointers = raw.astype(np.int64)
    counts, starts = pointers[:, 0], pointers[:, 1]
    if ((counts < 0) | (counts > 8 * heap)).any():
        raise _unreadable("a tile is larger than the heap, or of a negative size")
    counts[:] = -(-counts // 8) if element == "X" else counts * _WIDTHS[element]
    if ((counts > 0) & ((starts < 0) | (starts > heap - counts))).any():
        raise _unreadable(f"a tile lies outside of the heap of {heap} bytes")
    return pointers


def _parts(heap: memoryview, column: _Column) -> Iterator[memoryview]:
    """Yield the parts of the heap that a column's pointers lead to, but for empty ones."""
    for size, start in column.pointers.tolist():
        if size:
            yield heap[start : start + size]


# Parameters


def _check_dither(header: Header) -> None:
    """Refuse a seed that is no place in the decoder's table of random numbers."""
    dithered = header.get("ZQUANTIZ") in _DITHERED
    if (dithered or "ZDITHER0" in header) and integer(header, "ZDITHER0") not in _SEEDS:
        raise _unreadable(f"ZDITHER0 = {header['ZDITHER0']} is not from 1 to {_SEEDS[-1]}")


def _check_rice(header: Header) -> None:
    allowed = {"BYTEPIX": _RICE_BYTES, "BLOCKSIZE": _RICE_BLOCK}
    for number in range(1, _MOST_COLUMNS + 1):
        if f"ZNAME{number}" not in header:
            return
        name = str(header[f"ZNAME{number}"]).strip().upper()
        if name in allowed and integer(header, f"ZVAL{number}") not in allowed[name]:
            raise _unreadable(f"{name} = {header[f'ZVAL{number}']} is none that Rice tiles have")


def _check_lists(heap: memoryview, columns: list[_Column]) -> None:
    """Refuse a list of pixels (PLIO) that claims to be longer than its part of the heap."""
    for column in columns:
        if column.name != "COMPRESSED_DATA":
            continue
        if column.element != "I":
            raise _unreadable("lists of pixels are made of 16-bit integers")
        if not all(_is_list(np.frombuffer(part, ">i2")) for part in _parts(heap, column)):
            raise _unreadable("a list of pixels does not end where it says")


def _is_list(words: NDArray[Any]) -> bool:
    """Tell whether a list's head and its last word keep a reader within it.

    An older head has the length in its third word; a newer one has its own in the second, and the
    length in the fourth and fifth.
    """
    if len(words) < _LIST_HEAD:
        return False
    _, first, old, low, high = (int(word) for word in words[:_LIST_HEAD])
    length, first = (old, 3) if old > 0 else ((high << 15) + low, first)
    if not (0 <= first <= length and 0 < length <= len(words)):
        return False
    return int(words[length - 1]) >> _LIST_OPCODE != _LIST_SET_HIGH or length < len(words)
