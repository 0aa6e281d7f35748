"""The table of a tile-compressed plane: a row a tile, with pointers into the heap and numbers.

Layout: FITS standard 4.0, sections 7.3 (binary tables, and 7.3.5 arrays in the heap) and 10.1.
Whoever reads it here knows what to make of every column, or reads none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.hdus import Hdu, Header, integer

__all__ = ["Table", "Tile", "read_table", "tile_shape", "tiles"]

_BYTES: Final = re.compile(r"1?([PQ])B(?:\(\d*\))?")
_COLUMNS: Final[Mapping[str, re.Pattern[str]]] = {
    "COMPRESSED_DATA": _BYTES,
    "GZIP_COMPRESSED_DATA": _BYTES,
    "ZSCALE": re.compile("1?(D)"),
    "ZZERO": re.compile("1?(D)"),
    "ZBLANK": re.compile("1?(J)"),
}
_KINDS: Final[Mapping[str, np.dtype[Any]]] = {
    "P": np.dtype((">i4", 2)),
    "Q": np.dtype((">i8", 2)),
    "D": np.dtype(">f8"),
    "J": np.dtype(">i4"),
}

_FOREIGN: Final = re.compile(r"BLANK|ZMASKCMP|ZSCALE|ZZERO|TSCAL\d+|TZERO\d+|TNULL\d+")
"""Cards that make more of the pixels than what stands in the table and the tiles."""


class Table(NamedTuple):
    """What was read of a table.

    Attributes
    ----------
    columns : dict of str to numpy.ndarray
        By name, in native order: pointers ``[tile, (bytes, start)]``, or numbers ``[tile]``.
    heap : memoryview
        What pointers lead into.
    """

    columns: dict[str, NDArray[Any]]
    heap: memoryview

    def parts(self, name: str) -> Iterator[memoryview]:
        """Yield the bytes of each tile; a pointer that leads out of the heap leads to too few.

        None at all where there is no such column.
        """
        for size, start in self.columns[name].tolist() if name in self.columns else ():
            yield self.heap[start : start + size] if start >= 0 else self.heap[:0]


def read_table(content: memoryview, hdu: Hdu) -> Table | None:
    """Read the table; None if there is a column or a card that nothing here knows.

    Parameters
    ----------
    content : memoryview
        The file.
    hdu : Hdu
        A tile-compressed plane, whole.
    """
    header = hdu.header
    row = _row(header)
    if row is None or any(map(_FOREIGN.fullmatch, header)):
        return None
    rows = np.frombuffer(content, row, integer(header, "NAXIS2"), hdu.data)
    names = row.names or ()
    columns = {name: rows[name].astype(rows[name].dtype.newbyteorder("=")) for name in names}
    heap = content[hdu.data + integer(header, "THEAP", rows.nbytes) : hdu.end]
    return Table(columns, heap.toreadonly())


def _row(header: Header) -> np.dtype[Any] | None:
    """Return what a row holds."""
    fields = range(1, integer(header, "TFIELDS") + 1)
    names = [str(header.get(f"TTYPE{number}")).strip().upper() for number in fields]
    if not set(names) <= _COLUMNS.keys() or len(set(names)) < len(names):
        return None
    found = [
        _COLUMNS[name].fullmatch(str(header.get(f"TFORM{number}")).strip())
        for number, name in zip(fields, names, strict=True)
    ]
    kinds = [_KINDS[form[1]] for form in found if form is not None]
    if len(kinds) < len(names):
        return None
    row = np.dtype(list(zip(names, kinds, strict=True)))
    return row if row.itemsize == header.get("NAXIS1") else None


class Tile(NamedTuple):
    """Where a tile belongs in its plane."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def tile_shape(header: Header, shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a tile that is whole; a row of the plane, if nothing is said.

    Parameters
    ----------
    header : mapping
    shape : (int, int)
        Rows and columns of the plane.
    """
    return integer(header, "ZTILE2", 1), integer(header, "ZTILE1", shape[1])


def tiles(header: Header, shape: tuple[int, int]) -> Iterator[Tile]:
    """Yield the tiles of a plane in the table's order: from left to right, then upwards.

    Parameters
    ----------
    header : mapping
    shape : (int, int)
        Rows and columns of the plane.
    """
    (rows, columns), (height, width) = shape, tile_shape(header, shape)
    for top in range(0, rows, height):
        for left in range(0, columns, width):
            below, right = min(top + height, rows), min(left + width, columns)
            yield Tile(slice(top, below), slice(left, right))
