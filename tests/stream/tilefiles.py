"""Tile-compressed planes, and warps of which some planes are tiled."""

from __future__ import annotations

import gzip
import struct
from io import BytesIO
from typing import Any

import numpy as np
from astropy.io import fits as astropy_fits
from numpy.typing import NDArray

from stream import fits
from stream.faults import WarpError
from stream.hdus import Hdu
from tests.stream.warps import hdu, plane_cards, planted

__all__ = ["FILE_SHAPE", "PRIMARY", "Bits", "by_astropy", "file_of", "none", "outcome", "tiled"]

Bits = NDArray[np.uint32]
FILE_SHAPE = (20, 24)
"""Rows and columns of the planes that `file_of` makes."""

PRIMARY = hdu({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0})


def tiled(
    plane: Bits,
    tile: tuple[int, int] | None = None,
    form: str = "GZIP_2",
    pointer: str = "P",
    gap: int = 0,
    **changes: object,
) -> bytes:
    """Return the HDU of a tiled plane of int32, written from the standard's words alone."""
    height, width = tile or (1, plane.shape[1])
    table, heap = b"", b""
    for top in range(0, plane.shape[0], height):
        for left in range(0, plane.shape[1], width):
            part = plane[top : top + height, left : left + width].astype(">u4")
            raw = np.frombuffer(part.tobytes(), np.uint8).reshape(-1, 4)
            packed = gzip.compress((raw.T if form == "GZIP_2" else raw).tobytes(), mtime=0)
            table += struct.pack(">2i" if pointer == "P" else ">2q", len(packed), len(heap))
            heap += packed
    row = 8 if pointer == "P" else 16
    cards: dict[str, object] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": row,
        "NAXIS2": len(table) // row,
        "PCOUNT": gap + len(heap),
        "GCOUNT": 1,
        "TFIELDS": 1,
        "TTYPE1": "COMPRESSED_DATA",
        "TFORM1": f"1{pointer}B({len(heap)})",
        "ZIMAGE": True,
        "ZCMPTYPE": form,
        "ZBITPIX": 32,
        "ZNAXIS": 2,
        "ZNAXIS1": plane.shape[1],
        "ZNAXIS2": plane.shape[0],
        "ZTILE1": width,
        "ZTILE2": height,
        "THEAP": len(table) + gap,
        "EXTTYPE": "MASK",
    }
    kept = {key: value for key, value in (cards | changes).items() if value is not None}
    return hdu(kept, table + bytes(gap) + heap)


def outcome(data: bytes) -> object:
    """Return the bits of a warp's planes, or why it is refused."""
    try:
        found = fits.decode(data)
    except WarpError as error:
        return error.reason
    return found.image.tobytes(), found.mask.tobytes(), found.variance.tobytes()


def none(_content: memoryview, _hdu: Hdu, _shape: tuple[int, int]) -> None:
    """Leave a plane to astropy."""


def file_of(**hdus: bytes) -> bytes:
    """Return a warp whose planes are as given, or else plain."""
    image = planted(FILE_SHAPE)
    out = PRIMARY
    for name in ("IMAGE", "MASK", "VARIANCE"):
        plane = getattr(image, name.lower())
        stored = plane.astype(plane.dtype.newbyteorder(">")).tobytes()
        out += hdus.get(name) or hdu(plane_cards(name, plane), stored)
    return out


def by_astropy(name: str, plane: NDArray[Any], **how: Any) -> bytes:
    """Return the HDU that astropy writes of a plane."""
    made: Any = astropy_fits.CompImageHDU(plane, name=name, **how)
    made.header["EXTTYPE"] = name
    out = BytesIO()
    astropy_fits.HDUList([astropy_fits.PrimaryHDU(), made]).writeto(out)
    return out.getvalue()[2880:]
